// SPDX-License-Identifier: MIT OR Apache-2.0
//! What the probe says: KTAP and JSON lines on the console. JSON lines go to
//! the VMM as well if it takes them (DIAGNOSE 0x500, see apvmm's `diag`), for
//! exact times.

use core::fmt::{self, Write};

use ap_probe::json::Object;

use crate::console::{Console, Input};
use crate::insn;

const SUBCODE_REPORT: u64 = 0x4150_0001;
/// DIAGNOSE 0x500 subcode: end the machine with a status.
pub const SUBCODE_EXIT: u64 = 0x4150_0002;

/// Longest line the VMM takes.
const LINE_MAX: usize = 4096;

/// How a test ended.
pub enum Verdict {
    /// As it should.
    Pass,
    /// Not as it should, so often.
    Fail(u32),
    /// It does not apply.
    Skip(&'static str),
}

impl Verdict {
    /// Pass if nothing was bad.
    pub fn of(bad: u32) -> Self {
        if bad == 0 {
            Self::Pass
        } else {
            Self::Fail(bad)
        }
    }
}

/// A line being put together; what does not fit is lost.
pub struct Line {
    bytes: [u8; LINE_MAX],
    len: usize,
}

impl Write for Line {
    fn write_str(&mut self, text: &str) -> fmt::Result {
        let rest = &mut self.bytes[self.len..];
        let part = text.as_bytes().get(..rest.len()).unwrap_or(text.as_bytes());
        rest[..part.len()].copy_from_slice(part);
        self.len += part.len();
        Ok(())
    }
}

/// The report.
pub struct Report {
    console: Console,
    line: Line,
    vmm_listens: bool,
    tests: u32,
    failures: u32,
}

impl Report {
    /// Starts a report of so many tests.
    pub fn start(console: Console, plan: u32) -> Self {
        let mut report = Self {
            console,
            line: Line {
                bytes: [0; LINE_MAX],
                len: 0,
            },
            vmm_listens: true,
            tests: 0,
            failures: 0,
        };
        report.text(format_args!("KTAP version 1\n1..{plan}"));
        report
    }

    /// From now on the console takes input.
    pub fn listen(&mut self) {
        self.console.listen();
    }

    /// Fetches what came in.
    pub fn read(&mut self, take: impl FnMut(Input<'_>)) {
        self.console.read(take);
    }

    /// A line of text.
    pub fn text(&mut self, text: fmt::Arguments<'_>) {
        self.line.len = 0;
        // Line never fails
        let _ = self.line.write_fmt(text);
        self.print();
    }

    /// A JSON object: when, and what `fill` adds.
    pub fn json(&mut self, fill: impl FnOnce(&mut Object<'_, Line>) -> fmt::Result) {
        self.line.len = 0;
        let _ = self.fill(fill);
        if self.vmm_listens {
            let address = self.line.bytes.as_ptr().expose_provenance() as u64;
            let length = self.line.len as u64;
            self.vmm_listens = insn::hypercall(SUBCODE_REPORT, address, length).is_ok();
        }
        self.print();
    }

    fn fill(&mut self, fill: impl FnOnce(&mut Object<'_, Line>) -> fmt::Result) -> fmt::Result {
        let mut object = Object::start(&mut self.line)?;
        object.raw("ns", now())?;
        fill(&mut object)?;
        object.end()
    }

    fn print(&mut self) {
        let _ = self.line.write_str("\n");
        self.console.print(&self.line.bytes[..self.line.len]);
    }

    /// The result of a test.
    pub fn verdict(&mut self, name: &str, verdict: Verdict) {
        self.tests += 1;
        let number = self.tests;
        match verdict {
            Verdict::Pass => self.text(format_args!("ok {number} {name}")),
            Verdict::Skip(why) => self.text(format_args!("ok {number} {name} # SKIP {why}")),
            Verdict::Fail(count) => {
                self.failures += 1;
                self.text(format_args!("not ok {number} {name} # {count} bad"));
            }
        }
    }

    /// Sums the tests up.
    pub fn summary(&mut self) {
        let (tests, failures) = (self.tests, self.failures);
        self.json(|o| {
            o.object("summary", |o| {
                o.raw("tests", tests)?;
                o.raw("failures", failures)
            })
        });
    }

    /// Ends the machine with the number of tests that failed.
    pub fn end(self) -> ! {
        let failures = self.failures;
        self.exit(failures)
    }

    /// Ends the machine with a status.
    pub fn exit(self, status: u32) -> ! {
        // a VMM that does not know the call sees the wait
        let _ = insn::hypercall(SUBCODE_EXIT, status.into(), 0);
        insn::power_off()
    }
}

/// Nanoseconds of the clock, which starts in 1900.
pub fn now() -> u64 {
    nanoseconds(insn::tod())
}

/// Clock units (1/4096 microsecond) to nanoseconds.
pub fn nanoseconds(units: u64) -> u64 {
    (units >> 9) * 125 + (((units & 0x1ff) * 125) >> 9)
}

/// Clock units in so many milliseconds.
pub fn milliseconds(count: u64) -> u64 {
    count * 4_096_000
}
