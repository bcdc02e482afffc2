// SPDX-License-Identifier: MIT OR Apache-2.0
//! An interactive command: our terminal becomes the one in L1.

use crate::error::Error;
use crate::machine::Machine;
use l1_protocol::{Command, Event, Exit, Request, Stream, TerminalSize};
use nix::sys::signal::{SigSet, SigmaskHow, Signal, sigprocmask};
use nix::sys::termios::{SetArg, Termios, cfmakeraw, tcgetattr, tcsetattr};
use nix::unistd::{Pid, getpgrp, tcgetpgrp, tcsetpgrp};
use std::fs::File;
use std::io::{Read, Write, stdin, stdout};
use std::os::fd::AsFd;

/// The two ends of a terminal, or of what stands in for one.
pub struct Ends {
    input: File,
    output: File,
}

impl Ends {
    /// Our standard input and output.
    ///
    /// # Errors
    /// When they are closed.
    pub fn standard() -> Result<Self, Error> {
        let own = |fd: std::os::fd::BorrowedFd<'_>| fd.try_clone_to_owned().map(File::from);
        let ends = || {
            Ok(Self {
                input: own(stdin().as_fd())?,
                output: own(stdout().as_fd())?,
            })
        };
        ends().map_err(Error::host("standard input and output"))
    }

    /// The terminal we were started from, whatever our standard streams are.
    ///
    /// # Errors
    /// When there is none.
    pub fn controlling() -> Result<Self, Error> {
        let open = || {
            let input = File::options().read(true).write(true).open("/dev/tty")?;
            let output = input.try_clone()?;
            Ok(Self { input, output })
        };
        open().map_err(Error::host("/dev/tty"))
    }
}

/// The terminal in raw mode and ours until this is dropped. A test runner's
/// children are no foreground processes: reading would stop them.
struct Raw {
    terminal: File,
    settings: Termios,
    foreground: Pid,
}

impl Raw {
    fn enter(terminal: &File) -> Option<Self> {
        let settings = tcgetattr(terminal).ok()?;
        let raw = Self {
            terminal: terminal.try_clone().ok()?,
            foreground: tcgetpgrp(terminal).ok()?,
            settings: settings.clone(),
        };
        let mut changed = settings;
        cfmakeraw(&mut changed);
        raw.set(getpgrp(), &changed).ok()?;
        Some(raw)
    }

    fn set(&self, foreground: Pid, settings: &Termios) -> nix::Result<()> {
        let mut block = SigSet::empty();
        block.add(Signal::SIGTTOU);
        let mut before = SigSet::empty();
        sigprocmask(SigmaskHow::SIG_BLOCK, Some(&block), Some(&mut before))?;
        let result = tcsetpgrp(&self.terminal, foreground)
            .and_then(|()| tcsetattr(&self.terminal, SetArg::TCSADRAIN, settings));
        sigprocmask(SigmaskHow::SIG_SETMASK, Some(&before), None)?;
        result
    }
}

impl Drop for Raw {
    fn drop(&mut self) {
        // Nothing better can be done when even this fails.
        let _ = self.set(self.foreground, &self.settings);
    }
}

fn size() -> TerminalSize {
    let (columns, rows) = terminal_size::terminal_size().map_or((80, 24), |(w, h)| (w.0, h.0));
    TerminalSize { rows, columns }
}

/// Run `argv` on a terminal in L1 that is connected to `ends` until it ends.
/// Where those are no terminal, lines are passed on as they come.
///
/// # Errors
/// When the machine fails meanwhile.
pub fn interactive(
    machine: &Machine,
    ends: Ends,
    argv: Vec<String>,
    root: Option<String>,
) -> Result<Exit, Error> {
    let env = vec![(
        "TERM".to_owned(),
        std::env::var("TERM").unwrap_or_else(|_| "vt100".to_owned()),
    )];
    let (id, events) = machine.start(Command {
        argv,
        env,
        root,
        terminal: Some(size()),
        timeout_ms: None,
    });
    let Ends {
        mut input,
        mut output,
    } = ends;
    let raw = Raw::enter(&input);

    let keys = machine.client();
    std::thread::spawn(move || {
        let mut bytes = [0; 1024];
        while let Ok(n @ 1..) = input.read(&mut bytes) {
            keys.send(&Request::Stdin {
                id,
                data: bytes[..n].to_vec(),
            });
        }
        // The end of our input is the end of theirs: Ctrl-D to a terminal.
        keys.send(&Request::Stdin { id, data: vec![4] });
    });
    if let Ok(mut changes) = signal_hook::iterator::Signals::new([signal_hook::consts::SIGWINCH]) {
        let window = machine.client();
        std::thread::spawn(move || {
            for _ in changes.forever() {
                window.send(&Request::Resize { id, size: size() });
            }
        });
    }
    let exit = loop {
        match machine.next_event(&events, "the shell")? {
            Event::Output {
                stream: Stream::Stdout,
                data,
                ..
            } => {
                // A closed pipe of ours does not stop the command.
                let _ = output.write_all(&data);
            }
            Event::Exited { exit, .. } => break exit,
            _ => {}
        }
    };
    drop(raw);
    Ok(exit)
}
