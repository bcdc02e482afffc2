// SPDX-License-Identifier: MIT OR Apache-2.0
//! Which instructions are intercepted, and what the host is told. What control
//! registers and interception controls decide is in `controls.rs`.

use crate::Test;
use crate::guest::{CODE, DATA, Guest, PSW_MASK, PSW_PER};
use crate::report::{Failure, expect};
use crate::sd::{CPUSTAT_P, CPUSTAT_ZARCH};

/// The tests.
pub const TESTS: &[Test] = &[
    ("registers", registers),
    ("always", always),
    ("by_svcc", by_svcc),
    ("execute", execute),
    ("execute_alone", execute_alone),
    ("stfle", stfle),
    ("ipte_interlock", ipte_interlock),
    ("per_ifetch", per_ifetch),
    ("per_enforced", per_enforced),
    ("access_register_mode", access_register_mode),
];

fn registers(guest: &mut Guest) -> Result<(), Failure> {
    // LGR of each register into the next one: all arrive, all come back
    guest.sd().gg14 = 0xe14;
    guest.sd().gg15 = 0xe15;
    for (i, reg) in (0u64..).zip(guest.regs.iter_mut()) {
        *reg = 0xabc0 + i;
    }
    guest.program(&[0xb904, 0x00ef, 0xb904, 0x00f0, 0xb904, 0x000d]);
    guest.run_to_end(6)?;
    expect("GR14", guest.sd().gg14, 0xe15u64)?;
    expect("GR15", guest.sd().gg15, 0xabc0u64)?;
    expect("GR0", guest.regs[0], 0xabcdu64)?;
    expect("GR13", guest.regs[13], 0xabcdu64)
}

/// Runs one instruction that must be intercepted with its text.
pub fn intercepted(guest: &mut Guest, insn: &[u16]) -> Result<(), Failure> {
    guest.sd().psw_addr = CODE;
    guest.program(insn);
    guest.run_to(4)?;
    expect("ipa", guest.sd().ipa, insn[0])?;
    if let Some(&second) = insn.get(1) {
        expect("ipb", guest.sd().ipb >> 16, second)?;
    }
    expect("status", guest.sd().icptstatus, 0u8)?;
    expect(
        "PSW past it",
        guest.sd().psw_addr,
        CODE + 2 * insn.len() as u64,
    )
}

fn always(guest: &mut Guest) -> Result<(), Failure> {
    // second halfword: displacement 8 without base, or registers 2 and 4
    const RS: &[u16] = &[
        0xae00, 0xb202, 0xb204, 0xb210, 0xb211, 0xb212, 0xb214, 0xb22c, 0xb230, 0xb231, 0xb232,
        0xb233, 0xb234, 0xb235, 0xb236, 0xb237, 0xb238, 0xb239, 0xb23a, 0xb23b, 0xb23c, 0xb276,
        0xb27d, 0xb2b1,
    ];
    for &opcode in RS {
        intercepted(guest, &[opcode, 0x0008])?;
    }
    for &opcode in &[0xb220u16, 0xb25f, 0xb229, 0xb22a, 0xb22b, 0xb9a0] {
        intercepted(guest, &[opcode, 0x0024])?;
    }
    intercepted(guest, &[0xe501, 0x0008, 0x0000])
}

fn by_svcc(guest: &mut Guest) -> Result<(), Failure> {
    guest.put_u64(0x1c0, PSW_MASK);
    guest.put_u64(0x1c8, CODE + 2);
    guest.program(&[0x0a07]);
    guest.run_to_end(1)?;
    expect(
        "code in the lowcore",
        guest.get_u64(0x88) >> 32 & 0xffff,
        7u64,
    )?;
    guest.sd().svcc = 0x8000_0000;
    intercepted(guest, &[0x0a07])
}

fn execute(guest: &mut Guest) -> Result<(), Failure> {
    // EX 0,0x30000 through register 2, then EXRL
    guest.put_code(DATA, &[0x8324, 0x0008]);
    guest.regs[2] = DATA;
    guest.program(&[0x4400, 0x2000]);
    guest.run_to(4)?;
    expect("ipa", guest.sd().ipa, 0x8324u16)?;
    expect("status of EX", guest.sd().icptstatus, 0x41u8)?;
    expect("PSW past EX", guest.sd().psw_addr, CODE + 4)?;
    let distance = ((DATA - CODE) / 2) as u32;
    guest.sd().psw_addr = CODE;
    guest.program(&[0xc600, (distance >> 16) as u16, distance as u16]);
    guest.run_to(4)?;
    expect("ipa", guest.sd().ipa, 0x8324u16)?;
    expect("status of EXRL", guest.sd().icptstatus, 0x61u8)?;
    expect("PSW past EXRL", guest.sd().psw_addr, CODE + 6)
}

/// The target adds to a word that is not aligned, which the machine does while all
/// other CPUs wait: it must get there, though EXECUTE is never interrupted.
fn execute_alone(guest: &mut Guest) -> Result<(), Failure> {
    // ASI 0x101(2),1
    guest.put_code(DATA, &[0xeb01, 0x2101, 0x006a]);
    guest.regs[2] = DATA;
    let distance = ((DATA - CODE) / 2) as u32;
    let exrl = [0xc600, (distance >> 16) as u16, distance as u16];
    for (insn, added) in [(&exrl[..], 1u64), (&[0x4400, 0x2000], 2)] {
        guest.sd().psw_addr = CODE;
        guest.program(insn);
        guest.run_to_end(insn.len())?;
        let word = guest.get_u64(DATA as usize + 0x100) >> 24;
        expect("added", word, added)?;
    }
    Ok(())
}

