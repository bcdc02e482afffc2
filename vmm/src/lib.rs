// SPDX-License-Identifier: MIT OR Apache-2.0
//! apvmm: a small virtual machine monitor for s390x guests with AP
//! pass-through.
//!
//! Modules up to the line are plain computation and build anywhere; the rest
//! talks to KVM and VFIO and exists on s390x only.

pub mod boot;
pub mod cli;
pub mod config;
pub mod devices;
pub mod diag;
pub mod exits;
pub mod program;
