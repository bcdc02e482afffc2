// SPDX-License-Identifier: MIT OR Apache-2.0
//! What adapters compute: a request in, a reply out.
//!
//! Requests are whatever a program sent, so an engine takes any bytes and
//! answers each with a reply, an error reply if need be; a request without a
//! reply would hang its sender.

mod accelerator;
mod coprocessor;
pub mod error;
mod rsa;
mod type50;

use ap_arch::Apqn;

use crate::Mode;

/// A request as it came from NQAP.
#[derive(Clone, Copy, Debug)]
pub struct Request<'a> {
    /// Where it came in; the domain selects the secrets of a coprocessor.
    pub apqn: Apqn,
    /// Whether it is a special command.
    pub special: bool,
    /// The message.
    pub bytes: &'a [u8],
}

/// The personality of an adapter.
pub trait Engine {
    /// The reply to a request. Never empty.
    fn process(&mut self, request: Request<'_>) -> Vec<u8>;
}

/// The engine of an adapter in the given mode.
pub fn for_mode(mode: Mode) -> Box<dyn Engine> {
    match mode {
        Mode::Accelerator => Box::new(accelerator::Accelerator),
        Mode::Cca | Mode::Ep11 => Box::new(coprocessor::Coprocessor),
    }
}
