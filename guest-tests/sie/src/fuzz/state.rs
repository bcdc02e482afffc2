// SPDX-License-Identifier: MIT OR Apache-2.0
//! Random guests. Whatever a guest is given must lie in its own storage, or
//! not be translated by the host: then all that it does elsewhere is an error
//! of the machine.

use super::code;
use super::rng::Rng;
use crate::guest::{CODE, DATA, DIAG, Guest, HANDLER, PSW_EXT, PSW_IO, PSW_MASK, PSW_PER};
use crate::guest::{PSW_PROBLEM, PSW_WAIT};
use crate::insn;
use crate::sd::{CPUSTAT_P, CPUSTAT_SM, CPUSTAT_ZARCH, StateDescription};

const DAT: u64 = 0x0400_0000_0000_0000;
const PRIVATE_AND_REAL_SPACE: u64 = 0x120;

/// How the host translates the guest's storage.
#[derive(Clone, Copy, PartialEq, Eq)]
pub enum Host {
    /// By origin and limit alone.
    Extent,
    /// By tables, which map the guest's storage and nothing else.
    Tables,
}

/// Makes a guest.
pub fn make(rng: &mut Rng, guest: &mut Guest) -> Host {
    storage(rng, guest);
    for i in 0..guest.regs.len() {
        guest.regs[i] = register(rng);
    }
    if rng.one_in(2) {
        insn::load_control_1(0x20);
        description(rng, guest, Host::Extent);
        return Host::Extent;
    }
    let seed = rng.bits();
    guest.use_tables(|pages| {
        let mut rng = Rng::new(seed);
        for entry in pages.iter_mut() {
            match rng.below(16) {
                0 => *entry |= 0x400,
                1 | 2 => *entry |= 0x200,
                _ => {}
            }
        }
    });
    description(rng, guest, Host::Tables);
    Host::Tables
}

fn register(rng: &mut Rng) -> u64 {
    match rng.below(4) {
        0 => rng.below(64),
        1 => rng.sparse(),
        _ => rng.address(),
    }
}

fn psw_mask(rng: &mut Rng) -> u64 {
    const BITS: [u64; 8] = [
        PSW_EXT,
        PSW_IO,
        PSW_PER,
        PSW_PROBLEM,
        DAT,
        DAT,
        0x4000_0000_0000,
        0x8000_0000_0000,
    ];
    match rng.below(16) {
        0 => rng.bits(),
        1 => PSW_MASK | rng.sparse(),
        2 => rng.sparse(),
        3 => PSW_MASK | PSW_WAIT | PSW_EXT,
        _ => PSW_MASK | (0..rng.below(4)).fold(0, |mask, _| mask | rng.pick(&BITS)),
    }
}

fn storage(rng: &mut Rng, guest: &mut Guest) {
    let mut code = [0; 256];
    code::fill(rng, &mut code);
    guest.put_code(CODE, &code);
    guest.put_code(HANDLER, &DIAG);
    // a target for EXECUTE in every few bytes
    code::fill(rng, &mut code);
    guest.put_code(DATA, &code);
    // new PSWs, restart to I/O
    for at in (0x1a0..0x200).step_by(16) {
        let (mask, address) = match rng.below(8) {
            0 => (psw_mask(rng), rng.address()),
            1 | 2 => (psw_mask(rng), CODE + 2 * rng.below(200)),
            _ => (PSW_MASK, HANDLER),
        };
        guest.put_u64(at, mask);
        guest.put_u64(at + 8, address);
    }
    // tables of its own: a segment table at 0x50000, a page table at 0x60000
    for i in 0..64 {
        let entry = match rng.below(8) {
            0 => rng.bits(),
            1 => 0x60000 | 0x20,
            _ => 0x60000,
        };
        guest.put_u64(0x50000 + 8 * i, entry);
    }
    for i in 0..256u64 {
        let entry = match rng.below(16) {
            0 => rng.bits(),
            1 => i << 12 | 0x400,
            2 => i << 12 | 0x200,
            _ => i << 12,
        };
        guest.put_u64(0x60000 + 8 * i as usize, entry);
    }
}

