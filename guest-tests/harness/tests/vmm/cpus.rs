// SPDX-License-Identifier: MIT OR Apache-2.0
//! Several CPUs of a guest: online and off, SIGP, resets, a crash.

use super::{LIMIT, LINUX, ORDERS, boot, init};
use harness::Exit;
use harness::vm::Vm;
use std::time::Duration;

/// Takes all CPUs but the first off and on again, and ends.
fn cpus_come_and_go(name: &str, cpus: u32, rounds: u32) {
    let machine = boot(name, false);
    let count = "busybox grep -c ^processor /proc/cpuinfo";
    let line = init(&format!(
        "mount -t proc p /proc; mount -t sysfs s /sys; echo at first: $({count}); \
         for round in $(busybox seq {rounds}); do for on in 0 1; do \
         for cpu in $(busybox seq {last}); do echo $on >/sys/devices/system/cpu/cpu$cpu/online; done; \
         done; done; echo at last: $({count}); poweroff -f",
        last = cpus - 1,
    ));
    let cpus = cpus.to_string();
    let options = [&LINUX[..], &["--cpus", &cpus, "--cmdline", &line]].concat();
    let vm = Vm::start(&machine, "cpus", &[], &options);
    let (exit, output) = vm.end(Duration::from_secs(280)).unwrap();
    assert_eq!(exit, Exit::Status(0), "{output}");
    for when in ["at first", "at last"] {
        assert!(output.contains(&format!("\n{when}: {cpus}")), "{output}");
    }
    machine.shutdown().unwrap();
}

#[test]
fn two_cpus_come_and_go() {
    cpus_come_and_go("vmm-2-cpus", 2, 3);
}

#[test]
#[ignore = "nightly: more of the same"]
fn four_cpus_come_and_go() {
    cpus_come_and_go("vmm-4-cpus", 4, 50);
}

#[test]
#[ignore = "nightly: more of the same"]
fn eight_cpus_come_and_go() {
    cpus_come_and_go("vmm-8-cpus", 8, 20);
}

/// A bare-metal guest tells what SIGP's orders and the resets by DIAGNOSE 0x308
/// do to its CPUs.
#[test]
fn orders_and_resets_do_to_cpus_what_they_should() {
    let machine = boot("vmm-orders", false);
    let vm = Vm::start(&machine, "orders", &[], &ORDERS);
    let (exit, output) = vm.end(LIMIT).unwrap();
    assert_eq!(exit, Exit::Status(0), "{output}");
    assert!(!output.contains("not ok"), "{output}");
    let last = output.lines().rfind(|line| line.starts_with("ok "));
    assert_eq!(
        last.map(str::trim),
        Some("ok 16 load: the other CPU is stopped"),
        "{output}"
    );
    machine.shutdown().unwrap();
}

/// A crash on one CPU of several ends the machine and is told as a crash.
#[test]
#[ignore = "nightly: a panic takes the other CPUs down in order, as above"]
fn a_panic_with_two_cpus_is_a_crash() {
    let machine = boot("vmm-panic", false);
    let line =
        init("mount -t proc p /proc; echo c >/proc/sysrq-trigger").replace("panic=-1", "panic=0");
    let options = [&LINUX[..], &["--cpus", "2", "--cmdline", &line]].concat();
    let vm = Vm::start(&machine, "panic", &[], &options);
    let (exit, output) = vm.end(LIMIT).unwrap();
    assert_eq!(exit, Exit::Status(3), "{output}");
    machine.shutdown().unwrap();
}
