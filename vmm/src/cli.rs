// SPDX-License-Identifier: MIT OR Apache-2.0
//! Command-line options, and their merge into a machine description.

use std::path::PathBuf;

use clap::{Parser, Subcommand};

use crate::config::{
    self, ApConfig, ApInstructions, ConfigError, ConsoleConfig, MemoryConfig, Sandbox, VmConfig,
};

const EXAMPLES: &str = "\
Examples:
  A Linux guest with an AP matrix device, its console on the terminal:
    apvmm run --kernel bzImage --initrd initrd.gz --cmdline console=ttysclp0 \\
      --memory 256M --cpus 2 --ap sysfsdev=/sys/bus/mdev/devices/UUID
  The same from a file:
    apvmm run --machine vm.json
  Requests to a machine that was started with --api-socket /run/vm.sock:
    apvmm ctl --api-socket /run/vm.sock ap.query

What QEMU and cloud-hypervisor call it:
  --kernel, --initrd, --cmdline   -kernel, -initrd, -append    as here
  --memory 256M, --cpus 2         -m 256, -smp 2               --memory size=, --cpus boot=
  --memory ...,hugepages=on       -mem-path /dev/hugepages     as here; so is thp=on
  --ap sysfsdev=PATH              -device vfio-ap,sysfsdev=    --device path=
  --ap ...,backend=cdev           ...,iommufd=iommufd0         --device ...,iommufd=on
  --ap-instructions on            -cpu host,ap=on,apqci=on,apft=on
  --no-reboot                     -no-reboot                   -
  --console file=PATH             -serial file:PATH            --console file=
  --api-socket PATH               -qmp unix:PATH,server        --api-socket PATH";

/// A small virtual machine monitor for s390x guests with AP pass-through.
#[derive(Debug, Parser)]
#[command(name = "apvmm", version, after_help = EXAMPLES)]
pub struct Cli {
    /// What to do.
    #[command(subcommand)]
    pub command: Command,
}

/// What to do.
#[derive(Debug, Subcommand)]
pub enum Command {
    /// Start a guest and stay until it ends.
    ///
    /// Exit status: 0 the guest shut down, 1 bad configuration, 2 the host
    /// refused something, 3 the guest crashed, 4 the guest asked for a reset
    /// and --no-reboot was given, 64+N the guest reported status N.
    ///
    /// SIGTERM and SIGINT ask the guest to shut down, the second time they end
    /// it. SIGUSR1 tells it of an AP change.
    #[command(after_help = EXAMPLES)]
    Run(Box<RunArgs>),
    /// Send a request to a running machine and print its answer.
    ///
    /// Exit status: 0 done, 1 refused, 2 no answer.
    Ctl(CtlArgs),
}

/// Options of `ctl`.
#[derive(Debug, clap::Args)]
pub struct CtlArgs {
    /// The machine's control socket.
    #[arg(long, value_name = "PATH")]
    pub api_socket: PathBuf,
    /// One of info, metrics, ap.query, ap.notify, ap.detach, pause, resume,
    /// quiesce, reset, or a JSON object, such as
    /// '{"request":"ap.attach","sysfsdev":"PATH"}'.
    pub request: String,
}

/// Options of `run`.
#[derive(Debug, Default, clap::Args)]
pub struct RunArgs {
    /// Machine description in JSON; the options below override it.
    #[arg(long, visible_alias = "config", value_name = "FILE")]
    pub machine: Option<PathBuf>,
    /// Kernel: bzImage, ELF, or raw image with a PSW at address 0.
    #[arg(long, value_name = "FILE")]
    pub kernel: Option<PathBuf>,
    /// Initial RAM disk.
    #[arg(long, value_name = "FILE")]
    pub initrd: Option<PathBuf>,
    /// Kernel command line.
    #[arg(long, value_name = "TEXT")]
    pub cmdline: Option<String>,
    /// Guest memory, from 64M on; 256M if not given. thp=on makes it of
    /// pages of 1 MiB where the host has some, hugepages=on of those that the
    /// host keeps for such use. Both want KVM's parameter hpage=1.
    #[arg(long, value_name = config::MEMORY_FORM)]
    pub memory: Option<MemoryConfig>,
    /// Number of CPUs, 1 to 8.
    #[arg(long, value_name = "N")]
    pub cpus: Option<u16>,
    /// AP matrix device (mdev) to pass through. events=once tells the guest of
    /// each change, but not of the last one once more; events=off keeps
    /// changes from it, and it finds them by itself. backend names how VFIO is
    /// used: by group, by the device's own node (cdev) and iommufd, or what
    /// can be opened.
    #[arg(long, value_name = config::AP_FORM)]
    pub ap: Option<ApConfig>,
    /// Whether the guest has AP instructions.
    #[arg(long, value_enum)]
    pub ap_instructions: Option<ApInstructions>,
    /// End when the guest asks for a reset, instead of starting it again.
    #[arg(long)]
    pub no_reboot: bool,
    /// Whether the process confines itself once the machine is built.
    #[arg(long, value_enum)]
    pub sandbox: Option<Sandbox>,
    /// Where the guest's console goes.
    #[arg(long, value_name = "stdio|null|file=PATH")]
    pub console: Option<ConsoleConfig>,
    /// Unix socket for control requests, one JSON object a line.
    #[arg(long, value_name = "PATH")]
    pub api_socket: Option<PathBuf>,
    /// File for time-stamped events, one JSON object a line.
    #[arg(long, value_name = "FILE")]
    pub events: Option<PathBuf>,
}

