// SPDX-License-Identifier: MIT OR Apache-2.0
//! A vCPU file and the page it shares with the kernel.

use std::os::fd::AsRawFd;
use std::ptr::NonNull;
use std::sync::atomic::{AtomicU8, Ordering};

use kvm_bindings::{
    KVM_CAP_S390_CSS_SUPPORT, KVM_MP_STATE_OPERATING, KVM_S390_MEMOP_F_INJECT_EXCEPTION,
    KVM_S390_MEMOP_LOGICAL_READ, KVM_S390_MEMOP_LOGICAL_WRITE, KVM_S390_PROGRAM_INT,
    kvm_enable_cap, kvm_mp_state, kvm_run, kvm_s390_irq, kvm_s390_mem_op,
};
use kvm_ioctls::{VcpuExit, VcpuFd};

use super::ioctl::{
    KVM_ENABLE_CAP, KVM_S390_CLEAR_RESET, KVM_S390_IRQ, KVM_S390_MEM_OP, call, call_with,
};
use super::{KvmError, Result};
use crate::program::ProgramInterrupt;

/// A CPU of a machine.
pub struct Vcpu {
    fd: VcpuFd,
}

/// Why [`Vcpu::run`] came back.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum RunExit {
    /// An intercept, to be decoded.
    Intercept {
        /// Interception code.
        code: u8,
        /// First two bytes of the instruction.
        ipa: u16,
        /// The next four.
        ipb: u32,
    },
    /// TSCH. KVM looked for an interrupt of the subchannel first; there is
    /// none to give back, as no subchannel ever has one.
    TestSubchannel,
    /// The guest asked for a reset.
    Reset,
    /// A signal, or [`Kick::kick`].
    Interrupted,
    /// KVM needs more from user space than this VMM asked it to.
    Unexpected(u32),
}

/// How an access to guest storage ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[must_use]
pub enum Access {
    /// Complete.
    Done,
    /// An access exception was presented to the guest; the instruction ends.
    Exception,
}

/// Makes a CPU leave the guest and stay out. Maps the page the CPU shares with
/// the kernel a second time, so that it may outlive the CPU.
pub struct Kick {
    page: NonNull<u8>,
}

const PAGE: usize = 4096;
const IMMEDIATE_EXIT: usize = std::mem::offset_of!(kvm_run, immediate_exit);
const _: () = assert!(IMMEDIATE_EXIT < PAGE);

// SAFETY: the page stays mapped as long as this exists, and is only reached
// by an atomic store.
unsafe impl Send for Kick {}

impl Kick {
    fn new(vcpu: &VcpuFd) -> Result<Self> {
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
            Some(mapped) if page != libc::MAP_FAILED => Ok(Self { page: mapped }),
            _ => Err(KvmError::last("map a CPU's page")),
        }
    }

    /// The next (or current, once a signal interrupts it) run ends at once.
    pub fn kick(&self) {
        // SAFETY: the offset is within the page.
        let flag = unsafe { self.page.add(IMMEDIATE_EXIT) };
        // SAFETY: mapped, and a byte has no alignment; the kernel only reads.
        let flag = unsafe { AtomicU8::from_ptr(flag.as_ptr()) };
        flag.store(1, Ordering::Release);
    }
}

impl Drop for Kick {
    fn drop(&mut self) {
        // SAFETY: mapped by `new`, and no reference into it is left.
        unsafe { libc::munmap(self.page.as_ptr().cast(), PAGE) };
    }
}

impl Vcpu {
    pub(super) fn new(fd: VcpuFd) -> Self {
        Self { fd }
    }

    /// Takes channel I/O instructions to user space.
    pub fn enable_css(&self) -> Result<()> {
        let cap = kvm_enable_cap {
            cap: KVM_CAP_S390_CSS_SUPPORT,
            ..Default::default()
        };
        // SAFETY: the request takes this struct, which has no pointers.
        unsafe {
            call_with(
                &self.fd,
                KVM_ENABLE_CAP,
                &cap,
                "enable the channel subsystem",
            )
        }?;
        Ok(())
    }

    /// Brings the CPU to its clear-reset state and lets it start at `psw`.
    pub fn start_at(&mut self, mask: u64, address: u64) -> Result<()> {
        // SAFETY: the request has no argument.
        unsafe { call(&self.fd, KVM_S390_CLEAR_RESET, "reset a CPU") }?;
        self.set_psw(mask, address);
        let state = kvm_mp_state {
            mp_state: KVM_MP_STATE_OPERATING,
        };
        self.fd
            .set_mp_state(state)
            .map_err(|e| KvmError::new("start a CPU", e))
    }

