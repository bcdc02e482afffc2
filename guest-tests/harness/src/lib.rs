// SPDX-License-Identifier: MIT OR Apache-2.0
//! Boots L1, the emulated mainframe that hosts the guests, and drives it.
//!
//! ```text
//! test or ./l1 ─▶ Machine ─┬─ QEMU process: console.log, qemu.log
//!                          ├─ QMP: commands, events (qmp.log)
//!                          └─ agent in L1: commands, files, kernel.log
//! ```
//!
//! Everything waits on events with a deadline; nothing sleeps or retries. A
//! failure says what it is (a deadline, a kernel's complaint, a QEMU that
//! died) and where the logs are.

#![forbid(unsafe_code)]

pub mod ap;
pub mod audit;
pub mod bench;
pub mod client;
pub mod config;
pub mod demo;
pub mod driver_bench;
pub mod error;
pub mod evidence;
pub mod guest;
pub mod host;
pub mod keep;
pub mod klog;
pub mod ktap;
pub mod machine;
pub mod mdev;
mod qemu;
pub mod qmp;
pub mod say;
pub mod scenario;
pub mod terminal;
pub mod vfio;
pub mod vm;

pub use config::{Config, Driver, Flavour};
pub use error::Error;
pub use l1_protocol::Exit;
pub use machine::{Machine, Output};
