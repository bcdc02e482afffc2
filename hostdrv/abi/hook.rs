// SPDX-License-Identifier: GPL-2.0
//! PQAP(AQIC), which KVM passes on to the owner of a guest's AP queues.


use kernel::ffi::c_int;
use kernel::prelude::*;
use kernel::types::Opaque;

use super::{bindings, dbf};
use crate::ap_arch::{Apqn, QueueStatus, ResponseCode};

/// What KVM is given: the address of this is kept in the machine, and tells the
/// owner when the machine comes with an instruction.
#[pin_data]
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

/// Registers of the instruction. GR1: status.
const GR0: usize = 0;
const GR1: usize = 1;

/// A guest issued PQAP(AQIC). KVM holds the machine's hook lock for reading.
unsafe extern "C" fn pqap(vcpu: *mut bindings::kvm_vcpu) -> c_int {
    // SAFETY: KVM passes the CPU that issued the instruction, and waits.
    let gprs = unsafe { bindings::vfio_ap_vcpu_gprs(vcpu) };
    // SAFETY: The CPU has sixteen registers, and is stopped.
    let gr0 = unsafe { gprs.add(GR0).read() };
    let apqn = Apqn::from_qid(gr0 as u16);
    // SAFETY: As above.
    if !unsafe { bindings::vfio_ap_vcpu_has_aiv(vcpu) } {
        dbf::warn(c"AIV facility not installed: apqn=0x%04lx\n", apqn.to_qid().into(), 0, 0);
        return -(bindings::EOPNOTSUPP as c_int);
    }
    let status = QueueStatus::of(ResponseCode::NOT_AVAILABLE);
    // SAFETY: As above.
    unsafe { gprs.add(GR1).write(status.0 as usize) };
    0
}
