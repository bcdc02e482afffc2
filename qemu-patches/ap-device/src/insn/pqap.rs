// SPDX-License-Identifier: MIT OR Apache-2.0
//! PROCESS ADJUNCT PROCESSOR QUEUE.

use ap_arch::{Apqn, AqicControl, FunctionCode, PqapGr0, QactInfo, Qci, QciFlags, ResponseCode};

use super::Verdict;
use crate::abi;
use crate::queue::QueueReset;
use crate::{Act, Ap, Context, Done, Indicator, Issuer, Limits, Outcome, Program, Trigger};

impl Ap {
    /// Executes PQAP with the given general registers 0 to 2.
    pub fn pqap(&mut self, ctx: &Context, gr0: u64, gr1: u64, gr2: u64) -> Outcome {
        self.poll(ctx.now);
        let gr0 = PqapGr0(gr0);
        let apqn = gr0.apqn();
        let flags = [(gr0.t(), abi::AUDIT_T), (gr0.f(), abi::AUDIT_F)];
        let op = gr0.function().map_or(abi::OP_UNKNOWN, FunctionCode::code);
        let mut record = Self::record(ctx, op, apqn, &flags);
        if op == FunctionCode::Aqic.code() {
            (record.psmid, record.tag) = (gr1, gr2);
        }
        let outcome = match self.check_form(ctx, gr0, gr2) {
            Err(program) => Err(program),
            Ok(FunctionCode::Qci) => {
                let (done, injected) = self.qci(ctx);
                record.flags |= injected;
                Ok(done)
            }
            Ok(function) => {
                let verdict = self.verdict(ctx, apqn, trigger(function));
                let (done, injected) = match function {
                    FunctionCode::Rapq => self.reset_queue(apqn, verdict, QueueReset::Rapq),
                    FunctionCode::Zapq => self.reset_queue(apqn, verdict, QueueReset::Zapq),
                    FunctionCode::Aqic => self.aqic(ctx, apqn, verdict, AqicControl(gr1), gr2),
                    FunctionCode::Qact => self.qact(apqn, verdict, QactInfo(gr1)),
                    _ => self.tapq(apqn, verdict, gr0.t()),
                };
                record.flags |= injected;
                Ok(done)
            }
        };
        self.log_outcome(ctx, record, &outcome);
        outcome
    }

    /// Specification exceptions, see `handle_pqap` in Linux
    /// `arch/s390/kvm/priv.c`. Bit 41 is defined for three functions only.
    fn check_form(&self, ctx: &Context, gr0: PqapGr0, gr2: u64) -> Result<FunctionCode, Program> {
        let apft = ctx.facilities.apft;
        #[cfg(feature = "mutants")]
        let apft = apft && self.mutant != Some(crate::Mutant::NoApft);

        let function = gr0.function().ok_or(Program::Specification)?;
        let function_is_there = match function {
            FunctionCode::Tapq | FunctionCode::Rapq | FunctionCode::Zapq | FunctionCode::Qact => {
                true
            }
            FunctionCode::Aqic => ctx.facilities.aqic,
            FunctionCode::Qci => ctx.facilities.qci && gr2.is_multiple_of(8),
            // for secure-execution guests, which there are none of
            FunctionCode::Qbap | FunctionCode::Bapq | FunctionCode::Aapq => false,
        };
        let takes_f = matches!(
            function,
            FunctionCode::Rapq | FunctionCode::Zapq | FunctionCode::Qact
        );
        let good = function_is_there
            && !gr0.has_reserved_bits()
            && (!gr0.f() || takes_f)
            && (!gr0.t() || apft)
            && ctx.addressable(gr0.apqn());
        if good {
            Ok(function)
        } else {
            Err(Program::Specification)
        }
    }

    /// GR2 tells about the adapter unless the queue is absent; Linux warns if
    /// it is empty for a deconfigured or checkstopped one.
    fn tapq(&mut self, apqn: Apqn, verdict: Verdict, t: bool) -> (Done, u8) {
        let info = match (verdict, self.adapters.get(&apqn.apid)) {
            (Verdict::Absent, _) | (_, None) => 0,
            (_, Some(adapter)) => adapter.tapq_info(t, self.limits.nd).0,
        };
        let (status, injected) = self.conclude(apqn, Some(Trigger::Tapq), verdict);
        let done = Done {
            gr2: Some(info),
            ..Done::with_status(status)
        };
        (done, injected)
    }

