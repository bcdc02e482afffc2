// SPDX-License-Identifier: MIT OR Apache-2.0
//! Calls of KVM, VFIO and iommufd, made as a test wants them made: also wrong.
//!
//! Source: Linux `include/uapi/linux/{kvm,vfio,iommufd}.h`.

use nix::errno::Errno;
use nix::libc;
use std::fs::File;
use std::io;
use std::os::fd::{AsRawFd, FromRawFd, OwnedFd, RawFd};

const fn io(kind: u8, number: u32) -> u32 {
    ((kind as u32) << 8) | number
}

const fn iow<T>(kind: u8, number: u32) -> u32 {
    (1 << 30) | ((size_of::<T>() as u32) << 16) | io(kind, number)
}

/// A request that reads and writes its argument.
pub const fn iowr<T>(kind: u8, number: u32) -> u32 {
    (2 << 30) | iow::<T>(kind, number)
}

/// `VFIO_*` of that number.
pub const fn vfio(number: u32) -> u32 {
    io(b';', 100 + number)
}

const KVM_CREATE_VM: u32 = io(0xae, 0x01);
const KVM_CREATE_DEVICE: u32 = 0xc00c_aee0;
const KVM_SET_DEVICE_ATTR: u32 = iow::<DeviceAttr>(0xae, 0xe1);
const _: () = assert!(KVM_SET_DEVICE_ATTR == 0x4018_aee1);
const VFIO_SET_IOMMU: u32 = vfio(2);
const VFIO_GROUP_SET_CONTAINER: u32 = vfio(4);
const VFIO_GROUP_GET_DEVICE_FD: u32 = vfio(6);
const VFIO_DEVICE_BIND_IOMMUFD: u32 = vfio(18);
const VFIO_DEVICE_ATTACH_IOMMUFD_PT: u32 = vfio(19);
const VFIO_TYPE1V2_IOMMU: usize = 3;
const IOMMU_IOAS_ALLOC: u32 = io(b';', 0x81);

/// `struct kvm_device_attr`
#[repr(C)]
struct DeviceAttr {
    flags: u32,
    group: u32,
    attr: u64,
    addr: u64,
}

/// Makes a call whose argument is a number.
pub fn call(fd: &impl AsRawFd, request: u32, argument: usize) -> Result<i32, Errno> {
    // SAFETY: the kernel checks request and argument; callers pass numbers, or
    // the addresses of buffers that live until it returns.
    let result = unsafe { libc::ioctl(fd.as_raw_fd(), request as _, argument) };
    Errno::result(result)
}

/// Makes a call whose argument is the address of words, which it may change.
pub fn call_words(fd: &impl AsRawFd, request: u32, words: &mut [u32]) -> Result<i32, Errno> {
    call(fd, request, words.as_mut_ptr() as usize)
}

/// Makes a call with an address that nothing is mapped at.
pub fn call_nowhere(fd: &impl AsRawFd, request: u32) -> Result<i32, Errno> {
    call(fd, request, 8)
}

/// A file number that the kernel has just made.
pub fn new_fd(result: i32) -> OwnedFd {
    // SAFETY: the kernel has just made this file number for us.
    unsafe { OwnedFd::from_raw_fd(result) }
}

fn open(path: &str) -> Result<File, Errno> {
    let file = File::options().read(true).write(true).open(path);
    file.map_err(|e: io::Error| Errno::from_raw(e.raw_os_error().unwrap_or(0)))
}

/// A virtual machine without CPUs and memory.
pub struct Machine {
    _vm: OwnedFd,
    vfio: OwnedFd,
}

impl Machine {
    /// Makes one.
    pub fn new() -> Result<Self, Errno> {
        let kvm = open("/dev/kvm")?;
        let vm = new_fd(call(&kvm, KVM_CREATE_VM, 0)?);
        // struct kvm_create_device: KVM_DEV_TYPE_VFIO, fd, flags
        let mut device = [4, 0, 0];
        call_words(&vm, KVM_CREATE_DEVICE, &mut device)?;
        let vfio = new_fd(device[1].cast_signed());
        Ok(Self { _vm: vm, vfio })
    }

    /// Ties a VFIO file to the machine.
    fn add(&self, file: &impl AsRawFd) -> Result<(), Errno> {
        const KVM_DEV_VFIO_FILE_ADD: u64 = 1;
        self.set(KVM_DEV_VFIO_FILE_ADD, file.as_raw_fd())
    }

    /// Unties a device's file, so that it can be opened again. Nothing is done
    /// to one that was not tied.
    pub fn forget(&self, device: &Device) {
        const KVM_DEV_VFIO_FILE_DEL: u64 = 2;
        // refused if it was not tied
        let _ = self.set(KVM_DEV_VFIO_FILE_DEL, device.tied);
    }

    fn set(&self, attr: u64, fd: RawFd) -> Result<(), Errno> {
        const KVM_DEV_VFIO_FILE: u32 = 1;
        let attr = DeviceAttr {
            flags: 0,
            group: KVM_DEV_VFIO_FILE,
            attr,
            addr: &raw const fd as u64,
        };
        call(&self.vfio, KVM_SET_DEVICE_ATTR, &raw const attr as usize)?;
        Ok(())
    }
}

