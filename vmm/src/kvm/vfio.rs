// SPDX-License-Identifier: MIT OR Apache-2.0
//! VFIO calls that `vfio-ioctls` makes only for devices it knows.
//!
//! Its `VfioDevice` refuses anything but PCI and platform devices, so group
//! and device are driven here; container, iommufd and their tables are its.
//!
//! Source: Linux `include/uapi/linux/vfio.h`, `drivers/vfio/group.c`.

use std::ffi::CStr;
use std::fs::File;
use std::io;
use std::mem::size_of;
use std::os::fd::{AsRawFd, FromRawFd, OwnedFd, RawFd};

use kvm_bindings::{
    KVM_DEV_VFIO_FILE, KVM_DEV_VFIO_FILE_ADD, KVM_DEV_VFIO_FILE_DEL, kvm_device_attr,
};
use kvm_ioctls::DeviceFd;
use vfio_bindings::bindings::vfio::{
    VFIO_BASE, VFIO_IRQ_SET_ACTION_TRIGGER, VFIO_IRQ_SET_DATA_EVENTFD, VFIO_TYPE,
    VFIO_TYPE1v2_IOMMU, vfio_device_info, vfio_irq_info,
};
use vfio_ioctls::{VfioContainer, VfioIommufd};
use vm_memory::{GuestMemoryBackend, GuestMemoryMmap, GuestMemoryRegion};
use vmm_sys_util::ioctl::{
    _IOC_NONE, ioctl, ioctl_expr, ioctl_with_mut_ref, ioctl_with_ptr, ioctl_with_ref,
    ioctl_with_val,
};

const fn vfio(number: u32) -> u64 {
    ioctl_expr(_IOC_NONE, VFIO_TYPE as u32, VFIO_BASE + number, 0)
}

const VFIO_SET_IOMMU: u64 = vfio(2);
const VFIO_GROUP_SET_CONTAINER: u64 = vfio(4);
const VFIO_GROUP_GET_DEVICE_FD: u64 = vfio(6);
const VFIO_DEVICE_GET_INFO: u64 = vfio(7);
const VFIO_DEVICE_GET_IRQ_INFO: u64 = vfio(9);
const VFIO_DEVICE_SET_IRQS: u64 = vfio(10);
const VFIO_DEVICE_RESET: u64 = vfio(11);
const VFIO_IOMMU_MAP_DMA: u64 = vfio(13);
const VFIO_IOMMU_UNMAP_DMA: u64 = vfio(14);
const VFIO_DEVICE_BIND_IOMMUFD: u64 = vfio(18);
const VFIO_DEVICE_ATTACH_IOMMUFD_PT: u64 = vfio(19);
const _: () = assert!(VFIO_DEVICE_RESET == 0x3b6f);

// numbers from 0x80 on, of the same type (Linux `include/uapi/linux/iommufd.h`)
const IOMMU_DESTROY: u64 = vfio(28);
const IOMMU_IOAS_ALLOC: u64 = vfio(29);
const IOMMU_IOAS_MAP: u64 = vfio(33);
const IOMMU_IOAS_UNMAP: u64 = vfio(34);
const _: () = assert!(IOMMU_DESTROY == 0x3b80);
const _: () = assert!(IOMMU_IOAS_UNMAP == 0x3b86);

/// The requests by which devices are attached, reset and detached: those above
/// and what `vfio-ioctls` and `iommufd-ioctls` make of a container and an
/// address space.
pub(super) const REQUESTS: [u64; 17] = [
    vfio(0),
    vfio(1),
    VFIO_SET_IOMMU,
    VFIO_GROUP_SET_CONTAINER,
    VFIO_GROUP_GET_DEVICE_FD,
    VFIO_DEVICE_GET_INFO,
    VFIO_DEVICE_GET_IRQ_INFO,
    VFIO_DEVICE_SET_IRQS,
    VFIO_DEVICE_RESET,
    VFIO_IOMMU_MAP_DMA,
    VFIO_DEVICE_BIND_IOMMUFD,
    VFIO_DEVICE_ATTACH_IOMMUFD_PT,
    IOMMU_DESTROY,
    IOMMU_IOAS_ALLOC,
    IOMMU_IOAS_MAP,
    IOMMU_IOAS_UNMAP,
    VFIO_IOMMU_UNMAP_DMA,
];

