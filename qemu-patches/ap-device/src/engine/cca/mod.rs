// SPDX-License-Identifier: MIT OR Apache-2.0
//! The CCA coprocessor: random numbers, facility query, RSA with clear keys.
//!
//! Verbs, by their function codes: `RL` random numbers, `FQ` facility query,
//! `PK` RSA by exponent, `PD` RSA by the Chinese remainder theorem. These are
//! what Linux sends by itself or to compute RSA; every other one is answered
//! as a verb that this adapter does not have.

mod cprbx;
mod facility;
mod key;

use chacha20::ChaCha20Rng;
use chacha20::rand_core::Rng;

use super::identity::Identity;
use super::{Engine, Request, error, type6};
use cprbx::{Cprbx, Failure, Output};

const AGENT: &[u8; 2] = b"CA";

/// Most random numbers that one request gets, in bytes.
const RANDOM_MAX: usize = 4096;

/// A CCA coprocessor.
pub(super) struct Cca {
    identity: Identity,
    random: ChaCha20Rng,
}

impl Cca {
    pub(super) fn new(identity: Identity) -> Self {
        Self {
            random: identity.random(),
            identity,
        }
    }

    /// The reply, or the code of the error reply.
    fn answer(&mut self, request: Request<'_>) -> Result<Vec<u8>, u8> {
        let message = type6::parse(request.bytes, AGENT)?;
        let cprbx = Cprbx::parse(message.control).ok_or(error::MALFORMED)?;
        if !request.may_address(cprbx.domain.into(), cprbx.administers()) {
            return Err(error::INVALID_DOMAIN);
        }
        let output = match cprbx.function {
            b"RL" => self.random(&cprbx, message.data_room),
            b"FQ" => facility::query(&self.identity, request.apqn.apqi, &cprbx),
            b"PK" => key::mod_exp(&cprbx),
            b"PD" => key::crt(&cprbx),
            _ => Err(Failure::RULES),
        };
        let (control, data) = cprbx.reply(output);
        message.reply(&control, &data)
    }

    /// As many random bytes as there is room for. Zero bytes are a failure:
    /// Linux takes them for the control block's end.
    fn random(&mut self, cprbx: &Cprbx<'_>, room: usize) -> Result<Output, Failure> {
        if cprbx.rules != b"RANDOM  " {
            return Err(Failure::RULES);
        }
        let size = room.min(cprbx.data_room).min(RANDOM_MAX);
        if size == 0 {
            return Err(Failure::SIZE);
        }
        let mut data = vec![0; size];
        self.random.fill_bytes(&mut data);
        Ok(Output {
            data,
            ..Output::default()
        })
    }
}

impl Engine for Cca {
    fn process(&mut self, request: Request<'_>) -> Vec<u8> {
        self.answer(request).unwrap_or_else(error::reply)
    }
}
