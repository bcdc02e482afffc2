// SPDX-License-Identifier: GPL-2.0
//! Interrupts of one queue for its guest.
//!
//! What they use, and when that may be let go, is in the [`Ledger`]; here it is
//! locked, and the instructions are issued. Nobody has the lock for longer than
//! that, so a reset or the bus never waits for a guest.

use core::mem::forget;

use kernel::prelude::*;
use kernel::sync::new_mutex;
use kernel::time::delay::fsleep;
use kernel::time::Delta;

use crate::abi::{insn, Byte, Gisc};
use crate::ap_arch::{Apqn, AqicControl, QueueStatus};
use crate::locks::Lock;
use crate::rules::order::{self, Before, Free, Held, MayWait};
use crate::rules::{DisableRun, DisableStep, Disabled, Enabled, Ledger, MdevId};

/// Time between two tries to disable. Linux `vfio_ap_irq_disable`.
const INTERVAL: Delta = Delta::from_millis(20);

/// What the hardware uses to interrupt a guest. It stays as it is until dropped,
/// whatever becomes of the guest and its memory.
pub(crate) struct Registration {
    pub(crate) owner: MdevId,
    pub(crate) gisc: Gisc,
    pub(crate) byte: Byte,
}

/// The interrupts of a queue. The lock is held for single instructions, and
/// inside it the model's may be taken.
#[pin_data]
pub(crate) struct Interrupts {
    apqn: Apqn,
    #[pin]
    state: Lock<order::Interrupts, Ledger<Registration>>,
}

impl Interrupts {
    pub(crate) fn new(apqn: Apqn) -> impl PinInit<Self> {
        pin_init!(Self {
            apqn,
            state <- Lock::new(new_mutex!(Ledger::new(), "vfio_ap::Interrupts::state")),
        })
    }

    /// Issues a ZAPQ. An AQIC comes before it, or finds the queue taken away.
    pub(crate) fn zapq(&self, held: &mut Held<'_, order::Run>) -> QueueStatus {
        let mut state = self.state.lock(held);
        state.zapq();
        insn::zapq(self.apqn)
    }

    /// The last ZAPQ is done, or the queue is gone. What was used before it is
    /// returned: the last part of a machine may go with it, which takes time.
    pub(crate) fn reset_done(&self, free: &mut Free<'_>) -> Option<Registration> {
        self.state.lock(free).reset_done()
    }

    /// The guest enables: `plugged` tells whether it still has the queue.
    pub(crate) fn enable(
        &self,
        held: &mut Held<'_, order::Pins>,
        new: Registration,
        plugged: impl Fn(&mut Held<'_, order::Interrupts>) -> bool,
    ) -> QueueStatus {
        let (status, enabled) = self.turn_on(held, new, &plugged);
        let Enabled::Anothers(new) = enabled else {
            return status;
        };
        if !self.turn_off(held, |held, _| plugged(held)).is_off() {
            return status;
        }
        self.turn_on(held, new, &plugged).0
    }

    fn turn_on(
        &self,
        held: &mut Held<'_, order::Pins>,
        new: Registration,
        plugged: impl Fn(&mut Held<'_, order::Interrupts>) -> bool,
    ) -> (QueueStatus, Enabled<Registration>) {
        let control = AqicControl::enable(new.gisc.nisc())
            .with_gisc(new.gisc.isc())
            .with_gisa(new.gisc.gisa(), 0);
        let mut locked = self.state.lock(held);
        let (held, state) = locked.parts();
        let plugged = plugged(held);
        state.enable(plugged, new, |new| {
            insn::aqic(self.apqn, control, new.byte.phys())
        })
    }

    /// The guest disables.
    pub(crate) fn disable(
        &self,
        held: &mut Held<'_, order::Pins>,
        plugged: impl Fn(&mut Held<'_, order::Interrupts>) -> bool,
    ) -> DisableRun {
        self.turn_off(held, |held, _| plugged(held))
    }

    /// Memory of an mdev's guest is unmapped that interrupts may use. If they
    /// cannot be disabled, they keep it until a reset is done.
    pub(crate) fn unmapped(&self, held: &mut Held<'_, order::Pins>, owner: MdevId) {
        // what the queue was reset from is not used, and it may be another's
        self.turn_off(held, |_, ledger| ledger.holds(|made| made.owner == owner));
    }

    /// The AP bus takes the queue.
    pub(crate) fn unbind(&self, free: &mut Free<'_>) {
        self.turn_off(free, |_, ledger| ledger.holds(|_| true));
        let Some(used) = self.state.lock(free).retire() else {
            return;
        };
        pr_warn!(
            "interrupts of queue {} could not be disabled: what they use is never freed\n",
            self.apqn
        );
        forget(used);
    }

    /// Disables in hardware, as long as that `may` be done.
    fn turn_off<H: MayWait + Before<order::Interrupts>>(
        &self,
        held: &mut Held<'_, H>,
        may: impl Fn(&mut Held<'_, order::Interrupts>, &Ledger<Registration>) -> bool,
    ) -> DisableRun {
        let mut run = DisableRun::new();
        loop {
            let mut locked = self.state.lock(held);
            let (held, state) = locked.parts();
            let may = may(held, state);
            let disabled = state.disable(may, &mut run, |step| match step {
                DisableStep::Aqic => insn::aqic(self.apqn, AqicControl::disable(), 0),
                DisableStep::Tapq => insn::tapq(self.apqn),
            });
            drop(locked);
            match disabled {
                Disabled::Pending => fsleep(INTERVAL),
                Disabled::Over(_unused) => return run,
            }
        }
    }
}
