// SPDX-License-Identifier: MIT OR Apache-2.0
//! How a machine ended, and the exit status that says so.

use crate::exits::LoopKind;

/// How a machine ended.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Outcome {
    /// The guest shut down, or the user stopped it.
    Orderly,
    /// The guest ended with a status.
    Status(u8),
    /// The guest asked for a reset.
    Reset,
    /// The guest stopped in a way no sound guest does.
    Crash(Crash),
    /// The host failed.
    Host(String),
}

/// How a guest crashed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Crash {
    /// A wait that nothing can end; kernels panic that way.
    #[error("disabled wait, PSW {mask:016x} {address:016x}")]
    DisabledWait {
        /// PSW mask.
        mask: u64,
        /// PSW address; what a kernel puts there tells the reason.
        address: u64,
    },
    /// Interrupts that lead to the next interrupt.
    #[error("{kind:?} interrupt loop, PSW {mask:016x} {address:016x}")]
    Loop {
        /// Of what kind.
        kind: LoopKind,
        /// PSW mask.
        mask: u64,
        /// PSW address.
        address: u64,
    },
}

/// The address part of a disabled wait by which a guest says "off".
const ORDERLY_WAIT: u64 = 0xfff;

impl Outcome {
    /// The outcome of a disabled wait.
    pub fn of_wait(mask: u64, address: u64) -> Self {
        if address & 0xfff == ORDERLY_WAIT {
            Self::Orderly
        } else {
            Self::Crash(Crash::DisabledWait { mask, address })
        }
    }

    /// The exit status: 0 orderly, 2 host, 3 crash, 4 reset, 64+n for a
    /// non-zero status n of the guest (at most 63).
    pub fn exit_code(&self) -> u8 {
        match self {
            Self::Orderly | Self::Status(0) => 0,
            Self::Status(status) => 64 + (*status).min(63),
            Self::Host(_) => 2,
            Self::Crash(_) => 3,
            Self::Reset => 4,
        }
    }
}

/// Exit status for a configuration that is not accepted.
pub const EXIT_CONFIG: u8 = 1;
/// Exit status for a host that refuses something.
pub const EXIT_HOST: u8 = 2;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn exit_codes() {
        let crash = Outcome::of_wait(2 << 48, 0);
        let table = [
            (Outcome::of_wait(2 << 48, 0xfff), 0),
            (Outcome::Status(0), 0),
            (Outcome::Status(1), 65),
            (Outcome::Status(63), 127),
            (Outcome::Status(255), 127),
            (Outcome::Host("x".into()), 2),
            (crash, 3),
            (Outcome::Reset, 4),
        ];
        for (outcome, code) in table {
            assert_eq!(outcome.exit_code(), code, "{outcome:?}");
        }
    }
}
