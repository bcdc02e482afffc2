// SPDX-License-Identifier: MIT OR Apache-2.0
//! Formats of the driver's log.
//!
//! s390dbf keeps the arguments of an entry, and makes the text when somebody
//! reads the log. What an argument points to is long gone then, so formats take
//! numbers only; one that does not is refused by the compiler.

use core::ffi::CStr;

/// The text of an entry, which takes `N` numbers, each by `%lx` or `%ld`.
#[derive(Clone, Copy, Debug)]
pub struct Format<const N: usize>(&'static CStr);

impl<const N: usize> Format<N> {
    /// A format; in a `const`, so that a wrong one does not compile.
    ///
    /// # Panics
    /// If `text` takes anything but `N` numbers.
    pub const fn new(text: &'static CStr) -> Self {
        match numbers(text.to_bytes()) {
            Some(count) if count == N => Self(text),
            _ => panic!("a format takes its numbers by %lx or %ld"),
        }
    }

    /// The text.
    pub const fn text(self) -> &'static CStr {
        self.0
    }
}

/// How many numbers a text takes; `None` if it takes anything else.
const fn numbers(text: &[u8]) -> Option<usize> {
    let (mut at, mut count) = (0, 0);
    while at < text.len() {
        if text[at] == b'%' {
            at += 1;
            while at < text.len() && text[at].is_ascii_digit() {
                at += 1;
            }
            let long = at + 1 < text.len() && text[at] == b'l';
            if !long || !matches!(text[at + 1], b'x' | b'd') {
                return None;
            }
            count += 1;
        }
        at += 1;
    }
    Some(count)
}
