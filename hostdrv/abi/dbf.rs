// SPDX-License-Identifier: GPL-2.0
//! The driver's s390dbf log, `/sys/kernel/debug/s390dbf/vfio_ap`.
//!
//! Entries hold a pointer to a format and numbers; the text is made when the
//! log is read. So formats are literals, and arguments are numbers only.

use kernel::error::{to_result, Result};
use kernel::prelude::*;

use super::bindings;

/// Numbers of an entry, besides the format.
const MAX_NUMBERS: usize = 5;

/// The log, while it is registered.
pub(crate) struct Dbf(());

impl Dbf {
    pub(crate) fn register() -> Result<Self> {
        // SAFETY: Called once per load, and undone when dropped.
        to_result(unsafe { bindings::vfio_ap_dbf_register() })?;
        Ok(Self(()))
    }
}

impl Drop for Dbf {
    fn drop(&mut self) {
        // SAFETY: It was registered, and all that logs is gone.
        unsafe { bindings::vfio_ap_dbf_unregister() };
    }
}

/// Logs a warning. `format` takes as many numbers, as `%lx` or `%ld`.
pub(crate) fn warn<const N: usize>(format: &'static CStr, numbers: [i64; N]) {
    log(4, format, numbers);
}

/// Logs what is of interest only to who wants to see everything.
pub(crate) fn trace<const N: usize>(format: &'static CStr, numbers: [i64; N]) {
    log(6, format, numbers);
}

fn log<const N: usize>(level: i32, format: &'static CStr, numbers: [i64; N]) {
    const { assert!(N <= MAX_NUMBERS) };
    let mut args = [0; MAX_NUMBERS];
    args[..N].copy_from_slice(&numbers);
    let (format, args) = (format.as_char_ptr(), args.as_ptr().cast());
    // SAFETY: The log is registered as long as callbacks can come; the format
    // stays as long as the module, and takes at most as many numbers as are
    // read.
    unsafe { bindings::vfio_ap_dbf(level, format, args) };
}
