// SPDX-License-Identifier: MIT OR Apache-2.0
//! Errors of a scenario file that name file, line and key.

use std::ops::Range;
use std::path::{Path, PathBuf};

/// What is wrong with a scenario, and where.
#[derive(Clone, PartialEq, Eq, Debug, thiserror::Error)]
#[error("{}:{line}: {key}: {what}", file.display())]
pub struct ScenarioError {
    /// The file.
    pub file: PathBuf,
    /// Its line, from 1.
    pub line: usize,
    /// The key whose value is wrong.
    pub key: String,
    /// What is wrong.
    pub what: String,
}

/// The text of a scenario, to find lines and keys in.
pub struct Source<'a> {
    file: &'a Path,
    text: &'a str,
}

impl<'a> Source<'a> {
    /// The text of this file.
    pub fn new(file: &'a Path, text: &'a str) -> Self {
        Self { file, text }
    }

    /// An error about what stands there.
    pub fn at(&self, span: &Range<usize>, what: impl Into<String>) -> ScenarioError {
        let at = span.start.min(self.text.len());
        ScenarioError {
            file: self.file.to_owned(),
            line: self.line(span),
            key: key_at(self.text, at).to_owned(),
            what: what.into(),
        }
    }

    /// An error that the TOML reader found. Its own text spreads over lines.
    pub fn syntax(&self, error: &toml::de::Error) -> ScenarioError {
        let what = error.message().replace('\n', ", ");
        let missing = what
            .strip_prefix("missing field `")
            .and_then(|k| k.strip_suffix('`'));
        let missing = missing.map(str::to_owned);
        let mut error = self.at(&error.span().unwrap_or(0..0), what);
        if let Some(key) = missing {
            error.key = key;
        }
        error
    }

    /// The line where something begins.
    pub fn line(&self, span: &Range<usize>) -> usize {
        let before = self.text.get(..span.start).unwrap_or(self.text);
        before.matches('\n').count() + 1
    }
}

fn is_key(c: char) -> bool {
    c.is_ascii_alphanumeric() || matches!(c, '-' | '_' | '.' | '"')
}

/// The key that the value at `at` belongs to, or the key that stands there.
fn key_at(text: &str, at: usize) -> &str {
    let here = text.get(at..).unwrap_or_default();
    let word = here.find(|c| !is_key(c)).unwrap_or(here.len());
    if word > 0
        && here[word..]
            .trim_start_matches([' ', '\t'])
            .starts_with('=')
    {
        return here[..word].trim_matches('"');
    }
    if let Some(header) = here.strip_prefix('[').filter(|_| starts_line(text, at)) {
        let end = header.find(['\n', ']']).unwrap_or(header.len());
        let inner = header.trim_start_matches('[');
        return inner[..inner.find([']', '\n']).unwrap_or(end.min(inner.len()))].trim();
    }
    // Back over what is complete, until the `=` of what is not.
    let (mut depth, mut quoted) = (0, false);
    for (i, c) in text[..at].char_indices().rev() {
        match c {
            '"' => quoted = !quoted,
            '\n' => quoted = false,
            _ if quoted => {}
            ']' | '}' => depth += 1,
            '[' | '{' => depth = 0.max(depth - 1),
            '=' if depth == 0 => {
                let key = text[..i].trim_end();
                let begin = key.rfind(|c| !is_key(c)).map_or(0, |n| n + 1);
                return key[begin..].trim_matches('"');
            }
            _ => {}
        }
    }
    "scenario"
}

fn starts_line(text: &str, at: usize) -> bool {
    text[..at]
        .rsplit('\n')
        .next()
        .is_some_and(|line| line.trim().is_empty())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_nearest_key_is_named() {
        let text = "name = \"x\"\n[[step]]\nassign = { mdev = \"a\", adapters = [\n  5, 999] }\nexpect = { guest-tapq = { g = { \"05.0004\" = 256 } } }\n";
        let key = |part: &str| key_at(text, text.find(part).unwrap());
        assert_eq!(key("999"), "adapters");
        assert_eq!(key("256"), "05.0004");
        assert_eq!(key("{ mdev"), "assign");
        assert_eq!(key("mdev"), "mdev");
        assert_eq!(key("\"a\""), "mdev");
        assert_eq!(key("[[step]]"), "step");
        let source = Source::new(Path::new("s.toml"), text);
        let at = text.find("999").unwrap();
        let error = source.at(&(at..at + 3), "too large");
        assert_eq!(error.to_string(), "s.toml:4: adapters: too large");
    }
}
