// SPDX-License-Identifier: MIT OR Apache-2.0
//! The accelerator: type 50 requests, that is, RSA with clear keys.

use super::rsa::{self, Unusable};
use super::type50::{self, Operation};
use super::{Engine, Request, error};

const TYPE80: u8 = 0x80;
const TYPE80_HEADER: usize = 16;

/// An accelerator. It keeps nothing from one request to the next.
pub(super) struct Accelerator;

impl Engine for Accelerator {
    fn process(&mut self, request: Request<'_>) -> Vec<u8> {
        compute(request.bytes).unwrap_or_else(error::reply)
    }
}

/// The reply, or the code of the error reply.
fn compute(bytes: &[u8]) -> Result<Vec<u8>, u8> {
    let (size, result) = match type50::parse(bytes)? {
        Operation::ModExp(me) => (me.message.len(), rsa::mod_exp(&me)),
        Operation::Crt(crt) => (crt.message.len(), rsa::crt(&crt)),
    };
    match result {
        Ok(result) => Ok(reply(size, &result)),
        Err(Unusable::Message) => Err(error::OPERAND_INVALID),
        Err(Unusable::ZeroModulus) => Err(error::OPERAND_SIZE),
        Err(Unusable::EvenModulus) => Err(error::EVEN_MODULUS),
    }
}

/// A type 80 reply: the result right-aligned in a field of `size` bytes, which
/// is at most 512; Linux counts on that.
fn reply(size: usize, result: &[u8]) -> Vec<u8> {
    let total = TYPE80_HEADER + size;
    let mut reply = vec![0; total];
    reply[1] = TYPE80;
    reply[2..4].copy_from_slice(&(total as u16).to_be_bytes());
    let from = total.saturating_sub(result.len());
    reply[from..].copy_from_slice(result);
    reply
}
