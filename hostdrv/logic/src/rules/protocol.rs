// SPDX-License-Identifier: MIT OR Apache-2.0
//! The order in which locks, masks and resets follow each other.
//!
//! Written once, over what the kernel provides, so that the model checker runs
//! the very code that the kernel runs.
//!
//! Two locks: `plug`, one per mdev, held while its masks are written; and the
//! model's, held for a step. What may be held where is in the types: see
//! [`order`].

use super::order::{self, Before, Free, Held};
use super::{
    Apcb, Condition, Edit, Effects, Errno, Event, MdevId, Memory, Model, Ownership, Scope,
};
use crate::ap_arch::{Apqn, Matrix};

/// What the rules run on.
pub trait Driver {
    /// What the `plug` lock of an mdev guards; having it proves that the lock
    /// is held.
    type Guest;

    /// Where the model has its tables.
    type Memory: Memory;

    /// Lets an event happen under the model's lock, and begins what must be
    /// begun under it.
    fn step<H: Before<order::Model>>(
        &self,
        held: &mut Held<'_, H>,
        event: Event,
    ) -> Result<Effects, Errno>;

    /// Looks at the model.
    fn look<H: Before<order::Model>, T>(
        &self,
        held: &mut Held<'_, H>,
        look: impl FnOnce(&Model<Self::Memory>) -> T,
    ) -> T;

    /// Runs `f` with the `plug` lock of an mdev and what it guards; not at all
    /// if the mdev is gone.
    fn with_plug(
        &self,
        free: &mut Free<'_>,
        mdev: MdevId,
        f: impl FnOnce(&mut Held<'_, order::Plug>, &mut Self::Guest),
    );

    /// Writes masks to the guest.
    fn set_apcb(&self, held: &mut Held<'_, order::Plug>, guest: &mut Self::Guest, apcb: &Apcb);

    /// Tells the guest, and who watches `guest_matrix`, that its masks were
    /// changed.
    fn changed(&self, guest: &mut Self::Guest);

    /// Tells who watches `guest_matrix` that it shows something else, although
    /// no masks were written.
    fn shown(&self, held: &mut Held<'_, order::Plug>, guest: &mut Self::Guest, matrix: Matrix);

    /// Waits for a condition to come true, and looks at the model before
    /// anything else can happen. May give up on [`Condition::Joined`] and
    /// [`Condition::Idle`] after a while; and on the others for a caller that is
    /// being killed, unless it closes.
    fn wait_and_look<T>(
        &self,
        free: &mut Free<'_>,
        condition: Condition,
        look: impl FnOnce(&Model<Self::Memory>) -> T,
    ) -> T;

    /// Waits for a condition to come true, as [`Self::wait_and_look`] does.
    fn wait(&self, free: &mut Free<'_>, condition: Condition) {
        self.wait_and_look(free, condition, |_| ());
    }
}

/// Gives the mdev's guest what it should have.
pub fn reconcile(driver: &impl Driver, free: &mut Free<'_>, mdev: MdevId) {
    driver.with_plug(free, mdev, |held, guest| {
        while let Ok(Effects {
            set_apcb, shown, ..
        }) = driver.step(held, Event::Plan(mdev))
        {
            if let Some(matrix) = shown {
                driver.shown(held, guest, matrix);
            }
            let Some(apcb) = set_apcb else { break };
            driver.set_apcb(held, guest, &apcb);
            // fails only without a plan, and there was one
            let _ = driver.step(held, Event::Published(mdev));
            driver.changed(guest);
        }
    });
}

/// Lets an event happen, and gives guests what they should have then.
pub fn handle(driver: &impl Driver, free: &mut Free<'_>, event: Event) -> Result<(), Errno> {
    match driver.step(free, event)?.reconcile {
        Scope::None => {}
        Scope::One(mdev) => reconcile(driver, free, mdev),
        Scope::All => {
            let mut next = driver.look(free, |model| model.mdev_after(None));
            while let Some(mdev) = next {
                reconcile(driver, free, mdev);
                next = driver.look(free, |model| model.mdev_after(Some(mdev)));
            }
        }
    }
    Ok(())
}

/// The rest of a write to an mdev's attribute, after [`Event::Edit`] and
/// without the lock that kept the AP bus still: on return the guest has what
/// it can have, and what it lost is reset.
pub fn edited(driver: &impl Driver, free: &mut Free<'_>, mdev: MdevId) {
    reconcile(driver, free, mdev);
    driver.wait(free, Condition::Drained(mdev));
    driver.wait(free, Condition::Joined(mdev));
    reconcile(driver, free, mdev);
}

/// A write to an mdev's attribute, from start to end.
pub fn edit(
    driver: &impl Driver,
    free: &mut Free<'_>,
    mdev: MdevId,
    edit: Edit,
    ownership: Ownership,
) -> Result<(), Errno> {
    let effects = driver.step(free, Event::Edit(mdev, edit, ownership))?;
    if effects.reconcile != Scope::None {
        edited(driver, free, mdev);
    }
    Ok(())
}

/// Resets all queues of a guest, and tells how that ended.
pub fn reset(driver: &impl Driver, free: &mut Free<'_>, mdev: MdevId) -> Result<(), Errno> {
    handle(driver, free, Event::GuestReset(mdev))?;
    // a queue that failed leaves the guest and is reset for that: a later look
    // would find nothing but another reset that runs
    driver.wait_and_look(free, Condition::Reset(mdev), |model| {
        model.reset_verdict(mdev)
    })
}

/// Takes everything from a guest that let the device go. On return nothing
/// that was the guest's is in use any more.
pub fn close(driver: &impl Driver, free: &mut Free<'_>, mdev: MdevId) -> Result<(), Errno> {
    handle(driver, free, Event::Close(mdev))?;
    driver.wait(free, Condition::Drained(mdev));
    handle(driver, free, Event::Detach(mdev))
}

/// Gives a queue back to the AP bus.
pub fn unbind(driver: &impl Driver, free: &mut Free<'_>, apqn: Apqn) -> Result<(), Errno> {
    handle(driver, free, Event::Unbind(apqn))?;
    driver.wait(free, Condition::Idle(apqn));
    handle(driver, free, Event::Unbound(apqn))
}

/// The host's configuration changed. The AP bus has not made the devices that
/// come with it: until it does, no driver uses their queues, and what a guest
/// left in them is taken away by `clear`, which tells whether it could.
pub fn config_changed(
    driver: &impl Driver,
    free: &mut Free<'_>,
    config: Matrix,
    mut clear: impl FnMut(Apqn) -> bool,
) {
    // Clearing takes time: what the host lost goes from the guests before. None
    // of these events fails: only the bus, which calls, makes a queue come back.
    let current = driver.look(free, |model| model.host().current());
    let _ = handle(
        driver,
        free,
        Event::ConfigChanged(current.intersect(config)),
    );
    let mut last = None;
    while let Some(apqn) = driver.look(free, |model| model.returning(config, last)) {
        last = Some(apqn);
        if clear(apqn) {
            let _ = driver.step(free, Event::Cleared(apqn));
        }
    }
    let _ = handle(driver, free, Event::ConfigChanged(config));
}
