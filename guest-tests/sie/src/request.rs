// SPDX-License-Identifier: MIT OR Apache-2.0
//! Interception requests, timers, and the host's own interruptions.

use crate::Test;
use crate::fuzz::Rng;
use crate::guest::{CODE, Guest, HANDLER, PSW_EXT, PSW_IO, PSW_MASK, PSW_WAIT};
use crate::insn;
use crate::report::{Failure, expect};
use crate::sd::{CPUSTAT_EXT_INT, CPUSTAT_IO_INT, CPUSTAT_STOP_INT, CPUSTAT_ZARCH, ECA_CEI};
use crate::second;

/// The tests.
pub const TESTS: &[Test] = &[
    ("wait_state", wait_state),
    ("requests_on_entry", requests_on_entry),
    ("clock_comparator", clock_comparator),
    ("timer_interpreted", timer_interpreted),
    ("timer_put_off", timer_put_off),
    ("cpu_timer", cpu_timer),
    ("epoch", epoch),
    ("host_interruption", host_interruption),
    ("host_timer_put_off", host_timer_put_off),
    ("request_from_other_cpu", request_from_other_cpu),
    ("requests_race_with_entry", requests_race_with_entry),
    ("request_before_halt", request_before_halt),
    ("orders_while_tables_change", orders_while_tables_change),
    ("stop_while_guest_runs", stop_while_guest_runs),
];

/// BRC to itself
const LOOP: [u16; 2] = [0xa7f4, 0x0000];
/// A millisecond in TOD units.
const MILLISECOND: u64 = 4_096_000;

const LC_EXT_CODE: usize = 0x86;
const LC_EXT_OLD: usize = 0x130;
const LC_EXT_NEW: usize = 0x1b0;

fn wait_state(guest: &mut Guest) -> Result<(), Failure> {
    guest.sd().psw_mask = PSW_MASK | PSW_WAIT;
    guest.run_to(0x1c)?;
    expect("PSW unchanged", guest.sd().psw_addr, CODE)
}

fn requests_on_entry(guest: &mut Guest) -> Result<(), Failure> {
    for (flag, enabled, code) in [
        (CPUSTAT_EXT_INT, PSW_EXT, 0x10),
        (CPUSTAT_IO_INT, PSW_IO, 0x18),
    ] {
        guest.sd().cpuflags = CPUSTAT_ZARCH | flag;
        guest.sd().psw_addr = CODE;
        guest.sd().psw_mask = PSW_MASK;
        guest.program(&[]);
        guest.run_to_end(0)?;
        guest.sd().psw_mask = PSW_MASK | enabled;
        guest.run_to(code)?;
    }
    guest.sd().cpuflags = CPUSTAT_ZARCH | CPUSTAT_STOP_INT;
    guest.run_to(0x28)?;
    expect(
        "the machine leaves cpuflags alone",
        guest.sd().cpuflags,
        CPUSTAT_ZARCH | CPUSTAT_STOP_INT,
    )
}

/// Runs a loop until the enabled timer `eic` is due.
fn timer(guest: &mut Guest, subclass: u64, eic: u64) -> Result<(), Failure> {
    guest.put_code(CODE, &LOOP);
    guest.sd().psw_mask = PSW_MASK | PSW_EXT;
    guest.sd().gcr[0] |= subclass;
    guest.run_to(0x14)?;
    expect("code", guest.sd().param & 0xffff, eic)?;
    expect("PSW at the instruction", guest.sd().psw_addr, CODE)
}

fn clock_comparator(guest: &mut Guest) -> Result<(), Failure> {
    let due = insn::tod() + 2 * MILLISECOND;
    guest.sd().ckc = due;
    timer(guest, 0x800, 0x1004)?;
    expect("not before it is due", insn::tod() > due, true)
}

