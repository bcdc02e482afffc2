// SPDX-License-Identifier: MIT OR Apache-2.0
//! KVM and VFIO calls: the only unsafe code of the VMM.
//!
//! `kvm-ioctls` covers what all architectures share; the s390 calls it lacks
//! are defined here. Nothing above this module sees a raw ioctl or pointer.
//!
//! Source: Linux `Documentation/virt/kvm/api.rst`,
//! `arch/s390/include/uapi/asm/kvm.h`, `include/uapi/linux/vfio.h`.

mod ioctl;
mod kick;
mod ram;
mod vcpu;
pub mod vfio;
mod vm;

pub use crate::instruction::Access;
pub use kick::{Kick, handle_kicks};
pub use ram::{allocate, clear};
pub use vcpu::{RunExit, Vcpu};
pub use vm::{Attribute, CpuModel, InterruptController, MachineModel, Vm};

use std::io;

/// A call that the host refused.
#[derive(Debug, thiserror::Error)]
#[error("KVM: cannot {op}")]
pub struct KvmError {
    /// What was attempted.
    op: &'static str,
    /// Why it failed.
    source: io::Error,
}

impl KvmError {
    fn new(op: &'static str, error: vmm_sys_util::errno::Error) -> Self {
        Self {
            op,
            source: error.into(),
        }
    }

    fn last(op: &'static str) -> Self {
        let source = io::Error::last_os_error();
        Self { op, source }
    }

    /// The error number, 0 if there is none.
    pub fn errno(&self) -> i32 {
        self.source.raw_os_error().unwrap_or(0)
    }
}

type Result<T> = std::result::Result<T, KvmError>;

/// The ioctls that a running machine makes.
pub fn requests() -> Vec<u64> {
    let kvm = ioctl::WHILE_RUNNING;
    kvm.into_iter().chain(vfio::REQUESTS).collect()
}
