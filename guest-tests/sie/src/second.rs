// SPDX-License-Identifier: MIT OR Apache-2.0
//! The second CPU. It is started by SIGP restart and takes its work from here.

use crate::fuzz::Rng;
use crate::insn;
use crate::sd::CPUSTAT_STOP_INT;
use core::sync::atomic::{AtomicU32, AtomicUsize, Ordering};

/// SIGP orders.
pub const STOP: u8 = 5;
/// See [`STOP`].
pub const START: u8 = 4;
/// See [`STOP`].
pub const CPU_RESET: u8 = 12;
/// See [`STOP`].
pub const RESTART: u8 = 6;
/// SIGP condition code: the CPU is still at another order.
pub const BUSY: u8 = 2;
/// Address of the second CPU.
pub const CPU: u16 = 1;

static WORK: AtomicU32 = AtomicU32::new(0);
static ADDRESS: AtomicUsize = AtomicUsize::new(0);
static DELAY: AtomicU32 = AtomicU32::new(0);
static BITS: AtomicU32 = AtomicU32::new(0);

const REQUEST: u32 = 0;
const INVALIDATE: u32 = 1;
const RACE: u32 = 2;
const GUEST: u32 = 3;
const STOP_REQUESTS: u32 = 4;
const HALT: u32 = 5;
const WATCH: u32 = 6;
const HOLD: u32 = 7;
const CONTEND: u32 = 8;

/// While the second CPU runs a guest.
pub const RUNNING: usize = usize::MAX;
static ENDED: AtomicUsize = AtomicUsize::new(RUNNING);
/// What it translates the guest's storage by.
static ASCE: AtomicUsize = AtomicUsize::new(0);
/// Designates no tables: translates each address to itself.
const REAL_SPACE: u64 = 0x20;

/// What it does when racing: see [`race`].
static TABLE: AtomicUsize = AtomicUsize::new(0);
static ORIGIN: AtomicUsize = AtomicUsize::new(0);
// Words, since a byte may get an odd address, which LARL cannot load.
static GO: AtomicU32 = AtomicU32::new(0);
static BUSY_RACING: AtomicU32 = AtomicU32::new(0);

/// See [`watched_requests`].
static COUNTER: AtomicUsize = AtomicUsize::new(0);
static ENOUGH: AtomicU32 = AtomicU32::new(0);
static FINISHED: AtomicU32 = AtomicU32::new(0);
static LOST: AtomicU32 = AtomicU32::new(0);
/// So many loops after a request the guest has missed it. The guest is told before
/// this CPU looks at the counter, and leaves its loop within one.
const MISSED: u64 = 10_000;

/// See [`holds`].
static HOLDS: AtomicU32 = AtomicU32::new(0);

/// See [`next_stop_request`] and [`next_watched`].
static ROUND: AtomicU32 = AtomicU32::new(0);

/// Lets it set `bits` in `cpuflags` of a state description once, after a
/// delay in units of 4,096 TOD units, that is microseconds.
pub fn request(sd: u64, delay: u32, bits: u32) -> u8 {
    ADDRESS.store(sd as usize, Ordering::Release);
    DELAY.store(delay, Ordering::Release);
    BITS.store(bits, Ordering::Release);
    WORK.store(REQUEST, Ordering::Release);
    sigp(RESTART)
}

/// Whether it has, as [`request`] asked it to.
pub fn has_requested(sd: u64, bits: u32) -> bool {
    insn::requests(sd as usize) & bits != 0
}

/// Lets it make a stop request for each [`next_stop_request`], until it is
/// stopped.
pub fn stop_requests(sd: u64) -> u8 {
    ROUND.store(0, Ordering::Release);
    ADDRESS.store(sd as usize, Ordering::Release);
    WORK.store(STOP_REQUESTS, Ordering::Release);
    sigp(RESTART)
}

/// Has it make a stop request some time after this. `round` counts from 1.
pub fn next_stop_request(round: u32) {
    ROUND.store(round, Ordering::Release);
}

/// Lets it make a request for each [`next_watched`], until it is stopped, and watch
/// a counter of the guest's after that.
pub fn watched_requests(sd: u64, counter: u64, seed: u64) -> u8 {
    ROUND.store(0, Ordering::Release);
    FINISHED.store(0, Ordering::Release);
    ADDRESS.store(sd as usize, Ordering::Release);
    COUNTER.store(counter as usize, Ordering::Release);
    DELAY.store(seed as u32, Ordering::Release);
    WORK.store(WATCH, Ordering::Release);
    sigp(RESTART)
}

/// Has it set one of the bits of `cpuflags` some time after this. `round` counts
/// from 1.
pub fn next_watched(round: u32, bit: u32) {
    BITS.store(bit, Ordering::Release);
    LOST.store(0, Ordering::Release);
    ROUND.store(round, Ordering::Release);
}

