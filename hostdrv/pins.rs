// SPDX-License-Identifier: GPL-2.0
//! The memory that an mdev's guest has pinned for its interrupts.
//!
//! A pin is VFIO's: its owner must let go of it when the memory is unmapped, and
//! may be held up by whoever provides that memory. So pins are the guest's alone:
//! their lock is taken by its CPUs in PQAP(AQIC), and by those who unmap its
//! memory or close its device. These may keep each other waiting, and nobody
//! else. What the hardware uses does not depend on them: see [`Registration`].

use core::ops::Range;

use kernel::prelude::*;
use kernel::sync::new_mutex;

use crate::abi::{dbf, Pin as PinnedByte, Vcpu, VfioDevice};
use crate::ap_arch::{Apqn, QueueStatus, ResponseCode};
use crate::driver::Core;
use crate::irq::Registration;
use crate::locks::Lock;
use crate::queue::Queue;
use crate::rules::order::{self, Free, Held};
use crate::rules::{Format, MdevId};

/// The pins of an mdev's guest.
#[pin_data]
pub(crate) struct Pins {
    owner: MdevId,
    device: VfioDevice,
    /// One per queue at most. After a reset a pin stays until the guest enables
    /// again, or its memory or the device goes.
    #[pin]
    table: Lock<order::Pins, KVec<(Apqn, PinnedByte)>>,
}

impl Pins {
    pub(crate) fn new(owner: MdevId, device: VfioDevice) -> impl PinInit<Self> {
        pin_init!(Self {
            owner,
            device,
            table <- Lock::new(new_mutex!(KVec::new(), "vfio_ap::Pins::table")),
        })
    }

    /// The guest enables interrupts of a queue: `plugged` tells whether it still
    /// has it.
    pub(crate) fn enable(
        &self,
        held: &mut Held<'_, order::Machine>,
        vcpu: &Vcpu<'_>,
        queue: &Queue,
        isc: u8,
        nib: u64,
        plugged: impl Fn(&mut Held<'_, order::Interrupts>) -> bool,
    ) -> QueueStatus {
        let apqn = queue.apqn();
        if nib == 0 || !vcpu.has_gpa(nib) {
            let format = const { Format::new(c"invalid NIB address: nib=%lx, apqn=%04lx\n") };
            return invalid_address(format, nib, apqn);
        }
        let mut locked = self.table.lock(held);
        let (held, table) = locked.parts();
        let made = table.reserve(1, GFP_KERNEL).ok();
        let Some((pin, registration)) = made.and_then(|()| self.pin(vcpu, isc, nib)) else {
            let format = const { Format::new(c"pinning or gisc failed: nib=%lx, apqn=%04lx\n") };
            return invalid_address(format, nib, apqn);
        };
        let status = queue.interrupts().enable(held, registration, plugged);
        if status.code() == ResponseCode::NORMAL {
            unpin(table, apqn);
            // there is room for it
            let _ = table.push_within_capacity((apqn, pin));
        } else {
            let numbers = [status.code().0.into(), apqn.to_qid().into()];
            let format = const { Format::new(c"PQAP(AQIC) failed: rc=%02lx, apqn=%04lx\n") };
            dbf::warn(format, numbers);
        }
        status
    }

    fn pin(&self, vcpu: &Vcpu<'_>, isc: u8, nib: u64) -> Option<(PinnedByte, Registration)> {
        let (pin, byte) = PinnedByte::new(vcpu, self.device, nib)?;
        if !vcpu.shares(&byte) {
            return None;
        }
        let registration = Registration {
            owner: self.owner,
            gisc: vcpu.register(isc)?,
            byte,
        };
        Some((pin, registration))
    }

    /// The guest disables interrupts of a queue.
    pub(crate) fn disable(
        &self,
        held: &mut Held<'_, order::Machine>,
        queue: &Queue,
        plugged: impl Fn(&mut Held<'_, order::Interrupts>) -> bool,
    ) -> QueueStatus {
        let mut locked = self.table.lock(held);
        let (held, table) = locked.parts();
        let run = queue.interrupts().disable(held, plugged);
        if run.is_off() {
            unpin(table, queue.apqn());
        }
        run.answer()
    }

    /// Memory of the guest is unmapped: no byte of it may stay pinned.
    pub(crate) fn unmap(
        &self,
        held: &mut Held<'_, order::Machine>,
        core: &Core,
        iovas: &Range<u64>,
    ) {
        let mut locked = self.table.lock(held);
        let (held, table) = locked.parts();
        let is_within = |(_, pin): &(Apqn, PinnedByte)| iovas.contains(&pin.iova());
        while let Some(&(apqn, _)) = table.iter().find(|pinned| is_within(pinned)) {
            if let Some(queue) = core.queue(held, apqn) {
                queue.interrupts().unmapped(held, self.owner);
            }
            unpin(table, apqn);
        }
    }

    /// The device is closed, and no CPU of the guest comes any more.
    pub(crate) fn clear(&self, free: &mut Free<'_>) {
        self.table.lock(free).clear();
    }
}

fn unpin(table: &mut KVec<(Apqn, PinnedByte)>, apqn: Apqn) {
    table.retain(|&mut (pinned, _)| pinned != apqn);
}

fn invalid_address(format: Format<2>, nib: u64, apqn: Apqn) -> QueueStatus {
    dbf::warn(format, [nib as i64, apqn.to_qid().into()]);
    QueueStatus::of(ResponseCode::INVALID_ADDRESS)
}
