// SPDX-License-Identifier: MIT OR Apache-2.0
//! Waiting for what a machine does, and how it is told that it did not.

use super::Machine;
use crate::client::Life;
use crate::error::{Error, Tail};
use crate::klog;
use l1_protocol::Event;
use std::fs::File;
use std::io::{BufRead, BufReader};
use std::sync::atomic::Ordering;
use std::sync::mpsc::{Receiver, RecvTimeoutError};
use std::time::{Duration, Instant};

impl Machine {
    pub(super) fn wait_ready(&mut self, limit: Duration) -> Result<String, Error> {
        let event = if limit == Duration::MAX {
            self.life.recv().map_err(|_| RecvTimeoutError::Disconnected)
        } else {
            self.life.recv_timeout(limit)
        };
        match event {
            Ok(Life::Ready(kernel)) => Ok(kernel),
            Ok(Life::Violated(violation)) => Err(self.violated(Some(violation))),
            Ok(Life::Panicked) => Err(self.crashed()),
            Ok(Life::Disconnected) | Err(RecvTimeoutError::Disconnected) => Err(self.gone()),
            Err(RecvTimeoutError::Timeout) => Err(self.deadline("the boot to the agent", limit)),
        }
    }

    /// The next event of a transfer or command.
    pub(super) fn next(
        &self,
        events: &Receiver<Event>,
        limit: Option<Duration>,
        what: &str,
    ) -> Result<Event, Error> {
        let forever = Duration::from_secs(u64::from(u32::MAX));
        let event = self.next_within(events, limit.unwrap_or(forever))?;
        event.ok_or_else(|| self.deadline(what, limit.unwrap_or_default()))
    }

    /// The next event, or none in this time; looks out for the machine's end
    /// meanwhile.
    ///
    /// # Errors
    /// When the machine fails.
    pub fn next_within(
        &self,
        events: &Receiver<Event>,
        limit: Duration,
    ) -> Result<Option<Event>, Error> {
        /// How often a silent command is checked for a crashed machine.
        const LOOK: Duration = Duration::from_millis(200);
        let end = Instant::now() + limit;
        loop {
            if let Some(stop) = &self.stop
                && let signal @ 1.. = stop.load(Ordering::Relaxed)
            {
                return Err(Error::Interrupted(signal));
            }
            let left = end.saturating_duration_since(Instant::now());
            match events.recv_timeout(LOOK.min(left)) {
                Ok(event) => return Ok(Some(event)),
                Err(RecvTimeoutError::Disconnected) => return Err(self.gone()),
                Err(RecvTimeoutError::Timeout) => {}
            }
            match self.life.try_recv() {
                Ok(Life::Panicked) => return Err(self.crashed()),
                Ok(Life::Disconnected) => return Err(self.gone()),
                Ok(Life::Violated(violation)) => return Err(self.violated(Some(violation))),
                Ok(Life::Ready(_)) | Err(_) => {}
            }
            if left.is_zero() {
                return Ok(None);
            }
        }
    }

    pub(super) fn crashed(&self) -> Error {
        let file = File::open(self.logs.join("console.log"));
        let console = file.map(|f| {
            BufReader::new(f)
                .lines()
                .map_while(Result::ok)
                .filter_map(|l| klog::classify(&l))
                .max_by_key(|r| r.kind)
        });
        let reason = match console {
            Ok(Some(report)) => report.to_string(),
            _ => "QEMU reports a panicked guest".to_owned(),
        };
        Error::Crashed {
            reason,
            tail: Tail::of(&self.logs, "console.log"),
        }
    }

    /// The agent's connection has ended: QEMU is gone.
    fn gone(&self) -> Error {
        Error::QemuDied {
            status: "the connection to L1 has ended".to_owned(),
            tail: Tail::of(&self.logs, "console.log"),
        }
    }

    /// The error for something that did not happen in time.
    pub fn deadline(&self, what: &str, limit: Duration) -> Error {
        Error::Deadline {
            what: what.to_owned(),
            limit,
            tail: Tail::of(&self.logs, "console.log"),
        }
    }
}
