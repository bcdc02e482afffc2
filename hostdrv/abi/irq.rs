// SPDX-License-Identifier: GPL-2.0
//! What an interrupt for a guest is made of: the guest's CPU that asked for it,
//! a page of the guest's memory, and one of the guest's interruption subclasses.

use core::marker::PhantomData;
use core::ptr::NonNull;

use super::bindings;

/// The virtual CPU that issued PQAP(AQIC).
///
/// # Invariants
///
/// The CPU is stopped for as long as `'a`, and its machine's hook is ours.
pub(crate) struct Vcpu<'a> {
    vcpu: NonNull<bindings::kvm_vcpu>,
    _stopped: PhantomData<&'a mut bindings::kvm_vcpu>,
}

impl Vcpu<'_> {
    /// # Safety
    ///
    /// `vcpu` is as the invariant says.
    pub(super) unsafe fn new(vcpu: NonNull<bindings::kvm_vcpu>) -> Self {
        // INVARIANT: By the demand on the caller.
        Self {
            vcpu,
            _stopped: PhantomData,
        }
    }

    pub(super) fn as_ptr(&self) -> *mut bindings::kvm_vcpu {
        self.vcpu.as_ptr()
    }

    /// Whether `gpa` is in memory that the guest can write to.
    pub(crate) fn has_gpa(&self, gpa: u64) -> bool {
        // SAFETY: By the invariant.
        unsafe { bindings::vfio_ap_vcpu_has_gpa(self.as_ptr(), gpa) }
    }

    /// Whether the guest shares a pinned page with the host; all do but
    /// protected ones.
    pub(crate) fn shares(&self, pin: &Pin) -> bool {
        // SAFETY: By the invariant; the page is pinned.
        unsafe { bindings::vfio_ap_vcpu_shares(self.as_ptr(), pin.phys) }
    }

    /// Has the machine take interrupts of this subclass.
    pub(crate) fn register(&self, isc: u8) -> Option<Gisc> {
        // SAFETY: By the invariant.
        let kvm = NonNull::new(unsafe { bindings::vfio_ap_vcpu_kvm(self.as_ptr()) })?;
        // SAFETY: The machine is that of a CPU.
        let nisc = unsafe { bindings::kvm_s390_gisc_register(kvm.as_ptr(), isc.into()) };
        let nisc = u8::try_from(nisc).ok()?;
        // SAFETY: As above; it has an interruption state area, or registering
        // would have failed.
        let gisa = unsafe { bindings::vfio_ap_kvm_gisa(kvm.as_ptr()) };
        // INVARIANT: Just registered.
        Some(Gisc {
            kvm,
            isc,
            nisc,
            gisa,
        })
    }
}

/// A VFIO device, to pin its guest's memory.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) struct VfioDevice(NonNull<bindings::vfio_device>);

// SAFETY: Used as a name, and for functions that lock for themselves.
unsafe impl Send for VfioDevice {}

// SAFETY: As above.
unsafe impl Sync for VfioDevice {}

impl VfioDevice {
    pub(super) fn new(device: NonNull<bindings::vfio_device>) -> Self {
        Self(device)
    }
}

/// A pinned byte of a guest's memory.
///
/// # Invariants
///
/// The page is pinned, and the device open until it is unpinned: closing lets
/// go of all pins first.
pub(crate) struct Pin {
    device: VfioDevice,
    iova: u64,
    phys: u64,
}

// SAFETY: The device's functions lock for themselves.
unsafe impl Send for Pin {}

impl Pin {
    /// Pins the byte at `iova`, which the guest's CPU named.
    pub(crate) fn new(_guest: &Vcpu<'_>, device: VfioDevice, iova: u64) -> Option<Self> {
        let mut phys = 0;
        // SAFETY: A CPU in the hook means that the device is open: the hook is
        // taken away, and CPUs in it waited for, before it is closed.
        let pinned = unsafe { bindings::vfio_ap_pin(device.0.as_ptr(), iova, &mut phys) };
        // INVARIANT: Just pinned.
        pinned.then_some(Self { device, iova, phys })
    }

    pub(crate) fn device(&self) -> VfioDevice {
        self.device
    }

    pub(crate) fn iova(&self) -> u64 {
        self.iova
    }

    /// The byte's absolute address.
    pub(crate) fn phys(&self) -> u64 {
        self.phys
    }
}

impl Drop for Pin {
    fn drop(&mut self) {
        // SAFETY: By the invariant.
        unsafe { bindings::vfio_unpin_pages(self.device.0.as_ptr(), self.iova, 1) };
    }
}

/// An interruption subclass of a machine, registered with KVM.
///
/// # Invariants
///
/// It is registered, and the machine stays until it was dropped: the mdev keeps
/// it, and lets go of all interrupts first.
pub(crate) struct Gisc {
    kvm: NonNull<bindings::kvm>,
    isc: u8,
    nisc: u8,
    gisa: u64,
}

// SAFETY: KVM locks for itself.
unsafe impl Send for Gisc {}

impl Gisc {
    /// The guest's subclass.
    pub(crate) fn isc(&self) -> u8 {
        self.isc
    }

    /// The host's subclass, for when the guest does not run.
    pub(crate) fn nisc(&self) -> u8 {
        self.nisc
    }

    /// The guest's interruption state area, which lies below 2 GiB.
    pub(crate) fn gisa(&self) -> u32 {
        self.gisa as u32
    }
}

impl Drop for Gisc {
    fn drop(&mut self) {
        // SAFETY: By the invariant.
        unsafe { bindings::kvm_s390_gisc_unregister(self.kvm.as_ptr(), self.isc.into()) };
    }
}
