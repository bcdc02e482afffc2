// SPDX-License-Identifier: MIT OR Apache-2.0
//! Instructions with access controls of their own: MOVE PAGE, LOAD REAL ADDRESS
//! and MOVE WITH OPTIONAL SPECIFICATIONS. Faults are the guest's or the host's.

use crate::Test;
use crate::guest::{CODE, DATA, Guest, PSW_DAT, PSW_MASK, PSW_PROBLEM};
use crate::intercept::intercepted;
use crate::report::{Failure, expect};
use crate::sd::ECA_MVPGI;

/// The tests.
pub const TESTS: &[Test] = &[
    ("mvpg_control", mvpg_control),
    ("mvpg_guest_fault", mvpg_guest_fault),
    ("mvpg_partial_execution", mvpg_partial_execution),
    ("mvpg_table_fault", mvpg_table_fault),
    ("lra", lra),
    ("lra_faults", lra_faults),
    ("lra_invalid_entry", lra_invalid_entry),
    ("mvcos_spaces", mvcos_spaces),
    ("mvcos_refused", mvcos_refused),
    ("mvcos_length", mvcos_length),
    ("mvcos_faults", mvcos_faults),
];

/// A second page of data.
const OTHER: u64 = DATA + 0x1000;
/// Guest virtual page that tables of the guest give a meaning.
const VIRTUAL: u64 = 0x5000;
/// Entry for it in the guest's page table.
const ENTRY: usize = 0x60000 + 8 * 5;
/// Page-table entry: invalid.
const INVALID: u64 = 0x400;
/// Page translation.
const PAGE_FAULT: u64 = 0x11;

/// MVPG 2,4: from the page in register 4 to that in register 2.
const MVPG: [u16; 2] = [0xb254, 0x0024];
/// Register 0 of MVPG: an invalid page gives a condition code.
const CONDITION: u64 = 0x100;

fn page_of(guest: u64) -> usize {
    (guest >> 12) as usize
}

/// Enters at the first instruction.
fn again(guest: &mut Guest) {
    guest.sd().psw_addr = CODE;
    guest.sd().psw_mask &= !(3 << 44);
    guest.sd().ihcpu = 0xffff;
}

/// MVPG from `source` to `target`, where there is something to move.
fn move_page(guest: &mut Guest, target: u64, source: u64) {
    guest.put_u64(OTHER as usize + 0xff8, 0xfeed);
    guest.put_u64(DATA as usize + 0xff8, 0);
    guest.regs[2] = target + 0x123;
    guest.regs[4] = source + 0x456;
    guest.program(&MVPG);
    again(guest);
}

fn moved(guest: &Guest) -> bool {
    guest.get_u64(DATA as usize + 0xff8) == 0xfeed
}

fn mvpg_control(guest: &mut Guest) -> Result<(), Failure> {
    for problem in [0, PSW_PROBLEM] {
        guest.sd().psw_mask = PSW_MASK | problem;
        guest.sd().eca = !ECA_MVPGI & 0x0fff_fff0;
        move_page(guest, DATA, OTHER);
        intercepted(guest, &MVPG)?;
        expect("moved when intercepted", moved(guest), false)?;
    }
    guest.sd().psw_mask = PSW_MASK;
    guest.sd().eca = ECA_MVPGI;
    move_page(guest, DATA, OTHER);
    guest.sd().psw_mask |= 3 << 44;
    guest.run_to_end(2)?;
    expect("moved", moved(guest), true)?;
    expect("condition code", guest.condition(), 0u64)
}

