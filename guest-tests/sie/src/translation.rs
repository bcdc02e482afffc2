// SPDX-License-Identifier: MIT OR Apache-2.0
//! When the host changes its tables, or resets a CPU, what a guest translated by
//! them before is gone: on the CPU that does it, and on another.

use crate::Test;
use crate::guest::{CODE, DATA, Guest};
use crate::insn;
use crate::report::{Failure, expect};
use crate::second;

/// The tests.
pub const TESTS: &[Test] = &[
    ("ipte_by_host", ipte_by_host),
    ("ipte_for_another_cpu", ipte_for_another_cpu),
    ("idte_for_another_cpu", idte_for_another_cpu),
    ("reset_clears_translations", reset_clears_translations),
];

const PAGE: u64 = DATA >> 12;
/// Two seconds in TOD units.
const LIMIT: u64 = 2 << 32;
/// LG 3,DATA
const LOAD: [u16; 3] = [0xe330, 0x0000, 0x3004];

/// Host tables with two pages of data, of which the first is DATA.
fn two_pages(guest: &mut Guest) {
    guest.use_tables(|_| ());
    guest.put_u64(DATA as usize, 1);
    guest.put_u64(DATA as usize + 0x1000, 2);
}

/// DATA becomes the other page, and no CPU may use the first one any more.
fn exchange(guest: &mut Guest) {
    let table = guest.page_table() as usize;
    insn::invalidate_page(table, DATA);
    insn::validate_page(table, PAGE, guest.host_address(DATA + 0x1000));
}

fn ipte_by_host(guest: &mut Guest) -> Result<(), Failure> {
    two_pages(guest);
    guest.program(&LOAD);
    guest.run_to_end(3)?;
    expect("loaded", guest.regs[3], 1u64)?;
    exchange(guest);
    guest.sd().psw_addr = CODE;
    guest.run_to_end(3)?;
    expect("from the other page", guest.regs[3], 2u64)
}

fn ipte_for_another_cpu(guest: &mut Guest) -> Result<(), Failure> {
    for_another_cpu(guest, exchange)
}

fn idte_for_another_cpu(guest: &mut Guest) -> Result<(), Failure> {
    for_another_cpu(guest, |guest| {
        guest.change_page(PAGE as usize, guest.host_address(DATA + 0x1000));
        guest.clear_by_asce();
    })
}

/// The guest never leaves by itself: its translations go while it runs.
fn for_another_cpu(guest: &mut Guest, exchange: fn(&mut Guest)) -> Result<(), Failure> {
    two_pages(guest);
    // until it loads something else: CGIJE 3,1,-6
    guest.program(&[LOAD[0], LOAD[1], LOAD[2], 0xec38, 0xfffd, 0x017e]);
    let start = |guest: &Guest| second::run_guest_by(guest.sd_address(), guest.asce());
    expect("SIGP restart", start(guest), 0u8)?;
    let begin = insn::tod();
    while insn::tod() - begin < LIMIT / 100 {}
    expect("loads the first page", guest.sd().icptcode, 0u8)?;
    exchange(guest);
    let begin = insn::tod();
    while insn::tod() - begin < LIMIT {
        match second::ended() {
            second::RUNNING => {}
            // it came between the two steps
            0x11 => expect("SIGP restart", start(guest), 0u8)?,
            _ => break,
        }
    }
    let ended = second::ended();
    expect("SIGP stop", second::stop(), true)?;
    expect("interception", ended as u64, 0u64)?;
    expect("DIAG", guest.sd().icptcode, 4u8)
}

fn reset_clears_translations(guest: &mut Guest) -> Result<(), Failure> {
    two_pages(guest);
    // what it loaded goes where the first CPU sees it: STG 3,DATA+8
    guest.program(&[LOAD[0], LOAD[1], LOAD[2], 0xe330, 0x0008, 0x3024]);
    for (page, value) in [(DATA, 1u64), (DATA + 0x1000, 2)] {
        // nobody is told of the change: the reset has to do
        guest.change_page(PAGE as usize, guest.host_address(page));
        guest.sd().psw_addr = CODE;
        let started = second::run_guest_by(guest.sd_address(), guest.asce());
        expect("SIGP restart", started, 0u8)?;
        let begin = insn::tod();
        while second::ended() == second::RUNNING && insn::tod() - begin < LIMIT {}
        expect("ended", second::ended() as u64, 0u64)?;
        expect("of that page", guest.get_u64(page as usize + 8), value)?;
        expect("reset", second::stop_by(second::CPU_RESET), true)?;
    }
    Ok(())
}
