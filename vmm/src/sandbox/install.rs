// SPDX-License-Identifier: MIT OR Apache-2.0
//! Hands a filter to the kernel. The crate that would do it is empty on
//! big-endian targets.

use std::io;

use super::filter::Step;

const _: () = {
    assert!(size_of::<libc::sock_filter>() == 8);
    assert!(std::mem::offset_of!(libc::sock_filter, jt) == 2);
    assert!(std::mem::offset_of!(libc::sock_filter, k) == 4);
    assert!(size_of::<libc::sock_fprog>() == 16);
    assert!(std::mem::offset_of!(libc::sock_fprog, filter) == 8);
};

/// Has the calling thread, and those it starts, run `steps` at each system
/// call. Wants no_new_privs.
pub fn install(steps: &[Step]) -> io::Result<()> {
    let mut filter: Vec<_> = steps
        .iter()
        .map(|step| libc::sock_filter {
            code: step.code,
            jt: step.jt,
            jf: step.jf,
            k: step.k,
        })
        .collect();
    let program = libc::sock_fprog {
        // longer ones the kernel would refuse, too
        len: u16::try_from(filter.len()).unwrap_or(u16::MAX),
        filter: filter.as_mut_ptr(),
    };
    // SAFETY: the kernel copies `len` instructions from `filter`, which has as
    // many and outlives the call.
    let result = unsafe {
        libc::prctl(
            libc::PR_SET_SECCOMP,
            libc::SECCOMP_MODE_FILTER,
            std::ptr::from_ref(&program),
        )
    };
    if result == 0 {
        Ok(())
    } else {
        Err(io::Error::last_os_error())
    }
}
