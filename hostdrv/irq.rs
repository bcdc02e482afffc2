// SPDX-License-Identifier: GPL-2.0
//! Interrupts of one queue for its guest.
//!
//! When what an interrupt holds may be let go, and whose turn it is, is decided
//! by [`Ledger`]; here it is locked, and the instructions are issued.

use core::ops::Range;

use kernel::prelude::*;
use kernel::sync::{new_condvar, new_mutex, CondVar};
use kernel::time::delay::fsleep;
use kernel::time::Delta;

use crate::abi::{dbf, insn, Gisc, Pin as PinnedByte, Vcpu, VfioDevice};
use crate::ap_arch::{Apqn, AqicControl, QueueStatus, ResponseCode};
use crate::locks::Lock;
use crate::rules::order::{self, Before, Free, Held, MayWait};
use crate::rules::{Format, Ledger, Stamp};

/// Time between two tries, and how many tries. Linux `vfio_ap_irq_disable`,
/// `vfio_ap_wait_for_irqclear`.
const INTERVAL: Delta = Delta::from_millis(20);
const AQIC_TRIES: u32 = 6;
const TAPQ_TRIES: u32 = 5;

/// What an interrupt that is set up holds.
struct Registration {
    // first, as nothing is to be presented when the byte goes
    gisc: Gisc,
    pin: PinnedByte,
}

/// The interrupts of a queue. The lock is held for single instructions, and
/// inside it the model's may be taken.
#[pin_data]
pub(crate) struct Interrupts {
    apqn: Apqn,
    #[pin]
    state: Lock<order::Interrupts, Ledger<Registration>>,
    #[pin]
    turn_over: CondVar,
}

impl Interrupts {
    pub(crate) fn new(apqn: Apqn) -> impl PinInit<Self> {
        pin_init!(Self {
            apqn,
            state <- Lock::new(new_mutex!(Ledger::new(), "vfio_ap::Interrupts::state")),
            turn_over <- new_condvar!("vfio_ap::Interrupts::turn_over"),
        })
    }

    /// Issues a ZAPQ. An AQIC comes before it, or finds the queue taken away.
    pub(crate) fn zapq(&self, held: &mut Held<'_, order::Run>) -> QueueStatus {
        let mut state = self.state.lock(held);
        state.zapq();
        insn::zapq(self.apqn)
    }

    /// The last ZAPQ is done, or the queue is gone: what was set up before it
    /// is off.
    pub(crate) fn reset_done(&self, free: &mut Free<'_>) {
        self.take_turn(free, None);
        drop(self.end_turn(free, Ledger::reset_done));
    }

