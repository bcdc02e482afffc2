// SPDX-License-Identifier: MIT OR Apache-2.0
//! The whole state, and what events do to it.

use super::{
    Apcb, Attach, Binding, Edit, Epoch, Errno, Host, Limits, Mdev, MdevId, Memory, Outcome,
    Ownership, Queue, Reset, State, Table,
};
use crate::ap_arch::{Apqn, Matrix};

/// Something happened.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub enum Event {
    /// An attribute of an mdev was written; the AP bus was asked about the
    /// queues that this adds, and holds still.
    Edit(MdevId, Edit, Ownership),
    /// A guest took the device.
    Attach(MdevId),
    /// The device is asked back from its guest.
    Revoke(MdevId),
    /// The guest let the device go.
    Close(MdevId),
    /// Its queues are reset: the device can have another guest.
    Detach(MdevId),
    /// The mdev goes away.
    Remove(MdevId),
    /// The AP bus gave a queue to the driver.
    Bind(Apqn),
    /// The AP bus wants a queue back.
    Unbind(Apqn),
    /// The AP bus has it back.
    Unbound(Apqn),
    /// A queue that comes back ([`Model::returning`]) was reset.
    Cleared(Apqn),
    /// The AP bus tells of changes from now on. This is the configuration, asked
    /// for once more, since it may have changed before.
    Registered(Matrix),
    /// The host's configuration changed; a scan for devices begins.
    ConfigChanged(Matrix),
    /// The scan is over.
    ScanComplete(Matrix),
    /// A guest asks for a reset of all its queues.
    GuestReset(MdevId),
    /// A reset is over.
    ResetDone(Apqn, Epoch, Outcome),
    /// A queue whose reset did not complete should be tried again.
    Retry(Apqn),
    /// The guest's masks may be written now: by one caller at a time.
    Plan(MdevId),
    /// The masks of the last plan were written.
    Published(MdevId),
}

/// What whoever sent the event must do about it, with the locks it takes.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
#[must_use]
pub struct Effects {
    /// Write these masks to the guest, then send [`Event::Published`].
    pub set_apcb: Option<Apcb>,
    /// Without that, `guest_matrix` shows this now: tell those who watch it.
    pub shown: Option<Matrix>,
    /// Whose guests may not have what they should.
    pub reconcile: Scope,
}

/// Some mdevs.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug, Default)]
pub enum Scope {
    /// None.
    #[default]
    None,
    /// This one.
    One(MdevId),
    /// All.
    All,
}

impl From<Scope> for Effects {
    fn from(reconcile: Scope) -> Self {
        Self {
            reconcile,
            ..Self::default()
        }
    }
}

/// What must be begun about a queue before the model's lock is released; all
/// of it is done by others, later.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub enum QueueEffect {
    /// Issue a ZAPQ; tell the end by [`Event::ResetDone`]. Replaces a reset of
    /// the same queue that runs.
    StartReset(Apqn, Epoch),
    /// No reset of the queue runs any more, or it is gone, and it was the last
    /// that somebody may wait for: a [`Condition`] may have come true.
    Settled(Apqn),
    /// A reset did not complete: send [`Event::Retry`] after a while.
    RetryLater(Apqn),
}

/// What callers wait for, without a lock. It can only become untrue again by a
/// later event.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub enum Condition {
    /// No queue that a guest of this mdev had is being reset.
    Drained(MdevId),
    /// No queue assigned to this mdev is being reset, as its guest asked for.
    Reset(MdevId),
    /// No queue assigned to this mdev is being reset, so that all that can have
    /// joined its guest.
    Joined(MdevId),
    /// Nobody has this queue, which leaves, and no reset of it runs.
    Idle(Apqn),
}

/// Host, mdevs and queues.
pub struct Model<M: Memory> {
    pub(super) host: Host,
    pub(super) mdevs: M::Mdevs,
    pub(super) queues: M::Queues,
    pub(super) epoch: Epoch,
    last_mdev: MdevId,
}

impl<M: Memory> Model<M> {
    /// A host with nothing on it. Both tables are empty.
    pub const fn new(host: Host, mdevs: M::Mdevs, queues: M::Queues) -> Self {
        Self {
            host,
            mdevs,
            queues,
            epoch: Epoch(0),
            last_mdev: MdevId(0),
        }
    }

    /// The host.
    pub fn host(&self) -> &Host {
        &self.host
    }

    /// The tables, for the owner of their memory to make room.
    pub fn tables(&mut self) -> (&mut M::Mdevs, &mut M::Queues) {
        (&mut self.mdevs, &mut self.queues)
    }

