// SPDX-License-Identifier: MIT OR Apache-2.0
//! The two RSA requests of a zcrypt device node, and its list of queues.
//!
//! Source: Linux `arch/s390/include/uapi/asm/zcrypt.h`. The numbers are coded
//! with a size of 0, whatever the size of the structure.

use nix::errno::Errno;
use std::fs::File;
use std::os::fd::AsRawFd;

/// `struct ica_rsa_modexpo`.
#[repr(C)]
pub struct Modexpo {
    input: *const u8,
    input_len: u32,
    output: *mut u8,
    output_len: u32,
    exponent: *const u8,
    modulus: *const u8,
}

/// `struct ica_rsa_modexpo_crt`.
#[repr(C)]
pub struct Crt {
    input: *const u8,
    input_len: u32,
    output: *mut u8,
    output_len: u32,
    /// dp, dq, p, q, u
    key: [*const u8; 5],
}

#[cfg(target_pointer_width = "64")]
const _: () = {
    use std::mem::{offset_of, size_of};
    assert!(size_of::<Modexpo>() == 48);
    assert!(offset_of!(Modexpo, output) == 16);
    assert!(offset_of!(Modexpo, exponent) == 32);
    assert!(size_of::<Crt>() == 72);
    assert!(offset_of!(Crt, output_len) == 24);
    assert!(offset_of!(Crt, key) == 32);
};

/// `struct zcrypt_device_status_ext`: 8 bits of type, 16 of queue number, then
/// one that says whether it is online, from the left of a big-endian word.
#[derive(Clone, Copy, PartialEq, Eq)]
#[repr(transparent)]
pub struct QueueStatus(u32);

/// Entries of `struct zcrypt_device_matrix_ext`: adapters by domains.
const QUEUES: usize = 256 * 256;

impl QueueStatus {
    /// The raw hardware type; there is none without a queue.
    pub fn hwtype(self) -> u8 {
        self.0.to_be_bytes()[0]
    }

    /// The queue's name.
    pub fn apqn(self) -> String {
        let [_, apid, apqi, _] = self.0.to_be_bytes();
        format!("{apid:02x}.{apqi:04x}")
    }

    /// Whether zcrypt uses it.
    pub fn is_online(self) -> bool {
        self.0 & 0x80 != 0
    }
}

nix::ioctl_readwrite_bad!(zcrypt_device_status, 0xc000_7a5fu32, [QueueStatus; QUEUES]);
nix::ioctl_readwrite_bad!(icarsamodexpo, 0xc000_7a05u32, Modexpo);
nix::ioctl_readwrite_bad!(icarsacrt, 0xc000_7a06u32, Crt);

/// What zcrypt knows of its queues; those that are there.
///
/// # Errors
/// The kernel's refusal.
pub fn device_status(device: &File) -> Result<Vec<QueueStatus>, Errno> {
    let mut all = Box::new([QueueStatus(0); QUEUES]);
    // SAFETY: the kernel writes exactly that many words, which are numbers.
    unsafe { zcrypt_device_status(device.as_raw_fd(), &raw mut *all) }?;
    Ok(all.iter().copied().filter(|q| q.hwtype() != 0).collect())
}

/// Modular exponentiation; exponent and modulus are as long as the message.
///
/// # Errors
/// The kernel's refusal, or `EINVAL` for lengths that do not fit.
pub fn modexpo(
    device: &File,
    message: &[u8],
    exponent: &[u8],
    modulus: &[u8],
) -> Result<Vec<u8>, Errno> {
    let length = message.len();
    if exponent.len() != length || modulus.len() != length {
        return Err(Errno::EINVAL);
    }
    let mut result = vec![0; length];
    let length = u32::try_from(length).map_err(|_| Errno::EINVAL)?;
    let mut request = Modexpo {
        input: message.as_ptr(),
        input_len: length,
        output: result.as_mut_ptr(),
        output_len: length,
        exponent: exponent.as_ptr(),
        modulus: modulus.as_ptr(),
    };
    // SAFETY: the kernel reads `length` bytes behind each of the three const
    // pointers, as checked above, and writes at most `output_len` to `result`.
    unsafe { icarsamodexpo(device.as_raw_fd(), &raw mut request) }?;
    Ok(result)
}

/// The same with a private key of `dp`, `dq`, `p`, `q` and `u`; those of `dp`,
/// `p` and `u` have eight leading bytes more than half the message's length.
///
/// # Errors
/// The kernel's refusal, or `EINVAL` for lengths that do not fit.
pub fn crt(device: &File, message: &[u8], key: [&Vec<u8>; 5]) -> Result<Vec<u8>, Errno> {
    let length = message.len();
    let (half, padded) = (length / 2, length / 2 + 8);
    let wanted = [padded, half, padded, half, padded];
    if !length.is_multiple_of(2) || key.map(Vec::len) != wanted {
        return Err(Errno::EINVAL);
    }
    let mut result = vec![0; length];
    let length = u32::try_from(length).map_err(|_| Errno::EINVAL)?;
    let mut request = Crt {
        input: message.as_ptr(),
        input_len: length,
        output: result.as_mut_ptr(),
        output_len: length,
        key: key.map(|part| part.as_ptr()),
    };
    // SAFETY: the kernel reads `length` bytes of the message and, of each part
    // of the key, as many as checked above; it writes at most `output_len`.
    unsafe { icarsacrt(device.as_raw_fd(), &raw mut request) }?;
    Ok(result)
}
