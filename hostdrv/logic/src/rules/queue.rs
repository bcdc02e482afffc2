// SPDX-License-Identifier: MIT OR Apache-2.0
//! One AP queue bound to the driver: may anybody have it?
//!
//! ```text
//!            bind                      ZAPQ done             published
//!   (none) -------> Unverified --> Resetting ------> Clean ------------> Plugged
//!                       ^            |    ^                               |   |
//!          not in host  |            |    |  retry                        |   | RESET
//!                       |            v    |                               |   v
//!                       |     Offline, Failed        APCB no longer       | Health
//!                       |                            has it               |
//!                       +----------- Resetting <--------------------------+
//! ```
//!
//! A queue of a guest stays the guest's when its adapter goes offline, and even
//! comes back to it: the guest is told by response codes, as on hardware.

use super::{MdevId, Outcome};
use crate::ap_arch::{Apqn, ResponseCode};

/// Tells one reset of a queue from every other.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub struct Epoch(pub(super) u64);

impl Epoch {
    /// The number.
    pub const fn get(self) -> u64 {
        self.0
    }

    /// Any epoch, to pretend that a reset of it ended.
    #[cfg(test)]
    pub const fn for_tests(number: u64) -> Self {
        Self(number)
    }
}

/// Proof that a reset of the queue holding it was completed, and nobody has
/// used the queue since. Made in [`Queue::reset_done`] only; a kernel build
/// cannot copy it.
#[derive(PartialEq, Eq, Hash, Debug)]
#[cfg_attr(test, derive(Clone))]
pub struct CleanToken(());

/// Whose the queue is, and in which condition.
#[derive(PartialEq, Eq, Hash, Debug)]
#[cfg_attr(test, derive(Clone))]
pub enum State {
    /// Contents unknown, and no reset can reach it.
    Unverified,
    /// Being reset; nobody has it.
    Resetting {
        /// Which reset.
        epoch: Epoch,
        /// The mdev whose guest had it before.
        after: Option<MdevId>,
    },
    /// Reset, and untouched since.
    Clean(CleanToken),
    /// In a guest's APCB, or about to be.
    Plugged {
        /// The mdev of the guest.
        by: MdevId,
        /// How resets asked for by the guest went.
        health: Health,
    },
    /// The adapter is deconfigured or checkstopped, and the queue not reset:
    /// only the guest that had it before could have it.
    Offline {
        /// What the reset was answered.
        code: ResponseCode,
        /// The mdev of that guest, as long as that has the mdev.
        after: Option<MdevId>,
    },
    /// The reset ended with this code.
    Failed(ResponseCode),
}

/// Condition of a queue that a guest has.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub enum Health {
    /// Works as far as known.
    Good,
    /// Being reset for its guest.
    Resetting(Epoch),
    /// Told this code to the last reset, as an absent adapter does.
    Offline(ResponseCode),
    /// Failed its last reset with this code: the guest must not keep it.
    Bad(ResponseCode),
}

/// Whether the AP bus still lets the driver have it.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub enum Binding {
    /// Yes.
    Bound,
    /// The bus is taking it away and waits for its reset.
    Leaving,
    /// The bus took it before its reset was done: what a guest left in it may
    /// be there still, so nobody may have it before it was bound again.
    Lost,
}

/// One queue.
#[derive(PartialEq, Eq, Hash, Debug)]
#[cfg_attr(test, derive(Clone))]
pub struct Queue {
    apqn: Apqn,
    pub(super) binding: Binding,
    state: State,
}

/// Proof that an mdev's guest may have a queue.
pub(super) struct Admission(());

impl Queue {
    pub(super) fn new(apqn: Apqn) -> Self {
        Self {
            apqn,
            binding: Binding::Bound,
            state: State::Unverified,
        }
    }

    /// Its name.
    pub fn apqn(&self) -> Apqn {
        self.apqn
    }

    /// Whether the AP bus still lets the driver have it.
    pub fn binding(&self) -> Binding {
        self.binding
    }

    /// Whose it is.
    pub fn state(&self) -> &State {
        &self.state
    }

    /// Whether a guest of `mdev` may have it, or keep it.
    pub fn passable_to(&self, mdev: MdevId) -> bool {
        self.binding == Binding::Bound
            && match &self.state {
                State::Clean(_) => true,
                State::Offline { after, .. } => *after == Some(mdev),
                State::Plugged { by, health } => *by == mdev && !matches!(health, Health::Bad(_)),
                _ => false,
            }
    }