    /// All mdevs, oldest first.
    pub fn mdevs(&self) -> &[Mdev] {
        self.mdevs.as_slice()
    }

    /// All bound queues, and those that were lost, ascending.
    pub fn queues(&self) -> &[Queue] {
        self.queues.as_slice()
    }

    /// The mdev of that name.
    pub fn mdev(&self, id: MdevId) -> Result<&Mdev, Errno> {
        let index = self.mdev_index(id).ok_or(Errno::Enoent)?;
        Ok(&self.mdevs.as_slice()[index])
    }

    /// The bound, or lost, queue of that name.
    pub fn queue(&self, apqn: Apqn) -> Result<&Queue, Errno> {
        let index = self.queue_index(apqn).map_err(|_| Errno::Enoent)?;
        Ok(&self.queues.as_slice()[index])
    }

    /// The mdev that a queue is assigned to.
    pub fn owner(&self, apqn: Apqn) -> Option<&Mdev> {
        self.mdevs()
            .iter()
            .find(|mdev| mdev.assigned.contains(apqn))
    }

    /// Whether a queue was lost, and the host's configuration has it no more.
    pub(super) fn is_gone(&self, queue: &Queue) -> bool {
        queue.binding() == Binding::Lost && !self.host.current().contains(queue.apqn())
    }

    /// The first queue after `last` that is gone, and that a new configuration
    /// brings back. The bus will give it to whichever driver the masks say, so
    /// it must be reset before: then send [`Event::Cleared`].
    pub fn returning(&self, config: Matrix, last: Option<Apqn>) -> Option<Apqn> {
        self.queues()
            .iter()
            .filter(|queue| self.is_gone(queue))
            .map(Queue::apqn)
            .find(|&apqn| config.contains(apqn) && last.is_none_or(|last| apqn > last))
    }

    /// Whether a guest of `mdev` may have an interrupt set up for a queue.
    pub fn has_plugged(&self, mdev: MdevId, apqn: Apqn) -> bool {
        let leaving = |mdev: &Mdev| mdev.publishing.is_some_and(|new| !new.contains(apqn));
        self.mdev(mdev)
            .is_ok_and(|mdev| mdev.published.contains(apqn) && !leaving(mdev))
    }

    /// Whether what a caller waits for has come true.
    pub fn holds(&self, condition: Condition) -> bool {
        match condition {
            Condition::Drained(id) => !self.queues().iter().any(|queue| queue.drains() == Some(id)),
            Condition::Reset(id) | Condition::Joined(id) => {
                !self.linked(id).any(Queue::is_resetting)
            }
            Condition::Idle(apqn) => self.queue(apqn).map_or(true, Queue::is_idle),
        }
    }

    /// The oldest mdev younger than `id`, or the oldest of all.
    pub fn mdev_after(&self, id: Option<MdevId>) -> Option<MdevId> {
        self.mdevs()
            .iter()
            .map(Mdev::id)
            .find(|&next| id.is_none_or(|id| next > id))
    }

    /// What a guest is told of the reset it asked for, when
    /// [`Condition::Reset`] holds.
    pub fn reset_verdict(&self, mdev: MdevId) -> Result<(), Errno> {
        match self.linked(mdev).find_map(Queue::last_failure) {
            Some(_) => Err(Errno::Eio),
            None => Ok(()),
        }
    }

    /// Adds an mdev with nothing assigned.
    pub fn create(&mut self, limits: Limits) -> Result<MdevId, Errno> {
        let id = MdevId(self.last_mdev.0 + 1);
        let end = self.mdevs.as_slice().len();
        self.mdevs
            .insert(end, Mdev::new(id, limits))
            .map_err(|_| Errno::Enomem)?;
        self.last_mdev = id;
        Ok(id)
    }