/// `struct vfio_irq_set` with one eventfd behind it.
#[repr(C)]
struct IrqSet {
    argsz: u32,
    flags: u32,
    index: u32,
    start: u32,
    count: u32,
    fd: i32,
}
const _: () = assert!(size_of::<IrqSet>() == 24);
const _: () = assert!(std::mem::offset_of!(IrqSet, fd) == 20);

/// `struct vfio_device_bind_iommufd` without the token, which only PCI has.
#[repr(C)]
struct BindIommufd {
    argsz: u32,
    flags: u32,
    iommufd: i32,
    out_devid: u32,
}
const _: () = assert!(size_of::<BindIommufd>() == 16);
const _: () = assert!(std::mem::offset_of!(BindIommufd, iommufd) == 8);

/// `struct vfio_device_attach_iommufd_pt` without the PASID.
#[repr(C)]
struct AttachIommufd {
    argsz: u32,
    flags: u32,
    pt_id: u32,
}
const _: () = assert!(size_of::<AttachIommufd>() == 12);
const _: () = assert!(std::mem::offset_of!(AttachIommufd, pt_id) == 8);

/// Ties a group or device file to the machine of `kvm`.
pub fn add_file(kvm: &DeviceFd, file: &impl AsRawFd) -> io::Result<()> {
    set_file(kvm, KVM_DEV_VFIO_FILE_ADD, file.as_raw_fd())
}

/// Undoes [`add_file`].
pub fn remove_file(kvm: &DeviceFd, file: &impl AsRawFd) -> io::Result<()> {
    set_file(kvm, KVM_DEV_VFIO_FILE_DEL, file.as_raw_fd())
}

fn set_file(kvm: &DeviceFd, attr: u32, fd: RawFd) -> io::Result<()> {
    let attr = kvm_device_attr {
        flags: 0,
        group: KVM_DEV_VFIO_FILE,
        attr: attr.into(),
        addr: std::ptr::from_ref(&fd) as u64,
    };
    // kvm-ioctls holds that the kernel only reads the file number
    kvm.set_device_attr(&attr).map_err(io::Error::from)
}

/// Puts a group into a container.
pub fn set_container(group: &File, container: &VfioContainer) -> io::Result<()> {
    let fd = container.as_raw_fd();
    // SAFETY: the request reads one int.
    check(unsafe { ioctl_with_ref(group, VFIO_GROUP_SET_CONTAINER, &fd) })?;
    Ok(())
}

/// Chooses the IOMMU interface of a container that has a group.
pub fn set_iommu(container: &VfioContainer) -> io::Result<()> {
    // SAFETY: the argument is a number.
    check(unsafe { ioctl_with_val(container, VFIO_SET_IOMMU, VFIO_TYPE1v2_IOMMU.into()) })?;
    Ok(())
}

/// Lets devices of a container reach all of guest storage, which must be from
/// [`super::allocate`].
pub fn map_storage(
    container: &VfioContainer,
    memory: &GuestMemoryMmap,
) -> Result<(), vfio_ioctls::VfioError> {
    // SAFETY: guest storage is never unmapped and only reached by the
    // volatile accessors of vm-memory.
    unsafe { container.vfio_map_guest_memory(memory) }
}

/// Lets devices of an iommufd's address space reach all of guest storage, which
/// must be from [`super::allocate`].
pub fn map_storage_by_iommufd(
    iommufd: &VfioIommufd,
    memory: &GuestMemoryMmap,
) -> Result<(), vfio_ioctls::VfioError> {
    for region in memory.iter() {
        let start = region.as_ptr();
        // fits: it is mapped
        let len = region.len() as usize;
        // SAFETY: guest storage is never unmapped and only reached by the
        // volatile accessors of vm-memory.
        unsafe { iommufd.vfio_dma_map(region.start_addr().0, len, start) }?;
    }
    Ok(())
}

