// SPDX-License-Identifier: MIT OR Apache-2.0
//! A model from its creation to its end: time, effects, resets, options.

use std::ffi::{CStr, c_char, c_int};
use std::time::Duration;

use super::area::{put_text, text_of, verdict};
use crate::abi;
use crate::topology::Topology;
use crate::{Ap, Ns, ResetKind};

const VERSION: &CStr = match CStr::from_bytes_with_nul(
    concat!("ap-device ", env!("CARGO_PKG_VERSION"), ", ABI 2\0").as_bytes(),
) {
    Ok(version) => version,
    Err(_) => panic!("has one NUL, at its end"),
};

const _: () = assert!(abi::ABI == 2, "VERSION spells it");

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
