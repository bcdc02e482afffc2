// SPDX-License-Identifier: GPL-2.0
//! The driver's s390dbf log, `/sys/kernel/debug/s390dbf/vfio_ap`.
//!
//! Entries hold a pointer to a format and numbers; the text is made when the
//! log is read.

use core::ptr::null_mut;
use core::sync::atomic::{AtomicPtr, Ordering};

use kernel::error::{to_result, Result};
use kernel::prelude::*;

use super::bindings;
use crate::rules::Format;

/// Numbers of an entry, besides the format.
const MAX_NUMBERS: usize = 5;

/// The level of warnings, up to which entries are kept by default.
const WARNING: i32 = 4;

/// The level of what is of interest only to who wants to see everything.
const TRACE: i32 = 6;

/// Set while a [`Dbf`] is there.
static LOG: AtomicPtr<bindings::debug_info_t> = AtomicPtr::new(null_mut());

/// The log, while it is registered.
pub(crate) struct Dbf(());

impl Dbf {
    pub(crate) fn register() -> Result<Self> {
        // an entry has room for ten words
        let size = 10 * core::mem::size_of::<kernel::ffi::c_long>();
        // SAFETY: The name is a string.
        let log = unsafe { bindings::debug_register(c"vfio_ap".as_char_ptr(), 1, 1, size as _) };
        if log.is_null() {
            return Err(ENOENT);
        }
        LOG.store(log, Ordering::Release);
        let registered = Self(());
        let view = &raw mut bindings::debug_sprintf_view;
        // SAFETY: The log is registered; the view is the kernel's.
        to_result(unsafe { bindings::debug_register_view(log, view) })?;
        // SAFETY: The log is registered.
        unsafe { bindings::debug_set_level(log, WARNING) };
        Ok(registered)
    }
}

impl Drop for Dbf {
    fn drop(&mut self) {
        // SAFETY: It was registered, and all that logs is gone.
        unsafe { bindings::debug_unregister(LOG.swap(null_mut(), Ordering::AcqRel)) };
    }
}

/// Logs a warning.
pub(crate) fn warn<const N: usize>(format: Format<N>, numbers: [i64; N]) {
    log(WARNING, format, numbers);
}

/// Logs what is kept only on demand.
pub(crate) fn trace<const N: usize>(format: Format<N>, numbers: [i64; N]) {
    log(TRACE, format, numbers);
}

/// Whether [`trace`] does anything.
pub(crate) fn traces() -> bool {
    at_level(TRACE).is_some()
}

/// The log, if it keeps entries of that level.
fn at_level(level: i32) -> Option<*mut bindings::debug_info_t> {
    let log = LOG.load(Ordering::Acquire);
    // SAFETY: The log is registered as long as callbacks can come; its level is
    // looked at as C does, without a lock.
    let kept = !log.is_null() && unsafe { (&raw const (*log).level).read_volatile() } >= level;
    kept.then_some(log)
}

fn log<const N: usize>(level: i32, format: Format<N>, numbers: [i64; N]) {
    const { assert!(N <= MAX_NUMBERS) };
    let Some(log) = at_level(level) else {
        return;
    };
    let mut n = [0; MAX_NUMBERS];
    n[..N].copy_from_slice(&numbers);
    let format = format.text().as_char_ptr().cast_mut();
    // SAFETY: As above; the format stays as long as the module, and takes at
    // most as many numbers as are passed.
    unsafe { bindings::__debug_sprintf_event(log, level, format, n[0], n[1], n[2], n[3], n[4]) };
}
