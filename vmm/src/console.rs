// SPDX-License-Identifier: MIT OR Apache-2.0
//! Where console output goes, and how fast.
//!
//! ```text
//!   CPUs ──> buffer ──> a thread that writes ──> terminal, pipe, file
//! ```
//!
//! Nobody but that thread depends on a reader. A CPU whose output fills half of
//! the buffer waits for it to drain, as for a slow terminal. A reader that takes
//! nothing for [`PATIENCE`] has stalled: CPUs go on, and what does not fit into
//! the buffer is dropped, until it takes something. The other half is room for
//! what all CPUs may have in hand.

use std::fs::{File, OpenOptions};
use std::io::{self, ErrorKind, Write};
use std::os::fd::AsFd;
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use nix::poll::{PollFd, PollFlags, PollTimeout, poll};

use crate::config::ConsoleConfig;

/// Output that is kept for a slow reader.
const BUFFER_MAX: usize = 64 << 10;
/// From here on CPUs wait.
const SLOW_DOWN: usize = BUFFER_MAX / 2;
/// How long a reader may take nothing.
const PATIENCE: Duration = Duration::from_secs(if cfg!(test) { 1 } else { 5 });
/// How long anyone waits for one that is slow: less than a machine waits for a
/// CPU to come to rest.
const TURN: Duration = Duration::from_secs(8);
/// Most that is written at once, so that even a slow reader is seen to read.
const CHUNK: usize = 1024;

/// A console. Clones are the same one.
#[derive(Clone, Debug, Default)]
pub struct Console(Option<Arc<Buffer>>);

/// Writes what a console is given, once it runs.
#[derive(Debug)]
pub struct Writer {
    buffer: Arc<Buffer>,
    to: File,
}

#[derive(Debug, Default)]
struct Buffer {
    state: Mutex<State>,
    changed: Condvar,
}

#[derive(Debug, Default)]
struct State {
    /// Not yet taken by the writer.
    waiting: Vec<u8>,
    /// Bytes that the writer has taken and not written yet.
    in_hand: usize,
    /// The reader has taken nothing for too long.
    stalled: bool,
    /// The reader is gone, or the disk full: nothing is written any more.
    failed: bool,
    written: u64,
    dropped: u64,
}

impl State {
    fn len(&self) -> usize {
        self.waiting.len() + self.in_hand
    }

    /// Whether there is no use in waiting for the writer.
    fn hopeless(&self) -> bool {
        self.stalled || self.failed
    }
}

impl Console {
    /// A console that keeps nothing.
    pub const fn null() -> Self {
        Self(None)
    }

    /// A console into a file, and what writes there.
    pub fn new(to: File) -> (Self, Writer) {
        let buffer = Arc::<Buffer>::default();
        let console = Self(Some(Arc::clone(&buffer)));
        (console, Writer { buffer, to })
    }

    /// The console that a user asked for.
    pub fn open(config: &ConsoleConfig) -> io::Result<(Self, Option<Writer>)> {
        let file = match config {
            ConsoleConfig::Null => return Ok((Self::null(), None)),
            ConsoleConfig::Stdio => io::stdout().as_fd().try_clone_to_owned()?.into(),
            ConsoleConfig::File(path) => OpenOptions::new()
                .create(true)
                .write(true)
                .truncate(true)
                .open(path)?,
        };
        let (console, writer) = Self::new(file);
        Ok((console, Some(writer)))
    }

    /// Takes output of the guest, at most a page. For CPUs: waits for a reader
    /// that is slow.
    pub fn write(&self, bytes: &[u8]) {
        let Some(buffer) = &self.0 else { return };
        if bytes.is_empty() {
            return;
        }
        let mut state = buffer.lock();
        if state.failed || state.len() + bytes.len() > BUFFER_MAX {
            state.dropped += bytes.len() as u64;
            return;
        }
        state.waiting.extend_from_slice(bytes);
        buffer.changed.notify_all();
        buffer.drain(state, SLOW_DOWN);
    }

    /// Waits until all is written, unless the reader stalls or is too slow.
    pub fn finish(&self) {
        if let Some(buffer) = &self.0 {
            buffer.drain(buffer.lock(), 0);
        }
    }

    /// Bytes that were dropped since nobody took them.
    pub fn dropped(&self) -> u64 {
        self.0.as_ref().map_or(0, |buffer| buffer.lock().dropped)
    }
}

impl Buffer {
    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Waits until at most `len` bytes are left, but no longer than [`TURN`],
    /// nor for a reader that stalls.
    fn drain(&self, mut state: MutexGuard<'_, State>, len: usize) {
        let begin = Instant::now();
        let (mut written, mut since) = (state.written, begin);
        while state.len() > len && !state.hopeless() {
            let now = Instant::now();
            if state.written != written {
                (written, since) = (state.written, now);
            }
            let end = (since + PATIENCE).min(begin + TURN);
            if now >= end {
                state.stalled = now >= since + PATIENCE;
                return;
            }
            (state, _) = self
                .changed
                .wait_timeout(state, end - now)
                .unwrap_or_else(PoisonError::into_inner);
        }
    }

    /// Waits for output, and takes it.
    fn take(&self) -> Vec<u8> {
        let mut state = self.lock();
        while state.waiting.is_empty() {
            state = self
                .changed
                .wait(state)
                .unwrap_or_else(PoisonError::into_inner);
        }
        state.in_hand = state.waiting.len();
        std::mem::take(&mut state.waiting)
    }

    fn written(&self, count: usize) {
        let mut state = self.lock();
        state.in_hand -= count;
        state.written += count as u64;
        state.stalled = false;
        self.changed.notify_all();
    }

    fn fail(&self) {
        let mut state = self.lock();
        state.failed = true;
        state.dropped += state.len() as u64;
        state.waiting.clear();
        state.in_hand = 0;
        self.changed.notify_all();
    }
}

impl Writer {
    /// Writes through at once, for as long as the process lives. After the
    /// first failure (a closed pipe, a full disk) the console stays quiet.
    pub fn run(mut self) {
        if let Err(error) = self.write_all() {
            tracing::warn!(%error, "cannot write the console");
            self.buffer.fail();
        }
    }

    fn write_all(&mut self) -> io::Result<()> {
        loop {
            let bytes = self.buffer.take();
            for chunk in bytes.chunks(CHUNK) {
                let mut rest = chunk;
                while !rest.is_empty() {
                    let count = self.write(rest)?;
                    self.buffer.written(count);
                    rest = &rest[count..];
                }
            }
        }
    }

    /// Writes some of it. Another process may have made a terminal or pipe
    /// that it shares with this one non-blocking.
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        loop {
            match self.to.write(bytes) {
                Ok(0) => return Err(ErrorKind::WriteZero.into()),
                Err(error) if error.kind() == ErrorKind::Interrupted => {}
                Err(error) if error.kind() == ErrorKind::WouldBlock => {
                    let mut files = [PollFd::new(self.to.as_fd(), PollFlags::POLLOUT)];
                    poll(&mut files, PollTimeout::NONE)?;
                }
                result => return result,
            }
        }
    }
}

#[cfg(test)]
mod tests;
