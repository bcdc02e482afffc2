// SPDX-License-Identifier: MIT OR Apache-2.0
//! Scripted faults at run time.

use std::ffi::{c_char, c_int};

use super::area::{text_of, verdict};
use crate::topology::Topology;
use crate::{Ap, FaultId, Ns};

/// `inject`, see the header.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn ap_device_inject(
    ap: *mut Ap,
    now: u64,
    text: *const c_char,
    text_len: usize,
    first_id: *mut u32,
    err: *mut c_char,
    err_len: usize,
) -> c_int {
    // SAFETY: a model from a constructor, used under the lock.
    let ap = unsafe { &mut *ap };
    // SAFETY: the caller's text of that length.
    let text = unsafe { text_of(text, text_len) };
    let faults = text.and_then(|text| Topology::parse_faults(text).map_err(|e| e.to_string()));
    let result = faults.map(|faults| {
        ap.poll(Ns(now));
        let ids: Vec<FaultId> = faults.into_iter().map(|f| ap.inject(f)).collect();
        if let (Some(FaultId(first)), false) = (ids.first(), first_id.is_null()) {
            // SAFETY: the caller's variable.
            unsafe { first_id.write(*first) };
        }
    });
    // SAFETY: the caller's area of that length, or NULL.
    unsafe { verdict(result, err, err_len) }
}

/// `clear_faults`, see the header.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn ap_device_clear_faults(ap: *mut Ap, now: u64, id: u32) -> u32 {
    // SAFETY: a model from a constructor, used under the lock.
    let ap = unsafe { &mut *ap };
    ap.poll(Ns(now));
    let cleared = ap.clear_faults((id != 0).then_some(FaultId(id)));
    u32::try_from(cleared).unwrap_or(u32::MAX)
}
