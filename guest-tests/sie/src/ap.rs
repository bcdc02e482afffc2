// SPDX-License-Identifier: MIT OR Apache-2.0
//! AP instructions of a guest: intercepted, or interpreted with the queues of the
//! machine that its crypto control block (CRYCB) gives it.
//!
//! The machine has the adapters and domains below (`run.sh`).

use crate::Test;
use crate::guest::{CODE, DATA, Guest, PSW_MASK, PSW_PROBLEM};
use crate::intercept::intercepted;
use crate::report::{Failure, expect};
use crate::sd::ECA_APIE;

/// The tests.
pub const TESTS: &[Test] = &[
    ("ap_control", control),
    ("ap_aqic", aqic),
    ("ap_masks", masks),
    ("ap_formats", formats),
    ("ap_masks_change", masks_change),
    ("ap_other_instructions", other_instructions),
    ("ap_qci", qci),
];

// With two of each that all formats have, first.
const ADAPTERS: [u8; 3] = [2, 5, 0x42];
const DOMAINS: [u8; 4] = [1, 3, 17, 0x47];

/// PQAP
const PQAP: [u16; 2] = [0xb2af, 0x0000];
/// NQAP and DQAP 4,6.
const NQAP: [u16; 2] = [0xb2ad, 0x0046];
const DQAP: [u16; 2] = [0xb2ae, 0x0046];
/// PQAP: set interruption control, and the whole configuration.
const AQIC: u64 = 3 << 24;
const QCI: u64 = 4 << 24;

/// Response codes.
const NORMAL: u64 = 0;
const NOT_THERE: u64 = 1;

/// Formats of the CRYCB, and where each has its AP control block.
const FORMATS: [(u32, usize); 3] = [(0, 0), (1, 0), (3, 0x80)];
const FORMAT_2: u32 = 3;

/// Sets a bit of one of the masks, which are adapters, domains, control domains.
fn give(guest: &mut Guest, format: u32, mask: usize, number: u8) {
    let (at, size) = match format {
        FORMAT_2 => (0x80, 0x20),
        _ => (0, 8),
    };
    let byte = at + size * mask + usize::from(number / 8);
    guest.table()[byte] |= 0x80 >> (number % 8);
}

/// A guest with this format of an empty CRYCB.
fn with_crycb(guest: &mut Guest, format: u32) {
    guest.table().fill(0);
    guest.sd().crycbd = guest.table_address() as u32 | format;
    guest.sd().eca = ECA_APIE;
    guest.sd().psw_mask = PSW_MASK;
}

/// An instruction for a queue, which the guest executes. Returns response code and
/// condition code.
fn response(
    guest: &mut Guest,
    insn: &[u16],
    function: u64,
    queue: (u8, u8),
) -> Result<(u64, u64), Failure> {
    guest.regs = [0; 14];
    guest.regs[0] = function << 24 | u64::from(queue.0) << 8 | u64::from(queue.1);
    guest.regs[1] = u64::MAX;
    (guest.regs[6], guest.regs[7]) = (DATA, 0x100);
    guest.sd().psw_addr = CODE;
    guest.program(insn);
    guest.run_to_end(insn.len())?;
    Ok((guest.regs[1] >> 16 & 0xff, guest.condition()))
}

/// What TAPQ says.
fn test(guest: &mut Guest, queue: (u8, u8), code: u64) -> Result<(), Failure> {
    let (got, condition) = response(guest, &PQAP, 0, queue)?;
    expect("response code", got, code)?;
    expect(
        "condition code",
        condition,
        if code == 0 { 0u64 } else { 3 },
    )
}

fn control(guest: &mut Guest) -> Result<(), Failure> {
    for insn in [PQAP, NQAP, DQAP] {
        with_crycb(guest, FORMAT_2);
        guest.sd().eca = !ECA_APIE & 0x0fff_ffff;
        intercepted(guest, &insn)?;
        guest.sd().psw_mask |= PSW_PROBLEM;
        guest.sd().psw_addr = CODE;
        guest.run_to_program_check(2)?;
    }
    Ok(())
}

/// The byte that AQIC names is in guest storage: the host has to do it.
fn aqic(guest: &mut Guest) -> Result<(), Failure> {
    with_crycb(guest, FORMAT_2);
    give(guest, FORMAT_2, 0, ADAPTERS[0]);
    give(guest, FORMAT_2, 1, DOMAINS[0]);
    guest.regs[0] = AQIC | u64::from(ADAPTERS[0]) << 8 | u64::from(DOMAINS[0]);
    intercepted(guest, &PQAP)
}

/// A guest has what is in both masks, as far as the machine has it.
fn masks(guest: &mut Guest) -> Result<(), Failure> {
    const NOWHERE: u8 = 9;
    let adapters = [ADAPTERS[0], ADAPTERS[2], NOWHERE];
    let domains = [DOMAINS[0], DOMAINS[2], DOMAINS[3], NOWHERE];
    for given in 0..1u32 << 7 {
        with_crycb(guest, FORMAT_2);
        let has = |bit: usize| given >> bit & 1 != 0;
        for (_, &adapter) in adapters.iter().enumerate().filter(|(i, _)| has(*i)) {
            give(guest, FORMAT_2, 0, adapter);
        }
        for (i, &domain) in domains.iter().enumerate() {
            if has(3 + i) {
                give(guest, FORMAT_2, 1, domain);
            }
            // which gives no queue
            give(guest, FORMAT_2, 2, domain);
        }
        for (i, &adapter) in adapters.iter().enumerate() {
            for (j, &domain) in domains.iter().enumerate() {
                let there = has(i) && has(3 + j) && adapter != NOWHERE && domain != NOWHERE;
                let code = if there { NORMAL } else { NOT_THERE };
                test(guest, (adapter, domain), code)?;
            }
        }
    }
    Ok(())
}

