// SPDX-License-Identifier: MIT OR Apache-2.0
//! Devices that come and go while the machine runs.

use super::{LIMIT, PROBE, SHORT, TOPOLOGY, boot_with, mdev};
use harness::vm::Vm;
use harness::{Driver, Exit};
use serde_json::json;

const BOTH: &str = "\"apm\":\"0x0400000000";
const NONE: &str = "\"apm\":\"0x0000000000";

fn a_device_comes_and_goes(name: &str, driver: Driver) {
    let machine = boot_with(name, TOPOLOGY, driver);
    let mut device = mdev(&machine);
    let path = device.path().to_owned();
    let ap = format!("sysfsdev={path},backend=cdev");
    let options = ["--ap", &ap, "--cmdline", "wait-changes=9 exit-after=100"];
    let mut vm = Vm::start(&machine, "attach", &[], &[&PROBE[..], &options].concat());
    vm.until(BOTH, 1, SHORT).unwrap();
    assert_eq!(vm.ask("info").unwrap().unwrap()["ap"], "ap0");

    let attach = |backend: &str| {
        json!({"request": "ap.attach", "sysfsdev": path, "backend": backend}).to_string()
    };
    let mut told = 1;
    for backend in ["group", "cdev"] {
        vm.ask("ap.detach").unwrap().unwrap();
        vm.until(NONE, told, SHORT).unwrap();
        let twice = vm.ask("ap.detach").unwrap();
        assert_eq!(twice, Err("the machine has no AP device".into()));
        vm.ask(&attach(backend)).unwrap().unwrap();
        told += 1;
        vm.until(BOTH, told, SHORT).unwrap();
        let again = vm.ask(&attach(backend)).unwrap().unwrap_err();
        assert!(again.contains("has an AP device already"), "{again}");
    }
    // the probe cannot be asked to end
    assert!(vm.ask("quiesce").unwrap().is_err());
    vm.signal(15);
    let (exit, output) = vm.end(LIMIT).unwrap();
    assert_eq!(exit, Exit::Status(0), "{output}");

    // the host removes it: the guest loses it at once
    for backend in ["cdev", "group"] {
        let ap = format!("sysfsdev={path},backend={backend}");
        let options = ["--ap", &ap, "--cmdline", "wait-changes=1 exit-after=100"];
        let mut vm = Vm::start(&machine, backend, &[], &[&PROBE[..], &options].concat());
        vm.until(BOTH, 1, SHORT).unwrap();
        device.remove().unwrap();
        vm.until(NONE, 1, SHORT).unwrap();
        let (exit, output) = vm.end(LIMIT).unwrap();
        assert_eq!(exit, Exit::Status(0), "{output}");
        device = mdev(&machine);
    }

    // what cannot be is said
    let off = ["--ap-instructions", "off", "--cmdline", "exit-after=100"];
    let mut vm = Vm::start(&machine, "no-ap", &[], &[&PROBE[..], &off].concat());
    vm.until("\"op\":\"waiting\"", 1, SHORT).unwrap();
    let refused = vm.ask(&attach("auto")).unwrap().unwrap_err();
    assert!(
        refused.contains("the guest has no AP instructions"),
        "{refused}"
    );
    vm.signal(15);
    vm.end(LIMIT).unwrap();
    let wrong = [&PROBE[..], &["--ap", "sysfsdev=/sys/none"]].concat();
    let (exit, output) = Vm::start(&machine, "wrong", &[], &wrong)
        .end(SHORT)
        .unwrap();
    assert_eq!(exit, Exit::Status(1), "{output}");
    device.remove().unwrap();
    machine.shutdown().unwrap();
}

#[test]
fn a_device_comes_and_goes_with_the_rust_driver() {
    a_device_comes_and_goes("vmm-attach-rust", Driver::Rust);
}

#[test]
fn a_device_comes_and_goes_with_the_c_driver() {
    a_device_comes_and_goes("vmm-attach-c", Driver::C);
}
