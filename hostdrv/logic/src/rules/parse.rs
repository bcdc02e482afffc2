// SPDX-License-Identifier: MIT OR Apache-2.0
//! What is written to attributes, as text.
//!
//! Numbers follow `kstrtoul(.., 0, ..)` (Linux `lib/kstrtox.c`) to the letter:
//! an optional `+`, `0x` for hexadecimal, else a leading `0` for octal, one
//! newline at the end, and the text ends at its first NUL.
//!
//! `ap_config` takes three masks as `ap_hex2bitmap` (Linux `ap_bus.c`) reads
//! one: hexadecimal, filled up with zeros on the right. But nothing may be
//! missing and nothing may follow.

use super::{Edit, Errno, Limits};
use crate::ap_arch::{Mask, MaskSpace, Matrix};

/// The attributes of an mdev that can be written.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub enum Attribute {
    /// `assign_adapter`
    AssignAdapter,
    /// `unassign_adapter`
    UnassignAdapter,
    /// `assign_domain`
    AssignDomain,
    /// `unassign_domain`
    UnassignDomain,
    /// `assign_control_domain`
    AssignControlDomain,
    /// `unassign_control_domain`
    UnassignControlDomain,
    /// `ap_config`
    ApConfig,
}

impl Attribute {
    /// The edit that writing `text` asks for.
    pub fn parse(self, text: &[u8], limits: Limits) -> Result<Edit, Errno> {
        let adapter = |edit: fn(_) -> Edit| limits.adapter(parse_number(text)?).map(edit);
        let domain = |edit: fn(_) -> Edit| limits.domain(parse_number(text)?).map(edit);
        match self {
            Self::AssignAdapter => adapter(Edit::AssignAdapter),
            Self::UnassignAdapter => adapter(Edit::UnassignAdapter),
            Self::AssignDomain => domain(Edit::AssignDomain),
            Self::UnassignDomain => domain(Edit::UnassignDomain),
            Self::AssignControlDomain => domain(Edit::AssignControlDomain),
            Self::UnassignControlDomain => domain(Edit::UnassignControlDomain),
            Self::ApConfig => {
                let matrix = parse_ap_config(text)?;
                if limits.allow(matrix) {
                    Ok(Edit::Replace(matrix))
                } else {
                    Err(Errno::Enodev)
                }
            }
        }
    }
}

/// A number as the kernel reads one from sysfs.
pub fn parse_number(text: &[u8]) -> Result<u64, Errno> {
    let text = text.split(|&byte| byte == 0).next().unwrap_or_default();
    let text = text.strip_prefix(b"+").unwrap_or(text);
    let (radix, digits) = match text {
        [b'0', b'x' | b'X', digits @ ..] => (16, digits),
        [b'0', ..] => (8, text),
        _ => (10, text),
    };
    let end = digits
        .iter()
        .position(|&byte| digit(byte, radix).is_none())
        .unwrap_or(digits.len());
    let (digits, rest) = digits.split_at(end);
    // too big is told before what follows is looked at
    let number = digits.iter().try_fold(0u64, |number, &byte| {
        number
            .checked_mul(u64::from(radix))?
            .checked_add(u64::from(digit(byte, radix)?))
    });
    let number = number.ok_or(Errno::Erange)?;
    match rest {
        b"" | b"\n" if !digits.is_empty() => Ok(number),
        _ => Err(Errno::Einval),
    }
}

/// The three masks of `ap_config`.
pub fn parse_ap_config(text: &[u8]) -> Result<Matrix, Errno> {
    // a C program may have written the NUL at the end of its string
    let end = text.iter().rposition(|&byte| byte != 0);
    let text = &text[..end.map_or(0, |last| last + 1)];
    let text = text.strip_suffix(b"\n").unwrap_or(text);
    let mut masks = text.split(|&byte| byte == b',');
    let matrix = Matrix {
        apm: parse_mask(masks.next())?,
        aqm: parse_mask(masks.next())?,
        adm: parse_mask(masks.next())?,
    };
    match masks.next() {
        None => Ok(matrix),
        Some(_) => Err(Errno::Einval),
    }
}

fn parse_mask<S: MaskSpace>(text: Option<&[u8]>) -> Result<Mask<S>, Errno> {
    let text = text.ok_or(Errno::Einval)?;
    let digits = text.strip_prefix(b"0x").unwrap_or(text);
    if digits.is_empty() || digits.len() > 64 {
        return Err(Errno::Einval);
    }
    let mut bytes = [0; 32];
    for (index, &byte) in digits.iter().enumerate() {
        let digit = digit(byte, 16).ok_or(Errno::Einval)?;
        bytes[index / 2] |= if index % 2 == 0 { digit << 4 } else { digit };
    }
    Ok(Mask::from_bytes(bytes))
}

fn digit(byte: u8, radix: u8) -> Option<u8> {
    // a digit is below 16, so it fits
    char::from(byte)
        .to_digit(u32::from(radix))
        .map(|digit| digit as u8)
}
