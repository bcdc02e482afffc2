// SPDX-License-Identifier: GPL-2.0
//! An mdev: its guest, and what user space asks of it through VFIO.

use kernel::prelude::*;
use kernel::sync::atomic::{Atomic, Relaxed};
use kernel::sync::{new_mutex, Arc};

use crate::abi::{dbf, EventFd, Hook, Kvm, MdevDevice, Vcpu, VfioDevice};
use crate::ap_arch::{Apqn, AqicControl, Matrix, QueueStatus, ResponseCode};
use crate::driver::{to_error, Core};
use crate::locks::{Lock, Locked};
use crate::pins::Pins;
use crate::rules::order::{self, Before, Free, Held};
use crate::rules::protocol::{self, Driver as _};
use crate::rules::{Event, Format, Limits, MdevId, Model};

/// What an mdev tells user space by eventfd. Linux `VFIO_AP_*_IRQ_INDEX`.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum Trigger {
    /// The device should be given back.
    Request,
    /// The guest's AP configuration changed.
    ConfigChange,
}

/// What the `plug` lock of an mdev guards.
pub(crate) struct Guest {
    // dropped at close, after the last mask was cleared and the last queue reset;
    // what interrupts may still use of it they keep for themselves
    kvm: Option<Kvm>,
    request: Option<EventFd>,
    config_change: Option<EventFd>,
    device: MdevDevice,
    id: MdevId,
}

impl Guest {
    /// Its mdev's.
    pub(crate) fn id(&self) -> MdevId {
        self.id
    }

    /// Writes the guest's masks. A build for a test leaves that out, to see that
    /// it is noticed.
    pub(crate) fn set_masks(&mut self, held: &mut Held<'_, order::Plug>, matrix: Matrix) {
        if cfg!(vfio_ap_never_publishes) {
            return;
        }
        if let Some(kvm) = &mut self.kvm {
            kvm.set_masks(held, matrix);
        }
    }

    /// Tells the VMM, and whoever polls or listens for uevents.
    pub(crate) fn tell_changed(&mut self) {
        if let Some(eventfd) = self.config_change.as_ref().filter(|_| !is_left_out()) {
            eventfd.signal();
        }
        self.tell_shown();
    }

    /// Tells whoever polls or listens for uevents.
    pub(crate) fn tell_shown(&self) {
        self.device.tell_matrix_changed();
    }
}

/// A build for a test tells the VMM of every other change only, to see that it
/// is noticed.
fn is_left_out() -> bool {
    static CHANGES: Atomic<u32> = Atomic::new(0);
    cfg!(vfio_ap_tells_every_other_change) && CHANGES.fetch_add(1, Relaxed) % 2 == 1
}

/// A mediated device.
#[pin_data]
pub(crate) struct Mdev {
    core: Arc<Core>,
    id: MdevId,
    limits: Limits,
    device: MdevDevice,
    #[pin]
    pins: Pins,
    #[pin]
    plug: Lock<order::Plug, Guest>,
    #[pin]
    pub(crate) hook: Hook,
}

impl Mdev {
    pub(crate) fn new(
        core: Arc<Core>,
        id: MdevId,
        limits: Limits,
        device: MdevDevice,
        vfio: VfioDevice,
    ) -> Result<Arc<Self>> {
        let guest = Guest {
            kvm: None,
            request: None,
            config_change: None,
            device: device.clone(),
            id,
        };
        Arc::pin_init(
            pin_init!(Self {
                core,
                id,
                limits,
                device,
                pins <- Pins::new(*id, vfio),
                plug <- Lock::new(new_mutex!(guest, "vfio_ap::plug")),
                hook <- Hook::new(),
            }),
            GFP_KERNEL,
        )
    }

    pub(crate) fn core(&self) -> &Arc<Core> {
        &self.core
    }

    pub(crate) fn id(&self) -> MdevId {
        self.id
    }

    /// For messages about it.
    pub(crate) fn device(&self) -> &kernel::device::Device {
        self.device.device()
    }

    pub(crate) fn limits(&self) -> Limits {
        self.limits
    }

