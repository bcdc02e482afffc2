// SPDX-License-Identifier: MIT OR Apache-2.0
//! What the change logs of the vfio_ap series fixed, and what its two patches to
//! the AP bus ask of the driver, each on ours.

use crate::storm::at_once;
use crate::{
    A, APMASK, AQMASK, B, BIND, LIMIT, UNBIND, boot, client, domains, done_to, mark, refused,
    shell, until, wait_for,
};
use harness::mdev::{Mdev, Resource, store};
use harness::vfio::VfioClient;
use harness::{Driver, Machine};
use qapi::qmp::{cont, device_add, device_del, stop};
use serde_json::json;

/// All six queues but those of adapter 7.
const FOUR: [&str; 4] = ["05.0004", "05.0005", "06.0004", "06.0005"];

/// An mdev with adapters 5 and 6 by domains 4 and 5, and control domains.
fn four<'a>(machine: &'a Machine, uuid: &str) -> Mdev<'a> {
    let mdev = Mdev::create(machine, uuid).unwrap();
    configure(machine, &mdev, "0x06,0x0c,0x0d");
    wait_for(&mdev, "guest_matrix", &FOUR);
    mdev
}

fn configure(machine: &Machine, mdev: &Mdev, masks: &str) {
    store(machine, &format!("{}/ap_config", mdev.path()), masks).unwrap();
}

/// Assignments take the bus's lock first, as its question does (v12, v13).
#[test]
fn assignments_and_edits_of_apmask_do_not_deadlock() {
    let machine = boot("fixes-deadlock", Driver::Rust);
    let mdev = Mdev::create(&machine, A).unwrap();
    mdev.change(true, Resource::Domain, 4).unwrap();
    at_once(
        &machine,
        &[
            "echo 5 >$A/assign_adapter; echo 5 >$A/unassign_adapter",
            "echo 5 >$A/assign_domain; echo 5 >$A/unassign_domain",
            "echo +5 >/sys/bus/ap/apmask; echo -5 >/sys/bus/ap/apmask",
            "echo +4 >/sys/bus/ap/aqmask; echo -4 >/sys/bus/ap/aqmask",
        ],
        || {},
    );
    // Whoever came last has it: the other is refused.
    store(&machine, APMASK, "-5").unwrap();
    store(&machine, AQMASK, "+4").unwrap();
    mdev.change(true, Resource::Adapter, 5).unwrap();
    assert_eq!(
        refused(&machine, APMASK, "+5"),
        "Device or resource busy",
        "the bus asks"
    );
    mdev.change(false, Resource::Adapter, 5).unwrap();
    store(&machine, APMASK, "+5").unwrap();
    let path = format!("{}/assign_adapter", mdev.path());
    let words = "Cannot assign requested address";
    assert_eq!(refused(&machine, &path, "5"), words);
    mdev.remove().unwrap();
    machine.shutdown().unwrap();
}

/// A queue that is bound by hand brings its adapter, and costs no other (v9).
#[test]
fn a_manual_bind_costs_a_guest_no_queue() {
    let machine = boot("fixes-bind", Driver::Rust);
    let mdev = four(&machine, A);
    let mut client = client(&machine, &mdev);
    store(&machine, UNBIND, "05.0004").unwrap();
    wait_for(&mdev, "guest_matrix", &["06.0004", "06.0005"]);
    assert_eq!(client.ask("masks").unwrap(), "0x02,0x0c,0x0d");
    let since = mark(&machine);
    store(&machine, BIND, "05.0004").unwrap();
    wait_for(&mdev, "guest_matrix", &FOUR);
    assert_eq!(client.ask("masks").unwrap(), "0x06,0x0c,0x0d");
    for queue in ["06.0004", "06.0005"] {
        assert_eq!(done_to(&machine, queue, since), [], "{queue}");
    }
    // What the guest gained was reset for it, and the other queue of that
    // adapter when it left.
    let reset = [("zapq".to_owned(), 0), ("reset-done".to_owned(), 0)];
    assert_eq!(done_to(&machine, "05.0004", since), reset);
    client.end().unwrap();
    mdev.remove().unwrap();
    machine.shutdown().unwrap();
}

