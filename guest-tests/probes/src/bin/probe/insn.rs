// SPDX-License-Identifier: MIT OR Apache-2.0
//! Instructions the compiler does not know, and the lowcore: all unsafe code.
//!
//! An instruction that may fail is surrounded by a change of the program-new
//! PSW: a program interruption goes on right behind it and its code becomes
//! an error. Interrupts are taken only in [`wait`], which they end; so no
//! handler runs beside other code.
//!
//! Storage is addressed absolutely: no translation, prefix zero.
//!
//! Source: z/Architecture Principles of Operation; AP instructions: Linux
//! `arch/s390/include/asm/ap.h`.

use core::arch::{asm, global_asm};
use core::cell::UnsafeCell;
use core::ptr;
use core::sync::atomic::{AtomicBool, Ordering};

global_asm!(
    include_str!("../../../../bare-metal/entry.S"),
    include_str!("head.S"),
    probe_main = sym crate::probe_main,
    program_check = sym crate::program_check,
);

/// A program interruption code.
pub type Interruption = u16;

const LC_EXT_PARAMETER: usize = 0x80;
const LC_EXT_CODE: usize = 0x86;
const LC_PGM_CODE: usize = 0x8e;
const LC_PGM_OLD_ADDRESS: usize = 0x158;

/// A page of storage.
#[repr(C, align(4096))]
pub struct Page(pub [u8; 4096]);

struct Pages(UnsafeCell<[Page; 2]>);

// SAFETY: handed out once, see `take_pages`.
unsafe impl Sync for Pages {}

static PAGES: Pages = Pages(UnsafeCell::new([Page([0; 4096]), Page([0; 4096])]));
static TAKEN: AtomicBool = AtomicBool::new(false);

/// Two pages, the first time.
pub fn take_pages() -> Option<&'static mut [Page; 2]> {
    if TAKEN.swap(true, Ordering::Relaxed) {
        return None;
    }
    // SAFETY: the flag makes this the only reference there will be.
    Some(unsafe { &mut *PAGES.0.get() })
}

/// Length of the parameter area's command line.
const LINE_MAX: usize = 4096;

/// The command line, up to its NUL.
pub fn boot_line() -> &'static [u8] {
    let address: *const [u8; LINE_MAX];
    // SAFETY: takes the address of a symbol of entry.S.
    unsafe { asm!("larl {}, command_line", out(reg) address) };
    // SAFETY: the symbol has that length; only the loader writes there.
    let bytes = unsafe { &*address };
    let end = bytes.iter().position(|&b| b == 0).unwrap_or(bytes.len());
    &bytes[..end]
}

/// A halfword of the lowcore.
fn lowcore16(at: usize) -> u16 {
    // SAFETY: the lowcore is storage, and Rust keeps no objects there.
    unsafe { ptr::read_volatile(ptr::with_exposed_provenance(at)) }
}

/// A word of the lowcore.
fn lowcore32(at: usize) -> u32 {
    // SAFETY: as in `lowcore16`.
    unsafe { ptr::read_volatile(ptr::with_exposed_provenance(at)) }
}

/// Code and address of the last program interruption.
pub fn last_program_check() -> (Interruption, u64) {
    // SAFETY: as in `lowcore16`.
    let address =
        unsafe { ptr::read_volatile(ptr::with_exposed_provenance::<u64>(LC_PGM_OLD_ADDRESS)) };
    (lowcore16(LC_PGM_CODE), address)
}

/// Runs one instruction with its registers; `%r12` becomes the program
/// interruption code or 0, `%r13` the condition code in bits 34-35.
macro_rules! guarded {
    ($insn:literal, $($operands:tt)*) => {
        asm!(
            "larl %r12, 2f",
            "stg %r12, 0x1d8",
            $insn,
            "ipm %r13",
            "lghi %r12, 0",
            "j 3f",
            "2: llgh %r12, 0x8e",
            "lghi %r13, 0",
            "3: larl %r10, unexpected_program_check",
            "stg %r10, 0x1d8",
            out("r10") _,
            $($operands)*
        )
    };
}

/// `Err` of a non-zero interruption code, else the condition code.
fn finish(interruption: u64, ipm: u64) -> Result<u8, Interruption> {
    match interruption {
        0 => Ok((ipm >> 28) as u8 & 3),
        code => Err(code as u16),
    }
}

/// Registers after PQAP.
pub struct Pqap {
    /// Condition code.
    pub cc: u8,
    /// GR1: the queue status.
    pub gr1: u64,
    /// GR2: information.
    pub gr2: u64,
}

/// PQAP, for functions that use no storage.
pub fn pqap(gr0: u64, gr1: u64) -> Result<Pqap, Interruption> {
    let (status, info, code, ipm): (u64, u64, u64, u64);
    // SAFETY: of the functions callers in this program use (TAPQ, ZAPQ),
    // none touches storage.
    unsafe {
        guarded!(
            ".insn rre,0xb2af0000,%r0,%r0",
            inout("r0") gr0 => _, inout("r1") gr1 => status, inout("r2") 0_u64 => info,
            out("r12") code, out("r13") ipm,
        );
    }
    let cc = finish(code, ipm)?;
    Ok(Pqap {
        cc,
        gr1: status,
        gr2: info,
    })
}

