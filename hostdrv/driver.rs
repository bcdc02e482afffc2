// SPDX-License-Identifier: GPL-2.0
//! The driver's state, and the rules running on the kernel.
//!
//! The order of the locks is in their types ([`order`]); nothing sleeps under
//! `state`, and nobody waits for hardware, or for another, with a lock held.

use kernel::prelude::*;
use kernel::sync::atomic::{Atomic, Full, Relaxed};
use kernel::sync::{new_condvar, new_mutex, Arc, Completion, CondVar, CondVarTimeoutResult};
use kernel::time::delay::fsleep;
use kernel::time::{msecs_to_jiffies, Delta, Instant, Monotonic};

use crate::abi::{self, ap_bus, WorkQueue};
use crate::ap_arch::{Apm, Apqn, Aqm, Matrix, Qci};
use crate::guest::{Guest, Mdev};
use crate::locks::Lock;
use crate::memory::{Table, Tables};
use crate::queue::{self, Queue};
use crate::rules::order::{self, Before, Free, Held};
use crate::rules::protocol::{self, Driver};
use crate::rules::Table as _;
use crate::rules::{
    self, Apcb, Attach, Condition, Edit, Effects, Errno, Event, Host, Limits, MdevId, Model,
    Ownership, QueueEffect, Scope,
};
use crate::trace;

/// How long an assignment waits for its queues to join the guest.
const PATIENCE_JOIN_MS: i64 = 1_000;

/// How long the AP bus is kept waiting for the reset of a queue it removes, and
/// for those of all queues that come back at once.
const PATIENCE_UNBIND_MS: i64 = 10_000;

/// How long a waiter sleeps at most: an edit can end a wait without waking it.
const LOOK_MS: i64 = 1_000;

/// How long a waiter sleeps whom a signal would wake at once.
const NAP_MS: i64 = 50;

/// What the `state` lock guards.
pub(crate) struct State {
    pub(crate) model: Model<Tables>,
    limits: Limits,
    /// In the order of the model's.
    mdevs: Table<Arc<Mdev>>,
    /// In the order of the model's.
    queues: Table<Arc<Queue>>,
}

/// Everything the driver has.
#[pin_data]
pub(crate) struct Core {
    #[pin]
    state: Lock<order::Model, State>,
    /// Something that a waiter may wait for has happened.
    #[pin]
    progress: CondVar,
    workqueue: WorkQueue,
    /// Queue objects in existence, also those that only a work item has; and
    /// one more until [`Core::stop`].
    live: Atomic<usize>,
    #[pin]
    none_live: Completion,
}

impl Core {
    pub(crate) fn new(qci: &Qci) -> Result<Arc<Self>> {
        let workqueue = WorkQueue::new(c"vfio_ap")?;
        let state = State {
            model: Model::new(Host::new(qci.matrix), Table::new(), Table::new()),
            limits: Limits::of(qci),
            mdevs: Table::new(),
            queues: Table::new(),
        };
        Arc::pin_init(
            pin_init!(Self {
                state <- Lock::new(new_mutex!(state, "vfio_ap::state")),
                progress <- new_condvar!("vfio_ap::progress"),
                workqueue,
                live: Atomic::new(1),
                none_live <- Completion::new(),
            }),
            GFP_KERNEL,
        )
    }

    pub(crate) fn workqueue(&self) -> &WorkQueue {
        &self.workqueue
    }

