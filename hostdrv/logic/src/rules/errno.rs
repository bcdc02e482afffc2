// SPDX-License-Identifier: MIT OR Apache-2.0
//! The error numbers that callers of the driver see.

/// A Linux error number, by name.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub enum Errno {
    /// No such mdev or queue.
    Enoent = 2,
    /// Hardware did not do as told.
    Eio = 5,
    /// No memory reserved.
    Enomem = 12,
    /// In use by a guest.
    Ebusy = 16,
    /// Already there.
    Eexist = 17,
    /// Beyond what the machine can have.
    Enodev = 19,
    /// Malformed.
    Einval = 22,
    /// Number too big for its type.
    Erange = 34,
    /// Assigned to another mdev.
    Eaddrinuse = 98,
    /// Owned by the host's drivers.
    Eaddrnotavail = 99,
}

impl Errno {
    /// The (positive) number.
    pub const fn code(self) -> i32 {
        self as i32
    }
}
