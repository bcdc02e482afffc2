// SPDX-License-Identifier: MIT OR Apache-2.0
//! apvmm in L1: several CPUs, resets, its control socket, its sandbox.

mod attach;
mod console;
mod cpus;
mod events;
mod pages;
mod sandbox;

use harness::config::project_root;
use harness::mdev::{Mdev, Resource, reserve_all};
use harness::vm::Vm;
use harness::{Config, Driver, Exit, Machine};
use serde_json::json;
use std::time::Duration;

const LIMIT: Duration = Duration::from_secs(240);
const SHORT: Duration = Duration::from_secs(60);
const TOPOLOGY: &str = "twelve-by-sixteen";
const UUID: &str = "5fb1ad1a-0000-4000-8000-000000000008";
const PROBE: [&str; 4] = ["--kernel", "/mnt/host/probe", "--memory", "64M"];
/// A guest that tests its CPUs, and needs no device.
const ORDERS: [&str; 6] = [
    "--kernel",
    "/mnt/host/cpus",
    "--memory",
    "64M",
    "--cpus",
    "2",
];
const LINUX: [&str; 6] = [
    "--kernel",
    "/mnt/host/guest-kernel",
    "--initrd",
    "/mnt/host/guest-initramfs",
    "--memory",
    "128M",
];

/// The command line of a Linux guest whose init is this line of shell.
fn init(line: &str) -> String {
    format!("console=ttysclp0 panic=-1 rdinit=/bin/sh -- -c \"{line}\"")
}

fn boot(name: &str, ap: bool) -> Machine {
    if ap {
        boot_with(name, TOPOLOGY, Driver::C)
    } else {
        Machine::boot(&Config::new(name)).unwrap()
    }
}

/// With the AP configuration that a file describes, and this driver.
fn boot_with(name: &str, topology: &str, driver: Driver) -> Machine {
    let mut config = Config::new(name);
    let file = format!("guest-tests/topologies/{topology}.toml");
    config.topology = Some(project_root().join(file));
    config.driver = driver;
    Machine::boot(&config).unwrap()
}

/// An mdev with two queues.
fn mdev(machine: &Machine) -> Mdev<'_> {
    reserve_all(machine).unwrap();
    let mdev = Mdev::create(machine, UUID).unwrap();
    mdev.change(true, Resource::Adapter, 5).unwrap();
    for number in [4, 0x47] {
        mdev.change(true, Resource::Domain, number).unwrap();
    }
    mdev
}

#[test]
fn a_guest_is_reset_and_keeps_its_device() {
    let machine = boot("vmm-reset", true);
    let mdev = mdev(&machine);
    let ap = format!("sysfsdev={}", mdev.path());
    let line = init(
        "mount -t proc p /proc; mount -t sysfs s /sys; echo mask $(cat /sys/bus/ap/ap_adapter_mask); \
         case $(cat /proc/cmdline) in *agai[n]=1*) busybox reboot -f;; esac; \
         echo 0 >/proc/sys/kernel/ctrl-alt-del; trap 'echo asked; usleep 500000; poweroff -f' INT; \
         while true; do usleep 200000; done",
    );
    let mask = "\nmask 0x0400000000";
    let with = |line: &str| -> Vec<String> {
        let own = ["--cpus", "2", "--ap", &ap, "--cmdline", line];
        let all = LINUX.iter().chain(&own);
        all.map(|word| (*word).to_owned()).collect()
    };

    // by the guest itself, time and again
    let again = with(&line.replace("panic=-1", "panic=-1 again=1"));
    let mut again: Vec<&str> = again.iter().map(String::as_str).collect();
    let mut vm = Vm::start(&machine, "reboot", &[], &again);
    vm.until(mask, 2, LIMIT).unwrap();
    let metrics = vm.ask("metrics").unwrap().unwrap();
    assert!(metrics["resets"].as_u64() >= Some(1), "{metrics}");
    vm.signal(9);
    vm.end(SHORT).unwrap();

    again.push("--no-reboot");
    let vm = Vm::start(&machine, "no-reboot", &[], &again);
    let (exit, output) = vm.end(LIMIT).unwrap();
    assert_eq!(exit, Exit::Status(4), "{output}");

    // from outside, also while it is held
    let mut options = with(&line);
    options.extend(["--events", "/tmp/events"].map(str::to_owned));
    let options: Vec<&str> = options.iter().map(String::as_str).collect();
    let mut vm = Vm::start(&machine, "reset", &[], &options);
    vm.until(mask, 1, LIMIT).unwrap();
    vm.ask("reset").unwrap().unwrap();
    vm.until(mask, 2, LIMIT).unwrap();
    vm.ask("pause").unwrap().unwrap();
    assert_eq!(vm.ask("info").unwrap().unwrap()["state"], "paused");
    // what the guest was asked for is forgotten
    vm.signal(15);
    let asked = "until grep -q quiesce /tmp/events; do usleep 50000; done";
    machine.shell(asked, SHORT).unwrap();
    vm.ask("reset").unwrap().unwrap();
    vm.ask("resume").unwrap().unwrap();
    vm.until(mask, 3, LIMIT).unwrap();
    assert_eq!(vm.ask("metrics").unwrap().unwrap()["resets"], 2);
    let query = vm.ask("ap.query").unwrap().unwrap();
    let matrix = json!(["05.0004", "05.0047"]);
    assert_eq!(query["masks"]["guest-matrix"], matrix, "{query}");
    vm.signal(15);
    let (exit, output) = vm.end(LIMIT).unwrap();
    assert_eq!(exit, Exit::Status(0), "{output}");
    // by itself: it was not ended
    assert!(output.contains("\nasked"), "{output}");
    mdev.remove().unwrap();
    machine.shutdown().unwrap();
}

