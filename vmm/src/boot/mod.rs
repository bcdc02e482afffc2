// SPDX-License-Identifier: MIT OR Apache-2.0
//! Loading a kernel: what lies where in guest storage before the first
//! instruction.
//!
//! ```text
//!   0          raw image (bzImage), or ELF segments at their addresses
//!   0x10000    entry of a Linux image, "S390EP" at 0x10008
//!   0x10400    parameter area (module parmarea)
//!   >= 8 MiB   initial RAM disk, 1 MiB-aligned, at least 1 MiB past the image
//! ```
//!
//! An image with the magic at 0x10008 gets a parameter area; that is the
//! Linux boot protocol, which the bare-metal probe follows too. Others start
//! with registers and a PSW only, and cannot take a command line or RAM disk.
//!
//! Source: Linux `arch/s390/boot/head.S`, `arch/s390/include/asm/setup.h`,
//! `Documentation/arch/s390`.

mod elf;
mod parmarea;

use std::fs::File;
use std::io::{self, Read, Seek, SeekFrom};
use std::path::{Path, PathBuf};

use vm_memory::{Bytes, GuestAddress, GuestMemoryMmap, ReadVolatile};

const MIB: u64 = 1 << 20;
const LINUX_ENTRY: u64 = 0x1_0000;
const LINUX_MAGIC_AT: u64 = 0x1_0008;
const LINUX_MAGIC: &[u8; 6] = b"S390EP";
const INITRD_FLOOR: u64 = 8 * MIB;

/// 64-bit addressing, everything else off.
pub const START_MASK: u64 = 0x1_8000_0000;

/// The PSW the first CPU starts with.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Entry {
    /// PSW mask.
    pub mask: u64,
    /// Instruction address.
    pub address: u64,
}

