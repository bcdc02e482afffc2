// SPDX-License-Identifier: MIT OR Apache-2.0
//! Commands: start, feed, signal, collect.
//!
//! Each command is the leader of its own process group, so that a signal or a
//! timeout reaches everything it started. Busybox's `chroot` and `setsid -c`
//! do what would otherwise need code between fork and exec.

use crate::agent::Port;
use l1_protocol::{CHUNK, Command, Event, Exit, Id, Stream, TerminalSize};
use nix::pty::{Winsize, openpty};
use nix::sys::signal::{Signal, killpg};
use nix::unistd::Pid;
use std::collections::HashMap;
use std::fs::File;
use std::io::{self, Read, Write};
use std::os::unix::process::{CommandExt, ExitStatusExt};
use std::process::{self, Child, Stdio};
use std::sync::mpsc::{Receiver, Sender, channel};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread;
use std::time::{Duration, Instant};

/// Where programs are looked for unless the command says otherwise.
pub const PATH: &str = "/usr/sbin:/usr/bin:/sbin:/bin";
/// How long output is still collected after a command has ended while some
/// process it left behind holds its end of the pipe open.
const LINGER: Duration = Duration::from_millis(500);

/// What a command can still be sent.
struct Running {
    group: Pid,
    stdin: Sender<Vec<u8>>,
    terminal: Option<File>,
}

/// All commands that run.
#[derive(Clone)]
pub struct Commands {
    port: Port,
    running: Arc<Mutex<HashMap<Id, Running>>>,
}

impl Commands {
    /// None yet; events go to `port`.
    pub fn new(port: Port) -> Self {
        Self {
            port,
            running: Arc::default(),
        }
    }

    /// Start a command; its end is told by [`Event::Exited`].
    pub fn start(&self, id: Id, command: Command) {
        match spawn(&command) {
            Ok((child, ends)) => {
                let (stdin, bytes) = channel();
                let terminal = ends.terminal;
                let group = Pid::from_raw(child.id().cast_signed());
                self.table().insert(
                    id,
                    Running {
                        group,
                        stdin,
                        terminal,
                    },
                );
                if let Some(to) = ends.stdin {
                    thread::spawn(move || feed(to, &bytes));
                }
                let this = self.clone();
                thread::spawn(move || this.collect(id, child, ends.outputs, command.timeout_ms));
            }
            Err(e) => self.tell(&Event::Exited {
                id,
                exit: Exit::NotStarted(e.to_string()),
            }),
        }
    }

    /// Pass bytes to a command's standard input; none close it.
    pub fn stdin(&self, id: Id, data: Vec<u8>) {
        if let Some(running) = self.table().get(&id) {
            // A command that no longer reads has closed its end: nothing lost.
            let _ = running.stdin.send(data);
        }
    }

    /// Send a signal to everything a command started.
    pub fn signal(&self, id: Id, signal: i32) {
        if let Some(running) = self.table().get(&id)
            && let Ok(signal) = Signal::try_from(signal)
        {
            // It may have ended by itself in this moment.
            let _ = killpg(running.group, signal);
        }
    }

    /// Kill everything that runs.
    pub fn kill_all(&self) {
        for running in self.table().values() {
            // It may have ended by itself in this moment.
            let _ = killpg(running.group, Signal::SIGKILL);
        }
    }

    /// Wait until nothing runs any more, or the time is over: a write to a file of
    /// the kernel ends before the process that was killed in it.
    pub fn wait_for_all(&self, limit: Duration) {
        let end = Instant::now() + limit;
        while !self.table().is_empty() && Instant::now() < end {
            std::thread::sleep(Duration::from_millis(5));
        }
    }

    /// Set the size of a command's terminal.
    pub fn resize(&self, id: Id, size: TerminalSize) {
        if let Some(Running {
            terminal: Some(terminal),
            ..
        }) = self.table().get(&id)
        {
            let arg = format!("rows {} cols {}", size.rows, size.columns);
            // Cosmetic: a terminal of the wrong size still works.
            let _ = terminal.try_clone().map(|t| {
                process::Command::new("stty")
                    .args(arg.split(' '))
                    .stdin(Stdio::from(t))
                    .status()
            });
        }
    }

    fn table(&self) -> std::sync::MutexGuard<'_, HashMap<Id, Running>> {
        self.running.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn tell(&self, event: &Event) {
        // A stream that fails ends the agent, which tells it.
        let _ = self.port.send(event);
    }

