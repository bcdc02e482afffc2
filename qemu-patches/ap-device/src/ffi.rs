// SPDX-License-Identifier: MIT OR Apache-2.0
//! `include/ap_device.h`, function by function. The header is the contract;
//! what is here only checks, converts and passes on.
//!
//! All unsafe code of the crate is in this file. It rests on what the header
//! asks of the caller: pointers are valid for what they point to (`ap` from
//! one of the two constructors and not freed), areas have the stated lengths
//! and do not overlap, and one lock is held around all calls on a model, so
//! references made here are unique. A panic cannot unwind into C: functions
//! with the C ABI abort instead.
#![expect(
    clippy::missing_safety_doc,
    reason = "one contract for all, in the header and above"
)]

use std::ffi::{CStr, c_char, c_int};
use std::slice;
use std::time::Duration;

use ap_arch::{Adm, Apid, Aqm, Psmid};

use crate::abi::{self, AuditRecord, InsnResult, QueueInfo};
use crate::auditor::INVARIANTS;
use crate::topology::{self, Topology};
use crate::{AdapterSpec, Ap, Change, ChangeError, Context, Done, FaultId, Mode, Ns, ResetKind};

const VERSION: &CStr = match CStr::from_bytes_with_nul(
    concat!("ap-device ", env!("CARGO_PKG_VERSION"), ", ABI 1\0").as_bytes(),
) {
    Ok(version) => version,
    Err(_) => panic!("has one NUL, at its end"),
};
const _: () = assert!(abi::ABI == 1, "VERSION spells it");

/// `pqap`, see the header.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn ap_device_pqap(
    ap: *mut Ap,
    ctx: *const abi::Context,
    gr0: u64,
    gr1: u64,
    gr2: u64,
    block: *mut u8,
    res: *mut InsnResult,
) {
    // SAFETY: a model from a constructor, used under the lock.
    let ap = unsafe { &mut *ap };
    // SAFETY: the caller's context.
    let ctx = Context::from(unsafe { &*ctx });
    let outcome = ap.pqap(&ctx, gr0, gr1, gr2);
    if let Ok(Done {
        block: Some(bytes), ..
    }) = &outcome
    {
        // SAFETY: the caller's area of AP_QCI_LEN bytes, as long as `bytes`.
        unsafe { block.copy_from_nonoverlapping(bytes.as_ptr(), bytes.len()) };
    }
    // SAFETY: the caller's result.
    unsafe { res.write(InsnResult::from(&outcome)) };
}

/// `nqap_want`, see the header.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn ap_device_nqap_want(
    ap: *mut Ap,
    ctx: *const abi::Context,
    gr0: u64,
    length: u64,
) -> u32 {
    // SAFETY: a model from a constructor, used under the lock.
    let ap = unsafe { &mut *ap };
    // SAFETY: the caller's context.
    let ctx = Context::from(unsafe { &*ctx });
    ap.nqap_want(&ctx, gr0, length)
}

/// `nqap`, see the header.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn ap_device_nqap(
    ap: *mut Ap,
    ctx: *const abi::Context,
    gr0: u64,
    r1_even: u64,
    r1_odd: u64,
    length: u64,
    msg: *const u8,
    msg_len: usize,
    res: *mut InsnResult,
) {
    // SAFETY: a model from a constructor, used under the lock.
    let ap = unsafe { &mut *ap };
    // SAFETY: the caller's context.
    let ctx = Context::from(unsafe { &*ctx });
    // SAFETY: the caller's area of that length.
    let bytes = unsafe { bytes(msg, msg_len) };
    let outcome = ap.nqap(&ctx, gr0, Psmid::from_pair(r1_even, r1_odd), length, bytes);
    // SAFETY: the caller's result.
    unsafe { res.write(InsnResult::from(&outcome)) };
}

/// `dqap_peek`, see the header.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn ap_device_dqap_peek(
    ap: *mut Ap,
    ctx: *const abi::Context,
    gr0: u64,
    length: u64,
    buf: *mut u8,
    buf_len: usize,
) -> u32 {
    // SAFETY: a model from a constructor, used under the lock.
    let ap = unsafe { &mut *ap };
    // SAFETY: the caller's context.
    let ctx = Context::from(unsafe { &*ctx });
    let bytes = ap.dqap_peek(&ctx, gr0, length);
    let len = bytes.len().min(buf_len);
    if len == 0 {
        // also if the caller has no area at all
        return 0;
    }
    // SAFETY: both areas have at least `len` bytes, and ours is not C's.
    unsafe { buf.copy_from_nonoverlapping(bytes.as_ptr(), len) };
    // no reply is longer than the limit, which fits
    len as u32
}

