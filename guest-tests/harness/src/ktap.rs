// SPDX-License-Identifier: MIT OR Apache-2.0
//! KTAP, the kernel's test anything protocol (Documentation/dev-tools/ktap.rst).

use std::fmt::Display;

/// One running list of results on standard output.
#[derive(Debug, Default)]
pub struct Ktap {
    results: usize,
    failed: usize,
}

impl Ktap {
    /// Begin a list.
    pub fn begin() -> Self {
        println!("KTAP version 1");
        Self::default()
    }

    /// Record one result; the reason of a failure follows as a comment.
    pub fn result<E: Display>(&mut self, name: &str, result: Result<(), E>) {
        self.results += 1;
        match result {
            Ok(()) => println!("ok {} {name}", self.results),
            Err(why) => {
                self.failed += 1;
                for line in why.to_string().lines() {
                    println!("# {line}");
                }
                println!("not ok {} {name}", self.results);
            }
        }
    }

    /// End the list.
    ///
    /// # Errors
    /// Says how many failed, or that there was nothing to fail.
    pub fn end(self) -> Result<(), String> {
        println!("1..{}", self.results);
        match (self.results, self.failed) {
            (0, _) => Err("no result was recorded".to_owned()),
            (_, 0) => Ok(()),
            (all, failed) => Err(format!("{failed} of {all} failed")),
        }
    }
}
