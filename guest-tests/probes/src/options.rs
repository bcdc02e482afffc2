// SPDX-License-Identifier: MIT OR Apache-2.0
//! The command line: words of the form `key=value`.
//!
//! | word                 | meaning                                           |
//! |----------------------|---------------------------------------------------|
//! | `expect=APM,AQM,ADM` | masks that the first QCI must show, as the host's `ap_config` attribute has them; missing digits on the right are zero |
//! | `expect=none`        | there must be no AP instructions                  |
//! | `wait-events=N`      | go on until N AP-change events came               |
//! | `wait-changes=N`     | go on until the masks changed N times             |
//! | `exit-after=S`       | go on for at most S seconds (default 60)          |
//! | `crypto=off`         | leave the queues' contents alone                  |
//! | `commands=on`        | then do what the console is told: [`crate::command`] |
//! | `round-trips=N`      | tell what N exits to the VMM and to KVM take      |
//!
//! Without a `wait` word but with `exit-after`, the probe reports whatever
//! comes in that time. Words without `=` are left to others.

use ap_arch::{Adm, Apm, Aqm, Mask, MaskSpace, Matrix};

/// What the user wants.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Options {
    /// What the first QCI must show.
    pub expect: Expectation,
    /// Events to wait for.
    pub wait_events: u32,
    /// Mask changes to wait for.
    pub wait_changes: u32,
    /// Seconds to wait, if given.
    pub exit_after: Option<u32>,
    /// Whether to reset queues and send requests.
    pub crypto: bool,
    /// Whether to take commands.
    pub commands: bool,
    /// Exits to measure.
    pub round_trips: u32,
}

/// What the first QCI must show.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Expectation {
    /// Anything.
    Any,
    /// There must be no AP instructions.
    NoAp,
    /// These masks.
    Masks(Matrix),
}

impl Default for Options {
    fn default() -> Self {
        Self {
            expect: Expectation::Any,
            wait_events: 0,
            wait_changes: 0,
            exit_after: None,
            crypto: true,
            commands: false,
            round_trips: 0,
        }
    }
}

/// A word that is not understood.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct BadWord<'a>(pub &'a str);

impl Options {
    /// Seconds that waiting may take.
    pub fn seconds(&self) -> u32 {
        self.exit_after.unwrap_or(60)
    }

    /// Whether to wait at all.
    pub fn waits(&self) -> bool {
        self.wait_events > 0 || self.wait_changes > 0 || self.exit_after.is_some()
    }

    /// Reads a command line.
    pub fn parse(line: &str) -> Result<Self, BadWord<'_>> {
        let mut options = Self::default();
        for word in line.split_ascii_whitespace() {
            let Some((key, value)) = word.split_once('=') else {
                continue;
            };
            let number = || value.parse().map_err(|_| BadWord(word));
            match (key, value) {
                ("expect", _) => options.expect = expectation(value).ok_or(BadWord(word))?,
                ("wait-events", _) => options.wait_events = number()?,
                ("wait-changes", _) => options.wait_changes = number()?,
                ("exit-after", _) => options.exit_after = Some(number()?),
                ("round-trips", _) => options.round_trips = number()?,
                ("crypto", "on" | "off") => options.crypto = value == "on",
                ("commands", "on" | "off") => options.commands = value == "on",
                _ => return Err(BadWord(word)),
            }
        }
        Ok(options)
    }
}

fn expectation(value: &str) -> Option<Expectation> {
    if value == "none" {
        return Some(Expectation::NoAp);
    }
    let mut masks = value.split(',');
    let apm: Apm = mask(masks.next()?)?;
    let aqm: Aqm = mask(masks.next()?)?;
    let adm: Adm = mask(masks.next()?)?;
    let matrix = Matrix { apm, aqm, adm };
    masks.next().is_none().then_some(Expectation::Masks(matrix))
}

/// A mask in hexadecimal, leftmost digit first.
fn mask<S: MaskSpace>(text: &str) -> Option<Mask<S>> {
    let digits = text.strip_prefix("0x").unwrap_or(text);
    if digits.is_empty() || digits.len() > 64 {
        return None;
    }
    let mut words = [0; 4];
    for (index, digit) in digits.chars().enumerate() {
        let digit = u64::from(digit.to_digit(16)?);
        words[index / 16] |= digit << (60 - 4 * (index % 16));
    }
    Some(Mask::from_words(words))
}

#[cfg(test)]
mod tests {
    use super::*;
    use ap_arch::{Apid, Apqi};

    #[test]
    fn nothing_given() {
        let options = Options::parse("").unwrap();
        assert_eq!(options, Options::default());
        assert!(!options.waits());
        assert_eq!(options.seconds(), 60);
    }

    #[test]
    fn all_words() {
        let options = Options::parse(
            "quiet expect=0x0400,0x0800,08 wait-events=3 wait-changes=2 exit-after=5 crypto=off commands=on\n",
        )
        .unwrap();
        let Expectation::Masks(matrix) = options.expect else {
            panic!("no masks");
        };
        assert_eq!(matrix.apm, Apm::of(Apid::new(5)));
        assert_eq!(matrix.aqm, Aqm::of(Apqi::new(4)));
        assert_eq!(matrix.adm, Adm::of(Apqi::new(4)));
        assert_eq!((options.wait_events, options.wait_changes), (3, 2));
        assert_eq!(options.exit_after, Some(5));
        assert!(!options.crypto && options.commands && options.waits());
    }

    #[test]
    fn the_hosts_own_format() {
        let full = "ffffffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff";
        let last = "0000000000000000000000000000000000000000000000000000000000000001";
        let line = std::format!("expect=0x{full},0x{last},0x{last}");
        let Ok(Expectation::Masks(matrix)) = Options::parse(&line).map(|o| o.expect) else {
            panic!("not read");
        };
        assert_eq!(matrix.apm, Apm::FULL);
        assert_eq!(matrix.aqm, Aqm::of(Apqi::new(255)));
        assert!(Options::parse(&std::format!("expect={full}0,0,0")).is_err());
    }

    #[test]
    fn bad_words_are_named() {
        for word in [
            "expect=",
            "expect=0",
            "expect=0,0",
            "expect=0,0,0,0",
            "expect=g,0,0",
            "expect=0x,0,0",
            "wait-events=x",
            "wait-events=-1",
            "exit-after=",
            "crypto=maybe",
            "commands=",
            "color=red",
        ] {
            assert_eq!(Options::parse(word), Err(BadWord(word)));
        }
    }

    extern crate std;
}
