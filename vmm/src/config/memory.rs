// SPDX-License-Identifier: MIT OR Apache-2.0
//! What a user may ask for of guest storage: how much, and of what pages.

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};

use super::{ConfigError, switch};

/// Guest storage.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(try_from = "MemoryKeys", into = "MemoryKeys")]
pub struct MemoryConfig {
    /// Its size.
    pub size: ByteSize,
    /// What it is made of.
    pub pages: Pages,
}

/// What guest storage is made of.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Pages {
    /// The host's pages of 4 KiB.
    #[default]
    Small,
    /// Pages of 1 MiB wherever the host can make one.
    Transparent,
    /// Pages of 1 MiB from those that the host keeps for such use.
    Huge,
}

/// Guest storage as it is written.
#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct MemoryKeys {
    size: ByteSize,
    #[serde(default, skip_serializing_if = "is_off")]
    hugepages: bool,
    #[serde(default, skip_serializing_if = "is_off")]
    thp: bool,
}

impl Default for MemoryConfig {
    fn default() -> Self {
        Self {
            size: ByteSize(256 << 20),
            pages: Pages::default(),
        }
    }
}

fn is_off(switch: &bool) -> bool {
    !switch
}

impl TryFrom<MemoryKeys> for MemoryConfig {
    type Error = ConfigError;

    fn try_from(keys: MemoryKeys) -> Result<Self, ConfigError> {
        let pages = match (keys.hugepages, keys.thp) {
            (false, false) => Pages::Small,
            (false, true) => Pages::Transparent,
            (true, false) => Pages::Huge,
            (true, true) => return Err(ConfigError::Pages),
        };
        let size = keys.size;
        Ok(Self { size, pages })
    }
}

impl From<MemoryConfig> for MemoryKeys {
    fn from(memory: MemoryConfig) -> Self {
        Self {
            size: memory.size,
            hugepages: memory.pages == Pages::Huge,
            thp: memory.pages == Pages::Transparent,
        }
    }
}

/// What a memory option looks like.
pub const MEMORY_FORM: &str = "[size=]SIZE[,hugepages=on|off][,thp=on|off]";

/// [`MEMORY_FORM`].
impl FromStr for MemoryConfig {
    type Err = ConfigError;

    fn from_str(text: &str) -> Result<Self, ConfigError> {
        let error = || ConfigError::Option {
            option: text.into(),
            expected: MEMORY_FORM,
        };
        let (mut size, mut hugepages, mut thp) = (None, None, None);
        for pair in text.split(',') {
            let twice = match pair.split_once('=') {
                None => size.replace(pair.parse()?).is_some(),
                Some(("size", value)) => size.replace(value.parse()?).is_some(),
                Some(("hugepages", value)) => hugepages.replace(switch(value, error)?).is_some(),
                Some(("thp", value)) => thp.replace(switch(value, error)?).is_some(),
                Some(_) => return Err(error()),
            };
            if twice {
                return Err(error());
            }
        }
        let keys = MemoryKeys {
            size: size.ok_or_else(error)?,
            hugepages: hugepages.unwrap_or(false),
            thp: thp.unwrap_or(false),
        };
        keys.try_into()
    }
}

/// A number of bytes, written as `4096`, `64K`, `256M` or `1G`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct ByteSize(pub u64);

impl FromStr for ByteSize {
    type Err = ConfigError;

    fn from_str(text: &str) -> Result<Self, ConfigError> {
        let error = || ConfigError::Size(text.into());
        let (digits, shift) = match text.as_bytes().last() {
            Some(b'K') => (&text[..text.len() - 1], 10),
            Some(b'M') => (&text[..text.len() - 1], 20),
            Some(b'G') => (&text[..text.len() - 1], 30),
            _ => (text, 0),
        };
        if !digits.bytes().all(|b| b.is_ascii_digit()) {
            return Err(error());
        }
        let number: u64 = digits.parse().map_err(|_| error())?;
        number.checked_mul(1 << shift).map(Self).ok_or_else(error)
    }
}

impl TryFrom<String> for ByteSize {
    type Error = ConfigError;

    fn try_from(text: String) -> Result<Self, ConfigError> {
        text.parse()
    }
}

impl From<ByteSize> for String {
    fn from(size: ByteSize) -> Self {
        size.to_string()
    }
}

impl fmt::Display for ByteSize {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (shift, unit) in [(30, "G"), (20, "M"), (10, "K")] {
            if self.0 != 0 && self.0.trailing_zeros() >= shift {
                return write!(f, "{}{unit}", self.0 >> shift);
            }
        }
        write!(f, "{}", self.0)
    }
}