    /// RAPQ and ZAPQ: contents and interrupts die when it is accepted; until
    /// completion every instruction is told so. GR2 is preserved.
    fn reset_queue(&mut self, apqn: Apqn, verdict: Verdict, kind: QueueReset) -> (Done, u8) {
        let on = match kind {
            QueueReset::Rapq => Trigger::Rapq,
            QueueReset::Zapq => Trigger::Zapq,
        };
        let mut struck = 0;
        if verdict == Verdict::Ready {
            let until = self.now.after(self.duration(on, apqn));
            let wanted = |act| matches!(act, Act::Stuck | Act::Keep);
            let fault = self.faults.act(on, apqn, wanted);
            if let Some((id, _)) = fault {
                self.strike(apqn, id);
                struck = abi::AUDIT_INJECTED;
            }
            #[cfg(feature = "mutants")]
            let kept = self.mutant_keeps_reply(apqn, kind);
            if !matches!(fault, Some((_, Act::Keep))) {
                self.discard(apqn);
            }
            match fault {
                Some((id, Act::Stuck)) => self.queue_mut(apqn).start_stuck_reset(kind, id),
                _ => self.queue_mut(apqn).start_reset(kind, until),
            }
            #[cfg(feature = "mutants")]
            kept.into_iter().for_each(|m| self.queue_mut(apqn).reply(m));
            self.reschedule(apqn);
        }
        let (status, injected) = self.conclude(apqn, Some(on), verdict);
        (Done::with_status(status), injected | struck)
    }

    #[cfg(feature = "mutants")]
    fn mutant_keeps_reply(&self, apqn: Apqn, kind: QueueReset) -> Option<crate::queue::Message> {
        let keeps = self.mutant == Some(crate::Mutant::ZapqKeepsReply) && kind == QueueReset::Zapq;
        let queue = self.queues.get(&apqn).filter(|_| keeps)?;
        queue.first_reply().cloned()
    }

    /// Interrupts on or off. For a guest this always intercepts, since the
    /// host has to translate the address; should the emulator let one through,
    /// a guest's address is at least not used as a host's.
    fn aqic(
        &mut self,
        ctx: &Context,
        apqn: Apqn,
        verdict: Verdict,
        control: AqicControl,
        nib: u64,
    ) -> (Done, u8) {
        let wanted = self.queues.get(&apqn).is_some_and(|q| q.irq_wanted());
        let installed = |address: u64| address != 0 && address < ctx.storage_end;
        let gisa = u64::from(control.gisa_origin());
        let verdict = verdict.and(|| {
            if ctx.issuer != Issuer::Host || control.ir() && !installed(nib) {
                Some(ResponseCode::INVALID_ADDRESS)
            } else if control.ir() && gisa != 0 && !installed(gisa) {
                Some(ResponseCode::INVALID_GISA)
            } else if control.ir() == wanted {
                Some(ResponseCode::OTHERWISE_CHANGED)
            } else {
                None
            }
        });
        if verdict == Verdict::Ready && control.ir() {
            let from = self.now.after(self.duration(Trigger::Aqic, apqn));
            self.queue_mut(apqn)
                .irq_on(Indicator { nib, control }, from);
            self.reschedule(apqn);
        } else if verdict == Verdict::Ready {
            self.queue_mut(apqn).irq_off();
            self.effects.cancel_indication(apqn);
            self.reschedule(apqn);
        }
        let (status, injected) = self.conclude(apqn, Some(Trigger::Aqic), verdict);
        (Done::with_status(status), injected)
    }

    /// The configuration, reduced to what the issuer has. Leaves GR1 and the
    /// condition code's meaning alone: Linux keeps its own value in GR1.
    fn qci(&mut self, ctx: &Context) -> (Done, u8) {
        let truth = ctx.effective(self.matrix);
        let lies = self.faults.lies(ctx.issuer != Issuer::Host);
        let matrix = lies.iter().fold(truth, |m, (_, scope)| scope.contradict(m));
        for &(id, _) in &lies {
            self.strike(Apqn::default(), id);
        }
        let injected = match lies.is_empty() {
            true => 0,
            false => abi::AUDIT_INJECTED,
        };
        let flags = QciFlags::APSC.with(QciFlags::QACT);
        let (flags, na, nd) = match ctx.apxa() {
            true => {
                let Limits { na, nd } = self.limits;
                (flags.with(QciFlags::APXA), na.get(), nd.get())
            }
            false => (flags, 63, 15),
        };
        let qci = Qci {
            flags,
            na,
            nd,
            matrix,
        };
        let done = Done {
            block: Some(qci.to_bytes()),
            ..Done::default()
        };
        #[cfg(feature = "mutants")]
        let done = match self.mutant {
            Some(crate::Mutant::QciClobbersGr1) => Done {
                gr1: Some(0),
                ..done
            },
            _ => done,
        };
        (done, injected)
    }

    fn qact(&mut self, apqn: Apqn, verdict: Verdict, question: QactInfo) -> (Done, u8) {
        let adapter = self.adapters.get(&apqn.apid);
        let answer = adapter
            .filter(|_| verdict == Verdict::Ready)
            .map(|adapter| adapter.compatible(question).0);
        let (status, injected) = self.conclude(apqn, None, verdict);
        let done = Done {
            gr2: answer,
            ..Done::with_status(status)
        };
        (done, injected)
    }
}

/// What faults call a function.
fn trigger(function: FunctionCode) -> Option<Trigger> {
    match function {
        FunctionCode::Tapq => Some(Trigger::Tapq),
        FunctionCode::Rapq => Some(Trigger::Rapq),
        FunctionCode::Zapq => Some(Trigger::Zapq),
        FunctionCode::Aqic => Some(Trigger::Aqic),
        _ => None,
    }
}
