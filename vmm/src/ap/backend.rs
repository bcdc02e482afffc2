// SPDX-License-Identifier: MIT OR Apache-2.0
//! The two ways to a device: by its group, or by a node of its own.
//!
//! The order matters in both. KVM must know the file before the device is
//! opened (group) or bound (cdev), which fails without a machine; then the
//! masks are in effect.
//!
//! ```text
//!   group  open group, container, IOMMU type, KVM, map, open the device
//!   cdev   open device, KVM, bind to iommufd, attach to its IOAS, map
//! ```
//!
//! A group can be opened once, and a device of an open group not by its node;
//! the kernel answers "busy".

use std::fs::{File, OpenOptions};
use std::os::fd::{AsRawFd, OwnedFd, RawFd};
use std::path::PathBuf;
use std::sync::Arc;

use iommufd_ioctls::IommuFd;
use kvm_ioctls::DeviceFd;
use vfio_ioctls::{VfioContainer, VfioDevice, VfioIommufd};
use vm_memory::GuestMemoryMmap;

use super::Mdev;
use super::attachment::{AttachError, step};
use crate::config::ApBackend;
use crate::kvm::vfio;

/// An open device. Dropping it gives it back.
pub(super) enum Opened {
    /// Opened by its group.
    // dropped in this order: device, tie to KVM and group, container
    Group(
        OwnedFd,
        #[expect(dead_code, reason = "held")] Tied,
        #[expect(dead_code, reason = "held")] VfioContainer,
    ),
    /// Opened by its node. It is closed before its address space goes.
    Cdev(Tied, #[expect(dead_code, reason = "held")] VfioIommufd),
}

impl Opened {
    pub(super) fn name(&self) -> &'static str {
        match self {
            Self::Group(..) => "group",
            Self::Cdev(..) => "cdev",
        }
    }
}

impl AsRawFd for Opened {
    fn as_raw_fd(&self) -> RawFd {
        match self {
            Self::Group(device, ..) => device.as_raw_fd(),
            Self::Cdev(device, _) => device.file.as_raw_fd(),
        }
    }
}

/// A file that is tied to a machine.
pub(super) struct Tied {
    file: File,
    kvm: Arc<DeviceFd>,
}

impl Tied {
    fn new(file: File, kvm: Arc<DeviceFd>) -> Result<Self, AttachError> {
        vfio::add_file(&kvm, &file).map_err(step("tie the device to KVM"))?;
        Ok(Self { file, kvm })
    }
}

impl Drop for Tied {
    fn drop(&mut self) {
        if let Err(error) = vfio::remove_file(&self.kvm, &self.file) {
            tracing::warn!(%error, "cannot untie the AP device from KVM");
        }
    }
}

/// Opens a device for the machine that `kvm` (its VFIO device) is of.
pub(super) fn open(
    backend: ApBackend,
    mdev: &Mdev,
    kvm: Arc<DeviceFd>,
    memory: &GuestMemoryMmap,
) -> Result<Opened, AttachError> {
    match backend {
        ApBackend::Group => open_by_group(mdev, kvm, memory),
        ApBackend::Cdev => open_by_node(mdev, kvm, memory),
        ApBackend::Auto => match group_is_usable(mdev) {
            true => open_by_group(mdev, kvm, memory),
            false => open_by_node(mdev, kvm, memory),
        },
    }
}

/// Whether the kernel has groups, and this process may open this one.
fn group_is_usable(mdev: &Mdev) -> bool {
    let may_open = |path: PathBuf| {
        let access = nix::unistd::AccessFlags::R_OK | nix::unistd::AccessFlags::W_OK;
        nix::unistd::access(&path, access).is_ok()
    };
    may_open("/dev/vfio/vfio".into()) && mdev.group().is_ok_and(|n| may_open(group_node(n)))
}

fn group_node(number: u32) -> PathBuf {
    format!("/dev/vfio/{number}").into()
}

fn open_by_group(
    mdev: &Mdev,
    kvm: Arc<DeviceFd>,
    memory: &GuestMemoryMmap,
) -> Result<Opened, AttachError> {
    let path = group_node(mdev.group()?);
    let container = VfioContainer::new(None)?;
    let group = OpenOptions::new()
        .read(true)
        .write(true)
        .open(&path)
        .map_err(|source| AttachError::Node { path, source })?;
    vfio::set_container(&group, &container).map_err(step("put the group into a container"))?;
    vfio::set_iommu(&container).map_err(step("choose the IOMMU type"))?;
    let group = Tied::new(group, kvm)?;
    vfio::map_storage(&container, memory)?;
    let device = vfio::open_device(&group.file, &mdev.name).map_err(step("open the AP device"))?;
    Ok(Opened::Group(device, group, container))
}

fn open_by_node(
    mdev: &Mdev,
    kvm: Arc<DeviceFd>,
    memory: &GuestMemoryMmap,
) -> Result<Opened, AttachError> {
    let iommufd = IommuFd::new().map_err(|error| AttachError::Iommufd(error.to_string()))?;
    let iommufd = VfioIommufd::new(Arc::new(iommufd), None, None)?;
    let device = Tied::new(VfioDevice::open_cdev(mdev.path())?, kvm)?;
    vfio::bind(&device.file, iommufd.iommufd().as_ref()).map_err(step("bind the AP device"))?;
    vfio::attach(&device.file, iommufd.ioas().id()).map_err(step("give the AP device storage"))?;
    vfio::map_storage_by_iommufd(&iommufd, memory)?;
    Ok(Opened::Cdev(device, iommufd))
}
