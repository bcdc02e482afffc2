// SPDX-License-Identifier: MIT OR Apache-2.0
//! A guest on the second CPU that goes on until the machine is reset: `reset` on the
//! command line. That loads this program anew, so that it begins again, and has to
//! find its storage as it is in the image, whichever CPU ran a guest in it.
//!
//! `guest-tests/harness/tests/sie/resets.rs` plugs that CPU in, and resets the machine.

use crate::guest::{CODE, DATA, Guest};
use crate::insn::{self, Storage};
use crate::report::{Failure, Report, expect};
use crate::second;

/// Counts without end: AGSI DATA,1; J to it.
const COUNT: [u16; 5] = [0xeb01, 0x0000, 0x307a, 0xa7f4, 0xfffd];
const _: () = assert!(DATA == 0x30000);

/// Says what it finds and whether the guest runs, then waits for the reset.
pub fn run(report: &mut Report, storage: &'static mut Storage) -> ! {
    report.verdict("reset_image", image(storage));
    report.verdict("reset_guest", start(&mut Guest::new(storage)));
    loop {
        core::hint::spin_loop();
    }
}

fn image(storage: &Storage) -> Result<(), Failure> {
    let sd = &storage.sd;
    expect("PSW mask", sd.psw_mask, 0u64)?;
    expect("PSW address", sd.psw_addr, 0u64)?;
    expect("control register 14", sd.gcr[14], 0u64)
}

fn start(guest: &mut Guest) -> Result<(), Failure> {
    guest.put_code(CODE, &COUNT);
    let sd = guest.sd_address();
    let counter = insn::doubleword(guest.host_address(DATA) as usize);
    // until that CPU is there
    while second::run_guest(sd) != 0 {}
    while counter.load(core::sync::atomic::Ordering::Acquire) < 1000 {}
    expect(
        "SIE has not ended",
        second::ended() == second::RUNNING,
        true,
    )
}
