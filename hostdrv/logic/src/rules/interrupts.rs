// SPDX-License-Identifier: MIT OR Apache-2.0
//! What the hardware uses while a queue's interrupts are on, and when that may
//! be let go: when they are certainly off, or a ZAPQ that was issued after they
//! were enabled is done. Until then the hardware may write to it.
//!
//! Each call is made under the queue's lock, with the instructions that it
//! issues. So whether an instruction may be issued, how it is answered, and what
//! follows from that is one step. Between two steps anything can happen: the
//! queue may be reset, given to another guest, or taken by the bus.

use crate::ap_arch::{QueueStatus, ResponseCode};

/// The interrupt of one queue; `R` is what it uses. What is returned is to be
/// let go, without the lock that guards this.
#[derive(Debug)]
pub struct Ledger<R> {
    held: Option<Use<R>>,
    zapqs: u64,
    retired: bool,
}

#[derive(Debug)]
struct Use<R> {
    of: R,
    /// How many ZAPQs had been issued when interrupts were enabled.
    zapqs: u64,
}

/// What became of enabling.
#[derive(PartialEq, Eq, Debug)]
pub enum Enabled<R> {
    /// Interrupts are on, and what was used before is no longer.
    On(Option<R>),
    /// They were not enabled: the new is not used.
    Not(R),
    /// Nor can they be before they are off: somebody else enabled them. The AP
    /// bus does so for itself when it makes a queue.
    Anothers(R),
}

/// What became of disabling.
#[derive(PartialEq, Eq, Debug)]
pub enum Disabled<R> {
    /// Not known yet: it is to be tried again after a while.
    Pending,
    /// There is nothing more to try. What is no longer used, if that is certain.
    Over(Option<R>),
}

impl<R> Ledger<R> {
    /// No interrupt.
    pub const fn new() -> Self {
        Self {
            held: None,
            zapqs: 0,
            retired: false,
        }
    }

    /// Issues an AQIC that enables, if that `may` be.
    pub fn enable(
        &mut self,
        may: bool,
        new: R,
        aqic: impl FnOnce(&R) -> QueueStatus,
    ) -> (QueueStatus, Enabled<R>) {
        if !may || self.retired {
            let status = QueueStatus::of(ResponseCode::NOT_AVAILABLE);
            return (status, Enabled::Not(new));
        }
        let status = aqic(&new);
        let enabled = match status.code() {
            ResponseCode::NORMAL => {
                let zapqs = self.zapqs;
                let old = self.held.replace(Use { of: new, zapqs });
                Enabled::On(old.map(|held| held.of))
            }
            ResponseCode::OTHERWISE_CHANGED if self.held.is_none() => Enabled::Anothers(new),
            _ => Enabled::Not(new),
        };
        (status, enabled)
    }

    /// The next instructions to disable, if they `may` be issued: another guest
    /// may have the queue by now.
    pub fn disable(
        &mut self,
        may: bool,
        run: &mut DisableRun,
        issue: impl FnMut(DisableStep) -> QueueStatus,
    ) -> Disabled<R> {
        if !may || self.retired {
            return Disabled::Over(None);
        }
        match run.advance(issue) {
            None => Disabled::Pending,
            Some(certain) => Disabled::Over(self.take_if(|_| certain)),
        }
    }

    /// A ZAPQ is issued.
    pub fn zapq(&mut self) {
        self.zapqs += 1;
    }

    /// The last ZAPQ is done, or the queue is gone: what was enabled before it
    /// is off.
    pub fn reset_done(&mut self) -> Option<R> {
        let last = self.zapqs;
        self.take_if(|held| held.zapqs < last)
    }

    /// Whether something is used, of which the condition holds.
    pub fn holds(&self, condition: impl FnOnce(&R) -> bool) -> bool {
        self.held.as_ref().is_some_and(|held| condition(&held.of))
    }

    /// The bus takes the queue: no AQIC is issued any more. What the hardware
    /// may go on to use: nobody will know when it no longer does.
    pub fn retire(&mut self) -> Option<R> {
        self.retired = true;
        self.take_if(|_| true)
    }

    fn take_if(&mut self, condition: impl FnOnce(&Use<R>) -> bool) -> Option<R> {
        let taken = self.held.take_if(|held| condition(held));
        taken.map(|held| held.of)
    }
}

impl<R> Default for Ledger<R> {
    fn default() -> Self {
        Self::new()
    }
}

/// An instruction that disables, or tells whether that is done.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum DisableStep {
    /// AQIC that disables.
    Aqic,
    /// TAPQ.
    Tapq,
}

/// How far disabling is. AQIC only starts it; TAPQ tells when interrupts are
/// off. Source: Linux `vfio_ap_irq_disable`, `vfio_ap_wait_for_irqclear` (for
/// codes and tries).
#[derive(Debug)]
pub struct DisableRun {
    answer: QueueStatus,
    accepted: bool,
    off: bool,
    tries: u32,
}

impl DisableRun {
    const AQIC_TRIES: u32 = 6;
    const TAPQ_TRIES: u32 = 5;

    /// Before the first AQIC.
    pub fn new() -> Self {
        Self {
            answer: QueueStatus::of(ResponseCode::NOT_AVAILABLE),
            accepted: false,
            off: false,
            tries: Self::AQIC_TRIES,
        }
    }

    /// What the last AQIC answered; if none was issued, what it would have
    /// answered to a guest that does not have the queue.
    pub fn answer(&self) -> QueueStatus {
        self.answer
    }

    /// Whether interrupts are certainly off.
    pub fn is_off(&self) -> bool {
        self.off
    }

    /// Issues what comes next; at the end tells whether interrupts are
    /// certainly off.
    fn advance(&mut self, mut issue: impl FnMut(DisableStep) -> QueueStatus) -> Option<bool> {
        if !self.accepted {
            self.answer = issue(DisableStep::Aqic);
            match self.answer.code() {
                ResponseCode::NORMAL | ResponseCode::OTHERWISE_CHANGED => {
                    (self.accepted, self.tries) = (true, Self::TAPQ_TRIES);
                }
                ResponseCode::RESET_IN_PROGRESS | ResponseCode::BUSY => return self.again(),
                code => return self.over(code == ResponseCode::NOT_AVAILABLE),
            }
        }
        let status = issue(DisableStep::Tapq);
        match status.code() {
            ResponseCode::NORMAL | ResponseCode::RESET_IN_PROGRESS if !status.irq_enabled() => {
                self.over(true)
            }
            ResponseCode::NORMAL | ResponseCode::RESET_IN_PROGRESS | ResponseCode::BUSY => {
                self.again()
            }
            code => self.over(code == ResponseCode::NOT_AVAILABLE),
        }
    }

    fn again(&mut self) -> Option<bool> {
        self.tries -= 1;
        (self.tries == 0).then_some(false)
    }

    fn over(&mut self, off: bool) -> Option<bool> {
        self.off = off;
        Some(off)
    }
}

impl Default for DisableRun {
    fn default() -> Self {
        Self::new()
    }
}
