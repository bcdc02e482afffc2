// SPDX-License-Identifier: MIT OR Apache-2.0
//! The arithmetic of RSA, without padding or any other meaning.

use num_bigint::BigUint;
use num_traits::Zero;

use super::error;
use super::type50::{Crt, ModExp};

/// `message ^ exponent mod modulus`.
pub(super) fn mod_exp(me: &ModExp<'_>) -> Result<Vec<u8>, u8> {
    let modulus = modulus(me.modulus)?;
    let message = BigUint::from_bytes_be(me.message);
    if message >= modulus {
        return Err(error::OPERAND_INVALID);
    }
    let exponent = BigUint::from_bytes_be(me.exponent);
    Ok(message.modpow(&exponent, &modulus).to_bytes_be())
}

/// The same by the Chinese remainder theorem (Garner). p need not be the
/// greater prime.
pub(super) fn crt(crt: &Crt<'_>) -> Result<Vec<u8>, u8> {
    let p = modulus(crt.p)?;
    let q = modulus(crt.q)?;
    let message = BigUint::from_bytes_be(crt.message);
    if message >= &p * &q {
        return Err(error::OPERAND_INVALID);
    }
    let m1 = message.modpow(&BigUint::from_bytes_be(crt.dp), &p);
    let m2 = message.modpow(&BigUint::from_bytes_be(crt.dq), &q);
    let difference = m1 + &p - (&m2 % &p);
    let h = BigUint::from_bytes_be(crt.u) * difference % p;
    Ok((m2 + h * q).to_bytes_be())
}

/// An odd modulus.
fn modulus(bytes: &[u8]) -> Result<BigUint, u8> {
    let modulus = BigUint::from_bytes_be(bytes);
    if modulus.is_zero() {
        Err(error::OPERAND_SIZE)
    } else if !modulus.bit(0) {
        Err(error::EVEN_MODULUS)
    } else {
        Ok(modulus)
    }
}
