// SPDX-License-Identifier: MIT OR Apache-2.0
//! QEMU's own vfio-ap device inside L1 as a second opinion on what a guest of
//! ours sees, and that guests of it see changes. Debian's stable QEMU does not
//! tell its guests, who find a change at their own next scan; its newest does.
//! It needs Debian's QEMU for s390x, so it is part of the nightly run.

use harness::config::project_root;
use harness::mdev::{Mdev, Resource, reserve_all};
use harness::vm::Vm;
use harness::{Config, Driver, Machine};
use std::time::Duration;

const LIMIT: Duration = Duration::from_secs(120);
const UUID: &str = "5fb1ad1a-0000-4000-8000-000000000002";

/// What the guest said of its AP configuration, without the time.
fn configuration(machine: &Machine, command: &str) -> String {
    let output = machine.shell(command, LIMIT).unwrap();
    let line = output.stdout.lines().find(|l| l.contains("\"op\":\"QCI\""));
    let line = line.unwrap_or_else(|| panic!("no QCI from `{command}`: {output:?}"));
    line.split_once(",\"op\"").unwrap().1.to_owned()
}

fn boot(name: &str, driver: Driver, suite: &str) -> Machine {
    let (folder, variable) = match suite {
        "trixie" => ("target/l1-root".to_owned(), String::new()),
        other => (format!("target/l1-root-{other}"), format!("SUITE={other} ")),
    };
    let root = project_root().join(folder);
    assert!(
        root.join("usr/bin/qemu-system-s390x").exists(),
        "run `make nightly`, which makes it, or `{variable}make l1-root PACKAGES=qemu-system-s390x`"
    );
    let mut config = Config::new(name);
    config.driver = driver;
    config.root = Some(root);
    config.topology = Some(project_root().join("guest-tests/topologies/twelve-by-sixteen.toml"));
    let machine = Machine::boot(&config).unwrap();
    reserve_all(&machine).unwrap();
    machine
}

/// A Linux guest of that QEMU sees an adapter go and come back.
fn a_guest_sees_changes(name: &str, driver: Driver, suite: &str) {
    // a guest that is not told scans every half minute
    const SCANS: Duration = Duration::from_secs(180);
    let machine = boot(name, driver, suite);
    let mdev = Mdev::create(&machine, UUID).unwrap();
    for number in [1, 5] {
        mdev.change(true, Resource::Adapter, number).unwrap();
    }
    mdev.change(true, Resource::Domain, 4).unwrap();
    let init = "console=ttysclp0 quiet rdinit=/bin/sh -- -c \"mount -t sysfs s /sys; \
         while true; do echo now $(cat /sys/bus/ap/ap_adapter_mask); usleep 500000; done\"";
    let line = format!(
        "chroot /mnt/root /usr/bin/qemu-system-s390x -accel kvm -cpu host,ap=on,apqci=on,apft=on \
         -machine s390-ccw-virtio -m 256M -nodefaults -display none -kernel /mnt/host/guest-kernel \
         -initrd /mnt/host/guest-initramfs -chardev stdio,id=c -device sclpconsole,chardev=c \
         -device vfio-ap,sysfsdev={} -append",
        mdev.path()
    );
    let mut argv: Vec<String> = line.split_whitespace().map(str::to_owned).collect();
    argv.push(init.to_owned());
    let mut vm = Vm::other(&machine, argv);
    vm.until("now 0x4400", 1, LIMIT).unwrap();
    mdev.change(false, Resource::Adapter, 1).unwrap();
    vm.until("now 0x0400", 1, SCANS).unwrap();
    let before = vm.output().matches("now 0x4400").count();
    mdev.change(true, Resource::Adapter, 1).unwrap();
    vm.until("now 0x4400", before + 1, SCANS).unwrap();
    vm.signal(9);
    vm.end(LIMIT).unwrap();
    machine.shutdown().unwrap();
}

fn both_see_the_same(name: &str, driver: Driver) {
    let machine = boot(name, driver, "trixie");
    let mdev = Mdev::create(&machine, UUID).unwrap();
    for number in [1, 5] {
        mdev.change(true, Resource::Adapter, number).unwrap();
    }
    for number in [4, 0x47] {
        mdev.change(true, Resource::Domain, number).unwrap();
        mdev.change(true, Resource::ControlDomain, number).unwrap();
    }
    let path = mdev.path();
    let ours = configuration(
        &machine,
        &format!(
            "/mnt/host/apvmm run --kernel /mnt/host/probe --memory 64M --console stdio --ap sysfsdev={path}"
        ),
    );
    let theirs = configuration(
        &machine,
        &format!(
            "chroot /mnt/root /usr/bin/qemu-system-s390x -accel kvm -cpu host,ap=on,apqci=on,apft=on \
             -machine s390-ccw-virtio -m 128M -nodefaults -display none -kernel /mnt/host/probe \
             -chardev stdio,id=c -device sclpconsole,chardev=c -device vfio-ap,sysfsdev={path}"
        ),
    );
    assert_eq!(ours, theirs);
    assert!(ours.contains("\"apm\":\"0x4400"), "{ours}");
    machine.shutdown().unwrap();
}

#[test]
#[ignore = "needs Debian's QEMU for s390x; make nightly runs it"]
fn qemu_sees_what_apvmm_sees_with_the_stock_driver() {
    both_see_the_same("qemu-peer-c", Driver::C);
}

#[test]
#[ignore = "needs Debian's QEMU for s390x; make nightly runs it"]
fn qemu_sees_what_apvmm_sees_with_the_rust_driver() {
    both_see_the_same("qemu-peer-rust", Driver::Rust);
}

#[test]
#[ignore = "needs Debian's QEMU for s390x; make nightly runs it"]
fn a_guest_that_is_not_told_sees_changes_with_the_rust_driver() {
    a_guest_sees_changes("qemu-peer-stable", Driver::Rust, "trixie");
}

#[test]
#[ignore = "nightly: needs Debian's newest QEMU for s390x, by SUITE=sid make l1-root"]
fn a_guest_that_is_told_sees_changes_with_the_rust_driver() {
    a_guest_sees_changes("qemu-peer-newest", Driver::Rust, "sid");
}
