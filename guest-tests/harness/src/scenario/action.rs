// SPDX-License-Identifier: MIT OR Apache-2.0
//! What actions are about, and how they are told.

use super::grammar::{Action, Operation, Resources};
use super::value::Name;
use std::fmt;

impl Action {
    /// The mdevs it names.
    pub fn mdevs(&self) -> Vec<&Name> {
        match self {
            Self::Assign(r) | Self::Unassign(r) | Self::ApConfig(r) => vec![&r.mdev],
            Self::CreateMdev(name) | Self::RemoveMdev(name) => vec![name],
            Self::Attach(both) | Self::Detach(both) => vec![&both.mdev],
            _ => vec![],
        }
    }

    /// The guests it names.
    pub fn guests(&self) -> Vec<&Name> {
        match self {
            Self::Start(name) | Self::Stop(name) | Self::Kill(name) | Self::Reset(name) => {
                vec![name]
            }
            Self::Attach(both) | Self::Detach(both) => vec![&both.guest],
            Self::Crypto(crypto) => vec![&crypto.guest],
            _ => vec![],
        }
    }

    /// Whether it is a write to a file, which may be refused with an errno.
    pub fn has_errno(&self) -> bool {
        matches!(
            self,
            Self::Assign(_)
                | Self::Unassign(_)
                | Self::ApConfig(_)
                | Self::Write(_)
                | Self::Bind(_)
                | Self::Unbind(_)
                | Self::Apmask(_)
                | Self::Aqmask(_)
                | Self::CreateMdev(_)
                | Self::RemoveMdev(_)
        )
    }
}

impl fmt::Display for Resources {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let list = |what: &str, numbers: &[u8]| {
            let numbers: Vec<String> = numbers.iter().map(|n| format!("{n:02x}")).collect();
            (!numbers.is_empty()).then(|| format!("{what} {}", numbers.join(" ")))
        };
        let lists = [
            list("adapter", &self.adapters),
            list("domain", &self.domains),
            list("control domain", &self.control_domains),
        ];
        let lists: Vec<String> = lists.into_iter().flatten().collect();
        f.write_str(&if lists.is_empty() {
            "nothing".to_owned()
        } else {
            lists.join(", ")
        })
    }
}

impl fmt::Display for Action {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Assign(r) => write!(f, "assign {r} to {}", r.mdev),
            Self::Unassign(r) => write!(f, "unassign {r} from {}", r.mdev),
            Self::ApConfig(r) => write!(f, "ap_config of {}: {r}", r.mdev),
            Self::Write(w) => write!(f, "write {} to {}", w.data, w.path),
            Self::Machine(operation) => operation.fmt(f),
            Self::Bind(b) => write!(f, "bind {} to {}", b.apqn, b.driver),
            Self::Unbind(b) => write!(f, "unbind {} from {}", b.apqn, b.driver),
            Self::Apmask(mask) => write!(f, "apmask {mask}"),
            Self::Aqmask(mask) => write!(f, "aqmask {mask}"),
            Self::CreateMdev(name) => write!(f, "create mdev {name}"),
            Self::RemoveMdev(name) => write!(f, "remove mdev {name}"),
            Self::Start(name) => write!(f, "start guest {name}"),
            Self::Stop(name) => write!(f, "stop guest {name}"),
            Self::Kill(name) => write!(f, "kill guest {name}"),
            Self::Reset(name) => write!(f, "reset guest {name}"),
            Self::Attach(both) => write!(f, "attach {} to guest {}", both.mdev, both.guest),
            Self::Detach(both) => write!(f, "detach {} from guest {}", both.mdev, both.guest),
            Self::Crypto(c) => {
                let left = if c.collect {
                    ""
                } else {
                    ", replies left there"
                };
                write!(
                    f,
                    "{} RSA requests of {} through {}{left}",
                    c.requests, c.guest, c.apqn
                )
            }
            Self::Run(line) => write!(f, "run {line}"),
            Self::Pause(ms) => write!(f, "pause {ms} ms"),
        }
    }
}

impl fmt::Display for Operation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let come = |on: &bool| if *on { "gains" } else { "loses" };
        match self {
            Self::Config(s) if s.on => write!(f, "machine: adapter {:02x} configured", s.apid),
            Self::Config(s) => write!(f, "machine: adapter {:02x} deconfigured", s.apid),
            Self::Checkstop(s) if s.on => write!(f, "machine: adapter {:02x} fails", s.apid),
            Self::Checkstop(s) => write!(f, "machine: adapter {:02x} repaired", s.apid),
            Self::AddAdapter(spec) => write!(f, "machine gains adapter {}", spec.apid),
            Self::RemoveAdapter(apid) => write!(f, "machine loses adapter {apid:02x}"),
            Self::Domain(d, on) => write!(f, "machine {} domain {d:02x}", come(on)),
            Self::ControlDomain(d, on) => write!(f, "machine {} control domain {d:02x}", come(on)),
            Self::Fault(text) => write!(f, "machine: fault {}", text.replace('\n', " ").trim()),
            Self::ClearFaults => f.write_str("machine: faults cleared"),
        }
    }
}
