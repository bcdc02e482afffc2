// SPDX-License-Identifier: MIT OR Apache-2.0
//! The VT220 console of the service-call processor.
//!
//! Source: Linux `drivers/s390/char/sclp_early_core.c`.

use crate::insn::{self, Page, Wake};

const WRITE_EVENT_DATA: u32 = 0x0076_0005;
const VT220: u8 = 0x1a;
const HEADERS: usize = 8 + 6;
const BUSY: u8 = 2;

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
        while insn::servc(WRITE_EVENT_DATA, self.sccb) == BUSY {}
        // the processor is busy until it has said so
        while !matches!(insn::wait(false, u64::MAX), Wake::Service(sccb) if sccb & !7 != 0) {}
    }
}
