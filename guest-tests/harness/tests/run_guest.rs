// SPDX-License-Identifier: MIT OR Apache-2.0
//! The main job, as `make run-guest` runs it, and that it can fail.

use harness::config::project_root;
use std::process::{Command, Output};

fn run_guest(name: &str, args: &[&str]) -> (Output, serde_json::Value) {
    let report = std::env::temp_dir().join(format!("run-guest-{name}-{}.json", std::process::id()));
    let output = Command::new(env!("CARGO_BIN_EXE_run-guest"))
        .args(args)
        .arg("--report")
        .arg(&report)
        .env_remove("DRIVER")
        .env_remove("GUEST")
        .output()
        .unwrap();
    let text = std::fs::read(&report).unwrap_or_default();
    let _ = std::fs::remove_file(&report);
    (output, serde_json::from_slice(&text).unwrap_or_default())
}

fn passes(name: &str, args: &[&str]) {
    let (output, report) = run_guest(name, args);
    let text = String::from_utf8_lossy(&output.stdout);
    assert!(output.status.success(), "{text}");
    assert_eq!(report["passed"], true);
    let steps = report["steps"].as_array().unwrap();
    assert_eq!(steps.len(), 8, "{text}");
    // The guest saw the adapter come and go, not only the host.
    assert_eq!(steps[0]["guest_sees"]["adapters"], serde_json::json!([5]));
    assert_eq!(
        steps[1]["guest_sees"]["adapters"],
        serde_json::json!([1, 5])
    );
    assert_eq!(steps[6]["guest_sees"]["adapters"], serde_json::json!([5]));
    assert_eq!(steps[7]["guest_sees"]["adapters"], serde_json::json!([]));
}

#[test]
fn a_probe_sees_every_change_with_the_stock_driver() {
    passes("c", &["--driver", "c"]);
}

#[test]
fn a_probe_sees_every_change_with_the_rust_driver() {
    passes("rust", &["--driver", "rust"]);
}

#[test]
fn a_linux_guest_sees_every_change_with_the_stock_driver() {
    passes("linux-c", &["--driver", "c", "--guest", "linux"]);
}

#[test]
fn a_linux_guest_sees_every_change_with_the_rust_driver() {
    passes("linux-rust", &["--driver", "rust", "--guest", "linux"]);
}

#[test]
fn a_wrong_expectation_fails_and_says_what_was_seen() {
    let (output, report) = run_guest("wrong", &["--driver", "c", "--wrong-expectation"]);
    assert_eq!(output.status.code(), Some(1));
    assert_eq!(report["passed"], false);
    let text = String::from_utf8_lossy(&output.stdout);
    assert!(text.contains("not ok 2 assign adapter 0x01"), "{text}");
    assert!(
        text.contains("expected:     01.0004 05.0004 fe.0004"),
        "{text}"
    );
    assert!(text.contains("guest sees:   01.0004 05.0004"), "{text}");
}

#[test]
fn a_withheld_event_fails_although_the_masks_are_right() {
    let (output, report) = run_guest("withheld", &["--driver", "c", "--withhold-events"]);
    assert_eq!(output.status.code(), Some(1));
    assert_eq!(report["passed"], false);
    let text = String::from_utf8_lossy(&output.stdout);
    assert!(text.contains("not ok 2 assign adapter 0x01"), "{text}");
    assert!(text.contains("guest_matrix: 01.0004 05.0004"), "{text}");
    assert!(text.contains("guest sees:   nothing new within"), "{text}");
}

#[test]
fn a_card_that_lies_about_a_mask_fails() {
    let folder = project_root().join("guest-tests/topologies/twelve-by-sixteen.toml");
    let mut topology = std::fs::read_to_string(folder).unwrap();
    // From its second QCI on the guest is told of an adapter it does not have.
    topology += "\n[[fault]]\non = \"qci\"\nact = \"lie\"\napid = 2\nto = \"guest\"\nafter = 1\n";
    let file = tempfile::NamedTempFile::new().unwrap();
    std::fs::write(&file, topology).unwrap();
    let path = file.path().to_str().unwrap();
    let (output, report) = run_guest("lie", &["--driver", "c", "--topology", path]);
    assert_eq!(output.status.code(), Some(1));
    assert_eq!(report["passed"], false);
    let text = String::from_utf8_lossy(&output.stdout);
    assert!(text.contains("not ok 2 assign adapter 0x01"), "{text}");
    let sees = "guest sees:   01.0004 02.0004 05.0004 ";
    assert!(text.contains(sees), "{text}");
    assert!(text.contains("expected:     01.0004 05.0004 "), "{text}");
}
