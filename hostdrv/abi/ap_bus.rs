// SPDX-License-Identifier: GPL-2.0
//! The AP bus: its driver registration, its callbacks, its masks.
//!
//! All callbacks but `in_use` come from a bus scan or from a bind or unbind,
//! and may sleep; `in_use` comes with `ap_attr_mutex` held.

use core::ptr::{addr_of_mut, null_mut};
use core::sync::atomic::{AtomicPtr, Ordering};

use kernel::error::{from_result, to_result, Result};
use kernel::ffi::{c_int, c_ulong};
use kernel::prelude::*;
use kernel::sync::{rcu, Arc, ArcBorrow};

use super::shared::Shared;
use super::{bindings, insn, sysfs};
use crate::ap_arch::{Apm, Apqn, Aqm};
use crate::driver::Core;
use crate::rules::order::{self, Free, Held};
use crate::rules::protocol::Driver as _;

/// The AP bus's masks, while they cannot change.
pub(crate) struct HeldStill<'a>(Held<'a, order::BusMasks>);

/// Keeps the AP bus from giving queues to other drivers by mask.
pub(crate) fn hold_still<'a>(free: &'a mut Free<'_>) -> HeldStill<'a> {
    // SAFETY: The bus's mutex exists as long as the bus, which is built in.
    unsafe { bindings::mutex_lock(addr_of_mut!(bindings::ap_attr_mutex)) };
    HeldStill(free.lend())
}

impl<'a> HeldStill<'a> {
    /// The token to take later locks with.
    pub(crate) fn held(&mut self) -> &mut Held<'a, order::BusMasks> {
        &mut self.0
    }

    /// Whether the host's default drivers own a queue of `apm` by `aqm`, or
    /// would if it were there.
    pub(crate) fn owned_by_default(&self, apm: Apm, aqm: Aqm) -> bool {
        if apm.is_empty() || aqm.is_empty() {
            return false;
        }
        let (mut apm, mut aqm) = (apm.to_words(), aqm.to_words());
        let (apm, aqm) = (apm.as_mut_ptr(), aqm.as_mut_ptr());
        // SAFETY: The masks have the 256 bits that are read, in machine words;
        // `self` proves that the mutex is held.
        let owned = unsafe { bindings::ap_apqn_in_matrix_owned_by_def_drv(apm.cast(), aqm.cast()) };
        owned != 0
    }
}

impl Drop for HeldStill<'_> {
    fn drop(&mut self) {
        // SAFETY: Locked when `self` was made.
        unsafe { bindings::mutex_unlock(addr_of_mut!(bindings::ap_attr_mutex)) };
    }
}

/// The driver's name on the bus.
const NAME: &CStr = c"vfio_ap";

/// The driver that callbacks are for: they come without a pointer of ours. Set
/// while a [`Registration`] is there, which holds a reference.
static CORE: AtomicPtr<kernel::ffi::c_void> = AtomicPtr::new(null_mut());

fn core<'a>() -> Option<ArcBorrow<'a, Core>> {
    let core = CORE.load(Ordering::Acquire);
    if core.is_null() {
        return None;
    }
    // SAFETY: It came from `into_foreign`, and callbacks, the only callers, are
    // over before the registration gives it up.
    Some(unsafe { <Arc<Core> as kernel::types::ForeignOwnable>::borrow(core) })
}

/// The driver's registration with the AP bus. Dropping it unbinds all queues.
pub(crate) struct Registration {
    driver: Shared<bindings::ap_driver>,
}

// SAFETY: Only ever used to be dropped.
unsafe impl Send for Registration {}

// SAFETY: As above.
unsafe impl Sync for Registration {}

/// Queues of these adapter types can be had: CEX4 and later.
struct Ids([bindings::ap_device_id; 6]);

// SAFETY: Nobody writes to it.
unsafe impl Sync for Ids {}

static IDS: Ids = Ids([
    queue_type(bindings::AP_DEVICE_TYPE_CEX4),
    queue_type(bindings::AP_DEVICE_TYPE_CEX5),
    queue_type(bindings::AP_DEVICE_TYPE_CEX6),
    queue_type(bindings::AP_DEVICE_TYPE_CEX7),
    queue_type(bindings::AP_DEVICE_TYPE_CEX8),
    END,
]);

/// The end of a list, and what entries do not set: Linux 7.3 has no
/// `driver_info`.
// SAFETY: The structure is made of integers.
const END: bindings::ap_device_id = unsafe { core::mem::zeroed() };

const fn queue_type(dev_type: u32) -> bindings::ap_device_id {
    bindings::ap_device_id {
        match_flags: bindings::AP_DEVICE_ID_MATCH_QUEUE_TYPE as _,
        dev_type: dev_type as u8,
        ..END
    }
}

impl Registration {
    pub(crate) fn new(core: Arc<Core>, module: &'static ThisModule) -> Result<Self> {
        let driver = Shared::new(bindings::ap_driver {
            probe: Some(probe),
            remove: Some(remove),
            in_use: Some(in_use),
            on_config_changed: Some(config_changed),
            on_scan_complete: Some(scan_complete),
            ids: IDS.0.as_ptr().cast_mut(),
            ..bindings::ap_driver::default()
        })?;
        let kept = core.clone();
        let foreign = <Arc<Core> as kernel::types::ForeignOwnable>::into_foreign(core);
        CORE.store(foreign.cast(), Ordering::Release);
        let name = NAME.as_char_ptr().cast_mut();
        // SAFETY: The driver stays at its place until it is unregistered, which
        // is when it is dropped; the callbacks fit their types.
        let ret = unsafe { bindings::ap_driver_register(driver.as_ptr(), module.as_ptr(), name) };
        if let Err(error) = to_result(ret) {
            Self::give_up_core();
            return Err(error);
        }
        // the configuration may have changed before the bus knew of us; if it
        // tells of another while this is asked for, that counts
        if let Ok(qci) = insn::qci() {
            kept.registered(&mut Free::on_entry(), qci.matrix);
        }
        Ok(Self { driver })
    }

