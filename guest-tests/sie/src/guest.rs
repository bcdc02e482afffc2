// SPDX-License-Identifier: MIT OR Apache-2.0
//! A guest: storage, state description and registers, set up for a test.
//!
//! ```text
//!   guest absolute      contents
//!   0x00000             lowcore; prefix is 0
//!   0x10000 CODE        the program of the test
//!   0x20000 HANDLER     DIAG: where the guest's program interruptions end
//!   0x30000 DATA        storage for the test
//!   0xfffff             last byte; what follows is the host's
//! ```

use crate::insn::{self, Storage};
use crate::report::{Failure, expect};
use crate::sd::{CPUSTAT_ZARCH, StateDescription};

/// Where the program of a test is.
pub const CODE: u64 = 0x10000;
/// Where the guest's program interruptions go.
pub const HANDLER: u64 = 0x20000;
/// Storage for the test.
pub const DATA: u64 = 0x30000;

/// PSW mask: 64-bit mode, supervisor state, everything disabled.
pub const PSW_MASK: u64 = 0x0000_0001_8000_0000;
/// PSW mask: problem state.
pub const PSW_PROBLEM: u64 = 0x0001_0000_0000_0000;
/// PSW mask: external interruptions.
pub const PSW_EXT: u64 = 0x0100_0000_0000_0000;
/// PSW mask: I/O interruptions.
pub const PSW_IO: u64 = 0x0200_0000_0000_0000;
/// PSW mask: wait state.
pub const PSW_WAIT: u64 = 0x0002_0000_0000_0000;
/// PSW mask: dynamic address translation.
pub const PSW_DAT: u64 = 0x0400_0000_0000_0000;
/// PSW mask: program-event recording.
pub const PSW_PER: u64 = 0x4000_0000_0000_0000;

/// Ends a test: DIAG is always intercepted.
pub const DIAG: [u16; 2] = [0x8300, 0x0044];

const LC_PGM_CODE: usize = 0x8e;
const LC_PGM_OLD: usize = 0x150;
/// Where the guest's program-new PSW is.
pub const LC_PGM_NEW: usize = 0x1d0;

/// The guest.
pub struct Guest {
    storage: &'static mut Storage,
    /// General registers 0 to 13.
    pub regs: [u64; 14],
}

impl Guest {
    /// Takes the storage.
    pub fn new(storage: &'static mut Storage) -> Self {
        let mut guest = Self {
            storage,
            regs: [0; 14],
        };
        guest.reset();
        guest
    }

    /// Everything as it is at the beginning of a test.
    pub fn reset(&mut self) {
        self.storage.guest.fill(0);
        self.storage.beyond.fill(0x5a);
        self.storage.table.fill(0);
        self.storage.sd = StateDescription::new();
        self.regs = [0; 14];
        insn::load_control_1(0x20);
        let origin = self.host_address(0);
        let sd = self.sd();
        sd.cpuflags = CPUSTAT_ZARCH;
        sd.mso = origin;
        sd.msl = origin;
        sd.psw_mask = PSW_MASK;
        sd.psw_addr = CODE;
        sd.cputm = i64::MAX as u64;
        sd.ckc = u64::MAX;
        sd.ihcpu = 0xffff;
        sd.gcr[0] = 0xe0;
        sd.gcr[14] = 0xc200_0000;
        self.put_u64(LC_PGM_NEW, PSW_MASK);
        self.put_u64(LC_PGM_NEW + 8, HANDLER);
        self.put_code(HANDLER, &DIAG);
    }

    /// The state description.
    pub fn sd(&mut self) -> &mut StateDescription {
        &mut self.storage.sd
    }

    /// A page for tables that the state description names.
    pub fn table(&mut self) -> &mut [u8; 4096] {
        &mut self.storage.table
    }

    /// Its address.
    pub fn table_address(&self) -> u64 {
        self.storage.table.as_ptr() as u64
    }

    /// Address of the host's page table.
    pub fn page_table(&self) -> u64 {
        self.storage.page_table.0.as_ptr() as u64
    }

    /// Address of the state description.
    pub fn sd_address(&self) -> u64 {
        &raw const self.storage.sd as u64
    }

    /// Host address of a guest address.
    pub fn host_address(&self, guest: u64) -> u64 {
        self.storage.guest.as_ptr() as u64 + guest
    }

    /// Has the guest changed what follows its storage?
    pub fn beyond_is_intact(&self) -> bool {
        self.storage.beyond.iter().all(|&b| b == 0x5a)
    }

    /// Stores into guest storage.
    pub fn put_u64(&mut self, at: usize, value: u64) {
        self.storage.guest[at..at + 8].copy_from_slice(&value.to_be_bytes());
    }

    /// Fetches from guest storage.
    pub fn get_u64(&self, at: usize) -> u64 {
        let bytes = &self.storage.guest[at..at + 8];
        bytes.iter().fold(0, |v, &b| v << 8 | u64::from(b))
    }

    /// Stores instructions.
    pub fn put_code(&mut self, at: u64, code: &[u16]) {
        for (i, halfword) in code.iter().enumerate() {
            let at = at as usize + 2 * i;
            self.storage.guest[at..at + 2].copy_from_slice(&halfword.to_be_bytes());
        }
    }

    /// Program of the test, followed by DIAG.
    pub fn program(&mut self, code: &[u16]) {
        self.put_code(CODE, code);
        self.put_code(CODE + 2 * code.len() as u64, &DIAG);
    }

    /// Runs. Returns what [`insn::run`] does.
    pub fn run(&mut self) -> u64 {
        self.storage.sd.icptcode = 0;
        insn::run(&mut self.storage.sd, &mut self.regs)
    }

