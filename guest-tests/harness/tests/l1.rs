// SPDX-License-Identifier: MIT OR Apache-2.0
//! The front door `./l1`, and what the build put into L1.

use harness::config::project_root;
use harness::{Config, Driver, Exit, Machine, qmp};
use std::process::{Command, Output};
use std::time::Duration;

const SHORT: Duration = Duration::from_secs(30);

fn l1(args: &[&str]) -> Output {
    Command::new(env!("CARGO_BIN_EXE_l1"))
        .args(args)
        .output()
        .unwrap()
}

fn text(bytes: &[u8]) -> &str {
    std::str::from_utf8(bytes).unwrap()
}

#[test]
fn run_passes_streams_unmixed_and_the_status() {
    let output = l1(&["run", "--", "sh", "-c", "echo out; echo err >&2; exit 7"]);
    assert_eq!(output.status.code(), Some(7));
    assert_eq!(
        (text(&output.stdout), text(&output.stderr)),
        ("out\n", "err\n")
    );
}

#[test]
fn run_kills_what_overruns() {
    let output = l1(&["run", "--timeout", "1", "--", "sleep", "100"]);
    assert_eq!(output.status.code(), Some(124));
}

#[test]
fn run_takes_a_script_verbatim() {
    let dir = tempfile::tempdir().unwrap();
    let script = dir.path().join("script");
    std::fs::write(&script, "printf '%s|' \"a  b\" '$HOME' \\\\\nexit 4\n").unwrap();
    let output = l1(&["run", "--script", script.to_str().unwrap()]);
    assert_eq!(
        (text(&output.stdout), output.status.code()),
        ("a  b|$HOME|\\|", Some(4))
    );
}

#[test]
fn a_second_root_is_read_and_keeps_no_writes() {
    let dir = tempfile::tempdir().unwrap();
    std::fs::write(dir.path().join("hello"), "from outside\n").unwrap();
    let script = "cat /mnt/root/hello; echo changed >/mnt/root/hello; echo new >/mnt/root/new; cat /mnt/root/hello";
    let output = l1(&[
        "run",
        "--root",
        dir.path().to_str().unwrap(),
        "--",
        "sh",
        "-c",
        script,
    ]);
    assert_eq!(
        text(&output.stdout),
        "from outside\nchanged\n",
        "{}",
        text(&output.stderr)
    );
    assert_eq!(
        std::fs::read_to_string(dir.path().join("hello")).unwrap(),
        "from outside\n"
    );
    assert!(!dir.path().join("new").exists());
}

#[test]
fn bad_usage_is_refused_before_anything_boots() {
    for args in [
        &["run"][..],
        &["run", "--smp", "99", "--", "true"],
        &["run", "--chroot", "--", "true"],
    ] {
        let output = l1(args);
        assert_eq!(output.status.code(), Some(2), "{args:?}");
        assert!(!output.stderr.is_empty());
    }
}

#[test]
fn the_rust_module_loads_unloads_and_is_rust() {
    let mut config = Config::new("module");
    config.driver = Driver::Rust;
    config.topology = Some(project_root().join("guest-tests/topologies/twelve-by-sixteen.toml"));
    let machine = Machine::boot(&config).unwrap();
    assert!(
        machine.kernel.ends_with("-vfio-ap-rs"),
        "{}",
        machine.kernel
    );
    for round in 0..5 {
        let symbols = machine
            .shell("grep '\\[vfio_ap\\]' /proc/kallsyms", SHORT)
            .unwrap()
            .stdout;
        assert!(symbols.contains(" _R"), "no symbol is mangled as Rust's");
        assert!(!symbols.contains("vfio_ap_mdev_filter_matrix"), "{symbols}");
        let again = machine
            .shell("rmmod vfio_ap && insmod /tmp/vfio_ap.ko", SHORT)
            .unwrap();
        assert_eq!(again.exit, Exit::Status(0), "round {round}: {again:?}");
    }
    machine.shutdown().unwrap();
}

#[test]
fn qemu_tells_which_ap_model_it_has() {
    let machine = Machine::boot(&Config::new("ap-model")).unwrap();
    let info = machine.qmp(qmp::QueryApDevice {}).unwrap();
    assert!(info.version.starts_with("ap-device "), "{info:?}");
    machine.shutdown().unwrap();
}
