// SPDX-License-Identifier: MIT OR Apache-2.0
//! Everything unsafe: instructions, the start-up code's routines, and the
//! storage that is given out once.

use crate::sd::{CPUSTAT_STOP_INT, CPUSTAT_ZARCH, StateDescription};
use core::arch::{asm, global_asm};
use core::sync::atomic::{AtomicBool, AtomicU32, AtomicU64, Ordering};

global_asm!(
    include_str!("../../bare-metal/entry.S"),
    include_str!("head.S")
);

unsafe extern "C" {
    fn sie_run(sd: *mut StateDescription, regs: *mut [u64; 14]) -> u64;
    fn sie_probe(address: u64) -> u64;
    fn svc_probe(mask: u64) -> u64;
    fn sckpf_probe() -> u64;
    fn lowcore_probe() -> u64;
    fn pfmf_probe(function: u64, address: u64) -> u64;
    fn wait_external();
}

/// Size of the guest's storage: the unit of origin and limit.
pub const GUEST_SIZE: usize = 1 << 20;

/// Storage that a guest runs in, with its neighbours.
#[repr(C, align(1048576))]
pub struct Storage {
    /// Storage that belongs to the guest.
    pub guest: [u8; GUEST_SIZE],
    /// What follows it, which is the host's.
    pub beyond: [u8; GUEST_SIZE],
    /// The state description.
    pub sd: StateDescription,
    /// What follows it on its page.
    pub unused: [u8; 3584],
    /// A page for tables that the state description names.
    pub table: [u8; 4096],
    /// Host page table.
    pub page_table: PageTable,
    /// Host segment table.
    pub segment_table: SegmentTable,
}

/// 256 entries for 1 MiB.
#[repr(C, align(4096))]
pub struct PageTable(pub [u64; 256]);

/// 2,048 entries for 2 GiB.
#[repr(C, align(16384))]
pub struct SegmentTable(pub [u64; 2048]);

/// A page for requests to the service-call processor.
#[repr(C, align(4096))]
struct Page([u8; 4096]);

/// A page for the console, and the storage of the guest. Returns them once.
pub fn take_storage() -> Option<(&'static mut [u8; 4096], &'static mut Storage)> {
    static TAKEN: AtomicBool = AtomicBool::new(false);
    static mut CONSOLE: Page = Page([0; 4096]);
    static mut STORAGE: Storage = Storage {
        guest: [0; GUEST_SIZE],
        beyond: [0; GUEST_SIZE],
        sd: StateDescription::new(),
        unused: [0; 3584],
        table: [0; 4096],
        page_table: PageTable([0; 256]),
        segment_table: SegmentTable([0; 2048]),
    };

    if TAKEN.swap(true, Ordering::AcqRel) {
        return None;
    }
    let console = &raw mut CONSOLE;
    let storage = &raw mut STORAGE;
    // SAFETY: TAKEN was false, so this is the only reference ever made.
    let console = unsafe { &mut *console };
    // SAFETY: likewise.
    let storage = unsafe { &mut *storage };
    Some((&mut console.0, storage))
}

/// Runs the guest until SIE ends. Returns 0 for an interception, a program
/// interruption code, or an external one in the upper word.
pub fn run(sd: &mut StateDescription, regs: &mut [u64; 14]) -> u64 {
    // SAFETY: sie_run keeps the registers that the ABI wants kept; the guest
    // reaches only what `sd` and control register 1 give it, which callers
    // keep to Storage::guest.
    unsafe { sie_run(sd, regs) }
}

/// [`run`] for a state description that the caller has been lent.
pub fn run_at(sd: usize) -> u64 {
    let sd = core::ptr::with_exposed_provenance_mut(sd);
    let mut regs = [0; 14];
    // SAFETY: as in `run`; the lender does not use `sd` until this returns.
    unsafe { sie_run(sd, &raw mut regs) }
}

