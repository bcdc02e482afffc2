// SPDX-License-Identifier: MIT OR Apache-2.0
//! Time-stamped events of a machine, one JSON object a line.
//!
//! `ns` is CLOCK_MONOTONIC, so that other processes of the same system can
//! relate their own stamps to it.
//!
//! A guest can cause lines without end. It has a budget, which the most talkative
//! probe does not use up; what is beyond is dropped and counted.

use std::fs::File;
use std::io::{self, Write};
use std::path::Path;
use std::sync::{Mutex, PoisonError};

use nix::time::{ClockId, clock_gettime};
use serde::Serialize;

use crate::cpu_model::ApFacilities;
use crate::reset::MachineReset;

/// Something that happened.
#[derive(Clone, Debug, Serialize)]
#[serde(tag = "event", rename_all = "kebab-case")]
pub enum Event<'a> {
    /// The program started.
    Start,
    /// The machine is built; these are the guest's AP facilities.
    Built {
        /// AP facilities.
        ap: ApFacilities,
    },
    /// A device was attached.
    ApAttached {
        /// Its name.
        id: &'a str,
    },
    /// A device was detached.
    ApDetached {
        /// Its name.
        id: &'a str,
    },
    /// The first CPU is about to run.
    FirstRun,
    /// The host said that the guest's AP configuration changed.
    CfgChg {
        /// How often, since last read.
        count: u64,
    },
    /// The host wants a device back.
    Request {
        /// The device's name.
        id: &'a str,
    },
    /// The guest is told of a change.
    Notify {
        /// Why.
        reason: NotifyReason,
        /// Whether a machine check was made pending, or is still.
        machine_check: bool,
    },
    /// The guest fetched a channel report word.
    CrwRead,
    /// The guest fetched the AP change event.
    SeiRead,
    /// A line the guest reported.
    Report {
        /// The line.
        line: &'a str,
    },
    /// The guest was asked to shut down.
    Quiesce,
    /// All CPUs are held.
    Pause,
    /// They go on.
    Resume,
    /// The machine was reset.
    Reset {
        /// How.
        kind: MachineReset,
    },
    /// So many lines that the guest caused were dropped here.
    Dropped {
        /// How many.
        lines: u64,
    },
    /// The machine ended.
    Exit {
        /// With this exit status.
        code: u8,
        /// And for this reason.
        reason: &'a str,
    },
}

impl Event<'_> {
    /// Whether a guest can cause it as often as it likes.
    fn is_by_guest(&self) -> bool {
        matches!(
            self,
            Self::Report { .. } | Self::CrwRead | Self::SeiRead | Self::Reset { .. }
        )
    }
}

/// Why the guest is told of an AP change.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum NotifyReason {
    /// The host said so.
    CfgChg,
    /// Once more after the last change, in case the guest missed it.
    Trailing,
    /// A device came.
    Attach,
    /// A device went.
    Detach,
    /// A user asked for it.
    User,
}

#[derive(Serialize)]
struct Stamped<'a> {
    ns: u64,
    #[serde(flatten)]
    event: Event<'a>,
}

/// Bytes that a guest may cause: so many at once, and more by and by.
#[derive(Debug)]
struct Budget {
    left: u64,
    at_ns: u64,
}

impl Budget {
    const MOST: u64 = 16 << 20;
    const NS_PER_BYTE: u64 = 1_000_000_000 / (64 << 10);

    const fn new(at_ns: u64) -> Self {
        let left = Self::MOST;
        Self { left, at_ns }
    }

    /// Takes so many bytes; `false` if there are fewer.
    fn take(&mut self, len: usize, now_ns: u64) -> bool {
        let more = now_ns.saturating_sub(self.at_ns) / Self::NS_PER_BYTE;
        self.left = self.left.saturating_add(more).min(Self::MOST);
        // what is less than a byte counts the next time
        self.at_ns += more * Self::NS_PER_BYTE;
        let left = self.left.checked_sub(len as u64);
        self.left = left.unwrap_or(self.left);
        left.is_some()
    }
}

/// Where events go.
#[derive(Debug, Default)]
pub struct EventLog(Option<Mutex<Log<File>>>);

