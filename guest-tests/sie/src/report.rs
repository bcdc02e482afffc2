// SPDX-License-Identifier: MIT OR Apache-2.0
//! KTAP on the VT220 console of the service-call processor.
//!
//! Source: Linux `drivers/s390/char/sclp_early_core.c`.

use crate::insn;
use core::fmt::{self, Write};

const WRITE_EVENT_DATA: u32 = 0x0076_0005;
const VT220: u8 = 0x1a;
const HEADERS: usize = 8 + 6;

/// Output and the count of tests.
pub struct Report {
    sccb: &'static mut [u8; 4096],
    number: u32,
}

impl Report {
    /// Prints the plan.
    pub fn start(sccb: &'static mut [u8; 4096], tests: usize) -> Self {
        let mut report = Self { sccb, number: 0 };
        report.line(format_args!("KTAP version 1\n1..{tests}"));
        report
    }

    /// Prints a line.
    pub fn line(&mut self, text: fmt::Arguments<'_>) {
        let mut line = Line {
            bytes: [0; 200],
            len: 0,
        };
        let _ = writeln!(line, "{text}");
        let block = &mut *self.sccb;
        block[..HEADERS].fill(0);
        let event = (6 + line.len) as u16;
        block[..2].copy_from_slice(&(8 + event).to_be_bytes());
        block[8..10].copy_from_slice(&event.to_be_bytes());
        block[10] = VT220;
        block[HEADERS..HEADERS + line.len].copy_from_slice(&line.bytes[..line.len]);
        while insn::servc(WRITE_EVENT_DATA, block) == 2 {}
        insn::wait();
    }

    /// Prints the result of a test.
    pub fn verdict(&mut self, name: &str, result: Result<(), Failure>) {
        self.number += 1;
        let n = self.number;
        match result {
            Ok(()) => self.line(format_args!("ok {n} {name}")),
            Err(f) => {
                self.line(format_args!(
                    "# {}: {:#x}, not {:#x}",
                    f.what, f.got, f.want
                ));
                self.line(format_args!("not ok {n} {name}"));
            }
        }
    }
}

/// Something is not as it should be.
pub struct Failure {
    /// What it is.
    pub what: &'static str,
    /// What it is like.
    pub got: u64,
    /// What it should be like.
    pub want: u64,
}

/// Compares.
pub fn expect(
    what: &'static str,
    got: impl Into<u64>,
    want: impl Into<u64>,
) -> Result<(), Failure> {
    let (got, want) = (got.into(), want.into());
    if got == want {
        Ok(())
    } else {
        Err(Failure { what, got, want })
    }
}

struct Line {
    bytes: [u8; 200],
    len: usize,
}

impl Write for Line {
    fn write_str(&mut self, s: &str) -> fmt::Result {
        let n = s.len().min(self.bytes.len() - self.len);
        self.bytes[self.len..self.len + n].copy_from_slice(&s.as_bytes()[..n]);
        self.len += n;
        Ok(())
    }
}
