// SPDX-License-Identifier: MIT OR Apache-2.0
//! Hostile programs: the corpus of the fuzz targets, and random bytes.

use std::path::Path;

use proptest::prelude::*;

#[path = "../fuzz/run.rs"]
mod run;

fn corpus(target: &str, run: fn(&[u8])) {
    fuzz_input::run_corpus(env!("CARGO_MANIFEST_DIR"), target, run);
}

#[test]
fn corpus_of_messages() {
    corpus("messages", run::message);
}

#[test]
fn corpus_of_instructions() {
    corpus("instructions", run::instructions);
}

/// A type 50 header of any format and length over any operands.
fn type50() -> impl Strategy<Value = Vec<u8>> {
    let format = prop::sample::select(&[1u8, 2, 0x11, 0x12, 0x14][..]);
    let size = prop::sample::select(&[0x190usize, 0x310, 0x1d0, 0x390, 0x191][..]);
    let operands = proptest::collection::vec(any::<u8>(), 0x391);
    (format, size, operands).prop_map(|(format, size, mut message)| {
        // selector of the mode, then the message
        message[..17].fill(0);
        message[0] = 1;
        message[2] = 0x50;
        message[3..5].copy_from_slice(&(size as u16).to_be_bytes());
        message[10] = format;
        message.truncate(size + 1);
        message
    })
}

/// Requests of the corpus with a few bytes changed, so that they get past the
/// first checks.
fn almost_sound() -> impl Strategy<Value = Vec<u8>> {
    let sound = |path: &Path| {
        let name = path.file_name().unwrap().to_string_lossy();
        name.starts_with("cca-") || name.starts_with("ep11-")
    };
    let files = fuzz_input::corpus(env!("CARGO_MANIFEST_DIR"), "messages").into_iter();
    let files: Vec<_> = files
        .filter(|(path, _)| sound(path))
        .map(|(_, bytes)| bytes)
        .collect();
    assert!(files.len() >= 6);
    let changes = proptest::collection::vec((any::<prop::sample::Index>(), any::<u8>()), 0..4);
    (prop::sample::select(files), changes).prop_map(|(mut message, changes)| {
        for (at, byte) in changes {
            let at = 1 + at.index(message.len() - 1);
            message[at] = byte;
        }
        message
    })
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(512))]

    #[test]
    fn almost_sound_messages(data in almost_sound()) {
        run::message(&data);
    }

    #[test]
    fn any_message(data in proptest::collection::vec(any::<u8>(), 0..2000)) {
        run::message(&data);
    }

    #[test]
    fn any_type50_message(data in type50()) {
        run::message(&data);
    }

    #[test]
    fn any_instructions(data in proptest::collection::vec(any::<u8>(), 0..3000)) {
        run::instructions(&data);
    }
}