impl RunArgs {
    /// The machine that file and options describe.
    pub fn into_config(self) -> Result<VmConfig, ConfigError> {
        let mut config = match (&self.machine, &self.kernel) {
            (Some(path), _) => VmConfig::from_file(path)?,
            (None, Some(kernel)) => VmConfig::new(kernel.clone()),
            (None, None) => return Err(ConfigError::NoKernel),
        };
        replace(&mut config.kernel, self.kernel);
        replace(&mut config.initrd, self.initrd.map(Some));
        replace(&mut config.cmdline, self.cmdline);
        replace(&mut config.memory, self.memory);
        replace(&mut config.cpus, self.cpus);
        replace(&mut config.ap, self.ap.map(Some));
        replace(&mut config.ap_instructions, self.ap_instructions);
        config.no_reboot |= self.no_reboot;
        replace(&mut config.sandbox, self.sandbox);
        replace(&mut config.console, self.console);
        replace(&mut config.api_socket, self.api_socket.map(Some));
        replace(&mut config.events, self.events.map(Some));
        config.validate()?;
        Ok(config)
    }
}

fn replace<T>(slot: &mut T, value: Option<T>) {
    if let Some(value) = value {
        *slot = value;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn run(args: &[&str]) -> Result<VmConfig, ConfigError> {
        let args = ["apvmm", "run"].iter().chain(args);
        match Cli::try_parse_from(args).unwrap().command {
            Command::Run(args) => args.into_config(),
            Command::Ctl(_) => panic!("not run"),
        }
    }

    #[test]
    fn options_build_a_machine() {
        let config = run(&[
            "--kernel",
            "k",
            "--memory",
            "size=512M",
            "--ap",
            "sysfsdev=/sys/x,id=a",
            "--console",
            "file=c",
        ])
        .unwrap();
        let json = r#"{"kernel": "k", "memory": {"size": "512M"},
            "ap": {"sysfsdev": "/sys/x", "id": "a"}, "console": {"file": "c"}}"#;
        assert_eq!(config, serde_json::from_str(json).unwrap());
    }

    #[test]
    fn options_override_the_file() {
        let path = std::env::temp_dir().join(format!("apvmm-cli-{}.json", std::process::id()));
        std::fs::write(&path, r#"{"kernel": "k", "cmdline": "a", "initrd": "i"}"#).unwrap();
        let config = run(&["--machine", path.to_str().unwrap(), "--cmdline", "b"]);
        std::fs::remove_file(&path).unwrap();
        let config = config.unwrap();
        assert_eq!((config.kernel, config.cmdline), ("k".into(), "b".into()));
        assert_eq!(config.initrd, Some("i".into()));
    }

    #[test]
    fn a_kernel_is_needed_and_limits_hold() {
        assert!(matches!(run(&[]), Err(ConfigError::NoKernel)));
        let result = run(&["--kernel", "k", "--memory", "1M"]);
        assert!(matches!(result, Err(ConfigError::Memory(_))));
    }

    #[test]
    fn switches() {
        let config = run(&["--kernel", "k", "--no-reboot", "--sandbox", "off"]).unwrap();
        let json = r#"{"kernel": "k", "no-reboot": true, "sandbox": "off"}"#;
        assert_eq!(config, serde_json::from_str(json).unwrap());
    }

    #[test]
    fn the_parser_is_consistent() {
        use clap::CommandFactory;
        Cli::command().debug_assert();
    }
}
