// SPDX-License-Identifier: MIT OR Apache-2.0
//! Facility query, `FQ`: serial number, states and verification patterns of
//! the master keys.
//!
//! ```text
//!  rules  items of 8: 0 serial   4 5 6 asymmetric, 7 8 9 AES,
//!         10 11 12 APKA: state of the new, current, old key
//!  vars   40 54 68 asymmetric, 16 bytes; ac b8 c4 AES, 8 bytes;
//!         d0 dc e8 APKA, 8 bytes: patterns of the old, current, new key
//! ```
//!
//! `STATICSA` has no APKA, `STATICSB` all. Source: Linux
//! `drivers/s390/crypto/zcrypt_ccamisc.c`, `zcrypt_cex4.c`.

use ap_arch::Apqi;

use super::cprbx::{Cprbx, Failure, Output, put_field};
use crate::engine::fields::put;
use crate::engine::identity::Identity;

const ITEM: usize = 8;
const SERIAL_DIGITS: usize = 8;

/// State of a new key: there is none.
const NEW_EMPTY: &[u8; ITEM] = b"1       ";
/// State of a current key.
const CURRENT_VALID: &[u8; ITEM] = b"2       ";
/// State of an old key: there is none.
const OLD_INVALID: &[u8; ITEM] = b"1       ";

/// Every domain has its current master keys, and never had others.
pub(super) fn query(identity: &Identity, apqi: Apqi, cprbx: &Cprbx<'_>) -> Result<Output, Failure> {
    let (items, vars) = match cprbx.rules {
        b"STATICSA" => (10, 204),
        b"STATICSB" => (13, 240),
        _ => return Err(Failure::RULES),
    };
    let mut rules = Vec::with_capacity(items * ITEM);
    rules.extend_from_slice(identity.serial(SERIAL_DIGITS).as_bytes());
    rules.resize(4 * ITEM, b' ');
    for _ in (4..items).step_by(3) {
        rules.extend_from_slice(&[*NEW_EMPTY, *CURRENT_VALID, *OLD_INVALID].concat());
    }
    let mut patterns = vec![0; vars];
    put(&mut patterns, 84, identity.pattern::<16>("asym", apqi));
    put(&mut patterns, 184, identity.pattern::<8>("aes", apqi));
    if vars == 240 {
        put(&mut patterns, 220, identity.pattern::<8>("apka", apqi));
    }
    Ok(Output {
        rules,
        fields: [put_field(&patterns), put_field(&[])].concat(),
        ..Output::default()
    })
}
