// SPDX-License-Identifier: MIT OR Apache-2.0
//! The IPTE interlock between a guest and its host, of which another CPU holds it.

use crate::Test;
use crate::guest::{CODE, DATA, Guest};
use crate::insn;
use crate::intercept::intercepted;
use crate::report::{Failure, expect};
use crate::second;

/// The tests.
pub const TESTS: &[Test] = &[
    ("interlock_of_another_cpu", of_another_cpu),
    ("interlock_contended", contended),
];

/// Page-table entry that the guest invalidates.
const ENTRY: u64 = DATA + 8;
/// What of it the host puts there, and the bit that IPTE sets.
const VALID: u64 = 0x7000;
const INVALID: u64 = 0x400;
/// Two seconds in TOD units.
const LIMIT: u64 = 2 << 32;
/// Host's external interruption by the clock comparator.
const WATCHDOG: u64 = 0x1004 << 32;

/// IPTE 2,4; IDTE, CSP and CSPG on other storage.
const INSTRUCTIONS: [[u16; 2]; 4] = [
    [0xb221, 0x0024],
    [0xb98e, 0x4007],
    [0xb250, 0x0086],
    [0xb98a, 0x0086],
];

fn prepare(guest: &mut Guest) {
    guest.table().fill(0);
    guest.sd().scaol = guest.table_address() as u32;
    guest.put_u64(ENTRY as usize, VALID);
    guest.put_u64(DATA as usize + 16, 0);
    guest.put_u64(DATA as usize + 0x800, 0);
    guest.regs[2] = DATA;
    guest.regs[4] = 0x1000;
    guest.regs[6] = DATA + 0x800;
    guest.regs[7] = 0x800;
    guest.regs[9] = 1;
}

fn of_another_cpu(guest: &mut Guest) -> Result<(), Failure> {
    for insn in INSTRUCTIONS {
        prepare(guest);
        let (lock, entry) = (guest.table_address(), guest.host_address(ENTRY));
        expect("SIGP restart", second::hold_interlock(lock, entry), 0u8)?;
        let begin = insn::tod();
        while second::holds() == 0 && insn::tod() - begin < LIMIT {}
        expect("held", second::holds(), 1u32)?;
        intercepted(guest, &insn)?;
        expect("entry is valid", guest.get_u64(ENTRY as usize), VALID)?;
        expect("not swapped", guest.get_u64(DATA as usize + 0x800), 0u64)?;
        expect("still held", guest.table()[0], 0x80u8)?;
        second::release_interlock();
        expect("SIGP stop", second::stop(), true)?;
        guest.sd().psw_addr = CODE;
        guest.run_to_end(2)?;
        expect("free", guest.table()[0], 0u8)?;
    }
    Ok(())
}

/// The host's other CPU takes the interlock again and again, and looks whether
/// the guest invalidates something meanwhile. The guest's own is tried again when
/// it was intercepted.
fn contended(guest: &mut Guest) -> Result<(), Failure> {
    prepare(guest);
    // IPTE 2,4; AGSI DATA+16,1; BRC to the begin
    guest.put_code(
        CODE,
        &[0xb221, 0x0024, 0xeb01, 0x2010, 0x007a, 0xa7f4, 0xfffb],
    );
    let (lock, entry) = (guest.table_address(), guest.host_address(ENTRY));
    expect("SIGP restart", second::contend(lock, entry), 0u8)?;
    let (begin, mut intercepts) = (insn::tod(), 0u32);
    let mut result = Ok(());
    // the other CPU may have to wait for its turn while it holds the interlock
    let executed = |guest: &Guest| guest.get_u64(DATA as usize + 16) > 0;
    while (intercepts < 200 || !executed(guest)) && insn::tod() - begin < LIMIT && result.is_ok() {
        insn::set_clock_comparator(insn::tod() + LIMIT / 64);
        let ended = guest.run();
        insn::set_clock_comparator(u64::MAX);
        match (ended, guest.sd().icptcode, guest.sd().ipa) {
            (WATCHDOG, 0, _) => {}
            (0 | WATCHDOG, 4, 0xb221) => {
                result = expect("PSW past it", guest.sd().psw_addr, CODE + 4);
                guest.sd().psw_addr = CODE;
                intercepts += 1;
            }
            (_, code, _) => result = expect("icptcode", code, 4u8),
        }
    }
    second::release_interlock();
    expect("SIGP stop", second::stop(), true)?;
    result?;
    expect("changed while it was held", second::violations(), 0u32)?;
    expect("intercepted", intercepts > 0, true)?;
    expect("executed", executed(guest), true)?;
    expect("held by the host", second::holds() > 1, true)?;
    expect("free", guest.table()[0], 0u8)?;
    // the last that the host put there is for the guest to invalidate
    guest.put_u64(ENTRY as usize, VALID);
    guest.sd().psw_addr = CODE;
    guest.program(&INSTRUCTIONS[0]);
    guest.run_to_end(2)?;
    let entry = guest.get_u64(ENTRY as usize);
    expect("invalidated", entry, VALID | INVALID)
}
