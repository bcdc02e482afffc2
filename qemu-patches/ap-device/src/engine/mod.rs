// SPDX-License-Identifier: MIT OR Apache-2.0
//! What adapters compute: a request in, a reply out.
//!
//! ```text
//!   accelerator   type50 ---> rsa ---> type 80
//!   cca           type6 ----> cprbx: random numbers, facility query, rsa
//!   ep11          type6 ----> cprb: module and domain information
//! ```
//!
//! Requests are whatever a program sent, so an engine takes any bytes and
//! answers each with a reply, an error reply if need be; a request without a
//! reply would hang its sender.

mod accelerator;
mod cca;
mod ep11;
pub mod error;
mod fields;
mod identity;
mod rsa;
mod type50;
mod type6;

use ap_arch::{Adm, Apqi, Apqn};

use crate::Mode;

pub use identity::Identity;

/// A request as it came from NQAP.
#[derive(Clone, Copy, Debug)]
pub struct Request<'a> {
    /// Where it came in; the domain selects the secrets of a coprocessor.
    pub apqn: Apqn,
    /// What domains its issuer may control.
    pub control: Adm,
    /// The message.
    pub bytes: &'a [u8],
}

impl Request<'_> {
    /// Whether it may be for this domain: the one it came in by or, if it is
    /// to administer, one of the control domains.
    ///
    /// On real machines hardware or firmware checks this; the code of the
    /// error reply, [`error::INVALID_DOMAIN`], is what Linux has a name for.
    fn may_address(&self, domain: u32, administers: bool) -> bool {
        let Ok(domain) = u8::try_from(domain) else {
            return false;
        };
        let domain = Apqi::new(domain);
        domain == self.apqn.apqi || administers && self.control.test(domain)
    }
}

/// The personality of an adapter.
pub trait Engine {
    /// The reply to a request. Never empty.
    fn process(&mut self, request: Request<'_>) -> Vec<u8>;
}

/// The engine of an adapter in the given mode.
pub fn for_mode(mode: Mode, identity: Identity) -> Box<dyn Engine> {
    match mode {
        Mode::Accelerator => Box::new(accelerator::Accelerator),
        Mode::Cca => Box::new(cca::Cca::new(identity)),
        Mode::Ep11 => Box::new(ep11::Ep11::new(identity)),
    }
}
