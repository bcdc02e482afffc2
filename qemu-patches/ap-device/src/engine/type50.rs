// SPDX-License-Identifier: MIT OR Apache-2.0
//! Type 50 requests: modular exponentiation with clear keys.
//!
//! ```text
//!  +00 0   +01 50   +02 length, 2   +04 0   +05 ignored   +06 0, 2
//!  +08 format, 2    +0a 0, 6        +10 operands, each right-aligned
//!
//!  0001 0002 0003   ME   exponent, modulus, message: n = 128, 256, 512 bytes
//!  0011 0012 0013   CRT  p, q, dp, dq, u: n/2 bytes; message: n bytes
//! ```
//!
//! Source: Linux `drivers/s390/crypto/zcrypt_msgtype50.c`.

use super::error;
use super::fields::u16_at;
use super::rsa::{Crt, ModExp};

const TYPE50: u8 = 0x50;
const HEADER: usize = 16;

/// A request.
#[derive(Clone, Copy, Debug)]
pub(super) enum Operation<'a> {
    ModExp(ModExp<'a>),
    Crt(Crt<'a>),
}

enum Form {
    ModExp,
    Crt,
}

/// Takes a message apart; the error is the code of the error reply.
pub(super) fn parse(bytes: &[u8]) -> Result<Operation<'_>, u8> {
    if bytes.get(1) != Some(&TYPE50) {
        return Err(error::MESSAGE_TYPE);
    }
    let (header, operands) = bytes
        .split_at_checked(HEADER)
        .ok_or(error::MESSAGE_LENGTH)?;
    if u16_at(header, 2).map(usize::from) != Some(bytes.len()) {
        return Err(error::MESSAGE_LENGTH);
    }
    let (form, n) = match u16_at(header, 8) {
        Some(0x0001) => (Form::ModExp, 128),
        Some(0x0002) => (Form::ModExp, 256),
        Some(0x0003) => (Form::ModExp, 512),
        Some(0x0011) => (Form::Crt, 128),
        Some(0x0012) => (Form::Crt, 256),
        Some(0x0013) => (Form::Crt, 512),
        _ => return Err(error::FORMAT_FIELD),
    };
    let reserved = [&header[..1], &header[4..5], &header[6..8], &header[10..]];
    if reserved.concat().iter().any(|&b| b != 0) {
        return Err(error::RESERVED_FIELD);
    }
    let operation = match form {
        Form::ModExp => fields(operands, [n, n, n]).map(|[exponent, modulus, message]| {
            Operation::ModExp(ModExp {
                exponent,
                modulus,
                message,
            })
        }),
        Form::Crt => {
            let h = n / 2;
            fields(operands, [h, h, h, h, h, n]).map(|[p, q, dp, dq, u, message]| {
                Operation::Crt(Crt {
                    p,
                    q,
                    dp,
                    dq,
                    u,
                    message,
                })
            })
        }
    };
    operation.ok_or(error::MESSAGE_LENGTH)
}

/// Cuts `bytes` into fields of the given sizes, which must use all of it.
fn fields<const N: usize>(mut bytes: &[u8], sizes: [usize; N]) -> Option<[&[u8]; N]> {
    let mut fields = [&[][..]; N];
    for (field, size) in fields.iter_mut().zip(sizes) {
        (*field, bytes) = bytes.split_at_checked(size)?;
    }
    bytes.is_empty().then_some(fields)
}
