// SPDX-License-Identifier: MIT OR Apache-2.0
//! A device tied to a running or starting machine.
//!
//! The order matters. The group must be tied to KVM before the device is
//! opened, which fails without a machine; opening it puts the masks into
//! effect. On the way out the eventfds are taken off first, since closing the
//! device does not do that; closing it clears the masks and resets its
//! queues.
//!
//! The guest hears nothing of either by itself: whoever attaches or detaches
//! on a running machine tells it afterwards.

use std::fs::{File, OpenOptions};
use std::io;
use std::os::fd::{AsRawFd, OwnedFd};
use std::path::PathBuf;
use std::sync::Arc;

use kvm_ioctls::DeviceFd;
use vfio_bindings::bindings::vfio::{
    VFIO_AP_CFG_CHG_IRQ_INDEX, VFIO_AP_REQ_IRQ_INDEX, VFIO_DEVICE_FLAGS_AP,
};
use vfio_ioctls::{VfioContainer, VfioError};
use vm_memory::GuestMemoryMmap;
use vmm_sys_util::eventfd::{EFD_CLOEXEC, EFD_NONBLOCK, EventFd};

use super::{Mdev, MdevError};
use crate::config::ApConfig;
use crate::kvm::vfio;

const REQUEST: u32 = VFIO_AP_REQ_IRQ_INDEX;
const CFG_CHG: u32 = VFIO_AP_CFG_CHG_IRQ_INDEX;

/// Why a device cannot be attached.
#[derive(Debug, thiserror::Error)]
pub enum AttachError {
    /// The path does not name one.
    #[error("cannot use the AP device")]
    Mdev(#[from] MdevError),
    /// The container or its map.
    #[error("VFIO container")]
    Container(#[from] VfioError),
    /// The group cannot be opened.
    #[error("cannot open {path}")]
    Group {
        /// The group's node.
        path: PathBuf,
        /// Why not; busy if another process has it.
        source: io::Error,
    },
    /// A step failed.
    #[error("cannot {step}")]
    Step {
        /// Which.
        step: &'static str,
        /// Why.
        source: io::Error,
    },
    /// It is some other kind of device.
    #[error("not an AP device (flags {0:#x})")]
    NotAp(u32),
}

/// Gives a map for the error of a step.
fn step(step: &'static str) -> impl FnOnce(io::Error) -> AttachError {
    move |source| AttachError::Step { step, source }
}

/// An attached device. Dropping it detaches.
pub struct Attachment {
    /// How control requests call it.
    pub id: String,
    /// The device in sysfs.
    pub mdev: Mdev,
    /// Signalled when the host wants the device back.
    pub request: EventFd,
    /// Signalled when the guest's AP configuration changed.
    pub cfg_chg: EventFd,
    // dropped in this order: device, tie to KVM and group, container
    device: Device,
    _group: Group,
    _container: VfioContainer,
}

impl Attachment {
    /// Attaches a device to the machine that `kvm` (its VFIO device) is of.
    pub fn new(
        config: &ApConfig,
        kvm: Arc<DeviceFd>,
        memory: &GuestMemoryMmap,
    ) -> Result<Self, AttachError> {
        let mdev = Mdev::resolve(&config.sysfsdev)?;
        let container = VfioContainer::new(None)?;
        let group = Group::open(mdev.group, &container, kvm)?;
        vfio::map_storage(&container, memory)?;
        let device = Device::open(&group, &mdev)?;
        let eventfd = || EventFd::new(EFD_NONBLOCK | EFD_CLOEXEC).map_err(step("make an eventfd"));
        let (request, cfg_chg) = (eventfd()?, eventfd()?);
        device.signal(REQUEST, &request, "watch for requests")?;
        if config.events {
            device.signal(CFG_CHG, &cfg_chg, "watch for configuration changes")?;
        }
        Ok(Self {
            id: config.id.clone(),
            mdev,
            request,
            cfg_chg,
            device,
            _group: group,
            _container: container,
        })
    }

    /// Resets all queues; may take seconds.
    pub fn reset(&self) -> io::Result<()> {
        vfio::reset(&self.device.fd)
    }
}

/// An open group that is in a container and tied to KVM.
struct Group {
    file: File,
    kvm: Arc<DeviceFd>,
}

impl Group {
    fn open(
        number: u32,
        container: &VfioContainer,
        kvm: Arc<DeviceFd>,
    ) -> Result<Self, AttachError> {
        let path = PathBuf::from(format!("/dev/vfio/{number}"));
        let file = OpenOptions::new()
            .read(true)
            .write(true)
            .open(&path)
            .map_err(|source| AttachError::Group { path, source })?;
        vfio::set_container(&file, container).map_err(step("put the group into a container"))?;
        vfio::set_iommu(container).map_err(step("choose the IOMMU type"))?;
        vfio::add_file(&kvm, &file).map_err(step("tie the group to KVM"))?;
        Ok(Self { file, kvm })
    }
}

impl Drop for Group {
    fn drop(&mut self) {
        if let Err(error) = vfio::remove_file(&self.kvm, &self.file) {
            tracing::warn!(%error, "cannot untie the VFIO group from KVM");
        }
    }
}

/// An open device, with the interrupts that it signals.
struct Device {
    fd: OwnedFd,
    irqs: u32,
}

impl Device {
    fn open(group: &Group, mdev: &Mdev) -> Result<Self, AttachError> {
        let fd = vfio::open_device(&group.file, &mdev.name).map_err(step("open the AP device"))?;
        let info = vfio::device_info(&fd).map_err(step("ask what the device is"))?;
        if info.flags & VFIO_DEVICE_FLAGS_AP == 0 {
            return Err(AttachError::NotAp(info.flags));
        }
        let irqs = info.num_irqs;
        Ok(Self { fd, irqs })
    }

    /// Lets an interrupt signal `eventfd`. Kernels before 6.16 have no
    /// configuration-change interrupt: the guest then finds changes late.
    fn signal(&self, index: u32, eventfd: &EventFd, what: &'static str) -> Result<(), AttachError> {
        if index >= self.irqs {
            tracing::warn!(index, "the host's driver has no such AP interrupt");
            return Ok(());
        }
        let info = vfio::irq_info(&self.fd, index).map_err(step(what))?;
        if info.count == 0 {
            tracing::warn!(index, "the host's driver has no such AP interrupt");
            return Ok(());
        }
        let eventfd: &dyn AsRawFd = eventfd;
        vfio::set_irq(&self.fd, index, Some(eventfd)).map_err(step(what))
    }
}

impl Drop for Device {
    fn drop(&mut self) {
        for index in [CFG_CHG, REQUEST].into_iter().filter(|&i| i < self.irqs) {
            if let Err(error) = vfio::set_irq(&self.fd, index, None) {
                tracing::warn!(%error, index, "cannot take the eventfd off the AP device");
            }
        }
    }
}
