// SPDX-License-Identifier: MIT OR Apache-2.0
//! What an L1 machine is made of, and where the build puts it.

use crate::audit::Auditing;
use crate::error::Error;
use clap::ValueEnum;
use std::path::{Path, PathBuf};
use std::time::Duration;

/// The root of the source tree this harness was built in.
pub fn project_root() -> PathBuf {
    let here = Path::new(env!("CARGO_MANIFEST_DIR"));
    here.ancestors().nth(2).unwrap_or(here).to_owned()
}

/// Which L1 kernel.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, ValueEnum)]
pub enum Flavour {
    /// As a distribution would build it.
    #[default]
    Release,
    /// With lockdep, KASAN, kmemleak and UBSAN.
    Debug,
    /// Debian's own, as Debian built it.
    Debian,
    /// Without Rust, but with the C driver.
    Norust,
}

impl Flavour {
    fn name(self) -> &'static str {
        match self {
            Flavour::Release => "release",
            Flavour::Debug => "debug",
            Flavour::Debian => "debian",
            Flavour::Norust => "norust",
        }
    }
}

/// Which `vfio_ap` to load before anything runs.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub enum Driver {
    /// None.
    #[default]
    None,
    /// The stock C driver of the running kernel.
    C,
    /// The driver of this project.
    Rust,
    /// A module file of the user's own.
    File(PathBuf),
}

/// Folders of the Linux that hosts the guests.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Folders {
    /// What the build made for it: apvmm, the probes, `host-io`.
    pub(crate) share: String,
    /// For files of a run.
    pub(crate) scratch: String,
}

impl Default for Folders {
    /// Those of L1.
    fn default() -> Self {
        Self {
            share: "/mnt/host".to_owned(),
            scratch: "/tmp".to_owned(),
        }
    }
}

/// What to boot.
#[derive(Debug, Clone)]
pub struct Config {
    /// Names the folder under `target/logs` that the logs go to.
    pub name: String,
    /// Which kernel.
    pub flavour: Flavour,
    /// CPUs of L1.
    pub smp: u32,
    /// Memory of L1 in MiB.
    pub memory_mib: u32,
    /// Which vfio_ap to load.
    pub driver: Driver,
    /// The AP topology (TOML) of the machine; none means no AP at all.
    pub topology: Option<PathBuf>,
    /// What becomes of violations of AP isolation.
    pub auditing: Auditing,
    /// Write the whole audit log to `audit.log` among the logs, in the format of
    /// [`crate::audit::read_stream`].
    pub audit_stream: bool,
    /// Further words for the kernel's command line.
    pub append: String,
    /// A folder to offer as `/mnt/root`.
    pub root: Option<PathBuf>,
    /// Size in MiB of an empty disk, `/dev/vda`, that lasts as long as the machine.
    pub disk_mib: Option<u32>,
    /// Let a nanosecond of the machine's time be one instruction, on one CPU at
    /// a time, so that times are counts of instructions.
    pub icount: bool,
    /// Further options of QEMU.
    pub options: Vec<String>,
    /// Go on with the machine whose migration stream is in this file. It must
    /// have been made with the same options, and its agent be idle.
    pub incoming: Option<PathBuf>,
    /// Wait for a debugger before the first instruction.
    pub gdb: bool,
    /// The QEMU binary, when it is not ours.
    pub qemu: Option<PathBuf>,
    /// How long the machine may take to reach the agent.
    pub boot_limit: Duration,
}

impl Config {
    /// A machine of two CPUs and 1 GiB with the release kernel; `QEMU`, `GDB`,
    /// `MODULE` and `KERNEL` (`debug`) in the environment are honoured.
    pub fn new(name: impl Into<String>) -> Self {
        let set = |name| std::env::var_os(name).filter(|v| !v.is_empty());
        Self {
            name: name.into(),
            flavour: match set("KERNEL") {
                Some(kernel) if kernel == Flavour::Debug.name() => Flavour::Debug,
                _ => Flavour::Release,
            },
            smp: 2,
            memory_mib: 1024,
            driver: set("MODULE").map_or(Driver::None, |m| Driver::File(m.into())),
            topology: None,
            auditing: Auditing::Strict,
            audit_stream: false,
            append: String::new(),
            root: None,
            disk_mib: None,
            icount: false,
            options: Vec::new(),
            incoming: None,
            gdb: set("GDB").is_some(),
            qemu: set("QEMU").map(PathBuf::from),
            boot_limit: Duration::from_secs(300),
        }
    }

    /// The folder of this machine's logs.
    pub fn logs(&self) -> PathBuf {
        project_root().join("target/logs").join(&self.name)
    }

    /// Whether the machine has an auditor of AP instructions: ours has.
    pub(crate) fn audited(&self) -> bool {
        self.topology.is_some() && self.qemu.is_none()
    }

    pub(crate) fn qemu_binary(&self) -> Result<PathBuf, Error> {
        if let Some(own) = &self.qemu {
            return built(
                "the QEMU named by QEMU",
                own.clone(),
                "QEMU=/path/to/qemu-system-s390x",
            );
        }
        built(
            "QEMU",
            project_root().join("target/qemu/qemu-system-s390x"),
            "make qemu",
        )
    }

    pub(crate) fn kernel(&self) -> Result<PathBuf, Error> {
        let (path, make) = match self.flavour {
            Flavour::Release => ("release/arch/s390/boot/bzImage", "make kernel"),
            Flavour::Debug => ("debug/arch/s390/boot/bzImage", "make kernel-debug"),
            Flavour::Debian => ("debian/vmlinuz", "make l1-debian"),
            Flavour::Norust => ("norust/arch/s390/boot/bzImage", "make l1-norust"),
        };
        let path = project_root().join("target/kernels").join(path);
        built("the L1 kernel", path, make)
    }

    pub(crate) fn initramfs(&self) -> Result<PathBuf, Error> {
        let path = project_root().join(format!("target/kernels/initramfs-{}", self.flavour.name()));
        built("the L1 initramfs", path, "make l1")
    }

    /// The module file that `driver` stands for, on the build machine.
    pub(crate) fn module(&self) -> Result<Option<PathBuf>, Error> {
        match &self.driver {
            Driver::None | Driver::C => Ok(None),
            Driver::Rust => {
                let path = project_root()
                    .join(format!("target/hostdrv/{}/vfio_ap.ko", self.flavour.name()));
                built("the Rust vfio_ap module", path, "make module").map(Some)
            }
            Driver::File(path) => {
                built("the module named by MODULE", path.clone(), "MODULE=x.ko").map(Some)
            }
        }
    }
}

fn built(what: &'static str, path: PathBuf, make: &'static str) -> Result<PathBuf, Error> {
    if path.exists() {
        Ok(path)
    } else {
        Err(Error::NotBuilt { what, path, make })
    }
}
