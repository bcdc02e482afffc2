// SPDX-License-Identifier: MIT OR Apache-2.0
//! Guest storage.

use std::ptr;

use vm_memory::mmap::MmapRegion;
use vm_memory::{
    GuestAddress, GuestMemoryBackend, GuestMemoryMmap, GuestMemoryRegion, GuestRegionMmap,
    MemoryRegionAddress,
};

use super::{KvmError, Result};

/// Kernels up to 6.x want storage aligned to a segment (1 MiB).
const ALIGNMENT: usize = 1 << 20;

/// Allocates guest storage of `size` bytes from address 0.
///
/// The mapping is never undone: KVM, the IOMMU table and CPU threads hold on
/// to it, and a process runs one machine.
pub fn allocate(size: u64) -> Result<GuestMemoryMmap> {
    const OP: &str = "allocate guest storage";
    let too_big = || KvmError {
        op: OP,
        source: std::io::ErrorKind::OutOfMemory.into(),
    };
    let size = usize::try_from(size).map_err(|_| too_big())?;
    let reserved = size.checked_add(ALIGNMENT).ok_or_else(too_big)?;
    let prot = libc::PROT_READ | libc::PROT_WRITE;
    let flags = libc::MAP_PRIVATE | libc::MAP_ANONYMOUS | libc::MAP_NORESERVE;

    // SAFETY: a new anonymous mapping, at an address the kernel chooses.
    let start = unsafe { libc::mmap(ptr::null_mut(), reserved, prot, flags, -1, 0) };
    if start == libc::MAP_FAILED {
        return Err(KvmError::last(OP));
    }
    let start = start.cast::<u8>();
    let skip = start.align_offset(ALIGNMENT);
    // SAFETY: skip is below ALIGNMENT, by which the mapping exceeds size.
    let aligned = unsafe { start.add(skip) };
    // SAFETY: aligned..aligned + size lies in the mapping made above, which
    // is never unmapped.
    let region =
        unsafe { MmapRegion::build_raw(aligned, size, prot, flags) }.map_err(|error| KvmError {
            op: OP,
            source: std::io::Error::other(error),
        })?;
    let region = GuestRegionMmap::new(region, GuestAddress(0)).ok_or_else(too_big)?;
    GuestMemoryMmap::from_regions(vec![region]).map_err(|error| KvmError {
        op: OP,
        source: std::io::Error::other(error),
    })
}

/// Makes all of guest storage zero. It must be from [`allocate`].
pub fn clear(memory: &GuestMemoryMmap) -> Result<()> {
    const OP: &str = "clear guest storage";
    for region in memory.iter() {
        let start = region
            .get_host_address(MemoryRegionAddress(0))
            .map_err(|error| KvmError {
                op: OP,
                source: std::io::Error::other(error),
            })?;
        // fits: it is mapped
        let len = region.len() as usize;
        // SAFETY: a private anonymous mapping of that length, which reads as
        // zeros afterwards; only volatile accessors reach it.
        let result = unsafe { libc::madvise(start.cast(), len, libc::MADV_DONTNEED) };
        if result != 0 {
            return Err(KvmError::last(OP));
        }
    }
    Ok(())
}
