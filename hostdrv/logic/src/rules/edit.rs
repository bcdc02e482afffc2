// SPDX-License-Identifier: MIT OR Apache-2.0
//! Changes of an mdev's assigned matrix, and who may stand in their way.

use super::{Errno, Mdev, MdevId, Memory, Model, Queue, Scope, Table};
use crate::ap_arch::{Adm, Apid, Apm, Apqi, Apqn, Aqm, Matrix};

/// One write to an attribute of an mdev.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub enum Edit {
    /// `assign_adapter`
    AssignAdapter(Apid),
    /// `unassign_adapter`
    UnassignAdapter(Apid),
    /// `assign_domain`
    AssignDomain(Apqi),
    /// `unassign_domain`
    UnassignDomain(Apqi),
    /// `assign_control_domain`
    AssignControlDomain(Apqi),
    /// `unassign_control_domain`
    UnassignControlDomain(Apqi),
    /// `ap_config`
    Replace(Matrix),
}

impl Edit {
    /// `matrix` with the change made.
    #[must_use]
    pub fn apply(self, matrix: Matrix) -> Matrix {
        let Matrix { apm, aqm, adm } = matrix;
        match self {
            Self::AssignAdapter(id) => Matrix {
                apm: apm.with(id),
                ..matrix
            },
            Self::UnassignAdapter(id) => Matrix {
                apm: apm.without(id),
                ..matrix
            },
            Self::AssignDomain(id) => Matrix {
                aqm: aqm.with(id),
                ..matrix
            },
            Self::UnassignDomain(id) => Matrix {
                aqm: aqm.without(id),
                ..matrix
            },
            Self::AssignControlDomain(id) => Matrix {
                adm: adm.with(id),
                ..matrix
            },
            Self::UnassignControlDomain(id) => Matrix {
                adm: adm.without(id),
                ..matrix
            },
            Self::Replace(new) => new,
        }
    }

    /// Whether queues can be added, so that the AP bus must be kept from
    /// giving them to the host's drivers meanwhile.
    pub fn can_add_queues(self) -> bool {
        matches!(
            self,
            Self::AssignAdapter(_) | Self::AssignDomain(_) | Self::Replace(_)
        )
    }
}

/// What the AP bus says of the queues that an edit adds.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub enum Ownership {
    /// None is owned by the host's default drivers.
    Available,
    /// At least one is.
    ReservedForHost,
}

/// An edit looked at but not made.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Proposal {
    /// Queues that it adds, as two cross products: those of new adapters, and
    /// those of new domains. The AP bus must be asked about them before the
    /// edit is made, and hold still until it is.
    pub added: [(Apm, Aqm); 2],
}

impl Proposal {
    fn new(old: Matrix, new: Matrix) -> Self {
        Self {
            added: [
                (new.apm.and_not(old.apm), new.aqm),
                (new.apm, new.aqm.and_not(old.aqm)),
            ],
        }
    }

    /// Whether there is nothing to ask about.
    pub fn adds_nothing(&self) -> bool {
        self.added
            .iter()
            .all(|(apm, aqm)| apm.is_empty() || aqm.is_empty())
    }
}

impl<M: Memory> Model<M> {
    /// Looks at an edit without making it.
    pub fn propose(&self, mdev: MdevId, edit: Edit) -> Result<Proposal, Errno> {
        let mdev = self.mdev(mdev)?;
        let new = Self::edited(mdev, edit)?;
        Ok(Proposal::new(mdev.assigned, new))
    }

    /// Makes an edit, or refuses and changes nothing.
    pub(super) fn edit(
        &mut self,
        id: MdevId,
        edit: Edit,
        ownership: Ownership,
    ) -> Result<Scope, Errno> {
        let mdev = self.mdev(id)?;
        let (old, new) = (mdev.assigned, Self::edited(mdev, edit)?);
        if !Proposal::new(old, new).adds_nothing() {
            if ownership == Ownership::ReservedForHost {
                return Err(Errno::Eaddrnotavail);
            }
            if self.sharer(Some(id), new.apm, new.aqm).is_some() {
                return Err(Errno::Eaddrinuse);
            }
        }
        self.mdev_mut(id)?.assigned = new;
        Ok(if old == new {
            Scope::None
        } else {
            Scope::One(id)
        })
    }

    /// An mdev, other than `except`, with queues in `apm` by `aqm`, and which
    /// of them.
    pub fn sharer(&self, except: Option<MdevId>, apm: Apm, aqm: Aqm) -> Option<(MdevId, Matrix)> {
        let wanted = Matrix {
            apm,
            aqm,
            adm: Adm::EMPTY,
        };
        self.mdevs
            .as_slice()
            .iter()
            .filter(|mdev| Some(mdev.id) != except)
            .find(|mdev| mdev.assigned.shares_queue(wanted))
            .map(|mdev| (mdev.id, mdev.assigned.intersect(wanted)))
    }

    /// A queue in `apm` by `aqm` that a guest has, or may have left something in,
    /// whether or not an mdev has it. What is gone from the host is left out: it
    /// is reset when it comes back.
    pub fn holding_guest_data(&self, apm: Apm, aqm: Aqm) -> Option<Apqn> {
        let holding = |queue: &&Queue| queue.holds_guest_data() && !self.is_gone(queue);
        self.queues()
            .iter()
            .filter(holding)
            .find(|queue| apm.test(queue.apqn().apid) && aqm.test(queue.apqn().apqi))
            .map(Queue::apqn)
    }

    /// Whether the host's drivers may take the queues of `apm` by `aqm`.
    pub fn in_use(&self, apm: Apm, aqm: Aqm) -> Result<(), Errno> {
        let assigned = self.sharer(None, apm, aqm).is_some();
        if assigned || self.holding_guest_data(apm, aqm).is_some() {
            Err(Errno::Eaddrinuse)
        } else {
            Ok(())
        }
    }

    fn edited(mdev: &Mdev, edit: Edit) -> Result<Matrix, Errno> {
        let new = edit.apply(mdev.assigned);
        if mdev.limits.allow(new) {
            Ok(new)
        } else {
            Err(Errno::Enodev)
        }
    }
}
