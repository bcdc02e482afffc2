// SPDX-License-Identifier: MIT OR Apache-2.0
//! Numbers of the s390 calls that `kvm-ioctls` lacks, and one checked way to
//! make a call with an argument.

use std::os::fd::AsRawFd;

use kvm_bindings::{
    KVMIO, kvm_device_attr, kvm_enable_cap, kvm_mp_state, kvm_s390_interrupt, kvm_s390_irq,
    kvm_s390_mem_op,
};
use vmm_sys_util::ioctl::{
    _IOC_NONE, _IOC_WRITE, ioctl, ioctl_expr, ioctl_with_ref, ioctl_with_val,
};

use super::{KvmError, Result};

const fn io(number: u32) -> u64 {
    ioctl_expr(_IOC_NONE, KVMIO, number, 0)
}

const fn iow<T>(number: u32) -> u64 {
    ioctl_expr(_IOC_WRITE, KVMIO, number, size_of::<T>() as u32)
}

pub(super) const KVM_S390_INTERRUPT: u64 = iow::<kvm_s390_interrupt>(0x94);
pub(super) const KVM_S390_STORE_STATUS: u64 = iow::<u64>(0x95);
pub(super) const KVM_S390_INITIAL_RESET: u64 = io(0x97);
pub(super) const KVM_ENABLE_CAP: u64 = iow::<kvm_enable_cap>(0xa3);
pub(super) const KVM_S390_MEM_OP: u64 = iow::<kvm_s390_mem_op>(0xb1);
pub(super) const KVM_S390_IRQ: u64 = iow::<kvm_s390_irq>(0xb4);
pub(super) const KVM_S390_NORMAL_RESET: u64 = io(0xc3);
pub(super) const KVM_S390_CLEAR_RESET: u64 = io(0xc4);
pub(super) const KVM_SET_DEVICE_ATTR: u64 = iow::<kvm_device_attr>(0xe1);
pub(super) const KVM_GET_DEVICE_ATTR: u64 = iow::<kvm_device_attr>(0xe2);

// the numbers a C program gets from the same headers
const _: () = {
    assert!(KVM_RUN == 0xae80);
    assert!(KVM_SET_MP_STATE == 0x4004_ae99);
    assert!(KVM_S390_INTERRUPT == 0x4010_ae94);
    assert!(KVM_S390_STORE_STATUS == 0x4008_ae95);
    assert!(KVM_S390_INITIAL_RESET == 0xae97);
    assert!(KVM_ENABLE_CAP == 0x4068_aea3);
    assert!(KVM_S390_MEM_OP == 0x4040_aeb1);
    assert!(KVM_S390_IRQ == 0x4048_aeb4);
    assert!(KVM_S390_NORMAL_RESET == 0xaec3);
    assert!(KVM_S390_CLEAR_RESET == 0xaec4);
    assert!(KVM_SET_DEVICE_ATTR == 0x4018_aee1);
    assert!(KVM_GET_DEVICE_ATTR == 0x4018_aee2);
};

/// `KVM_RUN` and `KVM_SET_MP_STATE`, which `kvm-ioctls` makes.
const KVM_RUN: u64 = io(0x80);
const KVM_SET_MP_STATE: u64 = iow::<kvm_mp_state>(0x99);

/// The requests that a running machine makes to KVM.
pub(super) const WHILE_RUNNING: [u64; 11] = [
    KVM_RUN,
    KVM_S390_INTERRUPT,
    KVM_S390_STORE_STATUS,
    KVM_S390_INITIAL_RESET,
    KVM_SET_MP_STATE,
    KVM_S390_MEM_OP,
    KVM_S390_IRQ,
    KVM_S390_NORMAL_RESET,
    KVM_S390_CLEAR_RESET,
    KVM_SET_DEVICE_ATTR,
    KVM_GET_DEVICE_ATTR,
];

/// Makes a call without an argument.
///
/// # Safety
///
/// The call must not touch memory of this process.
pub(super) unsafe fn call(fd: &impl AsRawFd, request: u64, op: &'static str) -> Result<i32> {
    // SAFETY: the caller vouches for the request.
    let result = unsafe { ioctl(fd, request) };
    check(result, op)
}

/// Makes a call with an argument; returns its non-negative result.
///
/// # Safety
///
/// `T` must be the type that the request takes, and memory that the argument
/// points to must be valid for what the request does with it.
pub(super) unsafe fn call_with<T>(
    fd: &impl AsRawFd,
    request: u64,
    argument: &T,
    op: &'static str,
) -> Result<i32> {
    // SAFETY: the caller vouches for request and argument.
    let result = unsafe { ioctl_with_ref(fd, request, argument) };
    check(result, op)
}

/// Makes a call with a number as its argument.
///
/// # Safety
///
/// The request must take a number.
pub(super) unsafe fn call_with_number(
    fd: &impl AsRawFd,
    request: u64,
    argument: u64,
    op: &'static str,
) -> Result<i32> {
    // SAFETY: the caller vouches for the request.
    let result = unsafe { ioctl_with_val(fd, request, argument) };
    check(result, op)
}

fn check(result: i32, op: &'static str) -> Result<i32> {
    if result < 0 {
        Err(KvmError::last(op))
    } else {
        Ok(result)
    }
}
