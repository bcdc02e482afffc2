// SPDX-License-Identifier: MIT OR Apache-2.0
//! L1's own AP configuration changes, and Linux in L1 follows.
//!
//! Linux looks at its adapters when an event tells it that something changed,
//! and else once in a while. An event that comes while it looks is lost on it:
//! `ap_bus_force_rescan` waits for the end of the scan and leaves it at that.
//! So each change here waits for the scan before it to end, which is enough
//! where nothing but these changes makes Linux scan.

use crate::error::Error;
use crate::machine::Machine;
use crate::mdev::store;
use crate::qmp::ApSetDomains;
use l1_protocol::{Command, Event, Exit};
use qapi::qmp::{device_add, device_del, qom_set};
use serde_json::json;
use std::fmt;
use std::time::{Duration, Instant};

/// What must happen, does within this time also on a busy machine.
const LIMIT: Duration = Duration::from_secs(60);

/// One change.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Change {
    /// An operator configures an adapter, or takes it away.
    Config(bool),
    /// Linux itself does, by SCLP.
    OwnConfig(bool),
    /// An adapter fails, or is repaired.
    Checkstop(bool),
    /// An adapter is plugged or unplugged.
    Plug(bool),
    /// The last usage domain comes or goes.
    Domain(bool),
}

impl Change {
    /// A round: every change and its reverse.
    pub const ROUND: [Self; 10] = [
        Self::Config(false),
        Self::Config(true),
        Self::OwnConfig(false),
        Self::OwnConfig(true),
        Self::Checkstop(true),
        Self::Checkstop(false),
        Self::Plug(false),
        Self::Plug(true),
        Self::Domain(false),
        Self::Domain(true),
    ];
}

impl fmt::Display for Change {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Config(false) => "deconfigured from outside",
            Self::Config(true) => "configured from outside",
            Self::OwnConfig(false) => "deconfigured by Linux",
            Self::OwnConfig(true) => "configured by Linux",
            Self::Checkstop(true) => "checkstopped",
            Self::Checkstop(false) => "repaired",
            Self::Plug(false) => "unplugged",
            Self::Plug(true) => "plugged",
            Self::Domain(false) => "domain taken away",
            Self::Domain(true) => "domain given",
        })
    }
}

/// The adapters and usage domains of a machine, which is to come back to them.
pub struct Complex<'a> {
    /// The machine.
    pub machine: &'a Machine,
    /// APIDs with their modes.
    pub adapters: Vec<(u8, String)>,
    /// Usage domains, at least two.
    pub domains: Vec<u8>,
}

impl Complex<'_> {
    /// How often Linux looks without being told: 5 to 120 seconds, as
    /// `config_time_store` in `ap_bus.c` has it. With 120, what is seen within
    /// our deadlines is the doing of events.
    ///
    /// # Errors
    /// When the kernel refuses.
    pub fn scan_every(&self, seconds: u8) -> Result<(), Error> {
        store(
            self.machine,
            "/sys/bus/ap/config_time",
            &seconds.to_string(),
        )
    }

    /// Make the change, on the adapter with this index where it is about one,
    /// and tell how long it took until Linux showed it in sysfs.
    ///
    /// # Errors
    /// When Linux does not follow, or the machine fails.
    pub fn change(&self, change: Change, adapter: usize) -> Result<Duration, Error> {
        let (apid, mode) = &self.adapters[adapter];
        // It looks before the change, too, so that its own start costs nothing.
        let line = format!(
            "cd /sys/bus/ap/devices
             is() {{ {{ read -r v <$1; }} 2>/dev/null && [ \"$v\" = $2 ]; }}
             echo 1 >/sys/bus/ap/scans; echo; until {}; do usleep 5000; done",
            self.shown(change, *apid)
        );
        let argv = ["sh", "-c", &line].map(str::to_owned).to_vec();
        let (id, events) = self.machine.start(Command {
            argv,
            timeout_ms: u64::try_from(LIMIT.as_millis()).ok(),
            ..Command::default()
        });
        let what = format!("Linux to see adapter {apid:02x} {change}");
        let next = || self.machine.next_event(&events, &what);
        while !matches!(next()?, Event::Output { .. }) {}
        let begin = Instant::now();
        self.apply(change, *apid, mode)?;
        let exit = loop {
            if let Event::Exited { exit, .. } = next()? {
                break exit;
            }
        };
        let took = begin.elapsed();
        self.machine.client().end(id);
        match exit {
            Exit::Status(0) => Ok(took),
            _ => Err(self.machine.deadline(&what, LIMIT)),
        }
    }

    fn apply(&self, change: Change, apid: u8, mode: &str) -> Result<(), Error> {
        let id = format!("ap{apid:02x}");
        let set = |property: &str, value: bool| {
            let command = qom_set {
                path: format!("/machine/peripheral/{id}"),
                property: property.to_owned(),
                value: json!(value),
            };
            self.machine.qmp(command).map(drop)
        };
        match change {
            Change::Config(on) => set("config", on),
            Change::Checkstop(on) => set("checkstop", on),
            Change::OwnConfig(on) => {
                let file = format!("/sys/bus/ap/devices/card{apid:02x}/config");
                store(self.machine, &file, if on { "1" } else { "0" })
            }
            Change::Plug(false) => self.machine.qmp(device_del { id }).map(drop),
            Change::Plug(true) => {
                let arguments = json!({"apid": apid, "mode": mode});
                let command = device_add {
                    driver: "ap-cex".to_owned(),
                    id: Some(id),
                    bus: None,
                    arguments: arguments.as_object().cloned().unwrap_or_default(),
                };
                self.machine.qmp(command).map(drop)
            }
            Change::Domain(on) => {
                let kept = self.domains.len() - usize::from(!on);
                let domains: Vec<String> = self.domains[..kept].iter().map(u8::to_string).collect();
                let command = ApSetDomains {
                    usage: Some(domains.join(",")),
                    control: None,
                };
                self.machine.qmp(command).map(drop)
            }
        }
    }

    /// A shell's words for Linux having followed.
    fn shown(&self, change: Change, apid: u8) -> String {
        let card = format!("card{apid:02x}");
        let queues = self.domains.iter().map(|d| format!("{apid:02x}.{d:04x}"));
        let devices = std::iter::once(card).chain(queues);
        let all = |attribute: &str, value: bool| {
            let value = u8::from(value);
            let each = devices
                .clone()
                .map(|d| format!("is {d}/{attribute} {value}"));
            each.collect::<Vec<_>>().join(" && ")
        };
        let there = |device: String, on: bool| match on {
            // Bound, too: without a driver there is no such attribute.
            true => format!("is {device}/online 1"),
            false => format!("[ ! -e {device} ]"),
        };
        let conditions: Vec<String> = match change {
            Change::Config(on) | Change::OwnConfig(on) => {
                vec![all("config", on), all("online", on)]
            }
            Change::Checkstop(on) => vec![all("chkstop", on), all("online", !on)],
            Change::Plug(on) => devices.clone().map(|d| there(d, on)).collect(),
            Change::Domain(on) => {
                let domain = self.domains.last().copied().unwrap_or_default();
                let queue = |(apid, _): &(u8, String)| format!("{apid:02x}.{domain:04x}");
                self.adapters
                    .iter()
                    .map(queue)
                    .map(|q| there(q, on))
                    .collect()
            }
        };
        conditions.join(" && ")
    }
}
