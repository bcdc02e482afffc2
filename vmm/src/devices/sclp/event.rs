// SPDX-License-Identifier: MIT OR Apache-2.0
//! The event facility: VT220 console and the signal to shut down.
//!
//! ```text
//!   event buffer   +0 length   +2 type   +3 flags   +4 0   +6 data
//!   write mask     +10 mask length n
//!                  +12 guest receives, guest sends, we receive, we send (n each)
//! ```
//!
//! Bit 0x8000_0000 of a mask's first word stands for type 1, and so on.
//!
//! Source: Linux `struct evbuf_header`, `struct init_sccb` in
//! `drivers/s390/char/sclp.h`, `sclp_vt220.c`, `sclp_quiesce.c`.

use std::collections::VecDeque;

use super::{HEADER_LEN, code};
use crate::devices::{be16, put};

const VT220: u8 = 0x1a;
const QUIESCE: u8 = 0x1d;

const EVENT_HEADER_LEN: usize = 6;
const MASKS: usize = 12;
const MASK_MAX: usize = 1021;
/// Event flag: the event was taken.
const ACCEPTED: u8 = 0x80;
/// Control mask bit: the response may have another length than the request.
const VARIABLE_LENGTH: u8 = 0x80;
/// First byte of VT220 input: characters follow.
const SESSION_DATA: u8 = 0;
/// Quiesce data: time allowed (two bytes, zero for "as long as it takes") and
/// its unit.
const QUIESCE_DATA: [u8; 3] = [0; 3];

/// Console input kept for a guest that has not read it, or does not listen yet.
const INPUT_MAX: usize = 4096;

const fn type_bit(event_type: u8) -> u64 {
    1 << (64 - event_type as u32)
}

/// State of the facility.
#[derive(Default)]
pub(super) struct EventFacility {
    /// Types the guest receives.
    receives: u64,
    mask_len: usize,
    quiesce: bool,
    input: VecDeque<u8>,
}

impl EventFacility {
    /// Whether an event waits that the guest wants.
    pub(super) fn pending(&self) -> bool {
        self.deliverable() & self.receives != 0
    }

    /// Types with something to deliver.
    fn deliverable(&self) -> u64 {
        let quiesce = if self.quiesce { type_bit(QUIESCE) } else { 0 };
        let input = if self.input.is_empty() {
            0
        } else {
            type_bit(VT220)
        };
        quiesce | input
    }

    pub(super) fn queue_quiesce(&mut self) -> bool {
        self.quiesce = self.receives & type_bit(QUIESCE) != 0;
        self.quiesce
    }

    /// How much more input can be queued.
    pub(super) fn input_room(&self) -> usize {
        INPUT_MAX - self.input.len()
    }

    /// Returns whether the guest listens. If not, it finds the input once it does.
    pub(super) fn queue_input(&mut self, bytes: &[u8]) -> bool {
        self.input.extend(bytes.iter().take(self.input_room()));
        self.receives & type_bit(VT220) != 0
    }

    /// Write event mask.
    pub(super) fn set_masks(&mut self, sccb: &mut [u8]) -> u16 {
        let len = usize::from(be16(sccb, 10));
        if len == 0 || len > MASK_MAX {
            return code::INVALID_MASK_LENGTH;
        }
        if sccb.len() < MASKS + 4 * len {
            return code::INSUFFICIENT_LENGTH;
        }
        self.receives = load_mask(&sccb[MASKS..MASKS + len]);
        self.mask_len = len;
        store_mask(&mut sccb[MASKS + 2 * len..][..len], type_bit(VT220));
        store_mask(
            &mut sccb[MASKS + 3 * len..][..len],
            type_bit(VT220) | type_bit(QUIESCE),
        );
        code::COMPLETE
    }

    /// Write event data: console output, which is added to `output`.
    pub(super) fn write(sccb: &mut [u8], output: &mut Vec<u8>) -> u16 {
        if sccb[2] != 0 {
            return code::INVALID_FUNCTION;
        }
        let data = &mut sccb[HEADER_LEN..];
        if let Err(code) = check_events(data) {
            return code;
        }
        let mut rest = data;
        while !rest.is_empty() {
            let len = usize::from(be16(rest, 0));
            let (event, next) = rest.split_at_mut(len);
            if event[2] != VT220 {
                return code::INVALID_FUNCTION;
            }
            output.extend_from_slice(&event[EVENT_HEADER_LEN..]);
            event[3] |= ACCEPTED;
            rest = next;
        }
        code::COMPLETE
    }

    /// Read event data: quiesce and console input.
    pub(super) fn read(&mut self, sccb: &mut [u8]) -> u16 {
        if sccb.len() < 4096 {
            return code::INSUFFICIENT_LENGTH;
        }
        let wanted = match sccb[2] {
            0 => self.receives,
            // selective: a mask follows the header
            0x80 => {
                let selected = load_mask(&sccb[HEADER_LEN..][..self.mask_len.min(8)]);
                if self.receives == 0 || selected & !self.receives != 0 {
                    return code::INVALID_SELECTION;
                }
                selected
            }
            _ => return code::INVALID_FUNCTION,
        };
        let mut events = Vec::new();
        if wanted & self.deliverable() & type_bit(QUIESCE) != 0 {
            self.quiesce = false;
            push_event(&mut events, QUIESCE, &QUIESCE_DATA);
        }
        if wanted & self.deliverable() & type_bit(VT220) != 0 {
            let room = sccb.len() - HEADER_LEN - events.len() - EVENT_HEADER_LEN - 1;
            let count = room.min(self.input.len());
            let data: Vec<u8> = std::iter::once(SESSION_DATA)
                .chain(self.input.drain(..count))
                .collect();
            push_event(&mut events, VT220, &data);
        }
        if events.is_empty() {
            return code::NO_EVENTS;
        }
        put(sccb, HEADER_LEN, &events);
        if sccb[5] & VARIABLE_LENGTH != 0 {
            sccb[5] &= !VARIABLE_LENGTH;
            // at most 4096: INPUT_MAX and the room above bound it
            let length = (HEADER_LEN + events.len()) as u16;
            put(sccb, 0, &length.to_be_bytes());
        }
        code::COMPLETE
    }
}

/// The first 64 bits of a mask; what is missing counts as zero.
fn load_mask(bytes: &[u8]) -> u64 {
    let mut word = [0; 8];
    for (to, from) in word.iter_mut().zip(bytes) {
        *to = *from;
    }
    u64::from_be_bytes(word)
}

fn store_mask(slot: &mut [u8], mask: u64) {
    slot.fill(0);
    for (to, from) in slot.iter_mut().zip(mask.to_be_bytes()) {
        *to = from;
    }
}

/// Whether events fill `data` exactly.
fn check_events(mut data: &[u8]) -> Result<(), u16> {
    while !data.is_empty() {
        if data.len() < EVENT_HEADER_LEN {
            return Err(code::INCONSISTENT_LENGTHS);
        }
        let len = usize::from(be16(data, 0));
        if len < EVENT_HEADER_LEN || len > data.len() {
            return Err(code::EVENT_SYNTAX);
        }
        data = &data[len..];
    }
    Ok(())
}

fn push_event(events: &mut Vec<u8>, event_type: u8, data: &[u8]) {
    let start = events.len();
    events.resize(start + EVENT_HEADER_LEN, 0);
    // bounded by the size of a block
    let len = (EVENT_HEADER_LEN + data.len()) as u16;
    put(events, start, &len.to_be_bytes());
    put(events, start + 2, &[event_type]);
    events.extend_from_slice(data);
}
