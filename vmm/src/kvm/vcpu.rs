// SPDX-License-Identifier: MIT OR Apache-2.0
//! A vCPU file and the page it shares with the kernel.

use kvm_bindings::{
    KVM_CAP_S390_CSS_SUPPORT, KVM_MP_STATE_OPERATING, KVM_MP_STATE_STOPPED,
    KVM_S390_MEMOP_F_INJECT_EXCEPTION, KVM_S390_MEMOP_LOGICAL_READ, KVM_S390_MEMOP_LOGICAL_WRITE,
    KVM_S390_PROGRAM_INT, KVM_S390_RESET_CLEAR, KVM_S390_RESTART, KVM_S390_SIGP_STOP,
    KVM_S390_STOP_FLAG_STORE_STATUS, KVM_SYNC_PREFIX, kvm_enable_cap, kvm_mp_state, kvm_s390_irq,
    kvm_s390_mem_op,
};
use kvm_ioctls::{VcpuExit, VcpuFd};

use super::ioctl::{
    KVM_ENABLE_CAP, KVM_S390_CLEAR_RESET, KVM_S390_INITIAL_RESET, KVM_S390_IRQ, KVM_S390_MEM_OP,
    KVM_S390_NORMAL_RESET, KVM_S390_STORE_STATUS, call, call_with, call_with_number,
};
use super::{Access, Kick, KvmError, Result};
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
    /// The guest asked for a reset, by which its image is loaded again.
    Reset {
        /// Whether it wants storage cleared.
        clear: bool,
    },
    /// A signal, or a [`Kick`].
    Interrupted,
    /// KVM needs more from user space than this VMM asked it to.
    Unexpected(u32),
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

    /// Lets the CPU run, or not.
    pub fn set_operating(&self, operating: bool) -> Result<()> {
        let mp_state = match operating {
            true => KVM_MP_STATE_OPERATING,
            false => KVM_MP_STATE_STOPPED,
        };
        self.fd
            .set_mp_state(kvm_mp_state { mp_state })
            .map_err(|e| KvmError::new("start or stop a CPU", e))
    }

    /// Forgets what is pending.
    pub fn reset(&mut self) -> Result<()> {
        self.reset_by(KVM_S390_NORMAL_RESET)
    }

    /// The same, and resets PSW, prefix, control registers and timers.
    pub fn initial_reset(&mut self) -> Result<()> {
        self.reset_by(KVM_S390_INITIAL_RESET)?;
        self.forget_prefix();
        Ok(())
    }

    /// The same, and resets all other registers.
    pub fn clear_reset(&mut self) -> Result<()> {
        self.reset_by(KVM_S390_CLEAR_RESET)?;
        self.forget_prefix();
        Ok(())
    }

    fn reset_by(&self, request: u64) -> Result<()> {
        // SAFETY: the three requests have no argument.
        unsafe { call(&self.fd, request, "reset a CPU") }?;
        Ok(())
    }

    /// KVM resets its own copy of the prefix only.
    fn forget_prefix(&mut self) {
        let run = self.fd.get_kvm_run();
        run.kvm_dirty_regs &= !u64::from(KVM_SYNC_PREFIX);
        run.s.regs.prefix = 0;
    }

    /// Sets the prefix, which KVM takes over when the CPU runs.
    pub fn set_prefix(&mut self, prefix: u64) {
        let run = self.fd.get_kvm_run();
        run.s.regs.prefix = prefix;
        run.kvm_dirty_regs |= u64::from(KVM_SYNC_PREFIX);
    }

    /// Stores the status at an absolute address, as for `SIGP` with the order
    /// to do so.
    pub fn store_status(&mut self, address: u64) -> Result<()> {
        // SAFETY: the argument is an address of the guest.
        unsafe {
            call_with_number(
                &self.fd,
                KVM_S390_STORE_STATUS,
                address,
                "store a CPU's status",
            )
        }?;
        Ok(())
    }

    /// The vector registers.
    pub fn vector_registers(&mut self) -> &[[u64; 2]; 32] {
        let run = self.fd.get_kvm_run();
        // SAFETY: the union has one member in use on s390.
        let regs = unsafe { &run.s.regs };
        // SAFETY: this member is in use, as every machine here has vector
        // registers (`Vm::enable_vector_registers`).
        unsafe { &regs.__bindgen_anon_1.vrs }
    }

    /// Makes a stop pending, or stores the status of a stopped CPU.
    pub fn inject_stop(&self, store: bool) -> Result<()> {
        let mut irq = irq(KVM_S390_SIGP_STOP);
        irq.u.stop.flags = if store {
            KVM_S390_STOP_FLAG_STORE_STATUS
        } else {
            0
        };
        self.inject(&irq, "stop a CPU")
    }

    /// Makes a restart interruption pending.
    pub fn inject_restart(&self) -> Result<()> {
        self.inject(&irq(KVM_S390_RESTART), "restart a CPU")
    }

    /// Takes back what [`Kick`] asked for.
    pub fn awake(&mut self) {
        self.fd.set_kvm_immediate_exit(0);
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
            Ok(VcpuExit::S390Reset) => Ok(self.reset_exit()),
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

    fn reset_exit(&mut self) -> RunExit {
        let run = self.fd.get_kvm_run();
        // SAFETY: the exit reason says that this member is in use.
        let flags = unsafe { run.__bindgen_anon_1.s390_reset_flags };
        RunExit::Reset {
            clear: flags & u64::from(KVM_S390_RESET_CLEAR) != 0,
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
        let mut irq = irq(KVM_S390_PROGRAM_INT);
        irq.u.pgm.code = interrupt.code();
        self.inject(&irq, "present a program interruption")
    }

    fn inject(&self, irq: &kvm_s390_irq, op: &'static str) -> Result<()> {
        // SAFETY: the request takes this struct, which has no pointers.
        unsafe { call_with(&self.fd, KVM_S390_IRQ, irq, op) }?;
        Ok(())
    }
}

fn irq(type_: u32) -> kvm_s390_irq {
    kvm_s390_irq {
        type_: type_.into(),
        ..Default::default()
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
