// SPDX-License-Identifier: MIT OR Apache-2.0
//! Device model of adjunct processors (AP): adapters, domains, queues,
//! messages, faults and the audit log, for an emulator to execute PQAP, NQAP
//! and DQAP with.
//!
//! Pure: time is injected, there is no I/O, no thread and no global, and the
//! same calls give the same results. An emulator written in C uses
//! `include/ap_device.h`.

pub mod abi;