    /// Takes the `plug` lock.
    pub(crate) fn plug<'a>(&'a self, free: &'a mut Free<'_>) -> Locked<'a, order::Plug, Guest> {
        self.plug.lock(free)
    }

    /// A guest takes the device. `kvm` is `None` if it cannot have AP.
    pub(crate) fn open(&self, free: &mut Free<'_>, kvm: Option<Kvm>) -> Result {
        let Some(kvm) = kvm else { return Ok(()) };
        self.plug(free).kvm = Some(kvm);
        let attached = protocol::handle(&*self.core, free, Event::Attach(self.id));
        if attached.is_err() {
            let kvm = self.plug(free).kvm.take();
            drop(kvm);
        }
        attached.map_err(to_error)
    }

    /// The guest lets the device go.
    pub(crate) fn close(&self, free: &mut Free<'_>) {
        // without a guest there is nothing to take from it
        let _ = protocol::close(&*self.core, free, self.id);
        let mut guest = self.plug(free);
        let gone = (
            guest.kvm.take(),
            guest.request.take(),
            guest.config_change.take(),
        );
        drop(guest);
        // with the machine: no CPU of it is in PQAP any more
        drop(gone);
        self.pins.clear(free);
    }

    /// The device is to be given back.
    pub(crate) fn request(&self, free: &mut Free<'_>, count: u32) {
        let _ = protocol::handle(&*self.core, free, Event::Revoke(self.id));
        let guest = self.plug(free);
        if let Some(eventfd) = &guest.request {
            if count % 10 == 0 {
                dev_notice!(
                    self.device(),
                    "Relaying device request to user (#{count})\n"
                );
            }
            eventfd.signal();
        } else if count == 0 {
            dev_notice!(
                self.device(),
                "No device request registered, blocked until released by user\n"
            );
        }
    }

    /// A CPU of the guest issued PQAP(AQIC).
    pub(crate) fn aqic(
        &self,
        held: &mut Held<'_, order::Machine>,
        vcpu: &Vcpu<'_>,
        apqn: Apqn,
        control: AqicControl,
        nib: u64,
    ) -> QueueStatus {
        let queue = self.core.queue(held, apqn);
        let Some(queue) = queue.filter(|_| self.has_plugged(held, apqn)) else {
            let qid = apqn.to_qid().into();
            let format = const { Format::new(c"Queue %04lx is not the guest's\n") };
            dbf::warn(format, [qid]);
            return QueueStatus::of(ResponseCode::NOT_AVAILABLE);
        };
        let plugged = |held: &mut Held<'_, order::Interrupts>| self.has_plugged(held, apqn);
        if control.ir() {
            let isc = control.isc();
            self.pins.enable(held, vcpu, &queue, isc, nib, plugged)
        } else {
            self.pins.disable(held, &queue, plugged)
        }
    }

    fn has_plugged<H: Before<order::Model>>(&self, held: &mut Held<'_, H>, apqn: Apqn) -> bool {
        let look = |model: &Model<_>| model.has_plugged(self.id, apqn);
        self.core.look(held, look)
    }

    /// Memory of the guest is unmapped.
    pub(crate) fn unmap(&self, held: &mut Held<'_, order::Machine>, iova: u64, length: u64) {
        let iovas = iova..iova.saturating_add(length);
        self.pins.unmap(held, &self.core, &iovas);
    }

    /// The guest asks for a reset of all its queues.
    pub(crate) fn reset(&self, free: &mut Free<'_>) -> Result {
        protocol::reset(&*self.core, free, self.id).map_err(to_error)
    }

    /// Who is to be told something.
    pub(crate) fn set_trigger(
        &self,
        free: &mut Free<'_>,
        trigger: Trigger,
        eventfd: Option<EventFd>,
    ) {
        let mut guest = self.plug(free);
        let slot = match trigger {
            Trigger::Request => &mut guest.request,
            Trigger::ConfigChange => &mut guest.config_change,
        };
        let old = core::mem::replace(slot, eventfd);
        drop(guest);
        drop(old);
    }
}
