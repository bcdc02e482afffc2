// SPDX-License-Identifier: MIT OR Apache-2.0
//! The decisions of the `vfio_ap` driver: who may have which AP queue, when a
//! queue must be reset, and which masks a guest gets.
//!
//! There is no kernel, no lock, no clock and no allocation in here, so that the
//! whole of it runs, and is tested, anywhere. The kernel build has no Cargo: it
//! includes `rules/mod.rs` by `#[path]` and provides `crate::ap_arch` as a
//! module; this root provides the same name as a crate.
#![cfg_attr(not(test), no_std)]
#![forbid(unsafe_code)]

extern crate ap_arch;

pub mod rules;

pub use rules::*;

#[cfg(test)]
mod tests;
