// SPDX-License-Identifier: MIT OR Apache-2.0
//! The second CPU. It is started by SIGP restart and takes its work from here.

use crate::insn;
use core::sync::atomic::{AtomicU32, AtomicUsize, Ordering};

/// SIGP orders.
pub const STOP: u8 = 5;
/// See [`STOP`].
pub const RESTART: u8 = 6;
/// SIGP condition code: the CPU is still at another order.
pub const BUSY: u8 = 2;
/// Address of the second CPU.
pub const CPU: u16 = 1;

static WORK: AtomicU32 = AtomicU32::new(0);
static ADDRESS: AtomicUsize = AtomicUsize::new(0);
static DELAY: AtomicU32 = AtomicU32::new(0);
static BITS: AtomicU32 = AtomicU32::new(0);

const REQUEST: u32 = 0;
const INVALIDATE: u32 = 1;

/// Lets it set `bits` in `cpuflags` of a state description once, after a
/// delay in units of 4,096 TOD units, that is microseconds.
pub fn request(sd: u64, delay: u32, bits: u32) -> u8 {
    ADDRESS.store(sd as usize, Ordering::Release);
    DELAY.store(delay, Ordering::Release);
    BITS.store(bits, Ordering::Release);
    WORK.store(REQUEST, Ordering::Release);
    sigp(RESTART)
}

/// Lets it invalidate entries of a page table until it is stopped.
pub fn invalidate(table: u64) -> u8 {
    ADDRESS.store(table as usize, Ordering::Release);
    WORK.store(INVALIDATE, Ordering::Release);
    sigp(RESTART)
}

/// An order for it, repeated while it is busy. Returns the condition code.
pub fn sigp(order: u8) -> u8 {
    loop {
        let cc = insn::sigp(CPU, order);
        if cc != BUSY {
            return cc;
        }
    }
}

/// Where the start-up code goes on.
#[unsafe(no_mangle)]
extern "C" fn second_main() {
    let address = ADDRESS.load(Ordering::Acquire);
    match WORK.load(Ordering::Acquire) {
        INVALIDATE => loop {
            for page in 0..256 {
                insn::invalidate_page(address, page << 12);
            }
        },
        _ => {
            let end = insn::tod() + (u64::from(DELAY.load(Ordering::Acquire)) << 12);
            while insn::tod() < end {}
            insn::request(address, BITS.load(Ordering::Acquire));
        }
    }
}