/// Formats 0 and 1 have masks of 64 and 16 bits, and guests without APXA: a higher
/// number is a specification exception. Format 2 has 256 bits elsewhere.
fn formats(guest: &mut Guest) -> Result<(), Failure> {
    for (format, at) in FORMATS {
        with_crycb(guest, format);
        // everything in the other place
        let other = 0x80 - at;
        guest.table()[other..other + 0x60].fill(0xff);
        give(guest, format, 0, ADAPTERS[0]);
        give(guest, format, 1, DOMAINS[0]);
        test(guest, (ADAPTERS[0], DOMAINS[0]), NORMAL)?;
        test(guest, (ADAPTERS[1], DOMAINS[0]), NOT_THERE)?;
        test(guest, (ADAPTERS[0], DOMAINS[1]), NOT_THERE)?;
        for queue in [(ADAPTERS[2], DOMAINS[0]), (ADAPTERS[0], DOMAINS[2])] {
            if format == FORMAT_2 {
                test(guest, queue, NOT_THERE)?;
            } else {
                guest.regs[0] = u64::from(queue.0) << 8 | u64::from(queue.1);
                guest.sd().psw_addr = CODE;
                guest.run_to(8)?;
                expect("specification", guest.sd().iprcc(), 6u16)?;
            }
        }
        // a bit beyond 16 means nothing
        give(guest, format, 1, DOMAINS[2]);
        configuration(guest)?;
        let wide = told(guest, 1, DOMAINS[2]);
        expect("domain beyond 16", wide, format == FORMAT_2)?;
        expect("domain", told(guest, 1, DOMAINS[0]), true)?;
    }
    Ok(())
}

/// The host changes masks without telling the machine.
fn masks_change(guest: &mut Guest) -> Result<(), Failure> {
    let queue = (ADAPTERS[0], DOMAINS[0]);
    with_crycb(guest, FORMAT_2);
    for _ in 0..3 {
        give(guest, FORMAT_2, 0, queue.0);
        give(guest, FORMAT_2, 1, queue.1);
        test(guest, queue, NORMAL)?;
        guest.table()[0x80] = 0;
        test(guest, queue, NOT_THERE)?;
    }
    Ok(())
}

/// RAPQ, ZAPQ, QACT, NQAP and DQAP reach no other queue either.
fn other_instructions(guest: &mut Guest) -> Result<(), Failure> {
    with_crycb(guest, FORMAT_2);
    give(guest, FORMAT_2, 0, ADAPTERS[0]);
    give(guest, FORMAT_2, 1, DOMAINS[0]);
    for queue in [(ADAPTERS[1], DOMAINS[0]), (ADAPTERS[0], DOMAINS[3])] {
        for (insn, function) in [(PQAP, 1), (PQAP, 2), (PQAP, 5), (NQAP, 0), (DQAP, 0)] {
            // NQAP's function is a bit
            let function = if insn == NQAP { 0x40 } else { function };
            let (code, condition) = response(guest, &insn, function, queue)?;
            expect("response code", code, NOT_THERE)?;
            expect("condition code", condition, 3u64)?;
        }
    }
    // and its own: nothing to be dequeued
    let (code, _) = response(guest, &DQAP, 0x80, (ADAPTERS[0], DOMAINS[0]))?;
    expect("no reply pending", code, 0x10u64)
}

/// QCI into the guest's data.
fn configuration(guest: &mut Guest) -> Result<(), Failure> {
    guest.regs[0] = QCI;
    guest.regs[2] = DATA;
    guest.sd().psw_addr = CODE;
    guest.program(&PQAP);
    guest.run_to_end(2)
}

/// Whether QCI told a number in a mask.
fn told(guest: &Guest, mask: usize, number: u8) -> bool {
    const MASKS: [usize; 3] = [0x10, 0x30, 0x50];
    let at = DATA as usize + MASKS[mask] + usize::from(number / 64) * 8;
    guest.get_u64(at) >> (63 - number % 64) & 1 != 0
}

/// It tells what machine and guest both have, of each mask.
fn qci(guest: &mut Guest) -> Result<(), Failure> {
    with_crycb(guest, FORMAT_2);
    let has: [&[u8]; 3] = [
        &[ADAPTERS[2], 9],
        &[DOMAINS[0], DOMAINS[3], 9],
        &[DOMAINS[2], 9],
    ];
    for (mask, numbers) in has.into_iter().enumerate() {
        for &number in numbers {
            give(guest, FORMAT_2, mask, number);
        }
    }
    configuration(guest)?;
    for (mask, numbers) in has.into_iter().enumerate() {
        for number in 0..=255 {
            let wanted = number != 9 && numbers.contains(&number);
            expect("in the mask", told(guest, mask, number), wanted)?;
        }
    }
    Ok(())
}
