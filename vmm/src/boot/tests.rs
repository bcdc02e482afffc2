// SPDX-License-Identifier: MIT OR Apache-2.0
//! Loading good and bad images.

use std::io::Cursor;

use super::*;

const RAM: u64 = 16 * MIB;

fn memory() -> GuestMemoryMmap {
    GuestMemoryMmap::from_ranges(&[(GuestAddress(0), RAM as usize)]).unwrap()
}

fn bytes(memory: &GuestMemoryMmap, at: u64, len: usize) -> Vec<u8> {
    let mut bytes = vec![0xee; len];
    memory.read_slice(&mut bytes, GuestAddress(at)).unwrap();
    bytes
}

/// A raw image of `len` bytes with the Linux magic.
fn bzimage(len: usize) -> Vec<u8> {
    let mut image = vec![0x07; len];
    image[0x10008..0x1000e].copy_from_slice(LINUX_MAGIC);
    image[0x10430..0x10438].copy_from_slice(&4096_u64.to_be_bytes());
    image
}

/// An ELF image with one segment of `data` at `address`, `len` bytes long.
fn elf(entry: u64, address: u64, data: &[u8], len: u64) -> Vec<u8> {
    let mut image = vec![0; 120];
    image[..6].copy_from_slice(b"\x7fELF\x02\x02");
    image[16..20].copy_from_slice(&[0, 2, 0, 22]);
    image[24..32].copy_from_slice(&entry.to_be_bytes());
    image[32..40].copy_from_slice(&64_u64.to_be_bytes());
    image[54..58].copy_from_slice(&[0, 56, 0, 1]);
    image[67] = 1;
    for (at, value) in [
        (72, 120),
        (80, 0xdead),
        (88, address),
        (96, data.len() as u64),
        (104, len),
    ] {
        image[at..at + 8].copy_from_slice(&value.to_be_bytes());
    }
    image.extend_from_slice(data);
    image
}

fn start(
    memory: &GuestMemoryMmap,
    kernel: Vec<u8>,
    initrd: Option<Vec<u8>>,
    cmdline: &str,
) -> Result<Entry, BootError> {
    let mut initrd = initrd.map(Cursor::new);
    load(memory, &mut Cursor::new(kernel), initrd.as_mut(), cmdline)
}

fn entry_at(address: u64) -> Entry {
    let mask = 0x1_8000_0000;
    Entry { mask, address }
}

#[test]
fn linux_gets_its_parameters() {
    let memory = memory();
    let initrd = vec![0xab; 5000];
    let entry = start(&memory, bzimage(0x20000), Some(initrd), "console=ttysclp0").unwrap();
    assert_eq!(entry, entry_at(0x10000));

    let mut expected = Vec::new();
    for value in [8 * MIB, 5000, 0, 0] {
        expected.extend_from_slice(&value.to_be_bytes());
    }
    assert_eq!(bytes(&memory, 0x10408, 32), expected);
    assert_eq!(bytes(&memory, 0x10480, 18), b"console=ttysclp0\0\x07");
    assert_eq!(bytes(&memory, 8 * MIB, 5001)[4999..], [0xab, 0]);
    // the rest of the area stays the image's
    assert_eq!(bytes(&memory, 0x10400, 8), [7; 8]);
    assert_eq!(bytes(&memory, 0x10428, 8), [7; 8]);
}

#[test]
fn the_disk_lies_a_mebibyte_past_a_large_image() {
    let memory = memory();
    start(&memory, bzimage(9 * MIB as usize + 1), Some(vec![1]), "").unwrap();
    assert_eq!(bytes(&memory, 0x10408, 8), (11 * MIB).to_be_bytes());
}

#[test]
fn command_lines_are_bounded_by_the_image() {
    let memory = memory();
    let mut image = bzimage(0x12000);
    start(&memory, image.clone(), None, &"x".repeat(4095)).unwrap();
    let result = start(&memory, image.clone(), None, &"x".repeat(4096));
    let is_long = |r: &Result<_, _>| matches!(r, Err(BootError::CommandLine { .. }));
    assert!(is_long(&result));

    image[0x10430..0x10438].fill(0);
    start(&memory, image.clone(), None, &"x".repeat(895)).unwrap();
    assert!(is_long(&start(&memory, image, None, &"x".repeat(896))));
}

