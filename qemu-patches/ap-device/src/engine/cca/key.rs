// SPDX-License-Identifier: MIT OR Apache-2.0
//! RSA, `PK` and `PD`: a text and a key token with clear parts.
//!
//! ```text
//!  length, text   length, length, flags, token:
//!    +0 1e   +2 length   +8 sections: +0 identifier   +2 length, then
//!      04  +6 length of exponent   +a of modulus   +c exponent, modulus
//!      08  +1c 40   +36 lengths of p, q, dp, dq, u, modulus   +46 of padding
//!          +84 p, q, dp, dq, u, padding, modulus (not filled in)
//! ```
//!
//! Source: Linux `drivers/s390/crypto/zcrypt_cca_key.h`.

use super::cprbx::{Cprbx, Failure, Output, field, put_field};
use crate::engine::fields::u16_at;
use crate::engine::rsa::{self, Crt, ModExp, Unusable};

const TOKEN: u8 = 0x1e;
const TOKEN_HEADER: usize = 8;
const PUBLIC: u8 = 4;
const PUBLIC_HEADER: usize = 12;
const PRIVATE_CRT: u8 = 8;
const PRIVATE_CRT_HEADER: usize = 132;
/// Format of a private section with clear parts.
const CLEAR: u8 = 0x40;

/// Longest modulus in bytes. Computing takes time with its third power, so
/// nobody may send longer ones.
const MODULUS_MAX: usize = 512;
/// Longest prime: half of it, and the 8 bytes that Linux adds.
const PRIME_MAX: usize = MODULUS_MAX / 2 + 8;

/// `PK`: the text to the power of a public exponent.
pub(super) fn mod_exp(cprbx: &Cprbx<'_>) -> Result<Output, Failure> {
    if cprbx.rules != b"MRP     " {
        return Err(Failure::RULES);
    }
    let (message, section) = text_and_section(cprbx.fields, PUBLIC)?;
    let parts = section
        .split_at_checked(PUBLIC_HEADER)
        .and_then(|(header, parts)| {
            let exponent = usize::from(u16_at(header, 6)?);
            let modulus = usize::from(u16_at(header, 10)?);
            cut(parts, [exponent, modulus])
        });
    let [exponent, modulus] = parts.ok_or(Failure::KEY)?;
    if exponent.len() > MODULUS_MAX || modulus.len() > MODULUS_MAX {
        return Err(Failure::KEY);
    }
    let result = rsa::mod_exp(&ModExp {
        exponent,
        modulus,
        message,
    });
    output(modulus.len(), result)
}

/// `PD`: the same with a private key.
pub(super) fn crt(cprbx: &Cprbx<'_>) -> Result<Output, Failure> {
    if cprbx.rules != b"ZERO-PAD" {
        return Err(Failure::RULES);
    }
    let (message, section) = text_and_section(cprbx.fields, PRIVATE_CRT)?;
    let parts = section
        .split_at_checked(PRIVATE_CRT_HEADER)
        .filter(|(header, _)| header[28] == CLEAR)
        .and_then(|(header, parts)| {
            let length = |at| u16_at(header, at).map(usize::from);
            let [p, q, dp] = [length(54)?, length(56)?, length(58)?];
            let [dq, u, modulus] = [length(60)?, length(62)?, length(64)?];
            cut(parts, [p, q, dp, dq, u, length(70)?, modulus])
        });
    let [p, q, dp, dq, u, _, modulus] = parts.ok_or(Failure::KEY)?;
    let primes = [p, q, dp, dq, u];
    if modulus.len() > MODULUS_MAX || primes.iter().any(|part| part.len() > PRIME_MAX) {
        return Err(Failure::KEY);
    }
    let result = rsa::crt(&Crt {
        p,
        q,
        dp,
        dq,
        u,
        message,
    });
    output(modulus.len(), result)
}

/// The text, and the first section of the key if it is of the right kind.
fn text_and_section(fields: &[u8], identifier: u8) -> Result<(&[u8], &[u8]), Failure> {
    let (text, fields) = field(fields).ok_or(Failure::SIZE)?;
    let (key, _) = field(fields).ok_or(Failure::SIZE)?;
    if text.len() > MODULUS_MAX {
        return Err(Failure::SIZE);
    }
    let token = key.get(4..).and_then(|token| {
        let length = usize::from(u16_at(token, 2)?);
        token.get(..length)
    });
    let section = token.filter(|t| t[..1] == [TOKEN]).and_then(|token| {
        let section = token.get(TOKEN_HEADER..)?;
        section.get(..usize::from(u16_at(section, 2)?))
    });
    match section {
        Some(section) if section.first() == Some(&identifier) => Ok((text, section)),
        _ => Err(Failure::KEY),
    }
}

/// Cuts fields of the given sizes off the start of `bytes`.
fn cut<const N: usize>(mut bytes: &[u8], sizes: [usize; N]) -> Option<[&[u8]; N]> {
    let mut fields = [&[][..]; N];
    for (field, size) in fields.iter_mut().zip(sizes) {
        (*field, bytes) = bytes.split_at_checked(size)?;
    }
    Some(fields)
}

/// The result, right-aligned in a field as long as the modulus, and an empty
/// field for a key.
fn output(size: usize, result: Result<Vec<u8>, Unusable>) -> Result<Output, Failure> {
    let result = result.map_err(|why| match why {
        Unusable::Message => Failure::TEXT,
        Unusable::ZeroModulus | Unusable::EvenModulus => Failure::KEY,
    })?;
    // the product of the primes may be longer than the modulus says
    let zeros = size.checked_sub(result.len()).ok_or(Failure::KEY)?;
    let text = [vec![0; zeros], result].concat();
    Ok(Output {
        fields: [put_field(&text), put_field(&[])].concat(),
        ..Output::default()
    })
}
