// SPDX-License-Identifier: MIT OR Apache-2.0
//! Enhanced-DAT facility 1: frames of 1 MiB, in tables of the host and of the
//! guest, and the instructions that work on whole frames.

use crate::Test;
use crate::guest::{CODE, DATA, Guest};
use crate::insn::{self, GUEST_SIZE};
use crate::report::{Failure, expect};
use crate::sd::{ECA_PROTEXCI, ECB_HOSTPROTINT};

/// The tests.
pub const TESTS: &[Test] = &[
    ("frame_clear", clear),
    ("frame_clear_low_address", clear_low_address),
    ("frame_keys", keys),
    ("frame_specification", specification),
    ("frame_addressing", addressing),
    ("frame_intercepted", intercepted),
    ("frame_in_host_tables", in_host_tables),
    ("frame_in_guest_tables", in_guest_tables),
    ("frame_is_absolute", is_absolute),
];

const PAGE: u64 = 4096;
const SIZE: u64 = GUEST_SIZE as u64;

// First operand of PERFORM FRAME MANAGEMENT FUNCTION
const SET_KEY: u64 = 0x20000;
const CLEAR: u64 = 0x10000;
const FRAME_1M: u64 = 0x1000;

/// Segment-table entry: a frame of 1 MiB.
const SEGMENT_FORMAT: u64 = 0x400;
/// Segment-table entry: no stores.
const SEGMENT_PROTECTED: u64 = 0x200;
/// Control register 0: enhanced DAT.
const EDAT: u64 = 0x80_0000;

/// LG 3,0(2)
const LOAD: [u16; 3] = [0xe330, 0x2000, 0x0004];
/// STG 3,0(2)
const STORE: [u16; 3] = [0xe330, 0x2000, 0x0024];

fn clear(guest: &mut Guest) -> Result<(), Failure> {
    let all_set = |guest: &mut Guest| {
        for at in (0..GUEST_SIZE).step_by(8) {
            guest.put_u64(at, u64::MAX);
        }
    };
    let cleared = |guest: &Guest, from: u64, to: u64| {
        (0..SIZE)
            .step_by(8)
            .all(|at| (guest.get_u64(at as usize) == 0) == (from..to).contains(&at))
    };
    let page = guest.host_address(DATA);
    all_set(guest);
    expect(
        "R2 of a page",
        insn::pfmf(CLEAR, page + 0x123),
        page + 0x123,
    )?;
    expect("a page", cleared(guest, DATA, DATA + PAGE), true)?;
    // from there to the end of the frame
    all_set(guest);
    let end = guest.host_address(SIZE);
    expect("R2", insn::pfmf(CLEAR | FRAME_1M, page + 0x123), end)?;
    expect("the rest of a frame", cleared(guest, DATA, SIZE), true)?;
    expect("what follows it", guest.beyond_is_intact(), true)
}

fn clear_low_address(_: &mut Guest) -> Result<(), Failure> {
    insn::protect_low_addresses(true);
    let code = insn::probe_pfmf(CLEAR, 0);
    insn::protect_low_addresses(false);
    expect("interruption code", code, 4u64)
}

fn keys(guest: &mut Guest) -> Result<(), Failure> {
    let [first, second] = [guest.host_address(0), guest.host_address(SIZE)];
    let all = |key: u8, from: u64, to: u64| {
        (from..to)
            .step_by(PAGE as usize)
            .all(|page| insn::storage_key(page) == key)
    };
    expect("R2", insn::pfmf(SET_KEY | FRAME_1M | 0x52, first), second)?;
    expect("keys of a frame", all(0x52, first, second), true)?;
    expect("of what follows", all(0, second, second + SIZE), true)?;
    insn::pfmf(SET_KEY | 0x66, first);
    expect("of a page", all(0x66, first, first + PAGE), true)?;
    expect("and of no other", all(0x52, first + PAGE, second), true)?;
    // SSKE keeps the offset in the page
    let from = first + DATA;
    expect("R2", insn::set_keys(0x74, from + 0x45), second + 0x45)?;
    expect("keys before", all(0x52, first + PAGE, from), true)?;
    expect("keys from there on", all(0x74, from, second), true)?;
    insn::pfmf(SET_KEY | FRAME_1M, first);
    expect("none", all(0, first, second + SIZE), true)
}

fn specification(guest: &mut Guest) -> Result<(), Failure> {
    let page = guest.host_address(DATA);
    guest.put_u64(DATA as usize, 7);
    // reserved bits, nonquiescing, frames of 2 GiB, and sizes that do not exist
    for function in [
        0x8000_0000,
        0x4_0000,
        0x100,
        1,
        0x800,
        0x2000,
        0x3000,
        0x7000,
    ] {
        let code = insn::probe_pfmf(function | CLEAR, page);
        expect("interruption code", code, 6u64)?;
    }
    expect("nothing was cleared", guest.get_u64(DATA as usize), 7u64)
}

fn addressing(_: &mut Guest) -> Result<(), Failure> {
    const NOWHERE: u64 = 1 << 40;
    for function in [CLEAR, SET_KEY, CLEAR | FRAME_1M, SET_KEY | FRAME_1M] {
        let code = insn::probe_pfmf(function, NOWHERE);
        expect("interruption code", code, 5u64)?;
    }
    Ok(())
}

