// SPDX-License-Identifier: MIT OR Apache-2.0
//! What the harness asks of a Linux that hosts guests: commands, files and the
//! kernel's log, over any stream.
//!
//! In L1 the stream is a virtio-serial port, and `main.rs` runs this under its
//! own init. On a host of the user's own it is a socket inside one process.

#![forbid(unsafe_code)]

mod agent;
mod exec;
mod files;
mod kmsg;

pub use agent::{Log, serve};
pub use exec::PATH;
