// SPDX-License-Identifier: MIT OR Apache-2.0
//! How guests are run: apvmm's command line and control socket, nothing else
//! of it is known here.

use super::grammar::GuestEntry;
use super::stage::{LIMIT, Stage};
use crate::config::Folders;
use crate::error::Error;
use l1_protocol::Exit;
use serde_json::{Value, json};

/// The RAM disk with the Linux probe.
pub(super) fn ram_disk(folders: &Folders) -> String {
    format!("{}/guest-initramfs", folders.share)
}

fn apvmm(folders: &Folders) -> String {
    format!("{}/apvmm", folders.share)
}

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
    fn parts(&self, folders: &Folders) -> (String, Option<String>, &str) {
        // A kernel's own lines would run into those of the probe.
        const QUIET: &str = "quiet loglevel=3 commands=on";
        let shared = |name: &str| format!("{}/{name}", folders.share);
        match self {
            // What a guest has is what the scenario did to it: no resets here.
            Self::Probe => (shared("probe"), None, "crypto=off commands=on"),
            Self::Linux => (shared("guest-kernel"), Some(ram_disk(folders)), QUIET),
            Self::File { path, ram_disk } => (path.clone(), Some(ram_disk.clone()), QUIET),
        }
    }
}

fn socket(folders: &Folders, guest: &str) -> String {
    format!("{}/guest-{guest}.socket", folders.scratch)
}

/// What a guest is told of changes, in a word of apvmm's. Bare metal loses no
/// event, so being told once more would only hide that one was missing.
pub(super) fn events(guest: &GuestEntry, kernel: &Kernel) -> &'static str {
    match (guest.events, kernel) {
        (false, _) => "off",
        (true, Kernel::Probe) => "once",
        (true, _) => "on",
    }
}

/// The command that runs a guest; `mdev` is the folder of its device.
pub(super) fn command(
    folders: &Folders,
    guest: &GuestEntry,
    kernel: &Kernel,
    mdev: Option<&str>,
) -> Vec<String> {
    let (file, disk, line) = kernel.parts(folders);
    // A guest that reboots unasked has crashed, so that ends it.
    let mut argv = [&apvmm(folders), "run", "--no-reboot"]
        .map(str::to_owned)
        .to_vec();
    let mut option = |name: &str, value: &str| {
        argv.extend([format!("--{name}"), value.to_owned()]);
    };
    option("kernel", &file);
    if let Some(disk) = &disk {
        option("initrd", disk);
    }
    option("cmdline", line);
    option("memory", guest.memory.as_str());
    option("cpus", &guest.cpus.get_ref().to_string());
    option("console", "stdio");
    option("api-socket", &socket(folders, &guest.id));
    if let Some(path) = mdev {
        let events = events(guest, kernel);
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
    let folders = &stage.machine.folders;
    let (socket, request) = (socket(folders, guest), request.to_string());
    let argv = [&apvmm(folders), "ctl", "--api-socket", &socket, &request];
    let output = stage.run(&argv, LIMIT)?;
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

/// The request to give a guest a device; `events` is a word of [`events`].
pub fn attach(path: &str, events: &str) -> Value {
    let events = match events {
        "on" => json!(true),
        "off" => json!(false),
        word => json!(word),
    };
    json!({"request": "ap.attach", "sysfsdev": path, "events": events})
}

/// The request to take it away.
pub fn detach() -> Value {
    json!({"request": "ap.detach"})
}
