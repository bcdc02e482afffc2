// SPDX-License-Identifier: MIT OR Apache-2.0
//! The machine description: what a user may ask for.
//!
//! A [`Description`] is read from a JSON file (`--machine`) and from the
//! command line, so every option is a key. Options override the file; what both
//! leave open has a default. Unknown keys are errors.
//!
//! ```json
//! { "kernel": "bzImage", "initrd": "initrd.gz", "cmdline": "console=ttysclp0",
//!   "memory": { "size": "256M" }, "cpus": 1,
//!   "ap": { "sysfsdev": "/sys/bus/mdev/devices/UUID", "id": "ap0" },
//!   "console": { "file": "console.log" } }
//! ```

mod ap;
mod memory;

use std::path::PathBuf;
use std::str::FromStr;

use serde::Deserialize;

pub use ap::{AP_FORM, ApBackend, ApConfig, ApEvents, Telling};
pub use memory::{ByteSize, MEMORY_FORM, MemoryConfig, Pages};

/// Smallest guest: the image, its decompression and a RAM disk need that.
const MEMORY_MIN: ByteSize = ByteSize(64 << 20);
/// Largest guest: far from where sums of addresses could overflow.
const MEMORY_MAX: ByteSize = ByteSize(1 << 40);

const CPUS_MAX: u16 = 8;

/// A machine.
#[derive(Clone, Debug, PartialEq)]
pub struct VmConfig {
    /// Kernel image: bzImage, ELF, or raw with a PSW at 0.
    pub kernel: PathBuf,
    /// RAM disk.
    pub initrd: Option<PathBuf>,
    /// Command line of the kernel.
    pub cmdline: String,
    /// Guest storage.
    pub memory: MemoryConfig,
    /// Number of CPUs.
    pub cpus: u16,
    /// The AP matrix device the guest gets.
    pub ap: Option<ApConfig>,
    /// Whether the guest has AP instructions.
    pub ap_instructions: ApInstructions,
    /// Whether the machine ends when the guest asks for a reset.
    pub no_reboot: bool,
    /// Whether the process confines itself.
    pub sandbox: Sandbox,
    /// Where the console goes.
    pub console: ConsoleConfig,
    /// Socket for control requests.
    pub api_socket: Option<PathBuf>,
    /// File for time-stamped events, one JSON object a line.
    pub events: Option<PathBuf>,
}

/// What a file or the command line says of a machine.
// The comments are what --help says.
#[derive(Clone, Debug, Default, PartialEq, Deserialize, clap::Args)]
#[serde(deny_unknown_fields, rename_all = "kebab-case", default)]
pub struct Description {
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
    #[arg(long, value_name = MEMORY_FORM)]
    pub memory: Option<MemoryConfig>,
    /// Number of CPUs, 1 to 8.
    #[arg(long, value_name = "N")]
    pub cpus: Option<u16>,
    /// AP matrix device (mdev) to pass through. events=once tells the guest of
    /// each change, but not of the last one once more; events=off keeps
    /// changes from it, and it finds them by itself. backend names how VFIO is
    /// used: by group, by the device's own node (cdev) and iommufd, or what
    /// can be opened.
    #[arg(long, value_name = AP_FORM)]
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

/// Whether the guest has AP instructions. They are fixed at start: a guest
/// without them never looks for adapters later.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize, clap::ValueEnum)]
#[serde(rename_all = "kebab-case")]
pub enum ApInstructions {
    /// If the host can give them.
    #[default]
    Auto,
    /// Yes; fail if the host cannot.
    On,
    /// No.
    Off,
}

/// Whether the process gives up what a running machine does not need.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize, clap::ValueEnum)]
#[serde(rename_all = "kebab-case")]
pub enum Sandbox {
    /// Yes; fail if the kernel cannot.
    #[default]
    On,
    /// No, for debugging.
    Off,
}

/// Where the console goes.
#[derive(Clone, Debug, Default, PartialEq, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum ConsoleConfig {
    /// Standard output, input from standard input.
    #[default]
    Stdio,
    /// A file, output only.
    File(PathBuf),
    /// Nowhere.
    Null,
}

