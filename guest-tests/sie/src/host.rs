// SPDX-License-Identifier: MIT OR Apache-2.0
//! Rules that are not SIE's, but which a host of guests depends on.
//!
//! With `host` on the command line nothing else is tested, so that it can run
//! on a machine without SIE.

use crate::Test;
use crate::guest::{Guest, PSW_MASK};
use crate::insn;
use crate::report::{Failure, expect};

/// The tests.
pub const TESTS: &[Test] = &[
    ("host_cpu_timer", cpu_timer),
    ("host_early_exception", early_exception),
    ("host_registers_at_exception", registers_at_exception),
];

fn cpu_timer(_: &mut Guest) -> Result<(), Failure> {
    // a timer that has run out stays negative
    let before = 1u64.wrapping_neg() << 20;
    let after = insn::cpu_timer_after(before);
    expect("negative", (after as i64) < 0, true)?;
    expect("counts down", after <= before, true)
}

fn early_exception(_: &mut Guest) -> Result<(), Failure> {
    // bit 0 of a PSW must be zero
    let invalid = 1 << 63 | PSW_MASK;
    expect("interruption code", insn::probe_svc(invalid), 6u64)?;
    expect("old PSW", insn::program_old_mask(), invalid)
}

fn registers_at_exception(_: &mut Guest) -> Result<(), Failure> {
    let (register, code) = insn::probe_sckpf();
    expect("interruption code", code, 6u64)?;
    expect("register", register, 2u64)
}
