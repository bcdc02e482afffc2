// SPDX-License-Identifier: MIT OR Apache-2.0
//! Looking in: queues, audit log, auditor.

use super::area::fill;
use crate::abi::{self, AuditRecord, QueueInfo};
use crate::auditor::INVARIANTS;
use crate::{Ap, Ns};

/// `queues`, see the header.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn ap_device_queues(ap: *const Ap, out: *mut QueueInfo, max: usize) -> usize {
    // SAFETY: a model from a constructor, used under the lock.
    let queues = unsafe { &*ap }.queues();
    // SAFETY: the caller's array of that length, or NULL and 0.
    unsafe { fill(queues.map(QueueInfo::from), out, max) }
}

/// `audit_read`, see the header.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn ap_device_audit_read(
    ap: *const Ap,
    since: u64,
    apqn: u32,
    out: *mut AuditRecord,
    max: usize,
    next: *mut u64,
    lost: *mut u64,
) -> usize {
    // SAFETY: a model from a constructor, used under the lock.
    let audit = unsafe { &*ap }.audit();
    let wanted = |r: &&AuditRecord| apqn == abi::ANY_QUEUE || apqn == r.apqn.into();
    let found: Vec<AuditRecord> = audit
        .since(since)
        .filter(wanted)
        .take(max)
        .copied()
        .collect();
    let on = match found.last() {
        Some(last) if found.len() == max => last.seq + 1,
        None if max == 0 => since,
        _ => audit.next_seq().max(since),
    };
    if !next.is_null() {
        // SAFETY: the caller's variable.
        unsafe { next.write(on) };
    }
    if !lost.is_null() {
        // SAFETY: the caller's variable.
        unsafe { lost.write(audit.first_seq().saturating_sub(since)) };
    }
    // SAFETY: the caller's array of that length, or NULL and 0.
    unsafe { fill(found.into_iter(), out, max) }
}

/// `audit_mark`, see the header.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn ap_device_audit_mark(ap: *mut Ap, now: u64, tag: u64) -> u64 {
    // SAFETY: a model from a constructor, used under the lock.
    unsafe { &mut *ap }.mark(Ns(now), tag)
}

/// `violations`, see the header.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn ap_device_violations(ap: *const Ap, counts: *mut [u64; INVARIANTS]) {
    // SAFETY: a model from a constructor, used under the lock.
    let violations = unsafe { &*ap }.violations();
    // SAFETY: the caller's array.
    unsafe { counts.write(violations) };
}
