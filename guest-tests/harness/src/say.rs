// SPDX-License-Identifier: MIT OR Apache-2.0
//! Lines for whoever listens. A terminal that was closed, or the end of a pipe,
//! must not end what is being done, nor what is being undone, as `println!` would.

use std::fmt::Display;
use std::io::{Write, stderr, stdout};

/// A line on standard output.
pub fn out(line: impl Display) {
    let _ = writeln!(stdout().lock(), "{line}");
}

/// A line on standard error.
pub fn err(line: impl Display) {
    let _ = writeln!(stderr().lock(), "{line}");
}