/// The guest's invalid pages are its own, also where a condition code tells it.
fn mvpg_guest_fault(guest: &mut Guest) -> Result<(), Failure> {
    guest.sd().eca = ECA_MVPGI;
    guest.use_guest_tables(INVALID);
    for (target, source, condition) in [(VIRTUAL, OTHER, 1u64), (DATA, VIRTUAL, 2)] {
        move_page(guest, target, source);
        guest.sd().psw_mask = PSW_MASK | PSW_DAT;
        guest.regs[0] = 0;
        guest.run_to_program_check(PAGE_FAULT as u16)?;
        expect("old PSW at it", guest.program_old(), CODE)?;
        expect("registers", guest.get_u64(0xa0) >> 40 & 0xff, 0x24u64)?;
        expect("address", guest.get_u64(0xa8) & !0xfff, VIRTUAL)?;
        move_page(guest, target, source);
        guest.sd().psw_mask = PSW_MASK | PSW_DAT;
        guest.regs[0] = CONDITION;
        guest.run_to_end(2)?;
        expect("condition code", guest.condition(), condition)?;
        expect("moved", moved(guest), false)?;
    }
    Ok(())
}

/// The host gets to know both of its page-table entries, also where the guest
/// asked for a condition code.
fn mvpg_partial_execution(guest: &mut Guest) -> Result<(), Failure> {
    guest.sd().eca = ECA_MVPGI;
    let entry = |guest: &Guest, page| guest.page_table() + 8 * page_of(page) as u64;
    for dat in [false, true] {
        for missing in [DATA, OTHER] {
            for condition in [0, CONDITION] {
                if dat {
                    guest.use_guest_tables(DATA);
                }
                guest.use_tables(|pages| pages[page_of(missing)] |= INVALID);
                move_page(guest, if dat { VIRTUAL } else { DATA }, OTHER);
                guest.regs[0] = condition;
                guest.run_to(0x38)?;
                expect("ipa", guest.sd().ipa, MVPG[0])?;
                expect("ipb", guest.sd().ipb >> 16, MVPG[1])?;
                expect("PSW past it", guest.sd().psw_addr, CODE + 4)?;
                expect("target", guest.sd().param, entry(guest, DATA))?;
                expect("source", guest.sd().source_entry(), entry(guest, OTHER))?;
                expect("moved already", moved(guest), false)?;
                guest.use_tables(|_| ());
                again(guest);
                guest.run_to_end(2)?;
                expect("moved", moved(guest), true)?;
            }
        }
    }
    Ok(())
}

/// Partial execution is for operands: a guest table that the host does not map is
/// the host's fault, as with any instruction.
fn mvpg_table_fault(guest: &mut Guest) -> Result<(), Failure> {
    guest.sd().eca = ECA_MVPGI;
    guest.use_guest_tables(DATA);
    // code by the first table, operands by one for the next MiB
    guest.put_u64(0x50008, 0x62000);
    guest.put_u64(0x62000 + 8 * 5, DATA);
    guest.put_u64(0x62000 + 8 * 6, OTHER);
    let second = 0x10_0000;
    guest.use_tables(|pages| pages[0x62] |= INVALID);
    move_page(guest, second + VIRTUAL, second + VIRTUAL + 0x1000);
    let page = guest.run_to_host_fault(PAGE_FAULT, CODE)?;
    expect("the guest's table", page, guest.host_address(0x62000))?;
    guest.use_tables(|_| ());
    again(guest);
    guest.run_to_end(2)?;
    expect("moved", moved(guest), true)
}

/// LRA 3,0(2), in its form for 64 bits
const LRA: [u16; 3] = [0xe330, 0x2000, 0x0003];

/// What it gives is real: neither prefixed nor translated for the host. It does
/// not depend on the PSW's DAT bit.
fn lra(guest: &mut Guest) -> Result<(), Failure> {
    guest.program(&LRA);
    guest.sd().prefix = 0x40000;
    guest.use_guest_tables(0);
    guest.regs[2] = VIRTUAL + 0x123;
    for dat in [PSW_DAT, 0] {
        for page in [0, 0x40000, DATA] {
            guest.put_u64(ENTRY, page);
            // no access: the host need not have the page
            guest.use_tables(|pages| pages[page_of(DATA)] |= INVALID);
            guest.sd().psw_mask = PSW_MASK | dat | 3 << 44;
            guest.sd().psw_addr = CODE;
            guest.regs[3] = u64::MAX;
            guest.run_to_end(3)?;
            expect("condition code", guest.condition(), 0u64)?;
            expect("real address", guest.regs[3], page + 0x123)?;
        }
    }
    // by the space that the PSW says
    guest.sd().gcr[13] = guest.space(1, 0x77000);
    guest.sd().psw_mask = PSW_MASK | PSW_DAT | 0xc000_0000_0000;
    guest.sd().psw_addr = CODE;
    guest.run_to_end(3)?;
    expect("home space", guest.regs[3], 0x77123u64)?;
    guest.sd().prefix = 0;
    guest.sd().psw_mask = PSW_MASK | PSW_PROBLEM;
    guest.sd().psw_addr = CODE;
    guest.run_to_program_check(2)
}

