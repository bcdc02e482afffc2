// SPDX-License-Identifier: MIT OR Apache-2.0
//! Compile-time proof that the structs users rely on have the layout the C
//! compiler gives them. The figures are those of `s390x-linux-gnu-gcc` for
//! the same headers, so that a mistake of the generator cannot hide behind
//! its own assertions.

use super::bindings::{
    kvm_create_device, kvm_device_attr, kvm_enable_cap, kvm_mp_state, kvm_run, kvm_s390_interrupt,
    kvm_s390_irq, kvm_s390_mem_op, kvm_s390_pgm_info, kvm_s390_vm_cpu_machine,
    kvm_s390_vm_cpu_processor, kvm_sync_regs, kvm_userspace_memory_region,
};
use std::mem::{offset_of, size_of};

/// Asserts the size of a struct and the offsets of some of its fields.
macro_rules! layout {
    ($type:ty, $size:expr $(, $field:ident = $offset:expr)* $(,)?) => {
        const _: () = {
            assert!(size_of::<$type>() == $size);
            $(assert!(offset_of!($type, $field) == $offset);)*
        };
    };
}

layout!(
    kvm_run,
    2368,
    exit_reason = 8,
    psw_mask = 32,
    psw_addr = 40,
    kvm_valid_regs = 304,
    kvm_dirty_regs = 312,
);
layout!(
    kvm_sync_regs,
    size_of::<kvm_sync_regs>(),
    prefix = 0,
    gprs = 8,
    acrs = 136,
    crs = 200,
    todpr = 328,
);
layout!(kvm_s390_mem_op, 64, buf = 24);
layout!(kvm_s390_interrupt, 16, parm64 = 8);
layout!(kvm_s390_irq, 72, u = 8);
layout!(kvm_s390_pgm_info, 40);
layout!(kvm_s390_vm_cpu_processor, 2064, fac_list = 16);
layout!(
    kvm_s390_vm_cpu_machine,
    4112,
    fac_mask = 16,
    fac_list = 2064
);
layout!(kvm_device_attr, 24);
layout!(kvm_enable_cap, 104);
layout!(kvm_create_device, 12);
layout!(kvm_userspace_memory_region, 32);
layout!(kvm_mp_state, 4);
