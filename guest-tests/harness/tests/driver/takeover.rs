// SPDX-License-Identifier: MIT OR Apache-2.0
//! The other way to give queues to vfio_ap: `driver_override`, which the bus
//! does not mix with its masks. When one is cleared the bus takes the queue
//! without asking.

use crate::{A, APMASK, boot, boot_with, debug, set_override, shell, until, wait_for};
use harness::mdev::{Mdev, store};
use harness::vfio::VfioClient;
use harness::{Driver, Machine, qmp};

#[test]
fn a_queue_is_reset_before_its_next_driver_has_it() {
    takeover(boot("takeover", Driver::Rust));
}

#[test]
#[ignore = "nightly: needs the debug kernel"]
fn a_queue_is_reset_before_its_next_driver_has_it_on_the_debug_kernel() {
    takeover(boot_with("takeover-debug", Driver::Rust, debug));
}

fn takeover(machine: Machine) {
    let refused = set_override(&machine, "05.0004", "vfio_ap").unwrap_err();
    assert!(refused.to_string().ends_with("Invalid argument"));
    store(&machine, APMASK, &format!("0x{}", "f".repeat(64))).unwrap();
    set_override(&machine, "05.0004", "vfio_ap").unwrap();
    let refused = store(&machine, APMASK, "-200").unwrap_err();
    assert!(refused.to_string().ends_with("Invalid argument"));
    shell(
        &machine,
        "cd /sys/bus/ap/drivers; echo 05.0004 >cex4queue/unbind; echo 05.0004 >vfio_ap/bind",
    );

    let mdev = Mdev::create(&machine, A).unwrap();
    let config = format!("{}/ap_config", mdev.path());
    store(&machine, &config, "0x04,0x08,0").unwrap();
    wait_for(&mdev, "guest_matrix", &["05.0004"]);
    let mut client = VfioClient::start(&machine);
    let open = format!("open dev group {}", mdev.path());
    assert_eq!(client.ask(&open).unwrap(), "ok");
    client.ask("masks").unwrap();

    let mark = machine.qmp(qmp::ApAuditMark {}).unwrap().seq;
    let fault = "[[fault]]\napqn = \"05.0004\"\non = \"zapq\"\ndelay-ms = 500\ntimes = 1";
    let faults = fault.to_owned();
    machine.qmp(qmp::ApInject { faults }).unwrap();
    set_override(&machine, "05.0004", "").unwrap();
    assert_eq!(mdev.lines("guest_matrix").unwrap(), ["05.0004"]);
    // Any edit of a mask makes the bus look at whose every queue is.
    store(&machine, APMASK, "-200").unwrap();
    until("cex4queue has the queue", || {
        let driver = "basename $(readlink /sys/bus/ap/devices/05.0004/driver)";
        shell(&machine, driver).trim() == "cex4queue"
    });
    assert_eq!(client.ask("masks").unwrap(), "0x00,0x08,0x00");
    let line = "adapter 05 queue-not-bound 05.0004 cex4queue";
    wait_for(&mdev, "explain", &[line]);

    let audit = machine.qmp(qmp::QueryApAudit {
        since: mark,
        apqn: "05.0004".to_owned(),
    });
    let entries = audit.unwrap().entries;
    let ops: Vec<&str> = entries.iter().map(|entry| entry.op.as_str()).collect();
    let zapq = ops.iter().position(|op| *op == "zapq").unwrap();
    let done = ops.iter().position(|op| *op == "reset-done").unwrap();
    assert_eq!(entries[done].length, 2, "{ops:?}");
    // The bus begins with a RAPQ when a driver of its own has the queue.
    let next = ops
        .iter()
        .position(|op| ["rapq", "nqap", "dqap", "aqic"].contains(op))
        .unwrap();
    assert!(zapq < done && done < next, "{ops:?}");
    client.end().unwrap();
    mdev.remove().unwrap();
    machine.shutdown().unwrap();
}
