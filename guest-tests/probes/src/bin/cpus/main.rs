// SPDX-License-Identifier: MIT OR Apache-2.0
//! A guest with two CPUs that proves SIGP's orders and the resets of the
//! machine by DIAGNOSE 0x308, those that Linux hardly ever uses:
//!
//! ```text
//!   start, SIGP to CPU 1 ──1──▶ again ──0──▶ again ──4──▶ start ──▶ end
//!                         (numbers: subcodes)
//! ```
//!
//! Subcode 3 is how Linux reboots. It prints KTAP, and ends with the number of
//! tests that failed as its status.
#![no_std]
#![no_main]

#[path = "../probe/console.rs"]
#[expect(dead_code, reason = "shared with the probe, which takes input")]
mod console;
mod cpu;
#[path = "../probe/insn.rs"]
#[expect(dead_code, reason = "shared with the probe, which has AP instructions")]
mod insn;
mod state;

use console::Console;
use core::fmt::{self, Write};
use core::sync::atomic::{AtomicU64, Ordering};
use cpu::{order, signal};
use state::Word;

const TESTS: u32 = 16;
/// DIAGNOSE 0x500 subcode: end the machine with a status.
const SUBCODE_EXIT: u64 = 0x4150_0002;
const STATUS_BROKEN: u64 = 63;

const SECOND: u64 = 1;
const ABSENT: u64 = 9;
const STOPPED: (u8, u32) = (1, 0x40);
const DONE: (u8, u32) = (0, 0);
const INVALID_ORDER: (u8, u32) = (1, 0x002);
const INVALID_PARAMETER: (u8, u32) = (1, 0x100);
const INCORRECT_STATE: (u8, u32) = (1, 0x200);
const NOT_OPERATIONAL: (u8, u32) = (3, 0);

/// Control registers after a reset.
const INITIAL_CR0: u64 = 0xe0;
const INITIAL_CR14: u64 = 0xc200_0000;
/// 64-bit mode, no interrupts.
const PSW_MASK: u64 = 0x1_8000_0000;
/// The same as the first half of a short PSW.
const SHORT_PSW_MASK: u64 = 0x0008_0001_8000_0000;
/// Beyond any storage that a machine for this has.
const OUTSIDE: u64 = 0x7000_0000;
const GR9: u64 = 0x9999_8888_7777_6666;

/// Part of the image, so that loading it anew undoes a change.
static IN_IMAGE: AtomicU64 = AtomicU64::new(1);

/// Places in a stored status.
mod at {
    pub const FPR0: usize = 0;
    pub const GPRS: usize = 0x80;
    pub const PSW_MASK: usize = 0x100;
    pub const PSW_ADDRESS: usize = 0x108;
    pub const PREFIX: usize = 0x118;
    pub const CRS: usize = 0x180;
}

struct Out(Console);

impl Write for Out {
    fn write_str(&mut self, text: &str) -> fmt::Result {
        self.0.print(text.as_bytes());
        Ok(())
    }
}

impl Out {
    fn line(&mut self, text: fmt::Arguments<'_>) {
        // printing never fails
        let _ = self.write_fmt(format_args!("{text}\n"));
    }

    fn test(&mut self, name: &str, passed: bool) {
        state::TESTS.set(state::TESTS.get() + 1);
        let number = state::TESTS.get();
        if passed {
            self.line(format_args!("ok {number} {name}"));
        } else {
            state::FAILURES.set(state::FAILURES.get() + 1);
            self.line(format_args!("not ok {number} {name}"));
        }
    }

    /// An answer of SIGP that is what it should be; else it is told.
    fn answers(&mut self, order: u64, parameter: u64, wanted: (u8, u32)) -> bool {
        let seen = signal(SECOND, order, parameter);
        self.same(order, seen, wanted)
    }

    fn same(&mut self, order: u64, seen: (u8, u32), wanted: (u8, u32)) -> bool {
        if seen != wanted {
            self.line(format_args!(
                "# order {order:#04x}: {seen:x?}, not {wanted:x?}"
            ));
        }
        seen == wanted
    }

    fn holds(&mut self, what: &str, seen: u64, wanted: u64) -> bool {
        if seen != wanted {
            self.line(format_args!("# {what}: {seen:#x}, not {wanted:#x}"));
        }
        seen == wanted
    }
}