/// `dqap`, see the header.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn ap_device_dqap(
    ap: *mut Ap,
    ctx: *const abi::Context,
    gr0: u64,
    length: u64,
    res: *mut InsnResult,
) {
    // SAFETY: a model from a constructor, used under the lock.
    let ap = unsafe { &mut *ap };
    // SAFETY: the caller's context.
    let ctx = Context::from(unsafe { &*ctx });
    let outcome = ap.dqap(&ctx, gr0, length);
    // SAFETY: the caller's result.
    unsafe { res.write(InsnResult::from(&outcome)) };
}

/// `poll`, see the header.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn ap_device_poll(ap: *mut Ap, now: u64) {
    // SAFETY: a model from a constructor, used under the lock.
    unsafe { &mut *ap }.poll(Ns(now));
}

/// `next_deadline`, see the header.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn ap_device_next_deadline(ap: *const Ap, when: *mut u64) -> bool {
    // SAFETY: a model from a constructor, used under the lock.
    let deadline = unsafe { &*ap }.next_deadline();
    if let Some(Ns(ns)) = deadline {
        // SAFETY: the caller's variable.
        unsafe { when.write(ns) };
    }
    deadline.is_some()
}

/// `next_effect`, see the header.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn ap_device_next_effect(ap: *mut Ap, effect: *mut abi::Effect) -> bool {
    // SAFETY: a model from a constructor, used under the lock.
    let next = unsafe { &mut *ap }.next_effect();
    if let Some(next) = next {
        // SAFETY: the caller's structure.
        unsafe { effect.write(next.into()) };
    }
    next.is_some()
}

/// `version`, see the header.
#[unsafe(no_mangle)]
pub extern "C" fn ap_device_version() -> *const c_char {
    VERSION.as_ptr()
}

/// `abi`, see the header.
#[unsafe(no_mangle)]
pub extern "C" fn ap_device_abi() -> u32 {
    abi::ABI
}

/// `new`, see the header.
#[unsafe(no_mangle)]
pub extern "C" fn ap_device_new(seed: u64) -> *mut Ap {
    Box::into_raw(Box::new(Ap::new(seed)))
}

/// `from_topology`, see the header.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn ap_device_from_topology(
    text: *const c_char,
    text_len: usize,
    seed: u64,
    err: *mut c_char,
    err_len: usize,
) -> *mut Ap {
    // SAFETY: the caller's text of that length.
    let text = unsafe { text_of(text, text_len) };
    let topology = text.and_then(|text| Topology::parse(text).map_err(|e| e.to_string()));
    match topology {
        Ok(topology) => Box::into_raw(Box::new(Ap::with_topology(&topology, seed))),
        Err(what) => {
            // SAFETY: the caller's area of that length, or NULL.
            unsafe { put_text(&what, err, err_len) };
            std::ptr::null_mut()
        }
    }
}

/// `free`, see the header.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn ap_device_free(ap: *mut Ap) {
    if !ap.is_null() {
        // SAFETY: made by Box::into_raw in a constructor; the caller gives it
        // up.
        drop(unsafe { Box::from_raw(ap) });
    }
}

/// `reset`, see the header.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn ap_device_reset(ap: *mut Ap, now: u64, kind: u32) {
    let kind = match kind {
        abi::RESET_POWER_ON => ResetKind::PowerOn,
        _ => ResetKind::Subsystem,
    };
    // SAFETY: a model from a constructor, used under the lock.
    unsafe { &mut *ap }.reset(Ns(now), kind);
}

/// `set_option`, see the header.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn ap_device_set_option(
    ap: *mut Ap,
    name: *const c_char,
    value: u64,
    err: *mut c_char,
    err_len: usize,
) -> c_int {
    // SAFETY: a model from a constructor, used under the lock.
    let ap = unsafe { &mut *ap };
    // SAFETY: the caller's NUL-terminated text.
    let name = unsafe { CStr::from_ptr(name) }.to_string_lossy();
    let result = set_option(ap, &name, value);
    // SAFETY: the caller's area of that length, or NULL.
    unsafe { verdict(result, err, err_len) }
}

