// SPDX-License-Identifier: MIT OR Apache-2.0
//! What an interrupt of a queue holds (a pinned byte, a subclass), and when it
//! may be let go: when interrupts are certainly off, or a ZAPQ that was issued
//! after they were enabled is done. Until then the hardware may use it.
//!
//! Who sets up or tears down an interrupt takes a turn, without holding a lock
//! all the while: pinning takes locks that unmapping waits for.

use core::ops::Range;

use crate::ap_arch::ResponseCode;

/// Whose turn it is.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Turn {
    Nobodys,
    /// Somebody's, who may be pinning the byte at that address.
    Somebodys {
        pinning: Option<u64>,
    },
}

/// How many ZAPQs had been issued when an AQIC was.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub struct Stamp(u64);

/// The interrupt of one queue; `R` is what it holds. What is returned is to be
/// let go, without the lock that guards this.
#[derive(Debug)]
pub struct Ledger<R> {
    held: Option<(R, Stamp)>,
    turn: Turn,
    zapqs: u64,
}

impl<R> Ledger<R> {
    /// No interrupt.
    pub const fn new() -> Self {
        Self {
            held: None,
            turn: Turn::Nobodys,
            zapqs: 0,
        }
    }

    /// Takes the turn if it is nobody's. `pinning` is the address of a byte that
    /// will be pinned.
    pub fn take_turn(&mut self, pinning: Option<u64>) -> bool {
        let free = self.turn == Turn::Nobodys;
        if free {
            self.turn = Turn::Somebodys { pinning };
        }
        free
    }

    /// The turn is over.
    pub fn end_turn(&mut self) {
        self.turn = Turn::Nobodys;
    }

    /// Whether somebody may be pinning a byte in there.
    pub fn is_pinning(&self, within: &Range<u64>) -> bool {
        matches!(self.turn, Turn::Somebodys { pinning: Some(nib) } if within.contains(&nib))
    }

    /// A ZAPQ is issued, under the lock.
    pub fn zapq(&mut self) {
        self.zapqs += 1;
    }

    /// An AQIC that enables is issued, under the lock.
    pub fn aqic(&self) -> Stamp {
        Stamp(self.zapqs)
    }

    /// Whether interrupts are on that nobody here enabled: the AP bus does so
    /// for itself when it makes a queue. They must be off before a guest's can
    /// be on.
    pub fn is_anothers(&self, code: ResponseCode) -> bool {
        code == ResponseCode::OTHERWISE_CHANGED && self.held.is_none()
    }

    /// The AQIC that enables, of `stamp`, answered `code`.
    pub fn enabled(&mut self, code: ResponseCode, new: R, stamp: Stamp) -> Option<R> {
        if code == ResponseCode::NORMAL {
            self.held.replace((new, stamp)).map(|(old, _)| old)
        } else {
            Some(new)
        }
    }

    /// AQIC was told to disable; `certain` tells whether interrupts are off.
    pub fn disabled(&mut self, certain: bool) -> Option<R> {
        self.take_if(|_, _| certain)
    }

    /// The last ZAPQ is done, or the queue is gone.
    pub fn reset_done(&mut self) -> Option<R> {
        let last = self.zapqs;
        self.take_if(|_, stamp| stamp.0 < last)
    }

    /// Whether something is held that must go.
    pub fn concerns(&self, must_go: impl Fn(&R) -> bool) -> bool {
        self.held.as_ref().is_some_and(|(held, _)| must_go(held))
    }

    /// Gives up what must go, whatever the hardware says.
    pub fn give_up(&mut self, must_go: impl Fn(&R) -> bool) -> Option<R> {
        self.take_if(|held, _| must_go(held))
    }

    fn take_if(&mut self, condition: impl Fn(&R, Stamp) -> bool) -> Option<R> {
        let take = self.held.take_if(|(held, stamp)| condition(held, *stamp));
        take.map(|(held, _)| held)
    }
}

impl<R> Default for Ledger<R> {
    fn default() -> Self {
        Self::new()
    }
}
