// SPDX-License-Identifier: GPL-2.0
//! What an interrupt for a guest is made of: the guest's CPU that asked for it,
//! a page of the guest's memory, and one of the guest's interruption subclasses.

use core::marker::PhantomData;
use core::ptr::NonNull;

use super::bindings;
use super::kvm::KvmRef;

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

    /// Its general registers.
    pub(super) fn gprs(&self) -> Gprs<'_> {
        // INVARIANT: They are part of the CPU.
        Gprs {
            // SAFETY: By the invariant.
            first: unsafe { bindings::vfio_ap_vcpu_gprs(self.as_ptr()) },
            _vcpu: PhantomData,
        }
    }

    /// Whether `gpa` is in memory that the guest can write to.
    pub(crate) fn has_gpa(&self, gpa: u64) -> bool {
        // SAFETY: By the invariant.
        unsafe { bindings::vfio_ap_vcpu_has_gpa(self.as_ptr(), gpa) }
    }

    /// Whether the guest shares a byte's page with the host; all do but
    /// protected ones.
    pub(crate) fn shares(&self, byte: &Byte) -> bool {
        // SAFETY: By the invariant; the page is there.
        unsafe { bindings::vfio_ap_vcpu_shares(self.as_ptr(), byte.phys) }
    }

    /// Has the machine take interrupts of this subclass.
    pub(crate) fn register(&self, isc: u8) -> Option<Gisc> {
        // SAFETY: By the invariant.
        let kvm = NonNull::new(unsafe { bindings::vfio_ap_vcpu_kvm(self.as_ptr()) })?;
        // SAFETY: The machine stays as long as its CPU.
        let machine = unsafe { KvmRef::new(kvm) };
        // SAFETY: A reference is held.
        let nisc = unsafe { bindings::kvm_s390_gisc_register(machine.as_ptr(), isc.into()) };
        let nisc = u8::try_from(nisc).ok()?;
        // SAFETY: As above; it has an interruption state area, or registering
        // would have failed.
        let gisa = unsafe { bindings::vfio_ap_kvm_gisa(machine.as_ptr()) };
        // INVARIANT: Just registered.
        Some(Gisc {
            isc,
            nisc,
            gisa,
            machine,
        })
    }
}

/// The general registers of a CPU, in memory that user space has mapped and may
/// write to at any time: each is read once, and may be anything.
///
/// # Invariants
///
/// `first` points to sixteen aligned registers that stay for `'a`.
pub(super) struct Gprs<'a> {
    first: *mut u64,
    _vcpu: PhantomData<&'a ()>,
}

impl Gprs<'_> {
    /// The value of a register.
    pub(super) fn get<const N: usize>(&self) -> u64 {
        const { assert!(N < 16) };
        // SAFETY: By the invariant it is there. No reference is made to it; the
        // access is volatile, one instruction that a race with user space
        // cannot tear, as `READ_ONCE` is in C.
        unsafe { self.first.add(N).read_volatile() }
    }

    /// Changes a register.
    pub(super) fn set<const N: usize>(&self, value: u64) {
        const { assert!(N < 16) };
        // SAFETY: As in `get`, and KVM lets nobody else write to it meanwhile;
        // user space may, which is its guest's loss.
        unsafe { self.first.add(N).write_volatile(value) };
    }
}

/// A VFIO device, to pin its guest's memory.
#[derive(Clone, Copy)]
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

/// A byte of a guest's memory, where it was when it was pinned.
///
/// # Invariants
///
/// A reference to the page is held: it is used for nothing else, even if the
/// guest no longer has it.
pub(crate) struct Byte {
    phys: u64,
}

impl Byte {
    /// Its absolute address.
    pub(crate) fn phys(&self) -> u64 {
        self.phys
    }
}

impl Drop for Byte {
    fn drop(&mut self) {
        // SAFETY: By the invariant.
        unsafe { bindings::vfio_ap_put_page(self.phys) };
    }
}

/// A pinned byte of a guest's memory, which stays where it is.
///
/// # Invariants
///
/// The page is pinned, and the device open until it is unpinned: closing lets
/// go of all pins first.
pub(crate) struct Pin {
    device: VfioDevice,
    iova: u64,
}

// SAFETY: The device's functions lock for themselves.
unsafe impl Send for Pin {}

impl Pin {
    /// Pins the byte at `iova`, which the guest's CPU named.
    pub(crate) fn new(_guest: &Vcpu<'_>, device: VfioDevice, iova: u64) -> Option<(Self, Byte)> {
        let mut phys = 0;
        // SAFETY: A CPU in the hook means that the device is open: the hook is
        // taken away, and CPUs in it waited for, before it is closed.
        let pinned = unsafe { bindings::vfio_ap_pin(device.0.as_ptr(), iova, &mut phys) };
        // INVARIANT: Just pinned, and with a reference.
        pinned.then(|| (Self { device, iova }, Byte { phys }))
    }

    /// Its address for the guest.
    pub(crate) fn iova(&self) -> u64 {
        self.iova
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
/// It is registered.
pub(crate) struct Gisc {
    isc: u8,
    nisc: u8,
    gisa: u64,
    /// Also for the interruption state area, which is part of it.
    machine: KvmRef,
}

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
        unsafe { bindings::kvm_s390_gisc_unregister(self.machine.as_ptr(), self.isc.into()) };
    }
}
