// SPDX-License-Identifier: MIT OR Apache-2.0
//! Which state descriptions the machine refuses, and how.
//!
//! Source of the reason codes: Linux `arch/s390/kvm/vsie.c`.

use crate::Test;
use crate::guest::Guest;
use crate::insn;
use crate::report::{Failure, expect};
use crate::sd::ECA_APIE;

/// The tests.
pub const TESTS: &[Test] = &[
    ("operand", operand),
    ("validity_architecture", architecture),
    ("validity_extent", extent),
    ("validity_prefix", prefix),
    ("validity_sca", sca),
    ("validity_crycb", crycb),
];

fn refused(guest: &mut Guest, reason: u32) -> Result<(), Failure> {
    guest.program(&[]);
    guest.run_to(0x20)?;
    expect("reason", guest.sd().ipb >> 16, reason)
}

fn operand(guest: &mut Guest) -> Result<(), Failure> {
    expect("not aligned", insn::probe(guest.sd_address() + 8), 6u64)?;
    expect("in the prefix area", insn::probe(0x1000), 6u64)?;
    expect("outside storage", insn::probe(1 << 40), 5u64)
}

fn architecture(guest: &mut Guest) -> Result<(), Failure> {
    guest.sd().cpuflags = 0;
    refused(guest, 0x0001)
}

fn extent(guest: &mut Guest) -> Result<(), Failure> {
    guest.sd().msl = guest.sd().mso - 0x10_0000;
    refused(guest, 0x0041)
}

fn prefix(guest: &mut Guest) -> Result<(), Failure> {
    guest.sd().prefix = 0x20_0000;
    refused(guest, 0x0010)?;
    guest.reset();
    guest.use_tables(|pages| pages[0] |= 0x400);
    refused(guest, 0x0037)?;
    guest.use_tables(|pages| pages[0] |= 0x200);
    refused(guest, 0x0037)
}

fn sca(guest: &mut Guest) -> Result<(), Failure> {
    guest.sd().scaol = 0x10;
    refused(guest, 0x0038)?;
    let table = guest.table_address() as u32;
    guest.sd().scaol = table + 0xf00;
    refused(guest, 0x003b)?;
    guest.sd().scaol = 0;
    guest.sd().scaoh = 0x100;
    refused(guest, 0x0034)
}

fn crycb(guest: &mut Guest) -> Result<(), Failure> {
    guest.sd().eca = ECA_APIE;
    refused(guest, 0x0039)?;
    guest.sd().crycbd = 0x7fff_0000;
    refused(guest, 0x0035)?;
    let table = guest.table_address() as u32;
    guest.sd().crycbd = (table + 0xf88) | 1;
    refused(guest, 0x003c)
}
