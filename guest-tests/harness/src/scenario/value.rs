// SPDX-License-Identifier: MIT OR Apache-2.0
//! Values of a scenario that are more than text or a number; what is no such
//! value is an error where it stands.

use ap_arch::Apqn;
use nix::errno::Errno;
use regex::Regex;
use serde::de::{Deserialize, Deserializer, Error};
use std::fmt;
use std::ops::{Deref, Range};
use std::path::PathBuf;
use toml::Spanned;

/// The name of an mdev or a guest, and where it stands.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, serde::Deserialize)]
#[serde(transparent)]
pub struct Name(Spanned<String>);

impl Name {
    /// Where it stands.
    pub fn span(&self) -> Range<usize> {
        self.0.span()
    }
}

impl Deref for Name {
    type Target = str;

    fn deref(&self) -> &str {
        self.0.get_ref()
    }
}

impl fmt::Display for Name {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self)
    }
}

/// What a guest runs.
#[derive(Debug, Clone, PartialEq, Eq, serde::Deserialize)]
#[serde(from = "String")]
pub enum Kind {
    /// The bare-metal probe.
    Probe,
    /// Our small Linux.
    Linux,
    /// A kernel of a user's own.
    File(PathBuf),
}

impl From<&str> for Kind {
    fn from(text: &str) -> Self {
        match text {
            "probe" => Self::Probe,
            "linux" => Self::Linux,
            path => Self::File(path.into()),
        }
    }
}

impl From<String> for Kind {
    fn from(text: String) -> Self {
        text.as_str().into()
    }
}

/// A queue, as `05.0004`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Queue(pub Apqn);

impl fmt::Display for Queue {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

impl<'de> Deserialize<'de> for Queue {
    fn deserialize<D: Deserializer<'de>>(from: D) -> Result<Self, D::Error> {
        let text = String::deserialize(from)?;
        let apqn = text.parse().map(Self);
        apqn.map_err(|e| D::Error::custom(format!("\"{text}\" is no queue such as 05.0004: {e}")))
    }
}

/// A guest's memory, as apvmm takes it: `256M`, at least 64 MiB, in whole MiB.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Memory(String);

impl Memory {
    /// What a guest has of which nothing is said.
    pub fn usual() -> Self {
        Self("256M".to_owned())
    }

    /// As it was written.
    pub fn as_str(&self) -> &str {
        &self.0
    }

    fn bytes(text: &str) -> Option<u64> {
        let (digits, shift) = match text.as_bytes().last()? {
            b'K' => (&text[..text.len() - 1], 10),
            b'M' => (&text[..text.len() - 1], 20),
            b'G' => (&text[..text.len() - 1], 30),
            _ => (text, 0),
        };
        let is_plain = digits.bytes().all(|b| b.is_ascii_digit());
        let number: u64 = is_plain.then(|| digits.parse().ok()).flatten()?;
        number.checked_mul(1 << shift)
    }
}

impl<'de> Deserialize<'de> for Memory {
    fn deserialize<D: Deserializer<'de>>(from: D) -> Result<Self, D::Error> {
        const MIB: u64 = 1 << 20;
        let text = String::deserialize(from)?;
        match Self::bytes(&text) {
            Some(bytes) if bytes >= 64 * MIB && bytes % MIB == 0 => Ok(Self(text)),
            _ => Err(D::Error::custom(format!(
                "\"{text}\" is no memory such as 256M, in whole MiB from 64M"
            ))),
        }
    }
}

/// A regular expression.
#[derive(Debug, Clone)]
pub struct Pattern(pub Regex);

impl<'de> Deserialize<'de> for Pattern {
    fn deserialize<D: Deserializer<'de>>(from: D) -> Result<Self, D::Error> {
        let text = String::deserialize(from)?;
        Self::new(&text).map_err(|e| D::Error::custom(e.to_string()))
    }
}

impl Pattern {
    /// From its text.
    ///
    /// # Errors
    /// What is wrong with it.
    pub fn new(text: &str) -> Result<Self, regex::Error> {
        Regex::new(text).map(Self)
    }
}

/// A regular expression for a whole line.
#[derive(Debug, Clone)]
pub struct Line(pub Regex);

impl<'de> Deserialize<'de> for Line {
    fn deserialize<D: Deserializer<'de>>(from: D) -> Result<Self, D::Error> {
        let Pattern(inner) = Pattern::deserialize(from)?;
        Self::new(inner.as_str()).map_err(|e| D::Error::custom(e.to_string()))
    }
}

impl Line {
    /// From its text.
    ///
    /// # Errors
    /// What is wrong with it.
    pub fn new(text: &str) -> Result<Self, regex::Error> {
        Regex::new(&format!("^(?:{text})$")).map(Self)
    }

    /// As the user wrote it.
    pub fn as_written(&self) -> &str {
        let text = self.0.as_str();
        text.strip_prefix("^(?:")
            .and_then(|t| t.strip_suffix(")$"))
            .unwrap_or(text)
    }
}

/// The name of an errno, such as `EBUSY`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ErrnoName(pub String);

impl<'de> Deserialize<'de> for ErrnoName {
    fn deserialize<D: Deserializer<'de>>(from: D) -> Result<Self, D::Error> {
        let text = String::deserialize(from)?;
        // Linux has them up to EHWPOISON.
        let known = (1..134).any(|n| format!("{:?}", Errno::from_raw(n)) == text);
        if known && text.starts_with('E') {
            return Ok(Self(text));
        }
        Err(D::Error::custom(format!("\"{text}\" is no errno of Linux")))
    }
}
