// SPDX-License-Identifier: MIT OR Apache-2.0
//! What an HMC, an SE or SCLP changes.

use std::ffi::{CStr, c_char, c_int};

use ap_arch::{Adm, Apid, Aqm};

use super::area::{put_text, verdict};
use crate::abi;
use crate::topology;
use crate::{AdapterSpec, Ap, Change, ChangeError, Mode, Ns};

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
    err: *mut c_char,
    err_len: usize,
) -> c_int {
    // SAFETY: a model from a constructor, used under the lock.
    let ap = unsafe { &mut *ap };
    // SAFETY: the caller's mask.
    let aqm = Aqm::from_bytes(unsafe { *aqm });
    // SAFETY: the caller's mask.
    let adm = Adm::from_bytes(unsafe { *adm });
    let result = ap.set_domains(Ns(now), aqm, adm);
    // SAFETY: the caller's area of that length, or NULL.
    unsafe { verdict(result.map(drop).map_err(|e| e.to_string()), err, err_len) }
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
