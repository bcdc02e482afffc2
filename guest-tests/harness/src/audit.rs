// SPDX-License-Identifier: MIT OR Apache-2.0
//! The AP audit log of a machine, and the auditor that reads it.
//!
//! QEMU's AP device model records every AP instruction with who issued it, and
//! its auditor objects where the owners of queues are not kept apart. Every
//! machine of the harness stops there; see [`Auditing`] for the exceptions.

use crate::client::Life;
use crate::error::{Error, Tail};
use crate::machine::Machine;
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;
use std::fmt;
use std::path::Path;
use std::time::Duration;

/// What becomes of the auditor's objections.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Auditing {
    /// The machine stops and whatever is done with it fails.
    #[default]
    Strict,
    /// They are only counted, for tests that provoke them.
    Counting,
}

/// A place in the audit log.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct Mark(u64);

impl Mark {
    /// The beginning of the log.
    pub const START: Self = Self(0);
}

/// One record of the audit log: an AP instruction or an event.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
pub struct Entry {
    /// Number of the record.
    pub seq: u64,
    /// Time, by L1's clock.
    pub ns: u64,
    /// The instruction, such as `zapq`, or the event, such as `reply`.
    pub op: String,
    /// `host`, `sie`, `nested` or, for events, `machine`.
    pub issuer: String,
    /// Condition code; none if there was a program interruption.
    pub cc: Option<u8>,
    /// Particulars, such as `injected`.
    pub flags: Vec<String>,
    /// The queue, such as `05.0004`.
    pub apqn: String,
    /// CPU address.
    pub cpu: u16,
    /// AP-queue status word.
    pub status: u32,
    /// Epoch of the queue.
    pub epoch: u32,
    /// Address of the guest's state description.
    pub sd: u64,
    /// The guest's CRYCB designation.
    pub crycbd: u32,
    /// Bytes moved.
    pub length: u32,
    /// Message identifier.
    pub psmid: u64,
    /// Digest of the request, the same for its reply.
    pub tag: u64,
}

impl Entry {
    /// The response code in the status word.
    pub fn response_code(&self) -> u8 {
        ap_arch::QueueStatus(self.status).code().0
    }
}

impl fmt::Display for Entry {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let s = self.ns as f64 / 1e9;
        write!(f, "#{} {s:.6} {} {}", self.seq, self.apqn, self.op)?;
        match self.issuer.as_str() {
            "machine" => {}
            "host" => write!(f, " by the host")?,
            guest => write!(f, " by {guest} with crycb {:#x}", self.crycbd)?,
        }
        match self.cc {
            _ if self.issuer == "machine" => {}
            Some(cc) => write!(f, ", cc {cc} rc {:02x}", self.response_code())?,
            None => write!(f, ", program interruption")?,
        }
        write!(f, ", epoch {}, tag {:x}", self.epoch, self.tag)?;
        if !self.flags.is_empty() {
            write!(f, " [{}]", self.flags.join(" "))?;
        }
        Ok(())
    }
}

/// What the event `AP_VIOLATION` tells.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
pub struct Violation {
    /// The rules, such as `nothing-survives`.
    pub rules: Vec<String>,
    /// The queue.
    pub apqn: String,
    /// The record that violates them.
    pub seq: u64,
}

/// An objection of the auditor with the history of the queue up to there.
#[derive(Debug, Clone)]
pub struct Objection {
    /// How often each violated rule was violated.
    pub counts: BTreeMap<String, u64>,
    /// The first violation, if QEMU told of it.
    pub first: Option<Violation>,
    /// What happened to its queue, the violation last.
    pub history: Vec<Entry>,
}

impl fmt::Display for Objection {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.first {
            Some(v) => write!(f, "{} violated at {}", v.rules.join(", "), v.apqn)?,
            None => write!(f, "violated: {:?}", self.counts)?,
        }
        for entry in &self.history {
            write!(f, "\n    {entry}")?;
        }
        Ok(())
    }
}

/// A record of the streamed audit log, as far as it tells more than that it is
/// one.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Streamed {
    /// Number of the record.
    pub seq: u64,
    /// Function code of PQAP, or `AP_OP_*` of `ap_device.h`.
    pub op: u8,
    /// `AP_ISSUER_*`.
    pub issuer: u8,
    /// The queue.
    pub apqn: ap_arch::Apqn,
    /// Message identifier.
    pub psmid: u64,
}

/// Read what QEMU wrote to an audit stream: `ApAuditRecord` of `ap_device.h`,
/// one after another, in big-endian byte order.
///
/// # Errors
/// When the file cannot be read or does not end with a record.
pub fn read_stream(file: &Path) -> Result<Vec<Streamed>, Error> {
    const RECORD: usize = 64;
    let name = file.display().to_string();
    let bytes = std::fs::read(file).map_err(Error::host(name.clone()))?;
    let (records, []) = bytes.as_chunks::<RECORD>() else {
        return Err(Error::Transfer(format!("{name} ends within a record")));
    };
    let number = |r: &[u8; RECORD], at: usize, len: usize| {
        let digits = r[at..at + len].iter();
        digits.fold(0u64, |n, byte| n << 8 | u64::from(*byte))
    };
    let streamed = |r: &[u8; RECORD]| Streamed {
        seq: number(r, 0, 8),
        op: r[16],
        issuer: r[17],
        // two bytes
        apqn: ap_arch::Apqn::from_qid(number(r, 20, 2) as u16),
        psmid: number(r, 48, 8),
    };
    Ok(records.iter().map(streamed).collect())
}

