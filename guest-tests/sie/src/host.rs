// SPDX-License-Identifier: MIT OR Apache-2.0
//! Rules that are not SIE's, but which a host of guests depends on.
//!
//! With `host` on the command line nothing else is tested, so that it can run
//! on a machine without SIE.

use crate::Test;
use crate::guest::{Guest, PSW_MASK};
use crate::insn;
use crate::report::{Failure, expect};
use crate::sd::{CPUSTAT_IO_INT, CPUSTAT_STOP_INT};
use crate::second;

/// The tests.
pub const TESTS: &[Test] = &[
    ("host_cpu_timer", cpu_timer),
    ("host_early_exception", early_exception),
    ("host_registers_at_exception", registers_at_exception),
    ("host_lowcore", lowcore),
    ("host_restart", restart),
];

/// A millisecond in TOD and CPU timer units.
const MILLISECOND: u64 = 4_096_000;

fn cpu_timer(_: &mut Guest) -> Result<(), Failure> {
    insn::set_cpu_timer(MILLISECOND);
    let begin = insn::tod();
    while insn::tod().wrapping_sub(begin) < 2 * MILLISECOND {}
    let value = insn::cpu_timer() as i64;
    expect("negative when it has run out", value < 0, true)?;
    insn::set_cpu_timer(MILLISECOND.wrapping_neg());
    expect("counts down", (insn::cpu_timer() as i64) < 0, true)
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

fn lowcore(_: &mut Guest) -> Result<(), Failure> {
    let (calls, code) = insn::probe_lowcore();
    expect("code in the lowcore", calls, 0x01_02_02u64)?;
    expect("interruption code", code, 4u64)
}

/// A CPU is stopped in a disabled wait, which is where its work ends, and goes
/// on at the restart PSW.
fn restart(guest: &mut Guest) -> Result<(), Failure> {
    for bit in [CPUSTAT_STOP_INT, CPUSTAT_IO_INT] {
        let started = second::request(guest.sd_address(), 0, bit);
        expect("SIGP restart", started, 0u8)?;
        let begin = insn::tod();
        while !second::has_requested(guest.sd_address(), bit) {
            expect(
                "not in time",
                insn::tod() - begin > 2000 * MILLISECOND,
                false,
            )?;
        }
        // and now it is about to wait
        let begin = insn::tod();
        while insn::tod() - begin < 5 * MILLISECOND {}
        expect("SIGP stop", second::stop(), true)?;
    }
    Ok(())
}