/// An open device. Dropped in this order.
pub struct Device {
    /// The device.
    pub file: OwnedFd,
    /// What a machine is tied to: the device, or its group.
    tied: RawFd,
    _others: Vec<OwnedFd>,
}

impl Device {
    /// Opens a device by its group and a container.
    pub fn by_group(number: &str, name: &str, machine: Option<&Machine>) -> Result<Self, Errno> {
        let group = open(&format!("/dev/vfio/{number}"))?;
        let container = open("/dev/vfio/vfio")?;
        let fd = container.as_raw_fd();
        call(&group, VFIO_GROUP_SET_CONTAINER, &raw const fd as usize)?;
        call(&container, VFIO_SET_IOMMU, VFIO_TYPE1V2_IOMMU)?;
        if let Some(machine) = machine {
            machine.add(&group)?;
        }
        let name = std::ffi::CString::new(name).map_err(|_| Errno::EINVAL)?;
        let file = call(&group, VFIO_GROUP_GET_DEVICE_FD, name.as_ptr() as usize)?;
        Ok(Self {
            file: new_fd(file),
            tied: group.as_raw_fd(),
            _others: vec![group.into(), container.into()],
        })
    }

    /// Opens a device by its own character device and iommufd.
    pub fn by_cdev(node: &str, machine: Option<&Machine>) -> Result<Self, Errno> {
        let file = open(&format!("/dev/vfio/devices/{node}"))?;
        let iommufd = open("/dev/iommu")?;
        if let Some(machine) = machine {
            machine.add(&file)?;
        }
        // struct vfio_device_bind_iommufd: argsz, flags, iommufd, out_devid
        let mut bind = [16, 0, iommufd.as_raw_fd().cast_unsigned(), 0];
        call_words(&file, VFIO_DEVICE_BIND_IOMMUFD, &mut bind)?;
        // struct iommu_ioas_alloc: size, flags, out_ioas_id
        let mut ioas = [12, 0, 0];
        call_words(&iommufd, IOMMU_IOAS_ALLOC, &mut ioas)?;
        // struct vfio_device_attach_iommufd_pt: argsz, flags, pt_id, pasid
        let mut attach = [16, 0, ioas[2], 0];
        call_words(&file, VFIO_DEVICE_ATTACH_IOMMUFD_PT, &mut attach)?;
        Ok(Self {
            tied: file.as_raw_fd(),
            file: file.into(),
            _others: vec![iommufd.into()],
        })
    }
}

/// CPU time that this process has used, in nanoseconds.
pub fn cpu_time() -> u64 {
    let mut time = libc::timespec {
        tv_sec: 0,
        tv_nsec: 0,
    };
    // SAFETY: the clock exists, and `time` lives until it returns.
    unsafe { libc::clock_gettime(libc::CLOCK_PROCESS_CPUTIME_ID, &raw mut time) };
    time.tv_sec.cast_unsigned() * 1_000_000_000 + time.tv_nsec.cast_unsigned()
}

/// A socket on which the kernel tells its uevents.
pub fn uevents() -> Result<OwnedFd, Errno> {
    let kind = libc::SOCK_DGRAM | libc::SOCK_NONBLOCK | libc::SOCK_CLOEXEC;
    // SAFETY: no memory is passed.
    let socket = unsafe { libc::socket(libc::AF_NETLINK, kind, libc::NETLINK_KOBJECT_UEVENT) };
    let socket = new_fd(Errno::result(socket)?);
    // SAFETY: the structure is made of integers.
    let mut address: libc::sockaddr_nl = unsafe { std::mem::zeroed() };
    address.nl_family = libc::AF_NETLINK as libc::sa_family_t;
    // the group of those that the kernel sends
    address.nl_groups = 1;
    let (pointer, size) = (&raw const address, size_of::<libc::sockaddr_nl>());
    // SAFETY: the address lives until it returns, and has that size.
    let bound = unsafe { libc::bind(socket.as_raw_fd(), pointer.cast(), size as u32) };
    Errno::result(bound)?;
    Ok(socket)
}

/// The next message on a socket, if there is one.
pub fn receive(socket: &OwnedFd) -> Option<Vec<u8>> {
    let mut bytes = vec![0; 4096];
    let (buffer, size) = (bytes.as_mut_ptr(), bytes.len());
    // SAFETY: the buffer lives until it returns, and has that size.
    let len = unsafe { libc::recv(socket.as_raw_fd(), buffer.cast(), size, 0) };
    bytes.truncate(usize::try_from(len).ok()?);
    Some(bytes)
}

/// Whether sysfs says within so many milliseconds that a file has changed since
/// it was read.
pub fn poll_sysfs(file: &File, limit: u32) -> Result<bool, Errno> {
    let mut poll = libc::pollfd {
        fd: file.as_raw_fd(),
        events: libc::POLLPRI,
        revents: 0,
    };
    let limit = i32::try_from(limit).unwrap_or(i32::MAX);
    // SAFETY: the structure lives until it returns.
    let ready = unsafe { libc::poll(&raw mut poll, 1, limit) };
    Ok(Errno::result(ready)? == 1 && poll.revents & libc::POLLPRI != 0)
}
