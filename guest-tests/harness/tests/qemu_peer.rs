// SPDX-License-Identifier: MIT OR Apache-2.0
//! QEMU's own vfio-ap device inside L1 as a second opinion on what a guest of
//! ours sees. It needs Debian's QEMU for s390x, so it is part of the nightly
//! run.

use harness::config::project_root;
use harness::mdev::{Mdev, Resource, reserve_all};
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

fn both_see_the_same(name: &str, driver: Driver) {
    let root = project_root().join("target/l1-root");
    assert!(
        root.join("usr/bin/qemu-system-s390x").exists(),
        "run `make nightly`, which makes it, or `make l1-root PACKAGES=qemu-system-s390x`"
    );
    let mut config = Config::new(name);
    config.driver = driver;
    config.root = Some(root);
    config.topology = Some(project_root().join("guest-tests/topologies/twelve-by-sixteen.toml"));
    let machine = Machine::boot(&config).unwrap();
    reserve_all(&machine).unwrap();
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
