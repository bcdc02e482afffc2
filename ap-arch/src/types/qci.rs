// SPDX-License-Identifier: MIT OR Apache-2.0
//! The configuration block that PQAP(QCI) stores.
//!
//! ```text
//!  +00 flags, 4 bytes   +04 NA   +05 ND   +06 zero
//!  +10 APM 32 bytes     +30 AQM 32 bytes  +50 ADM 32 bytes  +70 zero, to +80
//! ```
//!
//! Source: Linux `ap_config_info` in `arch/s390/include/asm/ap.h`.

use super::{Adm, Apm, Aqm, Matrix};

/// Length of the block.
pub const QCI_LEN: usize = 128;

const NA: usize = 4;
const ND: usize = 5;
const APM: usize = 16;
const AQM: usize = 48;
const ADM: usize = 80;
const _: () = assert!(ADM + 32 + 16 == QCI_LEN);

/// Facility flags, the first word of the block.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug, Default)]
pub struct QciFlags(pub u32);

impl QciFlags {
    /// S: AP special-command facility (APSC).
    pub const APSC: Self = Self(0x8000_0000);
    /// N: AP extended addressing (APXA), 256 adapters by 256 domains.
    pub const APXA: Self = Self(0x4000_0000);
    /// C: PQAP(QACT) is there.
    pub const QACT: Self = Self(0x2000_0000);
    /// R: a domain that is not allowed is told by reply code 8A.
    pub const RC8A: Self = Self(0x1000_0000);
    /// B: secure binding (APSB), for secure-execution guests.
    pub const APSB: Self = Self(0x0080_0000);

    /// Whether all flags of `other` are on.
    pub const fn contains(self, other: Self) -> bool {
        self.0 & other.0 == other.0
    }

    /// The flags of both.
    #[must_use]
    pub const fn with(self, other: Self) -> Self {
        Self(self.0 | other.0)
    }
}

/// The configuration block.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug, Default)]
pub struct Qci {
    /// Facility flags. Linux ignores the whole block if all are zero.
    pub flags: QciFlags,
    /// Highest APID of the machine.
    pub na: u8,
    /// Highest APQI of the machine.
    pub nd: u8,
    /// The masks.
    pub matrix: Matrix,
}

impl Qci {
    /// The block in storage.
    pub fn to_bytes(self) -> [u8; QCI_LEN] {
        let mut block = [0; QCI_LEN];
        block[..4].copy_from_slice(&self.flags.0.to_be_bytes());
        block[NA] = self.na;
        block[ND] = self.nd;
        block[APM..APM + 32].copy_from_slice(&self.matrix.apm.to_bytes());
        block[AQM..AQM + 32].copy_from_slice(&self.matrix.aqm.to_bytes());
        block[ADM..ADM + 32].copy_from_slice(&self.matrix.adm.to_bytes());
        block
    }

    /// From storage. Reserved bytes are ignored.
    pub fn from_bytes(block: &[u8; QCI_LEN]) -> Self {
        Self {
            flags: QciFlags(u32::from_be_bytes(array(block, 0))),
            na: block[NA],
            nd: block[ND],
            matrix: Matrix {
                apm: Apm::from_bytes(array(block, APM)),
                aqm: Aqm::from_bytes(array(block, AQM)),
                adm: Adm::from_bytes(array(block, ADM)),
            },
        }
    }
}

fn array<const N: usize>(block: &[u8; QCI_LEN], at: usize) -> [u8; N] {
    core::array::from_fn(|i| block[at + i])
}
