// SPDX-License-Identifier: GPL-2.0
//! The driver's state, and the rules running on the kernel.
//!
//! Locks, outermost first; each may be taken without those before it:
//!
//! ```text
//!   ap_attr_mutex   the AP bus's masks do not change
//!     plug          one per mdev: its guest's masks are written by one alone
//!       kvm->lock, pqap_hook_rwsem
//!     run           one per queue: its reset advances
//!       Interrupts  one per queue: single instructions
//!         state     the model; nothing sleeps under it
//!           task    one per queue
//! ```
//!
//! `ap_attr_mutex` is let go before `plug` is taken; it stands first because
//! `in_use` is called with it and takes `state`. No lock is held while waiting
//! for hardware.

use kernel::prelude::*;
use kernel::sync::{new_condvar, new_mutex, Arc, CondVar, CondVarTimeoutResult, Mutex};
use kernel::time::delay::fsleep;
use kernel::time::{msecs_to_jiffies, Delta, Instant, Monotonic};
use kernel::workqueue;

use crate::abi::{self, ap_bus, WorkQueue};
use crate::ap_arch::{Apm, Apqn, Aqm, Matrix, Qci};
use crate::guest::{Guest, Mdev};
use crate::memory::{Table, Tables};
use crate::queue::Queue;
use crate::rules::protocol::{self, Driver};
use crate::rules::Table as _;
use crate::rules::{
    self,
    Apcb, Attach, Condition, Edit, Effects, Errno, Event, Host, Limits, MdevId, Model, Ownership,
    QueueEffect, Scope,
};
use crate::trace;

/// How long an assignment waits for its queues to join the guest.
const PATIENCE_JOIN_MS: i64 = 1_000;

/// How long the AP bus is kept waiting for the reset of a queue it removes.
const PATIENCE_UNBIND_MS: i64 = 10_000;

/// Time between two looks where nothing wakes the waiter.
const LOOK_MS: u32 = 50;

/// What the `state` lock guards.
pub(crate) struct State {
    pub(crate) model: Model<Tables>,
    limits: Limits,
    /// In the order of the model's.
    mdevs: Table<Arc<Mdev>>,
    /// In the order of the model's.
    queues: Table<Arc<Queue>>,
    /// Queue objects in existence, also those that only a work item has.
    live: usize,
}

/// Everything the driver has.
#[pin_data]
pub(crate) struct Core {
    #[pin]
    state: Mutex<State>,
    /// Something that a waiter may wait for has happened.
    #[pin]
    progress: CondVar,
    workqueue: WorkQueue,
}

impl Core {
    pub(crate) fn new(qci: &Qci) -> Result<Arc<Self>> {
        let workqueue = WorkQueue::new(c"vfio_ap")?;
        let state = State {
            model: Model::new(Host::new(qci.matrix), Table::new(), Table::new()),
            limits: Limits::of(qci),
            mdevs: Table::new(),
            queues: Table::new(),
            live: 0,
        };
        Arc::pin_init(
            pin_init!(Self {
                state <- new_mutex!(state, "vfio_ap::state"),
                progress <- new_condvar!("vfio_ap::progress"),
                workqueue,
            }),
            GFP_KERNEL,
        )
    }

    pub(crate) fn workqueue(&self) -> &workqueue::Queue {
        self.workqueue.queue()
    }

    /// Looks at the model.
    pub(crate) fn look<R>(&self, f: impl FnOnce(&Model<Tables>) -> R) -> R {
        f(&self.state.lock().model)
    }

    /// Adds an mdev with nothing assigned.
    pub(crate) fn create(
        self: &Arc<Self>,
        make: impl Fn(MdevId, Limits) -> Result<Arc<Mdev>>,
    ) -> Result<Arc<Mdev>> {
        self.make_room(|state| &mut state.mdevs)?;
        self.make_room(|state| state.model.tables().0)?;
        let (id, limits) = {
            let mut state = self.state.lock();
            let limits = state.limits;
            (state.model.create(limits).map_err(to_error)?, limits)
        };
        let added = make(id, limits).and_then(|mdev| {
            let mut state = self.state.lock();
            let end = state.mdevs.as_slice().len();
            state.mdevs.insert(end, mdev.clone()).map_err(|_| ENOMEM)?;
            drop(state);
            trace::created(id, mdev.device().name().to_bytes());
            Ok(mdev)
        });
        if added.is_err() {
            let _ = self.step(Event::Remove(id));
        }
        added
    }

    /// Forgets an mdev that has no guest.
    pub(crate) fn remove(&self, id: MdevId) {
        let _ = self.step(Event::Remove(id));
        let mut state = self.state.lock();
        let index = state.mdevs.as_slice().iter().position(|m| m.id() == id);
        let gone = index.and_then(|index| state.mdevs.take(index));
        drop(state);
        drop(gone);
    }

