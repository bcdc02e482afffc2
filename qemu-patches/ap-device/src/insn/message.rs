// SPDX-License-Identifier: MIT OR Apache-2.0
//! ENQUEUE TO and DEQUEUE FROM ADJUNCT PROCESSOR QUEUE.
//!
//! Storage belongs to the emulator, and access exceptions must not change
//! anything here. So both come in two steps: NQAP asks first whether the
//! message is wanted; DQAP hands the bytes out first and dequeues only after
//! they are stored.

use ap_arch::{DqapGr0, NqapGr0, Psmid, ResponseCode};

use super::Verdict;
use crate::abi;
use crate::adapter::DEPTH;
use crate::queue::{Message, Request};
use crate::{Ap, Context, Done, Fault, Outcome, Program, Trigger};

impl Ap {
    /// How many bytes of a message NQAP is going to look at: all or none.
    pub fn nqap_want(&mut self, ctx: &Context, gr0: u64, length: u64) -> u32 {
        self.poll(ctx.now);
        let gr0 = NqapGr0(gr0);
        let ready = check_nqap(ctx, gr0, length).is_ok()
            && self.nqap_verdict(ctx, gr0, length) == Verdict::Ready;
        match u32::try_from(length) {
            Ok(length) if ready => length,
            _ => 0,
        }
    }

    /// Executes NQAP: `length` is that of the message or part, `bytes` what
    /// was fetched of it, which may be nothing if nothing was wanted.
    pub fn nqap(
        &mut self,
        ctx: &Context,
        gr0: u64,
        psmid: Psmid,
        length: u64,
        bytes: &[u8],
    ) -> Outcome {
        self.poll(ctx.now);
        let gr0 = NqapGr0(gr0);
        let flags = [
            (!gr0.is_last(), abi::AUDIT_PARTIAL),
            (gr0.is_special(), abi::AUDIT_SPECIAL),
        ];
        let mut record = Self::record(ctx, abi::OP_NQAP, gr0.apqn(), &flags);
        record.psmid = psmid.0;
        let outcome = check_nqap(ctx, gr0, length).map(|()| {
            let (done, tag, injected) = self.enqueue(ctx, gr0, psmid, length, bytes);
            record.tag = tag;
            record.flags |= injected;
            done
        });
        self.log_outcome(ctx, record, &outcome);
        outcome
    }

    fn nqap_verdict(&self, ctx: &Context, gr0: NqapGr0, length: u64) -> Verdict {
        let apqn = gr0.apqn();
        self.verdict(ctx, apqn, Some(Trigger::Nqap)).and(|| {
            let adapter = self.adapters.get(&apqn.apid)?;
            let held = self.queues.get(&apqn).map_or(0, |q| q.held());
            let special = adapter.spec.mode.functions();
            if gr0.is_special() && !special.contains(ap_arch::ApFunctions::APSC) {
                Some(ResponseCode::FACILITY_NOT_INSTALLED)
            } else if length > adapter.max_message() as u64 {
                Some(ResponseCode::MESSAGE_TOO_BIG)
            } else if held >= usize::from(DEPTH) {
                Some(ResponseCode::QUEUE_FULL)
            } else {
                None
            }
        })
    }

    /// Also returns the digest of the message and audit flags.
    fn enqueue(
        &mut self,
        ctx: &Context,
        gr0: NqapGr0,
        psmid: Psmid,
        length: u64,
        bytes: &[u8],
    ) -> (Done, u64, u8) {
        let apqn = gr0.apqn();
        let owner = ctx.owner();
        let before = self
            .queues
            .get(&apqn)
            .map_or(0, |q| q.part_len(owner, psmid));
        let most = self.adapters.get(&apqn.apid).map_or(0, |a| a.max_message());
        let verdict = self.nqap_verdict(ctx, gr0, length).and(|| {
            if bytes.len() as u64 != length {
                // the emulator did not fetch what it was asked to
                Some(ResponseCode::BUSY)
            } else if before + bytes.len() > most {
                Some(ResponseCode::MESSAGE_TOO_BIG)
            } else {
                None
            }
        });
        let mut moved = 0;
        let mut tag = 0;
        if verdict == Verdict::Ready {
            moved = bytes.len() as u32;
            if gr0.is_last() {
                let mut all = self.queue_mut(apqn).take_part(owner, psmid);
                all.extend_from_slice(bytes);
                tag = self.audit.digest(&all);
                let message = Message {
                    psmid,
                    bytes: all,
                    owner,
                    epoch: self.epoch(apqn),
                    special: gr0.is_special(),
                    control: ctx.effective(self.matrix).adm,
                    tag,
                };
                self.accept(apqn, message);
            } else {
                self.queue_mut(apqn).add_part(owner, psmid, bytes);
            }
        }
        let (status, injected) = self.conclude(apqn, Some(Trigger::Nqap), verdict);
        let mut done = Done::with_status(status);
        done.moved = moved;
        if moved > 0 && !gr0.is_last() {
            done.cc = 1;
        }
        (done, tag, injected)
    }

    /// Puts a complete request into its queue.
    fn accept(&mut self, apqn: ap_arch::Apqn, message: Message) {
        let due = self.now.after(self.duration(Trigger::Reply, apqn));
        // those with an act count when the reply is there
        let counted = |fault: &Fault| fault.act.is_none();
        self.faults.pass(Trigger::Reply, apqn, counted);
        self.queue_mut(apqn).enqueue(Request {
            message,
            due,
            moved: false,
        });
        self.reschedule(apqn);
    }

