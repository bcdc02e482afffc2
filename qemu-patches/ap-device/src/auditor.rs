// SPDX-License-Identifier: MIT OR Apache-2.0
//! The auditor: reads the audit log as it is written and objects where the
//! isolation of owners is broken.
//!
//! It keeps its own view of each queue, made from records alone, so that a
//! fault of the model does not hide from it. What guests hold is known from
//! the masks that come with their instructions: from such an instruction on a
//! queue is held until the masks show otherwise, the host issues a ZAPQ, or the
//! queue goes away.

use std::collections::{BTreeMap, BTreeSet};

use ap_arch::{Apqn, AqicControl, Crycbd, FunctionCode, Matrix, QueueStatus, ResponseCode};

use crate::Owner;
use crate::abi::{self, AuditRecord};

/// What must hold. The numbers are those of the C interface.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub enum Invariant {
    /// A reply goes to the issuer of its request, in the same epoch.
    ReplyToOwner = 1,
    /// Between data instructions of different owners a ZAPQ is issued and
    /// completes. RAPQ does not count.
    ZapqBetweenOwners = 2,
    /// Messages in a queue when a ZAPQ is issued are thrown away.
    NothingSurvives = 3,
    /// What is indicated was set up since the last reset.
    IndicatorIsCurrent = 4,
    /// The host does not use a queue that a guest holds.
    HostKeepsOff = 5,
    /// What the masks do not hold answers that it is not available.
    MasksHold = 6,
}

/// How many there are.
pub const INVARIANTS: usize = 6;

/// Guests to remember; the one longest silent is forgotten.
const GUESTS: usize = 1024;

/// What surrounds a record.
#[derive(Clone, Copy, Debug)]
pub struct Scene {
    /// The configuration of the machine.
    pub machine: Matrix,
    /// What the guest has of it that issued the instruction, if one did.
    pub guest: Option<Matrix>,
}

/// A message in a queue.
#[derive(Clone, Copy, Debug)]
struct Alive {
    tag: u64,
    psmid: u64,
    owner: Owner,
    epoch: u32,
    replied: bool,
}

#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
enum Zapq {
    #[default]
    No,
    Issued,
    Completed,
}

/// What is known of a queue.
#[derive(Debug, Default)]
struct History {
    alive: Vec<Alive>,
    /// Who used it last, and whether a ZAPQ came since.
    last: Option<Owner>,
    zapq: Zapq,
    /// Indicator and epoch of the last AQIC, if that was to enable.
    irq: Option<(u64, u32)>,
    /// When the host last issued a ZAPQ.
    host_zapq: Option<u64>,
}

#[derive(Debug)]
struct Guest {
    seen: u64,
    holds: Matrix,
}

/// The auditor.
#[derive(Debug, Default)]
pub struct Auditor {
    queues: BTreeMap<Apqn, History>,
    guests: BTreeMap<u32, Guest>,
    /// Queues that the host used, without a ZAPQ since.
    host_used: BTreeSet<Apqn>,
    counts: [u64; INVARIANTS],
}

impl Auditor {
    /// How often each invariant was violated, in the order of their numbers.
    pub fn counts(&self) -> [u64; INVARIANTS] {
        self.counts
    }

    /// Looks at the next record; what it violates.
    pub fn observe(&mut self, record: &AuditRecord, scene: &Scene) -> BTreeSet<Invariant> {
        let mut found = BTreeSet::new();
        if record.issuer == abi::ISSUER_MACHINE {
            self.event(record, scene, &mut found);
        } else if record.cc != 0xff {
            self.instruction(record, scene, &mut found);
        }
        for &invariant in &found {
            let count = &mut self.counts[invariant as usize - 1];
            *count = count.saturating_add(1);
        }
        found
    }

    fn event(&mut self, record: &AuditRecord, scene: &Scene, found: &mut BTreeSet<Invariant>) {
        let apqn = Apqn::from_qid(record.apqn);
        if record.op == abi::OP_CONFIG {
            // contents died with what cannot be reached; 2 removed,
            // 4 deconfigured, 5 checkstopped
            let dead = |queue: &Apqn| match record.tag {
                2 | 4 | 5 => queue.apid == apqn.apid,
                _ => !scene.machine.contains(*queue),
            };
            self.queues.retain(|queue, _| !dead(queue));
            self.host_used.retain(|queue| !dead(queue));
            for guest in self.guests.values_mut() {
                guest.holds = match record.tag {
                    2 | 4 | 5 => Matrix {
                        apm: guest.holds.apm.without(apqn.apid),
                        ..guest.holds
                    },
                    _ => guest.holds.intersect(scene.machine),
                };
            }
            return;
        }
        let Some(history) = self.queues.get_mut(&apqn) else {
            if record.op == abi::OP_IRQ {
                found.insert(Invariant::IndicatorIsCurrent);
            }
            return;
        };
        match record.op {
            abi::OP_REPLY => history.replied(record),
            abi::OP_DISCARD => drop(history.take(record, |_| true)),
            abi::OP_RESET_DONE if record.length == 3 => {
                self.queues.remove(&apqn);
                self.host_used.remove(&apqn);
            }
            abi::OP_RESET_DONE if record.length == 2 && history.zapq == Zapq::Issued => {
                history.zapq = Zapq::Completed;
            }
            abi::OP_IRQ if history.irq != Some((record.tag, record.epoch)) => {
                found.insert(Invariant::IndicatorIsCurrent);
            }
            _ => (),
        }
    }

