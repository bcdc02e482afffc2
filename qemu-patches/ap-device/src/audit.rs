// SPDX-License-Identifier: MIT OR Apache-2.0
//! The audit log: one record for every AP instruction and internal event.
//!
//! A ring. Records are numbered from 0 without gaps, so a reader who knows the
//! number it wants next can tell exactly how many it came too late for.

use std::collections::VecDeque;
use std::hash::Hasher;

use ap_arch::Apqn;
use siphasher::sip::SipHasher13;

use crate::abi::{self, AuditRecord};
use crate::{Context, Issuer, Ns};

/// How many records the ring keeps: 4 MiB.
const CAPACITY: usize = 65536;

/// The ring.
#[derive(Debug)]
pub struct AuditLog {
    records: VecDeque<AuditRecord>,
    next: u64,
    key: u64,
}

impl AuditLog {
    pub(crate) fn new(key: u64) -> Self {
        Self {
            records: VecDeque::new(),
            next: 0,
            key,
        }
    }

    /// Appends a record and numbers it; returns the number.
    pub(crate) fn push(&mut self, record: AuditRecord) -> u64 {
        if self.records.len() == CAPACITY {
            self.records.pop_front();
        }
        let seq = self.next;
        self.records.push_back(AuditRecord { seq, ..record });
        self.next += 1;
        seq
    }

    /// The number that the next record will get.
    pub fn next_seq(&self) -> u64 {
        self.next
    }

    /// The number of the oldest record there is.
    pub fn first_seq(&self) -> u64 {
        self.next - self.records.len() as u64
    }

    /// Records from number `seq` on.
    pub fn since(&self, seq: u64) -> impl Iterator<Item = &AuditRecord> {
        let skip = seq.saturating_sub(self.first_seq());
        let skip = usize::try_from(skip).unwrap_or(usize::MAX);
        self.records.range(skip.min(self.records.len())..)
    }

    /// Keyed digest of a request, which tells equal ones without showing them.
    pub(crate) fn digest(&self, bytes: &[u8]) -> u64 {
        let mut hasher = SipHasher13::new_with_keys(self.key, !self.key);
        hasher.write(bytes);
        hasher.finish()
    }
}

impl AuditRecord {
    /// The record of an instruction, to be completed.
    pub(crate) fn of_insn(ctx: &Context, op: u8, apqn: Apqn) -> Self {
        let mut record = Self {
            ns: ctx.now.0,
            op,
            issuer: abi::ISSUER_HOST,
            apqn: apqn.to_qid(),
            cpu: ctx.cpu,
            ..Self::default()
        };
        if let Issuer::Guest(guest) = ctx.issuer {
            record.issuer = match guest.nested {
                false => abi::ISSUER_SIE,
                true => abi::ISSUER_NESTED,
            };
            record.sd = guest.sd;
            record.crycbd = guest.crycbd.0;
        }
        record
    }

    /// The record of an internal event, to be completed.
    pub(crate) fn of_event(now: Ns, op: u8, apqn: Apqn) -> Self {
        Self {
            ns: now.0,
            op,
            issuer: abi::ISSUER_MACHINE,
            apqn: apqn.to_qid(),
            ..Self::default()
        }
    }
}