/// Called by the start-up code.
extern "C" fn probe_main() -> ! {
    let mut out = Out(Console::new(state::page()));
    if state::PHASE.get() == 0 {
        out.line(format_args!("KTAP version 1\n1..{TESTS}"));
        orders(&mut out);
        IN_IMAGE.store(2, Ordering::Relaxed);
        reset(1)
    }
    out.test("load: storage stays", state::PHASE.get() == 4);
    let in_image = IN_IMAGE.load(Ordering::Relaxed);
    let loaded = out.holds("a word of the image", in_image, 1);
    out.test("load: the image is loaded again", loaded);
    let stopped = out.answers(order::SENSE, 0, STOPPED);
    out.test("load: the other CPU is stopped", stopped);
    // a VMM that does not know the call sees the wait
    let _ = insn::hypercall(SUBCODE_EXIT, state::FAILURES.get(), 0);
    insn::power_off()
}

/// Called by second.S after a reset that leaves storage alone.
extern "C" fn again() -> ! {
    let mut out = Out(Console::new(state::page()));
    let stopped = out.answers(order::SENSE, 0, STOPPED);
    let cr0 = out.holds("CR0", state::CR0.get(), INITIAL_CR0);
    if state::PHASE.get() == 1 {
        out.test("load normal: CPUs are reset", stopped && cr0);
        let kept = out.holds("GR9", state::GR9.get(), GR9);
        out.test("load normal: general registers stay", kept);
        reset(0)
    }
    let cleared = out.holds("GR9", state::GR9.get(), 0);
    out.test(
        "modified clear: CPUs are cleared",
        stopped && cr0 && cleared,
    );
    reset(4)
}

/// The next phase begins with a reset, while the second CPU runs.
fn reset(subcode: u64) -> ! {
    signal(SECOND, order::RESTART, 0);
    // phase 0 is the first start
    state::PHASE.set(match subcode {
        0 => 2,
        other => other,
    });
    state::LOAD_PSW.set(SHORT_PSW_MASK | cpu::program().again);
    cpu::reset(subcode, GR9);
    insn::crash(0, subcode)
}

/// All that SIGP does to a CPU.
fn orders(out: &mut Out) {
    let program = cpu::program();
    state::RESTART_NEW_PSW.set(PSW_MASK);
    state::RESTART_NEW_PSW.plus(8).set(program.start);

    let stopped = out.answers(order::SENSE, 0, STOPPED);
    let absent = signal(ABSENT, order::SENSE, 0);
    let absent = out.same(order::SENSE, absent, NOT_OPERATIONAL);
    out.test("sense", stopped && absent);

    let done = out.answers(order::RESTART, 0, DONE);
    let runs = counts_on() && out.answers(order::SENSE, 0, DONE);
    out.test("restart of a stopped CPU", done && runs);

    let done = out.answers(order::RESTART, 0, DONE);
    let old = state::RESTART_OLD_PSW.plus(8);
    let taken = soon(|| program.counts.contains(&old.get()));
    out.test("restart of a running CPU", done && taken && counts_on());

    let mut kept = true;
    for (order, parameter) in [
        (order::STORE_STATUS, state::STATUS),
        (order::STORE_ADDITIONAL_STATUS, state::VECTORS),
        (order::SET_PREFIX, state::PREFIX),
    ] {
        kept &= out.answers(order, parameter.address(), INCORRECT_STATE);
    }
    out.test("a running CPU keeps prefix and status", kept);

    let done = out.answers(order::STOP, 0, DONE);
    let stopped = soon(|| signal(SECOND, order::SENSE, 0) == STOPPED);
    let before = state::COUNT.get();
    out.test("stop", done && stopped && !counts_for_a_while(before));

    // the low bits of the address do not count
    let low = state::STATUS.address() | 0x1ff;
    let done = out.answers(order::STORE_STATUS, low, DONE);
    let stored = is_status(out, state::STATUS, &program, 0);
    out.test("store status", done && stored);

    let done = out.answers(
        order::STORE_ADDITIONAL_STATUS,
        state::VECTORS.address(),
        DONE,
    );
    let mut vectors = true;
    for (number, half) in [(16, u64::MAX), (17, 0)] {
        let place = state::VECTORS.plus(16 * number);
        vectors &= out.holds("vector register", place.get(), half);
        vectors &= out.holds("vector register", place.plus(8).get(), half);
    }
    out.test("store additional status", done && vectors);

    let mut done = out.answers(order::SET_PREFIX, state::PREFIX.address(), DONE);
    done &= out.answers(order::STORE_STATUS, state::STATUS.address(), DONE);
    done &= is_status(out, state::STATUS, &program, state::PREFIX.address());
    done &= out.answers(order::START, 0, DONE) && counts_on();
    let stopped = out.answers(order::STOP_AND_STORE_STATUS, 0, DONE)
        && soon(|| signal(SECOND, order::SENSE, 0) == STOPPED);
    let stored = is_status(out, state::ASSIGNED, &program, state::PREFIX.address());
    out.test(
        "set prefix, start, stop and store status",
        done && stopped && stored,
    );

    let done = out.answers(order::CPU_RESET, 0, DONE)
        && out.answers(order::STORE_STATUS, state::STATUS.address(), DONE);
    let kept = is_status(out, state::STATUS, &program, state::PREFIX.address());
    let done = done && kept && out.answers(order::INITIAL_CPU_RESET, 0, DONE);
    let done = done && out.answers(order::STORE_STATUS, state::STATUS.address(), DONE);
    let initial = is_initial(out, state::STATUS);
    out.test("CPU resets", done && initial);

    let mut refused = true;
    for (order, parameter, wanted) in [
        (order::SET_ARCHITECTURE, 0, INVALID_PARAMETER),
        (order::NONE, 0, INVALID_ORDER),
        (order::SET_PREFIX, OUTSIDE, INVALID_PARAMETER),
        (order::STORE_STATUS, OUTSIDE, INVALID_PARAMETER),
        (order::STORE_ADDITIONAL_STATUS, OUTSIDE, INVALID_PARAMETER),
    ] {
        refused &= out.answers(order, parameter, wanted);
    }
    let absent = signal(ABSENT, order::RESTART, 0);
    refused &= out.same(order::RESTART, absent, NOT_OPERATIONAL);
    out.test("orders that cannot be carried out", refused);
}

