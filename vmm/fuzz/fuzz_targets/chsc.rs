// SPDX-License-Identifier: MIT OR Apache-2.0
#![no_main]

#[path = "../run.rs"]
#[expect(dead_code, reason = "shared by the targets")]
mod run;

libfuzzer_sys::fuzz_target!(|data: &[u8]| run::chsc(data));
