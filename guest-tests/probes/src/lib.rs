// SPDX-License-Identifier: MIT OR Apache-2.0
//! The parts of the bare-metal probe that need no machine: options, RSA,
//! report lines, and what answers to expect. They are tested on any host.
#![no_std]
#![forbid(unsafe_code)]

pub mod expect;
pub mod json;
pub mod options;
pub mod rsa;
