// SPDX-License-Identifier: MIT OR Apache-2.0
//! The agent: takes requests from the port, one thread for each command.

use crate::exec::Commands;
use crate::files::Uploads;
use crate::{files, kmsg};
use anyhow::{Context, Result, bail};
use l1_protocol::{Event, FrameError, PORT, Request, receive, send};
use std::fs::{self, File, OpenOptions};
use std::path::PathBuf;
use std::sync::{Arc, Mutex, PoisonError};

/// The sending half of the port; frames of several threads never mix.
#[derive(Clone)]
pub struct Port(Arc<Mutex<File>>);

impl Port {
    /// Send one event, waiting until the host takes it.
    ///
    /// # Errors
    /// When the port fails, which ends the agent.
    pub fn send(&self, event: &Event) -> Result<(), FrameError> {
        let mut file = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        send(&mut *file, event)
    }
}

/// Serve the port until it fails.
///
/// # Errors
/// When there is no port or the stream on it breaks.
pub fn run() -> Result<()> {
    let path = port_device()?;
    let mut requests = OpenOptions::new()
        .read(true)
        .write(true)
        .open(&path)
        .with_context(|| path.display().to_string())?;
    let port = Port(Arc::new(Mutex::new(requests.try_clone()?)));
    let kernel = fs::read_to_string("/proc/sys/kernel/osrelease").context("kernel release")?;
    port.send(&Event::Ready {
        kernel: kernel.trim().to_owned(),
    })?;
    let log = port.clone();
    std::thread::spawn(move || {
        if let Err(e) = kmsg::stream(&log) {
            eprintln!("agent: the kernel log is no longer streamed: {e:#}");
        }
    });

    let commands = Commands::new(port.clone());
    let mut uploads = Uploads::default();
    loop {
        match receive(&mut requests)? {
            Request::Exec { id, command } => commands.start(id, command),
            Request::Stdin { id, data } => commands.stdin(id, data),
            Request::Signal { id, signal } => commands.signal(id, signal),
            Request::Resize { id, size } => commands.resize(id, size),
            Request::ReadFile { id, path } => {
                let port = port.clone();
                std::thread::spawn(move || files::read(&port, id, &path));
            }
            Request::WriteFile {
                id,
                path,
                mode,
                data,
                last,
            } => {
                if let Some(result) = uploads.write(id, &path, mode, &data, last) {
                    port.send(&Event::FileDone { id, result })?;
                }
            }
        }
    }
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
