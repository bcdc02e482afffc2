// SPDX-License-Identifier: MIT OR Apache-2.0
//! Injected time.

use std::time::Duration;

/// A point in time, in nanoseconds since some start that the caller chose.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug, Default)]
pub struct Ns(pub u64);

impl Ns {
    /// The point `delay` later; the end of time if that is beyond it.
    #[must_use]
    pub fn after(self, delay: Duration) -> Self {
        let delay = u64::try_from(delay.as_nanos()).unwrap_or(u64::MAX);
        Self(self.0.saturating_add(delay))
    }
}
