// SPDX-License-Identifier: MIT OR Apache-2.0
//! Safe wrappers of structs that end in a flexible array.

use vmm_sys_util::fam::{FamStruct, FamStructWrapper};
use vmm_sys_util::generate_fam_struct_impl;

use super::bindings::{kvm_irq_routing, kvm_irq_routing_entry};

/// Most routes KVM accepts in one table (`include/linux/kvm_host.h`).
pub const KVM_MAX_IRQ_ROUTES: usize = 4096;

generate_fam_struct_impl!(
    kvm_irq_routing,
    kvm_irq_routing_entry,
    entries,
    u32,
    nr,
    KVM_MAX_IRQ_ROUTES
);

impl PartialEq for kvm_irq_routing {
    /// Compares the headers; [`FamStructWrapper`] compares the entries.
    fn eq(&self, other: &Self) -> bool {
        self.nr == other.nr && self.flags == other.flags
    }
}

/// An interrupt routing table with its entries.
pub type KvmIrqRouting = FamStructWrapper<kvm_irq_routing>;
