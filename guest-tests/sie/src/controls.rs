// SPDX-License-Identifier: MIT OR Apache-2.0
//! Instructions that are intercepted if an interception control (ICTL) or the
//! bit of a control register (LCTL) says so, and else executed.

use crate::Test;
use crate::guest::{CODE, DATA, Guest, PSW_MASK, PSW_PROBLEM};
use crate::insn;
use crate::intercept::intercepted;
use crate::report::{Failure, expect};

/// The tests.
pub const TESTS: &[Test] = &[
    ("by_ictl", by_ictl),
    ("by_ictl_after_privilege", by_ictl_after_privilege),
    ("by_ictl_without_effect", by_ictl_without_effect),
    ("by_lctl", by_lctl),
    ("by_lctl_range", by_lctl_range),
    ("by_lctl_after_privilege", by_lctl_after_privilege),
    ("load_psw", load_psw),
    ("set_clocks", set_clocks),
    ("store_control", store_control),
    ("purge_by_guest", purge_by_guest),
];

/// A control and an instruction that it intercepts. Operands: 0x500 to be stored
/// to; a short PSW at 0x600 and a PSW at 0x610 that lead behind the instruction;
/// registers 2, 4, 6, 7 and 8 of [`prepare`].
const BY_ICTL: &[(u32, &[u16])] = &[
    (0x0100_0000, &[0xb221, 0x0024]),         // IPTE
    (0x0100_0000, &[0xb98e, 0x4007]),         // IDTE
    (0x0100_0000, &[0xb250, 0x0086]),         // CSP
    (0x0100_0000, &[0xb98a, 0x0086]),         // CSPG
    (0x0040_0000, &[0x8200, 0x0600]),         // LPSW
    (0x0040_0000, &[0xb2b2, 0x0610]),         // LPSWE
    (0x0020_0000, &[0xb20d, 0x0000]),         // PTLB
    (0x0010_0000, &[0x8000, 0x0700]),         // SSM
    (0x0002_0000, &[0xac00, 0x0500]),         // STNSM
    (0x0001_0000, &[0xad00, 0x0500]),         // STOSM
    (0x0004_0000, &[0xb600, 0x0500]),         // STCTL
    (0x0004_0000, &[0xeb00, 0x0500, 0x0025]), // STCTG
    (0x0000_8000, &[0xb205, 0x0500]),         // STCK
    (0x0000_8000, &[0xb27c, 0x0500]),         // STCKF
    (0x0000_8000, &[0xb278, 0x0500]),         // STCKE
    (0x0000_0020, &[0xb206, 0x0700]),         // SCKC
    (0x0000_0020, &[0xb207, 0x0500]),         // STCKC
    (0x0000_0040, &[0xb208, 0x0700]),         // SPT
    (0x0000_0040, &[0xb209, 0x0500]),         // STPT
];
/// ICTL bits that are for instructions.
const INSTRUCTIONS: u32 = 0x0fff_ffff;

/// The ICTL bit for an instruction, whose opcode has its second part, if that is
/// in the last byte, in the lower half. 0 if there is none.
pub fn of(opcode: u16) -> u32 {
    let matches = |insn: &[u16]| match insn {
        [first, _, last] => first & 0xff00 | last & 0xff == opcode,
        _ => insn[0] == opcode,
    };
    let found = BY_ICTL.iter().find(|(_, insn)| matches(insn));
    found.map_or(0, |(mask, _)| *mask)
}

fn prepare(guest: &mut Guest, insn: &[u16]) {
    let behind = CODE + 2 * insn.len() as u64;
    guest.put_u64(0x600, 0x0008_0000_8000_0000 | behind);
    guest.put_u64(0x610, PSW_MASK);
    guest.put_u64(0x618, behind);
    guest.put_u64(0x700, 0);
    guest.regs = [0; 14];
    guest.regs[2] = DATA; // page table
    guest.regs[4] = 0x1000; // page
    guest.regs[6] = DATA + 0x800; // compared with register 8
    guest.regs[7] = 0x800; // clearing by ASCE
    guest.sd().psw_mask = PSW_MASK;
    guest.sd().psw_addr = CODE;
    guest.program(insn);
}

fn by_ictl(guest: &mut Guest) -> Result<(), Failure> {
    for &(mask, insn) in BY_ICTL {
        prepare(guest, insn);
        guest.sd().ictl = !mask & INSTRUCTIONS;
        if insn[0] == 0x8200 {
            // into 31-bit mode
            guest.run_to(4)?;
            expect("DIAG behind it", guest.sd().ipa, 0x8300u16)?;
        } else {
            guest.run_to_end(insn.len())?;
        }
        prepare(guest, insn);
        guest.sd().ictl = mask;
        intercepted(guest, insn)?;
    }
    Ok(())
}

