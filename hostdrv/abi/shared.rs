// SPDX-License-Identifier: GPL-2.0
//! Structures that C keeps pointers to.

use core::pin::Pin;

use kernel::prelude::*;
use kernel::types::Opaque;

/// A structure at a place of its own, which C may keep pointers to and change:
/// it does not move with its owner, and nobody has a reference to it.
pub(super) struct Shared<T>(Pin<KBox<Opaque<T>>>);

impl<T: 'static> Shared<T> {
    pub(super) fn new(value: T) -> Result<Self> {
        Ok(Self(KBox::pin(Opaque::new(value), GFP_KERNEL)?))
    }

    /// Where it is, as long as `self` is there.
    pub(super) fn as_ptr(&self) -> *mut T {
        self.0.get()
    }
}
