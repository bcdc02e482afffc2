// SPDX-License-Identifier: MIT OR Apache-2.0
//! A device tied to a running or starting machine.
//!
//! On the way out the eventfds are taken off first, since closing the device
//! does not do that; closing it clears the masks and resets its queues.
//!
//! The guest hears nothing of either by itself: whoever attaches or detaches
//! on a running machine tells it afterwards.

use std::io;
use std::os::fd::AsRawFd;
use std::path::PathBuf;
use std::sync::Arc;

use kvm_ioctls::DeviceFd;
use vfio_bindings::bindings::vfio::{
    VFIO_AP_CFG_CHG_IRQ_INDEX, VFIO_AP_REQ_IRQ_INDEX, VFIO_DEVICE_FLAGS_AP,
};
use vfio_ioctls::VfioError;
use vm_memory::GuestMemoryMmap;
use vmm_sys_util::eventfd::{EFD_CLOEXEC, EFD_NONBLOCK, EventFd};

use super::backend::{self, Opened};
use super::{Mdev, MdevError};
use crate::config::{ApConfig, ApEvents};
use crate::kvm::vfio;

const REQUEST: u32 = VFIO_AP_REQ_IRQ_INDEX;
const CFG_CHG: u32 = VFIO_AP_CFG_CHG_IRQ_INDEX;

/// Why a device cannot be attached.
#[derive(Debug, thiserror::Error)]
pub enum AttachError {
    /// The path does not name one.
    #[error("cannot use the AP device")]
    Mdev(#[from] MdevError),
    /// The container, or the device's node.
    #[error("VFIO")]
    Vfio(#[from] VfioError),
    /// A node cannot be opened.
    #[error("cannot open {path}")]
    Node {
        /// The node.
        path: PathBuf,
        /// Why not; busy if another process has it.
        source: io::Error,
    },
    /// There is no iommufd.
    #[error("cannot use /dev/iommu: {0}")]
    Iommufd(String),
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
pub(super) fn step(step: &'static str) -> impl FnOnce(io::Error) -> AttachError {
    move |source| AttachError::Step { step, source }
}

/// An attached device. Dropping it detaches.
pub struct Attachment {
    /// How control requests call it.
    pub id: String,
    /// What the guest is told of changes.
    pub events: ApEvents,
    /// The device in sysfs.
    pub mdev: Mdev,
    /// Signalled when the host wants the device back.
    pub request: EventFd,
    /// Signalled when the guest's AP configuration changed.
    pub cfg_chg: EventFd,
    device: Device,
}

impl Attachment {
    /// Attaches a device to the machine that `kvm` (its VFIO device) is of.
    pub fn new(
        config: &ApConfig,
        kvm: Arc<DeviceFd>,
        memory: &GuestMemoryMmap,
    ) -> Result<Self, AttachError> {
        let mdev = Mdev::resolve(&config.sysfsdev)?;
        let opened = backend::open(config.backend, &mdev, kvm, memory)?;
        let device = Device::new(opened)?;
        let eventfd = || EventFd::new(EFD_NONBLOCK | EFD_CLOEXEC).map_err(step("make an eventfd"));
        let (request, cfg_chg) = (eventfd()?, eventfd()?);
        device.signal(REQUEST, &request, "watch for requests")?;
        if config.events != ApEvents::Off {
            device.signal(CFG_CHG, &cfg_chg, "watch for configuration changes")?;
        }
        Ok(Self {
            id: config.id.clone(),
            events: config.events,
            mdev,
            request,
            cfg_chg,
            device,
        })
    }

    /// Resets all queues; may take seconds.
    pub fn reset(&self) -> io::Result<()> {
        vfio::reset(&self.device.opened)
    }

    /// By what it was opened.
    pub fn backend(&self) -> &'static str {
        self.device.opened.name()
    }
}

/// An open device, with the interrupts that it signals.
struct Device {
    opened: Opened,
    irqs: u32,
}

impl Device {
    fn new(opened: Opened) -> Result<Self, AttachError> {
        let info = vfio::device_info(&opened).map_err(step("ask what the device is"))?;
        if info.flags & VFIO_DEVICE_FLAGS_AP == 0 {
            return Err(AttachError::NotAp(info.flags));
        }
        let irqs = info.num_irqs;
        Ok(Self { opened, irqs })
    }

    /// Lets an interrupt signal `eventfd`. Kernels before 6.16 have no
    /// configuration-change interrupt: the guest then finds changes late.
    fn signal(&self, index: u32, eventfd: &EventFd, what: &'static str) -> Result<(), AttachError> {
        if index >= self.irqs {
            tracing::warn!(index, "the host's driver has no such AP interrupt");
            return Ok(());
        }
        let info = vfio::irq_info(&self.opened, index).map_err(step(what))?;
        if info.count == 0 {
            tracing::warn!(index, "the host's driver has no such AP interrupt");
            return Ok(());
        }
        let eventfd: &dyn AsRawFd = eventfd;
        vfio::set_irq(&self.opened, index, Some(eventfd)).map_err(step(what))
    }
}

impl Drop for Device {
    fn drop(&mut self) {
        for index in [CFG_CHG, REQUEST].into_iter().filter(|&i| i < self.irqs) {
            if let Err(error) = vfio::set_irq(&self.opened, index, None) {
                tracing::warn!(%error, index, "cannot take the eventfd off the AP device");
            }
        }
    }
}
