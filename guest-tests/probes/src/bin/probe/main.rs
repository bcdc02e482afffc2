// SPDX-License-Identifier: MIT OR Apache-2.0
//! A guest that boots in milliseconds and tells what AP resources it has.
//!
//! ```text
//!   facilities   STFLE 12, 15, 65; are there AP instructions?
//!   qci          what QCI shows, against `expect=`
//!   tapq         all 65,536 queues: there if in the masks, else RC 01
//!   outside      ZAPQ, NQAP, DQAP beside the masks are refused
//!   reset        ZAPQ in the masks works and leaves an empty queue
//!   rsa          one RSA request through each accelerator, result checked
//!   events       AP-change events, QCI after each
//! ```
//!
//! Told `commands=on`, it then does what it is asked for on its console: `serve`.
//!
//! It prints KTAP, with JSON lines between, and ends with the number of tests
//! that failed as its status. Options: see [`ap_probe::options`].
#![no_std]
#![no_main]

mod ap;
mod console;
mod events;
mod insn;
mod report;
mod serve;

use ap::Facilities;
use ap_arch::Qci;
use ap_probe::options::Options;
use console::Console;
use report::{Report, Verdict};

/// Number of tests in the table above.
const TESTS: u32 = 7;

/// Status of a probe that was told something it does not understand.
const STATUS_BAD_OPTION: u32 = 62;
/// Status of a probe that broke.
const STATUS_BROKEN: u32 = 63;

/// Called by the start-up code.
extern "C" fn probe_main() -> ! {
    let Some([sccb, block]) = insn::take_pages() else {
        insn::power_off()
    };
    let mut report = Report::start(Console::new(sccb), TESTS);
    let line = core::str::from_utf8(insn::boot_line()).unwrap_or("not-utf8=");
    let options = match Options::parse(line) {
        Ok(options) => options,
        Err(word) => {
            report.text(format_args!("Bail out! bad option {}", word.0));
            report.exit(STATUS_BAD_OPTION)
        }
    };
    let (facilities, there) = ap::test_facilities(&mut report, &options);
    let qci = if there {
        ap::test_query(&mut report, &options)
    } else {
        report.verdict("qci", Verdict::Skip("no AP instructions"));
        None
    };
    match &qci {
        Some(qci) => test_queues(&mut report, &options, facilities, qci),
        None => skip(&mut report, &["tapq", "outside", "reset", "rsa"], "no QCI"),
    }
    if options.round_trips > 0 {
        tell_round_trips(&mut report, options.round_trips, block);
    }
    events::test_events(&mut report, &options, facilities, qci, block);
    report.summary();
    if options.commands {
        serve::serve(&mut report, facilities, qci, block);
    }
    report.end()
}

fn test_queues(report: &mut Report, options: &Options, facilities: Facilities, qci: &Qci) {
    ap::test_sweep(report, facilities, qci);
    if options.crypto {
        ap::test_outside(report, qci);
        ap::test_reset(report, facilities, qci);
        ap::test_rsa(report, facilities, qci);
    } else {
        skip(report, &["outside", "reset", "rsa"], "crypto=off");
    }
}

/// What so many exits take, those that the VMM answers and those that end in
/// KVM.
fn tell_round_trips(report: &mut Report, count: u32, block: &mut insn::Page) {
    let start = report::now();
    let to_vmm = (0..count).try_for_each(|_| insn::store_load_parameters(block));
    let middle = report::now();
    let to_kvm = (0..count).try_for_each(|_| insn::end_time_slice());
    let end = report::now();
    report.json(|o| {
        o.string("op", "round-trips")?;
        o.raw("count", count)?;
        o.raw("vmm-ns", if to_vmm.is_ok() { middle - start } else { 0 })?;
        o.raw("kvm-ns", if to_kvm.is_ok() { end - middle } else { 0 })
    });
}

fn skip(report: &mut Report, names: &[&str], why: &'static str) {
    for name in names {
        report.verdict(name, Verdict::Skip(why));
    }
}

/// Called by the start-up code on a program interruption that no instruction
/// is known to cause. The console may be in use, so the VMM is told.
extern "C" fn program_check() -> ! {
    let (code, address) = insn::last_program_check();
    let _ = insn::hypercall(report::SUBCODE_EXIT, STATUS_BROKEN.into(), 0);
    insn::crash(code, address)
}

#[panic_handler]
fn panic(_: &core::panic::PanicInfo<'_>) -> ! {
    let _ = insn::hypercall(report::SUBCODE_EXIT, STATUS_BROKEN.into(), 0);
    insn::crash(0, 0)
}
