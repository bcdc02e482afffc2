// SPDX-License-Identifier: MIT OR Apache-2.0
//! The AP complex: all state, time passing, and looking in.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use ap_arch::{Adm, Apid, Apm, Apqi, Apqn, Aqm, Matrix, Psmid, QueueStatus, ResponseCode};

use crate::abi::{self, AuditRecord};
use crate::adapter::{Adapter, DEPTH};
use crate::audit::AuditLog;
use crate::auditor::{Auditor, INVARIANTS, Scene};
use crate::effect::Effects;
use crate::fault::Faults;
use crate::queue::{Message, Queue};
use crate::topology::Topology;
use crate::{AdapterSpec, Effect, Fault, FaultId, Limits, Ns, Owner};

/// How long things take when no fault says otherwise.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Tunables {
    /// From RAPQ or ZAPQ to completion.
    pub reset: Duration,
    /// From NQAP to the reply.
    pub reply: Duration,
}

impl Default for Tunables {
    fn default() -> Self {
        Self {
            reset: Duration::from_millis(5),
            reply: Duration::from_micros(50),
        }
    }
}

/// A look at one queue.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct QueueView {
    /// Which.
    pub apqn: Apqn,
    /// Its adapter.
    pub spec: AdapterSpec,
    /// What a TAPQ by the host would show.
    pub status: QueueStatus,
    /// Requests waiting or running.
    pub requests: usize,
    /// Replies ready.
    pub replies: usize,
    /// Completed ZAPQs.
    pub epoch: u32,
    /// Requests accepted so far.
    pub enqueued: u64,
    /// Replies taken so far.
    pub dequeued: u64,
    /// Notification indicator byte, if interrupts are on.
    pub nib: Option<u64>,
}

/// The AP complex of one machine.
pub struct Ap {
    pub(crate) now: Ns,
    pub(crate) tunables: Tunables,
    seed: u64,
    /// How many adapters were ever plugged.
    plugs: u64,
    pub(crate) adapters: BTreeMap<Apid, Adapter>,
    pub(crate) matrix: Matrix,
    pub(crate) limits: Limits,
    /// Queues that were ever used; see [`Queue`] on why they stay.
    pub(crate) queues: BTreeMap<Apqn, Queue>,
    /// When which queue has something to do.
    agenda: BTreeSet<(Ns, Apqn)>,
    pub(crate) faults: Faults,
    pub(crate) effects: Effects,
    pub(crate) audit: AuditLog,
    auditor: Auditor,
    /// Whether a violation stops the machine.
    pub(crate) stop_at_violation: bool,
    #[cfg(feature = "mutants")]
    pub(crate) mutant: Option<crate::Mutant>,
}

impl Ap {
    /// An AP complex without adapters and domains. The seed makes random
    /// contents repeatable.
    pub fn new(seed: u64) -> Self {
        Self {
            now: Ns::default(),
            tunables: Tunables::default(),
            seed,
            plugs: 0,
            adapters: BTreeMap::new(),
            matrix: Matrix::EMPTY,
            limits: Limits::default(),
            queues: BTreeMap::new(),
            agenda: BTreeSet::new(),
            faults: Faults::default(),
            effects: Effects::default(),
            audit: AuditLog::new(seed),
            auditor: Auditor::default(),
            stop_at_violation: false,
            #[cfg(feature = "mutants")]
            mutant: None,
        }
    }

    /// An AP complex as a topology describes it.
    pub fn with_topology(topology: &Topology, seed: u64) -> Self {
        let mut ap = Self::new(seed);
        ap.limits = topology.limits;
        for &spec in &topology.adapters {
            ap.plug(spec);
        }
        ap.set_masks(topology.aqm, topology.adm);
        for &fault in &topology.faults {
            ap.faults.add(fault);
        }
        ap
    }

    /// What QCI shows to the host.
    pub fn matrix(&self) -> Matrix {
        self.matrix
    }

    /// The timing.
    pub fn tunables_mut(&mut self) -> &mut Tunables {
        &mut self.tunables
    }

    /// The audit log.
    pub fn audit(&self) -> &AuditLog {
        &self.audit
    }