/// Binds a device's own node to an iommufd, which opens the device.
pub fn bind(device: &File, iommufd: &impl AsRawFd) -> io::Result<()> {
    let mut bind = BindIommufd {
        argsz: size_of::<BindIommufd>() as u32,
        flags: 0,
        iommufd: iommufd.as_raw_fd(),
        out_devid: 0,
    };
    // SAFETY: the request reads and writes at most `argsz` bytes.
    check(unsafe { ioctl_with_mut_ref(device, VFIO_DEVICE_BIND_IOMMUFD, &mut bind) })?;
    Ok(())
}

/// Puts a bound device into an address space of its iommufd.
pub fn attach(device: &File, ioas: u32) -> io::Result<()> {
    let mut attach = AttachIommufd {
        argsz: size_of::<AttachIommufd>() as u32,
        flags: 0,
        pt_id: ioas,
    };
    // SAFETY: the request reads and writes at most `argsz` bytes.
    check(unsafe { ioctl_with_mut_ref(device, VFIO_DEVICE_ATTACH_IOMMUFD_PT, &mut attach) })?;
    Ok(())
}

/// Opens a device of a group.
pub fn open_device(group: &File, name: &CStr) -> io::Result<OwnedFd> {
    // SAFETY: the request reads a string that ends in NUL.
    let fd = check(unsafe { ioctl_with_ptr(group, VFIO_GROUP_GET_DEVICE_FD, name.as_ptr()) })?;
    // SAFETY: the kernel just made this file number for us.
    Ok(unsafe { OwnedFd::from_raw_fd(fd) })
}

/// What the device is.
pub fn device_info(device: &impl AsRawFd) -> io::Result<vfio_device_info> {
    let mut info = vfio_device_info {
        argsz: size_of::<vfio_device_info>() as u32,
        ..Default::default()
    };
    // SAFETY: the request fills at most `argsz` bytes of this struct.
    check(unsafe { ioctl_with_mut_ref(device, VFIO_DEVICE_GET_INFO, &mut info) })?;
    Ok(info)
}

/// What an interrupt of the device is.
pub fn irq_info(device: &impl AsRawFd, index: u32) -> io::Result<vfio_irq_info> {
    let mut info = vfio_irq_info {
        argsz: size_of::<vfio_irq_info>() as u32,
        index,
        ..Default::default()
    };
    // SAFETY: the request fills at most `argsz` bytes of this struct.
    check(unsafe { ioctl_with_mut_ref(device, VFIO_DEVICE_GET_IRQ_INFO, &mut info) })?;
    Ok(info)
}

/// Lets an interrupt of the device signal `eventfd`, or nothing.
pub fn set_irq(device: &impl AsRawFd, index: u32, eventfd: Option<&dyn AsRawFd>) -> io::Result<()> {
    let set = IrqSet {
        argsz: size_of::<IrqSet>() as u32,
        flags: VFIO_IRQ_SET_DATA_EVENTFD | VFIO_IRQ_SET_ACTION_TRIGGER,
        index,
        start: 0,
        count: 1,
        fd: eventfd.map_or(-1, AsRawFd::as_raw_fd),
    };
    // SAFETY: the request reads `argsz` bytes, one eventfd behind the header.
    check(unsafe { ioctl_with_ref(device, VFIO_DEVICE_SET_IRQS, &set) })?;
    Ok(())
}

/// Resets all queues of the device; may take seconds.
pub fn reset(device: &impl AsRawFd) -> io::Result<()> {
    // SAFETY: the request has no argument.
    check(unsafe { ioctl(device, VFIO_DEVICE_RESET) })?;
    Ok(())
}

fn check(result: i32) -> io::Result<i32> {
    if result < 0 {
        Err(io::Error::last_os_error())
    } else {
        Ok(result)
    }
}
