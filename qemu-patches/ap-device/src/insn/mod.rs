// SPDX-License-Identifier: MIT OR Apache-2.0
//! The instructions.
//!
//! Each runs through the same stations, in the architecture's order:
//!
//! 1. form: specification exceptions (operation, privileged and access
//!    exceptions are the emulator's);
//! 2. [`Ap::verdict`]: why the queue does not take the instruction, if so;
//! 3. the operation;
//! 4. status word, condition code, audit record.

mod message;
mod pqap;

use ap_arch::{Apqn, QueueStatus, ResponseCode};

use crate::abi::{self, AuditRecord};
use crate::queue::Queue;
use crate::{Act, Ap, Context, FaultId, Issuer, Outcome, Trigger};

/// What the queue says to an instruction.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Verdict {
    /// The issuer has no such queue. Tells nothing about it but that.
    Absent,
    /// The queue answers with this code and does nothing.
    Refused(ResponseCode),
    /// It does nothing of what it should, because of a fault.
    Faulty(FaultId, Act),
    /// The queue takes it.
    Ready,
}

impl Verdict {
    /// The verdict of a further check, if all before passed.
    fn and(self, further: impl FnOnce() -> Option<ResponseCode>) -> Self {
        match self {
            Self::Ready => further().map_or(Self::Ready, Self::Refused),
            verdict => verdict,
        }
    }
}

impl Ap {
    /// What the queue says to an instruction by `ctx`, before it looks at the
    /// particulars. Changes nothing.
    ///
    /// Absence comes before faults, so that whatever is scripted, a guest's
    /// masks hold, but for the one fault that is about them.
    fn verdict(&self, ctx: &Context, apqn: Apqn, on: Option<Trigger>) -> Verdict {
        let fault = |wanted: fn(Act) -> bool| self.faults.act(on?, apqn, wanted);
        if !ctx.effective(self.matrix).contains(apqn) {
            let there = self.matrix.contains(apqn);
            if !there || fault(|act| act == Act::Expose).is_none() {
                return Verdict::Absent;
            }
        }
        let answers = |act| matches!(act, Act::Code(_) | Act::Async(_) | Act::Checkstop);
        if let Some((id, act)) = fault(answers) {
            return Verdict::Faulty(id, act);
        }
        let failed = self.queues.get(&apqn).is_some_and(Queue::has_failed);
        match self.state_code(apqn) {
            // a reset is what ends the failure
            Some(_) if failed && on.is_some_and(Trigger::resets) => Verdict::Ready,
            Some(code) => Verdict::Refused(code),
            None => Verdict::Ready,
        }
    }

    /// Lets the fault strike that a verdict names, and gives the status word
    /// for it as the queue then is. Returns audit flags, too.
    fn conclude(&mut self, apqn: Apqn, on: Option<Trigger>, verdict: Verdict) -> (QueueStatus, u8) {
        if let (Some(on), false) = (on, verdict == Verdict::Absent) {
            self.faults.pass(on, apqn, |_| true);
        }
        match verdict {
            Verdict::Absent => (QueueStatus::of(ResponseCode::NOT_AVAILABLE), 0),
            Verdict::Refused(code) => (self.status(apqn, code), 0),
            Verdict::Faulty(id, act) => {
                self.strike(apqn, id);
                let code = match act {
                    Act::Checkstop => {
                        self.fail_adapter(apqn.apid);
                        ResponseCode::CHECKSTOPPED
                    }
                    Act::Async(code) => {
                        self.queue_mut(apqn).fail(ResponseCode(code));
                        self.reschedule(apqn);
                        ResponseCode(code)
                    }
                    Act::Code(code) => ResponseCode(code),
                    // no verdict names others
                    _ => ResponseCode::BUSY,
                };
                (self.status(apqn, code), abi::AUDIT_INJECTED)
            }
            Verdict::Ready => (self.status(apqn, ResponseCode::NORMAL), 0),
        }
    }

    /// Completes the record of an instruction with its outcome and logs it.
    fn log_outcome(&mut self, ctx: &Context, record: AuditRecord, outcome: &Outcome) {
        let apqn = Apqn::from_qid(record.apqn);
        let mut record = AuditRecord {
            epoch: self.epoch(apqn),
            ..record
        };
        match outcome {
            Ok(done) => {
                record.cc = done.cc;
                record.status = done.status().map_or(0, |s| s.0);
                record.length = done.moved;
            }
            Err(_) => record.cc = 0xff,
        }
        let guest = match ctx.issuer {
            Issuer::Host => None,
            Issuer::Guest(_) => Some(ctx.effective(self.matrix)),
        };
        self.log(record, guest);
    }

    /// The record of an instruction, to be completed by [`Self::log_outcome`].
    fn record(ctx: &Context, op: u8, apqn: Apqn, flags: &[(bool, u8)]) -> AuditRecord {
        let on = flags.iter().filter(|(on, _)| *on);
        AuditRecord {
            flags: on.fold(0, |all, (_, flag)| all | flag),
            ..AuditRecord::of_insn(ctx, op, apqn)
        }
    }
}
