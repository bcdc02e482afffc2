// SPDX-License-Identifier: MIT OR Apache-2.0
//! CCA and EP11 coprocessors, which know no command: each request gets the
//! error reply that fits it.
//!
//! Type 6 messages: a header of 88 bytes, 06 in its first byte; see Linux
//! `drivers/s390/crypto/zcrypt_msgtype6.h`.

use super::{Engine, Request, error};

const TYPE6: u8 = 0x06;
const TYPE6_HEADER: usize = 88;

/// A coprocessor without commands.
pub(super) struct Coprocessor;

impl Engine for Coprocessor {
    fn process(&mut self, request: Request<'_>) -> Vec<u8> {
        let code = match request.bytes {
            bytes if bytes.first() != Some(&TYPE6) => error::MESSAGE_TYPE,
            bytes if bytes.len() < TYPE6_HEADER => error::MALFORMED,
            _ => error::INVALID_COMMAND,
        };
        error::reply(code)
    }
}
