// SPDX-License-Identifier: MIT OR Apache-2.0
//! SIGNAL PROCESSOR, the orders that KVM leaves to user space.
//!
//! KVM answers for CPUs that are not there and keeps the orders that are sent
//! between running ones; left are those that start, restart and reset a CPU.
//! The one CPU of a machine can only send them to itself.
//!
//! Source: Linux `arch/s390/kvm/sigp.c`, `arch/s390/include/asm/sigp.h`.

const START: u8 = 4;

/// Status: the order is not one.
pub const INVALID_ORDER: u32 = 2;

/// What an order ends with.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Answer {
    /// Condition code 0.
    Accepted,
    /// Condition code 1 and a status.
    Stored(u32),
}

/// The answer to an order that a CPU sends to itself.
pub fn signal(order: u8) -> Answer {
    match order {
        // it has started
        START => Answer::Accepted,
        _ => Answer::Stored(INVALID_ORDER),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn orders() {
        assert_eq!(signal(4), Answer::Accepted);
        for order in [6, 0x0b, 0x0c, 0xff] {
            assert_eq!(signal(order), Answer::Stored(2));
        }
    }
}
