// SPDX-License-Identifier: MIT OR Apache-2.0
//! What storage a guest reaches, and who gets the exception if it does not.

use crate::Test;
use crate::guest::{CODE, DATA, Guest};
use crate::insn::GUEST_SIZE;
use crate::report::{Failure, expect};
use crate::sd::{ECA_PROTEXCI, ECB_HOSTPROTINT};

/// The tests.
pub const TESTS: &[Test] = &[
    ("limit", limit),
    ("prefix", prefix),
    ("host_page_fault", host_page_fault),
    ("host_fetch_fault", host_fetch_fault),
    ("host_protection", host_protection),
    ("guest_tables", guest_tables),
    ("idte_by_host", idte_by_host),
    ("idte_by_guest", idte_by_guest),
];

/// STG 3,0(2)
const STORE: [u16; 3] = [0xe330, 0x2000, 0x0024];
/// LG 3,0(2)
const LOAD: [u16; 3] = [0xe330, 0x2000, 0x0004];
const DATA_PAGE: usize = (DATA >> 12) as usize;

fn limit(guest: &mut Guest) -> Result<(), Failure> {
    guest.regs[2] = GUEST_SIZE as u64 - 8;
    guest.program(&STORE);
    guest.run_to_end(3)?;
    // the next byte, with and without wrapping, and one store across the limit
    for address in [
        GUEST_SIZE as u64,
        GUEST_SIZE as u64 - 4,
        1 << 40,
        u64::MAX - 0x1000,
        u64::MAX << 20,
    ] {
        guest.regs[2] = address;
        for insn in [STORE, LOAD] {
            guest.program(&insn);
            guest.sd().psw_addr = CODE;
            guest.run_to(8)?;
            expect("addressing", guest.sd().iprcc(), 5u16)?;
        }
    }
    expect(
        "the host's storage is intact",
        guest.beyond_is_intact(),
        true,
    )
}

fn prefix(guest: &mut Guest) -> Result<(), Failure> {
    // with prefix 0x40000, real 0x300 is absolute 0x40300 and vice versa
    guest.sd().prefix = 0x40000;
    guest.put_u64(0x40300, 0x4444);
    guest.put_u64(0x300, 0x3333);
    guest.regs[2] = 0x300;
    guest.program(&LOAD);
    guest.run_to_end(3)?;
    expect("real 0x300", guest.regs[3], 0x4444u64)?;
    guest.regs[2] = 0x40300;
    guest.sd().psw_addr = CODE;
    guest.run_to_end(3)?;
    expect("real 0x40300", guest.regs[3], 0x3333u64)
}

/// Runs into a host access exception, then lets the guest finish.
fn host_fault(
    guest: &mut Guest,
    code: u64,
    page: u64,
    store: bool,
    resume: u64,
) -> Result<(), Failure> {
    let address = guest.run_to_host_fault(code, resume)?;
    expect("address", address, guest.host_address(page))?;
    let teid = crate::insn::teid();
    expect(
        "fetch or store",
        teid & 0xc00,
        if store { 0x400u64 } else { 0x800 },
    )?;
    expect("primary space", teid & 3, 0u64)
}

fn host_page_fault(guest: &mut Guest) -> Result<(), Failure> {
    for (insn, store) in [(LOAD, false), (STORE, true)] {
        guest.use_tables(|pages| pages[DATA_PAGE] |= 0x400);
        guest.sd().psw_addr = CODE;
        guest.sd().ihcpu = 0xffff;
        guest.regs[2] = DATA;
        guest.program(&insn);
        host_fault(guest, 0x11, DATA, store, CODE)?;
        guest.use_tables(|_| ());
        guest.run_to_end(3)?;
    }
    Ok(())
}

fn host_fetch_fault(guest: &mut Guest) -> Result<(), Failure> {
    guest.use_tables(|pages| pages[(CODE >> 12) as usize] |= 0x400);
    guest.program(&[]);
    host_fault(guest, 0x11, CODE, false, CODE)?;
    guest.use_tables(|_| ());
    guest.run_to_end(0)
}

fn host_protection(guest: &mut Guest) -> Result<(), Failure> {
    guest.use_tables(|pages| pages[DATA_PAGE] |= 0x200);
    guest.regs[2] = DATA;
    guest.program(&STORE);
    guest.run_to(8)?;
    expect("intercepted", guest.sd().iprcc(), 4u16)?;
    guest.sd().eca = ECA_PROTEXCI;
    guest.sd().psw_addr = CODE;
    guest.run_to_program_check(4)?;
    guest.sd().ecb = ECB_HOSTPROTINT;
    guest.sd().psw_addr = CODE;
    host_fault(guest, 4, DATA, true, CODE)?;
    guest.use_tables(|_| ());
    guest.run_to_end(3)
}

fn guest_tables(guest: &mut Guest) -> Result<(), Failure> {
    guest.use_guest_tables(DATA);
    guest.put_u64(DATA as usize, 0xfeed);
    guest.regs[2] = 0x5000;
    guest.program(&LOAD);
    guest.run_to_end(3)?;
    expect("loaded", guest.regs[3], 0xfeedu64)?;
    // a fault on the guest's table is a fetch by the host's tables
    guest.use_tables(|pages| pages[0x60] |= 0x400);
    guest.sd().psw_addr = CODE;
    host_fault(guest, 0x11, 0x60000, false, CODE)?;
    // an invalid entry of the guest's is the guest's own
    guest.use_tables(|_| ());
    guest.put_u64(0x60000 + 8 * 5, 0x400);
    guest.sd().ihcpu = 0xffff;
    guest.run_to_program_check(0x11)?;
    expect("old PSW at it", guest.program_old(), CODE)
}

/// The host changes an entry of its tables, and clears all that came from them.
fn idte_by_host(guest: &mut Guest) -> Result<(), Failure> {
    guest.use_tables(|_| ());
    guest.put_u64(DATA as usize, 1);
    guest.put_u64(DATA as usize + 0x1000, 2);
    guest.regs[2] = DATA;
    guest.program(&LOAD);
    guest.run_to_end(3)?;
    expect("loaded", guest.regs[3], 1u64)?;
    let other = guest.host_address(DATA + 0x1000);
    guest.change_page(DATA_PAGE, other);
    guest.clear_by_asce();
    guest.sd().psw_addr = CODE;
    guest.run_to_end(3)?;
    expect("from the other page", guest.regs[3], 2u64)
}

/// The guest does so with its own.
fn idte_by_guest(guest: &mut Guest) -> Result<(), Failure> {
    guest.use_guest_tables(DATA);
    guest.put_u64(DATA as usize, 1);
    guest.put_u64(DATA as usize + 0x1000, 2);
    guest.regs[2] = 0x5000;
    guest.regs[4] = 0x50000; // ASCE
    guest.regs[5] = DATA + 0x1000;
    guest.regs[6] = 0x60000 + 8 * 5;
    guest.regs[7] = 0x800; // clearing by ASCE
    let program = [
        0xe330, 0x2000, 0x0004, // LG 3,0(2)
        0xe350, 0x6000, 0x0024, // STG 5,0(6)
        0xb98e, 0x4007, // IDTE 0,4,7
        0xe380, 0x2000, 0x0004, // LG 8,0(2)
    ];
    guest.program(&program);
    guest.run_to_end(program.len())?;
    expect("loaded", guest.regs[3], 1u64)?;
    expect("from the other page", guest.regs[8], 2u64)
}
