// SPDX-License-Identifier: MIT OR Apache-2.0
//! AP matrix devices: what a machine does with one.
//!
//! ```text
//!   group  /dev/vfio/N, /dev/vfio/vfio         container ─┐
//!   cdev   /dev/vfio/devices/vfioN, /dev/iommu  IOAS ─────┤ storage map
//!                                                         │
//!   sysfs path ──> group or cdev ──> KVM ──> device <─────┘
//!                               two eventfds: request, configuration changed
//! ```
//!
//! Source: Linux `drivers/s390/crypto/vfio_ap_ops.c`,
//! `Documentation/driver-api/vfio.rst`,
//! `Documentation/arch/s390/vfio-ap.rst`.

#[cfg(target_arch = "s390x")]
mod attachment;
#[cfg(target_arch = "s390x")]
mod backend;
mod mdev;

#[cfg(target_arch = "s390x")]
pub use attachment::{AttachError, Attachment};
pub use mdev::{Masks, Mdev, MdevError};
