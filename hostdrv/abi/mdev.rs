// SPDX-License-Identifier: GPL-2.0
//! Mediated devices: their type, their driver, and their VFIO operations.
//!
//! ```text
//!   vfio_device (owned by VFIO) ----> Arc<Mdev> ----> Arc<Core>
//!        ^                              ^
//!        | drvdata                      | the model's id
//!   mdev's device                     Core's table
//! ```

use core::mem::offset_of;
use core::pin::Pin;
use core::ptr::{null, null_mut, NonNull};

use kernel::error::{from_err_ptr, from_result, to_result, Result};
use kernel::ffi::{c_int, c_void};
use kernel::prelude::*;
use kernel::sync::aref::ARef;
use kernel::sync::{Arc, ArcBorrow};
use kernel::types::{ForeignOwnable, Opaque};

use super::matrix_dev::MatrixDevice;
use super::{bindings, sysfs, vfio, Kvm, VfioDevice};
use crate::driver::Core;
use crate::guest::Mdev;
use crate::rules::order::Free;

/// Mdevs at most; Linux `MAX_ZDEV_ENTRIES_EXT`.
const MAX_INSTANCES: u32 = 65536;

/// What VFIO allocates for an mdev.
#[repr(C)]
struct Device {
    vfio: bindings::vfio_device,
    /// An `Arc<Mdev>`, from before registration until release.
    mdev: *mut c_void,
}
const _: () = assert!(offset_of!(Device, vfio) == 0);

/// The device of an mdev, to be told of changes, and to be named in messages.
#[derive(Clone)]
pub(crate) struct MdevDevice(ARef<kernel::device::Device>);

impl MdevDevice {
    /// # Safety
    ///
    /// `device` is a device that stays during the call.
    unsafe fn new(device: *mut bindings::device) -> Self {
        // SAFETY: By the demand on the caller.
        Self(unsafe { <kernel::device::Device>::from_raw(device) }.into())
    }

    /// The device itself.
    pub(crate) fn device(&self) -> &kernel::device::Device {
        &self.0
    }

    /// Wakes those who poll `guest_matrix`, and sends a uevent.
    pub(crate) fn tell_matrix_changed(&self) {
        let device: *const kernel::device::Device = &*self.0;
        let device = device.cast::<bindings::device>().cast_mut();
        // SAFETY: A reference to the device is held, of which the kernel crate's
        // type is a transparent form; the object is part of it.
        let kobject = unsafe { &raw mut (*device).kobj };
        let name = c"guest_matrix".as_char_ptr();
        // SAFETY: As above; the name is a string.
        unsafe { bindings::sysfs_notify(kobject, null(), name) };
        let mut env = [c"GUEST_MATRIX=changed".as_char_ptr().cast_mut(), null_mut()];
        let action = bindings::kobject_action_KOBJ_CHANGE;
        // SAFETY: As above; the environment ends with a null.
        unsafe { bindings::kobject_uevent_env(kobject, action, env.as_mut_ptr()) };
    }
}

/// The mdev of a device of ours.
///
/// # Safety
///
/// `device` is an mdev's device bound to our driver, and stays so for `'a`.
pub(super) unsafe fn of_device<'a>(device: *mut bindings::device) -> ArcBorrow<'a, Mdev> {
    // SAFETY: By the demand on the caller; `probe` stored a `Device`.
    let vfio = unsafe { bindings::dev_get_drvdata(device) };
    // SAFETY: As above.
    unsafe { of_vfio(vfio.cast()) }
}

/// The mdev of the object of a device of ours.
///
/// # Safety
///
/// As for [`of_device`].
pub(super) unsafe fn of_kobject<'a>(kobject: *mut bindings::kobject) -> ArcBorrow<'a, Mdev> {
    let offset = offset_of!(bindings::device, kobj);
    // SAFETY: By the demand on the caller the object is part of a device.
    let device = unsafe { kobject.byte_sub(offset) };
    // SAFETY: By the demand on the caller.
    unsafe { of_device(device.cast()) }
}