/// Sets the CPU timer.
pub fn set_cpu_timer(value: u64) {
    // SAFETY: fetches 8 bytes from `value`; interruptions by it are disabled.
    unsafe { asm!("spt 0({0})", in(reg_addr) &raw const value, options(nostack)) }
}

/// The CPU timer.
pub fn cpu_timer() -> u64 {
    let mut value = 0u64;
    // SAFETY: stores 8 bytes into `value`.
    unsafe { asm!("stpt 0({0})", in(reg_addr) &raw mut value, options(nostack)) }
    value
}

/// SIE at an address where no state description can be. Returns the program
/// interruption code.
pub fn probe(address: u64) -> u64 {
    // SAFETY: the instruction ends in a program interruption that sie_probe
    // expects; if it does not, it enters nothing but a malformed guest.
    unsafe { sie_probe(address) }
}

/// SVC that loads a PSW with this mask, which must not be valid. Returns the
/// program interruption code.
pub fn probe_svc(mask: u64) -> u64 {
    // SAFETY: svc_probe expects the program interruption; without it, it goes
    // on by the PSW that it has made.
    unsafe { svc_probe(mask) }
}

/// SCKPF with an operand that it refuses, and a register, changed just before.
/// Returns the register's value, which should be 2, and the interruption code.
pub fn probe_sckpf() -> (u64, u64) {
    // SAFETY: sckpf_probe expects the program interruption.
    let result = unsafe { sckpf_probe() };
    (result >> 32, result & 0xffff)
}

/// Calls code in the lowcore: as it was stored, after a store into it, and
/// after one beside it; then stores into what low-address protection covers.
/// Returns what the calls returned, a byte each, and the interruption code.
pub fn probe_lowcore() -> (u64, u64) {
    // SAFETY: lowcore_probe expects the program interruption, and stores into
    // a part of the lowcore that nothing else uses.
    let result = unsafe { lowcore_probe() };
    (result >> 32, result & 0xffff)
}

/// PERFORM FRAME MANAGEMENT FUNCTION. Returns the address that it leaves.
pub fn pfmf(function: u64, mut address: u64) -> u64 {
    // SAFETY: clears, or changes keys of, storage that callers have from Guest.
    unsafe {
        asm!(".insn rre,0xb9af0000,{0},{1}", in(reg) function, inout(reg) address,
             options(nostack));
    }
    address
}

/// The same where it must end in a program interruption, whose code is returned.
pub fn probe_pfmf(function: u64, address: u64) -> u64 {
    // SAFETY: pfmf_probe expects the program interruption.
    unsafe { pfmf_probe(function, address) }
}

/// SET STORAGE KEY EXTENDED for all pages up to the next MiB. Returns the address
/// that it leaves.
pub fn set_keys(key: u64, mut address: u64) -> u64 {
    // SAFETY: keys are not checked: this program runs with key 0.
    unsafe {
        asm!("sske {0},{1},1", in(reg) key, inout(reg) address, options(nostack));
    }
    address
}

/// Storage key of a page.
pub fn storage_key(address: u64) -> u8 {
    let mut key = 0u64;
    // SAFETY: reads the key of a page.
    unsafe { asm!("iske {0},{1}", inout(reg) key, in(reg) address, options(nostack)) }
    key as u8
}

fn control_0(bits: u64, on: bool) {
    let mut value = 0u64;
    // SAFETY: stores 8 bytes, into `value`.
    unsafe { asm!("stctg %c0,%c0,0({0})", in(reg_addr) &raw mut value, options(nostack)) }
    let value = if on { value | bits } else { value & !bits };
    // SAFETY: the callers' bits matter to DAT, which is off, and to stores into
    // the lowcore, which this program makes in probes only.
    unsafe { asm!("lctlg %c0,%c0,0({0})", in(reg_addr) &raw const value, options(nostack)) }
}

/// Lets segment-table entries have frames, in what SIE walks for the host.
pub fn enhance_dat(on: bool) {
    control_0(0x80_0000, on);
}

