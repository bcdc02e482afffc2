// SPDX-License-Identifier: MIT OR Apache-2.0
//! The EP11 coprocessor: it tells about itself and its domains.
//!
//! ```text
//!  CPRB  +00 0020   +02 version 04   +05 flags: 80 administers   +06 T4
//!        +0c domain   +10 return code   +1c length of payload   +20 payload
//!  request  30 length  04 04 function  04 04 domain  04 04 type  04 04 0
//!  reply    30 length  04 04 function  04 04 domain  04 04 return value
//!           04 82 length, data
//! ```
//!
//! Functions are numbered; 38 asks for information, everything else is answered
//! as a function that this adapter does not have.
//!
//! Source: Linux `drivers/s390/crypto/zcrypt_ep11misc.c`, `zcrypt_msgtype6.c`.

use ap_arch::Apqi;

use super::fields::{len_at, put, u16_at, u32_at};
use super::identity::Identity;
use super::{Engine, Request, error, type6};

const AGENT: &[u8; 2] = b"XC";
const CPRB: usize = 32;
const VERSION: u8 = 4;
const ADMINISTERS: u8 = 0x80;

const SEQUENCE: u8 = 0x30;
const OCTETS: u8 = 0x04;

const GET_INFO: u16 = 38;
const INFO_MODULE: u32 = 1;
const INFO_DOMAIN: u32 = 3;

/// Return values, of PKCS #11.
const CKR_ARGUMENTS_BAD: u32 = 0x07;
const CKR_FUNCTION_NOT_SUPPORTED: u32 = 0x54;

const API_ORDINAL: u32 = 4;
const FIRMWARE: [u8; 2] = [8, 1];
/// FIPS 2009 and FIPS 2011.
const OPERATION_MODE: u64 = 0x05;
/// Current wrapping key valid, imprint mode left.
const DOMAIN_FLAGS: u32 = 0x12;

/// An EP11 coprocessor.
pub(super) struct Ep11 {
    identity: Identity,
}

impl Ep11 {
    pub(super) fn new(identity: Identity) -> Self {
        Self { identity }
    }

    /// The reply, or the code of the error reply.
    fn answer(&self, request: Request<'_>) -> Result<Vec<u8>, u8> {
        let message = type6::parse(request.bytes, AGENT)?;
        let cprb = Cprb::parse(message.control).ok_or(error::MALFORMED)?;
        for domain in [cprb.target, cprb.domain] {
            if !request.may_address(domain, cprb.flags & ADMINISTERS != 0) {
                return Err(error::INVALID_DOMAIN);
            }
        }
        // the lower half; in the upper half is the version of the interface
        let result = match cprb.function as u16 {
            GET_INFO => self.info(&cprb).ok_or(CKR_ARGUMENTS_BAD),
            _ => Err(CKR_FUNCTION_NOT_SUPPORTED),
        };
        message.reply(&cprb.reply(result), &[])
    }

    fn info(&self, cprb: &Cprb<'_>) -> Option<Vec<u8>> {
        let (kind, _) = number(cprb.arguments)?;
        match kind {
            INFO_MODULE => Some(self.module()),
            INFO_DOMAIN => self.domain(cprb.domain),
            _ => None,
        }
    }

    fn module(&self) -> Vec<u8> {
        let mut info = vec![0; 196];
        put(&mut info, 0, API_ORDINAL.to_be_bytes());
        put(&mut info, 8, FIRMWARE);
        let serial = self.identity.serial(16);
        info[108..124].copy_from_slice(serial.as_bytes());
        put(&mut info, 140, OPERATION_MODE.to_be_bytes());
        put(&mut info, 156, 256u32.to_be_bytes());
        info
    }

    fn domain(&self, domain: u32) -> Option<Vec<u8>> {
        let apqi = Apqi::new(u8::try_from(domain).ok()?);
        let mut info = vec![0; 80];
        put(&mut info, 0, domain.to_be_bytes());
        put(&mut info, 4, self.identity.pattern::<32>("ep11", apqi));
        put(&mut info, 68, DOMAIN_FLAGS.to_be_bytes());
        put(&mut info, 72, OPERATION_MODE.to_be_bytes());
        Some(info)
    }
}

