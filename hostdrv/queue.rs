// SPDX-License-Identifier: GPL-2.0
//! One bound AP queue, and the work of resetting it.
//!
//! A reset is a work item that looks at the queue, and comes back later if
//! there is more to do: no thread waits for hardware, and no lock is held
//! between two looks. The model says which reset counts ([`Epoch`]); an older
//! one is abandoned when the item next runs.

use kernel::prelude::*;
use kernel::sync::{new_mutex, Arc};
use kernel::time::delay::fsleep;
use kernel::time::{msecs_to_jiffies, Delta, Jiffies};
use kernel::workqueue::{impl_has_delayed_work, new_delayed_work, DelayedWork};

use crate::abi::insn;
use crate::ap_arch::{Apqn, ResponseCode};
use crate::driver::Core;
use crate::irq::Interrupts;
use crate::locks::Lock;
use crate::rules::order::{self, Free, Held};
use crate::rules::{protocol, Epoch, Event, Outcome, ResetRun, ResetStep};
use crate::trace;

/// Time between two attempts to reset a queue that did not let itself be reset.
const RETRY_MS: u32 = 1000;

/// A queue bound to the driver.
#[pin_data(PinnedDrop)]
pub(crate) struct Queue {
    apqn: Apqn,
    core: Arc<Core>,
    /// What the work item is to do.
    #[pin]
    task: Lock<order::Task, Task>,
    /// The reset at work. Held for single instructions.
    #[pin]
    run: Lock<order::Run, Option<(Epoch, ResetRun)>>,
    #[pin]
    interrupts: Interrupts,
    #[pin]
    work: DelayedWork<Self>,
}

/// Resets a queue that the host has again, and no driver yet, with what a guest
/// left in it: sleeps until that is done. False if it cannot be done, or is not
/// when it is too late.
pub(crate) fn reset_returning(apqn: Apqn, is_late: impl Fn() -> bool) -> bool {
    let mut run = ResetRun::new();
    let mut step = ResetStep::Zapq;
    loop {
        step = match step {
            ResetStep::Zapq => run.zapq(insn::zapq(apqn)),
            ResetStep::Poll if is_late() => return false,
            ResetStep::Poll => {
                fsleep(Delta::from_millis(run.pause_ms().into()));
                run.tapq(insn::tapq(apqn))
            }
            ResetStep::Done(outcome) => return outcome == Outcome::Completed,
        };
    }
}

impl_has_delayed_work! {
    impl HasDelayedWork<Self> for Queue { self.work }
}

/// What a queue's work item is to do.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Task {
    /// Nothing.
    None,
    /// The reset of this number.
    Reset(Epoch),
    /// Ask the model for another reset.
    Retry,
}

impl Queue {
    pub(crate) fn new(apqn: Apqn, core: Arc<Core>) -> Result<Arc<Self>> {
        let queue = Arc::pin_init(
            pin_init!(Self {
                apqn,
                core,
                task <- Lock::new(new_mutex!(Task::None, "vfio_ap::Queue::task")),
                run <- Lock::new(new_mutex!(None, "vfio_ap::Queue::run")),
                interrupts <- Interrupts::new(*apqn),
                work <- new_delayed_work!("vfio_ap::Queue::work"),
            }),
            GFP_KERNEL,
        )?;
        queue.core.queue_made();
        Ok(queue)
    }

    pub(crate) fn apqn(&self) -> Apqn {
        self.apqn
    }

    pub(crate) fn interrupts(&self) -> &Interrupts {
        &self.interrupts
    }

    /// Begins a reset, instead of one that runs.
    pub(crate) fn reset(self: &Arc<Self>, held: &mut Held<'_, order::Model>, epoch: Epoch) {
        *self.task.lock(held) = Task::Reset(epoch);
        // not only when it would look at an earlier reset, or try again
        let _ = self.core.workqueue().enqueue_now(self.clone());
    }

    /// Has the model asked for another reset after a while.
    pub(crate) fn retry_later(self: &Arc<Self>, held: &mut Held<'_, order::Model>) {
        *self.task.lock(held) = Task::Retry;
        self.come_back(msecs_to_jiffies(RETRY_MS));
    }

    /// The AP bus has the queue back: on return nothing is done to it any more.
    pub(crate) fn abandon(&self, free: &mut Free<'_>) {
        *self.task.lock(free) = Task::None;
        // instructions are issued with this lock, after a look at the task
        drop(self.run.lock(free));
    }

    fn come_back(self: &Arc<Self>, delay: Jiffies) {
        // if it is to come already, it will see the task then
        let queue = self.core.workqueue().queue();
        let _ = queue.enqueue_delayed(self.clone(), delay);
    }

    /// The next instructions of a reset.
    fn advance(self: &Arc<Self>, free: &mut Free<'_>, epoch: Epoch) {
        let mut locked = self.run.lock(free);
        let (held, slot) = locked.parts();
        if *self.task.lock(held) != Task::Reset(epoch) {
            return;
        }
        let (mut run, mut step) = match *slot {
            Some((running, run)) if running == epoch => (run, ResetStep::Poll),
            _ => (ResetRun::new(), ResetStep::Zapq),
        };
        if step == ResetStep::Poll {
            step = run.tapq(insn::tapq(self.apqn));
        }
        if step == ResetStep::Zapq {
            step = run.zapq(self.interrupts.zapq(held));
        }
        match step {
            ResetStep::Done(outcome) => {
                *slot = None;
                drop(locked);
                let is_off = matches!(
                    outcome,
                    Outcome::Completed | Outcome::Failed(ResponseCode::NOT_AVAILABLE)
                );
                let unused = is_off.then(|| self.interrupts.reset_done(free));
                trace::reset_done(self.apqn, epoch, outcome);
                let done = Event::ResetDone(self.apqn, epoch, outcome);
                // fails only if the bus took the queue meanwhile
                let _ = protocol::handle(&*self.core, free, done);
                drop(unused);
            }
            ResetStep::Poll | ResetStep::Zapq => {
                let pause = run.pause_ms();
                *slot = Some((epoch, run));
                drop(locked);
                if let Some(seconds) = run.word_seconds() {
                    pr_notice!("Waited {seconds}s for reset of queue {}\n", self.apqn);
                }
                self.come_back(msecs_to_jiffies(pause));
            }
        }
    }

    /// What its work item does.
    pub(crate) fn work(self: &Arc<Self>, free: &mut Free<'_>) {
        let task = *self.task.lock(free);
        match task {
            Task::None => {}
            Task::Reset(epoch) => self.advance(free, epoch),
            Task::Retry => {
                let _ = protocol::handle(&*self.core, free, Event::Retry(self.apqn));
            }
        }
    }
}

#[pinned_drop]
impl PinnedDrop for Queue {
    fn drop(self: Pin<&mut Self>) {
        self.core.queue_gone();
    }
}