fn stfle(guest: &mut Guest) -> Result<(), Failure> {
    intercepted(guest, &[0xb2b0, 0x0500])?;
    guest.table()[..8].copy_from_slice(&0x8765_4321_0fed_cba9u64.to_be_bytes());
    guest.sd().fac = guest.table_address() as u32;
    guest.sd().psw_addr = CODE;
    guest.program(&[0xb2b0, 0x0500]);
    guest.run_to_end(2)?;
    expect(
        "the host's list",
        guest.get_u64(0x500),
        0x8765_4321_0fed_cba9u64,
    )?;
    guest.sd().ictl = 0x1000_0000;
    intercepted(guest, &[0xb2b0, 0x0500])
}

fn ipte_interlock(guest: &mut Guest) -> Result<(), Failure> {
    // IPTE 2,4: table at DATA, entry 1
    let ipte = [0xb221, 0x0024];
    guest.sd().scaol = guest.table_address() as u32;
    guest.regs[2] = DATA;
    guest.regs[4] = 0x1000;
    guest.program(&ipte);
    guest.run_to_end(2)?;
    expect(
        "entry is invalid",
        guest.get_u64(DATA as usize + 8) & 0x400,
        0x400u64,
    )?;
    expect("interlock is free again", guest.table()[0], 0u8)?;
    guest.table()[0] = 0x80;
    intercepted(guest, &ipte)?;
    expect("interlock is still held", guest.table()[0], 0x80u8)?;
    // an access exception in between releases it
    guest.table()[0] = 0;
    guest.regs[2] = 0x20_0000;
    guest.sd().psw_addr = CODE;
    guest.run_to(8)?;
    expect("addressing", guest.sd().iprcc(), 5u16)?;
    expect("interlock is free again", guest.table()[0], 0u8)
}

fn per_ifetch(guest: &mut Guest) -> Result<(), Failure> {
    // an event on an instruction that is executed goes to the guest
    guest.sd().psw_mask = PSW_MASK | PSW_PER;
    guest.sd().gcr[9] = 0x4000_0000;
    guest.sd().gcr[10] = CODE;
    guest.sd().gcr[11] = CODE + 1;
    guest.program(&[0xb904, 0x0011]);
    guest.run_to_program_check(0x80)?;
    expect("PER address", guest.get_u64(0x98), CODE)?;
    // on one that is intercepted the host is told
    guest.sd().psw_mask = PSW_MASK | PSW_PER;
    guest.sd().psw_addr = CODE;
    guest.program(&[]);
    guest.run_to(4)?;
    expect("status", guest.sd().icptstatus, 0x02u8)
}

/// Runs into an event that the host enforces.
fn event(guest: &mut Guest, iprcc: u16, code: u16, next: u64) -> Result<(), Failure> {
    guest.run_to(8)?;
    expect("iprcc", guest.sd().iprcc(), iprcc)?;
    expect("PER code", guest.sd().perc >> 8, code)?;
    expect("PER address", guest.sd().peraddr, CODE)?;
    expect("PSW behind it", guest.sd().psw_addr, next)
}

fn per_enforced(guest: &mut Guest) -> Result<(), Failure> {
    guest.sd().cpuflags = CPUSTAT_ZARCH | CPUSTAT_P;
    guest.sd().gcr[9] = 0x4000_0000;
    guest.sd().gcr[11] = u64::MAX;
    // EPSW 1: the guest's PSW does not have the bit
    guest.program(&[0xb98d, 0x0010]);
    event(guest, 0x80, 0x40, CODE + 4)?;
    expect("bit in the PSW", guest.regs[1] & PSW_PER >> 32, 0u64)?;
    guest.run_to_end(2)?;
    expect("status", guest.sd().icptstatus, 0x02u8)?;

    // with a divide exception (DSGR), which by itself would be the guest's own
    guest.program(&[0xb90d, 0x0024]);
    guest.sd().psw_addr = CODE;
    event(guest, 0x89, 0x40, CODE + 4)?;

    // after a supervisor call
    guest.put_u64(0x1c0, PSW_MASK);
    guest.put_u64(0x1c8, CODE + 0x100);
    guest.program(&[0x0a07]);
    guest.sd().psw_addr = CODE;
    event(guest, 0x80, 0x40, CODE + 0x100)?;

    // a store; QEMU notices it at once only with fetches recorded as well
    guest.sd().gcr[9] = 0x6000_0000;
    guest.sd().gcr[10] = DATA;
    guest.sd().gcr[11] = DATA + 7;
    guest.regs[2] = DATA;
    guest.program(&[0xe330, 0x2000, 0x0024]);
    guest.sd().psw_addr = CODE;
    event(guest, 0x80, 0x20, CODE + 6)?;

    guest.sd().cpuflags = CPUSTAT_ZARCH;
    guest.sd().psw_addr = CODE;
    guest.run_to_end(3)
}

fn access_register_mode(guest: &mut Guest) -> Result<(), Failure> {
    // DAT with a real-space ASCE, access-register mode
    guest.sd().psw_mask = PSW_MASK | 0x0400_4000_0000_0000;
    guest.sd().gcr[1] = 0x20;
    guest.regs[2] = DATA;
    guest.put_u64(DATA as usize, 0x1234);
    guest.program(&[0xe330, 0x2000, 0x0004]);
    guest.run_to_end(3)?;
    expect("loaded", guest.regs[3], 0x1234u64)
}