fn lra_faults(guest: &mut Guest) -> Result<(), Failure> {
    guest.program(&LRA);
    guest.use_guest_tables(INVALID);
    guest.regs[2] = VIRTUAL;
    // an invalid page is told by the condition code, to the guest alone
    guest.run_to_end(3)?;
    expect("a condition code", guest.condition() != 0, true)?;
    // without DAT, so that it is LRA that needs the table
    guest.put_u64(ENTRY, DATA);
    guest.sd().psw_mask = PSW_MASK;
    guest.use_tables(|pages| pages[0x60] |= INVALID);
    again(guest);
    let page = guest.run_to_host_fault(PAGE_FAULT, CODE)?;
    expect("the guest's table", page, guest.host_address(0x60000))?;
    guest.use_tables(|_| ());
    guest.run_to_end(3)?;
    expect("real address", guest.regs[3], DATA)
}

/// The condition code tells which entry is invalid, and the register where it is.
fn lra_invalid_entry(guest: &mut Guest) -> Result<(), Failure> {
    const SEGMENT_INVALID: u64 = 0x20;
    let segments = guest.space(0, INVALID);
    guest.sd().gcr[1] = segments;
    guest.put_u64(segments as usize + 8, SEGMENT_INVALID);
    guest.program(&LRA);
    for dat in [PSW_DAT, 0] {
        guest.sd().psw_mask = PSW_MASK | dat;
        for (address, code, register) in [
            (VIRTUAL + 0x123, 2u64, ENTRY as u64),
            ((1 << 20) + 0x123, 1, segments + 8),
            // there is none: the exception's code
            (1 << 31, 3, 0xffff_ffff_8000_0038),
        ] {
            guest.regs[2] = address;
            guest.regs[3] = u64::MAX;
            again(guest);
            guest.run_to_end(3)?;
            expect("condition code", guest.condition(), code)?;
            expect("register", guest.regs[3], register)?;
        }
    }
    // outside of the table
    guest.regs[2] = 512 << 20;
    again(guest);
    guest.run_to_end(3)?;
    expect("no entry", guest.condition(), 3u64)
}

/// MVCOS 0(2),0(4),6
const MVCOS: [u16; 3] = [0xc860, 0x2000, 0x4000];
/// Control register 0: secondary space.
const SECONDARY: u64 = 0x0400_0000;
/// Address-space controls, as in the PSW: primary, secondary, home.
const SPACES: [u64; 3] = [0, 2, 3];

/// Register 0 of MVCOS: these spaces for target and source.
fn controls(target: u64, source: u64) -> u64 {
    let one = |space: u64| space << 6 | 1;
    one(target) << 16 | one(source)
}

/// Spaces in which the virtual page is the first, second and third of data; a
/// move of 8 bytes between the same addresses in two of them.
fn use_spaces(guest: &mut Guest) {
    for (number, control) in [1, 7, 13].into_iter().enumerate() {
        guest.sd().gcr[control] = guest.space(number, DATA + 0x1000 * number as u64);
        guest.put_u64(DATA as usize + 0x1000 * number, 0xda7a + number as u64);
    }
    guest.sd().psw_mask = PSW_MASK | PSW_DAT;
    guest.sd().gcr[0] |= SECONDARY;
    guest.regs[2] = VIRTUAL;
    guest.regs[4] = VIRTUAL;
    guest.regs[6] = 8;
    guest.program(&MVCOS);
    again(guest);
}