    fn give_up_core() {
        let core = CORE.swap(null_mut(), Ordering::AcqRel);
        // SAFETY: It came from `into_foreign`, no callback runs any more, and it
        // was taken out just now.
        drop(unsafe { <Arc<Core> as kernel::types::ForeignOwnable>::from_foreign(core) });
    }
}

impl Drop for Registration {
    fn drop(&mut self) {
        // SAFETY: It was registered.
        unsafe { bindings::ap_driver_unregister(self.driver.as_ptr()) };
        Self::give_up_core();
    }
}

/// The queue that a device stands for.
fn apqn_of(device: *mut bindings::ap_device) -> Apqn {
    // SAFETY: The bus binds queue devices only to drivers that ask for queue
    // types, and a queue begins with its device (checked in `bindings`).
    let qid = unsafe { (*device.cast::<bindings::ap_queue>()).qid };
    Apqn::from_qid(qid as u16)
}

unsafe extern "C" fn probe(device: *mut bindings::ap_device) -> c_int {
    let apqn = apqn_of(device);
    from_result(|| {
        let core = core().ok_or(ENODEV)?;
        // SAFETY: The bus passes a device that stays while it is bound.
        unsafe { sysfs::add_queue_attributes(device.cast()) }?;
        let bound = Arc::<Core>::from(core).bind(&mut Free::on_entry(), apqn);
        if bound.is_err() {
            // SAFETY: As above; they were just added.
            unsafe { sysfs::remove_queue_attributes(device.cast()) };
        }
        bound.map(|()| 0)
    })
}

unsafe extern "C" fn remove(device: *mut bindings::ap_device) {
    // SAFETY: The bus passes a device that was probed.
    unsafe { sysfs::remove_queue_attributes(device.cast()) };
    if let Some(core) = core() {
        core.unbind(&mut Free::on_entry(), apqn_of(device));
    }
}

unsafe extern "C" fn in_use(apm: *mut c_ulong, aqm: *mut c_ulong) -> c_int {
    // SAFETY: The bus passes masks of 256 bits in machine words.
    let apm = Apm::from_words(unsafe { apm.cast::<[u64; 4]>().read() });
    // SAFETY: As above.
    let aqm = Aqm::from_words(unsafe { aqm.cast::<[u64; 4]>().read() });
    from_result(|| match core() {
        // the bus holds its masks still while it asks
        Some(core) => core.in_use(&mut Held::on_entry(), apm, aqm).map(|()| 0),
        None => Ok(0),
    })
}

unsafe extern "C" fn config_changed(
    new: *mut bindings::ap_config_info,
    old: *mut bindings::ap_config_info,
) {
    if let (false, false, Some(core)) = (new.is_null(), old.is_null(), core()) {
        // SAFETY: The bus writes to it in a scan only, and this is one.
        let qci = unsafe { insn::read_qci(new) };
        core.config_changed(&mut Free::on_entry(), qci.matrix);
    }
}

unsafe extern "C" fn scan_complete(
    new: *mut bindings::ap_config_info,
    _old: *mut bindings::ap_config_info,
) {
    if let (false, Some(core)) = (new.is_null(), core()) {
        // SAFETY: The bus writes to it in a scan only, and this is one.
        let qci = unsafe { insn::read_qci(new) };
        core.scan_complete(&mut Free::on_entry(), qci.matrix);
    }
}

/// What the `status` of a queue device says.
pub(super) fn queue_status(device: *mut bindings::ap_device) -> &'static str {
    use crate::rules::QueueStatusText;
    match core() {
        Some(core) => core
            .look(&mut Free::on_entry(), |model| {
                model.queue_status(apqn_of(device))
            })
            .line(),
        None => QueueStatusText::Unassigned.line(),
    }
}

/// Runs `f`, which must not sleep, with the name of the driver that has a queue;
/// none if no other driver has.
pub(crate) fn with_driver_of<R>(apqn: Apqn, f: impl FnOnce(Option<&str>) -> R) -> R {
    // SAFETY: Any queue may be asked for.
    let queue = unsafe { bindings::ap_get_qdev(apqn.to_qid().into()) };
    if queue.is_null() {
        return f(None);
    }
    // SAFETY: A reference to the queue's device was taken.
    let device = unsafe { &raw mut (*queue).ap_dev.device };
    let reading = rcu::read_lock();
    // SAFETY: As above; looked at without the device's lock, as C does to name
    // the driver, since whoever has it may wait for hardware.
    let driver = unsafe { (&raw const (*device).driver).read_volatile() };
    // SAFETY: A driver is taken from its devices before its module goes, whose
    // memory is freed only when those who read under RCU have ended. Its name is
    // a string of the module's.
    let name = (!driver.is_null()).then(|| unsafe { CStr::from_char_ptr((*driver).name) });
    // this driver has it, as far as the bus is concerned, when it comes or goes
    let other = name.filter(|name| *name != NAME);
    let result = f(other.and_then(|name| name.to_str().ok()));
    drop(reading);
    // SAFETY: The reference from above.
    unsafe { bindings::put_device(device) };
    result
}