#[test]
fn elf_segments_go_to_physical_addresses() {
    let memory = memory();
    memory
        .write_slice(&[0xff; 8], GuestAddress(0x20004))
        .unwrap();
    let entry = start(&memory, elf(0x20002, 0x20000, b"code", 8), None, "").unwrap();
    assert_eq!(entry, entry_at(0x20002));
    assert_eq!(bytes(&memory, 0x20000, 9), b"code\0\0\0\0\xff");
}

#[test]
fn elf_with_the_magic_takes_a_command_line() {
    let memory = memory();
    let image = bzimage(0x11000).split_off(0x10000);
    let entry = start(&memory, elf(0x10000, 0x10000, &image, 0x1000), None, "wait").unwrap();
    assert_eq!(entry, entry_at(0x10000));
    assert_eq!(bytes(&memory, 0x10480, 5), b"wait\0");
}

#[test]
fn other_raw_images_start_at_their_psw() {
    let memory = memory();
    let image = vec![0, 8, 0, 0, 0x80, 0, 0x20, 0];
    assert_eq!(
        start(&memory, image.clone(), None, "").unwrap(),
        entry_at(0x2000)
    );
    let with_line = start(&memory, image.clone(), None, "x");
    assert!(matches!(with_line, Err(BootError::NotLinux(_))));
    let with_disk = start(&memory, image, Some(vec![1]), "");
    assert!(matches!(with_disk, Err(BootError::NotLinux(_))));
}

#[test]
fn images_that_do_not_fit() {
    let memory = memory();
    for result in [
        start(&memory, bzimage(RAM as usize + 1), None, ""),
        start(&memory, bzimage(0x20000), Some(vec![0; RAM as usize]), ""),
        start(&memory, elf(0, RAM - 4, b"code", 8), None, ""),
        start(&memory, elf(0, u64::MAX, b"code", 8), None, ""),
    ] {
        assert!(
            matches!(result, Err(BootError::TooBig { .. })),
            "{result:?}"
        );
    }
}

#[test]
fn damaged_elf_images() {
    let memory = memory();
    let good = elf(0x20000, 0x20000, b"code", 4);
    let damage = |at: usize, value: u8| {
        let mut image = good.clone();
        image[at] = value;
        image
    };
    for (image, why) in [
        (good[..63].to_vec(), "short header"),
        (good[..119].to_vec(), "short program headers"),
        (good[..good.len() - 1].to_vec(), "short segment"),
        (damage(4, 1), "32-bit"),
        (damage(5, 1), "little-endian"),
        (damage(19, 62), "another machine"),
        (damage(17, 3), "position-independent"),
        (damage(55, 57), "entry size"),
        (damage(32, 0xff), "table far away"),
        (damage(72, 0xff), "segment far away"),
        (damage(67, 2), "nothing to load"),
        (damage(111, 3), "more file than memory"),
    ] {
        let result = start(&memory, image, None, "");
        assert!(
            matches!(result, Err(BootError::Elf(_))),
            "{why}: {result:?}"
        );
    }
}

#[test]
fn bad_entries_and_tiny_files() {
    let memory = memory();
    for entry in [0x20001, RAM, u64::MAX] {
        let result = start(&memory, elf(entry, 0x20000, b"code", 4), None, "");
        assert!(matches!(result, Err(BootError::Entry(_))), "{result:?}");
    }
    for len in [0, 3, 7] {
        let result = start(&memory, vec![0; len], None, "");
        assert!(matches!(result, Err(BootError::TooShort)), "{result:?}");
    }
}

proptest::proptest! {
    #[test]
    fn any_elf_is_survived(tail in proptest::collection::vec(proptest::num::u8::ANY, 0..300)) {
        let mut image = elf(0x20000, 0x20000, b"code", 4);
        image.truncate(20);
        image.extend(tail);
        let _ = start(&memory(), image, None, "");
    }
}