    /// How often each invariant of the auditor was violated.
    pub fn violations(&self) -> [u64; INVARIANTS] {
        self.auditor.counts()
    }

    /// Whether a violation ends in [`Effect::Stop`].
    pub fn set_stop_at_violation(&mut self, on: bool) {
        self.stop_at_violation = on;
    }

    /// Shows a record to the auditor and appends it; returns its number. What
    /// was violated follows, a record for each.
    pub(crate) fn log(&mut self, record: AuditRecord, guest: Option<Matrix>) -> u64 {
        let seq = self.audit.next_seq();
        let mut record = AuditRecord { seq, ..record };
        let machine = self.matrix;
        let found = self.auditor.observe(&record, &Scene { machine, guest });
        if found.is_empty() {
            return self.audit.push(record);
        }
        record.flags |= abi::AUDIT_VIOLATION;
        self.audit.push(record);
        for invariant in found {
            let op = abi::OP_VIOLATION;
            let tag = invariant as u64;
            self.audit.push(AuditRecord { op, tag, ..record });
        }
        if self.stop_at_violation {
            let apqn = Apqn::from_qid(record.apqn);
            self.effects.push(Effect::Stop(apqn, seq));
        }
        seq
    }

    /// Writes a mark into the audit log and returns its number.
    pub fn mark(&mut self, now: Ns, tag: u64) -> u64 {
        self.poll(now);
        let record = AuditRecord::of_event(self.now, abi::OP_MARK, Apqn::default());
        self.log(AuditRecord { tag, ..record }, None)
    }

    /// Puts a fault in force.
    pub fn inject(&mut self, fault: Fault) -> FaultId {
        self.faults.add(fault)
    }

    /// Clears one fault, or all; resets that it made stuck complete. Returns
    /// how many there were.
    pub fn clear_faults(&mut self, id: Option<FaultId>) -> usize {
        for apqn in self.used(None, None) {
            let now = self.now;
            self.queue_mut(apqn).release(id, now);
            self.reschedule(apqn);
        }
        self.faults.clear(id)
    }

    /// The oldest effect not fetched yet.
    pub fn next_effect(&mut self) -> Option<Effect> {
        self.effects.pop()
    }

    /// When [`Self::poll`] will have something to do.
    pub fn next_deadline(&self) -> Option<Ns> {
        self.agenda.first().map(|&(when, _)| when)
    }

    /// Does what is due by `now`.
    pub fn poll(&mut self, now: Ns) {
        self.now = self.now.max(now);
        while let Some(&(when, apqn)) = self.agenda.first() {
            if when > self.now {
                break;
            }
            self.advance(apqn);
            self.reschedule(apqn);
        }
    }

