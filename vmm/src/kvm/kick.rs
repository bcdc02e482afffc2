// SPDX-License-Identifier: MIT OR Apache-2.0
//! Makes a CPU leave the guest.
//!
//! A signal interrupts a thread that is in `KVM_RUN`; one that is about to
//! enter it finds the flag in the page that it shares with the kernel, and
//! comes back at once. The flag stays until the CPU takes it back.

use std::os::fd::AsRawFd;
use std::ptr::NonNull;
use std::sync::atomic::{AtomicI32, AtomicU8, Ordering};

use kvm_bindings::kvm_run;
use kvm_ioctls::VcpuFd;
use vmm_sys_util::signal::{SIGRTMIN, register_signal_handler};

use super::{KvmError, Result};
use crate::cpus::Wake;

const PAGE: usize = 4096;
const IMMEDIATE_EXIT: usize = std::mem::offset_of!(kvm_run, immediate_exit);
const _: () = assert!(IMMEDIATE_EXIT < PAGE);

/// Not a thread's number.
const NO_THREAD: i32 = 0;

/// Interrupts one CPU. Maps the page the CPU shares with the kernel a second
/// time, so that it may outlive the CPU.
pub struct Kick {
    page: NonNull<u8>,
    thread: AtomicI32,
}

// SAFETY: the page stays mapped as long as this exists, and is only reached
// by an atomic store.
unsafe impl Send for Kick {}
// SAFETY: as for Send.
unsafe impl Sync for Kick {}

impl Kick {
    pub(super) fn new(vcpu: &VcpuFd) -> Result<Self> {
        let prot = libc::PROT_READ | libc::PROT_WRITE;
        // SAFETY: a new mapping, at an address the kernel chooses.
        let page = unsafe {
            libc::mmap(
                std::ptr::null_mut(),
                PAGE,
                prot,
                libc::MAP_SHARED,
                vcpu.as_raw_fd(),
                0,
            )
        };
        match NonNull::new(page.cast()) {
            Some(mapped) if page != libc::MAP_FAILED => Ok(Self {
                page: mapped,
                thread: AtomicI32::new(NO_THREAD),
            }),
            _ => Err(KvmError::last("map a CPU's page")),
        }
    }

    /// Says that the CPU is run by the calling thread.
    pub fn bind_thread(&self) {
        // SAFETY: a call without arguments.
        let thread = unsafe { libc::gettid() };
        self.thread.store(thread, Ordering::Release);
    }
}

impl Wake for Kick {
    fn wake(&self) {
        // SAFETY: the offset is within the page.
        let flag = unsafe { self.page.add(IMMEDIATE_EXIT) };
        // SAFETY: mapped, and a byte has no alignment; the kernel only reads.
        let flag = unsafe { AtomicU8::from_ptr(flag.as_ptr()) };
        flag.store(1, Ordering::Release);
        let thread = self.thread.load(Ordering::Acquire);
        if thread == NO_THREAD {
            return;
        }
        let process = std::process::id();
        // SAFETY: a call with numbers only. If the thread has gone and another
        // one of this process has its number, that one ignores the signal.
        let result = unsafe { libc::syscall(libc::SYS_tgkill, process, thread, SIGRTMIN()) };
        if result != 0 {
            let error = std::io::Error::last_os_error();
            tracing::debug!(%error, "a CPU thread has gone");
        }
    }
}

impl Drop for Kick {
    fn drop(&mut self) {
        // SAFETY: mapped by `new`, and no reference into it is left.
        unsafe { libc::munmap(self.page.as_ptr().cast(), PAGE) };
    }
}

/// Has the signal do nothing but interrupt. Once, before CPUs run.
pub fn handle_kicks() -> Result<()> {
    extern "C" fn ignore(_: i32, _: *mut libc::siginfo_t, _: *mut libc::c_void) {}
    register_signal_handler(SIGRTMIN(), ignore)
        .map_err(|e| KvmError::new("handle the signal to CPUs", e))
}