fn set_option(ap: &mut Ap, name: &str, value: u64) -> Result<(), String> {
    match name {
        "reset-ns" => ap.tunables_mut().reset = Duration::from_nanos(value),
        "reply-ns" => ap.tunables_mut().reply = Duration::from_nanos(value),
        "stop-at-violation" => ap.set_stop_at_violation(value != 0),
        #[cfg(feature = "mutants")]
        "mutant" => {
            let index = usize::try_from(value).ok().and_then(|v| v.checked_sub(1));
            let mutant = index.and_then(|i| crate::Mutant::ALL.get(i));
            ap.set_mutant(mutant.copied());
        }
        _ => return Err(format!("there is no option \"{name}\"")),
    }
    Ok(())
}

/// `mode_from_name`, see the header.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn ap_device_mode_from_name(name: *const c_char) -> c_int {
    // SAFETY: the caller's NUL-terminated text.
    let name = unsafe { CStr::from_ptr(name) }.to_bytes();
    let mode = Mode::ALL.into_iter().find(|m| m.name().as_bytes() == name);
    mode.map_or(-1, |mode| mode.number().into())
}

/// `mode_name`, see the header.
#[unsafe(no_mangle)]
pub extern "C" fn ap_device_mode_name(mode: u8) -> *const c_char {
    let name = match Mode::from_number(mode) {
        Some(Mode::Cca) => c"cca",
        Some(Mode::Accelerator) => c"accelerator",
        Some(Mode::Ep11) => c"ep11",
        None => c"unknown",
    };
    name.as_ptr()
}

/// `add_adapter`, see the header.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn ap_device_add_adapter(
    ap: *mut Ap,
    now: u64,
    adapter: *const abi::Adapter,
    err: *mut c_char,
    err_len: usize,
) -> c_int {
    // SAFETY: a model from a constructor, used under the lock.
    let ap = unsafe { &mut *ap };
    // SAFETY: the caller's structure.
    let spec = AdapterSpec::try_from(unsafe { &*adapter });
    let result = spec.and_then(|spec| ap.add_adapter(Ns(now), spec).map_err(|e| e.to_string()));
    // SAFETY: the caller's area of that length, or NULL.
    unsafe { verdict(result, err, err_len) }
}

/// `remove_adapter`, see the header.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn ap_device_remove_adapter(
    ap: *mut Ap,
    now: u64,
    apid: u8,
    err: *mut c_char,
    err_len: usize,
) -> c_int {
    // SAFETY: a model from a constructor, used under the lock.
    let result = unsafe { &mut *ap }.remove_adapter(Ns(now), Apid::new(apid));
    // SAFETY: the caller's area of that length, or NULL.
    unsafe { verdict(result.map_err(|e| e.to_string()), err, err_len) }
}

/// `get_adapter`, see the header.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn ap_device_get_adapter(
    ap: *const Ap,
    apid: u8,
    out: *mut abi::Adapter,
) -> bool {
    // SAFETY: a model from a constructor, used under the lock.
    let state = unsafe { &*ap }.adapter(Apid::new(apid));
    if let Some(state) = state {
        // SAFETY: the caller's structure.
        unsafe { out.write(state.into()) };
    }
    state.is_some()
}

/// `set_config`, see the header.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn ap_device_set_config(ap: *mut Ap, now: u64, apid: u8, on: bool) -> c_int {
    // SAFETY: a model from a constructor, used under the lock.
    change(unsafe { &mut *ap }.set_config(Ns(now), Apid::new(apid), on))
}

/// `set_checkstop`, see the header.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn ap_device_set_checkstop(
    ap: *mut Ap,
    now: u64,
    apid: u8,
    on: bool,
) -> c_int {
    // SAFETY: a model from a constructor, used under the lock.
    change(unsafe { &mut *ap }.set_checkstop(Ns(now), Apid::new(apid), on))
}

fn change(result: Result<Change, ChangeError>) -> c_int {
    match result {
        Ok(Change::Done) => abi::CHANGE_DONE,
        Ok(Change::Already) => abi::CHANGE_ALREADY,
        Err(_) => abi::CHANGE_NO_ADAPTER,
    }
}

