// SPDX-License-Identifier: MIT OR Apache-2.0
//! Requests by the other CPU to a guest that runs for good, and counts how often.
//!
//! How long a guest takes to notice depends on what else the build machine does;
//! how much of it runs meanwhile does not. So the other CPU makes a request and
//! then watches the guest's counter: a guest that goes on counting has missed it.

use super::rng::Rng;
use crate::guest::{CODE, DATA, Guest, PSW_EXT, PSW_IO, PSW_MASK};
use crate::insn;
use crate::report::{Failure, expect};
use crate::sd::{CPUSTAT_EXT_INT, CPUSTAT_IO_INT, CPUSTAT_STOP_INT, CPUSTAT_ZARCH};
use crate::second;

/// Requests of a round.
const REQUESTS: u32 = 8;
/// After this long the host gives up, in TOD units: 2 seconds.
const PATIENCE: u64 = 2 << 32;
/// How long a guest runs with a request that it is not enabled for.
const SHORT: u64 = 500 * 4096;

/// AGSI 0(2),1
const COUNT: [u16; 3] = [0xeb01, 0x2000, 0x007a];
/// STOSM and STNSM: external and I/O interruptions on, and off again.
const WINDOW: [&[u16]; 2] = [&[0xad03, 0x2048], &[0xacfc, 0x2050]];
/// Instructions for a loop, which leave register 2 alone: it has DATA.
const HARMLESS: &[&[u16]] = &[
    &[0xb904, 0x0056],                 // LGR
    &[0xb908, 0x0056],                 // AGR
    &[0xe350, 0x2008, 0x0004],         // LG
    &[0xe350, 0x2010, 0x0024],         // STG
    &[0xd707, 0x2020, 0x2020],         // XC
    &[0x4400, 0x2100],                 // EX of what is there
    &[0xa7f4, 0x0002],                 // BRC to the next
    &[0xa779, 0x0003, 0xa777, 0x0000], // LGHI, BRCTG to itself
    &[0xb27c, 0x2028],                 // STCKF
    &[0xb20d, 0x0000],                 // PTLB
    &[0xba35, 0x2030],                 // CS
    &[0xeb33, 0x2038, 0x002f],         // LCTLG
];

/// How the guest is enabled for a request.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Enabled {
    Always,
    InALoop,
    Never,
}

/// Makes a loop that counts.
fn program(rng: &mut Rng, guest: &mut Guest, enabled: Enabled) {
    let mut code = [0; 64];
    let mut len = 0;
    let mut put = |insn: &[u16]| {
        code[len..len + insn.len()].copy_from_slice(insn);
        len += insn.len();
    };
    put(&COUNT);
    for _ in 0..rng.below(4) {
        put(rng.pick(HARMLESS));
    }
    if enabled == Enabled::InALoop {
        put(WINDOW[0]);
        for _ in 0..rng.below(3) {
            put(rng.pick(HARMLESS));
        }
        put(WINDOW[1]);
    }
    let back = (len as u16).wrapping_neg();
    code[len..len + 2].copy_from_slice(&[0xa7f4, back]);
    guest.put_code(CODE, &code[..len + 2]);
    guest.put_code(DATA + 0x100, HARMLESS[0]);
    guest.put_u64(DATA as usize, 0);
    guest.regs[2] = DATA;
}

/// A round of requests.
pub fn run(rng: &mut Rng, guest: &mut Guest) -> Result<(), Failure> {
    guest.reset();
    let counter = guest.host_address(DATA);
    let started = second::watched_requests(guest.sd_address(), counter, rng.bits());
    expect("SIGP restart", started, 0u8)?;
    let mut result = Ok(());
    for round in 1..=REQUESTS {
        result = request(rng, guest, round);
        if result.is_err() {
            break;
        }
    }
    expect("SIGP stop", second::stop(), true)?;
    result
}

fn request(rng: &mut Rng, guest: &mut Guest, round: u32) -> Result<(), Failure> {
    const KINDS: [(u32, u64, u8); 3] = [
        (CPUSTAT_STOP_INT, 0, 0x28),
        (CPUSTAT_EXT_INT, PSW_EXT, 0x10),
        (CPUSTAT_IO_INT, PSW_IO, 0x18),
    ];
    let (bit, mask, code) = rng.pick(&KINDS);
    let enabled = match bit {
        CPUSTAT_STOP_INT => Enabled::Always,
        _ => rng.pick(&[Enabled::Always, Enabled::InALoop, Enabled::Never]),
    };
    program(rng, guest, enabled);
    let sd = guest.sd();
    sd.cpuflags = CPUSTAT_ZARCH;
    sd.psw_addr = CODE;
    sd.psw_mask = match enabled {
        Enabled::Always => PSW_MASK | mask,
        _ => PSW_MASK,
    };
    let patience = match enabled {
        Enabled::Never => SHORT,
        _ => PATIENCE,
    };
    second::next_watched(round, bit);
    insn::set_clock_comparator(insn::tod() + patience);
    let ended = guest.run();
    insn::set_clock_comparator(u64::MAX);
    let lost = second::finish_watched(round);
    let got = guest.sd().icptcode;
    if enabled == Enabled::Never {
        expect("host's external interruption", ended, 0x1004u64 << 32)?;
        return expect("not enabled for a request", got, 0u8);
    }
    expect("rounds of a guest that has missed a request", lost, 0u64)?;
    expect("interception by a request", got, code)
}
