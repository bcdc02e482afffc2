// SPDX-License-Identifier: MIT OR Apache-2.0
//! CHANNEL SUBSYSTEM CALL.
//!
//! ```text
//!   request   +0 length   +2 command      ... up to its length
//!   response  +0 length   +2 code         right behind the request
//!
//!   store event information, response of 12 bytes:
//!     +0 000c  +2 0001  +4 0  +7 type 0  +8 flags  +9 validity
//!     +10 source 05 (AP)  +11 content 03 (configuration changed)
//! ```
//!
//! Source: Linux `drivers/s390/cio/chsc.c` (`chsc_sei`, `chsc_scsc`,
//! `chsc_sda_area`), `drivers/s390/cio/chsc.h`.

use super::Css;
use crate::devices::{be16, put};
use crate::program::ProgramInterrupt;

/// Bytes of the request that are looked at.
pub const REQUEST_LEN: usize = 16;

/// Longest request; the block is one page and a response header must fit.
const REQUEST_MAX: u16 = 4088;

const SET_DOMAIN_ATTRIBUTES: u16 = 0x0031;
const STORE_CHARACTERISTICS: u16 = 0x0010;
const STORE_EVENT_INFORMATION: u16 = 0x000e;

const CODE_OK: u16 = 0x0001;
const CODE_BAD_LENGTH: u16 = 0x0003;
const CODE_UNKNOWN_COMMAND: u16 = 0x0004;
const CODE_NO_EVENT: u16 = 0x0005;
/// The facility asked for (multiple subchannel sets) is not provided.
const CODE_NOT_PROVIDED: u16 = 0x0101;

const REPORTING_SOURCE_AP: u8 = 5;
const CONTENT_CONFIGURATION_CHANGED: u8 = 3;

/// What to store into the block.
#[derive(Debug, PartialEq, Eq)]
pub struct Response {
    /// Offset in the block.
    pub offset: u16,
    /// The bytes to store there.
    pub bytes: Vec<u8>,
    /// Whether the guest has taken an AP change with it.
    pub ap_event: bool,
}

/// Executes the request at the start of a block.
pub fn execute(css: &mut Css, request: &[u8; REQUEST_LEN]) -> Result<Response, ProgramInterrupt> {
    let length = be16(request, 0);
    if !(16..=REQUEST_MAX).contains(&length) || !length.is_multiple_of(8) {
        return Err(ProgramInterrupt::Operand);
    }
    let mut ap_event = false;
    let bytes = match (be16(request, 2), length) {
        (STORE_CHARACTERISTICS, 16) => response(CODE_OK, 4080),
        (SET_DOMAIN_ATTRIBUTES, 0x400) => response(CODE_NOT_PROVIDED, 8),
        (STORE_EVENT_INFORMATION, 16) => {
            ap_event = css.take_event();
            event(ap_event)
        }
        (STORE_CHARACTERISTICS | SET_DOMAIN_ATTRIBUTES | STORE_EVENT_INFORMATION, _) => {
            response(CODE_BAD_LENGTH, 8)
        }
        _ => response(CODE_UNKNOWN_COMMAND, 8),
    };
    Ok(Response {
        offset: length,
        bytes,
        ap_event,
    })
}

/// A response of `length` bytes, zero but for its header.
fn response(code: u16, length: u16) -> Vec<u8> {
    let mut bytes = vec![0; length.into()];
    put(&mut bytes, 0, &length.to_be_bytes());
    put(&mut bytes, 2, &code.to_be_bytes());
    bytes
}

/// Content events (type 0) cannot be masked, so the request's type mask does
/// not matter.
fn event(pending: bool) -> Vec<u8> {
    if !pending {
        return response(CODE_NO_EVENT, 8);
    }
    let mut bytes = response(CODE_OK, 12);
    put(
        &mut bytes,
        10,
        &[REPORTING_SOURCE_AP, CONTENT_CONFIGURATION_CHANGED],
    );
    bytes
}

#[cfg(test)]
mod tests {
    use super::*;

    fn call(css: &mut Css, length: u16, command: u16) -> Result<Response, ProgramInterrupt> {
        let mut request = [0; REQUEST_LEN];
        put(&mut request, 0, &length.to_be_bytes());
        put(&mut request, 2, &command.to_be_bytes());
        execute(css, &request)
    }

    fn bytes(css: &mut Css, length: u16, command: u16) -> Vec<u8> {
        let response = call(css, length, command).unwrap();
        assert_eq!(response.offset, length);
        response.bytes
    }

    #[test]
    fn event_information() {
        let mut css = Css::default();
        let _ = css.notify_ap_change();
        let event = [0, 12, 0, 1, 0, 0, 0, 0, 0, 0, 5, 3];
        assert_eq!(bytes(&mut css, 16, 0x000e), event);
        let none = [0, 8, 0, 5, 0, 0, 0, 0];
        assert_eq!(bytes(&mut css, 16, 0x000e), none);
    }

    #[test]
    fn a_malformed_event_request_takes_nothing() {
        let mut css = Css::default();
        let _ = css.notify_ap_change();
        assert_eq!(bytes(&mut css, 24, 0x000e)[..4], [0, 8, 0, 3]);
        assert!(call(&mut css, 16, 0x000e).unwrap().ap_event);
    }

    #[test]
    fn characteristics_fill_the_page() {
        let all = bytes(&mut Css::default(), 16, 0x0010);
        assert_eq!(all.len() + 16, 4096);
        assert_eq!(all[..4], [0x0f, 0xf0, 0, 1]);
        assert!(all[4..].iter().all(|&b| b == 0));
        assert_eq!(bytes(&mut Css::default(), 24, 0x0010)[..4], [0, 8, 0, 3]);
    }

    #[test]
    fn others() {
        let mut css = Css::default();
        let expected = [0, 8, 1, 1, 0, 0, 0, 0];
        assert_eq!(bytes(&mut css, 0x400, 0x0031), expected);
        assert_eq!(bytes(&mut css, 16, 0x0021)[..4], [0, 8, 0, 4]);
    }

    #[test]
    fn bad_lengths_are_operand_exceptions() {
        for length in [0, 8, 15, 17, 20, 4089, 4096, 0xffff] {
            let result = call(&mut Css::default(), length, 0x000e);
            assert_eq!(result, Err(ProgramInterrupt::Operand), "{length}");
        }
    }

    proptest::proptest! {
        #[test]
        fn no_request_leaves_the_page(request: [u8; REQUEST_LEN], pending: bool) {
            let mut css = Css::default();
            if pending {
                let _ = css.notify_ap_change();
            }
            if let Ok(response) = execute(&mut css, &request) {
                assert!(usize::from(response.offset) + response.bytes.len() <= 4096);
                assert!(response.bytes.len() >= 8);
            }
        }
    }
}
