// SPDX-License-Identifier: GPL-2.0
//! Kernel memory for the model's tables: asked for with no lock held, used
//! under the model's lock.

use core::mem::replace;

use kernel::prelude::*;

use crate::rules::{self, Memory, NoRoom};

/// Records in a row.
pub(crate) struct Table<T>(KVec<T>);

impl<T> Table<T> {
    /// An empty table without room.
    pub(crate) const fn new() -> Self {
        Self(KVec::new())
    }

    /// How much room to ask for, if there is none left.
    pub(crate) fn wanted_room(&self) -> Option<usize> {
        (self.0.len() == self.0.capacity()).then(|| self.0.len() * 2 + 8)
    }

    /// Moves into `room` if that is larger; returns what is no longer needed,
    /// to be freed without a lock.
    pub(crate) fn move_into(&mut self, room: KVec<T>) -> KVec<T> {
        if room.capacity() <= self.0.len() {
            return room;
        }
        let mut old = replace(&mut self.0, room);
        for record in old.drain_all() {
            // the room was just found to be larger
            let _ = self.0.push_within_capacity(record);
        }
        old
    }

    /// Takes out the record at index `at`.
    pub(crate) fn take(&mut self, at: usize) -> Option<T> {
        self.0.remove(at).ok()
    }
}

impl<T> rules::Table<T> for Table<T> {
    fn as_slice(&self) -> &[T] {
        &self.0
    }

    fn as_mut_slice(&mut self) -> &mut [T] {
        &mut self.0
    }

    fn insert(&mut self, at: usize, record: T) -> Result<(), NoRoom> {
        self.0
            .insert_within_capacity(at, record)
            .map_err(|_| NoRoom)
    }

    fn remove(&mut self, at: usize) {
        let _ = self.take(at);
    }
}

/// The tables of the driver's model.
pub(crate) struct Tables;

impl Memory for Tables {
    type Mdevs = Table<rules::Mdev>;
    type Queues = Table<rules::Queue>;
}