/// PQAP(QCI): fills the block.
pub fn qci(gr0: u64, block: &mut QciBlock) -> Result<u8, Interruption> {
    let address = ptr::from_mut(block).expose_provenance() as u64;
    let (code, ipm): (u64, u64);
    // SAFETY: the function stores 128 bytes at the address in GR2, which is
    // exclusively borrowed; `gr0` asks for this function.
    unsafe {
        guarded!(
            ".insn rre,0xb2af0000,%r0,%r0",
            inout("r0") gr0 => _, inout("r1") 0_u64 => _, inout("r2") address => _,
            out("r12") code, out("r13") ipm,
        );
    }
    finish(code, ipm)
}

/// Where QCI stores.
#[repr(C, align(8))]
pub struct QciBlock(pub [u8; ap_arch::QCI_LEN]);

/// NQAP of a whole message: condition code and GR1.
pub fn nqap(gr0: u64, psmid: (u64, u64), message: &[u8]) -> Result<(u8, u64), Interruption> {
    let address = message.as_ptr().expose_provenance() as u64;
    let length = message.len() as u64;
    let (status, code, ipm): (u64, u64, u64);
    // SAFETY: reads the message, which is borrowed.
    unsafe {
        guarded!(
            ".insn rre,0xb2ad0000,%r4,%r6",
            inout("r0") gr0 => _, inout("r1") 0_u64 => status,
            inout("r4") psmid.0 => _, inout("r5") psmid.1 => _,
            inout("r6") address => _, inout("r7") length => _,
            out("r12") code, out("r13") ipm,
        );
    }
    Ok((finish(code, ipm)?, status))
}

/// Registers after DQAP.
pub struct Dqap {
    /// Condition code.
    pub cc: u8,
    /// GR1: the queue status.
    pub gr1: u64,
    /// The message identifier's register pair.
    pub psmid: (u64, u64),
    /// Bytes stored.
    pub stored: usize,
}

/// DQAP of a whole reply.
pub fn dqap(gr0: u64, buffer: &mut [u8]) -> Result<Dqap, Interruption> {
    let address = buffer.as_mut_ptr().expose_provenance() as u64;
    let length = buffer.len() as u64;
    let (status, high, low, left, code, ipm): (u64, u64, u64, u64, u64, u64);
    // SAFETY: stores at most `length` bytes into the buffer, which is
    // exclusively borrowed.
    unsafe {
        guarded!(
            ".insn rre,0xb2ae0000,%r4,%r6",
            inout("r0") gr0 => _, inout("r1") 0_u64 => status, inout("r2") 0_u64 => _,
            inout("r4") 0_u64 => high, inout("r5") 0_u64 => low,
            inout("r6") address => _, inout("r7") length => left,
            out("r12") code, out("r13") ipm,
        );
    }
    Ok(Dqap {
        cc: finish(code, ipm)?,
        gr1: status,
        psmid: (high, low),
        stored: buffer.len() - left.min(length) as usize,
    })
}

/// The first 256 facilities.
pub fn stfle() -> [u64; 4] {
    let mut list = [0_u64; 4];
    let count = list.len() as u64 - 1;
    // SAFETY: stores at most as many doublewords as GR0 + 1 says.
    unsafe {
        asm!(
            ".insn s,0xb2b00000,0({list})",
            list = in(reg_addr) list.as_mut_ptr(),
            inout("r0") count => _,
        );
    }
    list
}

/// The clock.
pub fn tod() -> u64 {
    let mut clock = 0_u64;
    // SAFETY: STCKF stores a doubleword.
    unsafe { asm!(".insn s,0xb27c0000,0({})", in(reg_addr) &mut clock) };
    clock
}

/// SERVC: the condition code.
pub fn servc(command: u32, sccb: &mut Page) -> u8 {
    let address = ptr::from_mut(sccb).expose_provenance() as u64;
    let ipm: u64;
    // SAFETY: reads and writes the block, which is exclusively borrowed; the
    // caller keeps it until the service signal.
    unsafe {
        asm!(
            ".insn rre,0xb2200000,%r2,%r3",
            "ipm {ipm}",
            ipm = out(reg) ipm,
            in("r2") u64::from(command), in("r3") address,
        );
    }
    (ipm >> 28) as u8 & 3
}

/// STCRW: a channel report word, if there is one.
pub fn stcrw() -> Option<u32> {
    let mut word = 0_u32;
    let ipm: u64;
    // SAFETY: stores a word.
    unsafe {
        asm!(
            ".insn s,0xb2390000,0({word})",
            "ipm {ipm}",
            ipm = out(reg) ipm,
            word = in(reg_addr) &mut word,
        );
    }
    (ipm >> 28 & 3 == 0).then_some(word)
}

