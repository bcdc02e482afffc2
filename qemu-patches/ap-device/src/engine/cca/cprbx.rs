// SPDX-License-Identifier: MIT OR Apache-2.0
//! The CPRBX, the control block of CCA requests and replies, and the
//! parameters behind it.
//!
//! ```text
//!  +00 00dc   +02 version 02   +06 T2, T3, ...   +0c length of parameters
//!  +18 parameters replied   +1c room for data   +20 data replied
//!  +90 return code, reason code   +aa domain
//!  +dc function code, 2; rules; more fields
//! ```
//!
//! Rules and fields begin with their length, which counts itself.
//!
//! Source: Linux `arch/s390/include/uapi/asm/zcrypt.h`,
//! `drivers/s390/crypto/zcrypt_msgtype6.c`.

use crate::engine::fields::{len_at, put, u16_at};

const CPRBX: usize = 220;
const VERSION: u8 = 2;

/// A request.
#[derive(Clone, Copy, Debug)]
pub(super) struct Cprbx<'a> {
    /// `T2` for use; others administer.
    kind: &'a [u8],
    pub function: &'a [u8; 2],
    pub domain: u16,
    /// How much data the reply may have.
    pub data_room: usize,
    pub rules: &'a [u8],
    /// The fields behind the rules.
    pub fields: &'a [u8],
}

/// What a verb has to say.
#[derive(Debug, Default)]
pub(super) struct Output {
    /// In the place of the rules of a request.
    pub rules: Vec<u8>,
    /// More fields, with their lengths.
    pub fields: Vec<u8>,
    pub data: Vec<u8>,
}

/// Return and reason code of a verb that failed.
///
/// Linux takes a queue offline for most codes in a reply to RSA; all but
/// [`Failure::RULES`], which Linux's own requests cannot cause there, are
/// among the few that only end the request.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) struct Failure {
    rc: u16,
    rs: u16,
}

impl Failure {
    /// No such verb, or not with these rules.
    pub const RULES: Self = Self { rc: 8, rs: 33 };
    /// The key cannot be used.
    pub const KEY: Self = Self { rc: 8, rs: 65 };
    /// The text does not go with the key.
    pub const TEXT: Self = Self { rc: 8, rs: 66 };
    /// A field is missing or has a wrong size.
    pub const SIZE: Self = Self { rc: 8, rs: 72 };
}

impl<'a> Cprbx<'a> {
    /// Takes a control block apart.
    pub(super) fn parse(control: &'a [u8]) -> Option<Self> {
        let (cprbx, parameters) = control.split_at_checked(CPRBX)?;
        if u16_at(cprbx, 0) != Some(CPRBX as u16) || cprbx[2] != VERSION {
            return None;
        }
        let parameters = parameters.get(..len_at(cprbx, 12)?)?;
        let (function, fields) = parameters.split_first_chunk()?;
        let (rules, fields) = field(fields)?;
        Some(Self {
            kind: &cprbx[6..8],
            function,
            domain: u16_at(cprbx, 170)?,
            data_room: len_at(cprbx, 28)?,
            rules,
            fields,
        })
    }

    /// Whether it is an administrative request, which may name any control
    /// domain.
    pub(super) fn administers(&self) -> bool {
        matches!(self.kind, b"T3" | b"T5" | b"T6" | b"T7")
    }

    /// Control block and data of the reply.
    ///
    /// A failure has two empty fields behind the rules: where it is the reply
    /// to RSA, Linux looks for the length of a result there.
    pub(super) fn reply(&self, output: Result<Output, Failure>) -> (Vec<u8>, Vec<u8>) {
        let (output, failure) = match output {
            Ok(output) => (output, None),
            Err(failure) => {
                let fields = [put_field(&[]), put_field(&[])].concat();
                let output = Output {
                    fields,
                    ..Output::default()
                };
                (output, Some(failure))
            }
        };
        let mut parameters = self.function.to_vec();
        parameters.extend(put_field(&output.rules));
        parameters.extend(output.fields);

        let mut control = vec![0; CPRBX];
        put(&mut control, 0, (CPRBX as u16).to_be_bytes());
        put(&mut control, 2, [VERSION]);
        control[6..8].copy_from_slice(self.kind);
        // what a verb has to say is far shorter than any message may be
        put(&mut control, 24, (parameters.len() as u32).to_be_bytes());
        put(&mut control, 32, (output.data.len() as u32).to_be_bytes());
        if let Some(Failure { rc, rs }) = failure {
            put(&mut control, 144, rc.to_be_bytes());
            put(&mut control, 146, rs.to_be_bytes());
        }
        put(&mut control, 170, self.domain.to_be_bytes());
        control.extend(parameters);
        (control, output.data)
    }
}

/// The first of some fields, without its length; and those that follow.
pub(super) fn field(bytes: &[u8]) -> Option<(&[u8], &[u8])> {
    let length = usize::from(u16_at(bytes, 0)?);
    let (field, rest) = bytes.split_at_checked(length)?;
    Some((field.get(2..)?, rest))
}

/// A field with its length.
pub(super) fn put_field(bytes: &[u8]) -> Vec<u8> {
    // what a verb has to say is far shorter than any field may be
    let length = bytes.len() as u16 + 2;
    [&length.to_be_bytes(), bytes].concat()
}
