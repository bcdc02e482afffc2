// SPDX-License-Identifier: MIT OR Apache-2.0
//! The three instructions.

use ap_arch::Psmid;

use super::area::bytes;
use crate::abi::{self, InsnResult};
use crate::{Ap, Context, Done};

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
