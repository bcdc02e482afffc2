// SPDX-License-Identifier: MIT OR Apache-2.0
//! What tells one adapter from another: serial numbers, secrets, random
//! numbers. All of it follows from the seed, so that runs repeat.

use ap_arch::{Apid, Apqi};
use chacha20::ChaCha20Rng;
use chacha20::rand_core::{Rng, SeedableRng};

/// Which adapter it is.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Identity {
    /// The seed of the machine.
    pub seed: u64,
    /// Its number.
    pub apid: Apid,
    /// How many adapters were plugged before. An adapter that is plugged again
    /// does not repeat its random numbers, which another owner had.
    pub plug: u64,
}

impl Identity {
    /// A serial number of `digits` digits.
    ///
    /// A card keeps it when it is plugged again; the first two digits are its
    /// APID, in hexadecimal, so that no two cards share one.
    pub(super) fn serial(&self, digits: usize) -> String {
        let random = self.generator("serial", 0).next_u64();
        let rest = digits.saturating_sub(2);
        let random = format!("{random:016X}");
        format!("{:02X}{}", self.apid.get(), &random[..rest.min(16)])
    }

    /// The verification pattern of a master key of domain `apqi`.
    pub(super) fn pattern<const N: usize>(&self, key: &str, apqi: Apqi) -> [u8; N] {
        let mut pattern = [0; N];
        self.generator(key, apqi.get()).fill_bytes(&mut pattern);
        pattern
    }

    /// The random numbers of this adapter.
    pub(super) fn random(&self) -> ChaCha20Rng {
        let mut generator = self.generator("random", 0);
        generator.set_stream(self.plug);
        generator
    }

    /// A generator for one purpose. Its seed: that of the machine, APID, APQI,
    /// and the name of the purpose.
    fn generator(&self, purpose: &str, apqi: u8) -> ChaCha20Rng {
        let mut seed = [0; 32];
        let (numbers, name) = seed.split_at_mut(10);
        numbers[..8].copy_from_slice(&self.seed.to_be_bytes());
        numbers[8..].copy_from_slice(&[self.apid.get(), apqi]);
        for (to, from) in name.iter_mut().zip(purpose.bytes()) {
            *to = from;
        }
        ChaCha20Rng::from_seed(seed)
    }
}
