// SPDX-License-Identifier: MIT OR Apache-2.0
//! QEMU's own vfio-ap device inside L1 as a second opinion on what a guest of
//! ours sees, and that guests of it see changes. Debian's stable QEMU does not
//! tell its guests, who find a change when they look; its newest does.
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

/// A Linux guest of that QEMU computes, and sees an adapter go and come back: as
/// soon as it is told, or else not before it is asked to look. It does not look by
/// itself: the probe sees to that.
fn a_guest_sees_changes(name: &str, driver: Driver, suite: &str, is_told: bool) {
    const SOON: Duration = Duration::from_secs(5);
    let machine = boot(name, driver, suite);
    let mdev = Mdev::create(&machine, UUID).unwrap();
    for number in [1, 5] {
        mdev.change(true, Resource::Adapter, number).unwrap();
    }
    mdev.change(true, Resource::Domain, 4).unwrap();
    let line = format!(
        "chroot /mnt/root /usr/bin/qemu-system-s390x -accel kvm -cpu host,ap=on,apqci=on,apft=on \
         -machine s390-ccw-virtio -m 256M -nodefaults -display none -kernel /mnt/host/guest-kernel \
         -initrd /mnt/host/guest-initramfs -chardev stdio,id=c -device sclpconsole,chardev=c \
         -device vfio-ap,sysfsdev={} -append",
        mdev.path()
    );
    let mut argv: Vec<String> = line.split_whitespace().map(str::to_owned).collect();
    argv.push("console=ttysclp0 quiet loglevel=3 commands=on".to_owned());
    let mut vm = Vm::other(&machine, argv);
    vm.until("\"op\":\"ready\",\"config_time\":\"120\"", 1, LIMIT)
        .unwrap();
    assert!(vm.output().contains("\"apm\":\"0x4400"), "{}", vm.output());
    vm.write(b"1 crypto 05.0004 3\n".to_vec());
    let right = "\"id\":1,\"apqn\":\"05.0004\",\"requests\":3,\"ok\":3";
    vm.until(right, 1, LIMIT).unwrap();
    for (id, on, mask) in [(2, false, "0x0400"), (3, true, "0x4400")] {
        mdev.change(on, Resource::Adapter, 1).unwrap();
        let told = vm.until(&format!("\"why\":\"event\",\"apm\":\"{mask}"), 1, SOON);
        assert_eq!(told.is_ok(), is_told, "{}", vm.output());
        vm.write(format!("{id} query\n").into_bytes());
        let found = format!("\"why\":\"query\",\"id\":{id},\"apm\":\"{mask}");
        vm.until(&found, 1, LIMIT).unwrap();
    }
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
    a_guest_sees_changes("qemu-peer-stable", Driver::Rust, "trixie", false);
}

#[test]
#[ignore = "nightly: needs Debian's newest QEMU for s390x, by SUITE=sid make l1-root"]
fn a_guest_that_is_told_sees_changes_with_the_rust_driver() {
    a_guest_sees_changes("qemu-peer-newest", Driver::Rust, "sid", true);
}
