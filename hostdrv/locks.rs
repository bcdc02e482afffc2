// SPDX-License-Identifier: GPL-2.0
//! A kernel mutex that is taken in the order of [`order`]: see there.

use core::marker::PhantomData;
use core::ops::{Deref, DerefMut};

use kernel::prelude::*;
use kernel::sync::{CondVar, CondVarTimeoutResult, Mutex, MutexGuard};
use kernel::time::Jiffies;

use crate::rules::order::{Before, Held, Level};

/// A mutex at a level. Those of one level are one class of lockdep.
#[pin_data]
pub(crate) struct Lock<L, T> {
    #[pin]
    mutex: Mutex<T>,
    level: PhantomData<fn() -> L>,
}

impl<L: Level, T: Unpin> Lock<L, T> {
    /// Takes a `new_mutex!`, which has a name and a class of its own.
    pub(crate) fn new(mutex: impl PinInit<Mutex<T>>) -> impl PinInit<Self> {
        pin_init!(Self {
            mutex <- mutex,
            level: PhantomData,
        })
    }

    /// Takes the lock; `held` cannot be used until it is released.
    pub(crate) fn lock<'a, H: Before<L>>(&'a self, held: &'a mut Held<'_, H>) -> Locked<'a, L, T> {
        Locked {
            guard: self.mutex.lock(),
            held: held.lend(),
        }
    }
}

/// What a lock guards, as long as it is held.
pub(crate) struct Locked<'a, L, T> {
    guard: MutexGuard<'a, T>,
    held: Held<'a, L>,
}

impl<'a, L, T: Unpin> Locked<'a, L, T> {
    /// What it guards, and the token to take later locks with.
    pub(crate) fn parts(&mut self) -> (&mut Held<'a, L>, &mut T) {
        (&mut self.held, &mut self.guard)
    }

    /// Releases the lock until somebody notifies, a signal comes, or that time is
    /// over.
    pub(crate) fn wait_interruptible(
        &mut self,
        condvar: &CondVar,
        limit: Jiffies,
    ) -> CondVarTimeoutResult {
        condvar.wait_interruptible_timeout(&mut self.guard, limit)
    }
}

impl<L, T> Deref for Locked<'_, L, T> {
    type Target = T;

    fn deref(&self) -> &T {
        &self.guard
    }
}

impl<L, T: Unpin> DerefMut for Locked<'_, L, T> {
    fn deref_mut(&mut self) -> &mut T {
        &mut self.guard
    }
}