/// Low-address protection.
pub fn protect_low_addresses(on: bool) {
    control_0(0x1000_0000, on);
}

/// PSW that was stored by the last program interruption: its mask.
pub fn program_old_mask() -> u64 {
    let value: u64;
    // SAFETY: fetches a doubleword of the lowcore.
    unsafe { asm!("lg {0},0x150", out(reg) value, options(nostack)) }
    value
}

/// A program interruption whose new PSW is not valid, so that it never ends:
/// the machine has crashed.
pub fn crash() -> ! {
    // SAFETY: nothing runs after it.
    unsafe { asm!("oi 0x1d0,0x80", ".short 0", options(noreturn)) }
}

/// Translation exception identification of the last host access exception.
pub fn teid() -> u64 {
    let value: u64;
    // SAFETY: fetches a doubleword of the lowcore.
    unsafe { asm!("lg {0},0xa8", out(reg) value, options(nostack)) }
    value
}

/// Lets SIE translate guest storage by `asce`.
pub fn load_control_1(asce: u64) {
    // SAFETY: this program runs without DAT: the register matters to SIE only.
    unsafe { asm!("lctlg %c1, %c1, 0({0})", in(reg_addr) &raw const asce, options(nostack)) }
}

/// Purges translations.
pub fn purge_tlb() {
    // SAFETY: has no effect on storage or registers.
    unsafe { asm!("ptlb", options(nostack)) }
}

/// INVALIDATE DAT TABLE ENTRY: clears all translations by `asce`.
pub fn clear_by_asce(asce: u64) {
    // SAFETY: has no effect on storage or registers.
    unsafe {
        asm!(".insn rrf,0xb98e0000,{0},{1},{2},0", in(reg) 0u64, in(reg) 0x800u64,
             in(reg) asce, options(nostack));
    }
}

/// The TOD clock.
pub fn tod() -> u64 {
    let mut value = 0u64;
    // SAFETY: stores 8 bytes, into `value`.
    unsafe { asm!("stckf 0({0})", in(reg_addr) &raw mut value, options(nostack)) }
    value
}

/// Sets the clock comparator.
pub fn set_clock_comparator(value: u64) {
    // SAFETY: interruptions by it are enabled in sie_run only, which expects
    // them; callers set it to never again.
    unsafe { asm!("sckc 0({0})", in(reg_addr) &raw const value, options(nostack)) }
}

/// The clock comparator.
pub fn clock_comparator() -> u64 {
    let mut value = 0u64;
    // SAFETY: stores 8 bytes, into `value`.
    unsafe { asm!("stckc 0({0})", in(reg_addr) &raw mut value, options(nostack)) }
    value
}

/// SERVICE CALL. Returns the condition code.
pub fn servc(command: u32, sccb: &mut [u8; 4096]) -> u8 {
    let cc: u64;
    // SAFETY: the block is writable for its whole length until the service
    // signal, for which the caller waits while it holds the reference.
    unsafe {
        asm!(".insn rre,0xb2200000,{0},{1}", "ipm {2}", "srl {2},28",
             in(reg) command, in(reg) sccb.as_mut_ptr(), out(reg) cc, options(nostack));
    }
    cc as u8
}

/// Waits for one external interruption.
pub fn wait() {
    // SAFETY: returns after the interruption with all kept registers.
    unsafe { wait_external() }
}

/// SIGP. Returns the condition code.
pub fn sigp(cpu: u16, order: u8) -> u8 {
    let cc: u64;
    // SAFETY: the orders used here start or stop the other CPU only, whose
    // code shares nothing with this but atomics.
    unsafe {
        asm!("sigp 0,{0},0({1})", "ipm {2}", "srl {2},28",
             in(reg) u64::from(cpu), in(reg_addr) u64::from(order), out(reg) cc,
             out("r0") _, out("r1") _, options(nostack));
    }
    (cc & 3) as u8
}