/// CHSC: the condition code.
pub fn chsc(block: &mut Page) -> Result<u8, Interruption> {
    let address = ptr::from_mut(block).expose_provenance() as u64;
    let (code, ipm): (u64, u64);
    // SAFETY: reads and writes the page, which is exclusively borrowed.
    unsafe {
        guarded!(
            ".insn rre,0xb25f0000,%r2,%r0",
            in("r2") address,
            out("r12") code, out("r13") ipm,
        );
    }
    finish(code, ipm)
}

/// DIAGNOSE 0x500 with GR1, GR2, GR3.
pub fn hypercall(subcode: u64, gr2: u64, gr3: u64) -> Result<(), Interruption> {
    let (code, ipm): (u64, u64);
    // SAFETY: the subcodes in use read storage at most.
    unsafe {
        guarded!(
            ".insn rs,0x83000000,%r0,%r0,0x500(%r0)",
            inout("r1") subcode => _, inout("r2") gr2 => _, in("r3") gr3,
            out("r12") code, out("r13") ipm,
        );
    }
    finish(code, ipm).map(|_| ())
}

/// DIAGNOSE 0x308, subcode 6: the parameters of the program load, of which
/// there are none. The shortest way to the VMM that all of them know.
pub fn store_load_parameters(block: &mut Page) -> Result<(), Interruption> {
    let address = ptr::from_mut(block).expose_provenance() as u64;
    let (code, ipm): (u64, u64);
    // SAFETY: stores into the page at most, which is exclusively borrowed.
    unsafe {
        guarded!(
            ".insn rs,0x83000000,%r2,%r4,0x308(%r0)",
            in("r2") address, out("r3") _, in("r4") 6_u64,
            out("r12") code, out("r13") ipm,
        );
    }
    finish(code, ipm).map(|_| ())
}

/// DIAGNOSE 0x44: gives up the time slice, which KVM does by itself.
pub fn end_time_slice() -> Result<(), Interruption> {
    let (code, ipm): (u64, u64);
    // SAFETY: it uses no storage.
    unsafe {
        guarded!(
            ".insn rs,0x83000000,%r0,%r0,0x44(%r0)",
            out("r12") code, out("r13") ipm,
        );
    }
    finish(code, ipm).map(|_| ())
}

/// What ended a wait.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Wake {
    /// A service signal with its parameter.
    Service(u32),
    /// The clock comparator.
    Clock,
    /// Another external interrupt.
    External(u16),
    /// A machine check.
    MachineCheck,
}

/// A service signal's parameter: events wait to be read.
const EVENTS_PENDING: u32 = 1;
/// Whether a service signal said so; whoever waits may get that signal.
static EVENTS: AtomicBool = AtomicBool::new(false);

/// Whether events wait at the service-call processor, told once.
pub fn take_service_events() -> bool {
    EVENTS.swap(false, Ordering::Relaxed)
}

/// Waits for an external interrupt, or also a machine check, at most until
/// the clock shows `deadline`.
pub fn wait(machine_checks: bool, deadline: u64) -> Wake {
    const EXTERNAL_WAIT: u64 = 0x0102_0001_8000_0000;
    const MACHINE_CHECK: u64 = 1 << 50;
    let mask = EXTERNAL_WAIT | if machine_checks { MACHINE_CHECK } else { 0 };
    let psw = [mask, 0];
    let kind: u64;
    // SAFETY: sets the clock comparator, and comes back by the new PSWs of
    // the interrupts let in, which are set to the labels below.
    unsafe {
        asm!(
            ".insn s,0xb2060000,0({deadline})",
            "larl %r3, 2f",
            "stg %r3, 0x1b8",
            "larl %r3, 4f",
            "stg %r3, 0x1e8",
            "lpswe 0({psw})",
            "2: lghi %r3, 1",
            "j 5f",
            "4: lghi %r3, 2",
            "5:",
            deadline = in(reg_addr) &deadline,
            psw = in(reg_addr) &psw,
            out("r3") kind,
        );
    }
    if kind == 2 {
        return Wake::MachineCheck;
    }
    match lowcore16(LC_EXT_CODE) {
        0x2401 => {
            let parameter = lowcore32(LC_EXT_PARAMETER);
            if parameter & EVENTS_PENDING != 0 {
                EVENTS.store(true, Ordering::Relaxed);
            }
            Wake::Service(parameter)
        }
        0x1004 => Wake::Clock,
        code => Wake::External(code),
    }
}

/// Ends the machine: a wait that nothing ends and that says "off".
pub fn power_off() -> ! {
    let psw = [0x0002_0001_8000_0000_u64, 0xfff];
    // SAFETY: does not come back.
    unsafe { asm!("lpswe 0({})", in(reg_addr) &psw, options(noreturn)) }
}

/// Stops in a wait that says where and why the probe broke.
pub fn crash(code: Interruption, address: u64) -> ! {
    // the low 12 bits tell "off" if all are ones; 0xdea is not that
    let psw = [
        0x0002_0001_8000_0000_u64,
        u64::from(code) << 48 | address << 12 | 0xdea,
    ];
    // SAFETY: does not come back.
    unsafe { asm!("lpswe 0({})", in(reg_addr) &psw, options(noreturn)) }
}