#[derive(Debug)]
struct Log<W> {
    to: W,
    guest: Budget,
    dropped: u64,
}

impl EventLog {
    /// A log that keeps nothing.
    pub const fn none() -> Self {
        Self(None)
    }

    /// A log into a new file.
    pub fn create(path: &Path) -> io::Result<Self> {
        let log = Log::new(File::create(path)?, now());
        Ok(Self(Some(Mutex::new(log))))
    }

    /// Writes an event. A log that cannot be written does not stop a machine.
    pub fn emit(&self, event: Event<'_>) {
        let Some(log) = &self.0 else { return };
        let mut log = log.lock().unwrap_or_else(PoisonError::into_inner);
        if let Err(error) = log.emit(now(), event) {
            tracing::warn!(%error, "cannot write the event log");
        }
    }
}

impl<W: Write> Log<W> {
    const fn new(to: W, now_ns: u64) -> Self {
        Self {
            to,
            guest: Budget::new(now_ns),
            dropped: 0,
        }
    }

    fn emit(&mut self, ns: u64, event: Event<'_>) -> io::Result<()> {
        let by_guest = event.is_by_guest();
        let text = line(ns, event)?;
        if by_guest && !self.guest.take(text.len(), ns) {
            self.dropped += 1;
            return Ok(());
        }
        let lines = std::mem::take(&mut self.dropped);
        if lines > 0 {
            let told = line(ns, Event::Dropped { lines })?;
            self.to.write_all(told.as_bytes())?;
        }
        self.to.write_all(text.as_bytes())
    }
}

/// An event as a line, in one piece so that readers see whole lines.
fn line(ns: u64, event: Event<'_>) -> io::Result<String> {
    let mut line = serde_json::to_string(&Stamped { ns, event })?;
    line.push('\n');
    Ok(line)
}

fn now() -> u64 {
    clock_gettime(ClockId::CLOCK_MONOTONIC).map_or(0, |time| {
        let seconds = u64::try_from(time.tv_sec()).unwrap_or(0);
        seconds * 1_000_000_000 + u64::try_from(time.tv_nsec()).unwrap_or(0)
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lines() {
        let notify = Event::Notify {
            reason: NotifyReason::CfgChg,
            machine_check: true,
        };
        let expected =
            "{\"ns\":7,\"event\":\"notify\",\"reason\":\"cfg-chg\",\"machine_check\":true}\n";
        assert_eq!(line(7, notify).unwrap(), expected);
        let report = Event::Report { line: "a\"\n" };
        let expected = "{\"ns\":8,\"event\":\"report\",\"line\":\"a\\\"\\n\"}\n";
        assert_eq!(line(8, report).unwrap(), expected);
        assert_eq!(
            line(9, Event::FirstRun).unwrap(),
            "{\"ns\":9,\"event\":\"first-run\"}\n"
        );
    }
    #[test]
    fn a_guest_that_talks_without_end_is_cut_short() {
        let mut log = Log::new(Vec::new(), 0);
        let long = "x".repeat(4000);
        let report = || Event::Report { line: &long };
        for ns in 0..5_000 {
            log.emit(ns, report()).unwrap();
        }
        assert!(log.to.len() as u64 <= Budget::MOST + 4);
        let written = log.to.iter().filter(|&&b| b == b'\n').count() as u64;
        // what the host says is never dropped, and tells what was
        log.to.clear();
        log.emit(1_000_000, Event::Quiesce).unwrap();
        let expected = format!(
            "{{\"ns\":1000000,\"event\":\"dropped\",\"lines\":{}}}\n\
             {{\"ns\":1000000,\"event\":\"quiesce\"}}\n",
            5_000 - written
        );
        assert_eq!(String::from_utf8(log.to.clone()).unwrap(), expected);
        // a second later there is room for more
        log.to.clear();
        for ns in 0..100 {
            log.emit(1_001_000_000 + ns, report()).unwrap();
        }
        let lines = log.to.iter().filter(|&&b| b == b'\n').count();
        assert!((16..=17).contains(&lines), "{lines}");
    }
}