    /// Lets an event happen. What must be begun at once goes to `out`, in
    /// order. An error means that nothing happened.
    pub fn step(
        &mut self,
        event: Event,
        out: &mut dyn FnMut(QueueEffect),
    ) -> Result<Effects, Errno> {
        use Attach::{Attached, Closing, Detached, Revoked};
        let effects: Effects = match event {
            Event::Edit(id, edit, ownership) => self.edit(id, edit, ownership)?.into(),
            Event::Attach(id) => self.attach(id, &[Detached], Attached)?.into(),
            Event::Revoke(id) => self.attach(id, &[Attached, Revoked], Revoked)?.into(),
            Event::Close(id) => self.attach(id, &[Attached, Revoked], Closing)?.into(),
            Event::Detach(id) => self.detach(id)?.into(),
            Event::Remove(id) => self.remove(id)?.into(),
            Event::Bind(apqn) => self.bind(apqn, out)?.into(),
            Event::Unbind(apqn) => self.unbind(apqn, out)?.into(),
            Event::Unbound(apqn) => self.unbound(apqn, out)?.into(),
            Event::Cleared(apqn) => self.cleared(apqn)?.into(),
            Event::Registered(config) => {
                self.host.registered(config);
                self.host_changed(out).into()
            }
            Event::ConfigChanged(config) => {
                self.host.config_changed(config);
                self.host_changed(out).into()
            }
            Event::ScanComplete(config) => {
                self.host.scan_complete(config);
                self.host_changed(out).into()
            }
            Event::GuestReset(id) => self.guest_reset(id, out)?.into(),
            Event::ResetDone(apqn, epoch, outcome) => {
                self.reset_done(apqn, epoch, outcome, out)?.into()
            }
            Event::Retry(apqn) => self.retry(apqn, out)?.into(),
            Event::Plan(id) => self.plan(id)?,
            Event::Published(id) => self.published(id, out)?.into(),
        };
        self.make_due(effects.reconcile);
        Ok(effects)
    }

    /// What these mdevs' guests should have must be looked at again.
    fn make_due(&mut self, scope: Scope) {
        match scope {
            Scope::None => {}
            Scope::One(id) => {
                // it may be just gone
                let _ = self.mdev_mut(id).map(|mdev| mdev.due = true);
            }
            Scope::All => {
                for mdev in self.mdevs.as_mut_slice() {
                    mdev.due = true;
                }
            }
        }
    }

    fn attach(&mut self, id: MdevId, from: &[Attach], to: Attach) -> Result<Scope, Errno> {
        let mdev = self.mdev_mut(id)?;
        if !from.contains(&mdev.attach) {
            return Err(Errno::Ebusy);
        }
        mdev.attach = to;
        Ok(Scope::One(id))
    }

    fn detach(&mut self, id: MdevId) -> Result<Scope, Errno> {
        let mdev = self.mdev(id)?;
        let empty = mdev.published == Matrix::EMPTY && mdev.publishing.is_none();
        if mdev.attach != Attach::Closing || !empty || !self.holds(Condition::Drained(id)) {
            return Err(Errno::Ebusy);
        }
        self.mdev_mut(id)?.attach = Attach::Detached;
        for queue in self.queues.as_mut_slice() {
            queue.forget_guest(id);
        }
        // the matrix that is shown is the next guest's from now on
        Ok(Scope::One(id))
    }

    fn remove(&mut self, id: MdevId) -> Result<Scope, Errno> {
        if self.mdev(id)?.attach != Attach::Detached {
            return Err(Errno::Ebusy);
        }
        let index = self.mdev_index(id).ok_or(Errno::Enoent)?;
        self.mdevs.remove(index);
        Ok(Scope::None)
    }

    fn bind(&mut self, apqn: Apqn, out: &mut dyn FnMut(QueueEffect)) -> Result<Scope, Errno> {
        let index = match self.queue_index(apqn) {
            Ok(index) if self.queues()[index].binding() == Binding::Lost => {
                // what a guest left in it is there until its reset is done
                self.queues.as_mut_slice()[index].binding = Binding::Bound;
                index
            }
            Ok(_) => return Err(Errno::Eexist),
            Err(index) => {
                let queue = Queue::new(apqn);
                self.queues
                    .insert(index, queue)
                    .map_err(|_| Errno::Enomem)?;
                index
            }
        };
        self.reset_if_reachable(index, Reset::Running, out);
        Ok(Scope::None)
    }

    fn unbind(&mut self, apqn: Apqn, out: &mut dyn FnMut(QueueEffect)) -> Result<Scope, Errno> {
        let queue = self.queue_mut(apqn)?;
        if queue.binding() == Binding::Lost {
            return Err(Errno::Enoent);
        }
        queue.binding = Binding::Leaving;
        if queue.is_idle() {
            out(QueueEffect::Settled(apqn));
        }
        let holder = queue.plugged_by();
        let concerned = holder.or(self.owner(apqn).map(Mdev::id));
        Ok(concerned.map_or(Scope::None, Scope::One))
    }

    fn unbound(&mut self, apqn: Apqn, out: &mut dyn FnMut(QueueEffect)) -> Result<Scope, Errno> {
        let queue = self.queue_mut(apqn)?;
        if queue.binding() != Binding::Leaving || queue.plugged_by().is_some() {
            return Err(Errno::Ebusy);
        }
        if queue.holds_guest_data() {
            queue.lose();
        } else {
            let index = self.queue_index(apqn).map_err(|_| Errno::Enoent)?;
            self.queues.remove(index);
        }
        out(QueueEffect::Settled(apqn));
        let owner = self.owner(apqn).map(Mdev::id);
        Ok(owner.map_or(Scope::None, Scope::One))
    }

