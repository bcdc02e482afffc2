// SPDX-License-Identifier: MIT OR Apache-2.0
//! One RSA request for an accelerator, and its check.
//!
//! ```text
//!   type 50 request, modular exponentiation with 1024 bits, 0x190 bytes
//!     +1 type 50   +2 length   +8 format 0001   +16 exponent (128)
//!     +144 modulus (128)   +272 message (128)
//!   type 80 reply
//!     +1 type 80   +2 length   +4 code   +16 result (128)
//!   type 82 reply: an error, its code at +4
//! ```
//!
//! Source: Linux `drivers/s390/crypto/zcrypt_msgtype50.c`, `zcrypt_error.h`.

/// Bytes of modulus, message and result.
pub const LEN: usize = 128;
/// Bytes of a request.
pub const REQUEST_LEN: usize = 16 + 3 * LEN;

const EXPONENT: u32 = 65537;

/// An odd number of 1024 bits. That it is no product of two primes does not
/// matter to an exponentiation.
const MODULUS: [u8; LEN] = pattern(0xc5, 0x9d);
/// A number below it.
const MESSAGE: [u8; LEN] = pattern(0x31, 0x57);

/// Bytes of a simple generator, the first and last chosen.
const fn pattern(first: u8, last: u8) -> [u8; LEN] {
    let mut bytes = [0; LEN];
    let mut state = first as u32;
    let mut i = 0;
    while i < LEN {
        state = state.wrapping_mul(1_103_515_245).wrapping_add(12345);
        bytes[i] = (state >> 16) as u8;
        i += 1;
    }
    bytes[0] = first;
    bytes[LEN - 1] = last;
    bytes
}

/// What a reply is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Reply {
    /// The right result.
    Correct,
    /// A result, but not the right one.
    Wrong,
    /// An error of the adapter.
    Error(u8),
    /// Not a reply to this request.
    Malformed,
}

/// The request.
pub fn request() -> [u8; REQUEST_LEN] {
    let mut message = [0; REQUEST_LEN];
    message[1] = 0x50;
    message[2..4].copy_from_slice(&(REQUEST_LEN as u16).to_be_bytes());
    message[9] = 1;
    message[16..16 + LEN].copy_from_slice(&exponent());
    message[16 + LEN..16 + 2 * LEN].copy_from_slice(&MODULUS);
    message[16 + 2 * LEN..].copy_from_slice(&MESSAGE);
    message
}

/// The modulus.
pub fn modulus() -> &'static [u8; LEN] {
    &MODULUS
}

/// The number that is raised to a power.
pub fn message() -> &'static [u8; LEN] {
    &MESSAGE
}

/// The exponent, as long as the others.
pub fn exponent() -> [u8; LEN] {
    let mut bytes = [0; LEN];
    bytes[LEN - 4..].copy_from_slice(&EXPONENT.to_be_bytes());
    bytes
}

/// Judges a reply.
pub fn judge(reply: &[u8]) -> Reply {
    let stated = match reply {
        [_, 0x82, _, _, code, ..] => return Reply::Error(*code),
        [_, 0x80, high, low, 0, ..] => u16::from_be_bytes([*high, *low]),
        _ => return Reply::Malformed,
    };
    if usize::from(stated) != reply.len() || reply.len() != 16 + LEN {
        return Reply::Malformed;
    }
    if reply[16..] == expected() {
        Reply::Correct
    } else {
        Reply::Wrong
    }
}

/// The right result.
pub fn expected() -> [u8; LEN] {
    let (modulus, base) = (load(&MODULUS), load(&MESSAGE));
    store(&power(&base, EXPONENT, &modulus))
}

const LIMBS: usize = LEN / 4;
/// A number, least significant limb first.
type Number = [u32; LIMBS];

fn load(bytes: &[u8; LEN]) -> Number {
    let mut number = [0; LIMBS];
    for (limb, chunk) in number.iter_mut().rev().zip(bytes.chunks_exact(4)) {
        *limb = chunk
            .iter()
            .fold(0, |word, &byte| word << 8 | u32::from(byte));
    }
    number
}

fn store(number: &Number) -> [u8; LEN] {
    let mut bytes = [0; LEN];
    for (limb, chunk) in number.iter().rev().zip(bytes.chunks_exact_mut(4)) {
        chunk.copy_from_slice(&limb.to_be_bytes());
    }
    bytes
}

/// `base` to the `exponent`, for a base below the modulus.
fn power(base: &Number, exponent: u32, modulus: &Number) -> Number {
    let mut result = [0; LIMBS];
    result[0] = 1;
    for bit in (0..32 - exponent.leading_zeros()).rev() {
        result = multiply(&result, &result, modulus);
        if exponent >> bit & 1 != 0 {
            result = multiply(&result, base, modulus);
        }
    }
    result
}

/// `a` times `b`, both below the modulus: doubles and adds, from the left.
fn multiply(a: &Number, b: &Number, modulus: &Number) -> Number {
    let mut result = [0; LIMBS];
    for limb in b.iter().rev() {
        for bit in (0..32).rev() {
            result = add(&result, &result, modulus);
            if limb >> bit & 1 != 0 {
                result = add(&result, a, modulus);
            }
        }
    }
    result
}

/// `a` plus `b`, both below the modulus.
fn add(a: &Number, b: &Number, modulus: &Number) -> Number {
    let mut sum = [0; LIMBS];
    let mut carry = false;
    for (i, limb) in sum.iter_mut().enumerate() {
        let (part, first) = a[i].overflowing_add(b[i]);
        let (part, second) = part.overflowing_add(carry.into());
        *limb = part;
        carry = first || second;
    }
    if !carry && sum.iter().rev().lt(modulus.iter().rev()) {
        return sum;
    }
    let mut borrow = false;
    for (limb, &m) in sum.iter_mut().zip(modulus) {
        let (part, first) = limb.overflowing_sub(m);
        let (part, second) = part.overflowing_sub(borrow.into());
        *limb = part;
        borrow = first || second;
    }
    sum
}

#[cfg(test)]
mod tests;
