// SPDX-License-Identifier: MIT OR Apache-2.0
//! Resets of the machine while one of its CPUs runs a guest, whose state description
//! is in an image that the reset loads anew: `guest-tests/sie/src/reset.rs`.

use super::monitor::Machine;
use harness::config::project_root;
use serde_json::json;
use std::fs;
use std::path::Path;
use std::thread::park_timeout;
use std::time::{Duration, Instant};

const RESETS: usize = 5;
const LIMIT: Duration = Duration::from_secs(60);

/// Waits until the host has begun so many guests, each in its image as loaded.
fn wait_for_guest(console: &Path, number: usize) {
    let end = Instant::now() + LIMIT;
    loop {
        let text = fs::read_to_string(console).unwrap_or_default();
        assert!(!text.contains("not ok"), "{text}");
        if text.matches("ok 2 reset_guest").count() == number {
            assert_eq!(text.matches("ok 1 reset_image").count(), number, "{text}");
            break;
        }
        assert!(Instant::now() < end, "guest {number}: {text}");
        park_timeout(Duration::from_millis(20));
    }
}

/// `plug` whether the CPU that runs the guest is plugged in: such a CPU is reset after
/// the image is loaded, others before.
fn reset_while_a_guest_runs(name: &str, plug: bool) {
    let console = Path::new(env!("CARGO_TARGET_TMPDIR")).join(name);
    let kernel = project_root().join("target/share/sie-host");
    let chardev = format!("file,id=c,path={}", console.display());
    let cpus = if plug { "1,maxcpus=2" } else { "2" };
    let mut machine = Machine::start(&[
        "-cpu",
        "max,sief2=on",
        "-m",
        "128M",
        "-smp",
        cpus,
        "-chardev",
        &chardev,
        "-device",
        "sclpconsole,chardev=c",
        "-append",
        "reset",
        "-kernel",
        kernel.to_str().unwrap(),
        "-S",
    ]);
    if plug {
        let cpu = json!({ "driver": "max-s390x-cpu", "core-id": 1 });
        machine.ask("device_add", &cpu);
    }
    // the host is told of the plugging when it begins, not when it runs the guest
    machine.ask("cont", &json!({}));
    for number in 1..=RESETS {
        wait_for_guest(&console, number);
        machine.ask("system_reset", &json!({}));
    }
    wait_for_guest(&console, RESETS + 1);
    machine.quit();
}

#[test]
fn a_reset_leaves_guests_before_it_loads_storage() {
    reset_while_a_guest_runs("reset.console", false);
    reset_while_a_guest_runs("reset-plugged.console", true);
}
