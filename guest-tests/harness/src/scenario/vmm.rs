// SPDX-License-Identifier: MIT OR Apache-2.0
//! How guests are run: apvmm's command line and control socket, nothing else
//! of it is known here.

use super::grammar::GuestEntry;
use super::stage::{LIMIT, Stage};
use crate::error::Error;
use l1_protocol::Exit;
use serde_json::{Value, json};

const APVMM: &str = "/mnt/host/apvmm";
/// The RAM disk with the Linux probe.
pub const RAM_DISK: &str = "/mnt/host/guest-initramfs";

/// What runs in a guest.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Kernel {
    /// The bare-metal probe.
    Probe,
    /// Our small Linux, with the Linux probe as its init.
    Linux,
    /// A kernel of a user's own, both files of L1.
    File {
        /// The image.
        path: String,
        /// The same RAM disk, perhaps with modules.
        ram_disk: String,
    },
}

impl Kernel {
    /// Whether it is Linux.
    pub fn is_linux(&self) -> bool {
        *self != Self::Probe
    }

    /// Kernel, RAM disk and command line.
    fn parts(&self) -> (&str, Option<&str>, &str) {
        // A kernel's own lines would run into those of the probe.
        const QUIET: &str = "quiet loglevel=3 commands=on";
        match self {
            // What a guest has is what the scenario did to it: no resets here.
            Self::Probe => ("/mnt/host/probe", None, "crypto=off commands=on"),
            Self::Linux => ("/mnt/host/guest-kernel", Some(RAM_DISK), QUIET),
            Self::File { path, ram_disk } => (path, Some(ram_disk), QUIET),
        }
    }
}

fn socket(guest: &str) -> String {
    format!("/tmp/guest-{guest}.socket")
}

/// The command that runs a guest; `mdev` is the folder of its device.
pub fn command(guest: &GuestEntry, kernel: &Kernel, mdev: Option<&str>) -> Vec<String> {
    let (file, disk, line) = kernel.parts();
    // A guest that reboots unasked has crashed, so that ends it.
    let mut argv = [APVMM, "run", "--no-reboot"].map(str::to_owned).to_vec();
    let mut option = |name: &str, value: &str| {
        argv.extend([format!("--{name}"), value.to_owned()]);
    };
    option("kernel", file);
    if let Some(disk) = disk {
        option("initrd", disk);
    }
    option("cmdline", line);
    option("memory", &guest.memory);
    option("cpus", &guest.cpus.get_ref().to_string());
    option("console", "stdio");
    option("api-socket", &socket(&guest.id));
    if let Some(path) = mdev {
        let events = if guest.events { "on" } else { "off" };
        option("ap", &format!("sysfsdev={path},events={events}"));
    }
    argv
}

/// Put a request to a guest's VMM; its words if it refuses.
///
/// # Errors
/// When the machine fails.
pub fn control(
    stage: &mut Stage<'_>,
    guest: &str,
    request: &Value,
) -> Result<Result<(), String>, Error> {
    let (socket, request) = (socket(guest), request.to_string());
    let output = stage.run(&[APVMM, "ctl", "--api-socket", &socket, &request], LIMIT)?;
    Ok(match output.exit {
        Exit::Status(0) => Ok(()),
        _ => Err(format!("{}{}", output.stdout.trim(), output.stderr.trim())),
    })
}

/// The request to shut down.
pub fn quiesce() -> Value {
    json!({"request": "quiesce"})
}

/// The request for a reset.
pub fn reset() -> Value {
    json!({"request": "reset"})
}

/// The request to give a guest a device.
pub fn attach(path: &str, events: bool) -> Value {
    json!({"request": "ap.attach", "sysfsdev": path, "events": events})
}

/// The request to take it away.
pub fn detach() -> Value {
    json!({"request": "ap.detach"})
}
