// SPDX-License-Identifier: MIT OR Apache-2.0
//! The arithmetic of RSA, without padding or any other meaning.

use num_bigint::BigUint;
use num_traits::Zero;

/// Operands of a modular exponentiation, big-endian.
#[derive(Clone, Copy, Debug)]
pub(super) struct ModExp<'a> {
    pub exponent: &'a [u8],
    pub modulus: &'a [u8],
    pub message: &'a [u8],
}

/// Operands of one by the Chinese remainder theorem, big-endian.
#[derive(Clone, Copy, Debug)]
pub(super) struct Crt<'a> {
    pub p: &'a [u8],
    pub q: &'a [u8],
    pub dp: &'a [u8],
    pub dq: &'a [u8],
    pub u: &'a [u8],
    pub message: &'a [u8],
}

/// Why there is no result.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Unusable {
    /// The message is not below the modulus.
    Message,
    /// A modulus is zero.
    ZeroModulus,
    /// A modulus is even.
    EvenModulus,
}

/// `message ^ exponent mod modulus`.
pub(super) fn mod_exp(me: &ModExp<'_>) -> Result<Vec<u8>, Unusable> {
    let modulus = modulus(me.modulus)?;
    let message = BigUint::from_bytes_be(me.message);
    if message >= modulus {
        return Err(Unusable::Message);
    }
    let exponent = BigUint::from_bytes_be(me.exponent);
    Ok(message.modpow(&exponent, &modulus).to_bytes_be())
}

/// The same by the Chinese remainder theorem (Garner). p need not be the
/// greater prime.
pub(super) fn crt(crt: &Crt<'_>) -> Result<Vec<u8>, Unusable> {
    let p = modulus(crt.p)?;
    let q = modulus(crt.q)?;
    let message = BigUint::from_bytes_be(crt.message);
    if message >= &p * &q {
        return Err(Unusable::Message);
    }
    let m1 = message.modpow(&BigUint::from_bytes_be(crt.dp), &p);
    let m2 = message.modpow(&BigUint::from_bytes_be(crt.dq), &q);
    let difference = m1 + &p - (&m2 % &p);
    let h = BigUint::from_bytes_be(crt.u) * difference % p;
    Ok((m2 + h * q).to_bytes_be())
}

/// An odd modulus.
fn modulus(bytes: &[u8]) -> Result<BigUint, Unusable> {
    let modulus = BigUint::from_bytes_be(bytes);
    if modulus.is_zero() {
        Err(Unusable::ZeroModulus)
    } else if !modulus.bit(0) {
        Err(Unusable::EvenModulus)
    } else {
        Ok(modulus)
    }
}