    /// Runs until an interception, which must have `code`.
    pub fn run_to(&mut self, code: u8) -> Result<(), Failure> {
        let ended = self.run();
        expect("host interruption", ended, 0u64)?;
        expect("icptcode", self.sd().icptcode, code)
    }

    /// Runs until DIAG behind a program of `halfwords`.
    pub fn run_to_end(&mut self, halfwords: usize) -> Result<(), Failure> {
        self.run_to(4)?;
        expect("ipa", self.sd().ipa, DIAG[0])?;
        expect(
            "PSW address",
            self.sd().psw_addr,
            CODE + 2 * halfwords as u64 + 4,
        )
    }

    /// Runs until the guest's own program interruption `code`.
    pub fn run_to_program_check(&mut self, code: u16) -> Result<(), Failure> {
        self.run_to(4)?;
        expect("PSW address", self.sd().psw_addr, HANDLER + 4)?;
        expect(
            "guest's interruption code",
            self.get_u64(LC_PGM_CODE - 6) & 0xffff,
            code,
        )
    }

    /// Runs into a program interruption of the host's, at the guest's instruction.
    /// Returns the page that it is for, as a host address.
    pub fn run_to_host_fault(&mut self, code: u64, at: u64) -> Result<u64, Failure> {
        let ended = self.run();
        expect("host's interruption code", ended, code)?;
        expect("icptcode", self.sd().icptcode, 0u8)?;
        expect("guest's PSW at the instruction", self.sd().psw_addr, at)?;
        Ok(insn::teid() & !0xfff)
    }

    /// Condition code of the guest.
    pub fn condition(&mut self) -> u64 {
        self.sd().psw_mask >> 44 & 3
    }

    /// Address in the guest's program-old PSW.
    pub fn program_old(&self) -> u64 {
        self.get_u64(LC_PGM_OLD + 8)
    }

    /// Lets the host translate guest storage by tables that map it to itself;
    /// `edit` may change the page table, whose index is the guest page.
    pub fn use_tables(&mut self, edit: impl FnOnce(&mut [u64; 256])) {
        let origin = self.host_address(0);
        for (i, entry) in (0u64..).zip(self.storage.page_table.0.iter_mut()) {
            *entry = origin + (i << 12);
        }
        edit(&mut self.storage.page_table.0);
        self.storage.segment_table.0.fill(0x20);
        let table = self.storage.page_table.0.as_ptr() as u64;
        self.storage.segment_table.0[(origin >> 20) as usize] = table;
        insn::load_control_1(self.asce());
        insn::purge_tlb();
    }

    /// Lets the guest translate by tables of its own: see [`Guest::space`].
    pub fn use_guest_tables(&mut self, page: u64) {
        self.sd().gcr[1] = self.space(0, page);
        self.sd().psw_mask |= PSW_DAT;
    }

    /// Makes the guest tables for an address space, one of a few. Virtual is real,
    /// but for page 5, which is `page`. For the first one, the segment table is at
    /// 0x50000 and the page table at 0x60000; each other has them a page behind.
    /// Returns the address-space-control element.
    pub fn space(&mut self, number: usize, page: u64) -> u64 {
        let [segments, pages] = [0x50000, 0x60000].map(|at| at + 0x1000 * number);
        self.put_u64(segments, pages as u64);
        for i in 0..256 {
            self.put_u64(pages + 8 * i, (i as u64) << 12);
        }
        self.put_u64(pages + 8 * 5, page);
        segments as u64
    }

    /// Changes an entry of the host's page table; tells nobody.
    pub fn change_page(&mut self, page: usize, frame: u64) {
        self.storage.page_table.0[page] = frame;
    }

    /// Clears all translations by the host's tables.
    pub fn clear_by_asce(&self) {
        insn::clear_by_asce(self.asce());
    }

    /// Designates the host's tables.
    pub fn asce(&self) -> u64 {
        self.storage.segment_table.0.as_ptr() as u64 | 3
    }

    /// Lets the host's segment table map all of the guest's storage by one
    /// entry, with these bits.
    pub fn use_frame(&mut self, bits: u64) {
        self.use_segment(0, self.host_address(0) | bits);
    }

    /// Lets it map what follows that storage likewise.
    pub fn use_second_frame(&mut self, bits: u64) {
        let at = insn::GUEST_SIZE as u64;
        self.use_segment(1, self.host_address(at) | bits);
    }

    /// Lets it do so by the page table.
    pub fn use_pages(&mut self, bits: u64) {
        self.use_segment(0, self.page_table() | bits);
    }

    fn use_segment(&mut self, number: u64, entry: u64) {
        let index = (self.host_address(0) >> 20) + number;
        self.storage.segment_table.0[index as usize] = entry;
        insn::purge_tlb();
    }

    /// Lets the tables map host virtual 0, too, for guests without origin.
    pub fn map_low(&mut self) {
        self.storage.segment_table.0[0] = self.page_table();
    }

    /// Lets the tables map the page of a host fault as they should.
    pub fn map_page(&mut self, teid: u64) {
        let page = teid >> 12 & 0xff;
        self.storage.page_table.0[page as usize] = self.host_address(page << 12);
    }

    /// A sum over all that the host has next to the state description and no
    /// guest may change.
    pub fn table_sum(&self) -> u64 {
        let step = |sum: u64, value: u64| (sum ^ value).wrapping_mul(0x100_0000_01b3);
        let bytes = self.storage.unused.iter().chain(&self.storage.table);
        let sum = bytes.fold(0, |sum, &b| step(sum, u64::from(b)));
        let segments = &self.storage.segment_table.0;
        segments.iter().fold(sum, |sum, &entry| step(sum, entry))
    }
}
