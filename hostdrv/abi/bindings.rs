// SPDX-License-Identifier: GPL-2.0
//! The C side: what the kernel crate binds, and what bindgen made of the headers
//! in `bindings/helper.h`.
#![expect(
    non_camel_case_types,
    non_upper_case_globals,
    non_snake_case,
    unsafe_op_in_unsafe_fn,
    unreachable_pub,
    dead_code,
    improper_ctypes,
    clippy::all,
    reason = "generated from C headers"
)]

use kernel::ffi;

pub(crate) use kernel::bindings::*;

/// A virtual machine; its fields are C's business.
#[repr(C)]
pub struct kvm {
    _opaque: [u8; 0],
}

/// A virtual CPU; its fields are C's business.
#[repr(C)]
pub struct kvm_vcpu {
    _opaque: [u8; 0],
}

/// What KVM calls when a guest issues PQAP(AQIC); Linux `crypto_hook`.
pub type crypto_hook = Option<unsafe extern "C" fn(vcpu: *mut kvm_vcpu) -> ffi::c_int>;

include!(env!("VFIO_AP_BINDINGS"));

// Layouts that the driver relies on beyond the fields it names.
const _: () = assert!(core::mem::size_of::<ap_config_info>() == crate::ap_arch::QCI_LEN);
const _: () = assert!(core::mem::offset_of!(ap_queue, ap_dev) == 0);
const _: () = assert!(core::mem::offset_of!(ap_device, device) == 0);
const _: () = assert!(core::mem::offset_of!(ap_driver, driver) == 0);
const _: () = assert!(core::mem::offset_of!(mdev_device, dev) == 0);