    /// Adds an mdev with nothing assigned.
    pub(crate) fn create(
        self: &Arc<Self>,
        free: &mut Free<'_>,
        make: impl Fn(MdevId, Limits) -> Result<Arc<Mdev>>,
    ) -> Result<Arc<Mdev>> {
        let create = |free: &mut Free<'_>| {
            let mut state = self.state.lock(free);
            let limits = state.limits;
            Ok((state.model.create(limits)?, limits))
        };
        let (id, limits) = self.with_room(free, |state| state.model.tables().0, create)?;
        let added = make(id, limits).and_then(|mdev| {
            self.with_room(
                free,
                |state| &mut state.mdevs,
                |free| self.state.lock(free).add_mdev(&mdev),
            )?;
            trace::created(id, mdev.device().name().to_bytes());
            Ok(mdev)
        });
        if added.is_err() {
            let _ = self.step(free, Event::Remove(id));
        }
        added
    }

    /// Forgets an mdev that has no guest.
    pub(crate) fn remove(&self, free: &mut Free<'_>, id: MdevId) {
        let _ = self.step(free, Event::Remove(id));
        let mut state = self.state.lock(free);
        let index = state.mdevs.as_slice().iter().position(|m| m.id() == id);
        let gone = index.and_then(|index| state.mdevs.take(index));
        drop(state);
        if let Some(mdev) = gone {
            // whoever tells of it still has the lock; nobody does after that
            drop(mdev.plug(free));
        }
    }

    /// Makes an edit that an attribute asked for.
    pub(crate) fn edit(&self, free: &mut Free<'_>, id: MdevId, edit: Edit) -> Result {
        if !edit.can_add_queues() {
            let made = protocol::edit(self, free, id, edit, Ownership::Available);
            trace::edited(id, edit, made);
            return made.map_err(to_error);
        }
        let mut bus = ap_bus::hold_still(free);
        let proposal = self
            .look(bus.held(), |model| model.propose(id, edit))
            .map_err(to_error)?;
        let reserved = |(apm, aqm): &(Apm, Aqm)| bus.owned_by_default(*apm, *aqm);
        let ownership = if proposal.added.iter().any(reserved) {
            Ownership::ReservedForHost
        } else {
            Ownership::Available
        };
        let made = self.step(bus.held(), Event::Edit(id, edit, ownership));
        drop(bus);
        trace::edited(id, edit, made.as_ref().map(|_| ()).map_err(|errno| *errno));
        if made == Err(Errno::Eaddrinuse) {
            self.log_sharing(free, id, &proposal.added);
        }
        if made.map_err(to_error)?.reconcile != Scope::None {
            protocol::edited(self, free, id);
        }
        Ok(())
    }

    fn log_sharing(&self, free: &mut Free<'_>, id: MdevId, added: &[(Apm, Aqm); 2]) {
        let sharer = self.look(free, |model| {
            added
                .iter()
                .find_map(|&(apm, aqm)| model.sharer(Some(id), apm, aqm))
        });
        let Some((holder, shared)) = sharer else {
            return;
        };
        let (mdev, holder) = (self.mdev(free, id), self.mdev(free, holder));
        let (Some(first), Some(mdev), Some(holder)) = (shared.apqns().next(), mdev, holder) else {
            return;
        };
        dev_warn!(
            mdev.device(),
            "Userspace may not assign queue {first}{} to mdev: already assigned to {}\n",
            More(&shared),
            holder.device().name()
        );
    }

    /// The AP bus asks whether it may give queues to the host's drivers.
    pub(crate) fn in_use(
        &self,
        held: &mut Held<'_, order::BusMasks>,
        apm: Apm,
        aqm: Aqm,
    ) -> Result {
        let (sharer, left, answer) = self.look(held, |model| {
            let sharer = model.sharer(None, apm, aqm);
            let left = model.holding_guest_data(apm, aqm);
            (sharer, left, model.in_use(apm, aqm))
        });
        if let Some((holder, shared)) = sharer {
            if let (Some(first), Some(mdev)) = (shared.apqns().next(), self.mdev(held, holder)) {
                dev_warn!(
                    mdev.device(),
                    "Can not reserve queue {first}{} for host driver: in use by mdev\n",
                    More(&shared)
                );
            }
        } else if let Some(left) = left {
            pr_warn!("Can not reserve queue {left} for host driver: its reset is not done\n");
        }
        answer.map_err(to_error)
    }

    fn mdev<H: Before<order::Model>>(
        &self,
        held: &mut Held<'_, H>,
        id: MdevId,
    ) -> Option<Arc<Mdev>> {
        self.state.lock(held).mdev(id).cloned()
    }

    /// The AP bus gives the driver a queue.
    pub(crate) fn bind(self: &Arc<Self>, free: &mut Free<'_>, apqn: Apqn) -> Result {
        let queue = Queue::new(apqn, self.clone())?;
        self.with_room(
            free,
            |state| &mut state.queues,
            |free| self.state.lock(free).add_queue(&queue),
        )?;
        let bound = self.with_room(
            free,
            |state| state.model.tables().1,
            |free| protocol::handle(&**self, free, Event::Bind(apqn)),
        );
        if bound.is_err() {
            self.forget(free, apqn);
        }
        bound
    }

    /// The AP bus takes a queue back.
    pub(crate) fn unbind(&self, free: &mut Free<'_>, apqn: Apqn) {
        if protocol::unbind(self, free, apqn).is_err() {
            pr_err!("queue {apqn} was taken while in use\n");
        } else if self.look(free, |model| model.queue(apqn).is_ok()) {
            let here = self.look(free, |model| model.host().current().contains(apqn));
            let remedy = if here {
                "bind it again to have it reset"
            } else {
                "it is reset when the host has it again"
            };
            pr_warn!("queue {apqn} may hold what a guest left in it: {remedy}\n");
        }
        if let Some(queue) = self.queue(free, apqn) {
            queue.interrupts().unbind(free);
        }
        self.forget(free, apqn);
    }

    fn forget(&self, free: &mut Free<'_>, apqn: Apqn) {
        let mut state = self.state.lock(free);
        let index = state.queue_index(apqn).ok();
        let gone = index.and_then(|index| state.queues.take(index));
        drop(state);
        if let Some(queue) = gone {
            queue.abandon(free);
        }
    }

    /// The bus tells of changes from now on; `config` was asked for since.
    pub(crate) fn registered(&self, free: &mut Free<'_>, config: Matrix) {
        let _ = protocol::handle(self, free, Event::Registered(config));
    }

    /// The host's configuration changed.
    pub(crate) fn config_changed(&self, free: &mut Free<'_>, config: Matrix) {
        let begin = Instant::<Monotonic>::now();
        protocol::config_changed(self, free, config, |apqn| {
            let is_late = || begin.elapsed().as_millis() > PATIENCE_UNBIND_MS;
            let cleared = queue::reset_returning(apqn, is_late);
            if !cleared {
                pr_warn!("queue {apqn} came back and could not be reset: it may hold what a guest left in it\n");
            }
            cleared
        });
    }

    /// The bus has made the devices of a configuration.
    pub(crate) fn scan_complete(&self, free: &mut Free<'_>, config: Matrix) {
        let _ = protocol::handle(self, free, Event::ScanComplete(config));
    }

    /// A bound queue.
    pub(crate) fn queue<H: Before<order::Model>>(
        &self,
        held: &mut Held<'_, H>,
        apqn: Apqn,
    ) -> Option<Arc<Queue>> {
        let state = self.state.lock(held);
        let index = state.queue_index(apqn).ok()?;
        state.queues.as_slice().get(index).cloned()
    }

    pub(crate) fn queue_made(&self) {
        self.live.fetch_add(1, Relaxed);
    }

    /// A queue object is dropped, with whatever lock.
    pub(crate) fn queue_gone(&self) {
        if self.live.fetch_sub(1, Full) == 1 {
            self.none_live.complete_all();
        }
    }

    /// Waits for the end of everything that was begun for queues, all of which
    /// were given back. After that no work item has a part of the driver.
    pub(crate) fn stop(&self) {
        self.queue_gone();
        self.none_live.wait_for_completion();
        // the item that had the last queue may not have returned yet
        self.workqueue.drain();
    }

    fn trace_filtered(&self, held: &mut Held<'_, order::Plug>, id: MdevId, left: Matrix) {
        if trace::is_on() {
            let assigned = self.look(held, |model| model.mdev(id).map(rules::Mdev::assigned));
            trace::filtered(id, assigned.unwrap_or(Matrix::EMPTY), left);
        }
    }

    /// Does what adds a record to a table.
    fn with_room<T, R>(
        &self,
        free: &mut Free<'_>,
        table: impl Fn(&mut State) -> &mut Table<T>,
        act: impl Fn(&mut Free<'_>) -> Result<R, Errno>,
    ) -> Result<R> {
        let make_room = |free: &mut Free<'_>| {
            let Some(wanted) = table(&mut self.state.lock(free)).wanted_room() else {
                return Ok(());
            };
            let room = KVec::with_capacity(wanted, GFP_KERNEL).map_err(|_| Errno::Enomem)?;
            let old = table(&mut self.state.lock(free)).move_into(room);
            drop(old);
            Ok(())
        };
        rules::with_room(free, make_room, act).map_err(to_error)
    }
}

