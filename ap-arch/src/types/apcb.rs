// SPDX-License-Identifier: MIT OR Apache-2.0
//! The crypto control block (CRYCB) and the AP control block (APCB) in it,
//! through which a host tells SIE what a guest's AP instructions may reach.
//!
//! ```text
//!  CRYCB +000  APCB0   +00 APM 64 bits   +08 AQM 16 bits   +10 ADM 16 bits
//!        +048  DEA wrapping key mask, 24 bytes
//!        +060  AES wrapping key mask, 32 bytes
//!        +080  APCB1   +00 APM 256 bits  +20 AQM 256 bits  +40 ADM 256 bits
//! ```
//!
//! Formats 0 and 1 use APCB0, format 2 uses APCB1.
//! Source: Linux `kvm_s390_crypto_cb`, `kvm_arch_crypto_set_masks`, `vsie.c`.

use super::{Adm, Apm, Aqm, Matrix};

/// Length of APCB0.
pub const APCB0_LEN: usize = 0x20;

/// Length of APCB1.
pub const APCB1_LEN: usize = 0x80;

const APCB0_AQM: usize = 0x08;
const APCB0_ADM: usize = 0x10;
const APCB1_AQM: usize = 0x20;
const APCB1_ADM: usize = 0x40;

/// CRYCB designation, the word at 0xfc of the SIE state description.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug, Default)]
pub struct Crycbd(pub u32);

impl Crycbd {
    /// A designation of the CRYCB at `origin`, of which only the bits that the
    /// field has are kept.
    pub const fn new(origin: u32, format: CrycbFormat) -> Self {
        Self(origin & 0x7fff_fff8 | format.code())
    }

    /// Address of the CRYCB.
    pub const fn origin(self) -> u32 {
        self.0 & 0x7fff_fff8
    }

    /// The format; `None` for the code without a meaning (binary 10).
    pub const fn format(self) -> Option<CrycbFormat> {
        match self.0 & 3 {
            0 => Some(CrycbFormat::Format0),
            1 => Some(CrycbFormat::Format1),
            3 => Some(CrycbFormat::Format2),
            _ => None,
        }
    }
}

/// Format of the CRYCB, which follows from the machine's facilities.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub enum CrycbFormat {
    /// Neither message-security-assist extension 3 (facility 76) nor APXA.
    Format0,
    /// Facility 76 without APXA: adds the wrapping key masks.
    Format1,
    /// Facility 76 and APXA: 256-bit masks.
    Format2,
}

impl CrycbFormat {
    /// The format that a host with these facilities gives its guests.
    pub const fn for_facilities(facility_76: bool, apxa: bool) -> Self {
        match (facility_76, apxa) {
            (false, _) => Self::Format0,
            (true, false) => Self::Format1,
            (true, true) => Self::Format2,
        }
    }

    /// The code in the designation: 0, 1, and 3 for format 2.
    pub const fn code(self) -> u32 {
        match self {
            Self::Format0 => 0,
            Self::Format1 => 1,
            Self::Format2 => 3,
        }
    }

    /// Offset of the APCB in the CRYCB.
    pub const fn apcb_offset(self) -> usize {
        match self {
            Self::Format0 | Self::Format1 => 0,
            Self::Format2 => 0x80,
        }
    }

    /// Length of the APCB.
    pub const fn apcb_len(self) -> usize {
        match self {
            Self::Format0 | Self::Format1 => APCB0_LEN,
            Self::Format2 => APCB1_LEN,
        }
    }

    /// The part of `matrix` that this format can express.
    #[must_use]
    pub fn expressible(self, matrix: Matrix) -> Matrix {
        match self {
            Self::Format0 | Self::Format1 => Matrix {
                apm: Apm::from_first_64(matrix.apm.first_64()),
                aqm: Aqm::from_first_16(matrix.aqm.first_16()),
                adm: Adm::from_first_16(matrix.adm.first_16()),
            },
            Self::Format2 => matrix,
        }
    }

    /// The matrix in `apcb`, which starts at the APCB; `None` if it is shorter
    /// than [`Self::apcb_len`].
    pub fn read(self, apcb: &[u8]) -> Option<Matrix> {
        let apcb = apcb.get(..self.apcb_len())?;
        Some(match self {
            Self::Format0 | Self::Format1 => Matrix {
                apm: Apm::from_first_64(u64::from_be_bytes(array(apcb, 0)?)),
                aqm: Aqm::from_first_16(u16::from_be_bytes(array(apcb, APCB0_AQM)?)),
                adm: Adm::from_first_16(u16::from_be_bytes(array(apcb, APCB0_ADM)?)),
            },
            Self::Format2 => Matrix {
                apm: Apm::from_bytes(array(apcb, 0)?),
                aqm: Aqm::from_bytes(array(apcb, APCB1_AQM)?),
                adm: Adm::from_bytes(array(apcb, APCB1_ADM)?),
            },
        })
    }

    /// Stores what this format can express of `matrix` into `apcb`, leaving
    /// all other bytes alone. `None`, and nothing stored, if it is too short.
    pub fn write(self, matrix: Matrix, apcb: &mut [u8]) -> Option<()> {
        let apcb = apcb.get_mut(..self.apcb_len())?;
        match self {
            Self::Format0 | Self::Format1 => {
                put(apcb, 0, &matrix.apm.first_64().to_be_bytes());
                put(apcb, APCB0_AQM, &matrix.aqm.first_16().to_be_bytes());
                put(apcb, APCB0_ADM, &matrix.adm.first_16().to_be_bytes());
            }
            Self::Format2 => {
                put(apcb, 0, &matrix.apm.to_bytes());
                put(apcb, APCB1_AQM, &matrix.aqm.to_bytes());
                put(apcb, APCB1_ADM, &matrix.adm.to_bytes());
            }
        }
        Some(())
    }
}

fn array<const N: usize>(bytes: &[u8], at: usize) -> Option<[u8; N]> {
    bytes.get(at..at + N)?.try_into().ok()
}

fn put(bytes: &mut [u8], at: usize, value: &[u8]) {
    bytes[at..at + value.len()].copy_from_slice(value);
}