/// The mdev of a VFIO device of ours.
///
/// # Safety
///
/// `vfio` was allocated by [`probe`] and is not released for `'a`.
pub(super) unsafe fn of_vfio<'a>(vfio: *mut bindings::vfio_device) -> ArcBorrow<'a, Mdev> {
    // SAFETY: By the demand on the caller.
    let mdev = unsafe { (*vfio.cast::<Device>()).mdev };
    // SAFETY: As above; it came from `into_foreign`, and is taken at release.
    unsafe { Arc::<Mdev>::borrow(mdev.cast()) }
}

/// Registration of the mdev driver and of the mdev type. Dropping it removes
/// all mdevs.
pub(crate) struct Registration {
    context: Pin<KBox<Context>>,
    _matrix_device: MatrixDevice,
}

/// What C keeps pointers to, so that it stays at its place; only `ops` and
/// `core` are not changed by C.
struct Context {
    driver: Opaque<bindings::mdev_driver>,
    ops: bindings::vfio_device_ops,
    parent: Opaque<bindings::mdev_parent>,
    kind: Opaque<bindings::mdev_type>,
    kinds: Opaque<[*mut bindings::mdev_type; 1]>,
    core: Arc<Core>,
}

// SAFETY: Only ever used to be dropped.
unsafe impl Send for Registration {}

// SAFETY: As above.
unsafe impl Sync for Registration {}

impl Registration {
    pub(crate) fn new(
        core: Arc<Core>,
        matrix_device: MatrixDevice,
        module: &'static ThisModule,
    ) -> Result<Self> {
        let kind = bindings::mdev_type {
            sysfs_name: c"passthrough".as_char_ptr(),
            pretty_name: c"VFIO AP Passthrough Device".as_char_ptr(),
            ..bindings::mdev_type::default()
        };
        let context = KBox::pin(
            Context {
                driver: Opaque::new(Self::driver(module)),
                ops: vfio::ops(),
                parent: Opaque::new(bindings::mdev_parent::default()),
                kind: Opaque::new(kind),
                kinds: Opaque::new([null_mut()]),
                core,
            },
            GFP_KERNEL,
        )?;
        // SAFETY: Nobody else has it yet.
        unsafe { *context.kinds.get() = [context.kind.get()] };

        let driver = context.driver.get();
        // SAFETY: The driver stays at its place until it is unregistered.
        to_result(unsafe { bindings::mdev_register_driver(driver) })?;
        let (parent, kinds) = (context.parent.get(), context.kinds.get().cast());
        let device = matrix_device.as_ptr();
        // SAFETY: All of it stays at its place until it is unregistered.
        let ret = unsafe { bindings::mdev_register_parent(parent, device, driver, kinds, 1) };
        if let Err(error) = to_result(ret) {
            // SAFETY: It was registered.
            unsafe { bindings::mdev_unregister_driver(driver) };
            return Err(error);
        }
        Ok(Self {
            context,
            _matrix_device: matrix_device,
        })
    }

    fn driver(module: &'static ThisModule) -> bindings::mdev_driver {
        bindings::mdev_driver {
            device_api: c"vfio-ap".as_char_ptr(),
            max_instances: MAX_INSTANCES,
            probe: Some(probe),
            remove: Some(remove),
            driver: bindings::device_driver {
                name: c"vfio_ap_mdev".as_char_ptr(),
                owner: module.as_ptr(),
                mod_name: c"vfio_ap".as_char_ptr(),
                dev_groups: sysfs::mdev_groups(),
                ..bindings::device_driver::default()
            },
            ..bindings::mdev_driver::default()
        }
    }
}

impl Drop for Registration {
    fn drop(&mut self) {
        // SAFETY: It was registered.
        unsafe { bindings::mdev_unregister_parent(self.context.parent.get()) };
        // SAFETY: It was registered.
        unsafe { bindings::mdev_unregister_driver(self.context.driver.get()) };
    }
}

/// The context of the driver that a device is being bound to.
///
/// # Safety
///
/// `device` is a device that our driver probes.
unsafe fn context_of<'a>(device: *mut bindings::device) -> &'a Context {
    // SAFETY: By the demand on the caller its driver is ours.
    let driver = unsafe { (*device).driver };
    let offset = offset_of!(Context, driver) + offset_of!(bindings::mdev_driver, driver);
    // SAFETY: As above; the driver is part of the context.
    let context = unsafe { driver.byte_sub(offset) };
    // SAFETY: The context outlives the driver's registration; what C changes of
    // it is behind `Opaque`.
    unsafe { &*context.cast::<Context>() }
}

