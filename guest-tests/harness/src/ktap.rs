// SPDX-License-Identifier: MIT OR Apache-2.0
//! Results as KTAP, the kernel's test protocol (Documentation/dev-tools/ktap.rst
//! of Linux), on standard output.

/// One KTAP document of a known number of tests. It is complete when every
/// test has its line: a reader counts missing ones as failed.
#[derive(Debug)]
pub struct Ktap {
    done: usize,
    failed: usize,
}

impl Ktap {
    /// Print the header and the plan.
    pub fn begin(tests: usize) -> Self {
        println!("KTAP version 1\n1..{tests}");
        Self { done: 0, failed: 0 }
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
        println!("{word} {} {name}", self.done);
    }

    /// Print a line that readers show, but do not interpret.
    pub fn note(&self, text: &str) {
        for line in text.lines() {
            println!("# {line}");
        }
    }

    /// Give up: the tests without a line were not run.
    pub fn bail_out(&self, why: &str) {
        let why = why.lines().next().unwrap_or_default();
        println!("Bail out! {why}");
    }

    /// Print the totals.
    pub fn end(self) {
        let passed = self.done - self.failed;
        println!("# Totals: pass:{passed} fail:{} skip:0", self.failed);
    }
}
