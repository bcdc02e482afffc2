// SPDX-License-Identifier: MIT OR Apache-2.0
//! Errors that name the line and the key.

use toml::Spanned;

/// What is wrong in a topology, and where.
#[derive(Clone, PartialEq, Eq, Debug, thiserror::Error)]
#[error("line {line}: {key}: {what}")]
pub struct TopologyError {
    line: usize,
    key: String,
    what: String,
}

impl TopologyError {
    pub(super) fn new(line: usize, key: &str, what: String) -> Self {
        let key = key.to_owned();
        Self { line, key, what }
    }
}

/// The text of a topology, to find lines and keys in.
pub(super) struct Text<'a>(pub &'a str);

impl Text<'_> {
    /// An error about a value.
    pub(super) fn at<T>(&self, value: &Spanned<T>, what: String) -> TopologyError {
        self.error(value.span().start, what)
    }

    /// An error that the TOML reader found. Its own text spreads over lines.
    pub(super) fn syntax(&self, error: &toml::de::Error) -> TopologyError {
        let at = error.span().map_or(0, |span| span.start);
        let what = error.message().replace('\n', ", ");
        self.error(at, what)
    }

    fn error(&self, at: usize, what: String) -> TopologyError {
        let before = self.0.get(..at).unwrap_or(self.0);
        let line = before.matches('\n').count() + 1;
        TopologyError::new(line, self.key(at), what)
    }

    /// The key that the value at `at` belongs to: the one in its line or, in a
    /// list over several lines, in the nearest line before that has one.
    fn key(&self, at: usize) -> &str {
        let rest = self.0.get(at..).unwrap_or_default();
        let line_end = rest.find('\n').map_or(self.0.len(), |n| at + n);
        let lines = self.0[..line_end].lines().rev();
        for line in lines.map(str::trim) {
            if line.starts_with("[[") || line.starts_with('[') && line.ends_with(']') {
                return line.trim_matches(['[', ']']);
            }
            if let Some((key, _)) = line.split_once('=') {
                return key.trim();
            }
        }
        "topology"
    }
}
