// SPDX-License-Identifier: MIT OR Apache-2.0
//! What PQAP(TAPQ) with the T bit tells about a queue in GR2.
//!
//! ```text
//!  bits  0-7  functions   8-9  full/restricted   16-17 bind state
//!       32-39 type       40-47 ND     52-55 ML      60-63 depth - 1
//! ```
//!
//! Source: Linux `ap_tapq_hwinfo` in `asm/ap.h`, device types in `ap_bus.h`.

use super::bits;

/// Function bits 0-31 of the word.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug, Default)]
pub struct ApFunctions(pub u32);

impl ApFunctions {
    /// S: special commands.
    pub const APSC: Self = Self(0x8000_0000);
    /// M: modular exponentiation with up to 4096 bits.
    pub const MEX_4K: Self = Self(0x4000_0000);
    /// C: CRT with up to 4096 bits.
    pub const CRT_4K: Self = Self(0x2000_0000);
    /// D: CCA coprocessor.
    pub const CCA: Self = Self(0x1000_0000);
    /// A: accelerator.
    pub const ACCELERATOR: Self = Self(0x0800_0000);
    /// X: EP11 coprocessor.
    pub const EP11: Self = Self(0x0400_0000);
    /// N: extended addressing.
    pub const APXA: Self = Self(0x0200_0000);
    /// H: command filtering is available.
    pub const FILTERING: Self = Self(0x0100_0000);
    /// F: full function.
    pub const FULL_FUNCTION: Self = Self(0x0080_0000);
    /// R: restricted function.
    pub const RESTRICTED: Self = Self(0x0040_0000);

    /// The functions of both.
    #[must_use]
    pub const fn with(self, other: Self) -> Self {
        Self(self.0 | other.0)
    }

    /// Whether all functions of `other` are there.
    pub const fn contains(self, other: Self) -> bool {
        self.0 & other.0 == other.0
    }
}

/// Secure-execution bind and association state of a queue.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub enum BindState {
    /// Usable. Always so outside secure execution.
    Usable,
    /// Usable, but not with secure keys.
    UsableNoSecureKey,
    /// Can be bound.
    AvailableForBinding,
    /// Unusable.
    Unusable,
}

/// Hardware generation of an adapter.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub enum Generation {
    /// Crypto Express 4S.
    Cex4,
    /// Crypto Express 5S.
    Cex5,
    /// Crypto Express 6S.
    Cex6,
    /// Crypto Express 7S.
    Cex7,
    /// Crypto Express 8S.
    Cex8,
}

impl Generation {
    /// All of them, oldest first.
    pub const ALL: [Self; 5] = [Self::Cex4, Self::Cex5, Self::Cex6, Self::Cex7, Self::Cex8];

    /// The AP device type, 10 for CEX4 to 14 for CEX8.
    pub const fn device_type(self) -> u8 {
        self.number() + 6
    }

    /// The number in the name, 4..=8.
    pub const fn number(self) -> u8 {
        match self {
            Self::Cex4 => 4,
            Self::Cex5 => 5,
            Self::Cex6 => 6,
            Self::Cex7 => 7,
            Self::Cex8 => 8,
        }
    }

    /// The generation of that name, `None` if there is none.
    pub const fn from_number(number: u8) -> Option<Self> {
        Some(match number {
            4 => Self::Cex4,
            5 => Self::Cex5,
            6 => Self::Cex6,
            7 => Self::Cex7,
            8 => Self::Cex8,
            _ => return None,
        })
    }

    /// The generation of an AP device type.
    pub const fn from_device_type(device_type: u8) -> Option<Self> {
        match device_type.checked_sub(6) {
            Some(number) => Self::from_number(number),
            None => None,
        }
    }
}

/// GR2 after TAPQ.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug, Default)]
pub struct TapqInfo(pub u64);

impl TapqInfo {
    /// The function bits.
    pub const fn functions(self) -> ApFunctions {
        ApFunctions(bits::get(self.0, 0, 31) as u32)
    }

    /// With all of bits 0-31 replaced.
    #[must_use]
    pub const fn with_functions(self, functions: ApFunctions) -> Self {
        Self(bits::set(self.0, 0, 31, functions.0 as u64))
    }

    /// BS: the bind state.
    pub const fn bind_state(self) -> BindState {
        match bits::get(self.0, 16, 17) {
            0 => BindState::Usable,
            1 => BindState::UsableNoSecureKey,
            2 => BindState::AvailableForBinding,
            _ => BindState::Unusable,
        }
    }

    /// The AP device type.
    pub const fn device_type(self) -> u8 {
        bits::get(self.0, 32, 39) as u8
    }

    /// With the device type replaced.
    #[must_use]
    pub const fn with_device_type(self, device_type: u8) -> Self {
        Self(bits::set(self.0, 32, 39, device_type as u64))
    }

    /// ND: highest domain of the adapter.
    pub const fn nd(self) -> u8 {
        bits::get(self.0, 40, 47) as u8
    }

    /// With ND replaced.
    #[must_use]
    pub const fn with_nd(self, nd: u8) -> Self {
        Self(bits::set(self.0, 40, 47, nd as u64))
    }

    /// ML: longest message in units of 4096 bytes; 0 stands for 12 KiB.
    pub const fn ml(self) -> u8 {
        bits::get(self.0, 52, 55) as u8
    }

    /// With ML replaced by the low four bits of `ml`.
    #[must_use]
    pub const fn with_ml(self, ml: u8) -> Self {
        Self(bits::set(self.0, 52, 55, ml as u64))
    }

    /// Longest message in bytes.
    pub const fn max_message_len(self) -> u32 {
        match self.ml() {
            0 => 12 * 1024,
            ml => ml as u32 * 4096,
        }
    }

    /// How many requests the queue takes, 1..=16.
    pub const fn depth(self) -> u8 {
        bits::get(self.0, 60, 63) as u8 + 1
    }

    /// With the depth replaced; `depth` is 1..=16, other values wrap.
    #[must_use]
    pub const fn with_depth(self, depth: u8) -> Self {
        Self(bits::set(self.0, 60, 63, depth.wrapping_sub(1) as u64))
    }
}