    fn cleared(&mut self, apqn: Apqn) -> Result<Scope, Errno> {
        let index = self.queue_index(apqn).map_err(|_| Errno::Enoent)?;
        if !self.is_gone(&self.queues()[index]) {
            return Err(Errno::Ebusy);
        }
        self.queues.remove(index);
        Ok(Scope::None)
    }

    fn host_changed(&mut self, out: &mut dyn FnMut(QueueEffect)) -> Scope {
        for index in 0..self.queues().len() {
            let queue = &self.queues()[index];
            // a queue that leaves is the bus's, which may not wait any more
            let unreachable = matches!(
                queue.state(),
                State::Used {
                    reset: Reset::Unreachable,
                    ..
                }
            );
            if unreachable && queue.binding() == Binding::Bound {
                self.reset_if_reachable(index, Reset::Running, out);
            }
        }
        Scope::All
    }

    fn guest_reset(
        &mut self,
        id: MdevId,
        out: &mut dyn FnMut(QueueEffect),
    ) -> Result<Scope, Errno> {
        let assigned = self.mdev(id)?.assigned;
        for index in 0..self.queues().len() {
            let queue = &self.queues()[index];
            if assigned.contains(queue.apqn())
                && queue.binding() == Binding::Bound
                && (queue.awaits_reset() || queue.plugged_by() == Some(id))
            {
                self.reset_if_reachable(index, Reset::Running, out);
            }
        }
        Ok(Scope::None)
    }

    fn reset_done(
        &mut self,
        apqn: Apqn,
        epoch: Epoch,
        outcome: Outcome,
        out: &mut dyn FnMut(QueueEffect),
    ) -> Result<Scope, Errno> {
        let queue = self.queue_mut(apqn)?;
        let drained = queue.drains();
        if !queue.reset_done(epoch, outcome) {
            return Ok(Scope::None);
        }
        let leaves = queue.binding() == Binding::Leaving;
        if queue.awaits_reset() && !leaves {
            out(QueueEffect::RetryLater(apqn));
        }
        let owner = self.owner(apqn).map(Mdev::id);
        let is_last = |id, condition: fn(MdevId) -> Condition| self.holds(condition(id));
        if leaves
            || drained.is_some_and(|id| is_last(id, Condition::Drained))
            || owner.is_some_and(|id| is_last(id, Condition::Joined))
        {
            out(QueueEffect::Settled(apqn));
        }
        Ok(owner.map_or(Scope::None, Scope::One))
    }

    fn retry(&mut self, apqn: Apqn, out: &mut dyn FnMut(QueueEffect)) -> Result<Scope, Errno> {
        let index = self.queue_index(apqn).map_err(|_| Errno::Enoent)?;
        let queue = &self.queues()[index];
        if queue.binding() == Binding::Bound && queue.awaits_reset() {
            self.reset_if_reachable(index, Reset::Running, out);
        }
        Ok(Scope::None)
    }

    /// The bound queues that are assigned to `mdev`.
    fn linked(&self, mdev: MdevId) -> impl Iterator<Item = &Queue> {
        let assigned = self.mdev(mdev).map_or(Matrix::EMPTY, Mdev::assigned);
        self.queues()
            .iter()
            .filter(move |queue| assigned.contains(queue.apqn()))
    }

    pub(super) fn mdev_mut(&mut self, id: MdevId) -> Result<&mut Mdev, Errno> {
        let index = self.mdev_index(id).ok_or(Errno::Enoent)?;
        Ok(&mut self.mdevs.as_mut_slice()[index])
    }

    pub(super) fn queue_mut(&mut self, apqn: Apqn) -> Result<&mut Queue, Errno> {
        let index = self.queue_index(apqn).map_err(|_| Errno::Enoent)?;
        Ok(&mut self.queues.as_mut_slice()[index])
    }

    fn mdev_index(&self, id: MdevId) -> Option<usize> {
        self.mdevs().binary_search_by_key(&id, |mdev| mdev.id).ok()
    }

    fn queue_index(&self, apqn: Apqn) -> Result<usize, usize> {
        self.queues().binary_search_by_key(&apqn, Queue::apqn)
    }
}

/// For checkers that explore from a state in several directions.
#[cfg(test)]
impl<M: Memory<Mdevs: Clone, Queues: Clone>> Clone for Model<M> {
    fn clone(&self) -> Self {
        Self {
            host: self.host,
            mdevs: self.mdevs.clone(),
            queues: self.queues.clone(),
            epoch: self.epoch,
            last_mdev: self.last_mdev,
        }
    }
}