    /// The mdev whose guest has it.
    pub fn plugged_by(&self) -> Option<MdevId> {
        match self.state {
            State::Plugged { by, .. } => Some(by),
            _ => None,
        }
    }

    /// Whether nobody has it and no reset runs, so that it can be let go.
    pub fn is_idle(&self) -> bool {
        !matches!(self.state, State::Plugged { .. } | State::Resetting { .. })
    }

    /// Whether a reset is running, in or out of a guest.
    pub fn is_resetting(&self) -> bool {
        self.reset_epoch().is_some()
    }

    /// Whether it is being reset because a guest had it.
    pub fn is_draining(&self) -> bool {
        matches!(self.state, State::Resetting { after: Some(_), .. })
    }

    /// Whether it is being reset because a guest of `mdev` had it.
    pub fn drains(&self, mdev: MdevId) -> bool {
        matches!(self.state, State::Resetting { after: Some(m), .. } if m == mdev)
    }

    /// The code of the last reset, if that did not complete.
    pub fn last_failure(&self) -> Option<ResponseCode> {
        match self.state {
            State::Offline { code, .. } | State::Failed(code) => Some(code),
            State::Plugged {
                health: Health::Offline(code) | Health::Bad(code),
                ..
            } => Some(code),
            _ => None,
        }
    }

    /// The reset that is running.
    pub fn reset_epoch(&self) -> Option<Epoch> {
        match self.state {
            State::Resetting { epoch, .. } => Some(epoch),
            State::Plugged {
                health: Health::Resetting(epoch),
                ..
            } => Some(epoch),
            _ => None,
        }
    }

    /// Makes it `mdev`'s: spends the token, or shows that this was done before.
    pub(super) fn admit(&mut self, mdev: MdevId) -> Option<Admission> {
        if !self.passable_to(mdev) {
            return None;
        }
        let health = match self.state {
            State::Clean(_) => Some(Health::Good),
            State::Offline { code, .. } => Some(Health::Offline(code)),
            _ => None,
        };
        if let Some(health) = health {
            self.state = State::Plugged { by: mdev, health };
        }
        Some(Admission(()))
    }

    /// The bus has it back, although its reset is not done.
    pub(super) fn lose(&mut self) {
        self.binding = Binding::Lost;
        self.state = State::Unverified;
    }

    /// Takes it from its guest, whose APCB no longer has it.
    pub(super) fn expel(&mut self) {
        if let State::Plugged { .. } = self.state {
            self.state = State::Unverified;
        }
    }

    /// The guest of `mdev` is gone: whoever comes next is another.
    pub(super) fn forget_guest(&mut self, mdev: MdevId) {
        if let State::Offline { after, .. } = &mut self.state {
            *after = after.filter(|&after| after != mdev);
        }
    }

    /// The mdev whose guest had it, if nobody has it now.
    pub(super) fn after(&self) -> Option<MdevId> {
        match self.state {
            State::Resetting { after, .. } | State::Offline { after, .. } => after,
            _ => None,
        }
    }

    /// Begins the reset `epoch`, which replaces one that runs.
    pub(super) fn begin_reset(&mut self, epoch: Epoch, after: Option<MdevId>) {
        match &mut self.state {
            State::Plugged { health, .. } => *health = Health::Resetting(epoch),
            state => *state = State::Resetting { epoch, after },
        }
    }

    /// Takes note of how reset `epoch` ended; false if it is not the one that
    /// counts.
    pub(super) fn reset_done(&mut self, epoch: Epoch, outcome: Outcome) -> bool {
        if self.reset_epoch() != Some(epoch) {
            return false;
        }
        match &mut self.state {
            State::Plugged { health, .. } => {
                *health = match outcome {
                    Outcome::Completed => Health::Good,
                    Outcome::Offline(code) => Health::Offline(code),
                    Outcome::Failed(code) => Health::Bad(code),
                }
            }
            _ => {
                let after = self.after();
                self.state = match outcome {
                    Outcome::Completed => State::Clean(CleanToken(())),
                    Outcome::Offline(code) => State::Offline { code, after },
                    Outcome::Failed(code) => State::Failed(code),
                }
            }
        }
        true
    }
}