/// Conditional external interception: the guest's timers interrupt the guest.
fn timer_interpreted(guest: &mut Guest) -> Result<(), Failure> {
    for (subclass, code) in [(0x800, 0x1004u64), (0x400, 0x1005)] {
        guest.reset();
        guest.put_u64(LC_EXT_NEW, PSW_MASK);
        guest.put_u64(LC_EXT_NEW + 8, HANDLER);
        guest.put_code(CODE, &LOOP);
        guest.sd().eca = ECA_CEI;
        guest.sd().psw_mask = PSW_MASK | PSW_EXT;
        guest.sd().gcr[0] |= subclass;
        match subclass {
            0x800 => guest.sd().ckc = insn::tod() + 2 * MILLISECOND,
            _ => guest.sd().cputm = 2 * MILLISECOND,
        }
        guest.run_to(4)?;
        expect("in the handler", guest.sd().psw_addr, HANDLER + 4)?;
        expect("code", guest.get_u64(LC_EXT_CODE - 6) & 0xffff, code)?;
        expect("old mask", guest.get_u64(LC_EXT_OLD), PSW_MASK | PSW_EXT)?;
        expect("old address", guest.get_u64(LC_EXT_OLD + 8), CODE)?;
    }
    // a request comes first
    guest.sd().psw_addr = CODE;
    guest.sd().psw_mask = PSW_MASK | PSW_EXT;
    guest.sd().cpuflags |= CPUSTAT_EXT_INT;
    guest.run_to(0x10)
}

/// A guest that sets its clock comparator for later before the interruption.
fn timer_put_off(guest: &mut Guest) -> Result<(), Failure> {
    let due = insn::tod() + 20 * MILLISECOND;
    guest.put_u64(0x500, due);
    // SCKC 0x500, STOSM 0x510,1: external interruptions, and the loop
    guest.put_code(CODE, &[0xb206, 0x0500, 0xad01, 0x0510, LOOP[0], LOOP[1]]);
    guest.sd().ckc = insn::tod() + 2 * MILLISECOND;
    guest.sd().gcr[0] |= 0x800;
    guest.run_to(0x14)?;
    expect("in the loop", guest.sd().psw_addr, CODE + 8)?;
    expect("not before it is due", insn::tod() > due, true)
}

fn cpu_timer(guest: &mut Guest) -> Result<(), Failure> {
    guest.sd().cputm = 2 * MILLISECOND;
    timer(guest, 0x400, 0x1005)?;
    expect("negative", (guest.sd().cputm as i64) < 0, true)?;
    // it is still negative, so again at once
    timer(guest, 0x400, 0x1005)
}

fn epoch(guest: &mut Guest) -> Result<(), Failure> {
    let epoch = 1 << 56;
    guest.sd().epoch = epoch;
    guest.program(&[0xb27c, 0x0500]);
    let before = insn::tod() + epoch;
    guest.run_to_end(2)?;
    let seen = guest.get_u64(0x500);
    let after = insn::tod() + epoch;
    expect(
        "guest TOD is host TOD plus epoch",
        before <= seen && seen <= after,
        true,
    )
}

fn host_interruption(guest: &mut Guest) -> Result<(), Failure> {
    guest.put_code(CODE, &LOOP);
    insn::set_clock_comparator(insn::tod() + 2 * MILLISECOND);
    let ended = guest.run();
    insn::set_clock_comparator(u64::MAX);
    expect("host's external interruption", ended, 0x1004u64 << 32)?;
    expect("no interception", guest.sd().icptcode, 0u8)?;
    expect("PSW in the loop", guest.sd().psw_addr, CODE)?;
    // SIE again resumes the guest
    guest.program(&[]);
    guest.run_to_end(0)
}

/// The host's clock comparator, set for later, and for sooner, before it is due.
fn host_timer_put_off(guest: &mut Guest) -> Result<(), Failure> {
    guest.put_code(CODE, &LOOP);
    for (first, then, latest) in [(2, 20, u64::MAX), (100_000, 2, 50_000)] {
        let now = insn::tod();
        let at = |milliseconds: u64| now.saturating_add(milliseconds.saturating_mul(MILLISECOND));
        insn::set_clock_comparator(at(first));
        insn::set_clock_comparator(at(then));
        let ended = guest.run();
        let end = insn::tod();
        insn::set_clock_comparator(u64::MAX);
        expect("host's external interruption", ended, 0x1004u64 << 32)?;
        expect("when it is due", at(then) < end && end < at(latest), true)?;
    }
    Ok(())
}

