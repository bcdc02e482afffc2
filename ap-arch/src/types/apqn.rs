// SPDX-License-Identifier: MIT OR Apache-2.0
//! Names of AP resources: adapters, domains, queues.

use core::fmt;
use core::str::FromStr;

/// AP adapter ID: names one crypto adapter (card), 0..=255.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug, Default)]
pub struct Apid(u8);

/// AP queue index: names one domain, 0..=255.
///
/// Usage domains and control domains share these numbers; which of the two is
/// meant is told by the mask ([`Aqm`](super::Aqm) or [`Adm`](super::Adm)).
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug, Default)]
pub struct Apqi(u8);

/// AP queue number: one adapter and one domain.
///
/// Printed and parsed as the kernel names queues, `04.0047`: two hex digits of
/// APID, four of APQI. Ordered by adapter, then domain.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default)]
pub struct Apqn {
    /// The adapter.
    pub apid: Apid,
    /// The domain.
    pub apqi: Apqi,
}

impl Apid {
    /// The adapter numbered `id`.
    pub const fn new(id: u8) -> Self {
        Self(id)
    }

    /// The number of this adapter.
    pub const fn get(self) -> u8 {
        self.0
    }

    /// Whether the ID can be used without the AP extended addressing facility
    /// (APXA), where it has six bits.
    pub const fn fits_without_apxa(self) -> bool {
        self.0 < 64
    }
}

impl Apqi {
    /// The domain numbered `index`.
    pub const fn new(index: u8) -> Self {
        Self(index)
    }

    /// The number of this domain.
    pub const fn get(self) -> u8 {
        self.0
    }

    /// Whether the index can be used without the AP extended addressing
    /// facility (APXA), where it has four bits.
    pub const fn fits_without_apxa(self) -> bool {
        self.0 < 16
    }
}

impl From<u8> for Apid {
    fn from(id: u8) -> Self {
        Self(id)
    }
}

impl From<Apid> for u8 {
    fn from(apid: Apid) -> Self {
        apid.0
    }
}

impl From<u8> for Apqi {
    fn from(index: u8) -> Self {
        Self(index)
    }
}

impl From<Apqi> for u8 {
    fn from(apqi: Apqi) -> Self {
        apqi.0
    }
}

impl fmt::Display for Apid {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:02x}", self.0)
    }
}

impl fmt::Display for Apqi {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:04x}", self.0)
    }
}

impl Apqn {
    /// The queue of `apid` in domain `apqi`.
    pub const fn new(apid: Apid, apqi: Apqi) -> Self {
        Self { apid, apqi }
    }

    /// From the 16-bit form of registers: APID in the left byte.
    pub const fn from_qid(qid: u16) -> Self {
        let [apid, apqi] = qid.to_be_bytes();
        Self::new(Apid(apid), Apqi(apqi))
    }

    /// The 16-bit form of registers: APID in the left byte.
    pub const fn to_qid(self) -> u16 {
        u16::from_be_bytes([self.apid.0, self.apqi.0])
    }
}

impl fmt::Display for Apqn {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}.{}", self.apid, self.apqi)
    }
}

impl fmt::Debug for Apqn {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Apqn({self})")
    }
}

/// The text was not of the form `aa.qqqq` with hexadecimal digits and a domain
/// of at most `00ff`.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct ParseApqnError;

impl fmt::Display for ParseApqnError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("not an APQN: expected hexadecimal \"aa.qqqq\", such as \"04.0047\"")
    }
}

impl core::error::Error for ParseApqnError {}

impl FromStr for Apqn {
    type Err = ParseApqnError;

    fn from_str(text: &str) -> Result<Self, ParseApqnError> {
        let (apid, apqi) = text.split_once('.').ok_or(ParseApqnError)?;
        Ok(Self::new(Apid(hex(apid, 2)?), Apqi(hex(apqi, 4)?)))
    }
}

/// Exactly `digits` hexadecimal digits whose value fits a byte.
fn hex(text: &str, digits: usize) -> Result<u8, ParseApqnError> {
    // from_str_radix would also take a sign
    if text.len() != digits || !text.bytes().all(|b| b.is_ascii_hexdigit()) {
        return Err(ParseApqnError);
    }
    u8::from_str_radix(text, 16).map_err(|_| ParseApqnError)
}