impl Engine for Ep11 {
    fn process(&mut self, request: Request<'_>) -> Vec<u8> {
        self.answer(request).unwrap_or_else(error::reply)
    }
}

/// A request.
#[derive(Clone, Copy, Debug)]
struct Cprb<'a> {
    flags: u8,
    /// The domain in the control block.
    target: u32,
    function: u32,
    /// The domain in the payload.
    domain: u32,
    /// The fields behind.
    arguments: &'a [u8],
}

impl<'a> Cprb<'a> {
    fn parse(control: &'a [u8]) -> Option<Self> {
        let (cprb, payload) = control.split_at_checked(CPRB)?;
        if u16_at(cprb, 0) != Some(CPRB as u16) || cprb[2] != VERSION || cprb[6..8] != *b"T4" {
            return None;
        }
        let payload = payload.get(..len_at(cprb, 28)?)?;
        let (fields, _) = element(SEQUENCE, payload)?;
        let (function, fields) = number(fields)?;
        let (domain, arguments) = number(fields)?;
        Some(Self {
            flags: cprb[5],
            target: u32_at(cprb, 12)?,
            function,
            domain,
            arguments,
        })
    }

    /// The control block of the reply: data, or a return value.
    fn reply(&self, result: Result<Vec<u8>, u32>) -> Vec<u8> {
        let value = *result.as_ref().err().unwrap_or(&0);
        let mut fields = Vec::new();
        for number in [self.function, self.domain, value] {
            fields.extend_from_slice(&[OCTETS, 4]);
            fields.extend_from_slice(&number.to_be_bytes());
        }
        if let Ok(data) = result {
            fields.extend(long(OCTETS, &data));
        }
        let payload = long(SEQUENCE, &fields);

        let mut control = vec![0; CPRB];
        put(&mut control, 0, (CPRB as u16).to_be_bytes());
        put(&mut control, 2, [VERSION]);
        put(&mut control, 5, [self.flags]);
        put(&mut control, 6, *b"T4");
        put(&mut control, 12, self.target.to_be_bytes());
        // a few hundred bytes at most
        put(&mut control, 28, (payload.len() as u32).to_be_bytes());
        control.extend(payload);
        control
    }
}

/// The contents of the first element in `bytes`, if it has this tag; and what
/// follows it.
fn element(tag: u8, bytes: &[u8]) -> Option<(&[u8], &[u8])> {
    let (&first, rest) = bytes.split_first()?;
    let (&form, rest) = rest.split_first()?;
    let (length, rest) = match form {
        0..=0x7f => (usize::from(form), rest),
        0x81 => (usize::from(*rest.first()?), &rest[1..]),
        0x82 => (usize::from(u16_at(rest, 0)?), &rest[2..]),
        0x84 => (len_at(rest, 0)?, &rest[4..]),
        _ => return None,
    };
    if first != tag {
        return None;
    }
    rest.split_at_checked(length)
}

/// The number of 1, 2 or 4 bytes that is the first element in `bytes`; and
/// what follows it.
fn number(bytes: &[u8]) -> Option<(u32, &[u8])> {
    let (contents, rest) = element(OCTETS, bytes)?;
    if !matches!(contents.len(), 1 | 2 | 4) {
        return None;
    }
    let number = contents.iter().fold(0, |n, &b| n << 8 | u32::from(b));
    Some((number, rest))
}

/// An element with its length in two bytes, even if one would do: Linux expects
/// the data of a reply at a fixed offset.
fn long(tag: u8, contents: &[u8]) -> Vec<u8> {
    // a few hundred bytes at most
    let [high, low] = (contents.len() as u16).to_be_bytes();
    [&[tag, 0x82, high, low], contents].concat()
}