fn request_from_other_cpu(guest: &mut Guest) -> Result<(), Failure> {
    // the guest never leaves a chain of two blocks by itself
    guest.put_code(CODE, &[0xa7f4, 0x0002, 0xa7f4, 0xfffe]);
    let started = second::request(guest.sd_address(), 5000, CPUSTAT_STOP_INT);
    expect("SIGP restart", started, 0u8)?;
    guest.run_to(0x28)?;
    let at = guest.sd().psw_addr;
    expect("PSW in the loop", at == CODE || at == CODE + 4, true)
}

/// A request at any time around the entry is noticed, however it is stored.
fn requests_race_with_entry(guest: &mut Guest) -> Result<(), Failure> {
    let mut rng = Rng::new(1);
    // CPUs may have to wait for each other's turn
    let end = insn::tod() + 500 * MILLISECOND;
    guest.put_code(CODE, &LOOP);
    expect(
        "SIGP restart",
        second::stop_requests(guest.sd_address()),
        0u8,
    )?;
    for round in 1..=20_000 {
        guest.sd().cpuflags = CPUSTAT_ZARCH;
        guest.sd().psw_addr = CODE;
        second::next_stop_request(round);
        second::dawdle(&mut rng);
        guest.run_to(0x28)?;
        if insn::tod() > end {
            break;
        }
    }
    expect("SIGP stop", second::stop(), true)
}

/// A request is noticed even if nothing else is done behind it.
fn request_before_halt(guest: &mut Guest) -> Result<(), Failure> {
    guest.put_code(CODE, &LOOP);
    for _ in 0..20 {
        guest.sd().cpuflags = CPUSTAT_ZARCH;
        let started = second::stop_request_and_halt(guest.sd_address());
        expect("SIGP restart", started, 0u8)?;
        guest.sd().psw_addr = CODE;
        guest.run_to(0x28)?;
    }
    Ok(())
}

fn orders_while_tables_change(guest: &mut Guest) -> Result<(), Failure> {
    // an order waits for the other CPU to take it, and a change of tables for
    // all CPUs to notice: neither may wait for the other
    for _ in 0..300 {
        expect("SIGP restart", second::invalidate(guest.page_table()), 0u8)?;
        expect("SIGP stop", second::sigp(second::STOP), 0u8)?;
    }
    Ok(())
}

/// Some microseconds.
fn delay(microseconds: u64) {
    let end = insn::tod() + microseconds * 4096;
    while insn::tod() < end {}
}

fn stop_while_guest_runs(guest: &mut Guest) -> Result<(), Failure> {
    guest.put_code(CODE, &LOOP);
    guest.sd().psw_addr = CODE;
    expect("SIGP restart", second::run_guest(guest.sd_address()), 0u8)?;
    for round in 0..20 {
        delay(100 * round);
        expect("SIGP stop", second::stop(), true)?;
        // a stopped CPU has left the guest without an interception
        expect("icptcode", guest.sd().icptcode, 0u8)?;
        expect("PSW in the loop", guest.sd().psw_addr, CODE)?;
        expect(
            "SIE has not ended",
            second::ended() == second::RUNNING,
            true,
        )?;
        expect("SIGP start", second::sigp(second::START), 0u8)?;
    }
    insn::request(guest.sd_address() as usize, CPUSTAT_STOP_INT);
    while second::ended() == second::RUNNING {}
    expect("interception", guest.sd().icptcode, 0x28u8)?;
    expect("SIGP stop", second::stop(), true)?;

    guest.sd().cpuflags = CPUSTAT_ZARCH;
    guest.sd().icptcode = 0;
    expect("SIGP restart", second::run_guest(guest.sd_address()), 0u8)?;
    delay(2000);
    expect("reset", second::stop_by(second::CPU_RESET), true)?;
    expect("PSW in the loop", guest.sd().psw_addr, CODE)
}
