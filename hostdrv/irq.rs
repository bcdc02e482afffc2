// SPDX-License-Identifier: GPL-2.0
//! Interrupts of one queue for its guest.
//!
//! What an interrupt needs, a pinned byte and a subclass, is held from before
//! AQIC until it is certain that the hardware no longer uses them: interrupts
//! were seen to be off, or a ZAPQ issued later is done.
//!
//! Who sets up or tears down an interrupt takes a turn, without holding a lock:
//! pinning takes locks that unmapping waits for. Unmapping waits for the turn of
//! whoever may be pinning a byte of it.

use core::ops::Range;

use kernel::prelude::*;
use kernel::sync::{new_condvar, new_mutex, CondVar, Mutex};
use kernel::time::delay::fsleep;
use kernel::time::Delta;

use crate::abi::{dbf, insn, Gisc, Pin as PinnedByte, Vcpu, VfioDevice};
use crate::ap_arch::{Apqn, AqicControl, QueueStatus, ResponseCode};

/// Time between two tries, and how many tries. Linux `vfio_ap_irq_disable`,
/// `vfio_ap_wait_for_irqclear`.
const INTERVAL: Delta = Delta::from_millis(20);
const AQIC_TRIES: u32 = 6;
const TAPQ_TRIES: u32 = 5;

/// An interrupt that is set up.
struct Registration {
    // first, as nothing is to be presented when the byte goes
    gisc: Gisc,
    pin: PinnedByte,
    /// ZAPQs issued before it was made.
    zapqs: u64,
}

/// Whose turn it is.
enum Turn {
    Nobodys,
    /// Somebody's, who may pin the byte at that address.
    Somebodys {
        nib: Option<u64>,
    },
}

struct State {
    registration: Option<Registration>,
    turn: Turn,
    /// ZAPQs issued.
    zapqs: u64,
}

/// The interrupts of a queue. The lock is held for single instructions, and
/// inside it the model's may be taken.
#[pin_data]
pub(crate) struct Interrupts {
    apqn: Apqn,
    #[pin]
    state: Mutex<State>,
    #[pin]
    turn_over: CondVar,
}

impl Interrupts {
    pub(crate) fn new(apqn: Apqn) -> impl PinInit<Self> {
        let state = State {
            registration: None,
            turn: Turn::Nobodys,
            zapqs: 0,
        };
        pin_init!(Self {
            apqn,
            state <- new_mutex!(state, "vfio_ap::Interrupts::state"),
            turn_over <- new_condvar!("vfio_ap::Interrupts::turn_over"),
        })
    }

    /// Issues a ZAPQ. An AQIC comes before it, or finds the queue taken away.
    pub(crate) fn zapq(&self) -> QueueStatus {
        let mut state = self.state.lock();
        state.zapqs += 1;
        insn::zapq(self.apqn)
    }

    /// The last ZAPQ is done, or the queue is gone: what was set up before it
    /// is off.
    pub(crate) fn reset_done(&self) {
        self.take_turn(None);
        let gone = self.end_turn(|state| {
            let zapqs = state.zapqs;
            state.registration.take_if(|made| made.zapqs < zapqs)
        });
        drop(gone);
    }

    /// The guest enables: `plugged` tells whether it still has the queue.
    pub(crate) fn enable(
        &self,
        vcpu: &Vcpu<'_>,
        device: VfioDevice,
        isc: u8,
        nib: u64,
        plugged: impl Fn() -> bool,
    ) -> QueueStatus {
        if nib == 0 || !vcpu.has_gpa(nib) {
            return self.invalid_address(c"invalid NIB address: nib=%lx, apqn=%04lx\n", nib);
        }
        self.take_turn(Some(nib));
        let made = PinnedByte::new(vcpu, device, nib)
            .filter(|pin| vcpu.shares(pin))
            .and_then(|pin| Some((vcpu.register(isc)?, pin)));
        let Some((gisc, pin)) = made else {
            self.end_turn(|_| ());
            return self.invalid_address(c"pinning or gisc failed: nib=%lx, apqn=%04lx\n", nib);
        };
        let mut made = Registration {
            gisc,
            pin,
            zapqs: 0,
        };
        let mut status = self.turn_on(&mut made, &plugged);
        // the AP bus may have enabled interrupts for itself when it made the
        // queue: these must be off before the guest can have any
        if status.code() == ResponseCode::OTHERWISE_CHANGED
            && self.state.lock().registration.is_none()
            && self.turn_off().1
        {
            status = self.turn_on(&mut made, &plugged);
        }
        let gone = self.end_turn(|state| {
            if status.code() == ResponseCode::NORMAL {
                state.registration.replace(made)
            } else {
                Some(made)
            }
        });
        drop(gone);
        if status.code() != ResponseCode::NORMAL {
            let (code, qid) = (status.code().0.into(), self.apqn.to_qid().into());
            dbf::warn(c"PQAP(AQIC) failed: rc=%02lx, apqn=%04lx\n", code, qid, 0);
        }
        status
    }