    /// Makes an edit that an attribute asked for.
    pub(crate) fn edit(&self, id: MdevId, edit: Edit) -> Result {
        if !edit.can_add_queues() {
            let made = protocol::edit(self, id, edit, Ownership::Available);
            trace::edited(id, edit, made);
            return made.map_err(to_error);
        }
        let bus = ap_bus::hold_still();
        let proposal = self
            .look(|model| model.propose(id, edit))
            .map_err(to_error)?;
        let reserved = |(apm, aqm): &(Apm, Aqm)| bus.owned_by_default(*apm, *aqm);
        let ownership = if proposal.added.iter().any(reserved) {
            Ownership::ReservedForHost
        } else {
            Ownership::Available
        };
        let made = self.step(Event::Edit(id, edit, ownership));
        drop(bus);
        trace::edited(id, edit, made.as_ref().map(|_| ()).map_err(|errno| *errno));
        if made == Err(Errno::Eaddrinuse) {
            self.log_sharing(id, &proposal.added);
        }
        if made.map_err(to_error)?.reconcile != Scope::None {
            protocol::edited(self, id);
        }
        Ok(())
    }

    fn log_sharing(&self, id: MdevId, added: &[(Apm, Aqm); 2]) {
        let sharer = self.look(|model| {
            added
                .iter()
                .find_map(|&(apm, aqm)| model.sharer(Some(id), apm, aqm))
        });
        let Some((holder, shared)) = sharer else {
            return;
        };
        let (Some(first), Some(mdev), Some(holder)) =
            (shared.apqns().next(), self.mdev(id), self.mdev(holder))
        else {
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
    pub(crate) fn in_use(&self, apm: Apm, aqm: Aqm) -> Result {
        let Some((holder, shared)) = self.look(|model| model.sharer(None, apm, aqm)) else {
            return Ok(());
        };
        if let (Some(first), Some(mdev)) = (shared.apqns().next(), self.mdev(holder)) {
            dev_warn!(
                mdev.device(),
                "Can not reserve queue {first}{} for host driver: in use by mdev\n",
                More(&shared)
            );
        }
        Err(to_error(Errno::Eaddrinuse))
    }

    fn mdev(&self, id: MdevId) -> Option<Arc<Mdev>> {
        self.state.lock().mdev(id).cloned()
    }

    /// The AP bus gives the driver a queue.
    pub(crate) fn bind(self: &Arc<Self>, apqn: Apqn) -> Result {
        self.make_room(|state| &mut state.queues)?;
        self.make_room(|state| state.model.tables().1)?;
        // dropping the last reference takes the lock: `queue` outlives it here
        let queue = Queue::new(apqn, self.clone())?;
        {
            let mut state = self.state.lock();
            let Err(index) = state.queue_index(apqn) else {
                return Err(EEXIST);
            };
            state
                .queues
                .insert(index, queue.clone())
                .map_err(|_| ENOMEM)?;
        }
        let bound = protocol::handle(&**self, Event::Bind(apqn));
        if bound.is_err() {
            self.forget(apqn);
        }
        bound.map_err(to_error)
    }

    /// The AP bus takes a queue back.
    pub(crate) fn unbind(&self, apqn: Apqn) {
        if protocol::unbind(self, apqn).is_err() {
            pr_err!("queue {apqn} was taken while in use\n");
        }
        // while the table has it, a guest that closes waits for this
        if let Some(queue) = self.queue(apqn) {
            queue.interrupts().unbind();
        }
        self.forget(apqn);
    }

    fn forget(&self, apqn: Apqn) {
        let mut state = self.state.lock();
        let index = state.queue_index(apqn).ok();
        let gone = index.and_then(|index| state.queues.take(index));
        drop(state);
        if let Some(queue) = gone {
            queue.abandon();
        }
    }

    /// The host's configuration changed, or was scanned.
    pub(crate) fn host(&self, event: impl FnOnce(Matrix) -> Event, qci: &Qci) {
        let _ = protocol::handle(self, event(qci.matrix));
    }

    /// A bound queue.
    pub(crate) fn queue(&self, apqn: Apqn) -> Option<Arc<Queue>> {
        let state = self.state.lock();
        let index = state.queue_index(apqn).ok()?;
        state.queues.as_slice().get(index).cloned()
    }

    /// Calls `f`, without a lock, for every queue that is bound all along.
    pub(crate) fn each_queue(&self, f: impl Fn(&Queue)) {
        let mut next = 0;
        while let Some(queue) = self.queue_from(next) {
            f(&queue);
            next = u32::from(queue.apqn().to_qid()) + 1;
        }
    }

    /// The first bound queue whose number is `qid` or more.
    fn queue_from(&self, qid: u32) -> Option<Arc<Queue>> {
        let state = self.state.lock();
        let queues = state.queues.as_slice();
        let index = queues.partition_point(|queue| u32::from(queue.apqn().to_qid()) < qid);
        queues.get(index).cloned()
    }

    pub(crate) fn queue_made(&self) {
        self.state.lock().live += 1;
    }

    pub(crate) fn queue_gone(&self) {
        self.state.lock().live -= 1;
        self.progress.notify_all();
    }

    /// Waits for the end of everything that was begun for queues, all of which
    /// were given back. After that no work item has a part of the driver.
    pub(crate) fn stop(&self) {
        let mut state = self.state.lock();
        while state.live > 0 {
            self.progress.wait(&mut state);
        }
        drop(state);
        // the item that had the last queue may not have returned yet
        self.workqueue.drain();
    }

    /// Makes sure that a table has room for one more, unless another takes it.
    fn make_room<T>(&self, table: impl Fn(&mut State) -> &mut Table<T>) -> Result {
        let Some(wanted) = table(&mut self.state.lock()).wanted_room() else {
            return Ok(());
        };
        let room = KVec::with_capacity(wanted, GFP_KERNEL)?;
        let old = table(&mut self.state.lock()).move_into(room);
        drop(old);
        Ok(())
    }
}

impl State {
    fn queue_index(&self, apqn: Apqn) -> Result<usize, usize> {
        let queues = self.queues.as_slice();
        queues.binary_search_by_key(&apqn, |queue| queue.apqn())
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

    fn step(&self, event: Event) -> Result<Effects, Errno> {
        let mut state = self.state.lock();
        let state = &mut *state;
        let (model, queues) = (&mut state.model, &state.queues);
        let find = |apqn| {
            let queues = queues.as_slice();
            let index = queues.binary_search_by_key(&apqn, |queue| queue.apqn());
            index.ok().map(|index| &queues[index])
        };
        let effects = model.step(event, &mut |effect| match effect {
            QueueEffect::StartReset(apqn, epoch) => {
                trace::reset_begun(apqn, epoch);
                if let Some(queue) = find(apqn) {
                    queue.reset(epoch);
                }
            }
            QueueEffect::RetryLater(apqn) => {
                if let Some(queue) = find(apqn) {
                    queue.retry_later();
                }
            }
            QueueEffect::Settled(_) => {}
        });
        self.progress.notify_all();
        effects
    }

    fn mdev_after(&self, id: Option<MdevId>) -> Option<MdevId> {
        self.look(|model| model.mdev_after(id))
    }

    fn with_plug(&self, mdev: MdevId, f: &mut dyn FnMut(&mut Guest)) {
        if let Some(mdev) = self.mdev(mdev) {
            mdev.with_guest(f);
        }
    }

    fn set_apcb(&self, guest: &mut Guest, apcb: &Apcb) {
        let id = guest.id();
        let assigned = self.look(|model| model.mdev(id).map(rules::Mdev::assigned));
        trace::filtered(id, assigned.unwrap_or(Matrix::EMPTY), apcb);
        guest.set_masks(apcb.matrix());
        trace::published(id, apcb);
    }

    fn changed(&self, guest: &mut Guest) {
        guest.tell_changed();
    }

    fn wait(&self, condition: Condition) {
        let patience = match condition {
            Condition::Drained(_) | Condition::Reset(_) => None,
            Condition::Joined(_) => Some(Delta::from_millis(PATIENCE_JOIN_MS)),
            Condition::Idle(_) => Some(Delta::from_millis(PATIENCE_UNBIND_MS)),
        };
        let start = Instant::<Monotonic>::now();
        let mut state = self.state.lock();
        while !state.model.holds(condition) {
            let tired = match patience {
                Some(patience) => start.elapsed() > patience,
                None => abi::being_killed() && !state.is_closing(condition),
            };
            if tired {
                drop(state);
                if let Condition::Idle(apqn) = condition {
                    pr_warn!("queue {apqn} leaves without its reset having completed\n");
                }
                return;
            }
            let look = msecs_to_jiffies(LOOK_MS);
            let woken = self.progress.wait_interruptible_timeout(&mut state, look);
            if let CondVarTimeoutResult::Signal { .. } = woken {
                // a signal that does not kill must not make this spin
                drop(state);
                fsleep(Delta::from_millis(LOOK_MS.into()));
                state = self.state.lock();
            }
        }
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
