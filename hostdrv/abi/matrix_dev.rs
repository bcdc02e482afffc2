// SPDX-License-Identifier: GPL-2.0
//! `/sys/devices/vfio_ap/matrix`: the device that mdevs are made of, on a bus
//! and with a driver of its own, which carries `features`.

use core::ptr::NonNull;

use kernel::error::{from_err_ptr, to_result, Result};
use kernel::prelude::*;

use super::shared::Shared;
use super::{bindings, sysfs};

/// The root device `vfio_ap`.
struct Root(NonNull<bindings::device>);

impl Root {
    fn new(module: &'static ThisModule) -> Result<Self> {
        let name = c"vfio_ap".as_char_ptr();
        // SAFETY: The name is a string; the module is ours.
        let root = unsafe { bindings::__root_device_register(name, module.as_ptr()) };
        NonNull::new(from_err_ptr(root)?).map(Self).ok_or(ENOMEM)
    }
}

impl Drop for Root {
    fn drop(&mut self) {
        // SAFETY: It was registered.
        unsafe { bindings::root_device_unregister(self.0.as_ptr()) };
    }
}

/// The bus `matrix`.
struct Bus(Shared<bindings::bus_type>);

impl Bus {
    fn new() -> Result<Self> {
        let bus = Shared::new(bindings::bus_type {
            name: c"matrix".as_char_ptr(),
            ..bindings::bus_type::default()
        })?;
        // SAFETY: It stays at its place until it is unregistered.
        to_result(unsafe { bindings::bus_register(bus.as_ptr()) })?;
        Ok(Self(bus))
    }
}

impl Drop for Bus {
    fn drop(&mut self) {
        // SAFETY: It was registered.
        unsafe { bindings::bus_unregister(self.0.as_ptr()) };
    }
}

/// The device `matrix`.
struct Device(NonNull<bindings::device>);

impl Device {
    fn new(root: &Root, bus: &Bus) -> Result<Self> {
        let mut device = KBox::new(bindings::device::default(), GFP_KERNEL)?;
        device.parent = root.0.as_ptr();
        device.bus = bus.0.as_ptr();
        device.release = Some(release);
        let device = KBox::into_raw(device);
        // SAFETY: The format is a plain name.
        let named = unsafe { bindings::dev_set_name(device, c"matrix".as_char_ptr()) };
        // SAFETY: It is zeroed but for what was set, and stays until released.
        let registered = unsafe { bindings::device_register(device) };
        if let Err(error) = to_result(named).and(to_result(registered)) {
            // SAFETY: Registering took a reference even if it failed.
            unsafe { bindings::put_device(device) };
            return Err(error);
        }
        NonNull::new(device).map(Self).ok_or(ENOMEM)
    }
}

impl Drop for Device {
    fn drop(&mut self) {
        // SAFETY: It was registered.
        unsafe { bindings::device_unregister(self.0.as_ptr()) };
    }
}

unsafe extern "C" fn release(device: *mut bindings::device) {
    // SAFETY: It came from a box, and this is the last that is heard of it.
    drop(unsafe { KBox::from_raw(device) });
}

/// The driver `vfio_ap` of the device.
struct Driver(Shared<bindings::device_driver>);

impl Driver {
    fn new(bus: &Bus) -> Result<Self> {
        let driver = Shared::new(bindings::device_driver {
            name: c"vfio_ap".as_char_ptr(),
            bus: bus.0.as_ptr(),
            suppress_bind_attrs: true,
            dev_groups: sysfs::matrix_groups(),
            ..bindings::device_driver::default()
        })?;
        // SAFETY: It stays at its place until it is unregistered.
        to_result(unsafe { bindings::driver_register(driver.as_ptr()) })?;
        Ok(Self(driver))
    }
}

impl Drop for Driver {
    fn drop(&mut self) {
        // SAFETY: It was registered.
        unsafe { bindings::driver_unregister(self.0.as_ptr()) };
    }
}

/// The matrix device and what belongs to it.
pub(crate) struct MatrixDevice {
    // dropped in this order: a device needs its bus and its parent
    _driver: Driver,
    device: Device,
    _bus: Bus,
    _root: Root,
}

// SAFETY: Only ever used to register mdevs with, and to be dropped.
unsafe impl Send for MatrixDevice {}

// SAFETY: As above.
unsafe impl Sync for MatrixDevice {}

impl MatrixDevice {
    pub(crate) fn new(module: &'static ThisModule) -> Result<Self> {
        let root = Root::new(module)?;
        let bus = Bus::new()?;
        let device = Device::new(&root, &bus)?;
        let driver = Driver::new(&bus)?;
        Ok(Self {
            _driver: driver,
            device,
            _bus: bus,
            _root: root,
        })
    }

    pub(super) fn as_ptr(&self) -> *mut bindings::device {
        self.device.0.as_ptr()
    }
}
