// SPDX-License-Identifier: GPL-2.0
//! Everything that touches C, and with it all of the driver's `unsafe`.
//!
//! Callbacks arrive with raw pointers, find the driver's own object, and call
//! safe code. Registrations are values whose drop takes back what they did;
//! `main` drops them in the reverse of the order in which it made them.

pub(crate) mod ap_bus;
mod bindings;
pub(crate) mod dbf;
mod eventfd;
mod hook;
pub(crate) mod insn;
mod irq;
mod kvm;
pub(crate) mod matrix_dev;
pub(crate) mod mdev;
mod shared;
mod sysfs;
mod vfio;
mod workqueue;

pub(crate) use dbf::Dbf;
pub(crate) use eventfd::EventFd;
pub(crate) use hook::Hook;
pub(crate) use irq::{Byte, Gisc, Pin, Vcpu, VfioDevice};
pub(crate) use kvm::Kvm;
pub(crate) use mdev::MdevDevice;
pub(crate) use workqueue::WorkQueue;

/// Whether the calling process is being killed; Linux `fatal_signal_pending`.
pub(crate) fn being_killed() -> bool {
    // SAFETY: The current task exists.
    let task = unsafe { bindings::get_current() };
    // SAFETY: As above; the mask is looked at as C does, without a lock.
    let pending = unsafe { (&raw const (*task).pending.signal.sig[0]).read_volatile() };
    pending & (1 << (bindings::SIGKILL - 1)) != 0
}