    /// The bytes of a reply that [`Self::dqap`] with the same arguments will
    /// move. None if it will not move any.
    pub fn dqap_peek(&mut self, ctx: &Context, gr0: u64, length: u64) -> &[u8] {
        self.poll(ctx.now);
        let gr0 = DqapGr0(gr0);
        let ready =
            check_dqap(ctx, gr0, length).is_ok() && self.dqap_verdict(ctx, gr0) == Verdict::Ready;
        let reply = self.queues.get(&gr0.apqn()).and_then(|q| q.first_reply());
        match reply {
            Some(reply) if ready => {
                let from = self.dqap_from(gr0).min(reply.bytes.len());
                let rest = &reply.bytes[from..];
                &rest[..rest.len().min(clamp(length))]
            }
            _ => &[],
        }
    }

    /// Executes DQAP into an area of `length` bytes. Does not let time pass,
    /// so that it finds the queue as [`Self::dqap_peek`] did.
    pub fn dqap(&mut self, ctx: &Context, gr0: u64, length: u64) -> Outcome {
        let gr0 = DqapGr0(gr0);
        let mut record = Self::record(ctx, abi::OP_DQAP, gr0.apqn(), &[]);
        let outcome = check_dqap(ctx, gr0, length).map(|()| {
            let reply = self.queues.get(&gr0.apqn()).and_then(|q| q.first_reply());
            let (psmid, tag) = reply.map_or((0, 0), |r| (r.psmid.0, r.tag));
            let (done, injected) = self.dequeue(ctx, gr0, clamp(length));
            if done.moved > 0 || done.psmid.is_some() {
                (record.psmid, record.tag) = (psmid, tag);
            }
            record.flags |= injected;
            done
        });
        if let Ok(Done { cc: 1, .. }) = outcome {
            record.flags |= abi::AUDIT_PARTIAL;
        }
        self.log_outcome(ctx, record, &outcome);
        outcome
    }

    fn dqap_verdict(&self, ctx: &Context, gr0: DqapGr0) -> Verdict {
        let apqn = gr0.apqn();
        self.verdict(ctx, apqn, Some(Trigger::Dqap)).and(|| {
            let queue = self.queues.get(&apqn);
            if !gr0.is_first() && queue.and_then(|q| q.offset()).is_none() {
                Some(ResponseCode::NO_FIRST_PART)
            } else if queue.is_none_or(|q| q.first_reply().is_none()) {
                Some(ResponseCode::NO_PENDING_REPLY)
            } else {
                None
            }
        })
    }

    /// Where in the first reply DQAP begins. The queue remembers, since Linux
    /// clears the register that counts what is left before it goes on.
    fn dqap_from(&self, gr0: DqapGr0) -> usize {
        let queue = self.queues.get(&gr0.apqn());
        match queue.and_then(|q| q.offset()) {
            Some(offset) if !gr0.is_first() => offset,
            _ => 0,
        }
    }

    fn dequeue(&mut self, ctx: &Context, gr0: DqapGr0, room: usize) -> (Done, u8) {
        let apqn = gr0.apqn();
        let verdict = self.dqap_verdict(ctx, gr0);
        if verdict != Verdict::Ready {
            let (status, injected) = self.conclude(apqn, Some(Trigger::Dqap), verdict);
            return (Done::with_status(status), injected);
        }
        let from = self.dqap_from(gr0);
        let queue = self.queue_mut(apqn);
        let total = queue.first_reply().map_or(0, |r| r.bytes.len());
        let left = total.saturating_sub(from);
        let moved = left.min(room);
        if moved < left {
            queue.dequeue_part(from + moved);
            self.faults.pass(Trigger::Dqap, apqn, |_| true);
            let done = Done {
                cc: 1,
                gr0: Some(gr0.continued().0),
                gr2: Some((left - moved) as u64),
                moved: moved as u32,
                ..Done::default()
            };
            return (done, 0);
        }
        let reply = queue.dequeue();
        let (status, injected) = self.conclude(apqn, Some(Trigger::Dqap), verdict);
        let done = Done {
            gr2: Some(0),
            psmid: reply.map(|r| r.psmid),
            moved: moved as u32,
            ..Done::with_status(status)
        };
        (done, injected)
    }
}

/// A length as far as it matters: no message is longer than the limit.
fn clamp(length: u64) -> usize {
    length.min(abi::MAX_MESSAGE as u64) as usize
}

/// Specification exceptions of NQAP. A message too long is the adapter's to
/// refuse, by response code.
fn check_nqap(ctx: &Context, gr0: NqapGr0, length: u64) -> Result<(), Program> {
    if gr0.has_reserved_bits() || length == 0 || !ctx.addressable(gr0.apqn()) {
        return Err(Program::Specification);
    }
    Ok(())
}

/// Specification exceptions of DQAP. There is no upper limit to the length:
/// Linux gives every queue an area for the longest message of any adapter.
fn check_dqap(ctx: &Context, gr0: DqapGr0, length: u64) -> Result<(), Program> {
    if gr0.has_reserved_bits() || length == 0 || !ctx.addressable(gr0.apqn()) {
        return Err(Program::Specification);
    }
    Ok(())
}
