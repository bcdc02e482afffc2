// SPDX-License-Identifier: MIT OR Apache-2.0
//! Command-line options, and their merge into a machine description.

use std::path::PathBuf;

use clap::{Parser, Subcommand};

use crate::config::{ConfigError, Description, VmConfig};

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
#[derive(Debug, clap::Args)]
pub struct RunArgs {
    /// Machine description in JSON; the options below override it.
    #[arg(long, visible_alias = "config", value_name = "FILE")]
    pub machine: Option<PathBuf>,
    /// What they say.
    #[command(flatten)]
    pub options: Description,
}

impl RunArgs {
    /// The machine that file and options describe.
    pub fn into_config(self) -> Result<VmConfig, ConfigError> {
        let file = self.machine.as_deref().map(Description::from_file);
        let file = file.transpose()?.unwrap_or_default();
        self.options.or(file).machine()
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

    /// The machine by options, after a file with this in it.
    fn run_with_file(json: &str, args: &[&str]) -> Result<VmConfig, ConfigError> {
        let thread = format!("{:?}", std::thread::current().id());
        let name = format!("apvmm-cli-{}-{thread}.json", std::process::id());
        let path = std::env::temp_dir().join(name);
        std::fs::write(&path, json).unwrap();
        let config = run(&[&["--machine", path.to_str().unwrap()], args].concat());
        std::fs::remove_file(&path).unwrap();
        config
    }

    /// An option's value, if it has one, and that of its key in the file.
    fn sample(option: &str) -> Option<(Option<&'static str>, &'static str)> {
        let (value, json) = match option {
            "kernel" => ("other", r#""other""#),
            "initrd" => ("i", r#""i""#),
            "cmdline" => ("a b", r#""a b""#),
            "memory" => ("512M,thp=on", r#"{"size": "512M", "thp": true}"#),
            "cpus" => ("3", "3"),
            "ap" => (
                "sysfsdev=/sys/x,id=a,events=once,backend=cdev",
                r#"{"sysfsdev": "/sys/x", "id": "a", "events": "once", "backend": "cdev"}"#,
            ),
            "ap-instructions" => ("on", r#""on""#),
            "no-reboot" => return Some((None, "true")),
            "sandbox" => ("off", r#""off""#),
            "console" => ("file=c", r#"{"file": "c"}"#),
            "api-socket" => ("s", r#""s""#),
            "events" => ("e", r#""e""#),
            _ => return None,
        };
        Some((Some(value), json))
    }

    #[test]
    fn every_option_is_a_key_of_the_file_and_overrides_it() {
        use clap::CommandFactory;
        let command = Cli::command();
        let run_command = command.find_subcommand("run").unwrap();
        let options = run_command.get_arguments().filter_map(|a| a.get_long());
        let options: Vec<_> = options.filter(|o| *o != "machine").collect();
        assert_eq!(options.len(), 12);
        let plain = run(&["--kernel", "k"]).unwrap();
        for option in options {
            let (value, json) = sample(option).unwrap_or_else(|| panic!("no sample: {option}"));
            let flag = format!("--{option}");
            let words: Vec<&str> = std::iter::once(flag.as_str()).chain(value).collect();
            let kernel = r#""kernel": "k""#;
            let file = match option {
                "kernel" => format!("{{\"kernel\": {json}}}"),
                _ => format!("{{{kernel}, \"{option}\": {json}}}"),
            };
            let by_file = run_with_file(&file, &[]).unwrap();
            assert_ne!(by_file, plain, "{option}");
            let by_option = run_with_file(&format!("{{{kernel}}}"), &words).unwrap();
            assert_eq!(by_option, by_file, "{option}");
        }
    }

    #[test]
    fn a_file_may_leave_the_kernel_to_the_options() {
        let file = r#"{"cpus": 2, "cmdline": "a"}"#;
        let config = run_with_file(file, &["--kernel", "k", "--cmdline", "b"]).unwrap();
        assert_eq!((config.kernel, config.cpus), ("k".into(), 2));
        assert_eq!(config.cmdline, "b");
        let none = run_with_file(r#"{"cpus": 2}"#, &[]);
        assert!(matches!(none, Err(ConfigError::NoKernel)));
    }

    #[test]
    fn a_kernel_is_needed_and_limits_hold() {
        assert!(matches!(run(&[]), Err(ConfigError::NoKernel)));
        let result = run(&["--kernel", "k", "--memory", "1M"]);
        assert!(matches!(result, Err(ConfigError::Memory(_))));
    }

    #[test]
    fn the_help_explains_every_option_and_status() {
        use clap::CommandFactory;
        let mut command = Cli::command();
        command.build();
        for name in ["run", "ctl"] {
            let command = command.find_subcommand_mut(name).unwrap();
            for argument in command.get_arguments().filter(|a| a.get_id() != "help") {
                let words = argument.get_help().unwrap_or_else(|| panic!("{argument}"));
                assert!(words.to_string().len() > 10, "{argument}");
            }
            let help = command.render_long_help().to_string();
            assert!(help.contains("Exit status: 0"), "{help}");
        }
        let run = command.find_subcommand_mut("run").unwrap();
        let help = run.render_long_help().to_string();
        for theirs in ["-smp 2", "-append", "vfio-ap,sysfsdev=", "--cpus boot="] {
            assert!(help.contains(theirs), "{theirs}: {help}");
        }
    }

    #[test]
    fn the_parser_is_consistent() {
        use clap::CommandFactory;
        Cli::command().debug_assert();
    }
}