    /// A way to interrupt [`Self::run`] from another thread.
    pub fn kick_handle(&self) -> Result<Kick> {
        Kick::new(&self.fd)
    }

    /// Runs the guest until there is something to do.
    pub fn run(&mut self) -> Result<RunExit> {
        match self.fd.run() {
            Ok(VcpuExit::S390Sieic) => Ok(self.intercept()),
            Ok(VcpuExit::S390Tsch) => Ok(RunExit::TestSubchannel),
            Ok(VcpuExit::S390Reset) => Ok(RunExit::Reset),
            Ok(VcpuExit::Intr) => Ok(RunExit::Interrupted),
            Ok(_) => Ok(RunExit::Unexpected(self.fd.get_kvm_run().exit_reason)),
            Err(e) if matches!(e.errno(), libc::EINTR | libc::EAGAIN) => Ok(RunExit::Interrupted),
            Err(e) => Err(KvmError::new("run a CPU", e)),
        }
    }

    fn intercept(&mut self) -> RunExit {
        let run = self.fd.get_kvm_run();
        // SAFETY: the exit reason says that this member is in use.
        let sieic = unsafe { run.__bindgen_anon_1.s390_sieic };
        RunExit::Intercept {
            code: sieic.icptcode,
            ipa: sieic.ipa,
            ipb: sieic.ipb,
        }
    }

    /// PSW mask and address.
    pub fn psw(&mut self) -> (u64, u64) {
        let run = self.fd.get_kvm_run();
        (run.psw_mask, run.psw_addr)
    }

    /// Sets the PSW.
    pub fn set_psw(&mut self, mask: u64, address: u64) {
        let run = self.fd.get_kvm_run();
        run.psw_mask = mask;
        run.psw_addr = address;
    }

    /// The general registers.
    pub fn gprs(&mut self) -> &mut [u64; 16] {
        let run = self.fd.get_kvm_run();
        // SAFETY: the union has one member in use on s390, filled by the
        // kernel at each exit.
        unsafe { &mut run.s.regs.gprs }
    }

    /// Address of the prefix area.
    pub fn prefix(&mut self) -> u64 {
        let run = self.fd.get_kvm_run();
        // SAFETY: as for the general registers.
        unsafe { run.s.regs.prefix }
    }

    /// Reads guest storage by logical address.
    pub fn read(&self, address: u64, buffer: &mut [u8]) -> Result<Access> {
        let buf = buffer.as_mut_ptr() as u64;
        let op = mem_op(KVM_S390_MEMOP_LOGICAL_READ, address, buf, buffer.len());
        // SAFETY: the kernel writes at most `size` bytes to `buf`, a slice of
        // that length which is exclusively borrowed.
        let result = unsafe { call_with(&self.fd, KVM_S390_MEM_OP, &op, "read guest storage") }?;
        Ok(access(result))
    }

    /// Writes guest storage by logical address.
    pub fn write(&self, address: u64, bytes: &[u8]) -> Result<Access> {
        let buf = bytes.as_ptr() as u64;
        let op = mem_op(KVM_S390_MEMOP_LOGICAL_WRITE, address, buf, bytes.len());
        // SAFETY: the kernel reads `size` bytes from `buf`, a slice of that
        // length.
        let result = unsafe { call_with(&self.fd, KVM_S390_MEM_OP, &op, "write guest storage") }?;
        Ok(access(result))
    }

    /// Presents a program interruption.
    pub fn interrupt(&self, interrupt: ProgramInterrupt) -> Result<()> {
        let mut irq = kvm_s390_irq {
            type_: KVM_S390_PROGRAM_INT.into(),
            ..Default::default()
        };
        irq.u.pgm.code = interrupt.code();
        // SAFETY: the request takes this struct, which has no pointers.
        unsafe {
            call_with(
                &self.fd,
                KVM_S390_IRQ,
                &irq,
                "present a program interruption",
            )
        }?;
        Ok(())
    }
}

fn mem_op(op: u32, gaddr: u64, buf: u64, len: usize) -> kvm_s390_mem_op {
    kvm_s390_mem_op {
        gaddr,
        flags: KVM_S390_MEMOP_F_INJECT_EXCEPTION.into(),
        // callers pass at most a page
        size: len as u32,
        op,
        buf,
        ..Default::default()
    }
}

/// A positive result is the code of the exception that was presented.
fn access(result: i32) -> Access {
    if result == 0 {
        Access::Done
    } else {
        Access::Exception
    }
}
