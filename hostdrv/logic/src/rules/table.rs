// SPDX-License-Identifier: MIT OR Apache-2.0
//! Where the model keeps its records.
//!
//! The model never allocates: kernel memory is asked for outside locks and may
//! be refused. The caller makes room first; an event that finds none returns
//! `ENOMEM` and has changed nothing ([`with_room`]).

use super::{Errno, Mdev, Queue};

/// No room was reserved.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct NoRoom;

/// Records in a row, in an order that the model keeps.
pub trait Table<T> {
    /// All records.
    fn as_slice(&self) -> &[T];

    /// All records, to change.
    fn as_mut_slice(&mut self) -> &mut [T];

    /// Puts `record` at index `at`, moving later ones up, without allocating.
    fn insert(&mut self, at: usize, record: T) -> Result<(), NoRoom>;

    /// Takes out the record at index `at`, moving later ones down.
    fn remove(&mut self, at: usize);
}

/// The tables of a model.
pub trait Memory {
    /// Keeps the mdevs.
    type Mdevs: Table<Mdev>;
    /// Keeps the queues.
    type Queues: Table<Queue>;
}

/// Does what needs room in a table. Others may take the room before it is used:
/// then it is made again. `ENOMEM` if it cannot be made. Both get `with`.
pub fn with_room<W, R>(
    with: &mut W,
    make_room: impl Fn(&mut W) -> Result<(), Errno>,
    act: impl Fn(&mut W) -> Result<R, Errno>,
) -> Result<R, Errno> {
    loop {
        make_room(with)?;
        match act(with) {
            Err(Errno::Enomem) => {}
            done => return done,
        }
    }
}