/// Why a machine description is not accepted.
#[derive(Debug, thiserror::Error)]
pub enum ConfigError {
    /// The file cannot be read.
    #[error("cannot read {path}")]
    Read {
        /// The file.
        path: PathBuf,
        /// Why not.
        source: std::io::Error,
    },
    /// The file is not a machine description.
    #[error("{path} is not a machine description")]
    Parse {
        /// The file.
        path: PathBuf,
        /// Where and why.
        source: serde_json::Error,
    },
    /// No kernel was named.
    #[error("no kernel: name one with --kernel or in the --machine file")]
    NoKernel,
    /// The size of storage is not possible.
    #[error("memory size {0} is not a whole number of MiB from {MEMORY_MIN} to {MEMORY_MAX}")]
    Memory(ByteSize),
    /// Storage cannot be made of both kinds of huge pages.
    #[error("guest memory has hugepages or thp, not both")]
    Pages,
    /// The number of CPUs is not possible.
    #[error("{0} CPUs: a machine has 1 to {CPUS_MAX}")]
    Cpus(u16),
    /// A device without AP instructions is no use.
    #[error("an AP device needs AP instructions, which are off")]
    ApOff,
    /// A size could not be read.
    #[error("bad size {0:?}: expected a number with an optional K, M or G")]
    Size(String),
    /// A `key=value` option could not be read.
    #[error("bad option {option:?}: expected {expected}")]
    Option {
        /// What was given.
        option: String,
        /// What it should look like.
        expected: &'static str,
    },
}

impl Description {
    /// Reads a description from a JSON file.
    pub fn from_file(path: &std::path::Path) -> Result<Self, ConfigError> {
        let text = std::fs::read_to_string(path).map_err(|source| ConfigError::Read {
            path: path.into(),
            source,
        })?;
        serde_json::from_str(&text).map_err(|source| ConfigError::Parse {
            path: path.into(),
            source,
        })
    }

    /// With what it leaves open as `other` says.
    pub fn or(self, other: Self) -> Self {
        Self {
            kernel: self.kernel.or(other.kernel),
            initrd: self.initrd.or(other.initrd),
            cmdline: self.cmdline.or(other.cmdline),
            memory: self.memory.or(other.memory),
            cpus: self.cpus.or(other.cpus),
            ap: self.ap.or(other.ap),
            ap_instructions: self.ap_instructions.or(other.ap_instructions),
            no_reboot: self.no_reboot || other.no_reboot,
            sandbox: self.sandbox.or(other.sandbox),
            console: self.console.or(other.console),
            api_socket: self.api_socket.or(other.api_socket),
            events: self.events.or(other.events),
        }
    }

    /// The machine that it describes.
    pub fn machine(self) -> Result<VmConfig, ConfigError> {
        let machine = VmConfig {
            kernel: self.kernel.ok_or(ConfigError::NoKernel)?,
            initrd: self.initrd,
            cmdline: self.cmdline.unwrap_or_default(),
            memory: self.memory.unwrap_or_default(),
            cpus: self.cpus.unwrap_or(1),
            ap: self.ap,
            ap_instructions: self.ap_instructions.unwrap_or_default(),
            no_reboot: self.no_reboot,
            sandbox: self.sandbox.unwrap_or_default(),
            console: self.console.unwrap_or_default(),
            api_socket: self.api_socket,
            events: self.events,
        };
        machine.validate()?;
        Ok(machine)
    }
}

impl VmConfig {
    /// Checks what the types cannot say.
    fn validate(&self) -> Result<(), ConfigError> {
        let size = self.memory.size;
        if !(MEMORY_MIN..=MEMORY_MAX).contains(&size) || !size.0.is_multiple_of(1 << 20) {
            return Err(ConfigError::Memory(size));
        }
        if !(1..=CPUS_MAX).contains(&self.cpus) {
            return Err(ConfigError::Cpus(self.cpus));
        }
        if self.ap.is_some() && self.ap_instructions == ApInstructions::Off {
            return Err(ConfigError::ApOff);
        }
        Ok(())
    }
}

fn switch(value: &str, error: impl Fn() -> ConfigError) -> Result<bool, ConfigError> {
    match value {
        "on" => Ok(true),
        "off" => Ok(false),
        _ => Err(error()),
    }
}

/// `stdio`, `null` or `file=PATH`.
impl FromStr for ConsoleConfig {
    type Err = ConfigError;

