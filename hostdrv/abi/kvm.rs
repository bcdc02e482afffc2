// SPDX-License-Identifier: GPL-2.0
//! A guest's virtual machine, as far as AP is concerned.

use core::ptr::NonNull;

use kernel::error::{code, to_result, Result};

use super::bindings;
use crate::ap_arch::Matrix;
use crate::rules::order::{Before, Held, Machine};

/// A virtual machine whose AP masks are ours to write, and whose PQAP(AQIC)
/// instructions come to us. Dropping it ends both. All of it takes the machine's
/// own locks.
///
/// # Invariants
///
/// The pointer is to a machine of which a reference is held, and whose hook was
/// set by [`Kvm::attach`].
pub(crate) struct Kvm(NonNull<bindings::kvm>);

// SAFETY: All that is done with the pointer takes the machine's own locks.
unsafe impl Send for Kvm {}

impl Kvm {
    /// Takes the machine, unless another has it (`EPERM`). `None` if its
    /// guests cannot have AP at all.
    ///
    /// # Safety
    ///
    /// `kvm` points to a machine that stays during the call; `hook` stays until
    /// the result was dropped.
    pub(super) unsafe fn attach(
        _held: &mut Held<'_, impl Before<Machine>>,
        kvm: NonNull<bindings::kvm>,
        hook: *mut bindings::crypto_hook,
    ) -> Result<Option<Self>> {
        // SAFETY: By the demands on the caller.
        let ret = unsafe { bindings::vfio_ap_kvm_attach(kvm.as_ptr(), hook) };
        match to_result(ret) {
            // INVARIANT: A reference was taken, and the hook set.
            Ok(()) => Ok(Some(Self(kvm))),
            Err(error) if error == code::ENODEV => Ok(None),
            Err(error) => Err(error),
        }
    }

    /// Writes the masks.
    pub(crate) fn set_masks(&mut self, _held: &mut Held<'_, impl Before<Machine>>, matrix: Matrix) {
        let mut apm = matrix.apm.to_words();
        let mut aqm = matrix.aqm.to_words();
        let mut adm = matrix.adm.to_words();
        let (apm, aqm, adm) = (apm.as_mut_ptr(), aqm.as_mut_ptr(), adm.as_mut_ptr());
        // SAFETY: A reference to the machine is held by the invariant; the
        // masks have the 256 bits that are read, in machine words.
        unsafe {
            bindings::vfio_ap_kvm_set_masks(self.0.as_ptr(), apm.cast(), aqm.cast(), adm.cast())
        };
    }
}

impl Drop for Kvm {
    fn drop(&mut self) {
        // SAFETY: By the invariant the hook and the reference are ours to give up.
        unsafe { bindings::vfio_ap_kvm_detach(self.0.as_ptr()) };
    }
}

/// A reference to a machine. Its last part goes with the last of them: they are
/// dropped without a lock, unless there are more.
///
/// # Invariants
///
/// A reference is held.
pub(super) struct KvmRef(NonNull<bindings::kvm>);

// SAFETY: KVM locks for itself.
unsafe impl Send for KvmRef {}

impl KvmRef {
    /// # Safety
    ///
    /// `kvm` points to a machine that stays during the call.
    pub(super) unsafe fn new(kvm: NonNull<bindings::kvm>) -> Self {
        // SAFETY: By the demand on the caller somebody has a reference.
        unsafe { bindings::kvm_get_kvm(kvm.as_ptr()) };
        // INVARIANT: Just taken.
        Self(kvm)
    }

    pub(super) fn as_ptr(&self) -> *mut bindings::kvm {
        self.0.as_ptr()
    }
}

impl Drop for KvmRef {
    fn drop(&mut self) {
        // SAFETY: By the invariant.
        unsafe { bindings::kvm_put_kvm(self.0.as_ptr()) };
    }
}
