// SPDX-License-Identifier: MIT OR Apache-2.0
//! An interactive command: our terminal becomes the one in L1.

use crate::error::Error;
use crate::machine::Machine;
use l1_protocol::{Command, Event, Exit, Request, Stream, TerminalSize};
use nix::sys::termios::{SetArg, Termios, cfmakeraw, tcgetattr, tcsetattr};
use std::io::{Read, Write, stdin, stdout};

/// The terminal in raw mode until this is dropped.
struct Raw(Termios);

impl Raw {
    fn enter() -> nix::Result<Self> {
        let before = tcgetattr(stdin())?;
        let mut raw = before.clone();
        cfmakeraw(&mut raw);
        tcsetattr(stdin(), SetArg::TCSADRAIN, &raw)?;
        Ok(Self(before))
    }
}

impl Drop for Raw {
    fn drop(&mut self) {
        // Nothing better can be done when even this fails.
        let _ = tcsetattr(stdin(), SetArg::TCSADRAIN, &self.0);
    }
}

fn size() -> TerminalSize {
    let (columns, rows) = terminal_size::terminal_size().map_or((80, 24), |(w, h)| (w.0, h.0));
    TerminalSize { rows, columns }
}

/// Run `argv` on a terminal in L1 that is connected to ours until it ends.
/// Without a terminal of our own, lines are passed on as they come.
///
/// # Errors
/// When the machine fails meanwhile.
pub fn interactive(
    machine: &Machine,
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
    let raw = Raw::enter().ok();

    let keys = machine.client();
    std::thread::spawn(move || {
        let mut bytes = [0; 1024];
        while let Ok(n @ 1..) = stdin().read(&mut bytes) {
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
                let mut out = stdout().lock();
                let _ = out.write_all(&data).and_then(|()| out.flush());
            }
            Event::Exited { exit, .. } => break exit,
            _ => {}
        }
    };
    drop(raw);
    Ok(exit)
}
