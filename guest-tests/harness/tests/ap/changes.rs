// SPDX-License-Identifier: MIT OR Apache-2.0
//! The AP configuration changes again and again while programs use it: Linux
//! follows, requests that are lost fail, and nothing else gets lost.

use crate::topology::{Mode, Topology};
use crate::{boot, node, rsa, shell, shipped, sysfs};
use harness::ap::{Change, Complex};
use harness::mdev::store;
use harness::{Machine, qmp};
use l1_protocol::{Command, Event, Stream};

/// Programs keep one adapter each busy.
const LOADS: [(&str, Mode); 2] = [("busy-cca", Mode::Cca), ("busy-accel", Mode::Accelerator)];
/// What a request on an adapter that is going may end with: ENODEV when zcrypt
/// finds no other, EAGAIN or EIO when it has tried often enough.
const CLEAN: [&str; 3] = ["errno 19", "errno 11", "errno 5"];

#[test]
fn ten_rounds_of_changes_leave_no_trace() {
    rounds("changes", 10);
}

#[test]
#[ignore = "nightly: 200 rounds"]
fn two_hundred_rounds_of_changes_leave_no_trace() {
    rounds("changes-200", 200);
}

fn complex<'a>(machine: &'a Machine, topology: &Topology) -> Complex<'a> {
    let mode = |mode| match mode {
        Mode::Cca => "cca",
        Mode::Accelerator => "accelerator",
        Mode::Ep11 => "ep11",
    };
    Complex {
        machine,
        adapters: topology
            .adapters
            .iter()
            .map(|a| (a.apid, mode(a.mode).to_owned()))
            .collect(),
        domains: topology.usage.clone(),
    }
}

fn rounds(name: &str, count: usize) {
    let (machine, topology) = boot(name, shipped("three-by-two"));
    let complex = complex(&machine, &topology);
    let cases = rsa::cases(12);
    machine
        .write_file("/tmp/cases", 0o600, cases.as_bytes())
        .unwrap();
    // First with nobody who would notice a missing adapter and make Linux look
    // for it: it is the event that does.
    complex.scan_every(120).unwrap();
    for number in 0..complex.adapters.len() {
        round(&complex, number);
    }
    // Programs that fail cause scans, and an event during a scan is lost.
    complex.scan_every(5).unwrap();
    slow(&machine, &topology);
    let loads = LOADS.map(|(name, mode)| start_load(&machine, &topology, name, mode));
    round(&complex, 0);
    let before = kernel_memory(&machine);
    for number in 1..count {
        round(&complex, number);
        machine.check_kernel().unwrap();
    }
    let after = kernel_memory(&machine);
    shell(&machine, "touch /tmp/stop");
    for (load, (name, _)) in loads.into_iter().zip(LOADS) {
        let outcomes = finish(&machine, &load, name);
        let right = outcomes.get("right").copied().unwrap_or_default();
        let lost = outcomes.get("errno 19").copied().unwrap_or_default();
        assert!(right > 0 && lost > 0, "{name}: {outcomes:?}");
        let known = |what: &&String| *what == "right" || CLEAN.contains(&what.as_str());
        assert!(
            outcomes.keys().all(|what| known(&what)),
            "{name}: {outcomes:?}"
        );
        println!("{name}: {outcomes:?}");
    }
    machine.qmp(qmp::ApClearFaults {}).unwrap();
    println!("slab in KiB: {before} before, {after} after {count} rounds");
    assert!(
        after < before + SLACK_KIB + count as u64 * LEAK_KIB,
        "kernel memory grew from {before} to {after} KiB"
    );

    sysfs::check(&machine, &topology);
    every_queue_works(&machine, &topology);
    for queue in machine.qmp(qmp::QueryApQueues {}).unwrap() {
        assert_eq!((queue.requests, queue.replies), (0, 0), "{queue:?}");
    }
    machine.check_leaks().unwrap();
    machine.shutdown().unwrap();
}

/// What a round may cost at most, so that a device that is not freed, with its
/// twenty and more files in sysfs, shows after 200 rounds of dozens of them.
const LEAK_KIB: u64 = 2;
/// What caches take that have not settled.
const SLACK_KIB: u64 = 1024;

fn round(complex: &Complex, number: usize) {
    let adapter = number % complex.adapters.len();
    for change in Change::ROUND {
        complex.change(change, adapter).unwrap();
    }
}

/// Replies take a while, so that requests are pending whenever a change comes;
/// Linux then need not look for them 4,000 times a second.
fn slow(machine: &Machine, topology: &Topology) {
    store(machine, "/sys/bus/ap/poll_timeout", "5000000").unwrap();
    let fault = |apid| format!("[[fault]]\napid = {apid}\non = \"reply\"\ndelay-ms = 20\n");
    let faults = topology.adapters.iter().map(|a| fault(a.apid)).collect();
    machine.qmp(qmp::ApInject { faults }).unwrap();
}

type Load = std::sync::mpsc::Receiver<Event>;

fn start_load(machine: &Machine, topology: &Topology, name: &str, mode: Mode) -> Load {
    node::create(machine, name, topology.of(mode).next().unwrap().apid, None);
    let line = format!("zcrypt /tmp/cases --device /dev/{name} --threads 2 --until /tmp/stop");
    let argv = format!("/mnt/host/{line}");
    let argv = argv.split(' ').map(str::to_owned).collect();
    let command = Command {
        argv,
        ..Command::default()
    };
    machine.start(command).1
}

fn finish(machine: &Machine, load: &Load, name: &str) -> node::Outcomes {
    let mut text = String::new();
    loop {
        let event = machine.next_within(load, crate::LIMIT).unwrap();
        match event.unwrap_or_else(|| panic!("{name} hangs")) {
            Event::Output {
                stream: Stream::Stdout,
                data,
                ..
            } => text += &String::from_utf8(data).unwrap(),
            Event::Exited { exit, .. } => {
                assert_eq!(exit, harness::Exit::Status(0), "{name}");
                return node::outcomes(&text);
            }
            _ => {}
        }
    }
}

/// KiB that the kernel has for its objects, without what it would give back.
fn kernel_memory(machine: &Machine) -> u64 {
    let line = "echo 3 >/proc/sys/vm/drop_caches; sed -n 's/^SUnreclaim: *\\([0-9]*\\) kB/\\1/p' /proc/meminfo";
    shell(machine, line).trim().parse().unwrap()
}

/// RSA on every queue that computes; the EP11 ones tell about themselves.
fn every_queue_works(machine: &Machine, topology: &Topology) {
    for adapter in &topology.adapters {
        for &domain in &topology.usage {
            let queue = format!("{:02x}.{domain:04x}", adapter.apid);
            if adapter.mode == Mode::Ep11 {
                let told = shell(machine, &format!("cat /sys/bus/ap/devices/{queue}/mkvps"));
                assert!(!told.contains("WK CUR: - -"), "{queue}: {told}");
                continue;
            }
            node::create(machine, &queue, adapter.apid, Some(domain));
            let outcomes = node::perform(machine, &queue, "/tmp/cases", "");
            let right = node::Outcomes::from([("right".to_owned(), 12)]);
            assert_eq!(outcomes, right, "{queue}");
        }
    }
}
