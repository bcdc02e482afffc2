// SPDX-License-Identifier: MIT OR Apache-2.0
//! Fields of a 64-bit register, numbered from the left as the architecture does.

/// The value of bits `first..=last` of `word`, right-aligned.
pub(super) const fn get(word: u64, first: u32, last: u32) -> u64 {
    (word >> (63 - last)) & low_ones(last - first + 1)
}

/// `word` with bits `first..=last` replaced by the low bits of `value`.
pub(super) const fn set(word: u64, first: u32, last: u32, value: u64) -> u64 {
    let field = mask(first, last);
    (word & !field) | ((value << (63 - last)) & field)
}

/// A word whose bits `first..=last` are ones.
pub(super) const fn mask(first: u32, last: u32) -> u64 {
    low_ones(last - first + 1) << (63 - last)
}

/// A word with only bit `n` on.
pub(super) const fn bit(n: u32) -> u64 {
    1 << (63 - n)
}

const fn low_ones(count: u32) -> u64 {
    u64::MAX >> (64 - count)
}

const _: () = assert!(bit(40) == 0x0080_0000 && mask(41, 47) == 0x007f_0000);
const _: () = assert!(get(0x1234_5678_9abc_def0, 48, 55) == 0xde);
const _: () = assert!(set(u64::MAX, 0, 63, 5) == 5);