impl State {
    fn queue_index(&self, apqn: Apqn) -> Result<usize, usize> {
        let queues = self.queues.as_slice();
        queues.binary_search_by_key(&apqn, |queue| queue.apqn())
    }

    fn add_queue(&mut self, queue: &Arc<Queue>) -> Result<(), Errno> {
        let Err(index) = self.queue_index(queue.apqn()) else {
            return Err(Errno::Eexist);
        };
        let added = self.queues.insert(index, queue.clone());
        added.map_err(|_| Errno::Enomem)
    }

    fn add_mdev(&mut self, mdev: &Arc<Mdev>) -> Result<(), Errno> {
        let end = self.mdevs.as_slice().len();
        let added = self.mdevs.insert(end, mdev.clone());
        added.map_err(|_| Errno::Enomem)
    }

    /// Whether the condition must come true before an mdev's guest is let go.
    fn is_closing(&self, condition: Condition) -> bool {
        let Condition::Drained(id) = condition else {
            return false;
        };
        let mdev = self.model.mdev(id);
        mdev.is_ok_and(|mdev| mdev.attach() == Attach::Closing)
    }

    fn mdev(&self, id: MdevId) -> Option<&Arc<Mdev>> {
        self.mdevs.as_slice().iter().find(|mdev| mdev.id() == id)
    }
}

