// SPDX-License-Identifier: MIT OR Apache-2.0
//! A call whose argument is in memory that is not there yet: the kernel waits
//! for it where it copies the argument.
//!
//! Source: Linux `include/uapi/linux/userfaultfd.h`.

use crate::sys::{call, iowr, new_fd, vfio};
use nix::errno::Errno;
use nix::libc;
use std::os::fd::OwnedFd;
use std::thread::JoinHandle;

/// `struct uffdio_api`
type Api = [u64; 3];
/// `struct uffdio_register`, `struct uffdio_zeropage`: start and length of a
/// range, mode, result.
type OfRange = [u64; 4];

const UFFDIO_API: u32 = iowr::<Api>(0xaa, 0x3f);
const UFFDIO_REGISTER: u32 = iowr::<OfRange>(0xaa, 0x00);
const UFFDIO_ZEROPAGE: u32 = iowr::<OfRange>(0xaa, 0x04);
const UFFD_API: u64 = 0xaa;
const UFFDIO_REGISTER_MODE_MISSING: u64 = 1;
/// `struct uffd_msg`
const MESSAGE: usize = 32;
const PAGE: usize = 4096;

/// A call that waits.
pub struct Stalled {
    faults: OwnedFd,
    page: usize,
    caller: JoinHandle<Result<i32, Errno>>,
}

impl Stalled {
    /// Asks a device for `VFIO_DEVICE_GET_INFO`. On return the kernel has got to
    /// its argument.
    pub fn new(device: &OwnedFd) -> Result<Self, Errno> {
        // SAFETY: no memory is passed.
        let faults = unsafe { libc::syscall(libc::SYS_userfaultfd, libc::O_CLOEXEC) };
        let faults = new_fd(Errno::result(faults)? as i32);
        let mut api: Api = [UFFD_API, 0, 0];
        call(&faults, UFFDIO_API, api.as_mut_ptr() as usize)?;
        let page = new_page()?;
        let range = [page as u64, PAGE as u64];
        let mut register: OfRange = [range[0], range[1], UFFDIO_REGISTER_MODE_MISSING, 0];
        call(&faults, UFFDIO_REGISTER, register.as_mut_ptr() as usize)?;
        let device = device.try_clone().map_err(|_| Errno::EMFILE)?;
        let caller = std::thread::spawn(move || call(&device, vfio(7), page));
        // the message that the page is missed, for which reading waits
        nix::unistd::read(&faults, &mut [0; MESSAGE])?;
        Ok(Self {
            faults,
            page,
            caller,
        })
    }

    /// Lets the kernel have the argument, all zeros, and returns what it says.
    pub fn resume(self) -> Result<i32, Errno> {
        let mut zeros: OfRange = [self.page as u64, PAGE as u64, 0, 0];
        call(&self.faults, UFFDIO_ZEROPAGE, zeros.as_mut_ptr() as usize)?;
        self.caller.join().map_err(|_| Errno::EIO)?
    }
}

/// The address of a page of memory that nothing has touched; it is never unmapped.
fn new_page() -> Result<usize, Errno> {
    let (access, kind) = (
        libc::PROT_READ | libc::PROT_WRITE,
        libc::MAP_PRIVATE | libc::MAP_ANONYMOUS,
    );
    // SAFETY: new memory where there is room changes no other.
    let page = unsafe { libc::mmap(std::ptr::null_mut(), PAGE, access, kind, -1, 0) };
    if page == libc::MAP_FAILED {
        return Err(Errno::last());
    }
    Ok(page as usize)
}