    /// The guest enables: `plugged` tells whether it still has the queue.
    pub(crate) fn enable(
        &self,
        held: &mut Held<'_, order::Machine>,
        vcpu: &Vcpu<'_>,
        device: VfioDevice,
        isc: u8,
        nib: u64,
        plugged: impl Fn(&mut Held<'_, order::Interrupts>) -> bool,
    ) -> QueueStatus {
        if nib == 0 || !vcpu.has_gpa(nib) {
            let format = const { Format::new(c"invalid NIB address: nib=%lx, apqn=%04lx\n") };
            return self.invalid_address(format, nib);
        }
        self.take_turn(held, Some(nib));
        let made = PinnedByte::new(vcpu, device, nib)
            .filter(|pin| vcpu.shares(pin))
            .and_then(|pin| Some((vcpu.register(isc)?, pin)));
        let Some((gisc, pin)) = made else {
            self.end_turn(held, |_| ());
            let format = const { Format::new(c"pinning or gisc failed: nib=%lx, apqn=%04lx\n") };
            return self.invalid_address(format, nib);
        };
        let made = Registration { gisc, pin };
        let (mut status, mut stamp) = self.turn_on(held, &made, &plugged);
        let anothers = self.state.lock(held).is_anothers(status.code());
        if anothers && self.turn_off(held).1 {
            (status, stamp) = self.turn_on(held, &made, &plugged);
        }
        drop(self.end_turn(held, |state| state.enabled(status.code(), made, stamp)));
        if status.code() != ResponseCode::NORMAL {
            let numbers = [status.code().0.into(), self.apqn.to_qid().into()];
            let format = const { Format::new(c"PQAP(AQIC) failed: rc=%02lx, apqn=%04lx\n") };
            dbf::warn(format, numbers);
        }
        status
    }

    /// Enables in hardware, if the guest still has the queue.
    fn turn_on(
        &self,
        held: &mut Held<'_, order::Machine>,
        made: &Registration,
        plugged: impl Fn(&mut Held<'_, order::Interrupts>) -> bool,
    ) -> (QueueStatus, Stamp) {
        let control = AqicControl::enable(made.gisc.nisc())
            .with_gisc(made.gisc.isc())
            .with_gisa(made.gisc.gisa(), 0);
        let mut locked = self.state.lock(held);
        let (held, state) = locked.parts();
        let status = if plugged(held) {
            insn::aqic(self.apqn, control, made.pin.phys())
        } else {
            QueueStatus::of(ResponseCode::NOT_AVAILABLE)
        };
        (status, state.aqic())
    }

    /// The guest disables.
    pub(crate) fn disable(&self, held: &mut Held<'_, order::Machine>) -> QueueStatus {
        self.take_turn(held, None);
        let (status, off) = self.turn_off(held);
        drop(self.end_turn(held, |state| state.disabled(off)));
        status
    }

    /// Memory of the guest is unmapped: no byte of it may stay pinned.
    pub(crate) fn unmap(
        &self,
        held: &mut Held<'_, order::Machine>,
        device: VfioDevice,
        iovas: &Range<u64>,
    ) {
        let mut state = self.state.lock(held);
        while state.is_pinning(iovas) {
            state.wait(&self.turn_over);
        }
        drop(state);
        self.drop_if(held, |pin| {
            pin.device() == device && iovas.contains(&pin.iova())
        });
    }

    /// The guest lets go of the device.
    pub(crate) fn close(&self, free: &mut Free<'_>, device: VfioDevice) {
        self.drop_if(free, |pin| pin.device() == device);
    }

    /// The AP bus takes the queue.
    pub(crate) fn unbind(&self, free: &mut Free<'_>) {
        self.drop_if(free, |_| true);
    }

    /// Lets go of an interrupt that must not stay, whatever the hardware says.
    fn drop_if<H: MayWait + Before<order::Interrupts>>(
        &self,
        held: &mut Held<'_, H>,
        must_go: impl Fn(&PinnedByte) -> bool,
    ) {
        let must_go = |made: &Registration| must_go(&made.pin);
        if !self.state.lock(held).concerns(must_go) {
            return;
        }
        self.take_turn(held, None);
        let off = self.turn_off(held).1;
        let gone = self.end_turn(held, |state| state.give_up(must_go));
        if gone.is_some() && !off {
            pr_warn!("interrupts of queue {} could not be disabled\n", self.apqn);
        }
        drop(gone);
    }

    /// Disables in hardware; also tells whether that is certain.
    fn turn_off(&self, held: &mut Held<'_, impl MayWait>) -> (QueueStatus, bool) {
        let mut status = QueueStatus::default();
        for _ in 0..AQIC_TRIES {
            status = insn::aqic(self.apqn, AqicControl::disable(), 0);
            match status.code() {
                ResponseCode::NORMAL | ResponseCode::OTHERWISE_CHANGED => {
                    return (status, self.wait_off(held));
                }
                ResponseCode::RESET_IN_PROGRESS | ResponseCode::BUSY => fsleep(INTERVAL),
                code => return (status, code == ResponseCode::NOT_AVAILABLE),
            }
        }
        (status, false)
    }

    fn wait_off(&self, _held: &mut Held<'_, impl MayWait>) -> bool {
        for _ in 0..TAPQ_TRIES {
            let status = insn::tapq(self.apqn);
            match status.code() {
                ResponseCode::NORMAL | ResponseCode::RESET_IN_PROGRESS if !status.irq_enabled() => {
                    return true;
                }
                ResponseCode::NORMAL | ResponseCode::RESET_IN_PROGRESS | ResponseCode::BUSY => {
                    fsleep(INTERVAL);
                }
                code => return code == ResponseCode::NOT_AVAILABLE,
            }
        }
        false
    }

    fn take_turn<H: MayWait + Before<order::Interrupts>>(
        &self,
        held: &mut Held<'_, H>,
        nib: Option<u64>,
    ) {
        let mut state = self.state.lock(held);
        while !state.take_turn(nib) {
            state.wait(&self.turn_over);
        }
    }

    /// Ends one's turn, doing the last of it under the lock.
    fn end_turn<R>(
        &self,
        held: &mut Held<'_, impl Before<order::Interrupts>>,
        f: impl FnOnce(&mut Ledger<Registration>) -> R,
    ) -> R {
        let mut state = self.state.lock(held);
        let result = f(&mut state);
        state.end_turn();
        self.turn_over.notify_all();
        result
    }

    fn invalid_address(&self, format: Format<2>, nib: u64) -> QueueStatus {
        dbf::warn(format, [nib as i64, self.apqn.to_qid().into()]);
        QueueStatus::of(ResponseCode::INVALID_ADDRESS)
    }
}
