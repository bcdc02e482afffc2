// SPDX-License-Identifier: MIT OR Apache-2.0
//! KTAP and JSON lines on the console, each written as a whole.

use crate::bus::{self, Masks};
use ap_probe::json::Object;
use std::fmt;
use std::io::Write;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::{SystemTime, UNIX_EPOCH};

/// The report; threads share it.
#[derive(Default)]
pub struct Report(Mutex<Counts>);

#[derive(Default)]
struct Counts {
    tests: u32,
    failures: u32,
    reports: u32,
}

impl Report {
    fn counts(&self) -> MutexGuard<'_, Counts> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// A line of text.
    pub fn text(&self, text: &str) {
        let line = format!("{text}\n");
        // A console that fails leaves nobody to tell.
        let _ = std::io::stdout().lock().write_all(line.as_bytes());
        let _ = std::io::stdout().lock().flush();
    }

    /// A JSON object: when, what it is about, and what `fill` adds.
    pub fn json(&self, op: &str, fill: impl FnOnce(&mut Object<'_, String>) -> fmt::Result) {
        let now = SystemTime::now()
            .duration_since(UNIX_EPOCH)
            .unwrap_or_default();
        let mut line = String::new();
        let written = Object::start(&mut line).and_then(|mut o| {
            o.raw("ns", now.as_nanos())?;
            o.string("op", op)?;
            fill(&mut o)?;
            o.end()
        });
        // Text in memory takes everything.
        if written.is_ok() {
            self.text(&line);
        }
    }

    /// The answer to a command.
    pub fn answer(
        &self,
        op: &str,
        id: u32,
        fill: impl FnOnce(&mut Object<'_, String>) -> fmt::Result,
    ) {
        self.json(op, |o| {
            o.raw("id", id)?;
            fill(o)
        });
    }

    /// The masks, and why they are told.
    pub fn masks(&self, why: &str, id: Option<u32>, masks: &Masks) {
        let seq = {
            let mut counts = self.counts();
            counts.reports += 1;
            counts.reports - 1
        };
        self.json("QCI", |o| {
            o.raw("seq", seq)?;
            o.string("why", why)?;
            if let Some(id) = id {
                o.raw("id", id)?;
            }
            o.string("apm", &masks.apm)?;
            o.string("aqm", &masks.aqm)?;
            o.string("adm", &masks.adm)?;
            o.string("features", &masks.features)
        });
    }

    /// What sysfs has of every card and queue; each has some of these.
    pub fn devices(&self) {
        const ATTRIBUTES: [&str; 10] = [
            "type",
            "hwtype",
            "raw_hwtype",
            "ap_functions",
            "online",
            "config",
            "chkstop",
            "interrupt",
            "reset",
            "request_count",
        ];
        for name in bus::devices() {
            self.json("device", |o| {
                o.string("name", &name)?;
                o.string("driver", bus::driver(&name).unwrap_or_default())?;
                for attribute in ATTRIBUTES {
                    if let Some(text) = bus::device(&name, attribute) {
                        o.string(attribute, text)?;
                    }
                }
                Ok(())
            });
        }
    }

    /// The result of a test.
    pub fn verdict(&self, name: &str, result: Result<(), String>) {
        let number = self.next(result.is_err());
        match result {
            Ok(()) => self.text(&format!("ok {number} {name}")),
            Err(why) => self.text(&format!("not ok {number} {name} # {why}")),
        }
    }

    /// A test that does not apply.
    pub fn skip(&self, name: &str, why: &str) {
        let number = self.next(false);
        self.text(&format!("ok {number} {name} # SKIP {why}"));
    }

    fn next(&self, failed: bool) -> u32 {
        let mut counts = self.counts();
        counts.tests += 1;
        counts.failures += u32::from(failed);
        counts.tests
    }

    /// Sums the tests up.
    pub fn summary(&self) {
        let (tests, failures) = {
            let counts = self.counts();
            (counts.tests, counts.failures)
        };
        self.json("summary", |o| {
            o.object("summary", |o| {
                o.raw("tests", tests)?;
                o.raw("failures", failures)
            })
        });
    }
}