    /// All queues that the host has, by APQN.
    pub fn queues(&self) -> impl Iterator<Item = QueueView> + '_ {
        self.matrix.apqns().filter_map(|apqn| self.queue_view(apqn))
    }

    fn queue_view(&self, apqn: Apqn) -> Option<QueueView> {
        let adapter = self.adapters.get(&apqn.apid)?;
        let code = self.state_code(apqn).unwrap_or(ResponseCode::NORMAL);
        let queue = self.queues.get(&apqn);
        Some(QueueView {
            apqn,
            spec: adapter.spec,
            status: self.status(apqn, code),
            requests: queue.map_or(0, Queue::request_count),
            replies: queue.map_or(0, Queue::reply_count),
            epoch: queue.map_or(0, |q| q.epoch),
            enqueued: queue.map_or(0, |q| q.enqueued),
            dequeued: queue.map_or(0, |q| q.dequeued),
            nib: queue.and_then(|q| q.indicator()).map(|i| i.nib),
        })
    }

    /// Why a queue of the configuration does nothing at the moment.
    pub(crate) fn state_code(&self, apqn: Apqn) -> Option<ResponseCode> {
        let adapter = self.adapters.get(&apqn.apid)?;
        if !adapter.config {
            Some(ResponseCode::DECONFIGURED)
        } else if adapter.checkstop {
            Some(ResponseCode::CHECKSTOPPED)
        } else {
            self.queues.get(&apqn)?.code()
        }
    }

    /// The status word of a queue of the configuration.
    pub(crate) fn status(&self, apqn: Apqn, code: ResponseCode) -> QueueStatus {
        let status = match self.queues.get(&apqn) {
            Some(queue) => queue.status(code, DEPTH),
            None => QueueStatus::of(code).with(QueueStatus::EMPTY, true),
        };
        #[cfg(feature = "mutants")]
        let status = status.with(
            QueueStatus::EMPTY,
            status.is_empty() || self.mutant == Some(crate::Mutant::EmptyStuck),
        );
        status
    }

    pub(crate) fn queue_mut(&mut self, apqn: Apqn) -> &mut Queue {
        self.queues.entry(apqn).or_insert_with(Queue::new)
    }

    /// Brings the agenda up to date after anything happened in a queue.
    pub(crate) fn reschedule(&mut self, apqn: Apqn) {
        let Some(queue) = self.queues.get_mut(&apqn) else {
            return;
        };
        let deadline = queue.deadline();
        let scheduled = std::mem::replace(&mut queue.scheduled, deadline);
        if scheduled != deadline {
            self.agenda.extend(deadline.map(|when| (when, apqn)));
            if let Some(when) = scheduled {
                self.agenda.remove(&(when, apqn));
            }
        }
    }

    /// Throws the contents of a queue away, with a record for each message,
    /// and turns its interrupts off.
    pub(crate) fn discard(&mut self, apqn: Apqn) {
        let Some(queue) = self.queues.get_mut(&apqn) else {
            return;
        };
        for message in queue.clear() {
            self.log_message(abi::OP_DISCARD, apqn, &message, 0);
        }
        self.effects.cancel_indication(apqn);
        self.reschedule(apqn);
    }

    pub(crate) fn plug(&mut self, spec: AdapterSpec) {
        let adapter = Adapter::new(spec, self.seed, self.plugs);
        self.plugs += 1;
        self.adapters.insert(spec.apid, adapter);
    }

    /// New domain masks; the adapter mask follows the adapters.
    pub(crate) fn set_masks(&mut self, aqm: Aqm, adm: Adm) {
        let apm: Apm = self.adapters.keys().copied().collect();
        self.matrix = Matrix { apm, aqm, adm };
    }

    pub(crate) fn epoch(&self, apqn: Apqn) -> u32 {
        self.queues.get(&apqn).map_or(0, |q| q.epoch)
    }

    pub(crate) fn log_fault(&mut self, apqn: Apqn, id: FaultId) {
        self.log_event(abi::OP_FAULT, apqn, 0, id.0.into());
    }

    pub(crate) fn log_event(&mut self, op: u8, apqn: Apqn, length: u32, tag: u64) {
        let record = AuditRecord::of_event(self.now, op, apqn);
        let epoch = self.epoch(apqn);
        let record = AuditRecord {
            epoch,
            length,
            tag,
            ..record
        };
        self.log(record, None);
    }

    pub(crate) fn log_message(&mut self, op: u8, apqn: Apqn, message: &Message, flags: u8) {
        let record = AuditRecord::of_event(self.now, op, apqn);
        let special = match message.special {
            true => abi::AUDIT_SPECIAL,
            false => 0,
        };
        let Psmid(psmid) = message.psmid;
        let crycbd = match message.owner {
            Owner::Host => 0,
            Owner::Guest(crycb) => crycb,
        };
        let record = AuditRecord {
            crycbd,
            epoch: message.epoch,
            length: message.bytes.len() as u32,
            flags: flags | special,
            psmid,
            tag: message.tag,
            ..record
        };
        self.log(record, None);
    }

    /// All queues that were ever used, of one adapter or domain or of all.
    pub(crate) fn used(&self, apid: Option<Apid>, apqi: Option<Apqi>) -> Vec<Apqn> {
        let fits = |q: &Apqn| {
            apid.is_none_or(|apid| q.apid == apid) && apqi.is_none_or(|apqi| q.apqi == apqi)
        };
        self.queues.keys().copied().filter(fits).collect()
    }
}