/// What is wrong with a machine, a guest's own verdict, and no panic.
#[test]
fn a_bad_machine_and_a_bad_guest_are_told_by_the_status() {
    let machine = boot("vmm-status", false);
    let make = "cd /tmp; head -c 4000 /mnt/host/probe >short; head -c 70000 /mnt/host/guest-kernel >half; \
                : >empty; dd if=/dev/null of=large bs=1M seek=100 2>/dev/null; \
                echo '{\"kernel\": \"/mnt/host/probe\",\n \"cpu\": 2}' >typo.json";
    assert_eq!(machine.shell(make, SHORT).unwrap().exit, Exit::Status(0));
    let linux = "/mnt/host/guest-kernel";
    for (options, status, words) in [
        (&["--kernel", "/tmp/short"][..], 1, "cannot load the guest"),
        (
            &["--kernel", "/tmp/empty"],
            1,
            "the kernel image is too short",
        ),
        (&["--kernel", "/tmp/none"], 1, "cannot open /tmp/none"),
        (
            &[
                "--kernel",
                linux,
                "--initrd",
                "/tmp/large",
                "--memory",
                "64M",
            ],
            1,
            "the RAM disk needs guest storage up to",
        ),
        (
            &["--kernel", linux, "--memory", "63M"],
            1,
            "memory size 63M",
        ),
        (
            &["--kernel", linux, "--cpus", "9"],
            1,
            "9 CPUs: a machine has 1 to 8",
        ),
        (&["--machine", "/tmp/typo.json"], 1, "unknown field `cpu`"),
        (
            &["--kernel", "/mnt/host/probe", "--ap", "sysfsdev=/sys/none"],
            2,
            "this host cannot give a guest AP instructions",
        ),
        (
            &["--kernel", "/mnt/host/probe", "--events", "/none/x"],
            1,
            "cannot create the event log",
        ),
        (
            &["--kernel", "/mnt/host/probe", "--cmdline", "no=option"],
            64 + 62,
            "bad option",
        ),
    ] {
        let vm = Vm::start(&machine, "status", &[], options);
        let (exit, output) = vm.end(SHORT).unwrap();
        assert_eq!(exit, Exit::Status(status), "{options:?}: {output}");
        assert!(
            output.to_lowercase().contains(&words.to_lowercase()),
            "{options:?}: {output}"
        );
        assert!(!output.contains("panicked"), "{output}");
    }
    let line = "/mnt/host/apvmm run --kernel /mnt/host/probe --console file=/none/x";
    let argv = line.split(' ').map(str::to_owned).collect();
    let (exit, output) = Vm::other(&machine, argv).end(SHORT).unwrap();
    assert_eq!(exit, Exit::Status(1), "{output}");
    assert!(output.contains("cannot open the console"), "{output}");
    // half an image is loaded; what becomes of it is a guest's crash
    let vm = Vm::start(&machine, "status", &[], &["--kernel", "/tmp/half"]);
    let (exit, output) = vm.end(SHORT).unwrap();
    assert_eq!(exit, Exit::Status(3), "{output}");
    machine.shutdown().unwrap();
}