/// Says that the guest was left, until the request of this round was made. Returns
/// how far the counter went on after the request, if that was too far, else 0.
pub fn finish_watched(round: u32) -> u64 {
    ENOUGH.store(round, Ordering::Release);
    while FINISHED.load(Ordering::Acquire) != round {}
    u64::from(LOST.load(Ordering::Acquire))
}

/// Lets it hold the IPTE interlock until [`release_interlock`]. `entry` is what the
/// guest would invalidate.
pub fn hold_interlock(lock: u64, entry: u64) -> u8 {
    interlock(HOLD, lock, entry)
}

/// Lets it take the interlock again and again until [`release_interlock`].
pub fn contend(lock: u64, entry: u64) -> u8 {
    interlock(CONTEND, lock, entry)
}

fn interlock(work: u32, lock: u64, entry: u64) -> u8 {
    for counter in [&HOLDS, &LOST, &FINISHED] {
        counter.store(0, Ordering::Release);
    }
    GO.store(1, Ordering::Release);
    ADDRESS.store(lock as usize, Ordering::Release);
    TABLE.store(entry as usize, Ordering::Release);
    WORK.store(work, Ordering::Release);
    sigp(RESTART)
}

/// Has it release the interlock, until it has.
pub fn release_interlock() {
    GO.store(0, Ordering::Release);
    while FINISHED.load(Ordering::Acquire) == 0 {}
}

/// How often it has had the interlock.
pub fn holds() -> u32 {
    HOLDS.load(Ordering::Acquire)
}

/// How often the entry changed while it had the interlock.
pub fn violations() -> u32 {
    LOST.load(Ordering::Acquire)
}

/// Lets it make a stop request, which is the last that it does.
pub fn stop_request_and_halt(sd: u64) -> u8 {
    ADDRESS.store(sd as usize, Ordering::Release);
    WORK.store(HALT, Ordering::Release);
    sigp(RESTART)
}

/// Lets it invalidate entries of a page table until it is stopped.
pub fn invalidate(table: u64) -> u8 {
    ADDRESS.store(table as usize, Ordering::Release);
    WORK.store(INVALIDATE, Ordering::Release);
    sigp(RESTART)
}

/// Lets it make random requests, change registers in the state description,
/// and invalidate entries of the host's page table, whenever it may [`go`].
pub fn race(sd: u64, table: u64, origin: u64, seed: u64) -> u8 {
    GO.store(0, Ordering::Release);
    BUSY_RACING.store(0, Ordering::Release);
    ADDRESS.store(sd as usize, Ordering::Release);
    TABLE.store(table as usize, Ordering::Release);
    ORIGIN.store(origin as usize, Ordering::Release);
    BITS.store(seed as u32, Ordering::Release);
    WORK.store(RACE, Ordering::Release);
    sigp(RESTART)
}

/// Lets the race go on.
pub fn go() {
    GO.store(1, Ordering::Release);
}

/// Stops the race, until it has stopped.
pub fn pause() {
    GO.store(0, Ordering::SeqCst);
    while BUSY_RACING.load(Ordering::SeqCst) != 0 {}
}

/// Stops the CPU, until it has stopped.
pub fn stop() -> bool {
    stop_by(STOP)
}

/// Lets it run the guest of a state description, which is lent to it until
/// [`ended`] says otherwise or the CPU is stopped.
pub fn run_guest(sd: u64) -> u8 {
    run_guest_by(sd, REAL_SPACE)
}

/// The same, with the host's tables that `asce` designates.
pub fn run_guest_by(sd: u64, asce: u64) -> u8 {
    ASCE.store(asce as usize, Ordering::Release);
    ENDED.store(RUNNING, Ordering::Release);
    ADDRESS.store(sd as usize, Ordering::Release);
    WORK.store(GUEST, Ordering::Release);
    sigp(RESTART)
}

/// How the guest of [`run_guest`] ended, or [`RUNNING`].
pub fn ended() -> usize {
    ENDED.load(Ordering::Acquire)
}

/// An order that stops the CPU; returns when it has stopped.
pub fn stop_by(order: u8) -> bool {
    const SENSE: u8 = 1;
    let accepted = sigp(order) == 0;
    while accepted && sigp(SENSE) != 1 {}
    accepted
}

/// An order for it, repeated while it is busy. Returns the condition code.
pub fn sigp(order: u8) -> u8 {
    loop {
        let cc = insn::sigp(CPU, order);
        if cc != BUSY {
            return cc;
        }
    }
}

