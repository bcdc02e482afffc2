// SPDX-License-Identifier: MIT OR Apache-2.0
//! A mediated device: what it was assigned and what its guest has.

use super::Limits;
use crate::ap_arch::Matrix;

/// Names an mdev for ever: numbers are not used again.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub struct MdevId(pub(super) u64);

impl MdevId {
    /// The number.
    pub const fn get(self) -> u64 {
        self.0
    }
}

/// An mdev's relation to a guest.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub enum Attach {
    /// No guest.
    Detached,
    /// A guest has what [`Mdev::published`] says.
    Attached,
    /// A guest still holds the device, which was asked back: it gets nothing,
    /// whatever happens, until it lets go.
    Revoked,
    /// The guest let go; its queues are being reset.
    Closing,
}

/// One mediated device.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub struct Mdev {
    pub(super) id: MdevId,
    pub(super) limits: Limits,
    pub(super) assigned: Matrix,
    pub(super) attach: Attach,
    pub(super) published: Matrix,
    pub(super) publishing: Option<Matrix>,
    /// Something happened since the guest's masks were last planned.
    pub(super) due: bool,
    /// What those who watch `guest_matrix` were last told of.
    pub(super) told: Matrix,
}

impl Mdev {
    pub(super) fn new(id: MdevId, limits: Limits) -> Self {
        Self {
            id,
            limits,
            assigned: Matrix::EMPTY,
            attach: Attach::Detached,
            published: Matrix::EMPTY,
            publishing: None,
            due: false,
            told: Matrix::EMPTY,
        }
    }

    /// Its name.
    pub fn id(&self) -> MdevId {
        self.id
    }

    /// What can be assigned.
    pub fn limits(&self) -> Limits {
        self.limits
    }

    /// What was assigned, including what the guest cannot get yet.
    pub fn assigned(&self) -> Matrix {
        self.assigned
    }

    /// Its relation to a guest.
    pub fn attach(&self) -> Attach {
        self.attach
    }

    /// What was last written to the guest's APCB; empty without a guest.
    pub fn published(&self) -> Matrix {
        self.published
    }

    /// What is being written to the guest's APCB at this moment.
    pub fn publishing(&self) -> Option<Matrix> {
        self.publishing
    }
}