/// Ends the machine: quiesce.
pub fn power_off() -> ! {
    // SAFETY: the PSW is a disabled wait with the address that QEMU takes as
    // shutdown; nothing runs after it.
    unsafe {
        asm!("lpswe 0({0})", in(reg_addr) &raw const OFF, options(noreturn));
    }
}

#[repr(align(8))]
struct Psw {
    #[expect(dead_code, reason = "read by the machine")]
    mask: u64,
    #[expect(dead_code, reason = "read by the machine")]
    address: u64,
}
static OFF: Psw = Psw {
    mask: 0x0002_0001_8000_0000,
    address: 0xfff,
};

static HALT: Psw = Psw {
    mask: 0x0002_0001_8000_0000,
    address: 0x2b,
};

/// How to make a request: by an atomic operation, or by plain stores of a byte,
/// of a byte and its old value, of a word, of a doubleword, and of one operand
/// in storage.
pub const WAYS: u32 = 6;

/// Makes a stop request in the state description at `sd`, where `cpuflags` is
/// else as it was for a new guest, in one of [`WAYS`].
pub fn stop_request(sd: usize, way: u32) {
    let flags: u32 = CPUSTAT_ZARCH | CPUSTAT_STOP_INT;
    // SAFETY: as in `request`; the guest's prefix, in the doubleword, is 0.
    unsafe {
        match way {
            0 => request(sd, CPUSTAT_STOP_INT),
            1 => asm!("mvi 0({0}),4", in(reg_addr) sd, options(nostack)),
            2 => asm!("oi 0({0}),4", in(reg_addr) sd, options(nostack)),
            3 => asm!("st {1},0({0})", in(reg_addr) sd, in(reg) flags, options(nostack)),
            4 => {
                let both = u64::from(flags) << 32;
                asm!("stg {1},0({0})", in(reg_addr) sd, in(reg) both, options(nostack));
            }
            _ => {
                let from = &raw const flags;
                asm!("mvc 0(4,{0}),0({1})", in(reg_addr) sd, in(reg_addr) from, options(nostack));
            }
        }
    }
}

/// Makes a stop request and is done: this CPU waits for good.
pub fn stop_request_and_halt(sd: usize) -> ! {
    // SAFETY: as in `request`; nothing of this CPU runs until it is started anew.
    unsafe {
        asm!("mvi 0({0}),4", "lpswe 0({1})",
             in(reg_addr) sd, in(reg_addr) &raw const HALT, options(noreturn));
    }
}

/// Sets bits of `cpuflags` of the state description at `sd`.
pub fn request(sd: usize, bits: u32) {
    // SAFETY: callers pass the address of the state description, which is
    // static; the first CPU is inside sie_run, which it has been given to.
    let flags = unsafe { &*core::ptr::with_exposed_provenance::<AtomicU32>(sd) };
    flags.fetch_or(bits, Ordering::AcqRel);
}

/// What `cpuflags` of a state description is, while another CPU may change it.
pub fn requests(sd: usize) -> u32 {
    // SAFETY: as in `request`.
    let flags = unsafe { &*core::ptr::with_exposed_provenance::<AtomicU32>(sd) };
    flags.load(Ordering::Acquire)
}

/// A doubleword that a guest or another CPU may change meanwhile.
pub fn doubleword(at: usize) -> &'static AtomicU64 {
    // SAFETY: callers pass the address of an aligned doubleword of Storage, which is
    // static and which the first CPU has given to sie_run.
    unsafe { &*core::ptr::with_exposed_provenance(at) }
}

/// INVALIDATE PAGE TABLE ENTRY.
pub fn invalidate_page(table: usize, address: u64) {
    // SAFETY: sets the invalid bit of an entry; callers pass a page table that
    // only SIE uses, and this program runs without DAT.
    unsafe { asm!("ipte {0},{1}", in(reg) table, in(reg) address, options(nostack)) }
}

