// SPDX-License-Identifier: MIT OR Apache-2.0
//! apvmm: a small virtual machine monitor for s390x guests with AP
//! pass-through.
//!
//! ```text
//!   cli, config      what the user wants
//!   machine          builds and resets it: kvm, boot, cpu_model, ap
//!   vcpu, cpus       run it: exits -> instruction -> devices, diag, sigp
//!   event_loop, api  acts on it from outside: signals, AP changes, requests
//!   report, outcome  says what happened
//! ```
//!
//! What is plain computation builds and is tested anywhere; what talks to KVM
//! and VFIO exists on s390x only. Unsafe code is in `kvm` alone.

pub mod ap;
pub mod api;
pub mod boot;
pub mod cli;
pub mod config;
pub mod console;
pub mod cpu_model;
pub mod cpus;
pub mod ctl;
pub mod devices;
pub mod diag;
pub mod exits;
pub mod instruction;
pub mod outcome;
pub mod program;
pub mod report;
pub mod reset;
pub mod sandbox;
pub mod shared;
pub mod sigp;
pub mod stderr;

#[cfg(target_arch = "s390x")]
pub mod event_loop;
#[cfg(target_arch = "s390x")]
pub mod kvm;
#[cfg(target_arch = "s390x")]
pub mod machine;
#[cfg(target_arch = "s390x")]
pub mod run;
#[cfg(target_arch = "s390x")]
pub mod vcpu;

/// An error with its causes, in one line.
pub fn chain(error: &dyn std::error::Error) -> String {
    let mut text = error.to_string();
    let mut cause = error.source();
    while let Some(error) = cause {
        text.push_str(": ");
        text.push_str(&error.to_string());
        cause = error.source();
    }
    text
}