/// Where the start-up code goes on.
#[unsafe(no_mangle)]
extern "C" fn second_main() {
    let address = ADDRESS.load(Ordering::Acquire);
    match WORK.load(Ordering::Acquire) {
        INVALIDATE => loop {
            for page in 0..256 {
                insn::invalidate_page(address, page << 12);
            }
        },
        RACE => run_race(address),
        STOP_REQUESTS => make_stop_requests(address),
        WATCH => make_watched_requests(address),
        HOLD => take_turns(address, 1),
        CONTEND => take_turns(address, u32::MAX),
        HALT => insn::stop_request_and_halt(address),
        GUEST => {
            insn::load_control_1(ASCE.load(Ordering::Acquire) as u64);
            ENDED.store(insn::run_at(address) as usize, Ordering::Release);
        }
        _ => {
            let end = insn::tod() + (u64::from(DELAY.load(Ordering::Acquire)) << 12);
            while insn::tod() < end {}
            insn::request(address, BITS.load(Ordering::Acquire));
        }
    }
}

/// Words of the state description that are read at entry, apart from those
/// that judging the end of SIE depends on.
const WORDS: [usize; 7] = [0x04, 0x6c, 0xa4, 0xac, 0xfc, 0x1a0, 0x108];

/// For some time that two CPUs spend differently.
pub fn dawdle(rng: &mut Rng) {
    for n in 0..rng.below(2000) {
        core::hint::black_box(n);
    }
}

fn make_stop_requests(sd: usize) {
    let mut rng = Rng::new(2);
    for round in 1.. {
        while ROUND.load(Ordering::Acquire) != round {}
        dawdle(&mut rng);
        insn::stop_request(sd, round % insn::WAYS);
    }
}

/// As Linux does, by compare and swap of the doubleword that bit k is the first of.
fn take_turns(lock: usize, turns: u32) {
    const K: u64 = 1 << 63;
    const VALID: u64 = 0x7000;
    let (lock, entry) = (
        insn::doubleword(lock),
        insn::doubleword(TABLE.load(Ordering::Acquire)),
    );
    let going = || GO.load(Ordering::Acquire) != 0;
    let take = || {
        let old = lock.load(Ordering::Acquire) & !K;
        let new = lock.compare_exchange(old, old | K, Ordering::AcqRel, Ordering::Relaxed);
        new.is_ok()
    };
    let mut rng = Rng::new(3);
    for _ in 0..turns {
        let mut taken = take();
        while !taken && going() {
            taken = take();
        }
        if !taken {
            break;
        }
        entry.store(VALID, Ordering::SeqCst);
        HOLDS.fetch_add(1, Ordering::AcqRel);
        while turns == 1 && going() {}
        dawdle(&mut rng);
        if entry.load(Ordering::SeqCst) != VALID {
            LOST.fetch_add(1, Ordering::AcqRel);
        }
        lock.fetch_and(!K, Ordering::AcqRel);
        if !going() {
            break;
        }
        dawdle(&mut rng);
    }
    FINISHED.store(1, Ordering::Release);
}

fn make_watched_requests(sd: usize) {
    let mut rng = Rng::new(u64::from(DELAY.load(Ordering::Acquire)));
    let counter = insn::doubleword(COUNTER.load(Ordering::Acquire));
    let counter = || counter.load(Ordering::Acquire);
    for round in 1.. {
        while ROUND.load(Ordering::Acquire) != round {}
        dawdle(&mut rng);
        match BITS.load(Ordering::Acquire) {
            CPUSTAT_STOP_INT => insn::stop_request(sd, rng.below(u64::from(insn::WAYS)) as u32),
            bit => insn::request(sd, bit),
        }
        // some branches, behind which the machine has told the other CPU
        dawdle(&mut rng);
        let from = counter();
        while ENOUGH.load(Ordering::Acquire) != round {
            let ran = counter() - from;
            if ran > MISSED {
                LOST.store(ran as u32, Ordering::Release);
            }
        }
        FINISHED.store(round, Ordering::Release);
    }
}

fn run_race(sd: usize) {
    let mut rng = Rng::new(u64::from(BITS.load(Ordering::Acquire)));
    let table = TABLE.load(Ordering::Acquire);
    let origin = ORIGIN.load(Ordering::Acquire) as u64;
    loop {
        // announced first, then looked at: pause() waits for it
        BUSY_RACING.store(1, Ordering::SeqCst);
        if GO.load(Ordering::SeqCst) == 0 {
            BUSY_RACING.store(0, Ordering::Release);
            while GO.load(Ordering::Acquire) == 0 {}
            continue;
        }
        let page = rng.below(256);
        match rng.below(8) {
            0 => insn::request(sd, (1 + rng.below(7) as u32) << 24),
            1 => insn::disturb(sd, rng.pick(&WORDS), rng.bits() as u32),
            2 => insn::disturb(sd, 0x108 + 4 * rng.below(30) as usize, rng.bits() as u32),
            3 => insn::invalidate_page(table, page << 12),
            4 => insn::validate_page(table, page, origin + (page << 12)),
            _ => {
                let end = insn::tod() + rng.below(1 << 18);
                while insn::tod() < end {}
            }
        }
    }
}