/// Stores a word of the state description at `sd` while SIE may use it.
pub fn disturb(sd: usize, offset: usize, value: u32) {
    // SAFETY: as in `request`; `offset` is that of a word.
    let word = unsafe { &*core::ptr::with_exposed_provenance::<AtomicU32>(sd + offset) };
    word.store(value, Ordering::Relaxed);
}

/// Makes an entry of the host's page table valid again, for `frame`.
pub fn validate_page(table: usize, page: u64, frame: u64) {
    let entry = core::ptr::with_exposed_provenance_mut::<u64>(table + 8 * page as usize);
    // SAFETY: the entry of a page table that only SIE uses.
    unsafe { entry.write_volatile(frame) }
}

/// The command line.
pub fn command_line() -> &'static [u8] {
    const LENGTH: usize = 4096;
    let address: *const [u8; LENGTH];
    // SAFETY: takes the address of a symbol of entry.S.
    unsafe { asm!("larl {}, command_line", out(reg) address) };
    // SAFETY: the symbol has that length; only the loader writes there.
    let bytes = unsafe { &*address };
    let end = bytes.iter().position(|&b| b == 0).unwrap_or(LENGTH);
    &bytes[..end]
}

/// Registers of the host that SIE saves and brings back.
#[derive(PartialEq, Eq)]
pub struct HostState {
    control: [u64; 16],
    prefix: u32,
    clock_comparator: u64,
    psw_mask: u64,
}

impl HostState {
    /// As they are.
    pub fn now() -> Self {
        let mut control = [0u64; 16];
        let mut prefix = 0u32;
        let (high, low): (u64, u64);
        // SAFETY: stores 128 bytes, into `control`.
        unsafe {
            asm!("stctg %c0,%c15,0({0})", in(reg_addr) control.as_mut_ptr(), options(nostack))
        }
        // SAFETY: stores 4 bytes, into `prefix`.
        unsafe { asm!("stpx 0({0})", in(reg_addr) &raw mut prefix, options(nostack)) }
        // SAFETY: changes the two registers only.
        unsafe { asm!("epsw {0},{1}", out(reg) high, out(reg) low, options(nostack)) }
        // without the condition code
        let psw_mask = (high << 32 | low & 0xffff_ffff) & !(3 << 44);
        Self {
            control,
            prefix,
            clock_comparator: clock_comparator(),
            psw_mask,
        }
    }
}

/// Storage of the host that nothing changes: a pattern in what is not used,
/// the program and its constants, and the lowcore outside interruptions.
pub struct Canary {
    program: u64,
}

/// Unused storage that gets a pattern.
const PATTERN: core::ops::Range<usize> = 32 << 20..64 << 20;

impl Canary {
    /// Stores the pattern.
    pub fn plant() -> Self {
        for at in PATTERN.step_by(8) {
            // SAFETY: the machine has 128 MiB, and the program ends below 16.
            unsafe {
                core::ptr::with_exposed_provenance_mut::<u64>(at).write_volatile(!(at as u64))
            }
        }
        Self { program: sums() }
    }

    /// Is all as it was?
    pub fn intact(&self) -> bool {
        let pattern = PATTERN.step_by(8).all(|at| fetch(at) == !(at as u64));
        pattern && sums() == self.program
    }
}

fn fetch(at: usize) -> u64 {
    // SAFETY: an aligned doubleword of existing storage.
    unsafe { core::ptr::with_exposed_provenance::<u64>(at).read_volatile() }
}

fn sums() -> u64 {
    let end: usize;
    // SAFETY: takes the address of a symbol of the linker script.
    unsafe { asm!("larl {}, read_only_end", out(reg) end) };
    let program = (0x1_0000..end).step_by(8);
    let lowcore = (0x1a0..0x2000).step_by(8);
    program.chain(lowcore).fold(0, |sum: u64, at| {
        (sum ^ fetch(at)).wrapping_mul(0x100_0000_01b3)
    })
}
