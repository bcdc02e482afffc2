// SPDX-License-Identifier: MIT OR Apache-2.0
//! The agent: takes requests from a stream, one thread for each command.

use crate::exec::Commands;
use crate::files::Uploads;
use crate::{files, kmsg};
use anyhow::{Context, Result};
use l1_protocol::{Event, FrameError, Request, receive, send};
use std::fs::{self, File};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

/// Until what was killed has ended: a queue that is unbound is reset first.
const LIMIT: Duration = Duration::from_secs(30);

/// The sending half of the stream; frames of several threads never mix.
#[derive(Clone)]
pub struct Port(Arc<Mutex<File>>);

impl Port {
    /// Send one event, waiting until the other side takes it.
    ///
    /// # Errors
    /// When the stream fails, which ends the agent.
    pub fn send(&self, event: &Event) -> Result<(), FrameError> {
        let mut file = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        send(&mut *file, event)
    }
}

/// Which records of the kernel's log are told.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Log {
    /// All since boot.
    Whole,
    /// Those that come from now on.
    New,
}

/// Serve a stream until it ends or fails. What still runs then is killed:
/// nobody could reach it any more.
///
/// # Errors
/// How the stream failed; its end is one of the ways.
pub fn serve(mut requests: File, log: Log) -> Result<()> {
    let port = Port(Arc::new(Mutex::new(requests.try_clone()?)));
    let kernel = fs::read_to_string("/proc/sys/kernel/osrelease").context("kernel release")?;
    port.send(&Event::Ready {
        kernel: kernel.trim().to_owned(),
    })?;
    let is_init = std::process::id() == 1;
    let to = port.clone();
    std::thread::spawn(move || {
        // A stream that fails ends the agent, which tells it.
        if let Err(e) = kmsg::stream(&to, log)
            && !e.is::<FrameError>()
        {
            eprintln!("agent: the kernel log is no longer streamed: {e:#}");
        }
    });
    let commands = Commands::new(port.clone());
    let end = take(&mut requests, &port, &commands);
    commands.kill_all();
    if !is_init {
        // Whoever we serve puts back what they did.
        commands.wait_for_all(LIMIT);
    }
    end
}

fn take(requests: &mut File, port: &Port, commands: &Commands) -> Result<()> {
    let mut uploads = Uploads::default();
    loop {
        match receive(requests)? {
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
