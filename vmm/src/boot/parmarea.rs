// SPDX-License-Identifier: MIT OR Apache-2.0
//! The parameter area of the Linux boot protocol.
//!
//! ```text
//!   0x10408  address of the RAM disk   u64
//!   0x10410  its length                u64
//!   0x10418  address of a dump area    u64, zero: none
//!   0x10420  its length                u64
//!   0x10430  longest command line      u64, supplied by the image; 0: 896
//!   0x10480  command line              ASCII, ends in NUL
//! ```
//!
//! Source: Linux `struct parmarea` in `arch/s390/include/asm/setup.h`.

use vm_memory::{Bytes, GuestAddress, GuestMemoryMmap};

use super::BootError;

const INITRD_ADDRESS: u64 = 0x1_0408;
const MAX_COMMAND_LINE: u64 = 0x1_0430;
const COMMAND_LINE: u64 = 0x1_0480;

/// What an image takes that does not say.
const LEGACY_MAX: u64 = 896;

/// Fills the area; `initrd` is the disk's address and length.
pub(super) fn fill(
    memory: &GuestMemoryMmap,
    cmdline: &str,
    initrd: Option<(u64, u64)>,
) -> Result<(), BootError> {
    let max: u64 = memory.read_obj(GuestAddress(MAX_COMMAND_LINE))?;
    let max = match u64::from_be(max) {
        0 => LEGACY_MAX,
        max => max,
    };
    if cmdline.len() as u64 >= max {
        let len = cmdline.len() + 1;
        return Err(BootError::CommandLine { len, max });
    }
    let (address, length) = initrd.unwrap_or((0, 0));
    for (index, value) in (0..).zip([address, length, 0, 0]) {
        memory.write_obj(value.to_be(), GuestAddress(INITRD_ADDRESS + 8 * index))?;
    }
    let mut line = cmdline.as_bytes().to_vec();
    line.push(0);
    memory.write_slice(&line, GuestAddress(COMMAND_LINE))?;
    Ok(())
}
