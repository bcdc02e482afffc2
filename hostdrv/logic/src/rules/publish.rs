// SPDX-License-Identifier: MIT OR Apache-2.0
//! The two halves of writing a guest's APCB.
//!
//! The APCB is written between them, without the model's lock. Growth is in
//! the model before the write, shrinkage after it: the model never claims less
//! than the guest can reach.

use super::{
    Apcb, Effects, Epoch, Errno, MdevId, Memory, Model, Queue, QueueEffect, Reset, Scope, Table,
};
use crate::ap_arch::Matrix;

impl<M: Memory> Model<M> {
    /// First half: decides on new masks if the guest should have others, and
    /// marks every queue in them as the guest's. If not, what `guest_matrix`
    /// shows may have changed all the same: what a guest would get.
    pub(super) fn plan(&mut self, id: MdevId) -> Result<Effects, Errno> {
        let mdev = self.mdev(id)?;
        if mdev.publishing.is_some() {
            return Err(Errno::Ebusy);
        }
        if !mdev.due {
            return Ok(Effects::default());
        }
        let wanted = self.wanted(mdev);
        if wanted == mdev.published {
            let shown = self.guest_matrix(mdev);
            let mdev = self.mdev_mut(id)?;
            mdev.due = false;
            let changed = mdev.told != shown;
            mdev.told = shown;
            return Ok(Effects {
                shown: changed.then_some(shown),
                ..Effects::default()
            });
        }
        let mut queues = self.queues.as_mut_slice().iter_mut();
        let apcb = Apcb::admit(wanted, |apqn| {
            // both ascend, so what was skipped is not looked at again
            let queue = queues.find(|queue| queue.apqn() >= apqn)?;
            (queue.apqn() == apqn).then(|| queue.admit(id))?
        });
        // the filter chose only queues that admit; if it were wrong, this
        // refuses instead of giving away what is not clean
        let apcb = apcb.ok_or(Errno::Eio)?;
        let mdev = self.mdev_mut(id)?;
        mdev.publishing = Some(wanted);
        // once they have it, this is all they should have
        mdev.due = false;
        Ok(Effects {
            set_apcb: Some(apcb),
            ..Effects::default()
        })
    }

    /// Second half: the APCB was written; what the guest lost is reset.
    pub(super) fn published(
        &mut self,
        id: MdevId,
        out: &mut dyn FnMut(QueueEffect),
    ) -> Result<Scope, Errno> {
        let mdev = self.mdev_mut(id)?;
        let new = mdev.publishing.take().ok_or(Errno::Einval)?;
        mdev.published = new;
        mdev.told = new;
        for index in 0..self.queues.as_slice().len() {
            let queue = &mut self.queues.as_mut_slice()[index];
            if queue.plugged_by() == Some(id) && !new.contains(queue.apqn()) {
                queue.expel();
                self.reset_if_reachable(index, Reset::Draining, out);
            }
        }
        Ok(Scope::None)
    }

    /// Starts a reset of the queue at `index`, if a reset can reach it.
    /// `out_of_guest` says what it is for if nobody has the queue.
    pub(super) fn reset_if_reachable(
        &mut self,
        index: usize,
        out_of_guest: fn(Epoch) -> Reset,
        out: &mut dyn FnMut(QueueEffect),
    ) {
        let reachable: Matrix = self.host.current();
        let queue: &mut Queue = &mut self.queues.as_mut_slice()[index];
        let apqn = queue.apqn();
        if reachable.contains(apqn) {
            self.epoch.0 += 1;
            queue.begin_reset(self.epoch, out_of_guest);
            out(QueueEffect::StartReset(apqn, self.epoch));
        } else if !queue.is_resetting() {
            queue.out_of_reach();
            out(QueueEffect::Settled(apqn));
        }
    }
}
