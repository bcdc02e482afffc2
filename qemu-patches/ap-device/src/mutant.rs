// SPDX-License-Identifier: MIT OR Apache-2.0
//! Deliberate faults of the model. Tests run with one of them must fail; this
//! is how we know that the tests would notice the real thing.

use crate::Ap;

/// A deliberate fault.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Mutant {
    /// The T bit of TAPQ is a specification exception, as without facility 15.
    NoApft,
    /// E is always on.
    EmptyStuck,
    /// ZAPQ keeps the replies.
    ZapqKeepsReply,
    /// QCI writes GR1.
    QciClobbersGr1,
}

impl Mutant {
    /// All of them; their numbers as an option start at 1.
    pub const ALL: [Self; 4] = [
        Self::NoApft,
        Self::EmptyStuck,
        Self::ZapqKeepsReply,
        Self::QciClobbersGr1,
    ];
}

impl Ap {
    /// Turns the model into a mutant, or back.
    pub fn set_mutant(&mut self, mutant: Option<Mutant>) {
        self.mutant = mutant;
    }
}
