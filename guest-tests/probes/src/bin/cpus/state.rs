// SPDX-License-Identifier: MIT OR Apache-2.0
//! What outlives a reset: words of storage outside the image, which the first
//! start finds zero.

use crate::insn::Page;
use core::ptr;

const BASE: usize = 0x8000;

/// A doubleword of storage that no Rust object is in.
#[derive(Clone, Copy)]
pub struct Word(usize);

/// Which reset comes next; 0 at the first start.
pub const PHASE: Word = Word(BASE);
/// Tests so far.
pub const TESTS: Word = Word(BASE + 8);
/// Those that failed.
pub const FAILURES: Word = Word(BASE + 0x10);
/// GR9 right after a reset.
pub const GR9: Word = Word(BASE + 0x20);
/// CR0 right after a reset.
pub const CR0: Word = Word(BASE + 0x28);
/// What the second CPU counts.
pub const COUNT: Word = Word(BASE + 0x100);
/// Where a status is stored: 512 bytes.
pub const STATUS: Word = Word(BASE + 0x400);
/// Where vector registers are stored: 1 KiB.
pub const VECTORS: Word = Word(BASE + 0x800);
/// Another prefix area.
pub const PREFIX: Word = Word(0xa000);
/// The PSW that a reset continues at, in its short form.
pub const LOAD_PSW: Word = Word(0);
/// Where a restart interruption stores the PSW.
pub const RESTART_OLD_PSW: Word = Word(0x120);
/// Where it takes the next from.
pub const RESTART_NEW_PSW: Word = Word(0x1a0);
/// Where a CPU that stops stores its status, if it is to: an absolute address.
pub const ASSIGNED: Word = Word(0x1200);

/// A page for the console, once a start.
pub fn page() -> &'static mut Page {
    const PAGE: usize = 0xc000;
    // SAFETY: it is storage outside the image; who had it before, a reset has
    // ended.
    unsafe { &mut *ptr::with_exposed_provenance_mut(PAGE) }
}

impl Word {
    /// The one so many bytes further.
    pub const fn plus(self, bytes: usize) -> Self {
        Self(self.0 + bytes)
    }

    /// Where it is.
    pub const fn address(self) -> u64 {
        self.0 as u64
    }

    /// What is in it.
    pub fn get(self) -> u64 {
        // SAFETY: it is storage, and Rust keeps no objects there.
        unsafe { ptr::read_volatile(ptr::with_exposed_provenance(self.0)) }
    }

    /// Puts something into it.
    pub fn set(self, value: u64) {
        // SAFETY: as in `get`.
        unsafe { ptr::write_volatile(ptr::with_exposed_provenance_mut(self.0), value) }
    }
}
