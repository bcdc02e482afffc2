// SPDX-License-Identifier: MIT OR Apache-2.0
//! The rules of SIE, one by one, on a bare-metal host, and random guests.

mod counters;
mod monitor;
mod resets;

use harness::config::project_root;
use monitor::Machine;
use serde_json::{Value, json};
use std::process::Command;

/// Seeds of random guests that once ended QEMU or broke a rule.
const KEPT_SEEDS: &[u64] = &[
    4629, // COMPARE AND SWAP AND STORE of one byte
];

const TCG: &str = "-accel tcg";

/// Runs the SIE host; returns what it prints if all its tests passed.
fn sie_host(command_line: &str, accel: &str, seconds: u32) -> String {
    let root = project_root();
    let output = Command::new(root.join("guest-tests/sie/run.sh"))
        .arg(root.join("target/qemu/qemu-system-s390x"))
        .arg(root.join("target/share/sie-host"))
        .arg(command_line)
        .env("LIMIT", seconds.to_string())
        .env("ACCEL", accel)
        .output()
        .unwrap();
    let ktap = String::from_utf8_lossy(&output.stdout).into_owned();
    assert!(
        output.status.success(),
        "{command_line}: {ktap}{}",
        String::from_utf8_lossy(&output.stderr)
    );
    ktap
}

#[test]
fn a_bare_metal_host_finds_every_rule_of_sie_kept() {
    let ktap = sie_host("", TCG, 180);
    let passed = ktap.lines().filter(|l| l.starts_with("ok ")).count();
    assert_eq!(passed, 96, "rules were lost, or are new:\n{ktap}");
}

#[test]
fn the_rules_hold_with_counted_instructions() {
    let icount = "-accel tcg,thread=single -icount shift=auto";
    sie_host("", icount, 180);
}

#[test]
#[ignore = "nightly: the CPUs wait for each other's turn"]
fn the_rules_hold_with_one_thread_for_all_cpus() {
    sie_host("", "-accel tcg,thread=single", 240);
}

/// What a CPU model has without being asked.
fn features(model: &str) -> Value {
    let expansion = json!({ "type": "full", "model": { "name": model } });
    let mut machine = Machine::start(&["-S"]);
    let answer = machine.ask("query-cpu-model-expansion", &expansion);
    machine.quit();
    answer["model"]["props"].clone()
}

#[test]
fn no_cpu_model_has_sie_or_large_pages_unasked() {
    for model in ["qemu", "max"] {
        let features = features(model);
        assert_eq!(features["vx"], true, "{model}: {features}");
        for unasked in ["sief2", "64bscao", "gsls", "gpereh", "cei", "edat", "ap"] {
            assert_eq!(features[unasked], false, "{model} has {unasked}");
        }
    }
}

#[test]
fn a_program_interruption_without_end_is_a_crash() {
    let root = project_root();
    let output = Command::new("timeout")
        .arg("60")
        .arg(root.join("target/qemu/qemu-system-s390x"))
        .args(["-L", "/usr/share/qemu", "-nodefaults", "-display", "none"])
        .args(["-action", "panic=exit-failure", "-d", "guest_errors"])
        .args(["-append", "crash"])
        .arg("-kernel")
        .arg(root.join("target/share/sie-host"))
        .output()
        .unwrap();
    assert_eq!(output.status.code(), Some(1));
    let log = String::from_utf8_lossy(&output.stderr);
    assert!(log.contains("pgmint-loop"), "{log}");
}

#[test]
fn random_guests_reach_nothing_but_their_storage() {
    sie_host("fuzz=1,256", TCG, 240);
    for seed in KEPT_SEEDS {
        sie_host(&format!("fuzz={seed},1"), TCG, 60);
    }
}

/// `SIE_FUZZ=SEED,ROUNDS` chooses another run; 20 rounds take about a second.
#[test]
#[ignore = "nightly: a quarter of an hour"]
fn random_guests_for_long() {
    let run = std::env::var("SIE_FUZZ").unwrap_or_else(|_| "100000,15000".to_owned());
    sie_host(&format!("fuzz={run}"), TCG, 3600);
}