    fn from_str(text: &str) -> Result<Self, ConfigError> {
        match (text, text.strip_prefix("file=")) {
            ("stdio", _) => Ok(Self::Stdio),
            ("null", _) => Ok(Self::Null),
            (_, Some(path)) if !path.is_empty() => Ok(Self::File(path.into())),
            _ => Err(ConfigError::Option {
                option: text.into(),
                expected: "stdio, null or file=PATH",
            }),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parse(json: &str) -> Result<Description, serde_json::Error> {
        serde_json::from_str(json)
    }

    #[test]
    fn defaults() {
        let config = parse(r#"{"kernel": "k"}"#).unwrap().machine().unwrap();
        assert_eq!(config.memory.size, ByteSize(256 << 20));
        assert_eq!(config.cpus, 1);
        assert_eq!(config.console, ConsoleConfig::Stdio);
        assert_eq!(config.sandbox, Sandbox::On);
    }

    #[test]
    fn unknown_keys_are_errors() {
        for json in [
            r#"{"kernel": "k", "kernal": "x"}"#,
            r#"{"kernel": "k", "memory": {"size": "1G", "shared": true}}"#,
            r#"{"kernel": "k", "memory": {"thp": true}}"#,
            r#"{"kernel": "k", "ap": {"sysfsdev": "x", "uuid": "y"}}"#,
            r#"{"kernel": "k", "console": "tty"}"#,
        ] {
            assert!(parse(json).is_err(), "{json}");
        }
    }

    #[test]
    fn an_unknown_key_is_named_with_its_place() {
        let path = std::env::temp_dir().join(format!("apvmm-config-{}", std::process::id()));
        std::fs::write(&path, "{\"kernel\": \"k\",\n \"cpu\": 2}").unwrap();
        let error = Description::from_file(&path).unwrap_err();
        std::fs::remove_file(&path).unwrap();
        let text = crate::chain(&error);
        assert!(text.contains("unknown field `cpu`"), "{text}");
        assert!(text.contains("line 2"), "{text}");
        assert!(text.contains(path.to_str().unwrap()), "{text}");
    }

    #[test]
    fn sizes() {
        for (text, bytes) in [("0", 0), ("4096", 4096), ("64K", 1 << 16), ("3G", 3 << 30)] {
            assert_eq!(text.parse::<ByteSize>().unwrap(), ByteSize(bytes));
        }
        for text in ["", "M", "-1", "+1", "1T", "1 M", "1.5G", "99999999999G"] {
            assert!(text.parse::<ByteSize>().is_err(), "{text}");
        }
        assert_eq!(ByteSize(1536 << 20).to_string(), "1536M");
        assert_eq!(ByteSize(0).to_string(), "0");
    }

    #[test]
    fn impossible_machines() {
        let machine = |size: &str, cpus, ap: Option<&str>| {
            let description = Description {
                kernel: Some("k".into()),
                memory: Some(size.parse().unwrap()),
                cpus: Some(cpus),
                ap: ap.map(|ap| ap.parse().unwrap()),
                ap_instructions: Some(ApInstructions::Off),
                ..Description::default()
            };
            description.machine()
        };
        machine("64M", 8, None).unwrap();
        for size in ["63M", "2048G", "65537K"] {
            assert!(matches!(
                machine(size, 1, None),
                Err(ConfigError::Memory(_))
            ));
        }
        for cpus in [0, 9] {
            assert!(matches!(
                machine("64M", cpus, None),
                Err(ConfigError::Cpus(_))
            ));
        }
        let ap = Some("sysfsdev=x");
        assert!(matches!(machine("64M", 1, ap), Err(ConfigError::ApOff)));
        let empty = Description::default().machine();
        assert!(matches!(empty, Err(ConfigError::NoKernel)));
    }

    #[test]
    fn consoles() {
        for text in ["", "file=", "pty"] {
            assert!(text.parse::<ConsoleConfig>().is_err(), "{text}");
        }
    }

    #[test]
    fn memory() {
        let option = |text: &str| text.parse::<MemoryConfig>().map_err(|e| e.to_string());
        let size = ByteSize(512 << 20);
        for (texts, json, pages) in [
            (
                ["512M", "size=512M,hugepages=off,thp=off"],
                r#"{"size":"512M"}"#,
                Pages::Small,
            ),
            (
                ["512M,thp=on", "hugepages=off,thp=on,size=512M"],
                r#"{"size":"512M","thp":true}"#,
                Pages::Transparent,
            ),
            (
                ["512M,hugepages=on", "size=512M,hugepages=on"],
                r#"{"size":"512M","hugepages":true}"#,
                Pages::Huge,
            ),
        ] {
            let memory = MemoryConfig { size, pages };
            for text in texts {
                assert_eq!(option(text).as_ref(), Ok(&memory), "{text}");
            }
            assert_eq!(serde_json::to_string(&memory).unwrap(), json);
            let read: MemoryConfig = serde_json::from_str(json).unwrap();
            assert_eq!(read, memory);
        }
        for text in [
            "",
            "thp=on",
            "512M,",
            "512M,256M",
            "512M,thp=1",
            "512M,thp",
            "512M,thp=on,thp=on",
            "512M,hugepage_size=1M",
        ] {
            assert!(option(text).is_err(), "{text}");
        }
        let both = "guest memory has hugepages or thp, not both";
        assert_eq!(option("512M,thp=on,hugepages=on"), Err(both.into()));
        let json = r#"{"size": "512M", "thp": true, "hugepages": true}"#;
        let error = serde_json::from_str::<MemoryConfig>(json).unwrap_err();
        assert!(error.to_string().contains(both), "{error}");
    }
}
