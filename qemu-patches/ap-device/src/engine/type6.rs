// SPDX-License-Identifier: MIT OR Apache-2.0
//! Type 6 requests and type 86 replies, the envelopes of CCA and EP11.
//!
//! ```text
//!  request                                reply
//!   +01 06                                 +01 86    +02 02    +04 code 0
//!   +10 58: where the control block is     +10 length   +14 offset of control
//!   +20 agent, 2                           +18 length   +1c offset of data
//!   +38 length of control block, of data   +30 control block, data
//!   +48 room for control block, for data
//!   +58 control block, data
//! ```
//!
//! Source: Linux `drivers/s390/crypto/zcrypt_msgtype6.[ch]`. Linux drops a
//! reply unless it ends where data or, without data, the control block ends.

use super::error;
use super::fields::{len_at, put};

const TYPE6: u8 = 0x06;
const TYPE6_HEADER: usize = 88;
const TYPE86: u8 = 0x86;
const TYPE86_HEADER: usize = 48;
const FORMAT2: u8 = 2;

/// A request.
#[derive(Clone, Copy, Debug)]
pub(super) struct Message<'a> {
    /// CPRB and parameters.
    pub control: &'a [u8],
    /// How long a control block of the reply may be.
    control_room: usize,
    /// How much data the reply may have.
    pub data_room: usize,
}

/// Takes a message for `agent` apart; the error is the code of the error reply.
pub(super) fn parse<'a>(bytes: &'a [u8], agent: &[u8; 2]) -> Result<Message<'a>, u8> {
    if bytes.get(1) != Some(&TYPE6) {
        return Err(error::MESSAGE_TYPE);
    }
    let message = bytes
        .split_at_checked(TYPE6_HEADER)
        .filter(|(header, _)| {
            len_at(header, 16) == Some(TYPE6_HEADER) && header[32..34] == agent[..]
        })
        .and_then(|(header, blocks)| {
            Some(Message {
                control: blocks.get(..len_at(header, 56)?)?,
                control_room: len_at(header, 72)?,
                data_room: len_at(header, 76)?,
            })
        });
    message.ok_or(error::MALFORMED)
}

impl Message<'_> {
    /// The reply, unless it is longer than its reader allows.
    pub(super) fn reply(&self, control: &[u8], data: &[u8]) -> Result<Vec<u8>, u8> {
        if control.len() > self.control_room || data.len() > self.data_room {
            return Err(error::PACKET_TRUNCATED);
        }
        // both are far shorter than any message may be
        let lengths = [control.len() as u32, data.len() as u32];
        let mut reply = vec![0; TYPE86_HEADER];
        put(&mut reply, 1, [TYPE86, FORMAT2]);
        put(&mut reply, 16, lengths[0].to_be_bytes());
        put(&mut reply, 20, (TYPE86_HEADER as u32).to_be_bytes());
        if !data.is_empty() {
            let offset = TYPE86_HEADER as u32 + lengths[0];
            put(&mut reply, 24, lengths[1].to_be_bytes());
            put(&mut reply, 28, offset.to_be_bytes());
        }
        reply.extend_from_slice(control);
        reply.extend_from_slice(data);
        Ok(reply)
    }
}
