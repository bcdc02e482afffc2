// SPDX-License-Identifier: MIT OR Apache-2.0
//! ENQUEUE TO and DEQUEUE FROM ADJUNCT PROCESSOR QUEUE: register forms.
//!
//! ```text
//!  NQAP GR0   33 last part      41 special   48-55 APID   56-63 APQI
//!  DQAP GR0   32 first part of a reply       48-55 APID   56-63 APQI
//! ```
//!
//! Source: Linux `ap_nqap` and `ap_dqap` in `arch/s390/include/asm/ap.h`.

use super::{Apqn, bits};

/// Program-supplied message identifier: ties a reply to its request.
///
/// NQAP takes it from, and DQAP returns it in, the low words of the R1 pair.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug, Default)]
pub struct Psmid(pub u64);

impl Psmid {
    /// From a register pair, whose high words do not matter.
    pub const fn from_pair(even: u64, odd: u64) -> Self {
        Self(even << 32 | odd & 0xffff_ffff)
    }

    /// The register pair, high words zero.
    pub const fn to_pair(self) -> (u64, u64) {
        (self.0 >> 32, self.0 & 0xffff_ffff)
    }
}

/// GR0 of NQAP.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug, Default)]
pub struct NqapGr0(pub u64);

impl NqapGr0 {
    /// The last (or only) part of a message.
    pub const fn last_part(apqn: Apqn) -> Self {
        Self(bits::bit(33) | apqn.to_qid() as u64)
    }

    /// A part that more will follow.
    pub const fn leading_part(apqn: Apqn) -> Self {
        Self(apqn.to_qid() as u64)
    }

    /// With the special bit on.
    #[must_use]
    pub const fn with_special(self) -> Self {
        Self(self.0 | bits::bit(41))
    }

    /// Whether this part is the last.
    pub const fn is_last(self) -> bool {
        self.0 & bits::bit(33) != 0
    }

    /// Whether this is a special command.
    pub const fn is_special(self) -> bool {
        self.0 & bits::bit(41) != 0
    }

    /// Whether a bit is on that must be zero: 32, 34, 35, 40.
    pub const fn has_reserved_bits(self) -> bool {
        self.0 & (bits::bit(32) | bits::mask(34, 35) | bits::bit(40)) != 0
    }

    /// The queue.
    pub const fn apqn(self) -> Apqn {
        Apqn::from_qid(bits::get(self.0, 48, 63) as u16)
    }
}

/// GR0 of DQAP.
///
/// After a part of a reply the instruction leaves a value here with which the
/// program asks for the next part.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug, Default)]
pub struct DqapGr0(pub u64);

impl DqapGr0 {
    /// Asks for a reply from its beginning.
    pub const fn first_part(apqn: Apqn) -> Self {
        Self(bits::bit(32) | apqn.to_qid() as u64)
    }

    /// What the instruction leaves when more of the reply remains: bit 32 off,
    /// and bit 36 on, since Linux takes a zero for "not continuing", which
    /// APQN 00.0000 would be without a mark.
    #[must_use]
    pub const fn continued(self) -> Self {
        Self(self.0 & !bits::bit(32) | bits::bit(36))
    }

    /// Whether a reply is asked for from its beginning.
    pub const fn is_first(self) -> bool {
        self.0 & bits::bit(32) != 0
    }

    /// Whether a bit is on that must be zero: 33-35, 40, 41.
    pub const fn has_reserved_bits(self) -> bool {
        self.0 & (bits::mask(33, 35) | bits::mask(40, 41)) != 0
    }

    /// The queue.
    pub const fn apqn(self) -> Apqn {
        Apqn::from_qid(bits::get(self.0, 48, 63) as u16)
    }
}
