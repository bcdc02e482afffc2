// SPDX-License-Identifier: MIT OR Apache-2.0
//! Time-stamped events of a machine, one JSON object a line.
//!
//! `ns` is CLOCK_MONOTONIC, so that other processes of the same system can
//! relate their own stamps to it.

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
    /// The machine ended.
    Exit {
        /// With this exit status.
        code: u8,
        /// And for this reason.
        reason: &'a str,
    },
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

/// Where events go.
#[derive(Debug, Default)]
pub struct EventLog(Option<Mutex<File>>);

impl EventLog {
    /// A log that keeps nothing.
    pub const fn none() -> Self {
        Self(None)
    }

    /// A log into a new file.
    pub fn create(path: &Path) -> io::Result<Self> {
        Ok(Self(Some(Mutex::new(File::create(path)?))))
    }

    /// Writes an event. A log that cannot be written does not stop a machine.
    pub fn emit(&self, event: Event<'_>) {
        let Some(file) = &self.0 else { return };
        let ns = now();
        if let Some(line) = line(ns, event) {
            let mut file = file.lock().unwrap_or_else(PoisonError::into_inner);
            if let Err(error) = file.write_all(line.as_bytes()) {
                tracing::warn!(%error, "cannot write the event log");
            }
        }
    }
}

/// An event as a line, in one piece so that readers see whole lines.
fn line(ns: u64, event: Event<'_>) -> Option<String> {
    let mut line = serde_json::to_string(&Stamped { ns, event }).ok()?;
    line.push('\n');
    Some(line)
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
}
