// SPDX-License-Identifier: MIT OR Apache-2.0
//! Random guests under SIE, while the other CPU makes random requests.
//!
//! The machine must never stop, every end of SIE must be a legal one, and all
//! storage but the guest's own and the host's registers must be as before.
//! `fuzz=SEED,ROUNDS` on the command line runs that many rounds; a round of
//! [`GUESTS`] guests starts from nothing but the seed plus its number, so that
//! a failed one can be repeated alone (requests and timers come when they
//! come, though).

mod asked;
mod code;
mod legal;
mod lost;
mod rng;
mod state;

use crate::guest::Guest;
use crate::insn::{self, HostState};
use crate::report::{Failure, Report, expect};
use crate::second;
pub use legal::{Entry, check as legal};
pub use rng::Rng;
pub use state::Host;

/// Guests of a round.
pub const GUESTS: u64 = 16;
/// How often a guest is resumed.
const ENTRIES: u64 = 24;
/// After this long the host interrupts a guest, in TOD units.
const PATIENCE: u64 = 300 * 4096;
/// Rounds after which all of the host's storage is looked at.
const FULL_CHECK: u64 = 64;

/// What to run.
pub struct Options {
    seed: u64,
    rounds: u64,
}

impl Options {
    /// Reads `fuzz=SEED,ROUNDS`.
    pub fn parse(line: &[u8]) -> Option<Self> {
        let (seed, rounds) = crate::word(line, "fuzz=")?.split_once(',')?;
        Some(Self {
            seed: seed.parse().ok()?,
            rounds: rounds.parse().ok()?,
        })
    }
}

/// How SIE ended, by interception code / 4; host interruptions at 0.
struct Counts([u64; 16]);

/// Runs the rounds, up to the first failure.
pub fn run(report: &mut Report, guest: &mut Guest, options: &Options) {
    let mut counts = Counts([0; 16]);
    let canary = insn::Canary::plant();
    for round in 0..options.rounds {
        let seed = options.seed.wrapping_add(round);
        let mut result = run_round(guest, seed, &mut counts);
        if result.is_ok() && (round % FULL_CHECK == 0 || round + 1 == options.rounds) {
            result = expect("host storage is intact", canary.intact(), true);
            report.line(format_args!("# {round} rounds"));
        }
        if result.is_err() {
            report.line(format_args!("# seed {seed}"));
            let sd = guest.sd();
            let (mask, address) = (sd.psw_mask, sd.psw_addr);
            report.line(format_args!("# guest PSW {mask:#x} {address:#x}"));
            report.verdict("fuzz", result);
            return;
        }
    }
    for (i, n) in counts.0.iter().enumerate().filter(|(_, n)| **n > 0) {
        report.line(format_args!("# {n} ends of code {:#x}", i * 4));
    }
    report.verdict("fuzz", Ok(()));
}

fn run_round(guest: &mut Guest, seed: u64, counts: &mut Counts) -> Result<(), Failure> {
    let mut rng = Rng::new(seed);
    guest.reset();
    let racing = rng.one_in(4);
    if racing {
        let (sd, table) = (guest.sd_address(), guest.page_table());
        let started = second::race(sd, table, guest.host_address(0), seed);
        expect("SIGP restart", started, 0u8)?;
    }
    let mut result = Ok(());
    for _ in 0..GUESTS {
        result = run_guest(&mut rng, guest, racing, counts);
        if result.is_err() {
            break;
        }
    }
    if racing {
        expect("SIGP stop", second::stop(), true)?;
    }
    insn::load_control_1(0x20);
    result?;
    if racing {
        lost::run(&mut rng, guest)?;
    }
    expect("neighbour is intact", guest.beyond_is_intact(), true)
}

fn run_guest(
    rng: &mut Rng,
    guest: &mut Guest,
    racing: bool,
    counts: &mut Counts,
) -> Result<(), Failure> {
    let host = state::make(rng, guest);
    let table = guest.table_sum();
    for _ in 0..ENTRIES {
        insn::set_clock_comparator(insn::tod() + PATIENCE);
        let before = HostState::now();
        let entry = Entry::of(guest);
        if racing {
            second::go();
        }
        let ended = guest.run();
        if racing {
            second::pause();
        }
        let after = HostState::now();
        insn::set_clock_comparator(u64::MAX);

        counts.0[usize::from(guest.sd().icptcode / 4) % 16] += 1;
        expect("host registers", before == after, true)?;
        legal::check(guest, host, &entry, ended, racing)?;
        expect("tables of the host", guest.table_sum(), table)?;
        if ended >> 32 != 0 || guest.sd().icptcode == 0x20 {
            break;
        }
        if ended != 0 {
            guest.map_page(insn::teid());
        }
        resume(rng, guest);
    }
    Ok(())
}

/// What a host may do between two entries.
fn resume(rng: &mut Rng, guest: &mut Guest) {
    let sd = guest.sd();
    sd.cpuflags &= !0x0700_0000;
    match rng.below(8) {
        0 => sd.cpuflags |= (rng.below(8) as u32) << 24,
        1 => sd.psw_mask &= !crate::guest::PSW_WAIT,
        2 => sd.ihcpu = 0xffff,
        3 => sd.psw_addr = crate::guest::CODE + 2 * rng.below(128),
        4 => sd.gcr[rng.below(16) as usize] ^= rng.sparse(),
        _ => {}
    }
}
