// SPDX-License-Identifier: MIT OR Apache-2.0
//! Lists of domains, in topology files and in properties.

use std::fmt::Write as _;

use ap_arch::{Adm, Apqi};
use serde::Deserialize;
use toml::Spanned;

use super::error::{Text, TopologyError};

/// A list of domains as in a file: integers, and ranges as text.
#[derive(Deserialize, Default)]
#[serde(transparent)]
pub(super) struct Domains(Vec<Spanned<Item>>);

#[derive(Deserialize)]
#[serde(untagged, expecting = "not an integer or a range \"first-last\"")]
enum Item {
    Number(i64),
    Range(String),
}

impl Domains {
    /// The mask, of domains up to `max`.
    pub(super) fn mask(&self, source: &Text<'_>, max: Apqi) -> Result<Adm, TopologyError> {
        let mut mask = Adm::EMPTY;
        for item in &self.0 {
            let range = match item.get_ref() {
                Item::Number(number) => domain(*number).map(|d| (d, d)),
                Item::Range(text) => range(text, |n| n.parse().ok()),
            };
            let (first, last) = range.map_err(|what| source.at(item, what))?;
            if last > max.get() {
                let what = format!("{last} is above max-domain, {}", max.get());
                return Err(source.at(item, what));
            }
            (first..=last).for_each(|n| mask.set(Apqi::new(n)));
        }
        Ok(mask)
    }
}

/// Reads a list as in a property: `4,0x47,80-95`; empty for no domain.
pub fn parse_domains(text: &str) -> Result<Adm, String> {
    let mut mask = Adm::EMPTY;
    if text.trim().is_empty() {
        return Ok(mask);
    }
    for item in text.split(',').map(str::trim) {
        let (first, last) = match item.contains('-') {
            true => range(item, number)?,
            false => {
                let n = number(item).ok_or_else(|| format!("\"{item}\" is not a number"))?;
                let n = domain(n)?;
                (n, n)
            }
        };
        (first..=last).for_each(|n| mask.set(Apqi::new(n)));
    }
    Ok(mask)
}

/// The shortest text that [`parse_domains`] reads as `mask`.
pub fn format_domains(mask: Adm) -> String {
    let mut text = String::new();
    let mut domains = mask.iter().map(Apqi::get).peekable();
    while let Some(first) = domains.next() {
        let mut last = first;
        while let Some(next) = domains.next_if(|&next| next == last + 1) {
            last = next;
        }
        let comma = if text.is_empty() { "" } else { "," };
        // writing to a String does not fail
        let _ = match last - first {
            0 => write!(text, "{comma}{first}"),
            1 => write!(text, "{comma}{first},{last}"),
            _ => write!(text, "{comma}{first}-{last}"),
        };
    }
    text
}

fn range(text: &str, number: impl Fn(&str) -> Option<i64>) -> Result<(u8, u8), String> {
    let bad = || format!("\"{text}\" is not a range \"first-last\"");
    let (first, last) = text.split_once('-').ok_or_else(bad)?;
    let first = domain(number(first.trim()).ok_or_else(bad)?)?;
    let last = domain(number(last.trim()).ok_or_else(bad)?)?;
    if first > last {
        return Err(format!("\"{text}\" runs backwards"));
    }
    Ok((first, last))
}

fn number(text: &str) -> Option<i64> {
    match text.strip_prefix("0x") {
        Some(hex) => i64::from_str_radix(hex, 16).ok(),
        None => text.parse().ok(),
    }
}

fn domain(number: i64) -> Result<u8, String> {
    u8::try_from(number).map_err(|_| format!("{number} is no domain, those are 0 to 255"))
}