/// The guest's own exception comes first. STORE CLOCK is for every program.
fn by_ictl_after_privilege(guest: &mut Guest) -> Result<(), Failure> {
    for &(mask, insn) in BY_ICTL.iter().filter(|(mask, _)| *mask != 0x8000) {
        prepare(guest, insn);
        guest.sd().ictl = mask;
        guest.sd().psw_mask |= PSW_PROBLEM;
        guest.run_to_program_check(2)?;
    }
    Ok(())
}

/// What an instruction could change: registers, clock comparator, operands.
fn changeable(guest: &mut Guest) -> u64 {
    let step = |sum: u64, value: u64| (sum ^ value).wrapping_mul(0x100_0000_01b3);
    let regs = guest.regs.iter().copied().fold(0, step);
    let storage = (0x500..0x800).chain(DATA as usize..DATA as usize + 0x1000);
    let sum = storage
        .step_by(8)
        .fold(regs, |s, at| step(s, guest.get_u64(at)));
    let sd = guest.sd();
    let control = sd.gcr.iter().copied().fold(sum, step);
    step(step(control, sd.ckc), sd.psw_mask)
}

fn by_ictl_without_effect(guest: &mut Guest) -> Result<(), Failure> {
    for &(mask, insn) in BY_ICTL {
        prepare(guest, insn);
        guest.sd().ictl = mask;
        // what would be stored over, swapped, or loaded
        guest.put_u64(0x500, 0x5a5a_5a5a_5a5a_5a5a);
        guest.put_u64(0x700, 0x0400_0000_0000_0000);
        let (before, timer) = (changeable(guest), guest.sd().cputm);
        guest.run_to(4)?;
        expect("intercepted", guest.sd().ipa, insn[0])?;
        expect("state of the guest", changeable(guest), before)?;
        let spent = timer.wrapping_sub(guest.sd().cputm);
        expect("CPU timer ran on", spent < 1 << 44, true)?;
    }
    Ok(())
}

/// LOAD CONTROL and its form for 64 bits, from 0x600.
fn load_control(first: u16, last: u16) -> [([u16; 3], usize); 2] {
    let registers = first << 4 | last;
    [
        ([0xb700 | registers, 0x0600, 0], 2),
        ([0xeb00 | registers, 0x0600, 0x002f], 3),
    ]
}

/// Bits of the LCTL field for the registers that LOAD CONTROL loads, the first and
/// the last of which are in the low byte; from 15 it goes on at 0.
pub fn loaded(registers: u16) -> u16 {
    let (first, last) = (registers >> 4 & 15, registers & 15);
    let count = (last.wrapping_sub(first) & 15) + 1;
    (0..count).fold(0, |mask, i| mask | 0x8000 >> ((first + i) & 15))
}

/// What the guest's control registers are before, and what would be loaded.
fn before_load(guest: &mut Guest) {
    for n in 0..16u64 {
        // nothing that means anything to a guest without DAT, PER and interrupts
        guest.sd().gcr[n as usize] = (n << 48) | 0x1000;
        guest.put_u64(0x600 + 8 * n as usize, (n << 56) | (n + 1) << 12);
    }
    guest.sd().psw_addr = CODE;
}

fn by_lctl(guest: &mut Guest) -> Result<(), Failure> {
    for register in 0..16u16 {
        let n = usize::from(register);
        for (insn, len) in load_control(register, register) {
            before_load(guest);
            let old = guest.sd().gcr;
            guest.sd().lctl = !(0x8000 >> register);
            guest.program(&insn[..len]);
            guest.run_to_end(len)?;
            let mut loaded = old;
            loaded[n] = match len {
                2 => old[n] & !0xffff_ffff,
                _ => 0x1000,
            };
            expect("loaded", guest.sd().gcr[n], loaded[n])?;
            expect("and no other", guest.sd().gcr == loaded, true)?;
            before_load(guest);
            guest.sd().lctl = 0x8000 >> register;
            intercepted(guest, &insn[..len])?;
            expect("not loaded", guest.sd().gcr == old, true)?;
        }
    }
    Ok(())
}

/// Ranges that wrap around included: 15 to 1 has 0 as well.
fn by_lctl_range(guest: &mut Guest) -> Result<(), Failure> {
    for first in 0..16u16 {
        for last in 0..16u16 {
            for (insn, len) in load_control(first, last) {
                before_load(guest);
                guest.sd().lctl = !loaded(first << 4 | last);
                guest.program(&insn[..len]);
                guest.run_to_end(len)?;
                // the last one that it would load, alone
                before_load(guest);
                guest.sd().lctl = 0x8000 >> last;
                intercepted(guest, &insn[..len])?;
            }
        }
    }
    Ok(())
}

