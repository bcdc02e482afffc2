// SPDX-License-Identifier: MIT OR Apache-2.0
//! What the guest sees besides its CPUs: console and channel subsystem.
//!
//! Everything here is plain computation on bytes the guest supplied. None of
//! it knows KVM, so it is tested on any host; storage bytes are written with
//! explicit byte order.

pub mod css;
pub mod sclp;

/// The big-endian halfword at `at`, zero past the end.
fn be16(bytes: &[u8], at: usize) -> u16 {
    match bytes.get(at..at + 2) {
        Some(&[high, low]) => u16::from_be_bytes([high, low]),
        _ => 0,
    }
}

/// Stores `value` at `at`; nothing past the end.
fn put(bytes: &mut [u8], at: usize, value: &[u8]) {
    if let Some(slot) = bytes.get_mut(at..at + value.len()) {
        slot.copy_from_slice(value);
    }
}
