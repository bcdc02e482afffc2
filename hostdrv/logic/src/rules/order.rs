// SPDX-License-Identifier: MIT OR Apache-2.0
//! The order of the driver's locks, in types.
//!
//! A thread that comes into the driver makes a [`Held`], which says what it
//! holds: usually nothing. A lock is taken with the token of a level before its
//! own, and lends a token of its own level for as long as it is held; the one
//! it was taken with cannot be used meanwhile. So this compiles:
//!
//! ```
//! use vfio_ap_logic::order::{Before, Free, Held, Level, Model, Plug};
//!
//! fn lock<L: Level>(held: &mut Held<'_, impl Before<L>>, f: impl FnOnce(&mut Held<'_, L>)) {
//!     f(&mut held.lend());
//! }
//! let mut free = Free::on_entry();
//! lock::<Plug>(&mut free, |plug| lock::<Model>(plug, |_| ()));
//! ```
//!
//! But no lock is taken inside one that comes after it,
//!
//! ```compile_fail,E0277
//! # use vfio_ap_logic::order::{Before, Free, Held, Level, Model, Plug};
//! # fn lock<L: Level>(held: &mut Held<'_, impl Before<L>>, f: impl FnOnce(&mut Held<'_, L>)) {
//! #     f(&mut held.lend());
//! # }
//! # let mut free = Free::on_entry();
//! lock::<Model>(&mut free, |model| lock::<Plug>(model, |_| ()));
//! ```
//!
//! nor twice, nor of two mdevs or queues,
//!
//! ```compile_fail,E0277
//! # use vfio_ap_logic::order::{Before, Free, Held, Level, Plug};
//! # fn lock<L: Level>(held: &mut Held<'_, impl Before<L>>, f: impl FnOnce(&mut Held<'_, L>)) {
//! #     f(&mut held.lend());
//! # }
//! # let mut free = Free::on_entry();
//! lock::<Plug>(&mut free, |plug| lock::<Plug>(plug, |_| ()));
//! ```
//!
//! nor does a reset, or whoever has to do with a queue, wait for a guest that pins,
//!
//! ```compile_fail,E0277
//! # use vfio_ap_logic::order::{Before, Free, Held, Level, Pins, Run};
//! # fn lock<L: Level>(held: &mut Held<'_, impl Before<L>>, f: impl FnOnce(&mut Held<'_, L>)) {
//! #     f(&mut held.lend());
//! # }
//! # let mut free = Free::on_entry();
//! lock::<Run>(&mut free, |run| lock::<Pins>(run, |_| ()));
//! ```
//!
//! nor by the token of before,
//!
//! ```compile_fail,E0499
//! # use vfio_ap_logic::order::{Before, Free, Held, Level, Model, Plug};
//! # fn lock<L: Level>(held: &mut Held<'_, impl Before<L>>, f: impl FnOnce(&mut Held<'_, L>)) {
//! #     f(&mut held.lend());
//! # }
//! # let mut free = Free::on_entry();
//! lock::<Model>(&mut free, |_| lock::<Plug>(&mut free, |_| ()));
//! ```
//!
//! nor does who holds one wait for hardware or for another thread,
//!
//! ```compile_fail,E0277
//! # use vfio_ap_logic::order::{Free, Held, MayWait, Plug};
//! fn wait(_: &mut Held<'_, impl MayWait>) {}
//! wait(&mut Free::on_entry().lend::<Plug>());
//! ```
//!
//! nor does anybody come in with a lock that only the driver takes:
//!
//! ```compile_fail,E0277
//! # use vfio_ap_logic::order::{Held, Plug};
//! let held = Held::<Plug>::on_entry();
//! ```

use core::marker::PhantomData;

/// A place in the order.
pub trait Level {}

/// A lock of level `L` may be taken with this.
pub trait Before<L: Level>: Level {}

/// Callers come into the driver with this.
pub trait Entry: Level {}

/// Nothing that others need is held, so a thread may wait for hardware.
pub trait MayWait: Level {}

macro_rules! order {
    () => {};
    ($(#[doc = $doc:literal])+ $outer:ident, $($(#[doc = $docs:literal])+ $inner:ident,)*) => {
        $(#[doc = $doc])+
        #[derive(Debug)]
        pub enum $outer {}
        impl Level for $outer {}
        $(impl Before<$inner> for $outer {})*
        order!($($(#[doc = $docs])+ $inner,)*);
    };
}

order! {
    /// None of the driver's locks, and none that the others come after.
    Nothing,
    /// The AP bus's `ap_attr_mutex`.
    BusMasks,
    /// The guest of an mdev.
    Plug,
    /// Locks of KVM, type1 and iommufd, which they call the driver with.
    Machine,
    /// What an mdev's guest has pinned.
    Pins,
    /// The reset of a queue.
    Run,
    /// The interrupts of a queue.
    Interrupts,
    /// The model.
    Model,
    /// What a queue's work item is to do.
    Task,
}

impl Entry for Nothing {}
impl Entry for BusMasks {}
impl Entry for Machine {}

impl MayWait for Nothing {}
// a guest's CPU in PQAP, or who unmaps its memory: nobody else's
impl MayWait for Machine {}
// nor does anybody else take this
impl MayWait for Pins {}

/// Proof that a thread holds no lock that comes after `L`.
#[derive(Debug)]
pub struct Held<'a, L>(PhantomData<(&'a mut (), L)>);

/// Proof that a thread holds none of the driver's locks.
pub type Free<'a> = Held<'a, Nothing>;

impl<L: Entry> Held<'static, L> {
    /// What a caller holds who comes into the driver: for callbacks only.
    pub fn on_entry() -> Self {
        Self(PhantomData)
    }
}

impl<L: Level> Held<'_, L> {
    /// What is held with a lock of level `M`: for what takes one.
    pub fn lend<M: Level>(&mut self) -> Held<'_, M>
    where
        L: Before<M>,
    {
        Held(PhantomData)
    }
}
