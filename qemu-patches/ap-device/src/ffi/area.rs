// SPDX-License-Identifier: MIT OR Apache-2.0
//! C's areas of memory: texts and arrays in, texts and arrays out.

use std::ffi::{c_char, c_int};
use std::slice;

/// C's area of bytes; empty ones may be NULL.
pub(super) unsafe fn bytes<'a>(at: *const u8, len: usize) -> &'a [u8] {
    if len == 0 {
        return &[];
    }
    // SAFETY: the caller's area of that length, valid during the call.
    unsafe { slice::from_raw_parts(at, len) }
}

/// C's text with a length.
pub(super) unsafe fn text_of<'a>(at: *const c_char, len: usize) -> Result<&'a str, String> {
    // SAFETY: the caller's area of that length, valid during the call.
    let bytes = unsafe { bytes(at.cast(), len) };
    std::str::from_utf8(bytes).map_err(|e| e.to_string())
}

/// 0, or -1 and the reason.
pub(super) unsafe fn verdict(
    result: Result<(), String>,
    err: *mut c_char,
    err_len: usize,
) -> c_int {
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
pub(super) unsafe fn put_text(text: &str, at: *mut c_char, len: usize) {
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

/// Stores the first `max` of `items` at `out`; returns how many items there
/// are.
pub(super) unsafe fn fill<T>(items: impl Iterator<Item = T>, out: *mut T, max: usize) -> usize {
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
