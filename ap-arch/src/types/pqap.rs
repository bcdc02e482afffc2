// SPDX-License-Identifier: MIT OR Apache-2.0
//! PROCESS ADJUNCT PROCESSOR QUEUE: function codes and register forms.
//!
//! ```text
//!  GR0   32-39 function   40 T   41 F, IF   42-47 zero   48-55 APID   56-63 APQI
//! ```
//!
//! Source: Linux `arch/s390/include/asm/ap.h`; which bits must be zero:
//! `handle_pqap` in `arch/s390/kvm/priv.c`.

use super::{Apqn, bits};

/// What PQAP is asked to do.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub enum FunctionCode {
    /// Test AP queue.
    Tapq = 0,
    /// Reset AP queue.
    Rapq = 1,
    /// Zeroize AP queue: a reset that also forgets the domain's secrets.
    Zapq = 2,
    /// AP queue interruption control.
    Aqic = 3,
    /// Query configuration information.
    Qci = 4,
    /// Query AP compatibility type.
    Qact = 5,
    /// Query bound queues, for secure-execution guests.
    Qbap = 6,
    /// Bind AP queue, for secure-execution guests.
    Bapq = 7,
    /// Associate AP queue, for secure-execution guests.
    Aapq = 8,
}

impl FunctionCode {
    /// The function of a code, `None` if it has none.
    pub const fn from_code(code: u8) -> Option<Self> {
        Some(match code {
            0 => Self::Tapq,
            1 => Self::Rapq,
            2 => Self::Zapq,
            3 => Self::Aqic,
            4 => Self::Qci,
            5 => Self::Qact,
            6 => Self::Qbap,
            7 => Self::Bapq,
            8 => Self::Aapq,
            _ => return None,
        })
    }

    /// The code.
    pub const fn code(self) -> u8 {
        self as u8
    }
}

/// GR0 of PQAP.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug, Default)]
pub struct PqapGr0(pub u64);

impl PqapGr0 {
    /// A plain call of `function` for `apqn` (which QCI and QBAP ignore).
    pub const fn new(function: FunctionCode, apqn: Apqn) -> Self {
        let gr0 = bits::set(0, 32, 39, function.code() as u64);
        Self(bits::set(gr0, 48, 63, apqn.to_qid() as u64))
    }

    /// With T on: TAPQ tells functions in GR2.
    #[must_use]
    pub const fn with_t(self) -> Self {
        Self(self.0 | bits::bit(40))
    }

    /// With bit 41 on: RAPQ and ZAPQ unbind, QACT takes information from GR1.
    #[must_use]
    pub const fn with_f(self) -> Self {
        Self(self.0 | bits::bit(41))
    }

    /// The function code field.
    pub const fn code(self) -> u8 {
        bits::get(self.0, 32, 39) as u8
    }

    /// The function, `None` if the code has none.
    pub const fn function(self) -> Option<FunctionCode> {
        FunctionCode::from_code(self.code())
    }

    /// T.
    pub const fn t(self) -> bool {
        self.0 & bits::bit(40) != 0
    }

    /// F (RAPQ, ZAPQ) or IF (QACT).
    pub const fn f(self) -> bool {
        self.0 & bits::bit(41) != 0
    }

    /// Whether a bit of 42-47 is on, which no function allows.
    pub const fn has_reserved_bits(self) -> bool {
        self.0 & bits::mask(42, 47) != 0
    }

    /// The queue.
    pub const fn apqn(self) -> Apqn {
        Apqn::from_qid(bits::get(self.0, 48, 63) as u16)
    }
}

/// GR1 of AQIC: how to tell the program that a reply is there.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug, Default)]
pub struct AqicControl(pub u64);

impl AqicControl {
    /// Enable on the given interruption subclass, without a guest area.
    pub const fn enable(isc: u8) -> Self {
        Self(bits::set(bits::bit(16), 61, 63, isc as u64))
    }

    /// Disable.
    pub const fn disable() -> Self {
        Self(0)
    }

    /// Zone.
    pub const fn zone(self) -> u8 {
        bits::get(self.0, 8, 15) as u8
    }

    /// IR: enable, or else disable.
    pub const fn ir(self) -> bool {
        self.0 & bits::bit(16) != 0
    }

    /// GISC: the guest's interruption subclass.
    pub const fn gisc(self) -> u8 {
        bits::get(self.0, 21, 23) as u8
    }

    /// With GISC replaced by the low three bits of `gisc`.
    #[must_use]
    pub const fn with_gisc(self, gisc: u8) -> Self {
        Self(bits::set(self.0, 21, 23, gisc as u64))
    }

    /// Format of the guest interruption state area (GISA).
    pub const fn gisa_format(self) -> u8 {
        bits::get(self.0, 30, 31) as u8
    }

    /// Address of the GISA, zero if there is none.
    pub const fn gisa_origin(self) -> u32 {
        (self.0 & bits::mask(33, 59)) as u32
    }

    /// With the GISA at `origin`, of which only the bits that the field has
    /// are kept, in format `format`.
    #[must_use]
    pub const fn with_gisa(self, origin: u32, format: u8) -> Self {
        let field = bits::mask(33, 59);
        let gr1 = bits::set(self.0, 30, 31, format as u64);
        Self(gr1 & !field | origin as u64 & field)
    }

    /// ISC: the (host's) interruption subclass.
    pub const fn isc(self) -> u8 {
        bits::get(self.0, 61, 63) as u8
    }
}

/// GR1 before and GR2 after QACT.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug, Default)]
pub struct QactInfo(pub u64);

impl QactInfo {
    /// A question about, or an answer of, a mode and a device type.
    pub const fn new(mode: u8, device_type: u8) -> Self {
        let info = bits::set(0, 3, 5, mode as u64);
        Self(bits::set(info, 32, 39, device_type as u64))
    }

    /// The mode bits D, A, X, as in the function bits of TAPQ.
    pub const fn mode(self) -> u8 {
        bits::get(self.0, 3, 5) as u8
    }

    /// The AP device type.
    pub const fn device_type(self) -> u8 {
        bits::get(self.0, 32, 39) as u8
    }
}
