// SPDX-License-Identifier: MIT OR Apache-2.0
//! The 256-bit masks, and the one place that knows their bit order.
//!
//! ```text
//!            word 0              word 1   word 2   word 3
//!   bit      0 1 2 .... 62 63    64 ..            .. 255
//!            ^ most significant bit of the first byte
//! ```
//!
//! Bit n stands for adapter or domain n and counts from the left. In storage
//! that is byte n/8, bit 0x80 >> n%8; in the machine words of a (big-endian)
//! Linux bitmap it is what `test_bit_inv` tests. Both views are conversions
//! here, so no other file shifts a mask bit.
//!
//! Source: Linux `ap_config_info` and `ap_test_bit`, `vfio_ap_ops.c`.

use core::fmt;
use core::marker::PhantomData;

use super::{Apid, Apqi};

/// What the bits of a mask stand for; keeps the three masks distinct types.
pub trait MaskSpace: Copy {
    /// The name of one bit.
    type Id: From<u8> + Into<u8> + Copy + fmt::Display;
}

/// Bits are adapters.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub struct AdapterSpace;

/// Bits are usage domains.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub struct UsageSpace;

/// Bits are control domains.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub struct ControlSpace;

impl MaskSpace for AdapterSpace {
    type Id = Apid;
}

impl MaskSpace for UsageSpace {
    type Id = Apqi;
}

impl MaskSpace for ControlSpace {
    type Id = Apqi;
}

/// AP adapter mask.
pub type Apm = Mask<AdapterSpace>;

/// AP usage queue (domain) mask.
pub type Aqm = Mask<UsageSpace>;

/// AP control domain mask.
pub type Adm = Mask<ControlSpace>;

/// A set of adapters or domains, 256 bits, bit 0 leftmost.
#[derive(Clone, Copy, PartialEq, Eq, Hash)]
pub struct Mask<S: MaskSpace> {
    words: [u64; 4],
    space: PhantomData<S>,
}

impl<S: MaskSpace> Mask<S> {
    /// No bit on.
    pub const EMPTY: Self = Self::from_words([0; 4]);

    /// All 256 bits on.
    pub const FULL: Self = Self::from_words([u64::MAX; 4]);

    /// From the words of a big-endian machine's bitmap; bit 0 of the mask is
    /// the most significant bit of the first word.
    pub const fn from_words(words: [u64; 4]) -> Self {
        let space = PhantomData;
        Self { words, space }
    }

    /// The words of a big-endian machine's bitmap.
    pub const fn to_words(self) -> [u64; 4] {
        self.words
    }

    /// From storage, as in QCI and APCB1.
    pub const fn from_bytes(bytes: [u8; 32]) -> Self {
        let mut words = [0; 4];
        let mut i = 0;
        while i < 32 {
            words[i / 8] = words[i / 8] << 8 | bytes[i] as u64;
            i += 1;
        }
        Self::from_words(words)
    }

    /// To storage, as in QCI and APCB1.
    pub fn to_bytes(self) -> [u8; 32] {
        let mut bytes = [0; 32];
        for (chunk, word) in bytes.chunks_exact_mut(8).zip(self.words) {
            chunk.copy_from_slice(&word.to_be_bytes());
        }
        bytes
    }

    /// From the 64-bit form of APCB0's adapter mask: the first 64 bits.
    pub const fn from_first_64(bits: u64) -> Self {
        Self::from_words([bits, 0, 0, 0])
    }

    /// The first 64 bits.
    pub const fn first_64(self) -> u64 {
        self.words[0]
    }

    /// From the 16-bit form of APCB0's domain masks: the first 16 bits.
    pub const fn from_first_16(bits: u16) -> Self {
        Self::from_first_64((bits as u64) << 48)
    }

    /// The first 16 bits.
    pub const fn first_16(self) -> u16 {
        (self.words[0] >> 48) as u16
    }

    /// A mask with just `id` on.
    pub fn of(id: S::Id) -> Self {
        Self::EMPTY.with(id)
    }

    /// Whether the bit of `id` is on.
    pub fn test(self, id: S::Id) -> bool {
        let (word, bit) = Self::position(id);
        self.words[word] & bit != 0
    }

    /// Turns the bit of `id` on.
    pub fn set(&mut self, id: S::Id) {
        let (word, bit) = Self::position(id);
        self.words[word] |= bit;
    }

