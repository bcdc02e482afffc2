// SPDX-License-Identifier: MIT OR Apache-2.0
//! What a running apvmm may do, and who may run it.

use super::{LIMIT, ORDERS, PROBE, SHORT, TOPOLOGY, boot, boot_with, mdev};
use harness::mdev::Resource;
use harness::vm::Vm;
use harness::{Config, Driver, Exit, Machine, Output};
use serde_json::json;

const CONFINED: &str = "/mnt/host/confined";
const BOTH: &str = "\"apm\":\"0x0400";
const NONE: &str = "\"apm\":\"0x0000";

fn shell(machine: &Machine, line: &str) -> Output {
    machine.shell(&format!("{line}; exit $?"), SHORT).unwrap()
}

/// Each thread of apvmm has all these lines in its status: that of a CPU, that of
/// the console, and the first.
fn assert_threads(machine: &Machine, lines: &[&str]) {
    let status = shell(machine, "cat /proc/$(pidof apvmm)/task/*/status").stdout;
    for line in lines.iter().chain(&["NoNewPrivs:\t1", "Seccomp:\t2"]) {
        let count = status.lines().filter(|l| l == line).count();
        assert_eq!(count, 3, "{line}: {status}");
    }
}

#[test]
fn a_user_with_the_nodes_runs_a_confined_machine() {
    const NO_CAPABILITY: [&str; 2] = ["CapPrm:\t0000000000000000", "CapEff:\t0000000000000000"];
    let machine = boot_with("vmm-confined", TOPOLOGY, Driver::Rust);
    let mdev = mdev(&machine);
    let as_user = [CONFINED, "as", "1000"];

    let ap = format!("sysfsdev={}", mdev.path());
    let options = ["--ap", &ap, "--cmdline", "wait-changes=1 exit-after=100"];
    let mut vm = Vm::start(&machine, "root", &[], &[&PROBE[..], &options].concat());
    vm.until(BOTH, 1, SHORT).unwrap();
    let bounds = "CapBnd:\t0000000000000000";
    assert_threads(&machine, &[&NO_CAPABILITY[..], &[bounds]].concat());
    vm.signal(15);
    let (exit, output) = vm.end(LIMIT).unwrap();
    assert_eq!(exit, Exit::Status(0), "{output}");

    let device = "cd /dev/vfio; chown 1000 /dev/kvm /dev/vfio/[0-9]* devices/* /dev/iommu";
    assert_eq!(shell(&machine, device).exit, Exit::Status(0));
    for backend in ["group", "cdev"] {
        let ap = format!("sysfsdev={},backend={backend}", mdev.path());
        let options = ["--ap", &ap, "--cmdline", "wait-changes=1 exit-after=100"];
        let all = [&PROBE[..], &options].concat();
        let mut vm = Vm::start(&machine, backend, &as_user, &all);
        vm.until(BOTH, 1, SHORT).unwrap();
        let user = "Uid:\t1000\t1000\t1000\t1000";
        assert_threads(&machine, &[&NO_CAPABILITY[..], &[user]].concat());
        // it uses its queues before
        vm.until("\"op\":\"waiting\"", 1, SHORT).unwrap();
        mdev.change(false, Resource::Domain, 0x47).unwrap();
        let (exit, output) = vm.end(LIMIT).unwrap();
        assert_eq!(exit, Exit::Status(0), "{output}");
        mdev.change(true, Resource::Domain, 0x47).unwrap();
    }

    // the sandbox leaves what attaching takes
    let options = ["--ap-instructions", "on", "--cmdline"];
    let line = ["wait-changes=9 exit-after=200"];
    let all = [&PROBE[..], &options, &line].concat();
    let mut vm = Vm::start(&machine, "later", &as_user, &all);
    vm.until(NONE, 1, SHORT).unwrap();
    for (times, backend) in (1..).zip(["group", "cdev"]) {
        let attach = json!({"request": "ap.attach", "sysfsdev": mdev.path(), "backend": backend});
        vm.ask(&attach.to_string()).unwrap().unwrap();
        vm.until(BOTH, times, SHORT).unwrap();
        vm.ask("ap.detach").unwrap().unwrap();
        vm.until(NONE, times + 1, SHORT).unwrap();
    }
    vm.signal(15);
    let (exit, output) = vm.end(LIMIT).unwrap();
    assert_eq!(exit, Exit::Status(0), "{output}");

    // without the nodes it is the host that refuses
    let withhold = "chown 0 /dev/kvm; chmod 600 /dev/kvm";
    assert_eq!(shell(&machine, withhold).exit, Exit::Status(0));
    let vm = Vm::start(&machine, "refused", &as_user, &PROBE);
    let (exit, output) = vm.end(SHORT).unwrap();
    assert_eq!(exit, Exit::Status(2), "{output}");
    assert!(output.contains("open /dev/kvm"), "{output}");
    mdev.remove().unwrap();
    machine.shutdown().unwrap();
}

/// What the sandbox leaves, what it refuses, and what it kills.
#[test]
fn the_sandbox_leaves_what_a_machine_needs() {
    const EACCES: i32 = 13;
    const SIGSYS: i32 = 31;
    let killed = Exit::Status(128 + SIGSYS);
    let machine = boot("vmm-sandbox", false);
    for (action, exit) in [
        ("open /dev/iommu", Exit::Status(0)),
        ("open /sys/kernel/uevent_seqnum", Exit::Status(0)),
        ("thread", Exit::Status(0)),
        ("write /sys/bus/cpu/drivers_autoprobe", Exit::Status(EACCES)),
        ("open /proc/cmdline", Exit::Status(EACCES)),
        ("open /dev/kvm", Exit::Status(EACCES)),
        ("socket", killed.clone()),
        ("exec /bin/busybox", killed.clone()),
        ("spawn /bin/busybox", killed),
    ] {
        let output = shell(&machine, &format!("{CONFINED} {action}"));
        assert_eq!(output.exit, exit, "{action}: {output:?}");
    }
    machine.shutdown().unwrap();
}

/// A sandbox that is wanted and cannot be had is an error.
#[test]
fn a_kernel_without_landlock_is_refused() {
    let mut config = Config::new("vmm-no-landlock");
    config.append = "lsm=capability".into();
    let machine = Machine::boot(&config).unwrap();
    let vm = Vm::start(&machine, "confined", &[], &ORDERS);
    let (exit, output) = vm.end(SHORT).unwrap();
    assert_eq!(exit, Exit::Status(2), "{output}");
    assert!(output.contains("this kernel has no Landlock"), "{output}");
    let off = [&ORDERS[..], &["--sandbox", "off"]].concat();
    let vm = Vm::start(&machine, "unconfined", &[], &off);
    let (exit, output) = vm.end(SHORT).unwrap();
    assert_eq!(exit, Exit::Status(0), "{output}");
    machine.shutdown().unwrap();
}
