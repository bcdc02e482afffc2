// SPDX-License-Identifier: MIT OR Apache-2.0
//! What a guest is told of changes, and when.

use super::{LIMIT, LINUX, PROBE, SHORT, UUID, boot, boot_with, mdev};
use harness::mdev::{Mdev, Resource, reserve_all, store};
use harness::vm::Vm;
use harness::{Driver, Exit, Machine};
use serde_json::json;
use std::time::{Duration, Instant};

/// What apvmm's event log says why the guest was told of changes, and when.
fn notifications(machine: &Machine) -> Vec<(String, u64)> {
    let log = machine.shell("cat /tmp/events", SHORT).unwrap().stdout;
    // the last line may not be whole yet
    let lines = log.lines().filter_map(|l| serde_json::from_str(l).ok());
    let told = lines.filter(|l: &serde_json::Value| l["event"] == "notify");
    told.map(|l| {
        (
            l["reason"].as_str().unwrap().to_owned(),
            l["ns"].as_u64().unwrap(),
        )
    })
    .collect()
}

/// Waits until the guest has taken all that it was told; returns how often.
fn taken(vm: &Vm<'_>) -> u64 {
    let end = Instant::now() + SHORT;
    loop {
        let metrics = vm.ask("metrics").unwrap().unwrap();
        let count = |name: &str| metrics["ap"][name].as_u64().unwrap();
        if count("events-read") == count("notified") {
            return count("notified");
        }
        assert!(Instant::now() < end, "{metrics}");
    }
}

/// Waits until the guest has been told of this many last changes once more, or of more
/// if there was time between them.
fn trailing(machine: &Machine, count: usize) -> Vec<(String, u64)> {
    let line =
        format!("until [ $(grep -c trailing /tmp/events) -ge {count} ]; do usleep 50000; done");
    assert_eq!(machine.shell(&line, SHORT).unwrap().exit, Exit::Status(0));
    notifications(machine)
}

/// A guest that was busy when it was told is told once more, after the last of
/// several changes; all that happens is in the log of a machine that a file
/// describes.
#[test]
fn a_described_machine_is_told_of_the_last_change_once_more() {
    const PAUSE_NS: u64 = 2_000_000_000;
    let machine = boot("vmm-described", true);
    let mdev = mdev(&machine);
    let description = json!({
        "kernel": "/mnt/host/probe", "cmdline": "crypto=off wait-events=100 exit-after=200",
        "memory": {"size": "64M"}, "ap": {"sysfsdev": mdev.path()}, "events": "/tmp/events",
    });
    let file = description.to_string();
    machine
        .write_file("/tmp/vm.json", 0o644, file.as_bytes())
        .unwrap();
    let mut vm = Vm::start(&machine, "described", &[], &["--machine", "/tmp/vm.json"]);
    vm.until("\"apm\":\"0x0400", 1, SHORT).unwrap();
    vm.ask("ap.notify").unwrap().unwrap();
    taken(&vm);
    let told = trailing(&machine, 1);
    taken(&vm);
    let [(first, begin), (last, end)] = &told[..] else {
        panic!("{told:?}");
    };
    assert_eq!((first.as_str(), last.as_str()), ("user", "trailing"));
    assert!(end - begin >= PAUSE_NS, "{told:?}");
    for on in [false, true] {
        mdev.change(on, Resource::Domain, 0x47).unwrap();
        taken(&vm);
    }
    let told = trailing(&machine, 2);
    // the guest took each of them
    assert_eq!(taken(&vm), told.len() as u64, "{told:?}");
    let reasons: Vec<&str> = told[2..].iter().map(|(r, _)| r.as_str()).collect();
    assert!(
        reasons.first() == Some(&"cfg-chg")
            && reasons.last() == Some(&"trailing")
            && reasons.iter().all(|r| ["cfg-chg", "trailing"].contains(r)),
        "{reasons:?}"
    );
    let metrics = vm.ask("metrics").unwrap().unwrap();
    assert!(
        metrics["resets"] == 0 && metrics["exits"].is_object(),
        "{metrics}"
    );
    vm.signal(15);
    let (exit, output) = vm.end(LIMIT).unwrap();
    assert_eq!(exit, Exit::Status(0), "{output}");
    let log = machine.shell("cat /tmp/events", SHORT).unwrap().stdout;
    let events = [
        "start",
        "built",
        "ap-attached",
        "first-run",
        "sei-read",
        "exit",
    ];
    for event in events.map(|e| format!("\"event\":\"{e}\"")) {
        assert!(log.contains(&event), "{event}: {log}");
    }
    mdev.remove().unwrap();
    machine.shutdown().unwrap();
}