fn mvcos_spaces(guest: &mut Guest) -> Result<(), Failure> {
    for (from, source) in SPACES.into_iter().enumerate() {
        for (to, target) in SPACES.into_iter().enumerate() {
            use_spaces(guest);
            guest.regs[0] = controls(target, source);
            guest.run_to_end(3)?;
            for number in 0..3 {
                let is = guest.get_u64(DATA as usize + 0x1000 * number);
                let want = if number == to { from } else { number };
                expect("in each space", is, 0xda7a + want as u64)?;
            }
            expect("condition code", guest.condition(), 0u64)?;
        }
    }
    // without controls, by the PSW: home space
    use_spaces(guest);
    guest.sd().psw_mask |= 0xc000_0000_0000;
    guest.regs[0] = 2 << 6 | 1;
    guest.run_to_end(3)?;
    expect("to home", guest.get_u64(DATA as usize + 0x2000), 0xda7bu64)
}

/// Ends in a special-operation exception, which is intercepted in any case.
fn special_operation(guest: &mut Guest) -> Result<(), Failure> {
    guest.run_to(8)?;
    expect("special operation", guest.sd().iprcc(), 0x13u16)
}

fn mvcos_refused(guest: &mut Guest) -> Result<(), Failure> {
    use_spaces(guest);
    guest.sd().psw_mask = PSW_MASK;
    special_operation(guest)?;
    for [target, source] in [[2, 0], [0, 2]] {
        use_spaces(guest);
        guest.sd().gcr[0] &= !SECONDARY;
        guest.regs[0] = controls(target, source);
        special_operation(guest)?;
    }
    use_spaces(guest);
    guest.sd().psw_mask |= PSW_PROBLEM;
    guest.regs[0] = controls(3, 0);
    special_operation(guest)?;
    // access key 9, which control register 3 does not give the problem state
    for shift in [0, 16] {
        use_spaces(guest);
        guest.sd().psw_mask |= PSW_PROBLEM;
        guest.sd().gcr[3] = 0xffbf_0000;
        guest.regs[0] = 0x9002 << shift;
        guest.run_to_program_check(2)?;
    }
    Ok(())
}

fn mvcos_length(guest: &mut Guest) -> Result<(), Failure> {
    use_spaces(guest);
    // what follows the target is the guest's page 6
    guest.put_u64(OTHER as usize + 0xff8, 7);
    guest.put_u64(0x6000, 9);
    guest.regs[0] = controls(0, 2);
    guest.regs[6] = 4097;
    guest.run_to_end(3)?;
    expect("condition code", guest.condition(), 3u64)?;
    expect("the last", guest.get_u64(DATA as usize + 0xff8), 7u64)?;
    expect("what follows", guest.get_u64(0x6000), 9u64)
}

fn mvcos_faults(guest: &mut Guest) -> Result<(), Failure> {
    // the host's, for source and target
    for page in [OTHER, DATA] {
        use_spaces(guest);
        guest.regs[0] = controls(0, 2);
        guest.use_tables(|pages| pages[page_of(page)] |= INVALID);
        let fault = guest.run_to_host_fault(PAGE_FAULT, CODE)?;
        expect("address", fault, guest.host_address(page))?;
        guest.use_tables(|_| ());
        again(guest);
        guest.run_to_end(3)?;
        expect("moved", guest.get_u64(DATA as usize), 0xda7bu64)?;
    }
    // the guest's, in its secondary space
    use_spaces(guest);
    guest.put_u64(ENTRY + 0x1000, INVALID);
    guest.regs[0] = controls(0, 2);
    guest.run_to_program_check(PAGE_FAULT as u16)?;
    expect("old PSW at it", guest.program_old(), CODE)?;
    expect("address", guest.get_u64(0xa8) & !0xfff, VIRTUAL)?;
    expect("space", guest.get_u64(0xa8) & 3, 2u64)
}
