// SPDX-License-Identifier: MIT OR Apache-2.0
//! The virtio-serial port that leads out of L1.

use anyhow::{Context, Result, bail};
use l1_agent::{Log, serve};
use l1_protocol::PORT;
use std::fs::{self, OpenOptions};
use std::path::PathBuf;

/// Serve the port until it fails.
///
/// # Errors
/// When there is no port or the stream on it breaks.
pub fn run() -> Result<()> {
    let path = port_device()?;
    let stream = OpenOptions::new()
        .read(true)
        .write(true)
        .open(&path)
        .with_context(|| path.display().to_string())?;
    serve(stream, Log::Whole)
}

/// The character device of the port with our name.
fn port_device() -> Result<PathBuf> {
    let class = "/sys/class/virtio-ports";
    for entry in fs::read_dir(class).context(class)?.flatten() {
        if fs::read_to_string(entry.path().join("name")).is_ok_and(|n| n.trim() == PORT) {
            return Ok(PathBuf::from("/dev").join(entry.file_name()));
        }
    }
    bail!("no virtio-serial port is called {PORT}")
}