unsafe extern "C" fn probe(mdev: *mut bindings::mdev_device) -> c_int {
    // an mdev begins with its device (checked in `bindings`)
    let device: *mut bindings::device = mdev.cast();
    // SAFETY: The mdev core passes a device for our driver.
    let context = unsafe { context_of(device) };
    let free = &mut Free::on_entry();
    from_result(|| {
        let size = core::mem::size_of::<Device>();
        // SAFETY: The size is that of a type which begins with a VFIO device.
        let vfio = unsafe { bindings::_vfio_alloc_device(size, device, &context.ops) };
        let vfio = from_err_ptr(vfio)?;
        let registered = context
            .core
            .create(free, |id, limits| {
                // SAFETY: The mdev core keeps the device while it is probed.
                let device = unsafe { MdevDevice::new(device) };
                let vfio = VfioDevice::new(NonNull::new(vfio).ok_or(EINVAL)?);
                Mdev::new(context.core.clone(), id, limits, device, vfio)
            })
            .and_then(|mdev| {
                let id = mdev.id();
                // SAFETY: Just allocated as a `Device`; nobody else has it yet.
                unsafe { (*vfio.cast::<Device>()).mdev = mdev.into_foreign().cast() };
                // SAFETY: Allocated and filled in.
                let ret = unsafe { bindings::vfio_register_emulated_iommu_dev(vfio) };
                let registered = to_result(ret);
                if registered.is_err() {
                    context.core.remove(free, id);
                }
                registered
            });
        if let Err(error) = registered {
            // SAFETY: Allocated, and not registered.
            unsafe { put(vfio) };
            return Err(error);
        }
        // SAFETY: The device is bound to us when this returns.
        unsafe { bindings::dev_set_drvdata(device, vfio.cast()) };
        Ok(0)
    })
}

unsafe extern "C" fn remove(mdev: *mut bindings::mdev_device) {
    // SAFETY: `probe` stored it.
    let vfio = unsafe { bindings::dev_get_drvdata(mdev.cast()) }.cast();
    // SAFETY: It was registered; this waits for whoever has it open.
    unsafe { bindings::vfio_unregister_group_dev(vfio) };
    {
        // SAFETY: Released below at the earliest.
        let mdev = unsafe { of_vfio(vfio) };
        mdev.core().remove(&mut Free::on_entry(), mdev.id());
    }
    // SAFETY: The reference from when it was allocated.
    unsafe { put(vfio) };
}

/// Gives up a reference; Linux `vfio_put_device`.
///
/// # Safety
///
/// There is one to give up.
unsafe fn put(vfio: *mut bindings::vfio_device) {
    // SAFETY: By the demand on the caller; its device counts for it.
    unsafe { bindings::put_device(&raw mut (*vfio).device) };
}

/// VFIO no longer needs a device.
pub(super) unsafe extern "C" fn release(vfio: *mut bindings::vfio_device) {
    // SAFETY: VFIO passes what `probe` allocated.
    let mdev = unsafe { (*vfio.cast::<Device>()).mdev };
    if !mdev.is_null() {
        // SAFETY: It came from `into_foreign`, and nobody looks at it any more.
        drop(unsafe { Arc::<Mdev>::from_foreign(mdev.cast()) });
    }
}

/// The machine that a process opened a device for.
///
/// # Safety
///
/// `vfio` is a device of ours that is being opened.
pub(super) unsafe fn machine(
    free: &mut Free<'_>,
    vfio: *mut bindings::vfio_device,
) -> Result<Option<Kvm>> {
    // SAFETY: By the demand on the caller; VFIO keeps the machine meanwhile.
    let kvm = NonNull::new(unsafe { (*vfio).kvm }).ok_or(EINVAL)?;
    // SAFETY: By the demand on the caller.
    let mdev = unsafe { of_vfio(vfio) };
    // SAFETY: VFIO keeps the machine; the hook is part of the mdev, which drops
    // the result when the device is closed, before it is released.
    unsafe { Kvm::attach(free, kvm, mdev.hook.as_ptr()) }
}
