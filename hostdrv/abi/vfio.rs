// SPDX-License-Identifier: GPL-2.0
//! The VFIO operations of an mdev. User memory is copied before anything is
//! locked.

use core::mem::offset_of;

use kernel::error::{from_result, to_result, Result};
use kernel::ffi::{c_int, c_long, c_uint, c_ulong};
use kernel::prelude::*;
use kernel::uaccess::{UserPtr, UserSlice};

use super::{bindings, mdev, EventFd};
use crate::guest::{Mdev, Trigger};
use crate::rules::order::{Free, Held};

/// The operations that VFIO calls.
pub(super) fn ops() -> bindings::vfio_device_ops {
    bindings::vfio_device_ops {
        init: Some(init),
        release: Some(mdev::release),
        open_device: Some(open),
        close_device: Some(close),
        ioctl: Some(ioctl),
        dma_unmap: Some(dma_unmap),
        request: Some(request),
        #[cfg(CONFIG_IOMMUFD)]
        bind_iommufd: Some(bindings::vfio_iommufd_emulated_bind),
        #[cfg(CONFIG_IOMMUFD)]
        unbind_iommufd: Some(bindings::vfio_iommufd_emulated_unbind),
        #[cfg(CONFIG_IOMMUFD)]
        attach_ioas: Some(bindings::vfio_iommufd_emulated_attach_ioas),
        #[cfg(CONFIG_IOMMUFD)]
        detach_ioas: Some(bindings::vfio_iommufd_emulated_detach_ioas),
        ..bindings::vfio_device_ops::default()
    }
}

/// Nothing to do: what VFIO allocates is zeroed, and filled in by `probe`.
/// VFIO demands it for its release, which would not be called without.
unsafe extern "C" fn init(_vfio: *mut bindings::vfio_device) -> c_int {
    0
}

unsafe extern "C" fn open(vfio: *mut bindings::vfio_device) -> c_int {
    let free = &mut Free::on_entry();
    from_result(|| {
        // SAFETY: VFIO passes a device of ours, being opened.
        let kvm = unsafe { mdev::machine(free, vfio) }?;
        // SAFETY: As above.
        let mdev = unsafe { mdev::of_vfio(vfio) };
        mdev.open(free, kvm).map(|()| 0)
    })
}

unsafe extern "C" fn close(vfio: *mut bindings::vfio_device) {
    // SAFETY: VFIO passes a device of ours.
    unsafe { mdev::of_vfio(vfio) }.close(&mut Free::on_entry());
}

unsafe extern "C" fn request(vfio: *mut bindings::vfio_device, count: c_uint) {
    // SAFETY: VFIO passes a device of ours.
    unsafe { mdev::of_vfio(vfio) }.request(&mut Free::on_entry(), count);
}

unsafe extern "C" fn dma_unmap(vfio: *mut bindings::vfio_device, iova: u64, length: u64) {
    // type1 and iommufd come with locks of theirs
    let held = &mut Held::on_entry();
    // SAFETY: VFIO passes a device of ours.
    unsafe { mdev::of_vfio(vfio) }.unmap(held, iova, length);
}

unsafe extern "C" fn ioctl(
    vfio: *mut bindings::vfio_device,
    command: c_uint,
    arg: c_ulong,
) -> c_long {
    // SAFETY: VFIO passes a device of ours.
    let mdev = unsafe { mdev::of_vfio(vfio) };
    let arg = UserPtr::from_addr(arg as usize);
    let result = match command {
        GET_INFO => get_info(arg),
        GET_IRQ_INFO => get_irq_info(arg),
        SET_IRQS => set_irqs(&mut Free::on_entry(), &mdev, arg),
        RESET => mdev.reset(&mut Free::on_entry()),
        _ => Err(Error::from_errno(-(bindings::EOPNOTSUPP as c_int))),
    };
    result.map_or_else(|error| error.to_errno() as c_long, |()| 0)
}

