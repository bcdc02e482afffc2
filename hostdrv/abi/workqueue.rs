// SPDX-License-Identifier: GPL-2.0
//! A work queue of the driver's own, so that unloading can wait for its end.

use core::ptr::NonNull;

use kernel::container_of;
use kernel::ffi::c_int;
use kernel::prelude::*;
use kernel::sync::Arc;
use kernel::workqueue::{self, RawDelayedWorkItem, WorkItem};

use super::bindings;
use crate::queue::Queue;
use crate::rules::order::Free;

/// A work queue. Dropping it waits for what runs, so it must not be dropped by
/// what runs on it; nothing may be left that would be queued later.
///
/// # Invariants
///
/// The pointer is to a work queue that nobody else destroys.
pub(crate) struct WorkQueue(NonNull<bindings::workqueue_struct>);

// SAFETY: Work queues are made to be used by all.
unsafe impl Send for WorkQueue {}

// SAFETY: As above.
unsafe impl Sync for WorkQueue {}

impl WorkQueue {
    pub(crate) fn new(name: &'static CStr) -> Result<Self> {
        let flags = bindings::wq_flags_WQ_UNBOUND;
        // SAFETY: The format takes one string, which is one.
        let queue = unsafe {
            bindings::alloc_workqueue_noprof(c"%s".as_char_ptr(), flags, 0, name.as_char_ptr())
        };
        // INVARIANT: It was just made.
        NonNull::new(queue).map(Self).ok_or(ENOMEM)
    }

    pub(crate) fn queue(&self) -> &workqueue::Queue {
        // SAFETY: By the invariant it stays as long as `self`.
        unsafe { workqueue::Queue::from_raw(self.0.as_ptr()) }
    }

    /// Has an item run at once, also if it was to run later.
    pub(crate) fn enqueue_now<W>(&self, item: W) -> W::EnqueueOutput
    where
        W: RawDelayedWorkItem<0> + Send + 'static,
    {
        let cpu = bindings::wq_misc_consts_WORK_CPU_UNBOUND as c_int;
        let enqueue = |work: *mut bindings::work_struct| {
            // SAFETY: The item is delayed work, so its work is part of one, and
            // both stay until the item has run, or `__enqueue` has it back; by
            // the invariant the queue exists.
            let was_pending = unsafe {
                let work = container_of!(work, bindings::delayed_work, work);
                bindings::mod_delayed_work_on(cpu, self.0.as_ptr(), work, 0)
            };
            // what was pending has the reference of when it was enqueued
            !was_pending
        };
        // SAFETY: False is returned only if the item is enqueued already.
        unsafe { item.__enqueue(enqueue) }
    }

    /// Waits until nothing runs, and nothing is left of what ran.
    pub(crate) fn drain(&self) {
        // SAFETY: By the invariant it exists.
        unsafe { bindings::drain_workqueue(self.0.as_ptr()) };
    }
}

impl WorkItem for Queue {
    type Pointer = Arc<Self>;

    fn run(this: Arc<Self>) {
        this.work(&mut Free::on_entry());
    }
}

impl Drop for WorkQueue {
    fn drop(&mut self) {
        // SAFETY: By the invariant it is ours to destroy.
        unsafe { bindings::destroy_workqueue(self.0.as_ptr()) };
    }
}
