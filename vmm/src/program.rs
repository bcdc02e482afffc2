// SPDX-License-Identifier: MIT OR Apache-2.0
//! Program interruptions that emulation presents to the guest.

/// Interruption codes in use (z/Architecture Principles of Operation).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u16)]
pub enum ProgramInterrupt {
    /// The operation is not there.
    Operation = 0x01,
    /// A privileged instruction in the problem state.
    Privileged = 0x02,
    /// The storage is protected.
    Protection = 0x04,
    /// The address is outside the configuration.
    Addressing = 0x05,
    /// An operand has the wrong form.
    Specification = 0x06,
    /// An operand has the wrong value.
    Operand = 0x15,
}

impl ProgramInterrupt {
    /// The interruption code.
    pub const fn code(self) -> u16 {
        self as u16
    }
}
