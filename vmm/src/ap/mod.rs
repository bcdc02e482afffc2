// SPDX-License-Identifier: MIT OR Apache-2.0
//! AP matrix devices: what a machine does with one.
//!
//! ```text
//!   sysfs path ──> IOMMU group ──> container, KVM, storage map ──> device
//!                                                   two eventfds: request,
//!                                                   configuration changed
//! ```
//!
//! Source: Linux `drivers/s390/crypto/vfio_ap_ops.c`,
//! `Documentation/arch/s390/vfio-ap.rst`.

#[cfg(target_arch = "s390x")]
mod attachment;
mod mdev;

#[cfg(target_arch = "s390x")]
pub use attachment::{AttachError, Attachment};
pub use mdev::{Masks, Mdev, MdevError};