    /// Send the output, wait for the end, tell it.
    fn collect(
        &self,
        id: Id,
        mut child: Child,
        outputs: Vec<(Stream, File)>,
        timeout_ms: Option<u64>,
    ) {
        let group = Pid::from_raw(child.id().cast_signed());
        let (done, ends) = channel();
        let mut open = outputs.len();
        for (stream, from) in outputs {
            let (port, done) = (self.port.clone(), done.clone());
            thread::spawn(move || {
                forward(&port, id, stream, from);
                let _ = done.send(());
            });
        }
        let (ended, status) = channel();
        thread::spawn(move || {
            let _ = ended.send(child.wait());
        });
        let limit = timeout_ms.map_or(Duration::MAX, Duration::from_millis);
        let first = if limit == Duration::MAX {
            status.recv().ok()
        } else {
            status.recv_timeout(limit).ok()
        };
        let exit = match first {
            Some(Ok(status)) => match (status.code(), status.signal()) {
                (Some(code), _) => Exit::Status(code),
                (None, signal) => Exit::Signal(signal.unwrap_or_default()),
            },
            Some(Err(e)) => Exit::NotStarted(format!("waiting for it failed: {e}")),
            None => {
                let _ = killpg(group, Signal::SIGKILL);
                let _ = status.recv();
                Exit::TimedOut
            }
        };
        while open > 0 && ends.recv_timeout(LINGER).is_ok() {
            open -= 1;
        }
        self.table().remove(&id);
        self.tell(&Event::Exited { id, exit });
    }
}

/// Our ends of a started command.
struct Ends {
    stdin: Option<File>,
    outputs: Vec<(Stream, File)>,
    terminal: Option<File>,
}

fn spawn(command: &Command) -> io::Result<(Child, Ends)> {
    let mut argv: Vec<&str> = Vec::new();
    if command.terminal.is_some() {
        argv.extend(["/bin/busybox", "setsid", "-c"]);
    }
    if let Some(root) = &command.root {
        argv.extend(["/bin/busybox", "chroot", root]);
    }
    argv.extend(command.argv.iter().map(String::as_str));
    let [program, args @ ..] = argv.as_slice() else {
        return Err(io::Error::new(
            io::ErrorKind::InvalidInput,
            "no command given",
        ));
    };
    let mut builder = process::Command::new(program);
    builder
        .args(args)
        .env("PATH", PATH)
        .env("HOME", "/root")
        .current_dir("/");
    builder.envs(command.env.iter().map(|(k, v)| (k, v)));

    if let Some(size) = command.terminal {
        let size = Winsize {
            ws_row: size.rows,
            ws_col: size.columns,
            ws_xpixel: 0,
            ws_ypixel: 0,
        };
        let pty = openpty(Some(&size), None)?;
        let (master, slave) = (File::from(pty.master), File::from(pty.slave));
        builder
            .stdin(slave.try_clone()?)
            .stdout(slave.try_clone()?)
            .stderr(slave);
        let child = builder.spawn()?;
        let ends = Ends {
            stdin: Some(master.try_clone()?),
            outputs: vec![(Stream::Stdout, master.try_clone()?)],
            terminal: Some(master),
        };
        return Ok((child, ends));
    }
    builder.process_group(0);
    let mut child = builder
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()?;
    let fds = (child.stdin.take(), child.stdout.take(), child.stderr.take());
    let (Some(stdin), Some(stdout), Some(stderr)) = fds else {
        return Err(io::Error::other("a pipe is missing"));
    };
    let file = |fd: std::os::fd::OwnedFd| File::from(fd);
    let outputs = vec![
        (Stream::Stdout, file(stdout.into())),
        (Stream::Stderr, file(stderr.into())),
    ];
    Ok((
        child,
        Ends {
            stdin: Some(file(stdin.into())),
            outputs,
            terminal: None,
        },
    ))
}

/// Until the harness closes the input or the command stops reading.
fn feed(mut to: File, bytes: &Receiver<Vec<u8>>) {
    while let Ok(data) = bytes.recv() {
        if data.is_empty() || to.write_all(&data).is_err() {
            return;
        }
    }
}

/// Until the end of the output; a terminal ends with EIO.
fn forward(port: &Port, id: Id, stream: Stream, mut from: File) {
    let mut chunk = vec![0; CHUNK];
    while let Ok(n @ 1..) = from.read(&mut chunk) {
        if port
            .send(&Event::Output {
                id,
                stream,
                data: chunk[..n].to_vec(),
            })
            .is_err()
        {
            return;
        }
    }
}