impl Machine {
    /// Write a mark into the audit log, to ask for what comes after it.
    ///
    /// # Errors
    /// When the machine has no AP or fails.
    pub fn mark(&self) -> Result<Mark, Error> {
        Ok(Mark(self.qmp(AuditMark {})?.seq))
    }

    /// Which AP instructions and events concerned the queue since the mark, by
    /// whom; those of all queues, if none is named.
    ///
    /// # Errors
    /// When the log no longer has all of them, or the machine fails.
    pub fn audit(&self, since: Mark, apqn: Option<&str>) -> Result<Vec<Entry>, Error> {
        self.audit_from(since.0, apqn, true)
    }

    fn audit_from(&self, from: u64, apqn: Option<&str>, all: bool) -> Result<Vec<Entry>, Error> {
        const LIMIT: usize = 4096;
        let mut since = from;
        let mut entries = Vec::new();
        loop {
            let part = self.qmp(QueryAudit {
                since,
                apqn: apqn.map(str::to_owned),
                limit: LIMIT,
            })?;
            if all && part.lost > 0 {
                let what = format!("{} AP audit records were lost", part.lost);
                return Err(Error::Transfer(what));
            }
            since = part.next;
            let count = part.entries.len();
            entries.extend(part.entries);
            if count < LIMIT {
                return Ok(entries);
            }
        }
    }

    /// How often each rule of the auditor was violated; only those that were.
    ///
    /// # Errors
    /// When the machine has no AP or fails.
    pub fn violations(&self) -> Result<BTreeMap<String, u64>, Error> {
        let all = self.qmp(QueryViolations {})?;
        let some = all.into_iter().filter(|v| v.count > 0);
        Ok(some.map(|v| (v.rule, v.count)).collect())
    }

    /// Fail if the auditor has objected to anything.
    ///
    /// # Errors
    /// [`Error::Violated`], or that the machine fails.
    pub fn check_isolation(&self) -> Result<(), Error> {
        if self.auditing.get().is_none() || self.violations()?.is_empty() {
            return Ok(());
        }
        // The event comes by another connection and may be behind the count.
        const SOON: Duration = Duration::from_secs(5);
        let told = loop {
            match self.life(SOON) {
                Some(Life::Violated(violation)) => break Some(violation),
                Some(_) => {}
                None => break None,
            }
        };
        Err(self.violated(told))
    }

    /// The error for a violation, with the history of its queue.
    pub(crate) fn violated(&self, first: Option<Violation>) -> Error {
        /// Records that may lie between the beginning of a story and its end.
        const REACH: u64 = 20_000;
        const SHOWN: usize = 24;
        self.auditing.set(None);
        let mut history = Vec::new();
        if let Some(v) = &first {
            let from = v.seq.saturating_sub(REACH);
            // What cannot be asked any more must not hide the objection.
            let entries = self.audit_from(from, Some(&v.apqn), false);
            history = entries.unwrap_or_default();
            history.retain(|e| e.seq <= v.seq + v.rules.len() as u64);
            history.drain(..history.len().saturating_sub(SHOWN));
        }
        Error::Violated {
            objection: Box::new(Objection {
                counts: self.violations().unwrap_or_default(),
                first,
                history,
            }),
            tail: Tail::of(self.logs(), "kernel.log"),
        }
    }
}

/// `x-ap-audit-mark`
#[derive(Debug, Serialize)]
struct AuditMark {}

#[derive(Debug, Deserialize)]
struct Marked {
    seq: u64,
}

impl qapi_spec::Command for AuditMark {
    type Ok = Marked;
    const NAME: &'static str = "x-ap-audit-mark";
    const ALLOW_OOB: bool = false;
}

/// `x-query-ap-audit`
#[derive(Debug, Serialize)]
struct QueryAudit {
    since: u64,
    #[serde(skip_serializing_if = "Option::is_none")]
    apqn: Option<String>,
    limit: usize,
}

#[derive(Debug, Deserialize)]
struct Part {
    entries: Vec<Entry>,
    next: u64,
    lost: u64,
}

impl qapi_spec::Command for QueryAudit {
    type Ok = Part;
    const NAME: &'static str = "x-query-ap-audit";
    const ALLOW_OOB: bool = false;
}

/// `x-query-ap-violations`
#[derive(Debug, Serialize)]
struct QueryViolations {}

#[derive(Debug, Deserialize)]
struct Violations {
    rule: String,
    count: u64,
}

impl qapi_spec::Command for QueryViolations {
    type Ok = Vec<Violations>;
    const NAME: &'static str = "x-query-ap-violations";
    const ALLOW_OOB: bool = false;
}
