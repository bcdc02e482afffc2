// SPDX-License-Identifier: MIT OR Apache-2.0
//! Guest storage.

use std::ptr;

use vm_memory::mmap::MmapRegion;
use vm_memory::{
    GuestAddress, GuestMemoryBackend, GuestMemoryMmap, GuestMemoryRegion, GuestRegionMmap,
    MemoryRegionAddress,
};

use super::{KvmError, Result};
use crate::config::Pages;

/// A segment, 1 MiB: the size of a huge page, and what kernels up to 6.x want
/// storage aligned to.
const SEGMENT_SHIFT: u32 = 20;
const SEGMENT: usize = 1 << SEGMENT_SHIFT;

const ALLOCATE: &str = "allocate guest storage";
const PROT: libc::c_int = libc::PROT_READ | libc::PROT_WRITE;

/// Allocates guest storage of `size` bytes, whole segments, from address 0.
///
/// The mapping is never undone: KVM, the IOMMU table and CPU threads hold on
/// to it, and a process runs one machine.
pub fn allocate(size: u64, pages: Pages) -> Result<GuestMemoryMmap> {
    let size = usize::try_from(size).map_err(|_| too_big())?;
    let (start, flags) = match pages {
        Pages::Small | Pages::Transparent => reserve_aligned(size)?,
        Pages::Huge => take_huge(size)?,
    };
    if pages == Pages::Transparent {
        const OP: &str = "ask for transparent huge pages";
        // SAFETY: the range is all of a mapping that was just made.
        let result = unsafe { libc::madvise(start.cast(), size, libc::MADV_HUGEPAGE) };
        if result != 0 {
            return Err(KvmError::last(OP));
        }
    }
    // SAFETY: start..start + size is mapped with these attributes, and never
    // unmapped.
    let region =
        unsafe { MmapRegion::build_raw(start, size, PROT, flags) }.map_err(|error| KvmError {
            op: ALLOCATE,
            source: std::io::Error::other(error),
        })?;
    let region = GuestRegionMmap::new(region, GuestAddress(0)).ok_or_else(too_big)?;
    GuestMemoryMmap::from_regions(vec![region]).map_err(|error| KvmError {
        op: ALLOCATE,
        source: std::io::Error::other(error),
    })
}

fn too_big() -> KvmError {
    KvmError {
        op: ALLOCATE,
        source: std::io::ErrorKind::OutOfMemory.into(),
    }
}

/// Pages that are made when they are used, the first at a segment's start.
fn reserve_aligned(size: usize) -> Result<(*mut u8, libc::c_int)> {
    let flags = libc::MAP_PRIVATE | libc::MAP_ANONYMOUS | libc::MAP_NORESERVE;
    let reserved = size.checked_add(SEGMENT).ok_or_else(too_big)?;
    let start = map(reserved, flags, ALLOCATE)?;
    let skip = start.align_offset(SEGMENT);
    // SAFETY: skip is below SEGMENT, by which the mapping exceeds size.
    Ok((unsafe { start.add(skip) }, flags))
}

/// Huge pages that are set aside at once: without enough of them this fails,
/// not the guest when it uses one.
fn take_huge(size: usize) -> Result<(*mut u8, libc::c_int)> {
    const OP: &str = "take guest storage from the host's huge pages (vm.nr_hugepages)";
    let size_of_page = (SEGMENT_SHIFT as libc::c_int) << libc::MAP_HUGE_SHIFT;
    let flags = libc::MAP_PRIVATE | libc::MAP_ANONYMOUS | libc::MAP_HUGETLB | size_of_page;
    Ok((map(size, flags, OP)?, flags))
}

fn map(size: usize, flags: libc::c_int, op: &'static str) -> Result<*mut u8> {
    // SAFETY: a new anonymous mapping, at an address the kernel chooses.
    let start = unsafe { libc::mmap(ptr::null_mut(), size, PROT, flags, -1, 0) };
    if start == libc::MAP_FAILED {
        return Err(KvmError::last(op));
    }
    Ok(start.cast())
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
