// SPDX-License-Identifier: GPL-2.0
//! The AP instructions that the driver issues.

use kernel::error::{to_result, Result};

use super::bindings;
use crate::ap_arch::{AqicControl, Apqn, Qci, QueueStatus, QCI_LEN};

/// Whether the machine has AP instructions.
pub(crate) fn available() -> bool {
    // SAFETY: Handles the exception that it may cause; no other demands.
    unsafe { bindings::vfio_ap_available() }
}

/// Test AP queue.
pub(crate) fn tapq(apqn: Apqn) -> QueueStatus {
    // SAFETY: AP instructions are available, or there would be no queue to ask
    // about; any APQN may be named.
    QueueStatus(unsafe { bindings::vfio_ap_tapq(apqn.to_qid()) })
}

/// Zeroize AP queue.
pub(crate) fn zapq(apqn: Apqn) -> QueueStatus {
    // SAFETY: As for TAPQ; what the queue held is the driver's to destroy,
    // since the queue is bound to it.
    QueueStatus(unsafe { bindings::vfio_ap_zapq(apqn.to_qid()) })
}

/// AP queue interruption control. `nib` is an absolute address, of a byte that
/// stays until interrupts are off again.
pub(crate) fn aqic(apqn: Apqn, control: AqicControl, nib: u64) -> QueueStatus {
    // SAFETY: As for TAPQ; where the byte and the guest's area come from, they
    // are held until the queue no longer uses them (`irq`).
    QueueStatus(unsafe { bindings::vfio_ap_aqic(apqn.to_qid(), control.0, nib) })
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
