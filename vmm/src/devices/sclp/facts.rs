// SPDX-License-Identifier: MIT OR Apache-2.0
//! Facts about the machine: storage and CPUs.
//!
//! ```text
//!   SCP information                      CPU information
//!   +8   storage increments    u16       +8   configured CPUs    u16
//!   +10  MiB per increment     u8        +10  offset of entries  u16
//!   +16  CPUs                  u16       +12  standby CPUs       u16
//!   +18  offset of entries     u16       +14  offset of entries  u16
//!   +24  load parameter        EBCDIC    +24  entries
//!   +48  facilities            u64
//!   +100 increment size        u32       an entry is 16 bytes, its first the
//!   +104 storage increments    u64       CPU address
//!   +120 highest CPU           u16
//!   +128 entries
//! ```
//!
//! Source: Linux `struct read_info_sccb` in `drivers/s390/char/sclp.h`,
//! `struct read_cpu_info_sccb` in `sclp_cmd.c`.

use super::code;
use crate::devices::put;

const ENTRY_LEN: usize = 16;
const SCP_ENTRIES: usize = 128;
const CPU_ENTRIES: usize = 24;

/// Facility: the command "read CPU information" is there.
const HAS_CPU_INFO: u64 = 1 << 59;

const EBCDIC_BLANK: u8 = 0x40;

/// An increment is 1 MiB.
const INCREMENT_SHIFT: u32 = 20;

pub(super) fn read_scp_info(sccb: &mut [u8], ram_size: u64, cpus: u16) -> u16 {
    if sccb.len() < SCP_ENTRIES + usize::from(cpus) * ENTRY_LEN {
        return code::INSUFFICIENT_LENGTH;
    }
    sccb[8..].fill(0);
    let increments = ram_size >> INCREMENT_SHIFT;
    match u16::try_from(increments) {
        Ok(few) => put(sccb, 8, &few.to_be_bytes()),
        Err(_) => put(sccb, 104, &increments.to_be_bytes()),
    }
    put(sccb, 10, &[1]);
    put(sccb, 16, &cpus.to_be_bytes());
    put(sccb, 18, &(SCP_ENTRIES as u16).to_be_bytes());
    put(sccb, 24, &[EBCDIC_BLANK; 8]);
    put(sccb, 48, &HAS_CPU_INFO.to_be_bytes());
    put(sccb, 120, &cpus.saturating_sub(1).to_be_bytes());
    cpu_entries(&mut sccb[SCP_ENTRIES..], cpus);
    code::READ_COMPLETE
}

pub(super) fn read_cpu_info(sccb: &mut [u8], cpus: u16) -> u16 {
    let standby = CPU_ENTRIES + usize::from(cpus) * ENTRY_LEN;
    if sccb.len() < standby {
        return code::INSUFFICIENT_LENGTH;
    }
    sccb[8..].fill(0);
    put(sccb, 8, &cpus.to_be_bytes());
    put(sccb, 10, &(CPU_ENTRIES as u16).to_be_bytes());
    put(sccb, 14, &(standby as u16).to_be_bytes());
    cpu_entries(&mut sccb[CPU_ENTRIES..], cpus);
    code::READ_COMPLETE
}

fn cpu_entries(entries: &mut [u8], cpus: u16) {
    for (address, entry) in (0..cpus).zip(entries.chunks_exact_mut(ENTRY_LEN)) {
        // the field has 8 bits; the machine has fewer CPUs
        entry[0] = address as u8;
    }
}