/// `set_domains`, see the header.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn ap_device_set_domains(
    ap: *mut Ap,
    now: u64,
    aqm: *const [u8; 32],
    adm: *const [u8; 32],
) {
    // SAFETY: a model from a constructor, used under the lock.
    let ap = unsafe { &mut *ap };
    // SAFETY: the caller's mask.
    let aqm = Aqm::from_bytes(unsafe { *aqm });
    // SAFETY: the caller's mask.
    let adm = Adm::from_bytes(unsafe { *adm });
    ap.set_domains(Ns(now), aqm, adm);
}

/// `get_masks`, see the header.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn ap_device_get_masks(
    ap: *const Ap,
    apm: *mut [u8; 32],
    aqm: *mut [u8; 32],
    adm: *mut [u8; 32],
) {
    // SAFETY: a model from a constructor, used under the lock.
    let matrix = unsafe { &*ap }.matrix();
    // SAFETY: the caller's mask.
    unsafe { apm.write(matrix.apm.to_bytes()) };
    // SAFETY: the caller's mask.
    unsafe { aqm.write(matrix.aqm.to_bytes()) };
    // SAFETY: the caller's mask.
    unsafe { adm.write(matrix.adm.to_bytes()) };
}

/// `parse_domains`, see the header.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn ap_device_parse_domains(
    text: *const c_char,
    mask: *mut [u8; 32],
    err: *mut c_char,
    err_len: usize,
) -> c_int {
    // SAFETY: the caller's NUL-terminated text.
    let text = unsafe { CStr::from_ptr(text) }.to_string_lossy();
    let result = topology::parse_domains(&text).map(|domains| {
        // SAFETY: the caller's mask.
        unsafe { mask.write(domains.to_bytes()) }
    });
    // SAFETY: the caller's area of that length, or NULL.
    unsafe { verdict(result, err, err_len) }
}

/// `format_domains`, see the header.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn ap_device_format_domains(
    mask: *const [u8; 32],
    buf: *mut c_char,
    buf_len: usize,
) -> usize {
    // SAFETY: the caller's mask.
    let text = topology::format_domains(Adm::from_bytes(unsafe { *mask }));
    // SAFETY: the caller's area of that length, or NULL.
    unsafe { put_text(&text, buf, buf_len) };
    text.len()
}

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

/// Stores the first `max` of `items` at `out`; returns how many items there
/// are.
unsafe fn fill<T>(items: impl Iterator<Item = T>, out: *mut T, max: usize) -> usize {
    let mut count = 0;
    for item in items {
        if count < max {
            // SAFETY: the caller's array has `max` elements.
            let slot = unsafe { out.add(count) };
            // SAFETY: inside the caller's array.
            unsafe { slot.write(item) };
        }
        count += 1;
    }
    count
}

/// C's area of bytes; empty ones may be NULL.
unsafe fn bytes<'a>(at: *const u8, len: usize) -> &'a [u8] {
    if len == 0 {
        return &[];
    }
    // SAFETY: the caller's area of that length, valid during the call.
    unsafe { slice::from_raw_parts(at, len) }
}

/// C's text with a length.
unsafe fn text_of<'a>(at: *const c_char, len: usize) -> Result<&'a str, String> {
    // SAFETY: the caller's area of that length, valid during the call.
    let bytes = unsafe { bytes(at.cast(), len) };
    std::str::from_utf8(bytes).map_err(|e| e.to_string())
}

/// 0, or -1 and the reason.
unsafe fn verdict(result: Result<(), String>, err: *mut c_char, err_len: usize) -> c_int {
    match result {
        Ok(()) => 0,
        Err(what) => {
            // SAFETY: the caller's area of that length, or NULL.
            unsafe { put_text(&what, err, err_len) };
            -1
        }
    }
}

/// Stores text and a NUL, cut off to `len` bytes in all.
unsafe fn put_text(text: &str, at: *mut c_char, len: usize) {
    if at.is_null() || len == 0 {
        return;
    }
    let cut = text.floor_char_boundary(len - 1);
    // SAFETY: `cut` is below the length of the caller's area.
    unsafe { at.copy_from_nonoverlapping(text.as_ptr().cast(), cut) };
    // SAFETY: `cut` is below the length of the caller's area.
    let end = unsafe { at.add(cut) };
    // SAFETY: inside the caller's area.
    unsafe { end.write(0) };
}
