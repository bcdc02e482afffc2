// SPDX-License-Identifier: MIT OR Apache-2.0
//! A host without an operating system that runs guests under SIE and checks
//! one rule of interpretive execution in each test. It prints KTAP.
//!
//! With `fuzz=SEED,ROUNDS` on the command line it runs random guests instead,
//! with `host` only the tests that need no SIE, with `only=PREFIX` those whose
//! names begin so, with `count` what is to be counted, with `reset` a guest until the
//! machine is reset, and with `crash` it crashes.
//!
//! `run.sh QEMU` runs it: it wants two CPUs, `-cpu max,sief2=on,edat=on`, and AP.
#![no_std]
#![no_main]

mod ap;
mod controls;
mod counted;
mod frame;
mod fuzz;
mod guest;
mod host;
mod insn;
mod intercept;
mod interlock;
mod isolation;
mod moves;
mod program;
mod report;
mod request;
mod reset;
mod sd;
mod second;
mod storage;
mod translation;
mod validity;

use guest::Guest;
use report::{Failure, Report};

/// A test.
pub type Test = (&'static str, fn(&mut Guest) -> Result<(), Failure>);

/// Called by the start-up code.
#[unsafe(no_mangle)]
extern "C" fn sie_host_main() -> ! {
    let all = [
        host::TESTS,
        validity::TESTS,
        intercept::TESTS,
        controls::TESTS,
        interlock::TESTS,
        program::TESTS,
        storage::TESTS,
        moves::TESTS,
        ap::TESTS,
        translation::TESTS,
        frame::TESTS,
        request::TESTS,
        isolation::TESTS,
    ];
    let line = insn::command_line();
    let groups = match line.trim_ascii() {
        b"crash" => insn::crash(),
        b"host" => &all[..1],
        b"count" => &[counted::TESTS],
        _ => &all[..],
    };
    let fuzz = fuzz::Options::parse(line);
    let prefix = word(line, "only=").unwrap_or_default();
    let wanted = |test: &&Test| test.0.starts_with(prefix);
    if let Some((sccb, storage)) = insn::take_storage() {
        if line.trim_ascii() == b"reset" {
            reset::run(&mut Report::start(sccb, 2), storage);
        }
        if let Some(options) = fuzz {
            let mut report = Report::start(sccb, 1);
            fuzz::run(&mut report, &mut Guest::new(storage), &options);
            insn::power_off()
        }
        let tests = || groups.iter().copied().flatten().filter(wanted);
        let mut report = Report::start(sccb, tests().count());
        let mut guest = Guest::new(storage);
        for (name, test) in tests() {
            guest.reset();
            let result = test(&mut guest);
            report.verdict(name, result);
        }
    }
    insn::power_off()
}

/// What follows `name` on the command line, up to the next space.
pub fn word<'a>(line: &'a [u8], name: &str) -> Option<&'a str> {
    let line = core::str::from_utf8(line).ok()?;
    line.split_whitespace().find_map(|w| w.strip_prefix(name))
}

/// Called by the start-up code on a program interruption that no test expects.
#[unsafe(no_mangle)]
extern "C" fn unexpected_program_check() -> ! {
    insn::power_off()
}

#[panic_handler]
fn panic(_: &core::panic::PanicInfo<'_>) -> ! {
    insn::power_off()
}
