// SPDX-License-Identifier: MIT OR Apache-2.0
//! `include/ap_device.h`, function by function. The header is the contract;
//! what is here only checks, converts and passes on.
//!
//! All unsafe code of the crate is in this folder. It rests on what the header
//! asks of the caller: pointers are valid for what they point to (`ap` from
//! one of the two constructors and not freed), areas have the stated lengths
//! and do not overlap, and one lock is held around all calls on a model, so
//! references made here are unique. A panic cannot unwind into C: functions
//! with the C ABI abort instead.
#![expect(
    clippy::missing_safety_doc,
    reason = "one contract for all, in the header and above"
)]

mod area;
mod config;
mod faults;
mod insn;
mod life;
mod look;

pub use config::*;
pub use faults::*;
pub use insn::*;
pub use life::*;
pub use look::*;