// Linux uapi/linux/vfio.h: _IO(VFIO_TYPE, VFIO_BASE + n)
const GET_INFO: u32 = vfio_io(7);
const GET_IRQ_INFO: u32 = vfio_io(9);
const SET_IRQS: u32 = vfio_io(10);
const RESET: u32 = vfio_io(11);

const fn vfio_io(number: u32) -> u32 {
    kernel::ioctl::_IO(bindings::VFIO_TYPE as u32, bindings::VFIO_BASE + number)
}

/// The interrupts, in the order of their indices.
const TRIGGERS: [Trigger; 2] = [Trigger::Request, Trigger::ConfigChange];

/// The words that user space passes, up to and including the last that counts.
fn words<const N: usize>(arg: UserPtr) -> Result<[u32; N]> {
    let mut reader = UserSlice::new(arg, N * 4).reader();
    let mut words = [0; N];
    for word in &mut words {
        *word = reader.read()?;
    }
    Ok(words)
}

fn put_words(arg: UserPtr, words: &[u32]) -> Result {
    let mut writer = UserSlice::new(arg, words.len() * 4).writer();
    words.iter().try_for_each(|word| writer.write(word))
}

fn get_info(arg: UserPtr) -> Result {
    const LEN: u32 = offset_of!(bindings::vfio_device_info, num_irqs) as u32 + 4;
    const _: () = assert!(LEN == 16);
    let [argsz, ..] = words::<4>(arg)?;
    if argsz < LEN {
        return Err(EINVAL);
    }
    let flags = bindings::VFIO_DEVICE_FLAGS_AP | bindings::VFIO_DEVICE_FLAGS_RESET;
    put_words(arg, &[argsz, flags, 0, TRIGGERS.len() as u32])
}

fn get_irq_info(arg: UserPtr) -> Result {
    const LEN: u32 = offset_of!(bindings::vfio_irq_info, count) as u32 + 4;
    const _: () = assert!(LEN == 16);
    let [argsz, _, index, _] = words::<4>(arg)?;
    if argsz < LEN || index as usize >= TRIGGERS.len() {
        return Err(EINVAL);
    }
    put_words(arg, &[argsz, bindings::VFIO_IRQ_INFO_EVENTFD, index, 1])
}

fn set_irqs(free: &mut Free<'_>, mdev: &Mdev, arg: UserPtr) -> Result {
    const LEN: usize = offset_of!(bindings::vfio_irq_set, count) + 4;
    const _: () = assert!(LEN == 20);
    let [argsz, flags, index, start, count] = words::<5>(arg)?;
    let mut header = bindings::vfio_irq_set {
        argsz,
        flags,
        index,
        start,
        count,
        ..bindings::vfio_irq_set::default()
    };
    let mut size = 0;
    let kinds = TRIGGERS.len() as c_int;
    // SAFETY: Both live until it returns.
    let ret =
        unsafe { bindings::vfio_set_irqs_validate_and_prepare(&mut header, 1, kinds, &mut size) };
    to_result(ret)?;
    let data = flags & bindings::VFIO_IRQ_SET_DATA_TYPE_MASK;
    let triggers = flags & bindings::VFIO_IRQ_SET_ACTION_TRIGGER != 0;
    // without a count there is no eventfd to read
    if data != bindings::VFIO_IRQ_SET_DATA_EVENTFD || !triggers || count != 1 {
        return Err(EINVAL);
    }
    let trigger = TRIGGERS.get(index as usize).ok_or(EINVAL)?;
    let data = arg.wrapping_byte_add(LEN);
    let eventfd = match UserSlice::new(data, 4).reader().read::<i32>()? {
        -1 => None,
        fd if fd >= 0 => Some(EventFd::get(fd)?),
        _ => return Err(EINVAL),
    };
    mdev.set_trigger(free, *trigger, eventfd);
    Ok(())
}
