// SPDX-License-Identifier: MIT OR Apache-2.0
//! The demo's story, as `make demo` tells it without a terminal.

use std::process::Command;

#[test]
fn the_story_holds() {
    let demo = Command::new(env!("CARGO_BIN_EXE_demo"))
        .arg("--story")
        .output()
        .unwrap();
    let text = String::from_utf8_lossy(&demo.stdout);
    let words = String::from_utf8_lossy(&demo.stderr);
    assert!(demo.status.success(), "{text}\n{words}");
    assert!(text.contains("> remove 07"), "{text}");
    assert!(
        text.contains("kept from the guest: adapter 07 not-in-host"),
        "{text}"
    );
    assert!(text.ends_with("never restarted.\n"), "{text}");
}
