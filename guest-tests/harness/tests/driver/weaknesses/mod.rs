// SPDX-License-Identifier: MIT OR Apache-2.0
//! The C driver's defects, each provoked on both drivers by the same steps.
//! What must be seen is in `harness::evidence`, which makes a table of it.

mod cases;
mod kasan;

use crate::{A, BIND, LIMIT, UNBIND, boot, boot_on, shell, wait_for};
use harness::evidence::{Record, Seen, expected, leave};
use harness::mdev::{Mdev, Resource};
use harness::vfio::VfioClient;
use harness::{Config, Driver, Error, Exit, Machine, config, mdev, qmp};
use l1_protocol::{Command, Event};
use qapi::qmp::{device_add, device_del};
use serde_json::json;

/// What a driver does, in words; leaves the machine as it found it.
type Case = fn(&Machine) -> String;

#[test]
fn the_c_driver_has_them_and_ours_does_not() {
    let c = see_all("weaknesses-c", Driver::C);
    let rust = see_all("weaknesses-rust", Driver::Rust);
    let mut seen = Record::new();
    for ((number, c), (_, rust)) in c.into_iter().zip(rust) {
        seen.insert(number, Seen { c, rust });
    }
    compare_and_leave(seen);
}

fn see_all(name: &str, driver: Driver) -> Vec<(u8, String)> {
    let machine = boot(name, driver);
    // The bus looks by itself every 30 seconds, and may take a fault that is
    // meant for the driver.
    mdev::store(&machine, "/sys/bus/ap/config_time", "120").unwrap();
    let mut seen = Vec::new();
    for (number, case) in cases::ALL {
        seen.push((*number, case(&machine)));
        let left = shell(
            &machine,
            "ls /sys/devices/vfio_ap/matrix | grep -c -- - || true; ls -d /sys/bus/ap/drivers/vfio_ap/??.???? | wc -l; head -c 4 /sys/bus/ap/apmask",
        );
        let left: Vec<&str> = left.lines().collect();
        assert_eq!(left, ["0", "6", "0x00"], "W{number} has not tidied up");
        machine.check_kernel().unwrap();
    }
    machine.shutdown().unwrap();
    seen
}

/// All that differs from what is expected, at once.
fn compare_and_leave(seen: Record) {
    let expected = expected();
    let wrong: Vec<String> = seen
        .iter()
        .filter(|(number, seen)| expected.get(number) != Some(seen))
        .map(|(number, seen)| format!("W{number}: {seen:?}, not {:?}", expected.get(number)))
        .collect();
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
    leave(seen).unwrap();
}

/// iommufd unmaps everything, address 0 among it, when a device is closed.
#[test]
fn w20_unmapping_leaves_queues_without_interrupts_alone() {
    let [c, rust] = [("aqic-c", Driver::C), ("aqic-rust", Driver::Rust)].map(closed_by_iommufd);
    compare_and_leave(Record::from([(20, Seen { c, rust })]));
}

fn closed_by_iommufd((name, driver): (&str, Driver)) -> String {
    let machine = boot(name, driver);
    let mdev = Mdev::create(&machine, A).unwrap();
    mdev.change(true, Resource::Adapter, 5).unwrap();
    mdev.change(true, Resource::Domain, 4).unwrap();
    wait_for(&mdev, "guest_matrix", &["05.0004"]);
    let mut client = VfioClient::start(&machine);
    let open = format!("open dev cdev {}", mdev.path());
    assert_eq!(client.ask(&open).unwrap(), "ok");
    let mark = machine.qmp(qmp::ApAuditMark {}).unwrap().seq;
    // On a machine without AP interrupts AQIC is a specification exception,
    // and one in the kernel ends whoever closes.
    let closed = client.ask("close dev");
    let audit = machine.qmp(qmp::QueryApAudit {
        since: mark,
        apqn: "05.0004".to_owned(),
    });
    let aqic = audit
        .unwrap()
        .entries
        .iter()
        .any(|entry| entry.op == "aqic");
    match machine.check_kernel() {
        Err(Error::Complained { reports, .. }) if closed.is_err() => {
            let first = reports[0].line.contains("specification exception");
            assert!(first, "{reports:?}");
        }
        other => {
            other.unwrap();
            client.end().unwrap();
            mdev.remove().unwrap();
            machine.shutdown().unwrap();
        }
    }
    if closed.is_err() || aqic {
        "AQIC was issued".to_owned()
    } else {
        "no AQIC was issued".to_owned()
    }
}

