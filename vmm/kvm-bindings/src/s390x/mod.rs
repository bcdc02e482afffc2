// SPDX-License-Identifier: MIT OR Apache-2.0
//! The s390x module.

#[expect(
    missing_docs,
    non_camel_case_types,
    non_upper_case_globals,
    unsafe_op_in_unsafe_fn,
    clippy::allow_attributes_without_reason,
    clippy::all,
    clippy::undocumented_unsafe_blocks,
    clippy::multiple_unsafe_ops_per_block,
    reason = "generated from C headers, whose names and documentation rule"
)]
mod bindings;
#[cfg(feature = "fam-wrappers")]
mod fam_wrappers;
mod layout;

pub use self::bindings::*;
#[cfg(feature = "fam-wrappers")]
pub use self::fam_wrappers::*;

/// Page of the vCPU mapping that holds the coalesced MMIO ring.
///
/// The s390 headers do not define it, since the architecture has no MMIO;
/// `kvm-ioctls` names it unconditionally. No s390x kernel offers
/// `KVM_CAP_COALESCED_MMIO`, so the value is never used.
pub const KVM_COALESCED_MMIO_PAGE_OFFSET: u32 = 1;
