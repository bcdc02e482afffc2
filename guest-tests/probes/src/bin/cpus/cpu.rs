// SPDX-License-Identifier: MIT OR Apache-2.0
//! Orders to other CPUs, resets of the machine, and the second CPU's program.
//!
//! Source: z/Architecture Principles of Operation, "CPU Signaling and
//! Response"; Linux `arch/s390/include/asm/sigp.h`, `ipl.h`.

use core::arch::{asm, global_asm};

global_asm!(include_str!("second.S"), again = sym crate::again);

/// SIGP orders.
pub mod order {
    /// Tells the state.
    pub const SENSE: u64 = 0x01;
    /// Into the operating state.
    pub const START: u64 = 0x04;
    /// Into the stopped state.
    pub const STOP: u64 = 0x05;
    /// A restart interruption.
    pub const RESTART: u64 = 0x06;
    /// Into the stopped state, and the status to its assigned place.
    pub const STOP_AND_STORE_STATUS: u64 = 0x09;
    /// A reset that clears control registers and prefix.
    pub const INITIAL_CPU_RESET: u64 = 0x0b;
    /// A reset that keeps them.
    pub const CPU_RESET: u64 = 0x0c;
    /// Another prefix.
    pub const SET_PREFIX: u64 = 0x0d;
    /// The status to an address.
    pub const STORE_STATUS: u64 = 0x0e;
    /// The architecture mode.
    pub const SET_ARCHITECTURE: u64 = 0x12;
    /// Vector registers to an address.
    pub const STORE_ADDITIONAL_STATUS: u64 = 0x17;
    /// No order.
    pub const NONE: u64 = 0x1f;
}

/// SIGP: condition code, and the status with condition code 1.
pub fn signal(cpu: u64, order: u64, parameter: u64) -> (u8, u32) {
    let (status, ipm): (u64, u64);
    // SAFETY: what an order stores goes to storage without Rust objects
    // (`state`), and CPUs it starts run second.S, which uses no other.
    unsafe {
        asm!(
            ".insn rs,0xae000000,%r2,%r4,0(%r5)",
            "ipm {ipm}",
            ipm = out(reg) ipm,
            inout("r2") 0_u64 => status, in("r3") parameter,
            in("r4") cpu, in("r5") order,
        );
    }
    let cc = (ipm >> 28) as u8 & 3;
    (cc, if cc == 1 { status as u32 } else { 0 })
}

/// DIAGNOSE 0x308: a reset of the machine, with a value in GR9. Comes back
/// only when it is refused.
pub fn reset(subcode: u64, gr9: u64) {
    // SAFETY: what is lost is not used again: `again` and `probe_main` begin
    // with what `state` has.
    unsafe {
        asm!(
            ".insn rs,0x83000000,%r2,%r4,0x308(%r0)",
            inout("r2") 0_u64 => _, out("r3") _, in("r4") subcode, in("r9") gr9,
        );
    }
}

/// Addresses of second.S.
pub struct Program {
    /// Where it starts.
    pub start: u64,
    /// Where it counts.
    pub counts: core::ops::Range<u64>,
    /// Where the first CPU goes on after a reset.
    pub again: u64,
}

/// Those addresses.
pub fn program() -> Program {
    let (start, begin, end, again): (u64, u64, u64, u64);
    // SAFETY: takes addresses.
    unsafe {
        asm!(
            "larl {}, second_start",
            "larl {}, second_loop",
            "larl {}, second_end",
            "larl {}, first_again",
            out(reg) start, out(reg) begin, out(reg) end, out(reg) again,
        );
    }
    Program {
        start,
        counts: begin..end,
        again,
    }
}