    /// Turns the bit of `id` off.
    pub fn clear(&mut self, id: S::Id) {
        let (word, bit) = Self::position(id);
        self.words[word] &= !bit;
    }

    /// This mask with the bit of `id` on.
    #[must_use]
    pub fn with(mut self, id: S::Id) -> Self {
        self.set(id);
        self
    }

    /// This mask with the bit of `id` off.
    #[must_use]
    pub fn without(mut self, id: S::Id) -> Self {
        self.clear(id);
        self
    }

    /// Bits on in both masks.
    #[must_use]
    pub fn and(self, other: Self) -> Self {
        self.zip(other, |a, b| a & b)
    }

    /// Bits on in either mask.
    #[must_use]
    pub fn or(self, other: Self) -> Self {
        self.zip(other, |a, b| a | b)
    }

    /// Bits on here and off in `other`.
    #[must_use]
    pub fn and_not(self, other: Self) -> Self {
        self.zip(other, |a, b| a & !b)
    }

    /// Bits that differ.
    #[must_use]
    pub fn xor(self, other: Self) -> Self {
        self.zip(other, |a, b| a ^ b)
    }

    /// Whether no bit is on.
    pub fn is_empty(self) -> bool {
        self.words == [0; 4]
    }

    /// Whether every bit on here is on in `other`.
    pub fn is_subset(self, other: Self) -> bool {
        self.and_not(other).is_empty()
    }

    /// Whether some bit is on in both.
    pub fn intersects(self, other: Self) -> bool {
        !self.and(other).is_empty()
    }

    /// How many bits are on.
    pub fn count(self) -> u32 {
        self.words.iter().map(|w| w.count_ones()).sum()
    }

    /// The leftmost (lowest numbered) bit that is on.
    pub fn first(self) -> Option<S::Id> {
        self.iter().next()
    }

    /// The highest numbered bit that is on.
    pub fn last(self) -> Option<S::Id> {
        let index = self.words.iter().rposition(|&w| w != 0)?;
        Some(Self::id(index, 63 - self.words[index].trailing_zeros()))
    }

    /// The IDs whose bits are on, ascending.
    pub fn iter(self) -> impl Iterator<Item = S::Id> + Clone {
        let mut rest = self.words;
        core::iter::from_fn(move || {
            let index = rest.iter().position(|&w| w != 0)?;
            let bit = rest[index].leading_zeros();
            rest[index] &= !(1 << (63 - bit));
            Some(Self::id(index, bit))
        })
    }

    fn zip(self, other: Self, op: impl Fn(u64, u64) -> u64) -> Self {
        let mut words = self.words;
        for (word, o) in words.iter_mut().zip(other.words) {
            *word = op(*word, o);
        }
        Self::from_words(words)
    }

    /// Word index and bit of `id`: the leftmost-bit rule.
    fn position(id: S::Id) -> (usize, u64) {
        let n: u8 = id.into();
        (usize::from(n / 64), 1 << (63 - n % 64))
    }

    /// The inverse of [`Self::position`], the bit given by its number.
    fn id(word: usize, bit: u32) -> S::Id {
        // word < 4 and bit < 64, so the sum is below 256
        S::Id::from((word * 64) as u8 + bit as u8)
    }
}

impl<S: MaskSpace> Default for Mask<S> {
    fn default() -> Self {
        Self::EMPTY
    }
}

impl<S: MaskSpace> FromIterator<S::Id> for Mask<S> {
    fn from_iter<I: IntoIterator<Item = S::Id>>(ids: I) -> Self {
        ids.into_iter().fold(Self::EMPTY, Self::with)
    }
}

/// As the kernel prints masks: `0x` and 64 hex digits.
impl<S: MaskSpace> fmt::Display for Mask<S> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let [a, b, c, d] = self.words;
        write!(f, "0x{a:016x}{b:016x}{c:016x}{d:016x}")
    }
}

/// The IDs that are on, as a set.
impl<S: MaskSpace> fmt::Debug for Mask<S> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_set()
            .entries(self.iter().map(DisplayAsDebug))
            .finish()
    }
}

struct DisplayAsDebug<T>(T);

impl<T: fmt::Display> fmt::Debug for DisplayAsDebug<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}