/// Whether a stored status is that of the second CPU in its loop.
fn is_status(out: &mut Out, status: Word, program: &cpu::Program, prefix: u64) -> bool {
    let of_control = |n: usize| status.plus(at::CRS + 8 * n).get();
    let word = status.plus(at::PREFIX).get() >> 32;
    let mut good = out.holds("prefix", word, prefix);
    good &= out.holds("CR10", of_control(10), 0x1010_1010_1010_1010);
    good &= out.holds("CR11", of_control(11), 0x1111_1111_1111_1110);
    good &= out.holds("FPR0", status.plus(at::FPR0).get(), 0x0303_0303_0303_0303);
    for register in 2..16 {
        let seen = status.plus(at::GPRS + 8 * register).get();
        good &= out.holds(
            "general register",
            seen,
            register as u64 * 0x0101_0101_0101_0101,
        );
    }
    let address = status.plus(at::PSW_ADDRESS).get();
    if !program.counts.contains(&address) {
        out.line(format_args!(
            "# PSW address {address:#x} is not in {:x?}",
            program.counts
        ));
        return false;
    }
    good
}

/// Whether it is that of a CPU after an initial reset.
fn is_initial(out: &mut Out, status: Word) -> bool {
    let of_control = |n: usize| status.plus(at::CRS + 8 * n).get();
    let mut good = out.holds("prefix", status.plus(at::PREFIX).get() >> 32, 0);
    good &= out.holds("PSW mask", status.plus(at::PSW_MASK).get(), 0);
    good &= out.holds("PSW address", status.plus(at::PSW_ADDRESS).get(), 0);
    good &= out.holds("CR0", of_control(0), INITIAL_CR0);
    good &= out.holds("CR10", of_control(10), 0);
    good & out.holds("CR14", of_control(14), INITIAL_CR14)
}

/// Whether something comes true in time.
fn soon(so: impl Fn() -> bool) -> bool {
    let end = insn::tod() + seconds(60);
    while !so() {
        if insn::tod() > end {
            return false;
        }
    }
    true
}

/// Whether the second CPU counts.
fn counts_on() -> bool {
    let before = state::COUNT.get();
    soon(|| state::COUNT.get() != before)
}

/// Whether it goes on within some milliseconds.
fn counts_for_a_while(before: u64) -> bool {
    let end = insn::tod() + seconds(1) / 20;
    while insn::tod() < end {}
    state::COUNT.get() != before
}

/// In clock units.
const fn seconds(count: u64) -> u64 {
    count * 4_096_000_000
}

/// Called by the start-up code on a program interruption that no instruction
/// is known to cause.
extern "C" fn program_check() -> ! {
    let (code, address) = insn::last_program_check();
    let _ = insn::hypercall(SUBCODE_EXIT, STATUS_BROKEN, 0);
    insn::crash(code, address)
}

#[panic_handler]
fn panic(_: &core::panic::PanicInfo<'_>) -> ! {
    let _ = insn::hypercall(SUBCODE_EXIT, STATUS_BROKEN, 0);
    insn::crash(0, 0)
}