/// Why a machine cannot be loaded.
#[derive(Debug, thiserror::Error)]
pub enum BootError {
    /// A file cannot be opened.
    #[error("cannot open {path}")]
    Open {
        /// The file.
        path: PathBuf,
        /// Why not.
        source: io::Error,
    },
    /// A file cannot be read.
    #[error("cannot read the image")]
    Read(#[from] io::Error),
    /// Reading into guest storage failed.
    #[error("cannot load the image into guest storage")]
    Load(#[from] vm_memory::GuestMemoryError),
    /// The image does not fit.
    #[error("{what} needs guest storage up to {end:#x}, the guest has {ram:#x}")]
    TooBig {
        /// What does not fit.
        what: &'static str,
        /// The first address past it.
        end: u64,
        /// Size of guest storage.
        ram: u64,
    },
    /// Not an ELF file for this machine, or damaged.
    #[error("bad ELF image: {0}")]
    Elf(&'static str),
    /// Too short to hold an entry address.
    #[error("the kernel image is too short")]
    TooShort,
    /// The entry point is not a place to start.
    #[error("bad entry address {0:#x}")]
    Entry(u64),
    /// The image does not follow the Linux boot protocol.
    #[error("a {0} needs a kernel with the Linux boot protocol")]
    NotLinux(&'static str),
    /// The command line does not fit.
    #[error("the command line has {len} bytes, the kernel takes {max}")]
    CommandLine {
        /// Its length.
        len: usize,
        /// What fits.
        max: u64,
    },
}

/// What [`load`] reads an image from.
pub trait Image: Read + Seek + ReadVolatile {}
impl<T: Read + Seek + ReadVolatile> Image for T {}

/// What is loaded, at the start and again at a reset. The files stay open, so
/// that nothing has to be opened later.
pub struct Files {
    kernel: File,
    initrd: Option<File>,
    cmdline: String,
}

impl Files {
    /// Opens kernel and RAM disk.
    pub fn open(kernel: &Path, initrd: Option<&Path>, cmdline: &str) -> Result<Self, BootError> {
        let open = |path: &Path| {
            File::open(path).map_err(|source| BootError::Open {
                path: path.into(),
                source,
            })
        };
        Ok(Self {
            kernel: open(kernel)?,
            initrd: initrd.map(open).transpose()?,
            cmdline: cmdline.into(),
        })
    }

    /// Loads kernel, RAM disk and command line.
    pub fn load(&mut self, memory: &GuestMemoryMmap) -> Result<Entry, BootError> {
        load(
            memory,
            &mut self.kernel,
            self.initrd.as_mut(),
            &self.cmdline,
        )
    }
}

/// Loads kernel, RAM disk and command line.
pub fn load<I: Image>(
    memory: &GuestMemoryMmap,
    kernel: &mut I,
    initrd: Option<&mut I>,
    cmdline: &str,
) -> Result<Entry, BootError> {
    let mut magic = [0; 4];
    let is_elf = length(kernel)? >= 4 && {
        kernel.read_exact(&mut magic)?;
        kernel.rewind()?;
        magic == elf::MAGIC
    };
    let (mut address, end) = if is_elf {
        elf::load(memory, kernel)?
    } else {
        load_raw(memory, kernel)?
    };

    let is_linux = has_magic(memory);
    if is_linux && !is_elf {
        address = LINUX_ENTRY;
    }
    // the first instruction has at least two bytes
    if address % 2 != 0 || address > ram_size(memory) - 2 {
        return Err(BootError::Entry(address));
    }
    if is_linux {
        let disk = initrd.map(|i| load_initrd(memory, i, end)).transpose()?;
        parmarea::fill(memory, cmdline, disk)?;
    } else if initrd.is_some() {
        return Err(BootError::NotLinux("RAM disk"));
    } else if !cmdline.is_empty() {
        return Err(BootError::NotLinux("command line"));
    }
    Ok(Entry {
        mask: START_MASK,
        address,
    })
}

fn has_magic(memory: &GuestMemoryMmap) -> bool {
    let mut magic = [0; 6];
    memory
        .read_slice(&mut magic, GuestAddress(LINUX_MAGIC_AT))
        .is_ok_and(|()| &magic == LINUX_MAGIC)
}

/// Loads a raw image at 0; returns the address in the short PSW it starts
/// with, and the image's end.
fn load_raw<I: Image>(memory: &GuestMemoryMmap, image: &mut I) -> Result<(u64, u64), BootError> {
    let len = length(image)?;
    if len < 8 {
        return Err(BootError::TooShort);
    }
    place(memory, image, "the kernel", 0, len)?;
    let psw_address: u32 = memory.read_obj(GuestAddress(4))?;
    Ok(((u32::from_be(psw_address) & 0x7fff_ffff).into(), len))
}

/// Loads a RAM disk behind an image that ends at `image_end`; returns its
/// address and length.
fn load_initrd<I: Image>(
    memory: &GuestMemoryMmap,
    initrd: &mut I,
    image_end: u64,
) -> Result<(u64, u64), BootError> {
    let len = length(initrd)?;
    // image_end is within storage, so the sum does not overflow
    let address = (image_end + MIB).next_multiple_of(MIB).max(INITRD_FLOOR);
    place(memory, initrd, "the RAM disk", address, len)?;
    Ok((address, len))
}

/// Reads `len` bytes from where `image` stands to `address`.
fn place<I: Image>(
    memory: &GuestMemoryMmap,
    image: &mut I,
    what: &'static str,
    address: u64,
    len: u64,
) -> Result<(), BootError> {
    let ram = ram_size(memory);
    let end = address.saturating_add(len);
    if end > ram {
        return Err(BootError::TooBig { what, end, ram });
    }
    // fits: within storage, which is mapped
    memory.read_exact_volatile_from(GuestAddress(address), image, len as usize)?;
    Ok(())
}

/// The length of a file, which is left at its start.
fn length<I: Image>(image: &mut I) -> Result<u64, BootError> {
    let len = image.seek(SeekFrom::End(0))?;
    image.rewind()?;
    Ok(len)
}

/// Size of guest storage: one range from 0.
pub fn ram_size(memory: &GuestMemoryMmap) -> u64 {
    use vm_memory::GuestMemoryBackend;
    memory.last_addr().0 + 1
}

#[cfg(test)]
mod tests;
