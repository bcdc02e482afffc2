// SPDX-License-Identifier: MIT OR Apache-2.0
//! Results as KTAP, the kernel's test protocol (Documentation/dev-tools/ktap.rst
//! of Linux), on standard output.

use crate::say;

/// One KTAP document of a known number of tests. It is complete when every
/// test has its line: a reader counts missing ones as failed.
#[derive(Debug)]
pub struct Ktap {
    indent: usize,
    done: usize,
    failed: usize,
    skipped: usize,
}

impl Ktap {
    /// Print the header and the plan.
    pub fn begin(tests: usize) -> Self {
        Self::at(0, tests)
    }

    /// The parts of the test whose result comes next.
    #[must_use]
    pub fn nested(&self, tests: usize) -> Self {
        Self::at(self.indent + 2, tests)
    }

    fn at(indent: usize, tests: usize) -> Self {
        let ktap = Self {
            indent,
            done: 0,
            failed: 0,
            skipped: 0,
        };
        ktap.line("KTAP version 1");
        ktap.line(&format!("1..{tests}"));
        ktap
    }

    fn line(&self, text: &str) {
        say::out(format_args!("{:indent$}{text}", "", indent = self.indent));
    }

    /// Print a test's result; what was seen goes before it, by [`note`](Self::note).
    pub fn result(&mut self, passed: bool, name: &str) {
        self.done += 1;
        if !passed {
            self.failed += 1;
        }
        // A `#` would begin a directive.
        let name = name.replace('#', "");
        let word = if passed { "ok" } else { "not ok" };
        self.line(&format!("{word} {} {name}", self.done));
    }

    /// Print that a test does not apply.
    pub fn skip(&mut self, name: &str, why: &str) {
        self.done += 1;
        self.skipped += 1;
        let name = name.replace('#', "");
        self.line(&format!("ok {} {name} # SKIP {why}", self.done));
    }

    /// Print a line that readers show, but do not interpret.
    pub fn note(&self, text: &str) {
        for line in text.lines() {
            self.line(&format!("# {line}"));
        }
    }

    /// Give up: the tests without a line were not run.
    pub fn bail_out(&self, why: &str) {
        let why = why.lines().next().unwrap_or_default();
        self.line(&format!("Bail out! {why}"));
    }

    /// Print the totals.
    pub fn end(self) {
        let Self {
            failed, skipped, ..
        } = self;
        let passed = self.done - failed - skipped;
        self.line(&format!(
            "# Totals: pass:{passed} fail:{failed} skip:{skipped}"
        ));
    }
}
