// SPDX-License-Identifier: MIT OR Apache-2.0
//! Pseudo-random numbers: SplitMix64, so that a seed is all there is to keep.

/// The generator.
pub struct Rng(u64);

impl Rng {
    /// Starts from a seed.
    pub fn new(seed: u64) -> Self {
        Self(seed)
    }

    /// 64 bits.
    pub fn bits(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        z ^ (z >> 31)
    }

    /// Less than `limit`, which is not zero.
    pub fn below(&mut self, limit: u64) -> u64 {
        self.bits() % limit
    }

    /// True once in `n` times.
    pub fn one_in(&mut self, n: u64) -> bool {
        self.below(n) == 0
    }

    /// One of several.
    pub fn pick<T: Copy>(&mut self, from: &[T]) -> T {
        from[self.below(from.len() as u64) as usize]
    }

    /// A halfword.
    pub fn halfword(&mut self) -> u16 {
        self.bits() as u16
    }

    /// Few bits set.
    pub fn sparse(&mut self) -> u64 {
        self.bits() & self.bits() & self.bits()
    }

    /// An address: where the guest has something, at an edge, or anywhere.
    pub fn address(&mut self) -> u64 {
        const EDGES: [u64; 10] = [
            0,
            0x1000,
            0x2000,
            0x1_0000,
            0x2_0000,
            0x3_0000,
            0x10_0000,
            0x7fff_f000,
            0x8000_0000,
            0,
        ];
        match self.below(8) {
            0 => self.bits(),
            1 => self.pick(&EDGES).wrapping_sub(self.below(16)),
            2 => self.below(0x10_0000),
            3 => 1 << self.below(64),
            _ => self.pick(&EDGES[..6]) + self.below(0x1000),
        }
    }
}
