// SPDX-License-Identifier: MIT OR Apache-2.0
//! The module goes while its queues are being reset, and comes back.

use crate::{A, LIMIT, boot, boot_with, debug, shell, wait_for};
use harness::mdev::{Mdev, Resource};
use harness::vfio::VfioClient;
use harness::{Driver, Exit, Machine};
use std::collections::BTreeSet;

/// Every other round leaves no time for the resets that begin with it.
const ROUNDS: &str = r#"
set -e
M=/sys/devices/vfio_ap/matrix
n=0
while [ $n -lt 12 ]; do
  echo $A >$M/mdev_supported_types/vfio_ap-passthrough/create
  echo 0x07,0x0c,0x01 >$M/$A/ap_config &
  [ $((n % 2)) = 1 ] || wait
  rmmod vfio_ap
  wait
  [ ! -e $M ]
  [ ! -e /sys/bus/ap/drivers/vfio_ap ]
  insmod /tmp/vfio_ap.ko
  n=$((n + 1))
done
ls -d /sys/bus/ap/drivers/vfio_ap/??.???? | wc -l
"#;

#[test]
fn the_module_can_go_at_any_time() {
    reload(boot("reload", Driver::Rust));
}

#[test]
#[ignore = "nightly: needs the debug kernel"]
fn the_module_can_go_at_any_time_on_the_debug_kernel() {
    reload(boot_with("reload-debug", Driver::Rust, debug));
}

fn reload(machine: Machine) {
    it_tells_what_it_does(&machine);
    let script = format!("A={A}\n{ROUNDS}");
    let output = machine.shell(&script, LIMIT).unwrap();
    assert_eq!(output.exit, Exit::Status(0), "{output:?}");
    assert_eq!(output.stdout.trim(), "6");
    it_is_not_the_c_driver(&machine);
    // Nothing but on the debug kernel.
    machine.check_leaks().unwrap();
    // Complains if the kernel did.
    machine.shutdown().unwrap();
}

/// The log has an entry for each assignment, filtering, publication and reset.
fn it_tells_what_it_does(machine: &Machine) {
    let log = "/sys/kernel/debug/s390dbf/vfio_ap";
    shell(
        machine,
        &format!("echo 6 >{log}/level; echo 8 >{log}/pages"),
    );
    let mdev = Mdev::create(machine, A).unwrap();
    mdev.change(true, Resource::Adapter, 5).unwrap();
    mdev.change(true, Resource::Domain, 4).unwrap();
    wait_for(&mdev, "guest_matrix", &["05.0004"]);
    let mut client = VfioClient::start(machine);
    let open = format!("open dev group {}", mdev.path());
    assert_eq!(client.ask(&open).unwrap(), "ok");
    client.end().unwrap();
    mdev.remove().unwrap();
    let log = shell(machine, &format!("cat {log}/sprintf"));
    let uuid = A.replace('-', "");
    for entry in [
        &format!(" 1: created as {uuid}"),
        " 1: assign adapter 05: 0",
        " 1: assign domain 0004: 0",
        // without a guest
        " 1: filtered: 1 of 1 adapters, 0 of 0 domains",
        " 1: filtered: 1 of 1 adapters, 1 of 1 domains",
        " 1: published apm 0400000000000000 0000000000000000",
        " 1: published aqm 0800000000000000 0000000000000000",
        " 1: published apm 0000000000000000 0000000000000000",
        "queue 0504: reset ",
    ] {
        assert!(log.contains(entry), "no `{entry}` in {log}");
    }
    assert!(log.contains(" done, rc 00"), "{log}");
}

/// Functions of the module that is loaded.
fn functions(machine: &Machine) -> BTreeSet<String> {
    let kallsyms = shell(machine, "grep -w 'vfio_ap\\]' /proc/kallsyms");
    let symbol = |line: &str| {
        let words: Vec<&str> = line.split_whitespace().collect();
        match words[..] {
            [_, "t" | "T", name, _] => Some(name.to_owned()),
            _ => None,
        }
    };
    kallsyms.lines().filter_map(symbol).collect()
}

/// Ours has names mangled by Rust and those of the shim, none of the C driver's.
fn it_is_not_the_c_driver(machine: &Machine) {
    let ours = functions(machine);
    shell(machine, "rmmod vfio_ap; modprobe vfio_ap");
    let theirs = functions(machine);
    assert!(theirs.contains("vfio_ap_mdev_probe_queue"), "{theirs:?}");
    // What every module has, the last two with KASAN.
    let every = [
        "init_module",
        "cleanup_module",
        "asan.module_ctor",
        "asan.module_dtor",
    ]
    .map(str::to_owned);
    let common: Vec<&String> = ours
        .intersection(&theirs)
        .filter(|name| !every.contains(name))
        .collect();
    assert!(common.is_empty(), "{common:?}");
    let rust = ours.iter().filter(|name| name.starts_with("_R")).count();
    assert!(rust > ours.len() / 2, "{ours:?}");
}
