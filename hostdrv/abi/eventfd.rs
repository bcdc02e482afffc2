// SPDX-License-Identifier: GPL-2.0
//! Somebody in user space to be told something.

use core::ptr::NonNull;

use kernel::error::{from_err_ptr, Result};

use super::bindings;

/// A reference to an eventfd.
///
/// # Invariants
///
/// The pointer is to a context of which a reference is held.
pub(crate) struct EventFd(NonNull<bindings::eventfd_ctx>);

// SAFETY: Contexts are counted and locked by themselves.
unsafe impl Send for EventFd {}

impl EventFd {
    /// The eventfd that the calling process has under `fd`.
    pub(crate) fn get(fd: i32) -> Result<Self> {
        // SAFETY: Any number may be asked for.
        let ctx = unsafe { bindings::eventfd_ctx_fdget(fd) };
        let ctx = from_err_ptr(ctx)?;
        // INVARIANT: A reference was taken.
        NonNull::new(ctx)
            .map(Self)
            .ok_or(kernel::error::code::EBADF)
    }

    /// Adds one to its counter.
    pub(crate) fn signal(&self) {
        // SAFETY: A reference is held by the invariant.
        unsafe { bindings::eventfd_signal_mask(self.0.as_ptr(), 0) };
    }
}

impl Drop for EventFd {
    fn drop(&mut self) {
        // SAFETY: By the invariant the reference is ours to give up.
        unsafe { bindings::eventfd_ctx_put(self.0.as_ptr()) };
    }
}
