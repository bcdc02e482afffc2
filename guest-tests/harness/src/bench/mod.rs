// SPDX-License-Identifier: MIT OR Apache-2.0
//! `target/bench.json`: one entry a figure, replaced by name when measured anew.

pub mod follow;
pub mod sie;
pub mod vmm;

use crate::config::project_root;
use crate::error::Error;
use serde::{Deserialize, Serialize};
use std::fs;

/// One measured figure.
#[derive(Debug, Clone, Serialize, Deserialize, PartialEq)]
pub struct Entry {
    /// What it is about, such as `boot`.
    pub group: String,
    /// What was measured.
    pub name: String,
    /// Unit of `ours` and `peer`.
    pub unit: String,
    /// Our figure: the median of `runs`, or what the benchmark takes instead.
    pub ours: f64,
    /// The figure it is compared with, measured in the same run.
    pub peer: Option<f64>,
    /// `ours` over `peer`.
    pub ratio: Option<f64>,
    /// What we want, in words.
    pub goal: String,
    /// Whether the goal was met.
    pub met: bool,
    /// How many runs the figure comes from.
    pub runs: usize,
    /// Largest minus smallest of the runs.
    pub spread: f64,
    /// What reproduces it.
    pub command: String,
}

/// Median and spread of some runs; zero for none.
pub fn median_and_spread(runs: &[f64]) -> (f64, f64) {
    let mut sorted = runs.to_vec();
    sorted.sort_by(f64::total_cmp);
    match (sorted.first(), sorted.last()) {
        (Some(low), Some(high)) => (sorted[sorted.len() / 2], high - low),
        _ => (0.0, 0.0),
    }
}

/// What this part of the runs is not above; zero for none.
pub fn percentile(runs: &[f64], part: f64) -> f64 {
    let mut sorted = runs.to_vec();
    sorted.sort_by(f64::total_cmp);
    let rank = (sorted.len() as f64 * part).ceil() as usize;
    sorted.get(rank.saturating_sub(1)).copied().unwrap_or(0.0)
}

/// Write the entry into `target/bench.json`, keeping the others.
///
/// # Errors
/// When the file cannot be read as such or written.
pub fn record(entry: Entry) -> Result<(), Error> {
    let path = project_root().join("target/bench.json");
    let fail = |e: std::io::Error| Error::host(path.display().to_string())(e);
    let mut entries: Vec<Entry> = match fs::read(&path) {
        Ok(text) => serde_json::from_slice(&text).map_err(|e| fail(e.into()))?,
        Err(_) => Vec::new(),
    };
    entries.retain(|e| (&e.group, &e.name) != (&entry.group, &entry.name));
    entries.push(entry);
    let text = serde_json::to_vec_pretty(&entries).map_err(|e| fail(e.into()))?;
    let part = path.with_extension("part");
    fs::write(&part, text)
        .and_then(|()| fs::rename(&part, &path))
        .map_err(fail)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_percentile_is_one_of_the_runs() {
        let runs: Vec<f64> = (1..=200).rev().map(f64::from).collect();
        assert_eq!(percentile(&runs, 0.5), 100.0);
        assert_eq!(percentile(&runs, 0.99), 198.0);
        assert_eq!(percentile(&[7.0], 0.99), 7.0);
        assert_eq!(percentile(&[], 0.5), 0.0);
    }

    #[test]
    fn the_median_is_not_the_mean() {
        assert_eq!(median_and_spread(&[9.0, 1.0, 2.0]), (2.0, 8.0));
        assert_eq!(median_and_spread(&[]), (0.0, 0.0));
    }
}
