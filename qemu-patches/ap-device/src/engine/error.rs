// SPDX-License-Identifier: MIT OR Apache-2.0
//! Error replies, type 82.
//!
//! Source: Linux `drivers/s390/crypto/zcrypt_error.h`, which also decides what
//! becomes of each code: those named here end the request with EINVAL, but
//! [`MESSAGE_TYPE`], after which it is tried elsewhere.

/// The adapter does not know this type of message.
pub const MESSAGE_TYPE: u8 = 0x20;
/// A reserved field is not zero.
pub const RESERVED_FIELD: u8 = 0x24;
/// No such format.
pub const FORMAT_FIELD: u8 = 0x29;
/// The message makes no sense.
pub const MALFORMED: u8 = 0x40;
/// The length is not that of the format.
pub const MESSAGE_LENGTH: u8 = 0x80;
/// An operand is out of range.
pub const OPERAND_INVALID: u8 = 0x82;
/// An operand has no usable size.
pub const OPERAND_SIZE: u8 = 0x84;
/// A modulus is even.
pub const EVEN_MODULUS: u8 = 0x85;
/// The request is for a domain that this queue does not serve.
pub const INVALID_DOMAIN: u8 = 0x8a;
/// The reply is longer than the request allows.
pub const PACKET_TRUNCATED: u8 = 0xa0;

/// The reply with a code. Type 82 suits all modes: Linux takes it from each.
pub fn reply(code: u8) -> Vec<u8> {
    vec![0, 0x82, 0, 0, code, 0, 0, 0]
}