fn asce(rng: &mut Rng) -> u64 {
    match rng.below(8) {
        0 => rng.bits(),
        1 => 0x50000 | rng.below(0x1000),
        2 | 3 => PRIVATE_AND_REAL_SPACE & !(rng.below(2) << 8),
        _ => 0x50000,
    }
}

fn description(rng: &mut Rng, guest: &mut Guest, host: Host) {
    let mut bytes = [0; 512];
    if rng.one_in(4) {
        bytes.fill_with(|| rng.bits() as u8);
    }
    let (origin, table, address) = (
        guest.host_address(0),
        guest.table_address(),
        guest.sd_address(),
    );
    for byte in guest.table().iter_mut() {
        *byte = rng.bits() as u8;
    }
    // the interlock is free, or it stays held for ever
    guest.table()[0] &= 0x7f;

    let sd = guest.sd();
    *sd = StateDescription::from_bytes(&bytes);
    sd.cpuflags = CPUSTAT_ZARCH | sd.cpuflags & (0x00ff_f700 | CPUSTAT_P);
    (sd.mso, sd.msl) = (origin, origin);
    match host {
        Host::Extent => sd.cpuflags &= !CPUSTAT_SM,
        Host::Tables if rng.one_in(2) => sd.cpuflags |= CPUSTAT_SM,
        Host::Tables => {
            sd.cpuflags &= !CPUSTAT_SM;
            if rng.one_in(4) {
                (sd.mso, sd.msl) = (rng.address(), rng.bits());
            }
        }
    }
    // with tables and SM, guest absolute 0 is host virtual 0, where nothing is
    if host == Host::Tables && sd.cpuflags & CPUSTAT_SM != 0 {
        guest.map_low();
    }
    let sd = guest.sd();
    if rng.one_in(32) {
        sd.cpuflags ^= CPUSTAT_ZARCH;
    }
    sd.prefix = match rng.below(8) {
        0 => rng.bits() as u32,
        1 => rng.address() as u32,
        2 => 0x4_0000,
        _ => 0,
    };
    // what the machine stores to: nowhere but the table
    (sd.scaoh, sd.scaol) = match rng.below(8) {
        0..=3 => (0, 0),
        4 => (0, table as u32 + 0xf00),
        5 => (0x100, 0),
        6 => (0, 0x40),
        _ => (0, table as u32),
    };
    sd.crycbd = match rng.below(4) {
        0 => rng.bits() as u32,
        1 => address as u32 | 2,
        _ => (table as u32 + 0x100) | rng.below(4) as u32,
    };
    sd.fac = match rng.below(4) {
        0 => rng.bits() as u32,
        1 => 0,
        _ => table as u32 + 0x800,
    };
    sd.psw_mask = psw_mask(rng);
    sd.psw_addr = match rng.below(8) {
        0 => rng.address(),
        _ => CODE + 2 * rng.below(64),
    };
    (sd.gg14, sd.gg15) = (register(rng), register(rng));
    for i in 0..16 {
        sd.gcr[i] = match i {
            0 => rng.sparse() | 0xe0,
            1 | 7 | 13 => asce(rng),
            _ => rng.sparse(),
        };
    }
    sd.cputm = if rng.one_in(2) {
        rng.sparse()
    } else {
        i64::MAX as u64
    };
    sd.ckc = if rng.one_in(2) {
        insn::tod() + rng.below(1 << 22)
    } else {
        rng.bits()
    };
    sd.epoch = if rng.one_in(2) { 0 } else { rng.bits() };
    sd.ictl = rng.sparse() as u32;
    sd.eca = rng.bits() as u32;
    sd.svcc = rng.sparse() as u32;
    sd.lctl = rng.sparse() as u16;
    sd.ecb = rng.bits() as u8;
    sd.ihcpu = if rng.one_in(2) { 0 } else { 0xffff };
}
