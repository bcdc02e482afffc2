// SPDX-License-Identifier: MIT OR Apache-2.0
//! The VT220 console of the service-call processor, and its signal to end.
//!
//! Source: Linux `drivers/s390/char/sclp_early_core.c`, `sclp_vt220.c`,
//! `sclp_quiesce.c`, `struct init_sccb` in `sclp.h`.

use crate::insn::{self, Page, Wake};

const READ_EVENT_DATA: u32 = 0x0077_0005;
const WRITE_EVENT_DATA: u32 = 0x0076_0005;
const WRITE_EVENT_MASK: u32 = 0x0078_0005;
const VT220: u8 = 0x1a;
const QUIESCE: u8 = 0x1d;
const HEADER: usize = 8;
const EVENT_HEADER: usize = 6;
const HEADERS: usize = HEADER + EVENT_HEADER;
const BUSY: u8 = 2;
/// Control mask: the answer says how long it is.
const VARIABLE_LENGTH: u8 = 0x80;
const COMPLETE: [u8; 2] = [0, 0x20];
/// First byte of VT220 input: characters follow.
const SESSION_DATA: u8 = 0;

/// The bit of an event type in a mask of 32 bits.
const fn bit(event_type: u8) -> u32 {
    1 << (32 - event_type as u32)
}

/// What came in.
pub enum Input<'a> {
    /// Characters.
    Bytes(&'a [u8]),
    /// The guest is to end.
    End,
}

/// The console.
pub struct Console {
    sccb: &'static mut Page,
}

impl Console {
    /// Uses `sccb` for its requests.
    pub fn new(sccb: &'static mut Page) -> Self {
        Self { sccb }
    }

    /// Prints bytes.
    pub fn print(&mut self, bytes: &[u8]) {
        for chunk in bytes.chunks(4096 - HEADERS) {
            self.print_chunk(chunk);
        }
    }

    fn print_chunk(&mut self, chunk: &[u8]) {
        let block = &mut self.sccb.0;
        block[..HEADERS].fill(0);
        // at most a page
        let event_len = (6 + chunk.len()) as u16;
        block[..2].copy_from_slice(&(8 + event_len).to_be_bytes());
        block[8..10].copy_from_slice(&event_len.to_be_bytes());
        block[10] = VT220;
        block[HEADERS..HEADERS + chunk.len()].copy_from_slice(chunk);
        self.execute(WRITE_EVENT_DATA);
    }

    /// Asks for input and the signal to end.
    pub fn listen(&mut self) {
        const LENGTH: u8 = 28;
        let block = &mut self.sccb.0;
        block[..usize::from(LENGTH)].fill(0);
        block[1] = LENGTH;
        block[11] = 4; // length of each of the four masks that follow
        block[12..16].copy_from_slice(&(bit(VT220) | bit(QUIESCE)).to_be_bytes());
        block[16..20].copy_from_slice(&bit(VT220).to_be_bytes());
        self.execute(WRITE_EVENT_MASK);
    }

    /// Fetches what came in.
    pub fn read(&mut self, mut take: impl FnMut(Input<'_>)) {
        let block = &mut self.sccb.0;
        block[..HEADER].fill(0);
        block[0] = 0x10; // a page
        block[5] = VARIABLE_LENGTH;
        self.execute(READ_EVENT_DATA);
        let block = &self.sccb.0;
        if block[6..8] != COMPLETE {
            return;
        }
        let length = usize::from(u16::from_be_bytes([block[0], block[1]]));
        let mut rest = block.get(HEADER..length).unwrap_or(&[]);
        while let [high, low, kind, _, _, _, data @ ..] = rest {
            let length = usize::from(u16::from_be_bytes([*high, *low]));
            let Some(data) = length.checked_sub(EVENT_HEADER).and_then(|n| data.get(..n)) else {
                break;
            };
            match (*kind, data) {
                (VT220, [SESSION_DATA, bytes @ ..]) => take(Input::Bytes(bytes)),
                (QUIESCE, _) => take(Input::End),
                _ => {}
            }
            rest = &rest[length..];
        }
    }

    fn execute(&mut self, command: u32) {
        while insn::servc(command, self.sccb) == BUSY {}
        // the processor is busy until it has said so
        while !matches!(insn::wait(false, u64::MAX), Wake::Service(sccb) if sccb & !7 != 0) {}
    }
}