/// Patch 10: the bus asks the driver before it takes queues for the host's.
#[test]
fn the_bus_asks_before_it_takes_queues() {
    let machine = boot("fixes-in-use", Driver::Rust);
    let (one, two) = (four(&machine, A), Mdev::create(&machine, B).unwrap());
    two.change(true, Resource::Adapter, 9).unwrap();
    two.change(true, Resource::Domain, 0x20).unwrap();
    let all = format!("0x{}", "f".repeat(64));
    let is_refused = |mask: &str, text: &str, mdev: &str, queues: &str| {
        let before = shell(&machine, &format!("dmesg -c >/dev/null; cat {mask}"));
        assert_eq!(refused(&machine, mask, text), "Device or resource busy");
        assert_eq!(shell(&machine, &format!("cat {mask}")), before);
        let log = shell(&machine, "dmesg -c | grep 'Can not reserve'");
        let words = format!("Can not reserve queue {queues} for host driver: in use by mdev");
        assert!(log.contains(mdev) && log.contains(&words), "{log}");
        assert_eq!(log.lines().count(), 1, "{log}");
    };
    // A queue is the host's if it is in both masks; the bus asks as if all were
    // in the one that is not edited.
    is_refused(APMASK, "+5", A, "05.0004 and 1 more");
    is_refused(APMASK, "+6,+200", A, "06.0004 and 1 more");
    is_refused(APMASK, &all, A, "05.0004 and 3 more");
    // one that is not there is kept as well
    is_refused(APMASK, "+9", B, "09.0020");
    store(&machine, APMASK, "+7").unwrap();
    store(&machine, APMASK, "-7").unwrap();
    store(&machine, AQMASK, "0x0").unwrap();
    is_refused(AQMASK, "+4", A, "05.0004 and 1 more");
    is_refused(AQMASK, &all, A, "05.0004 and 3 more");
    is_refused(AQMASK, "+32", B, "09.0020");
    store(&machine, AQMASK, "+9").unwrap();
    assert_eq!(one.lines("guest_matrix").unwrap(), FOUR);
    one.remove().unwrap();
    store(&machine, AQMASK, "+4").unwrap();
    two.remove().unwrap();
    machine.shutdown().unwrap();
}

/// Patch 12: the bus tells of what comes and goes, however much at once. The
/// machine stands still while it changes, so that one scan finds all of it.
#[test]
fn changes_in_bulk_are_followed() {
    let machine = boot("fixes-bulk", Driver::Rust);
    let mdev = four(&machine, A);
    let mut client = client(&machine, &mdev);
    let standing = |change: &dyn Fn()| {
        machine.qmp(stop {}).unwrap();
        change();
        machine.qmp(cont {}).unwrap();
    };
    standing(&|| {
        for id in ["ap05", "ap07"] {
            let id = id.to_owned();
            machine.qmp(device_del { id }).unwrap();
        }
        domains(&machine, "4", "4,5");
    });
    wait_for(&mdev, "guest_matrix", &["06.0004"]);
    let lost = [
        "adapter 05 not-in-host",
        "domain 0005 not-in-host",
        "control-domain 0007 not-in-host",
    ];
    wait_for(&mdev, "explain", &lost);
    // All that the host lost the guest lost in one step.
    assert_eq!(client.ask("masks").unwrap(), "0x02,0x08,0x0c");
    standing(&|| {
        for (id, apid) in [("ap05", 5), ("ap07", 7), ("ap08", 8)] {
            let arguments = json!({"apid": apid, "mode": "cca"});
            let command = device_add {
                driver: "ap-cex".to_owned(),
                id: Some(id.to_owned()),
                bus: None,
                arguments: arguments.as_object().cloned().unwrap(),
            };
            machine.qmp(command).unwrap();
        }
        domains(&machine, "4,5", "4,5,7");
    });
    wait_for(&mdev, "guest_matrix", &FOUR);
    wait_for(&mdev, "explain", &[]);
    // It comes as its queues are reset, and nothing that was there goes.
    let masks = client.ask("masks").unwrap();
    assert!(masks.ends_with("0x06,0x0c,0x0d"), "{masks}");
    for step in masks.split("; ") {
        assert!(["0x02", "0x06"].contains(&&step[..4]), "{masks}");
    }
    client.end().unwrap();
    // The new adapter can be had like the others.
    configure(&machine, &mdev, "0x0080,0x0c,0");
    wait_for(&mdev, "guest_matrix", &["08.0004", "08.0005"]);
    mdev.remove().unwrap();
    machine.shutdown().unwrap();
}

/// Patch 1: what a VMM had is taken back when it dies, however it does.
#[test]
fn a_killed_vmm_leaves_nothing() {
    let machine = boot("fixes-killed", Driver::Rust);
    let mdev = four(&machine, A);
    let status = "cat /sys/bus/ap/devices/05.0004/status";
    let client = client(&machine, &mdev);
    assert_eq!(shell(&machine, status), "in use\n");
    let since = mark(&machine);
    client.kill();
    until("the queues are given back", || {
        shell(&machine, status) == "assigned\n"
    });
    for queue in FOUR {
        let done = || done_to(&machine, queue, since);
        until("the reset is done", || {
            done().iter().any(|(op, _)| op == "reset-done")
        });
        assert_eq!(done().first(), Some(&("zapq".to_owned(), 0)), "{queue}");
    }
    drop(client);
    // Another can have it once the dead one has let go, and it can be removed.
    let mut again = VfioClient::start(&machine);
    let open = format!("open dev group {}", mdev.path());
    until("another can open it", || again.ask(&open).unwrap() == "ok");
    assert_eq!(mdev.lines("guest_matrix").unwrap(), FOUR);
    again.end().unwrap();
    mdev.remove().unwrap();
    let limit = LIMIT.as_secs();
    shell(&machine, &format!("timeout {limit} rmmod vfio_ap"));
    machine.shutdown().unwrap();
}
