// SPDX-License-Identifier: MIT OR Apache-2.0
//! What a guest may get of what its mdev was assigned.
//!
//! A guest's queues are a cross product, so a queue that cannot be given takes
//! its adapter with it: an adapter is a thing, a domain is a number in many.

use super::{Attach, Mdev, MdevId, Memory, Model, Queue, Table};
use crate::ap_arch::{Apid, Apm, Apqn, Aqm, Matrix};

impl<M: Memory> Model<M> {
    /// Everything assigned to `mdev` that is in the host's configuration and
    /// of which every queue is bound to the driver and clean, or the guest's
    /// already.
    ///
    /// A new domain waits for the resets of its queues in adapters that the
    /// guest has, and keeps: it would lose those for as long as that takes.
    pub fn target(&self, mdev: &Mdev) -> Matrix {
        let can_have = mdev.assigned.intersect(self.host.settled());
        let mut kept = can_have.apm.and(mdev.published.apm);
        loop {
            let target = self.target_keeping(mdev, can_have, kept);
            // a domain need not wait for an adapter that goes
            let still = kept.and(target.apm);
            if still == kept {
                return target;
            }
            kept = still;
        }
    }

    fn target_keeping(&self, mdev: &Mdev, can_have: Matrix, kept: Apm) -> Matrix {
        let mut target = can_have;
        for apqi in target.aqm.and_not(mdev.published.aqm).iter() {
            let resetting = |apid| {
                let queue = self.queue(Apqn::new(apid, apqi));
                queue.is_ok_and(Queue::is_resetting)
            };
            if kept.iter().any(resetting) {
                target.aqm.clear(apqi);
            }
        }
        for apid in target.apm.iter() {
            if self.obstacle(mdev.id, apid, target.aqm).is_some() {
                target.apm.clear(apid);
            }
        }
        target
    }

    /// What the guest of `mdev` should have now; nothing without a guest, or
    /// if it must give the device back.
    pub fn wanted(&self, mdev: &Mdev) -> Matrix {
        match mdev.attach {
            Attach::Attached => self.target(mdev),
            Attach::Detached | Attach::Revoked | Attach::Closing => Matrix::EMPTY,
        }
    }

    /// What `guest_matrix` shows: what the guest has, or would get.
    pub fn guest_matrix(&self, mdev: &Mdev) -> Matrix {
        match mdev.attach {
            Attach::Detached => self.target(mdev),
            Attach::Attached | Attach::Revoked | Attach::Closing => mdev.published,
        }
    }

    /// The first queue of `apid` in `aqm` that keeps the adapter from `mdev`.
    pub(super) fn obstacle(&self, mdev: MdevId, apid: Apid, aqm: Aqm) -> Option<Apqn> {
        let mut row = self.row(apid).iter();
        aqm.iter().map(|apqi| Apqn::new(apid, apqi)).find(|&apqn| {
            // both ascend, so what was skipped is not looked at again
            !row.find(|queue| queue.apqn() >= apqn)
                .is_some_and(|queue| queue.apqn() == apqn && queue.passable_to(mdev))
        })
    }

    /// The bound queues of an adapter, ascending.
    fn row(&self, apid: Apid) -> &[Queue] {
        let queues = self.queues.as_slice();
        let start = queues.partition_point(|queue| queue.apqn().apid < apid);
        let len = queues[start..].partition_point(|queue| queue.apqn().apid == apid);
        &queues[start..start + len]
    }
}
