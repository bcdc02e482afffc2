// SPDX-License-Identifier: MIT OR Apache-2.0
//! A known number of entries, interceptions and faults, of many kinds: what the
//! machine's counters and trace events are compared with. `count` on the command
//! line runs these and nothing else.
//!
//! The numbers are in `guest-tests/harness/tests/sie/counters.rs`.

use crate::Test;
use crate::guest::{CODE, DATA, DIAG, Guest, PSW_MASK, PSW_WAIT};
use crate::insn;
use crate::report::{Failure, expect};
use crate::sd::{CPUSTAT_STOP_INT, CPUSTAT_ZARCH, ECB_HOSTPROTINT};

/// The tests. Each begins with a guest whose translations the machine drops.
pub const TESTS: &[Test] = &[
    ("count_instructions", instructions),
    ("count_codes", codes),
    ("count_host_faults", host_faults),
    ("count_validity", validity),
    ("count_invalidations", invalidations),
];

/// Enters `times` for an interception by `code`.
fn enter(guest: &mut Guest, times: u32, code: u8) -> Result<(), Failure> {
    for _ in 0..times {
        guest.sd().psw_addr = CODE;
        guest.run_to(code)?;
    }
    Ok(())
}

/// 10 interceptions of instructions: DIAG, and by ICTL LPSWE and STCTG, whose
/// opcode is at both ends.
fn instructions(guest: &mut Guest) -> Result<(), Failure> {
    guest.program(&[]);
    enter(guest, 5, 0x04)?;
    guest.sd().ictl = 0x0044_0000;
    guest.program(&[0xb2b2, 0x0600]);
    enter(guest, 3, 0x04)?;
    guest.program(&[0xeb01, 0x0600, 0x0025]);
    enter(guest, 2, 0x04)
}

/// 5 interceptions of other codes.
fn codes(guest: &mut Guest) -> Result<(), Failure> {
    guest.sd().ictl = 0xa000_0000;
    guest.program(&[0x0000]);
    enter(guest, 1, 0x2c)?;
    // divide by zero
    guest.program(&[0xb90d, 0x0024]);
    enter(guest, 2, 0x08)?;
    guest.sd().psw_mask = PSW_MASK | PSW_WAIT;
    enter(guest, 1, 0x1c)?;
    guest.sd().cpuflags = CPUSTAT_ZARCH | CPUSTAT_STOP_INT;
    enter(guest, 1, 0x28)
}

/// 4 host access exceptions, for which SIE is nullified. The last one depends on a
/// control that the translations before were made without.
fn host_faults(guest: &mut Guest) -> Result<(), Failure> {
    // STG 3,0(2)
    guest.program(&[0xe330, 0x2000, 0x0024]);
    guest.regs[2] = DATA;
    guest.use_tables(|pages| pages[(DATA >> 12) as usize] |= 0x400);
    for _ in 0..3 {
        guest.run_to_host_fault(0x11, CODE)?;
    }
    guest.use_tables(|pages| pages[(DATA >> 12) as usize] |= 0x200);
    guest.sd().ecb = ECB_HOSTPROTINT;
    guest.run_to_host_fault(0x04, CODE)?;
    Ok(())
}

/// 2 state descriptions that no guest is entered with, and an operand of SIE that
/// cannot be one.
fn validity(guest: &mut Guest) -> Result<(), Failure> {
    guest.sd().cpuflags = 0;
    enter(guest, 2, 0x20)?;
    expect("not aligned", insn::probe(guest.sd_address() + 8), 6u64)
}

/// An entry, whose interception is DIAG, and an invalidation of what it used;
/// another page table is none of the guest's.
fn invalidations(guest: &mut Guest) -> Result<(), Failure> {
    guest.use_tables(|_| ());
    guest.program(&[]);
    enter(guest, 1, 0x04)?;
    expect("ipa", guest.sd().ipa, DIAG[0])?;
    insn::invalidate_page(guest.page_table() as usize, CODE);
    insn::invalidate_page(guest.table_address() as usize, CODE);
    Ok(())
}