    /// Enables in hardware, if the guest still has the queue.
    fn turn_on(&self, made: &mut Registration, plugged: impl Fn() -> bool) -> QueueStatus {
        let control = AqicControl::enable(made.gisc.nisc())
            .with_gisc(made.gisc.isc())
            .with_gisa(made.gisc.gisa(), 0);
        let state = self.state.lock();
        made.zapqs = state.zapqs;
        if plugged() {
            insn::aqic(self.apqn, control, made.pin.phys())
        } else {
            QueueStatus::of(ResponseCode::NOT_AVAILABLE)
        }
    }

    /// The guest disables.
    pub(crate) fn disable(&self) -> QueueStatus {
        self.take_turn(None);
        let (status, off) = self.turn_off();
        let gone = self.end_turn(|state| if off { state.registration.take() } else { None });
        drop(gone);
        status
    }

    /// Memory of the guest is unmapped: no byte of it may stay pinned.
    pub(crate) fn unmap(&self, device: VfioDevice, iovas: &Range<u64>) {
        let mut state = self.state.lock();
        while let Turn::Somebodys { nib: Some(nib) } = state.turn {
            if !iovas.contains(&nib) {
                break;
            }
            self.turn_over.wait(&mut state);
        }
        drop(state);
        self.drop_if(|pin| pin.device() == device && iovas.contains(&pin.iova()));
    }

    /// The guest lets go of the device.
    pub(crate) fn close(&self, device: VfioDevice) {
        self.drop_if(|pin| pin.device() == device);
    }

    /// The AP bus takes the queue.
    pub(crate) fn unbind(&self) {
        self.drop_if(|_| true);
    }

    /// Lets go of an interrupt that must not stay, whatever the hardware says.
    fn drop_if(&self, must_go: impl Fn(&PinnedByte) -> bool) {
        let concerned = |state: &State| {
            let made = state.registration.as_ref();
            made.is_some_and(|made| must_go(&made.pin))
        };
        if !concerned(&self.state.lock()) {
            return;
        }
        self.take_turn(None);
        let off = self.turn_off().1;
        let gone = self.end_turn(|state| {
            if concerned(state) {
                state.registration.take()
            } else {
                None
            }
        });
        if gone.is_some() && !off {
            pr_warn!("interrupts of queue {} could not be disabled\n", self.apqn);
        }
        drop(gone);
    }

    /// Disables in hardware; also tells whether that is certain.
    fn turn_off(&self) -> (QueueStatus, bool) {
        let mut status = QueueStatus::default();
        for _ in 0..AQIC_TRIES {
            status = insn::aqic(self.apqn, AqicControl::disable(), 0);
            match status.code() {
                ResponseCode::NORMAL | ResponseCode::OTHERWISE_CHANGED => {
                    return (status, self.wait_off());
                }
                ResponseCode::RESET_IN_PROGRESS | ResponseCode::BUSY => fsleep(INTERVAL),
                code => return (status, code == ResponseCode::NOT_AVAILABLE),
            }
        }
        (status, false)
    }

    fn wait_off(&self) -> bool {
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

    fn take_turn(&self, nib: Option<u64>) {
        let mut state = self.state.lock();
        while let Turn::Somebodys { .. } = state.turn {
            self.turn_over.wait(&mut state);
        }
        state.turn = Turn::Somebodys { nib };
    }

    /// Ends one's turn, doing the last of it under the lock.
    fn end_turn<R>(&self, f: impl FnOnce(&mut State) -> R) -> R {
        let mut state = self.state.lock();
        let result = f(&mut state);
        state.turn = Turn::Nobodys;
        self.turn_over.notify_all();
        result
    }

    fn invalid_address(&self, format: &'static CStr, nib: u64) -> QueueStatus {
        dbf::warn(format, nib as i64, self.apqn.to_qid().into(), 0);
        QueueStatus::of(ResponseCode::INVALID_ADDRESS)
    }
}
