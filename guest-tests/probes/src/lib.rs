// SPDX-License-Identifier: MIT OR Apache-2.0
//! The parts of the probes that need no machine: options, commands, RSA,
//! report lines, and what answers to expect. They are tested on any host.
#![no_std]
#![forbid(unsafe_code)]

pub mod command;
pub mod expect;
pub mod json;
pub mod options;
pub mod rsa;