/// What a Linux guest's init tells of its AP bus, at the start and as it changes.
#[test]
fn the_linux_probe_tells_what_its_bus_has() {
    const NS: u64 = 1_000_000_000;
    let machine = boot("vmm-linux-probe", true);
    let mdev = mdev(&machine);
    let ap = format!("sysfsdev={}", mdev.path());
    let own = ["--ap", &ap, "--cmdline", "quiet loglevel=3 commands=on"];
    let mut vm = Vm::start(&machine, "linux-probe", &[], &[&LINUX[..], &own].concat());
    // it puts off the scans that its bus takes by itself for as long as can be
    vm.until("\"op\":\"ready\",\"config_time\":\"120\"", 1, LIMIT)
        .unwrap();
    // guest and host have the same clock
    let clock = || -> u64 {
        let seconds = machine.shell("date +%s", SHORT).unwrap().stdout;
        seconds.trim().parse().unwrap()
    };
    let before = clock();
    mdev.change(false, Resource::Domain, 0x47).unwrap();
    let gone = "\"op\":\"uevent\",\"action\":\"remove\",\"path\":\"/devices/ap/card05/05.0047\"";
    vm.until(gone, 1, SHORT).unwrap();
    vm.until("\"why\":\"event\"", 1, SHORT).unwrap();
    let after = clock() + 1;
    let output = vm.output().to_owned();
    let lines: Vec<&str> = output.lines().map(str::trim).collect();
    for line in [
        "KTAP version 1",
        "1..4",
        "ok 1 bus",
        "ok 2 devices",
        "ok 3 z90crypt",
        "ok 4 rsa",
    ] {
        assert!(lines.contains(&line), "{line}: {output}");
    }
    let objects = lines.iter().filter_map(|l| serde_json::from_str(l).ok());
    let objects: Vec<serde_json::Value> = objects.filter(serde_json::Value::is_object).collect();
    let stamp = |o: &serde_json::Value| o["ns"].as_u64().unwrap();
    assert!(objects.is_sorted_by_key(stamp), "{output}");
    let later = objects.iter().skip_while(|o| o["op"] != "ready").skip(1);
    let told: Vec<_> = later.collect();
    let meanwhile = before * NS..=after * NS;
    assert!(
        told.len() >= 2 && told.iter().all(|o| meanwhile.contains(&stamp(o))),
        "{meanwhile:?}: {output}"
    );
    let of = |op: &'static str| objects.iter().filter(move |o| o["op"] == op);
    let rsa: Vec<_> = of("RSA").map(|o| (&o["apqn"], &o["ok"])).collect();
    let (queues, yes) = ([json!("05.0004"), json!("05.0047")], json!(true));
    assert_eq!(rsa, [(&queues[0], &yes), (&queues[1], &yes)]);
    let devices: Vec<_> = of("device").collect();
    let [queue, _, card] = devices[..] else {
        panic!("{devices:?}");
    };
    for (device, wanted) in [
        (queue, json!({"name": "05.0004", "driver": "cex4queue"})),
        (
            card,
            json!({"name": "card05", "driver": "cex4card", "type": "CEX4A", "hwtype": "10"}),
        ),
    ] {
        for (key, value) in wanted.as_object().unwrap() {
            assert_eq!(&device[key], value, "{device}");
        }
        let states = ["online", "config", "chkstop"].map(|key| &device[key]);
        assert_eq!(states, ["1", "1", "0"], "{device}");
        let functions = device["ap_functions"].as_str().unwrap();
        assert!(functions.starts_with("0x"), "{device}");
    }
    let first = objects.iter().find(|o| o["op"] == "QCI").unwrap();
    assert!(!first["features"].as_str().unwrap().is_empty(), "{output}");
    let summary = objects.iter().find(|o| o["op"] == "summary").unwrap();
    assert_eq!(summary["summary"], json!({"tests": 4, "failures": 0}));
    vm.ask("quiesce").unwrap().unwrap();
    let (exit, output) = vm.end(LIMIT).unwrap();
    assert_eq!(exit, Exit::Status(0), "{output}");
    mdev.remove().unwrap();
    machine.shutdown().unwrap();
}
