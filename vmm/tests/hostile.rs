// SPDX-License-Identifier: MIT OR Apache-2.0
//! Hostile guests: the corpus of the fuzz targets, and random bytes.

use proptest::prelude::*;

#[path = "../fuzz/run.rs"]
mod run;

fn corpus(target: &str, run: fn(&[u8])) {
    fuzz_input::run_corpus(env!("CARGO_MANIFEST_DIR"), target, run);
}

#[test]
fn corpus_of_instructions() {
    corpus("instructions", run::instructions);
}

#[test]
fn corpus_of_service_calls() {
    corpus("sclp", run::sclp);
}

#[test]
fn corpus_of_channel_subsystem_calls() {
    corpus("chsc", run::chsc);
}

#[test]
fn corpus_of_diagnose_calls() {
    corpus("diagnose", run::diagnose);
}

#[test]
fn corpus_of_images() {
    corpus("images", run::images);
}

/// RAM disks are loaded, and refused, where they should be.
#[test]
fn the_corpus_has_disks_that_fit_and_others() {
    const MIB: u64 = 1 << 20;
    let files = fuzz_input::corpus(env!("CARGO_MANIFEST_DIR"), "images");
    let load = |name: &str| {
        let file = files.iter().find(|(path, _)| path.ends_with(name));
        run::load_image(&file.unwrap().1)
    };
    for (name, address) in [
        ("linux", 0),
        ("linux-disk", 8 * MIB),
        ("linux-disk-to-the-end", 8 * MIB),
        ("linux-large-with-disk", 9 * MIB),
    ] {
        assert_eq!(load(name).unwrap(), address, "{name}");
    }
    for name in [
        "linux-disk-one-block-too-large",
        "linux-disk-too-large",
        "linux-large-with-disk-too-large",
    ] {
        let error = load(name).unwrap_err().to_string();
        assert!(error.starts_with("the RAM disk needs"), "{name}: {error}");
    }
}

fn bytes(most: usize) -> impl Strategy<Value = Vec<u8>> {
    proptest::collection::vec(any::<u8>(), 0..most)
}

/// Images of the corpus with a few bytes changed, so that they get past the
/// first checks.
fn almost_sound_image() -> impl Strategy<Value = Vec<u8>> {
    let files = fuzz_input::corpus(env!("CARGO_MANIFEST_DIR"), "images").into_iter();
    let images: Vec<_> = files
        .filter(|(path, _)| path.ends_with("elf") || path.ends_with("linux"))
        .map(|(_, bytes)| bytes)
        .collect();
    assert_eq!(images.len(), 2);
    let changes = proptest::collection::vec((any::<prop::sample::Index>(), any::<u8>()), 0..4);
    (prop::sample::select(images), changes).prop_map(|(mut image, changes)| {
        for (at, byte) in changes {
            // headers are what decides
            let at = at.index(image.len().min(200));
            image[at] = byte;
        }
        image
    })
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(256))]

    #[test]
    fn any_instructions(data in bytes(3000)) {
        run::instructions(&data);
    }

    #[test]
    fn any_service_calls(data in bytes(6000)) {
        run::sclp(&data);
    }

    #[test]
    fn any_channel_subsystem_calls(data in bytes(3000)) {
        run::chsc(&data);
    }

    #[test]
    fn any_diagnose_calls(data in bytes(2000)) {
        run::diagnose(&data);
    }

    #[test]
    fn any_image(data in bytes(2000)) {
        run::images(&data);
    }

    #[test]
    fn almost_sound_images(data in almost_sound_image()) {
        run::images(&data);
    }
}
