// SPDX-License-Identifier: MIT OR Apache-2.0
//! ELF images: 64-bit, big-endian, `EM_S390`, loaded by physical address.
//!
//! Source: the System V ABI, `elf(5)`.

use std::io::SeekFrom;

use vm_memory::{Bytes, GuestAddress, GuestMemoryMmap};

use super::{BootError, Image, length, place, ram_size};

pub(super) const MAGIC: [u8; 4] = *b"\x7fELF";

const HEADER_LEN: usize = 64;
const SEGMENT_LEN: usize = 56;
const CLASS_64: u8 = 2;
const BIG_ENDIAN: u8 = 2;
const EXECUTABLE: u16 = 2;
const EM_S390: u16 = 22;
const PT_LOAD: u32 = 1;
const ZEROES: [u8; 4096] = [0; 4096];

/// A segment to load.
struct Segment {
    offset: u64,
    address: u64,
    file_len: u64,
    len: u64,
}

/// Loads the segments; returns the entry address and the end of the image.
pub(super) fn load<I: Image>(
    memory: &GuestMemoryMmap,
    image: &mut I,
) -> Result<(u64, u64), BootError> {
    let image_len = length(image)?;
    let mut header = [0; HEADER_LEN];
    if image_len < HEADER_LEN as u64 {
        return Err(BootError::Elf("truncated header"));
    }
    image.read_exact(&mut header)?;
    if header[4] != CLASS_64 || header[5] != BIG_ENDIAN {
        return Err(BootError::Elf("not 64-bit big-endian"));
    }
    if be16(&header, 16) != EXECUTABLE || be16(&header, 18) != EM_S390 {
        return Err(BootError::Elf("not an executable for s390x"));
    }
    if usize::from(be16(&header, 54)) != SEGMENT_LEN {
        return Err(BootError::Elf("unknown program header size"));
    }

    let table = be64(&header, 32);
    let count = u64::from(be16(&header, 56));
    let table_end = table.checked_add(count * SEGMENT_LEN as u64);
    if table_end.is_none_or(|end| end > image_len) {
        return Err(BootError::Elf("truncated program headers"));
    }
    let mut end = 0;
    for index in 0..count {
        let mut entry = [0; SEGMENT_LEN];
        image.seek(SeekFrom::Start(table + index * SEGMENT_LEN as u64))?;
        image.read_exact(&mut entry)?;
        if be32(&entry, 0) != PT_LOAD {
            continue;
        }
        let segment = Segment {
            offset: be64(&entry, 8),
            address: be64(&entry, 24),
            file_len: be64(&entry, 32),
            len: be64(&entry, 40),
        };
        end = end.max(load_segment(memory, image, image_len, &segment)?);
    }
    if end == 0 {
        return Err(BootError::Elf("nothing to load"));
    }
    Ok((be64(&header, 24), end))
}

/// Loads one segment; returns its end.
fn load_segment<I: Image>(
    memory: &GuestMemoryMmap,
    image: &mut I,
    image_len: u64,
    segment: &Segment,
) -> Result<u64, BootError> {
    let file_end = segment.offset.checked_add(segment.file_len);
    if file_end.is_none_or(|end| end > image_len) || segment.file_len > segment.len {
        return Err(BootError::Elf("truncated segment"));
    }
    let ram = ram_size(memory);
    let end = segment.address.saturating_add(segment.len);
    if end > ram {
        let what = "the kernel";
        return Err(BootError::TooBig { what, end, ram });
    }
    image.seek(SeekFrom::Start(segment.offset))?;
    place(
        memory,
        image,
        "the kernel",
        segment.address,
        segment.file_len,
    )?;
    // not left to fresh storage: a machine may be loaded again
    let mut at = segment.address + segment.file_len;
    while at < end {
        let len = (end - at).min(ZEROES.len() as u64);
        memory.write_slice(&ZEROES[..len as usize], GuestAddress(at))?;
        at += len;
    }
    Ok(end)
}

fn field<const N: usize>(bytes: &[u8], at: usize) -> [u8; N] {
    std::array::from_fn(|i| bytes[at + i])
}

fn be16(bytes: &[u8], at: usize) -> u16 {
    u16::from_be_bytes(field(bytes, at))
}

fn be32(bytes: &[u8], at: usize) -> u32 {
    u32::from_be_bytes(field(bytes, at))
}

fn be64(bytes: &[u8], at: usize) -> u64 {
    u64::from_be_bytes(field(bytes, at))
}