fn by_lctl_after_privilege(guest: &mut Guest) -> Result<(), Failure> {
    guest.sd().lctl = 0xffff;
    for (insn, len) in load_control(0, 15) {
        guest.sd().psw_mask = PSW_MASK | PSW_PROBLEM;
        guest.sd().psw_addr = CODE;
        guest.program(&insn[..len]);
        guest.run_to_program_check(2)?;
    }
    Ok(())
}

fn load_psw(guest: &mut Guest) -> Result<(), Failure> {
    // LPSWE with a condition code and a key
    const MASK: u64 = PSW_MASK | 0x00a0_2000_0000_0000;
    guest.put_code(DATA, &crate::guest::DIAG);
    guest.put_u64(0x610, MASK);
    guest.put_u64(0x618, DATA);
    guest.program(&[0xb2b2, 0x0610]);
    guest.run_to(4)?;
    expect("address", guest.sd().psw_addr, DATA + 4)?;
    expect("mask", guest.sd().psw_mask, MASK)?;
    // LPSW: bit 12 is inverted, and the address has 31 bits
    guest.put_u64(0x600, 0x00a8_2000_8000_0000 | DATA);
    guest.sd().psw_mask = PSW_MASK;
    guest.sd().psw_addr = CODE;
    guest.program(&[0x8200, 0x0600]);
    guest.run_to(4)?;
    expect("address", guest.sd().psw_addr, DATA + 4)?;
    expect("mask", guest.sd().psw_mask, MASK & !(1 << 32))
}

/// The guest has a clock comparator and a CPU timer of its own.
fn set_clocks(guest: &mut Guest) -> Result<(), Failure> {
    const COMPARATOR: u64 = 0xfedc_ba98_7654_3210;
    const TIMER: u64 = 0x7654_3210_0000_0000;
    insn::set_cpu_timer(1 << 60);
    guest.put_u64(0x700, COMPARATOR);
    guest.put_u64(0x708, TIMER);
    // SCKC, STCKC, SPT, STPT
    guest.program(&[
        0xb206, 0x0700, 0xb207, 0x0500, 0xb208, 0x0708, 0xb209, 0x0508,
    ]);
    guest.run_to_end(8)?;
    expect("comparator seen", guest.get_u64(0x500), COMPARATOR)?;
    expect("comparator kept", guest.sd().ckc, COMPARATOR)?;
    let (seen, kept) = (guest.get_u64(0x508), guest.sd().cputm);
    expect("timer counts down", TIMER >= seen && seen >= kept, true)?;
    expect("from where it was set", TIMER - kept < 1 << 44, true)?;
    expect("the host's comparator", insn::clock_comparator(), u64::MAX)?;
    let spent = (1 << 60) - insn::cpu_timer();
    expect("the host's timer", spent < 1 << 44, true)
}

fn store_control(guest: &mut Guest) -> Result<(), Failure> {
    for n in 0..16u64 {
        guest.sd().gcr[n as usize] = (n << 56) | (n + 1) << 12;
    }
    // STCTG 0,15 and STCTL 14,1
    guest.program(&[0xeb0f, 0x0600, 0x0025, 0xb6e1, 0x0700]);
    guest.run_to_end(5)?;
    for n in 0..16u64 {
        let stored = guest.get_u64(0x600 + 8 * n as usize);
        expect("all bits", stored, (n << 56) | (n + 1) << 12)?;
    }
    expect("14 and 15", guest.get_u64(0x700), 0xf000_0001_0000u64)?;
    expect("0 and 1", guest.get_u64(0x708), 0x1000_0000_2000u64)
}

/// PTLB lets the guest see what it changed in its tables.
fn purge_by_guest(guest: &mut Guest) -> Result<(), Failure> {
    guest.use_guest_tables(DATA);
    guest.put_u64(DATA as usize, 1);
    guest.put_u64(DATA as usize + 0x1000, 2);
    guest.regs[2] = 0x5000;
    guest.regs[5] = DATA + 0x1000;
    guest.regs[6] = 0x60000 + 8 * 5;
    let program = [
        0xe330, 0x2000, 0x0004, // LG 3,0(2)
        0xe350, 0x6000, 0x0024, // STG 5,0(6)
        0xb20d, 0x0000, // PTLB
        0xe380, 0x2000, 0x0004, // LG 8,0(2)
    ];
    guest.program(&program);
    guest.run_to_end(program.len())?;
    expect("loaded", guest.regs[3], 1u64)?;
    expect("from the other page", guest.regs[8], 2u64)
}
