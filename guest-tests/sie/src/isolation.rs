// SPDX-License-Identifier: MIT OR Apache-2.0
//! The guest is not trusted by its host, and no state description may do
//! more than be refused: whatever a guest tries, it reaches no storage that
//! the host's tables do not give it, and the machine goes on.

use crate::Test;
use crate::fuzz::{Entry, Host, legal};
use crate::guest::{CODE, DATA, Guest, PSW_MASK};
use crate::insn::{self, Canary, GUEST_SIZE};
use crate::report::{Failure, expect};
use crate::sd::{CPUSTAT_SM, CPUSTAT_ZARCH, StateDescription};

/// The tests.
pub const TESTS: &[Test] = &[
    (
        "isolation_storage_outside_the_tables",
        storage_outside_the_tables,
    ),
    (
        "isolation_guest_tables_outside_the_tables",
        guest_tables_outside_the_tables,
    ),
    (
        "isolation_every_bit_of_a_description",
        every_bit_of_a_description,
    ),
];

/// Instructions that access storage at register 2, in all manners.
const ACCESSES: &[&[u16]] = &[
    &[0xe330, 0x2000, 0x0004], // LG
    &[0xe330, 0x2000, 0x0024], // STG
    &[0xeb0d, 0x2000, 0x0024], // STMG
    &[0xd207, 0x2000, 0x4000], // MVC to it
    &[0xd207, 0x4000, 0x2000], // MVC from it
    &[0xd7ff, 0x2000, 0x2000], // XC
    &[0xba35, 0x2000],         // CS
    &[0x9300, 0x2000],         // TS
    &[0x4400, 0x2000],         // EX
    &[0x07f2],                 // BR
    &[0xb2b2, 0x2000],         // LPSWE
    &[0xb205, 0x2000],         // STCK
    &[0xeb0f, 0x2000, 0x0025], // STCTG
    &[0xeb33, 0x2000, 0x002f], // LCTLG
    &[0xb24b, 0x0032],         // LURA
    &[0xb925, 0x0032],         // STURG
    &[0xb221, 0x0024],         // IPTE
    &[0xb250, 0x0062],         // CSP
];

/// Lets the guest have its storage, twice: at its host address and at 0.
fn guest_with_tables(guest: &mut Guest) {
    guest.use_tables(|_| ());
    guest.map_low();
    guest.sd().cpuflags = CPUSTAT_ZARCH | CPUSTAT_SM;
}

/// Addresses that the host's tables do not translate, of its own and others.
fn outside(guest: &Guest) -> [u64; 7] {
    [
        guest.host_address(GUEST_SIZE as u64),
        guest.sd_address(),
        guest.table_address(),
        guest.page_table(),
        1 << 31,
        1 << 53,
        u64::MAX << 12,
    ]
}

/// Runs into a segment-translation or ASCE-type exception of the host.
fn stopped_at(guest: &mut Guest, address: u64) -> Result<(), Failure> {
    let ended = guest.run();
    let wanted = if address < 1 << 31 { 0x10u64 } else { 0x38 };
    expect("host's interruption code", ended, wanted)?;
    expect("icptcode", guest.sd().icptcode, 0u8)?;
    expect("address", insn::teid() & !0xfff, address & !0xfff)
}

fn storage_outside_the_tables(guest: &mut Guest) -> Result<(), Failure> {
    guest_with_tables(guest);
    let canary = Canary::plant();
    let tables = guest.table_sum();
    for address in outside(guest) {
        for insn in ACCESSES {
            guest.regs = [0; 14];
            guest.regs[2] = address;
            guest.regs[4] = DATA;
            guest.program(insn);
            guest.sd().psw_mask = PSW_MASK;
            guest.sd().psw_addr = CODE;
            stopped_at(guest, address)?;
        }
    }
    expect("tables of the host", guest.table_sum(), tables)?;
    expect("neighbour is intact", guest.beyond_is_intact(), true)?;
    expect("host storage is intact", canary.intact(), true)
}

fn guest_tables_outside_the_tables(guest: &mut Guest) -> Result<(), Failure> {
    guest_with_tables(guest);
    let tables = guest.table_sum();
    guest.program(&[]);
    for address in outside(guest) {
        // DAT by a segment table at an address that is none of the guest's
        guest.sd().psw_mask = PSW_MASK | 0x0400_0000_0000_0000;
        guest.sd().gcr[1] = address;
        stopped_at(guest, address)?;
        // and by a segment table of its own that leads there
        guest.put_u64(DATA as usize, address);
        guest.sd().gcr[1] = DATA;
        stopped_at(guest, address + 8 * (CODE >> 12))?;
    }
    expect("tables of the host", guest.table_sum(), tables)?;
    expect("neighbour is intact", guest.beyond_is_intact(), true)
}

fn every_bit_of_a_description(guest: &mut Guest) -> Result<(), Failure> {
    guest.use_tables(|_| ());
    guest.map_low();
    guest.program(&[]);
    let good = guest.sd().to_bytes();
    let tables = guest.table_sum();
    let (mut refused, mut run) = (0u32, 0u32);
    for bit in 0..8 * good.len() {
        let mut bytes = good;
        bytes[bit / 8] ^= 0x80 >> (bit % 8);
        *guest.sd() = StateDescription::from_bytes(&bytes);
        // some run for ever, such as without a program-new PSW
        insn::set_clock_comparator(insn::tod() + 4096 * 2000);
        let entry = Entry::of(guest);
        let ended = guest.run();
        insn::set_clock_comparator(u64::MAX);
        legal(guest, Host::Tables, &entry, ended, false)?;
        match guest.sd().icptcode {
            0x20 => refused += 1,
            _ => run += 1,
        }
    }
    expect("some are refused", refused > 0, true)?;
    expect("most are not", run > refused, true)?;
    expect("tables of the host", guest.table_sum(), tables)?;
    expect("neighbour is intact", guest.beyond_is_intact(), true)
}
