// SPDX-License-Identifier: GPL-2.0
//! The driver's s390dbf log, `/sys/kernel/debug/s390dbf/vfio_ap`.
//!
//! Entries hold a pointer to a format and numbers; the text is made when the
//! log is read. So formats are literals, and arguments are numbers only.

use kernel::error::{to_result, Result};
use kernel::prelude::*;

use super::bindings;

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

/// Logs a warning. `format` takes three numbers, as `%lx` or `%ld`, or fewer.
pub(crate) fn warn(format: &'static CStr, a: i64, b: i64, c: i64) {
    const WARN: i32 = 4;
    // SAFETY: The log is registered as long as callbacks can come; the format
    // stays as long as the module, and takes numbers.
    unsafe { bindings::vfio_ap_dbf(WARN, format.as_char_ptr(), a as _, b as _, c as _) };
}
