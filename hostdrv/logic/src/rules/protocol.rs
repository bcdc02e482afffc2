// SPDX-License-Identifier: MIT OR Apache-2.0
//! The order in which locks, masks and resets follow each other.
//!
//! Written once, over what the kernel provides, so that the model checker runs
//! the very code that the kernel runs.
//!
//! Locks, outermost first: `plug`, one per mdev, held while its masks are
//! written; and the model's, a leaf, held for a step. Nothing waits for
//! hardware, or for another mdev, while holding either.

use super::{Apcb, Condition, Edit, Effects, Errno, Event, MdevId, Ownership, Scope};
use crate::ap_arch::Apqn;

/// What the rules run on.
pub trait Driver {
    /// What the `plug` lock of an mdev guards; having it proves that the lock
    /// is held.
    type Guest;

    /// Lets an event happen under the model's lock, and begins what must be
    /// begun under it.
    fn step(&self, event: Event) -> Result<Effects, Errno>;

    /// The oldest mdev younger than `id`, or the oldest of all.
    fn mdev_after(&self, id: Option<MdevId>) -> Option<MdevId>;

    /// Runs `f` with the `plug` lock of an mdev and what it guards; not at all
    /// if the mdev is gone.
    fn with_plug(&self, mdev: MdevId, f: &mut dyn FnMut(&mut Self::Guest));

    /// Writes masks to the guest.
    fn set_apcb(&self, guest: &mut Self::Guest, apcb: &Apcb);

    /// Tells who listens that the guest's masks were changed.
    fn changed(&self, guest: &mut Self::Guest);

    /// Waits, holding no lock, for a condition to come true. May give up on
    /// [`Condition::Joined`] and [`Condition::Idle`] after a while; and on the
    /// others for a caller that is being killed, unless it closes.
    fn wait(&self, condition: Condition);
}

/// Gives the mdev's guest what it should have.
pub fn reconcile(driver: &impl Driver, mdev: MdevId) {
    driver.with_plug(mdev, &mut |guest| {
        while let Ok(Effects {
            set_apcb: Some(apcb),
            ..
        }) = driver.step(Event::Plan(mdev))
        {
            driver.set_apcb(guest, &apcb);
            // fails only without a plan, and there was one
            let _ = driver.step(Event::Published(mdev));
            driver.changed(guest);
        }
    });
}

/// Lets an event happen, and gives guests what they should have then.
pub fn handle(driver: &impl Driver, event: Event) -> Result<(), Errno> {
    match driver.step(event)?.reconcile {
        Scope::None => {}
        Scope::One(mdev) => reconcile(driver, mdev),
        Scope::All => {
            let mut next = driver.mdev_after(None);
            while let Some(mdev) = next {
                reconcile(driver, mdev);
                next = driver.mdev_after(Some(mdev));
            }
        }
    }
    Ok(())
}

/// The rest of a write to an mdev's attribute, after [`Event::Edit`] and
/// without the lock that kept the AP bus still: on return the guest has what
/// it can have, and what it lost is reset.
pub fn edited(driver: &impl Driver, mdev: MdevId) {
    reconcile(driver, mdev);
    driver.wait(Condition::Drained(mdev));
    driver.wait(Condition::Joined(mdev));
    reconcile(driver, mdev);
}

/// A write to an mdev's attribute, from start to end.
pub fn edit(
    driver: &impl Driver,
    mdev: MdevId,
    edit: Edit,
    ownership: Ownership,
) -> Result<(), Errno> {
    let effects = driver.step(Event::Edit(mdev, edit, ownership))?;
    if effects.reconcile != Scope::None {
        edited(driver, mdev);
    }
    Ok(())
}

/// Takes everything from a guest that let the device go. On return nothing
/// that was the guest's is in use any more.
pub fn close(driver: &impl Driver, mdev: MdevId) -> Result<(), Errno> {
    handle(driver, Event::Close(mdev))?;
    driver.wait(Condition::Drained(mdev));
    driver.step(Event::Detach(mdev)).map(drop)
}

/// Gives a queue back to the AP bus.
pub fn unbind(driver: &impl Driver, apqn: Apqn) -> Result<(), Errno> {
    handle(driver, Event::Unbind(apqn))?;
    driver.wait(Condition::Idle(apqn));
    driver.step(Event::Unbound(apqn)).map(drop)
}