    fn instruction(
        &mut self,
        record: &AuditRecord,
        scene: &Scene,
        found: &mut BTreeSet<Invariant>,
    ) {
        let apqn = Apqn::from_qid(record.apqn);
        let owner = owner(record);
        if let (Owner::Guest(crycb), Some(holds)) = (owner, scene.guest) {
            self.guest_seen(crycb, holds, record.seq, found);
        }
        if [FunctionCode::Qci.code(), abi::OP_UNKNOWN].contains(&record.op) {
            return;
        }
        let code = QueueStatus(record.status).code();
        if !scene.guest.unwrap_or(scene.machine).contains(apqn) {
            if code != ResponseCode::NOT_AVAILABLE {
                found.insert(Invariant::MasksHold);
            }
            return;
        }
        let data = matches!(record.op, abi::OP_NQAP | abi::OP_DQAP);
        if data && owner == Owner::Host {
            self.host_used.insert(apqn);
            let zapq = self.queues.get(&apqn).and_then(|h| h.host_zapq);
            let holds = |g: &Guest| g.holds.contains(apqn) && zapq.is_none_or(|z| g.seen > z);
            if self.guests.values().any(holds) {
                found.insert(Invariant::HostKeepsOff);
            }
        }
        let history = self.queues.entry(apqn).or_default();
        // a queue that is stopped for a while, or a fault, let nothing happen
        let stopped = (2..=5).contains(&code.0)
            || QueueStatus(record.status).is_async()
            || record.flags & abi::AUDIT_INJECTED != 0;
        if data && !stopped {
            history.data(owner, record, found);
        } else if record.cc == 0 {
            history.control(owner, record, found);
            if history.host_zapq == Some(record.seq) {
                self.host_used.remove(&apqn);
            }
        }
    }

    /// A guest has these queues now; the host must have zeroized what it used.
    fn guest_seen(&mut self, crycb: u32, holds: Matrix, seq: u64, found: &mut BTreeSet<Invariant>) {
        self.guests.insert(crycb, Guest { seen: seq, holds });
        if self.guests.len() > GUESTS {
            let oldest = self.guests.iter().min_by_key(|(_, guest)| guest.seen);
            if let Some((&crycb, _)) = oldest {
                self.guests.remove(&crycb);
            }
        }
        let before = self.host_used.len();
        self.host_used.retain(|&apqn| !holds.contains(apqn));
        if self.host_used.len() != before {
            found.insert(Invariant::HostKeepsOff);
        }
    }
}

impl History {
    /// NQAP or DQAP that the queue took.
    fn data(&mut self, owner: Owner, record: &AuditRecord, found: &mut BTreeSet<Invariant>) {
        let moved_on = self.last.is_some_and(|last| last != owner);
        if moved_on && self.zapq != Zapq::Completed {
            found.insert(Invariant::ZapqBetweenOwners);
        }
        self.last = Some(owner);
        self.zapq = Zapq::No;
        match (record.op, record.cc) {
            (abi::OP_NQAP, 0) if record.flags & abi::AUDIT_PARTIAL == 0 => {
                self.alive.push(Alive {
                    tag: record.tag,
                    psmid: record.psmid,
                    owner,
                    epoch: record.epoch,
                    replied: false,
                });
            }
            (abi::OP_DQAP, 0 | 1) => {
                let message = self.take(record, |m| m.replied);
                match message {
                    None => drop(found.insert(Invariant::NothingSurvives)),
                    Some(m) if (m.owner, m.epoch) != (owner, record.epoch) => {
                        found.insert(Invariant::ReplyToOwner);
                    }
                    Some(_) => (),
                }
                if record.cc == 1 {
                    self.alive.extend(message);
                }
            }
            _ => (),
        }
    }

    /// Another instruction that was accepted.
    fn control(&mut self, owner: Owner, record: &AuditRecord, found: &mut BTreeSet<Invariant>) {
        match FunctionCode::from_code(record.op) {
            Some(FunctionCode::Zapq) => {
                if !self.alive.is_empty() {
                    found.insert(Invariant::NothingSurvives);
                }
                self.alive.clear();
                self.irq = None;
                self.zapq = Zapq::Issued;
                if owner == Owner::Host {
                    self.host_zapq = Some(record.seq);
                }
            }
            Some(FunctionCode::Rapq) => {
                self.alive.clear();
                self.irq = None;
            }
            Some(FunctionCode::Aqic) => {
                // GR1 and GR2 are where others have PSMID and digest
                let on = AqicControl(record.psmid).ir();
                self.irq = on.then_some((record.tag, record.epoch));
            }
            _ => (),
        }
    }

    /// A reply came: the first one to its request, or one more.
    fn replied(&mut self, record: &AuditRecord) {
        let same = |m: &Alive| m.tag == record.tag;
        let waiting = self.alive.iter().position(|m| same(m) && !m.replied);
        match waiting.or_else(|| self.alive.iter().position(same)) {
            Some(at) if !self.alive[at].replied => self.alive[at].replied = true,
            Some(at) => self.alive.push(self.alive[at]),
            None => (),
        }
    }

    /// Takes the message that a record is about: the digest tells, since a
    /// fault may have changed the PSMID.
    fn take(&mut self, record: &AuditRecord, fits: fn(&Alive) -> bool) -> Option<Alive> {
        let same = |m: &Alive| m.tag == record.tag && fits(m);
        let exact = |m: &Alive| same(m) && m.psmid == record.psmid;
        let at = self.alive.iter().position(exact);
        let at = at.or_else(|| self.alive.iter().position(same))?;
        Some(self.alive.remove(at))
    }
}

fn owner(record: &AuditRecord) -> Owner {
    match record.issuer {
        abi::ISSUER_HOST => Owner::Host,
        _ => Owner::Guest(Crycbd(record.crycbd).origin()),
    }
}
