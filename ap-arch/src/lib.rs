// SPDX-License-Identifier: MIT OR Apache-2.0
//! The adjunct processor (AP) architecture: identifiers, masks and layouts,
//! each defined once for the device model, the driver, the VMM and the probes.
//!
//! Everything lives below [`types`], whose `mod.rs` is a root of its own: the
//! kernel build has no Cargo and includes that file by `#[path]`. So nothing
//! below it names `crate::`, uses anything but `core`, or needs an edition
//! newer than the kernel's (2021).
#![no_std]
#![forbid(unsafe_code)]

pub mod types;

pub use types::*;
