// SPDX-License-Identifier: GPL-2.0
//! The AP instructions that the driver issues.

use core::arch::asm;

use kernel::error::{to_result, Result};

use super::bindings;
use crate::ap_arch::{Apqn, AqicControl, FunctionCode, PqapGr0, Qci, QueueStatus, QCI_LEN};

/// Whether the machine has AP instructions.
pub(crate) fn available() -> bool {
    // SAFETY: Handles the exception that it may cause; no other demands.
    unsafe { bindings::vfio_ap_available() }
}

/// Test AP queue.
pub(crate) fn tapq(apqn: Apqn) -> QueueStatus {
    // SAFETY: Tells the state of a queue, and has no other effect.
    unsafe { pqap(PqapGr0::new(FunctionCode::Tapq, apqn), 0, 0) }
}

/// Zeroize AP queue.
pub(crate) fn zapq(apqn: Apqn) -> QueueStatus {
    // SAFETY: What the queue held is the driver's to destroy, since the queue
    // is bound to it, or was the last time that the host had it.
    unsafe { pqap(PqapGr0::new(FunctionCode::Zapq, apqn), 0, 0) }
}

/// AP queue interruption control. `nib` is an absolute address, of a byte that
/// stays until interrupts are off again.
pub(crate) fn aqic(apqn: Apqn, control: AqicControl, nib: u64) -> QueueStatus {
    // SAFETY: The byte, and the guest's area in `control`, are held until the
    // queue no longer uses them (`irq`).
    unsafe { pqap(PqapGr0::new(FunctionCode::Aqic, apqn), control.0, nib) }
}

/// Process adjunct processor queue, any function that leaves a status in GR1.
///
/// # Safety
///
/// What the function does is all right: the compiler sees an instruction that
/// may change any memory.
unsafe fn pqap(gr0: PqapGr0, gr1: u64, gr2: u64) -> QueueStatus {
    let status: u64;
    // SAFETY: AP instructions are available, or there would be no queue to name;
    // all registers that are changed are named; the rest is the caller's demand.
    unsafe {
        asm!(
            ".insn rre,0xb2af0000,0,0",
            inout("r0") gr0.0 => _,
            inout("r1") gr1 => status,
            inout("r2") gr2 => _,
            options(nostack),
        )
    };
    // the status is the low word
    QueueStatus(status as u32)
}

/// Query configuration information.
pub(crate) fn qci() -> Result<Qci> {
    let mut info = bindings::ap_config_info::default();
    // SAFETY: `info` is as large and as aligned as the instruction demands.
    to_result(unsafe { bindings::vfio_ap_qci(&mut info) })?;
    // SAFETY: `info` lives until the block is copied.
    Ok(unsafe { read_qci(&info) })
}

/// Copies a configuration block that the AP bus shows.
///
/// # Safety
///
/// `info` points to a block that nobody writes to meanwhile.
pub(super) unsafe fn read_qci(info: *const bindings::ap_config_info) -> Qci {
    // SAFETY: By the demand on the caller; both types have the same size, and
    // any bytes are a valid array.
    Qci::from_bytes(&unsafe { info.cast::<[u8; QCI_LEN]>().read() })
}
