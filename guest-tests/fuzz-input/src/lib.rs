// SPDX-License-Identifier: MIT OR Apache-2.0
//! What fuzz targets and the tests that run their corpora share: bytes as a
//! source of choices, and the files of a corpus.

use std::fs;
use std::path::{Path, PathBuf};

/// Bytes as a source of choices; zeros when they run out.
pub struct Choices<'a>(&'a [u8]);

impl<'a> Choices<'a> {
    /// All of these bytes.
    pub fn new(bytes: &'a [u8]) -> Self {
        Self(bytes)
    }

    /// Whether they have run out.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// What is left.
    pub fn rest(&self) -> &'a [u8] {
        self.0
    }

    /// A byte.
    pub fn byte(&mut self) -> u8 {
        let (&first, rest) = self.0.split_first().unwrap_or((&0, &[]));
        self.0 = rest;
        first
    }

    /// Eight bytes, the highest first.
    pub fn word(&mut self) -> u64 {
        (0..8).fold(0, |word, _| word << 8 | u64::from(self.byte()))
    }

    /// Up to 4 KiB, as many as the next two bytes say and there are.
    pub fn bytes(&mut self) -> &'a [u8] {
        let len = usize::from(self.byte()) << 4 | usize::from(self.byte() & 15);
        let (bytes, rest) = self.0.split_at(len.min(self.0.len()));
        self.0 = rest;
        bytes
    }
}

/// The files of a target's corpus, in order: those under
/// `fuzz/corpus/TARGET` of a crate.
///
/// # Panics
/// When there are none, since a test of nothing would pass.
pub fn corpus(manifest_dir: &str, target: &str) -> Vec<(PathBuf, Vec<u8>)> {
    let folder = Path::new(manifest_dir).join("fuzz/corpus").join(target);
    let read = |path: PathBuf| {
        let bytes = fs::read(&path).unwrap_or_else(|e| panic!("{}: {e}", path.display()));
        (path, bytes)
    };
    let entries = fs::read_dir(&folder).unwrap_or_else(|e| panic!("{}: {e}", folder.display()));
    let mut files: Vec<_> = entries.flatten().map(|f| read(f.path())).collect();
    files.sort();
    assert!(!files.is_empty(), "no files in {}", folder.display());
    files
}

/// Runs all of a corpus; tells which file it is at, for one that fails.
pub fn run_corpus(manifest_dir: &str, target: &str, run: fn(&[u8])) {
    for (path, bytes) in corpus(manifest_dir, target) {
        eprintln!("{}", path.display());
        run(&bytes);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn choices_run_out_into_zeros() {
        let mut choices = Choices::new(&[1, 2, 0, 3, 7, 8, 9, 10]);
        assert_eq!((choices.byte(), choices.byte()), (1, 2));
        assert_eq!(choices.bytes(), [7, 8, 9]);
        assert_eq!(choices.rest(), [10]);
        assert_eq!(choices.word(), 10 << 56);
        assert!(choices.is_empty());
        assert_eq!(choices.byte(), 0);
        assert_eq!(Choices::new(&[0xff, 0xff, 1]).bytes(), [1]);
    }
}
