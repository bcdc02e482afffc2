// SPDX-License-Identifier: MIT OR Apache-2.0
//! The host's side of AP pass-through in L1: sysfs of the AP bus and vfio_ap.

use crate::error::Error;
use crate::machine::Machine;
use l1_protocol::Exit;
use std::time::{Duration, Instant};

/// The matrix device of vfio_ap.
pub(crate) const MATRIX: &str = "/sys/devices/vfio_ap/matrix";
/// A sysfs access answers within this time, or something is badly wrong.
const SYSFS: Duration = Duration::from_secs(900);

/// One kind of AP resource, by the name its attributes carry.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Resource {
    /// An adapter.
    Adapter,
    /// A usage domain.
    Domain,
    /// A control domain.
    ControlDomain,
}

impl Resource {
    /// As in `assign_adapter`.
    pub fn name(self) -> &'static str {
        match self {
            Resource::Adapter => "adapter",
            Resource::Domain => "domain",
            Resource::ControlDomain => "control_domain",
        }
    }
}

/// A mediated matrix device in L1.
pub struct Mdev<'a> {
    machine: &'a Machine,
    path: String,
}

impl<'a> Mdev<'a> {
    /// Create one under the given UUID.
    ///
    /// # Errors
    /// What the kernel refuses.
    pub fn create(machine: &'a Machine, uuid: &str) -> Result<Self, Error> {
        store(
            machine,
            &format!("{MATRIX}/mdev_supported_types/vfio_ap-passthrough/create"),
            uuid,
        )?;
        Ok(Self {
            machine,
            path: format!("{MATRIX}/{uuid}"),
        })
    }

    /// Its folder in sysfs.
    pub fn path(&self) -> &str {
        &self.path
    }

    /// Assign or unassign one resource.
    ///
    /// # Errors
    /// What the kernel refuses.
    pub fn change(&self, assign: bool, what: Resource, number: u8) -> Result<(), Error> {
        let verb = if assign { "assign" } else { "unassign" };
        store(
            self.machine,
            &format!("{}/{verb}_{}", self.path, what.name()),
            &format!("{number:#x}"),
        )
    }

    /// Lines of an attribute, such as `guest_matrix`.
    ///
    /// # Errors
    /// When it cannot be read.
    pub fn lines(&self, attribute: &str) -> Result<Vec<String>, Error> {
        let bytes = self
            .machine
            .read_file(&format!("{}/{attribute}", self.path))?;
        Ok(String::from_utf8_lossy(&bytes)
            .lines()
            .map(str::to_owned)
            .collect())
    }

    /// Remove it.
    ///
    /// # Errors
    /// What the kernel refuses.
    pub fn remove(self) -> Result<(), Error> {
        store(self.machine, &format!("{}/remove", self.path), "1")
    }
}

/// Write to a sysfs file; a refusal is told with its errno.
///
/// # Errors
/// The refusal, or the machine's failure.
pub fn store(machine: &Machine, path: &str, text: &str) -> Result<(), Error> {
    let output = machine.shell(&format!("echo '{text}' >{path}"), SYSFS)?;
    if output.exit == Exit::Status(0) {
        return Ok(());
    }
    Err(Error::Transfer(format!(
        "writing {text} to {path}: {}",
        output.stderr.trim()
    )))
}

/// Give every queue to vfio_ap, once the AP bus has found them all.
///
/// # Errors
/// When the bus does not settle in time or a queue keeps another driver.
pub fn reserve_all(machine: &Machine) -> Result<usize, Error> {
    wait_for_bus(machine, SYSFS)?;
    store(machine, "/sys/bus/ap/apmask", "0x0")?;
    let count = "cd /sys/bus/ap/devices; q=$(ls -d ??.???? | wc -l); cd /sys/bus/ap/drivers/vfio_ap; v=$(ls -d ??.???? | wc -l); echo $q $v";
    let output = machine.shell(count, SYSFS)?;
    let numbers: Vec<usize> = output
        .stdout
        .split_whitespace()
        .filter_map(|n| n.parse().ok())
        .collect();
    match numbers[..] {
        [all, ours] if all == ours && all > 0 => Ok(all),
        _ => Err(Error::Transfer(format!(
            "not every queue went to vfio_ap (all, ours): {}{}",
            output.stdout, output.stderr
        ))),
    }
}

/// Wait until every AP device of the first scan has its driver. The bus says
/// so in `bindings`; its uevent may be over before anyone can listen.
///
/// # Errors
/// When that takes longer than the limit, or the machine fails.
pub fn wait_for_bus(machine: &Machine, limit: Duration) -> Result<(), Error> {
    let end = Instant::now() + limit;
    loop {
        let bindings = machine.read_file("/sys/bus/ap/bindings")?;
        if String::from_utf8_lossy(&bindings).contains("complete") {
            return Ok(());
        }
        if Instant::now() > end {
            return Err(machine.deadline("the AP bus binding all its devices", limit));
        }
        std::thread::park_timeout(Duration::from_millis(50));
    }
}
