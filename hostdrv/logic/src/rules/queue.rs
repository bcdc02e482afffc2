// SPDX-License-Identifier: MIT OR Apache-2.0
//! One AP queue bound to the driver: may anybody have it?
//!
//! ```text
//!            bind             ZAPQ done          published
//!   (none) -------> Used ------------> Clean ------------> Plugged
//!                   ^  |  Reset:                            |   |
//!                   |  |    Unreachable, Draining,          |   | RESET
//!                   |  |    Running, Offline, Failed        |   v
//!                   |  v                                    | Health
//!                   +---------- APCB no longer has it ------+
//! ```
//!
//! A queue of a guest stays the guest's when its adapter goes offline, and even
//! comes back to it: the guest is told by response codes, as on hardware.
//!
//! From the guest to the next ZAPQ that is done a queue has [`Traces`] of it,
//! whatever becomes of resets, adapter and binding meanwhile.

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
    /// Nobody's, and not reset since somebody had it.
    Used {
        /// Who may have left something in it.
        traces: Traces,
        /// How far its reset is.
        reset: Reset,
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
}

/// Who had a queue since its last completed reset.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub enum Traces {
    /// At most the host, whose drivers may have it back as it is.
    Host,
    /// The guest that this mdev has.
    Guest(MdevId),
    /// A guest that has let its mdev go, or from which the bus took the queue.
    FormerGuest,
}

/// How far the reset of a queue is that nobody has.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub enum Reset {
    /// No reset can reach it.
    Unreachable,
    /// It has just left its guest, whose mdev's users wait for this reset.
    Draining(Epoch),
    /// A reset that is for whoever comes next.
    Running(Epoch),
    /// The adapter is deconfigured or checkstopped, as the reset was answered:
    /// only the guest that had it before could have it.
    Offline(ResponseCode),
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
    /// The bus took it before it was reset after a guest: what that left in it
    /// may be there still, so nobody may have it before it was bound again.
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
    /// Just bound. Contents unknown, but not a guest's.
    pub(super) fn new(apqn: Apqn) -> Self {
        Self {
            apqn,
            binding: Binding::Bound,
            state: State::Used {
                traces: Traces::Host,
                reset: Reset::Unreachable,
            },
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
                State::Used { traces, reset } => {
                    *traces == Traces::Guest(mdev) && matches!(reset, Reset::Offline(_))
                }
                State::Plugged { by, health } => *by == mdev && !matches!(health, Health::Bad(_)),
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
        self.plugged_by().is_none() && !self.is_resetting()
    }

    /// Whether a reset is running, in or out of a guest.
    pub fn is_resetting(&self) -> bool {
        self.reset_epoch().is_some()
    }

    /// The mdev whose guest it has just left, if it is being reset for that.
    pub fn drains(&self) -> Option<MdevId> {
        match self.state {
            State::Used {
                traces: Traces::Guest(mdev),
                reset: Reset::Draining(_),
            } => Some(mdev),
            _ => None,
        }
    }

    /// Whether a guest has it, or may have left something in it.
    pub fn holds_guest_data(&self) -> bool {
        match self.state {
            State::Clean(_) => false,
            State::Used { traces, .. } => traces != Traces::Host,
            State::Plugged { .. } => true,
        }
    }

    /// Whether nobody has it and its reset did not complete, nor runs.
    pub fn awaits_reset(&self) -> bool {
        matches!(self.state, State::Used { .. }) && !self.is_resetting()
    }

    /// The code of the last reset, if that did not complete.
    pub fn last_failure(&self) -> Option<ResponseCode> {
        match self.state {
            State::Used {
                reset: Reset::Offline(code) | Reset::Failed(code),
                ..
            }
            | State::Plugged {
                health: Health::Offline(code) | Health::Bad(code),
                ..
            } => Some(code),
            _ => None,
        }
    }

    /// The reset that is running.
    pub fn reset_epoch(&self) -> Option<Epoch> {
        match self.state {
            State::Used {
                reset: Reset::Draining(epoch) | Reset::Running(epoch),
                ..
            }
            | State::Plugged {
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
            State::Used { .. } => self.last_failure().map(Health::Offline),
            State::Plugged { .. } => None,
        };
        if let Some(health) = health {
            self.state = State::Plugged { by: mdev, health };
        }
        Some(Admission(()))
    }

    /// The bus has it back, although its reset is not done.
    pub(super) fn lose(&mut self) {
        self.binding = Binding::Lost;
        self.state = State::Used {
            traces: Traces::FormerGuest,
            reset: Reset::Unreachable,
        };
    }

    /// Takes it from its guest, whose APCB no longer has it.
    pub(super) fn expel(&mut self) {
        if let Some(mdev) = self.plugged_by() {
            self.state = State::Used {
                traces: Traces::Guest(mdev),
                reset: Reset::Unreachable,
            };
        }
    }

    /// The guest of `mdev` is gone: whoever comes next is another.
    pub(super) fn forget_guest(&mut self, mdev: MdevId) {
        match &mut self.state {
            State::Used { traces, .. } if *traces == Traces::Guest(mdev) => {
                *traces = Traces::FormerGuest;
            }
            _ => {}
        }
    }

    /// Begins a reset, which replaces one that runs: `out_of_guest` is made of
    /// its number if nobody has the queue.
    pub(super) fn begin_reset(&mut self, epoch: Epoch, out_of_guest: fn(Epoch) -> Reset) {
        match &mut self.state {
            State::Used { reset, .. } => *reset = out_of_guest(epoch),
            State::Plugged { health, .. } => *health = Health::Resetting(epoch),
            State::Clean(_) => {}
        }
    }

    /// No reset can reach it any more.
    pub(super) fn out_of_reach(&mut self) {
        if let State::Used { reset, .. } = &mut self.state {
            *reset = Reset::Unreachable;
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
            State::Used { reset, .. } => match outcome {
                Outcome::Completed => self.state = State::Clean(CleanToken(())),
                Outcome::Offline(code) => *reset = Reset::Offline(code),
                Outcome::Failed(code) => *reset = Reset::Failed(code),
            },
            State::Clean(_) => return false,
        }
        true
    }
}