impl Driver for Core {
    type Guest = Guest;

    type Memory = Tables;

    fn step<H: Before<order::Model>>(
        &self,
        held: &mut Held<'_, H>,
        event: Event,
    ) -> Result<Effects, Errno> {
        let mut settled = false;
        let effects = {
            let mut state = self.state.lock(held);
            let (held, State { model, queues, .. }) = state.parts();
            let find = |apqn| {
                let queues = queues.as_slice();
                let index = queues.binary_search_by_key(&apqn, |queue| queue.apqn());
                index.ok().map(|index| &queues[index])
            };
            model.step(event, &mut |effect| match effect {
                QueueEffect::StartReset(apqn, epoch) => {
                    trace::reset_begun(apqn, epoch);
                    if let Some(queue) = find(apqn) {
                        queue.reset(held, epoch);
                    }
                }
                QueueEffect::RetryLater(apqn) => {
                    if let Some(queue) = find(apqn) {
                        queue.retry_later(held);
                    }
                }
                QueueEffect::Settled(_) => settled = true,
            })
        };
        // whoever waits wakes only for this: what is done to one mdev costs the
        // waiters of others nothing
        if settled {
            self.progress.notify_all();
        }
        effects
    }

    fn look<H: Before<order::Model>, T>(
        &self,
        held: &mut Held<'_, H>,
        look: impl FnOnce(&Model<Tables>) -> T,
    ) -> T {
        look(&self.state.lock(held).model)
    }

    fn with_plug(
        &self,
        free: &mut Free<'_>,
        mdev: MdevId,
        f: impl FnOnce(&mut Held<'_, order::Plug>, &mut Guest),
    ) {
        if let Some(mdev) = self.mdev(free, mdev) {
            let mut plug = mdev.plug(free);
            let (held, guest) = plug.parts();
            f(held, guest);
        }
    }

    fn set_apcb(&self, held: &mut Held<'_, order::Plug>, guest: &mut Guest, apcb: &Apcb) {
        self.trace_filtered(held, guest.id(), apcb.matrix());
        guest.set_masks(held, apcb.matrix());
        trace::published(guest.id(), apcb);
    }

    fn changed(&self, guest: &mut Guest) {
        guest.tell_changed();
    }

    fn shown(&self, held: &mut Held<'_, order::Plug>, guest: &mut Guest, matrix: Matrix) {
        self.trace_filtered(held, guest.id(), matrix);
        guest.tell_shown();
    }

    fn wait_and_look<T>(
        &self,
        free: &mut Free<'_>,
        condition: Condition,
        look: impl FnOnce(&Model<Self::Memory>) -> T,
    ) -> T {
        let limit = match condition {
            Condition::Drained(_) | Condition::Reset(_) => None,
            Condition::Joined(_) => Some(PATIENCE_JOIN_MS),
            Condition::Idle(_) => Some(PATIENCE_UNBIND_MS),
        };
        let start = Instant::<Monotonic>::now();
        let mut state = self.state.lock(free);
        while !state.model.holds(condition) {
            let left = limit.map(|limit| limit - start.elapsed().as_millis());
            let tired = match left {
                Some(left) => left <= 0,
                None => abi::being_killed() && !state.is_closing(condition),
            };
            if tired {
                if let Condition::Idle(apqn) = condition {
                    pr_warn!("queue {apqn} leaves without its reset having completed\n");
                }
                break;
            }
            let nap = msecs_to_jiffies(left.unwrap_or(LOOK_MS).min(LOOK_MS) as u32);
            let woken = state.wait_interruptible(&self.progress, nap);
            if let CondVarTimeoutResult::Signal { .. } = woken {
                // a signal that does not kill must not make this spin
                drop(state);
                fsleep(Delta::from_millis(NAP_MS));
                state = self.state.lock(free);
            }
        }
        look(&state.model)
    }
}

/// How many queues of a matrix a message leaves out.
struct More<'a>(&'a Matrix);

impl kernel::fmt::Display for More<'_> {
    fn fmt(&self, f: &mut kernel::fmt::Formatter<'_>) -> kernel::fmt::Result {
        match self.0.queue_count() {
            0 | 1 => Ok(()),
            count => write!(f, " and {} more", count - 1),
        }
    }
}

/// The kernel's form of an error number.
pub(crate) fn to_error(errno: Errno) -> Error {
    Error::from_errno(-errno.code())
}
