// SPDX-License-Identifier: GPL-2.0
//! PQAP(AQIC), which KVM passes on to the owner of a guest's AP queues.

use core::mem::offset_of;
use core::ptr::NonNull;

use kernel::ffi::c_int;
use kernel::prelude::*;
use kernel::types::Opaque;

use super::{bindings, dbf, Vcpu};
use crate::ap_arch::{Apqn, AqicControl, PqapGr0};
use crate::guest::Mdev;
use crate::rules::order::Held;
use crate::rules::Format;

/// What KVM is given: the address of this is kept in the machine, and tells the
/// owner when the machine comes with an instruction.
#[pin_data]
#[repr(transparent)]
pub(crate) struct Hook {
    #[pin]
    entry: Opaque<bindings::crypto_hook>,
}

// SAFETY: Written once, when made.
unsafe impl Send for Hook {}

// SAFETY: As above.
unsafe impl Sync for Hook {}

impl Hook {
    pub(crate) fn new() -> impl PinInit<Self> {
        pin_init!(Self {
            entry: Opaque::new(Some(pqap)),
        })
    }

    pub(super) fn as_ptr(&self) -> *mut bindings::crypto_hook {
        self.entry.get()
    }
}

/// A guest issued PQAP(AQIC). KVM holds the machine's hook lock for reading,
/// and sets the condition code from the status in GR1.
unsafe extern "C" fn pqap(vcpu: *mut bindings::kvm_vcpu) -> c_int {
    let Some(vcpu) = NonNull::new(vcpu) else {
        return -(bindings::EOPNOTSUPP as c_int);
    };
    // SAFETY: KVM passes the CPU that issued the instruction, and waits; the
    // hook was called, so it is ours.
    let vcpu = unsafe { Vcpu::new(vcpu) };
    let gprs = vcpu.gprs();
    let apqn = PqapGr0(gprs.get::<0>()).apqn();
    // SAFETY: The CPU is stopped.
    if !unsafe { bindings::vfio_ap_vcpu_has_aiv(vcpu.as_ptr()) } {
        log_no_aiv(apqn);
        return -(bindings::EOPNOTSUPP as c_int);
    }
    // SAFETY: The lock that KVM holds keeps the hook.
    let hook = unsafe { bindings::vfio_ap_vcpu_hook(vcpu.as_ptr()) };
    // SAFETY: The hook is the field of that name, and transparent, of a mdev
    // that is open, and so exists.
    let mdev = unsafe { &*hook.byte_sub(offset_of!(Mdev, hook)).cast::<Mdev>() };
    // KVM holds the hook's lock
    let held = &mut Held::on_entry();
    let control = AqicControl(gprs.get::<1>());
    let status = mdev.aqic(held, &vcpu, apqn, control, gprs.get::<2>());
    gprs.set::<1>(status.0.into());
    0
}

fn log_no_aiv(apqn: Apqn) {
    let qid = apqn.to_qid().into();
    let format = const { Format::new(c"AIV facility not installed: apqn=0x%04lx\n") };
    dbf::warn(format, [qid]);
}