/// PFMF is executed by the host, and privileged.
fn intercepted(guest: &mut Guest) -> Result<(), Failure> {
    const PFMF: [u16; 2] = [0xb9af, 0x0024];
    guest.put_u64(DATA as usize, 7);
    guest.regs[2] = CLEAR;
    guest.regs[4] = DATA;
    guest.program(&PFMF);
    guest.run_to(4)?;
    expect("ipa", guest.sd().ipa, PFMF[0])?;
    expect("ipb", guest.sd().ipb >> 16, PFMF[1])?;
    expect("PSW past it", guest.sd().psw_addr, CODE + 4)?;
    expect("nothing was cleared", guest.get_u64(DATA as usize), 7u64)?;
    guest.sd().psw_addr = CODE;
    guest.sd().psw_mask |= crate::guest::PSW_PROBLEM;
    guest.run_to_program_check(2)
}

fn in_host_tables(guest: &mut Guest) -> Result<(), Failure> {
    insn::enhance_dat(true);
    let result = host_frame(guest);
    insn::enhance_dat(false);
    result
}

fn host_frame(guest: &mut Guest) -> Result<(), Failure> {
    // pages that map nothing: what is reached is reached by the frame
    guest.use_tables(|pages| pages.fill(0x400));
    guest.use_frame(SEGMENT_FORMAT);
    guest.put_u64(SIZE as usize - 8, 0xfeed);
    guest.regs[2] = SIZE - 8;
    guest.program(&LOAD);
    guest.run_to_end(3)?;
    expect("loaded", guest.regs[3], 0xfeedu64)?;
    guest.regs[3] = 0xcafe;
    guest.regs[2] = DATA;
    guest.program(&STORE);
    guest.sd().psw_addr = CODE;
    guest.run_to_end(3)?;
    expect("stored", guest.get_u64(DATA as usize), 0xcafeu64)?;

    // a second MiB, protected: the first one has the prefix page
    guest.use_second_frame(SEGMENT_FORMAT | SEGMENT_PROTECTED);
    guest.sd().msl += SIZE;
    guest.sd().ecb = ECB_HOSTPROTINT;
    guest.sd().psw_addr = CODE;
    guest.regs[2] = SIZE + DATA;
    expect("host protection", guest.run(), 4u64)?;
    let page = guest.host_address(SIZE + DATA);
    expect("its page", insn::teid() & !0xfff, page)?;
    expect("nothing was stored", guest.beyond_is_intact(), true)?;
    guest.use_second_frame(SEGMENT_FORMAT);
    guest.run_to_end(3)?;
    expect("stored", guest.beyond_is_intact(), false)?;

    // without enhanced DAT the entry is that of a page table
    insn::enhance_dat(false);
    guest.use_tables(|_| ());
    guest.use_pages(SEGMENT_FORMAT);
    guest.regs[2] = DATA;
    guest.sd().psw_addr = CODE;
    guest.run_to_end(3)
}

fn in_guest_tables(guest: &mut Guest) -> Result<(), Failure> {
    // guest virtual 0x1xxxxx is guest absolute 0xxxxx, by a frame; the entry
    // for guest virtual 0xxxxx has a page table, of which 0x10 is CODE
    guest.put_u64(0x50000, 0x60000);
    guest.put_u64(0x50008, SEGMENT_FORMAT | SEGMENT_PROTECTED);
    guest.put_u64(0x60000 + 8 * (CODE >> 12) as usize, CODE);
    guest.put_u64(DATA as usize, 0xfeed);
    guest.sd().gcr[0] |= EDAT;
    guest.sd().gcr[1] = 0x50000;
    guest.sd().psw_mask |= 0x0400_0000_0000_0000;
    guest.regs[2] = SIZE + DATA;
    guest.program(&LOAD);
    guest.run_to_end(3)?;
    expect("loaded", guest.regs[3], 0xfeedu64)?;
    guest.program(&STORE);
    guest.sd().eca = ECA_PROTEXCI;
    guest.sd().psw_addr = CODE;
    guest.run_to_program_check(4)
}

/// A table has the absolute address of a frame: no page of it is prefixed.
fn is_absolute(guest: &mut Guest) -> Result<(), Failure> {
    guest.put_u64(0x50000, 0x60000);
    guest.put_u64(0x50008, SEGMENT_FORMAT);
    guest.put_u64(0x60000 + 8 * (CODE >> 12) as usize, CODE);
    guest.put_u64(0, 0xbad);
    guest.put_u64(DATA as usize, 0xfeed);
    guest.sd().gcr[0] |= EDAT;
    guest.sd().gcr[1] = 0x50000;
    guest.sd().psw_mask |= 0x0400_0000_0000_0000;
    guest.sd().prefix = DATA as u32;
    guest.regs[2] = SIZE + DATA;
    guest.program(&LOAD);
    guest.run_to_end(3)?;
    expect("loaded", guest.regs[3], 0xfeedu64)
}