/// What a guest is told of is as its device has it: each change but not the last
/// one once more, or none.
#[test]
fn a_device_says_what_its_guest_is_told_of() {
    let machine = boot("vmm-once", true);
    let mdev = mdev(&machine);
    let ap = format!("sysfsdev={},events=once", mdev.path());
    let options = ["--ap", &ap, "--events", "/tmp/events", "--cmdline"];
    let line = ["crypto=off wait-events=100 exit-after=200"];
    let all = [&PROBE[..], &options, &line].concat();
    let mut vm = Vm::start(&machine, "once", &[], &all);
    vm.until("\"apm\":\"0x0400", 1, SHORT).unwrap();
    // once more would be after two seconds
    let told = |before: &mut usize| -> Vec<String> {
        machine.shell("usleep 4000000", SHORT).unwrap();
        let told = notifications(&machine);
        let new = told[*before..].iter().map(|(reason, _)| reason.clone());
        let new = new.collect();
        *before = told.len();
        new
    };
    let mut before = 0;
    let attach = |events: serde_json::Value| {
        let request = json!({"request": "ap.attach", "sysfsdev": mdev.path(), "events": events});
        vm.ask(&request.to_string()).unwrap().unwrap();
    };
    mdev.change(false, Resource::Domain, 0x47).unwrap();
    assert_eq!(told(&mut before), ["cfg-chg"]);
    vm.ask("ap.detach").unwrap().unwrap();
    attach(json!("once"));
    vm.ask("ap.notify").unwrap().unwrap();
    assert_eq!(told(&mut before), ["detach", "attach", "user"]);
    vm.ask("ap.detach").unwrap().unwrap();
    attach(json!(true));
    assert_eq!(told(&mut before), ["detach", "attach", "trailing"]);

    // none but what a user asks for
    vm.ask("ap.detach").unwrap().unwrap();
    attach(json!(false));
    assert_eq!(told(&mut before), ["detach", "trailing"]);
    mdev.change(true, Resource::Domain, 0x47).unwrap();
    vm.ask("ap.notify").unwrap().unwrap();
    vm.ask("ap.detach").unwrap().unwrap();
    assert_eq!(told(&mut before), ["user"]);
    vm.signal(15);
    let (exit, output) = vm.end(LIMIT).unwrap();
    assert_eq!(exit, Exit::Status(0), "{output}");
    mdev.remove().unwrap();
    machine.shutdown().unwrap();
}

/// As `ap_config` takes a mask, and as Linux shows one.
fn mask(numbers: &[u8]) -> String {
    let mut bytes = [0_u8; 32];
    for &number in numbers {
        bytes[usize::from(number / 8)] |= 0x80 >> (number % 8);
    }
    let digits: String = bytes.iter().map(|byte| format!("{byte:02x}")).collect();
    format!("0x{digits}")
}

/// Linux does not scan its bus for an event that comes while somebody else has it
/// scanned, and would follow half a minute later: it learns of that change when it
/// is told of the last one once more.
#[test]
fn a_linux_that_lost_an_event_finds_the_change_by_the_last_one() {
    /// Each has a round; with it a guest's masks are like in no other.
    const CONTROL_DOMAINS: [u8; 8] = [60, 61, 62, 63, 64, 65, 66, 67];
    /// Less than the time after which a guest is told once more, and then the
    /// time until it must have found what it missed, less than the half minute.
    const SOON: Duration = Duration::from_millis(1500);
    const LATE: Duration = Duration::from_secs(10);
    // So many queues that a scan takes long.
    let adapters: Vec<u8> = (0..16).collect();
    let domains: Vec<u8> = (0..48).collect();

    let machine = boot_with("vmm-lost", "sixteen-by-eighty-five", Driver::C);
    reserve_all(&machine).unwrap();
    let mdev = Mdev::create(&machine, UUID).unwrap();
    let ap = format!("sysfsdev={}", mdev.path());
    let config = [mask(&adapters), mask(&domains), mask(&[])].join(",");
    store(&machine, &format!("{}/ap_config", mdev.path()), &config).unwrap();
    let line = "quiet loglevel=3 crypto=off commands=on";
    let own = ["--ap", &ap, "--events", "/tmp/events", "--cmdline", line];
    let mut vm = Vm::start(&machine, "lost", &[], &[&LINUX[..], &own].concat());
    vm.until("\"op\":\"ready\"", 1, LIMIT).unwrap();

    let mut told = 0;
    let lost = CONTROL_DOMAINS.iter().any(|&domain| {
        let seen = format!("\"adm\":\"{}\"", mask(&[domain]));
        // the guest scans for this, and is told in the middle of it
        vm.write(format!("{domain} query\n").into_bytes());
        std::thread::sleep(Duration::from_millis(100));
        mdev.change(true, Resource::ControlDomain, domain).unwrap();
        told += 1;
        let soon = vm.until(&seen, 1, SOON).is_ok();
        let log = machine.shell("cat /tmp/events", SHORT).unwrap().stdout;
        let late = vm.until(&seen, 1, LATE).is_ok();
        assert!(late, "not found by the last event: {}", vm.output());
        trailing(&machine, told);
        mdev.change(false, Resource::ControlDomain, domain).unwrap();
        told += 1;
        trailing(&machine, told);
        // it had been told, and had asked what had happened, once
        let last = |event| log.rfind(&format!("\"event\":\"{event}\""));
        !soon && last("sei-read") > last("notify") && log.matches("trailing").count() == told - 2
    });
    assert!(lost, "no event was lost: {}", vm.output());
    vm.ask("quiesce").unwrap().unwrap();
    let (exit, output) = vm.end(LIMIT).unwrap();
    assert_eq!(exit, Exit::Status(0), "{output}");
    mdev.remove().unwrap();
    machine.shutdown().unwrap();
}