/// Neither driver loads on a machine without AP; ours goes first, for what C
/// leaves would be found by it.
#[test]
fn w06_a_load_that_fails_leaves_nothing() {
    let machine = Machine::boot(&Config::new("weaknesses-no-ap")).unwrap();
    let module = config::project_root().join("target/hostdrv/release/vfio_ap.ko");
    let module = std::fs::read(module).unwrap();
    machine
        .write_file("/tmp/vfio_ap.ko", 0o644, &module)
        .unwrap();
    shell(&machine, "modprobe mdev");
    let load = |command: &str| {
        let output = machine.shell(command, LIMIT).unwrap();
        assert_ne!(output.exit, Exit::Status(0), "{output:?}");
        let log = "/sys/kernel/debug/s390dbf/vfio_ap";
        let line = format!("if [ -e {log} ]; then echo stays; else echo gone; fi");
        match shell(&machine, &line).trim() {
            "stays" => "the log stays registered".to_owned(),
            _ => "nothing stays".to_owned(),
        }
    };
    let rust = load("insmod /tmp/vfio_ap.ko");
    let c = load("modprobe vfio_ap");
    compare_and_leave(Record::from([(6, Seen { c, rust })]));
    machine.shutdown().unwrap();
}

/// The C driver defers what is bound inside a scan that found something for the
/// same mdev, and forgets it when that something is unassigned before the scan
/// ends. Scans of this machine take long enough to do both.
#[test]
fn w13_a_bind_inside_a_bus_scan_is_not_forgotten() {
    let [c, rust] = [("scan-c", Driver::C), ("scan-rust", Driver::Rust)].map(bound_in_a_scan);
    compare_and_leave(Record::from([(13, Seen { c, rust })]));
}

fn bound_in_a_scan((name, driver): (&str, Driver)) -> String {
    /// Whether the steps fall into the scan is a matter of time.
    const TRIES: usize = 20;
    let ours = driver == Driver::Rust;
    let machine = boot_on("twelve-by-sixteen", 192, name, driver, |_| {});
    mdev::store(&machine, "/sys/bus/ap/config_time", "120").unwrap();
    let mdev = Mdev::create(&machine, A).unwrap();
    let plug = |there: bool| {
        let id = "ap00".to_owned();
        if there {
            let arguments = json!({"apid": 0, "mode": "cca"});
            let command = device_add {
                driver: "ap-cex".to_owned(),
                id: Some(id),
                bus: None,
                arguments: arguments.as_object().cloned().unwrap(),
            };
            machine.qmp(command).unwrap();
        } else {
            machine.qmp(device_del { id }).unwrap();
        }
    };
    let mut seen = "the queue joins";
    for _ in 0..TRIES {
        plug(false);
        shell(
            &machine,
            "cd /sys/bus/ap/devices; while [ -e card00 ]; do usleep 20000; done",
        );
        mdev::store(&machine, UNBIND, "01.0000").unwrap();
        let config = format!("{}/ap_config", mdev.path());
        mdev::store(&machine, &config, "0xc0,0x80,0x00").unwrap();
        wait_for(&mdev, "guest_matrix", &[".0000"]);
        // The adapter is found early in a scan, which goes on to all others.
        let steps = format!(
            "echo; until [ -e /sys/bus/ap/devices/card00 ]; do :; done
             echo 01.0000 >{BIND}; echo 0 >{}/unassign_adapter",
            mdev.path()
        );
        let (id, events) = machine.start(Command {
            argv: ["sh", "-c", &steps].map(str::to_owned).to_vec(),
            ..Command::default()
        });
        // It looks before there is something to see.
        machine.next_within(&events, LIMIT).unwrap();
        plug(true);
        while !matches!(
            machine.next_within(&events, LIMIT).unwrap(),
            Some(Event::Exited { .. })
        ) {}
        machine.client().end(id);
        let scanned = "cd /sys/bus/ap; until [ -e drivers/vfio_ap/00.00ff ]; do usleep 20000; done
                       n=$(cat scans); until [ $(cat scans) != $n ]; do echo 1 >scans; done";
        shell(&machine, scanned);
        if ours {
            wait_for(&mdev, "guest_matrix", &["01.0000"]);
        } else if mdev.lines("guest_matrix").unwrap() != ["01.0000"] {
            seen = "the queue is forgotten";
            break;
        }
    }
    mdev.remove().unwrap();
    machine.shutdown().unwrap();
    seen.to_owned()
}
