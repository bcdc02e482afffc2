// SPDX-License-Identifier: MIT OR Apache-2.0
//! What the formats of the log may take.

use core::ffi::CStr;

use crate::Format;

fn takes<const N: usize>(text: &'static CStr) -> bool {
    let made = std::panic::catch_unwind(|| Format::<N>::new(text));
    if let Err(words) = &made {
        let words = words.downcast_ref::<&str>();
        assert_eq!(words, Some(&"a format takes its numbers by %lx or %ld"));
    }
    made.is_ok()
}

/// W21: a pointer in an entry is followed when the log is read.
#[test]
fn a_format_takes_numbers_and_no_pointers() {
    assert!(takes::<0>(c"nothing\n"));
    assert!(takes::<1>(c"%lx"));
    assert!(takes::<3>(c"queue %04lx: reset %ld done, rc %02lx\n"));
    for wrong in [
        c"%s", c"%sx", c"%p", c"%pad", c"%x", c"%d", c"%lu", c"%%", c"%", c"%l", c"%04", c"%04l",
        c"%.2lx", c"%*lx", c"%lx %s",
    ] {
        assert!(!takes::<1>(wrong), "{wrong:?}");
        assert!(!takes::<2>(wrong), "{wrong:?}");
    }
    // each has its number
    assert!(!takes::<0>(c"%lx"));
    assert!(!takes::<2>(c"%lx"));
    assert!(!takes::<1>(c"%lx %ld"));
    assert_eq!(Format::<1>::new(c"of %ld").text(), c"of %ld");
}
