// SPDX-License-Identifier: MIT OR Apache-2.0
//! apvmm in L1: several CPUs, resets, its control socket, its sandbox.

use harness::config::project_root;
use harness::mdev::{Mdev, Resource, reserve_all};
use harness::vm::Vm;
use harness::{Config, Driver, Exit, Machine};
use serde_json::json;
use std::time::Duration;

const LIMIT: Duration = Duration::from_secs(240);
const SHORT: Duration = Duration::from_secs(60);
const UUID: &str = "5fb1ad1a-0000-4000-8000-000000000008";
const PROBE: [&str; 4] = ["--kernel", "/mnt/host/probe", "--memory", "64M"];
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
    let mut config = Config::new(name);
    if ap {
        let topology = "guest-tests/topologies/twelve-by-sixteen.toml";
        config.topology = Some(project_root().join(topology));
        config.driver = Driver::C;
    }
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

/// Takes all CPUs but the first off and on again, and ends.
fn cpus_come_and_go(name: &str, cpus: u32, rounds: u32) {
    let machine = boot(name, false);
    let count = "busybox grep -c ^processor /proc/cpuinfo";
    let line = init(&format!(
        "mount -t proc p /proc; mount -t sysfs s /sys; echo at first: $({count}); \
         for round in $(busybox seq {rounds}); do for on in 0 1; do \
         for cpu in $(busybox seq {last}); do echo $on >/sys/devices/system/cpu/cpu$cpu/online; done; \
         done; done; echo at last: $({count}); poweroff -f",
        last = cpus - 1,
    ));
    let cpus = cpus.to_string();
    let options = [&LINUX[..], &["--cpus", &cpus, "--cmdline", &line]].concat();
    let vm = Vm::start(&machine, "cpus", &[], &options);
    let (exit, output) = vm.end(Duration::from_secs(280)).unwrap();
    assert_eq!(exit, Exit::Status(0), "{output}");
    for when in ["at first", "at last"] {
        assert!(output.contains(&format!("\n{when}: {cpus}")), "{output}");
    }
    machine.shutdown().unwrap();
}

#[test]
fn two_cpus_come_and_go() {
    cpus_come_and_go("vmm-2-cpus", 2, 3);
}

#[test]
#[ignore = "nightly: more of the same"]
fn four_cpus_come_and_go() {
    cpus_come_and_go("vmm-4-cpus", 4, 50);
}

#[test]
#[ignore = "nightly: more of the same"]
fn eight_cpus_come_and_go() {
    cpus_come_and_go("vmm-8-cpus", 8, 20);
}

/// A bare-metal guest tells what SIGP's orders and the resets by DIAGNOSE 0x308
/// do to its CPUs.
#[test]
fn orders_and_resets_do_to_cpus_what_they_should() {
    let machine = boot("vmm-orders", false);
    let options = [
        "--kernel",
        "/mnt/host/cpus",
        "--memory",
        "64M",
        "--cpus",
        "2",
    ];
    let vm = Vm::start(&machine, "orders", &[], &options);
    let (exit, output) = vm.end(LIMIT).unwrap();
    assert_eq!(exit, Exit::Status(0), "{output}");
    assert!(!output.contains("not ok"), "{output}");
    let last = output.lines().rfind(|line| line.starts_with("ok "));
    assert_eq!(
        last.map(str::trim),
        Some("ok 16 load: the other CPU is stopped"),
        "{output}"
    );
    machine.shutdown().unwrap();
}

/// A crash on one CPU of several ends the machine and is told as a crash.
#[test]
#[ignore = "nightly: a panic takes the other CPUs down in order, as above"]
fn a_panic_with_two_cpus_is_a_crash() {
    let machine = boot("vmm-panic", false);
    let line =
        init("mount -t proc p /proc; echo c >/proc/sysrq-trigger").replace("panic=-1", "panic=0");
    let options = [&LINUX[..], &["--cpus", "2", "--cmdline", &line]].concat();
    let vm = Vm::start(&machine, "panic", &[], &options);
    let (exit, output) = vm.end(LIMIT).unwrap();
    assert_eq!(exit, Exit::Status(3), "{output}");
    machine.shutdown().unwrap();
}

#[test]
fn a_guest_is_reset_and_keeps_its_device() {
    let machine = boot("vmm-reset", true);
    let mdev = mdev(&machine);
    let ap = format!("sysfsdev={}", mdev.path());
    let line = init(
        "mount -t proc p /proc; mount -t sysfs s /sys; echo mask $(cat /sys/bus/ap/ap_adapter_mask); \
         case $(cat /proc/cmdline) in *agai[n]=1*) busybox reboot -f;; esac; while true; do usleep 200000; done",
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
    let options = with(&line);
    let options: Vec<&str> = options.iter().map(String::as_str).collect();
    let mut vm = Vm::start(&machine, "reset", &[], &options);
    vm.until(mask, 1, LIMIT).unwrap();
    vm.ask("reset").unwrap().unwrap();
    vm.until(mask, 2, LIMIT).unwrap();
    vm.ask("pause").unwrap().unwrap();
    assert_eq!(vm.ask("info").unwrap().unwrap()["state"], "paused");
    vm.ask("reset").unwrap().unwrap();
    vm.ask("resume").unwrap().unwrap();
    vm.until(mask, 3, LIMIT).unwrap();
    assert_eq!(vm.ask("metrics").unwrap().unwrap()["resets"], 2);
    let query = vm.ask("ap.query").unwrap().unwrap();
    let matrix = json!(["05.0004", "05.0047"]);
    assert_eq!(query["masks"]["guest-matrix"], matrix, "{query}");
    vm.ask("quiesce").unwrap().unwrap();
    let (exit, output) = vm.end(LIMIT).unwrap();
    assert_eq!(exit, Exit::Status(0), "{output}");
    mdev.remove().unwrap();
    machine.shutdown().unwrap();
}

#[test]
fn a_device_comes_and_goes_by_either_backend() {
    let machine = boot("vmm-attach", true);
    let mdev = mdev(&machine);
    let path = mdev.path().to_owned();
    let ap = format!("sysfsdev={path},backend=cdev");
    let options = ["--ap", &ap, "--cmdline", "wait-changes=9 exit-after=100"];
    let mut vm = Vm::start(&machine, "attach", &[], &[&PROBE[..], &options].concat());
    let seen = |last: &str| format!("\"apm\":\"0x{last}000000");
    let (both, none) = (seen("0400"), seen("0000"));
    vm.until(&both, 1, SHORT).unwrap();
    assert_eq!(vm.ask("info").unwrap().unwrap()["ap"], "ap0");

    let attach = |backend: &str| {
        json!({"request": "ap.attach", "sysfsdev": path, "backend": backend}).to_string()
    };
    let mut told = 1;
    for backend in ["group", "cdev"] {
        vm.ask("ap.detach").unwrap().unwrap();
        vm.until(&none, told, SHORT).unwrap();
        let twice = vm.ask("ap.detach").unwrap();
        assert_eq!(twice, Err("the machine has no AP device".into()));
        vm.ask(&attach(backend)).unwrap().unwrap();
        told += 1;
        vm.until(&both, told, SHORT).unwrap();
        let again = vm.ask(&attach(backend)).unwrap().unwrap_err();
        assert!(again.contains("has an AP device already"), "{again}");
    }
    // the probe cannot be asked to end
    assert!(vm.ask("quiesce").unwrap().is_err());
    vm.signal(15);
    let (exit, output) = vm.end(LIMIT).unwrap();
    assert_eq!(exit, Exit::Status(0), "{output}");

    // the host removes it: the guest loses it at once
    let options = ["--ap", &ap, "--cmdline", "wait-changes=1 exit-after=100"];
    let mut vm = Vm::start(&machine, "remove", &[], &[&PROBE[..], &options].concat());
    vm.until(&both, 1, SHORT).unwrap();
    mdev.remove().unwrap();
    vm.until(&none, 1, SHORT).unwrap();
    let (exit, output) = vm.end(LIMIT).unwrap();
    assert_eq!(exit, Exit::Status(0), "{output}");
    machine.shutdown().unwrap();
}

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

/// Waits until the guest has been told of this many last changes once more.
fn trailing(machine: &Machine, count: usize) -> Vec<(String, u64)> {
    let line =
        format!("until [ $(grep -c trailing /tmp/events) = {count} ]; do usleep 50000; done");
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
    let told = trailing(&machine, 1);
    let [(first, begin), (last, end)] = &told[..] else {
        panic!("{told:?}");
    };
    assert_eq!((first.as_str(), last.as_str()), ("user", "trailing"));
    assert!(end - begin >= PAUSE_NS, "{told:?}");
    for on in [false, true] {
        mdev.change(on, Resource::Domain, 0x47).unwrap();
    }
    let told = trailing(&machine, 2);
    let reasons: Vec<&str> = told[2..].iter().map(|(r, _)| r.as_str()).collect();
    let (last, changes) = reasons.split_last().unwrap();
    assert_eq!(*last, "trailing");
    assert!(
        !changes.is_empty() && changes.iter().all(|r| *r == "cfg-chg"),
        "{reasons:?}"
    );
    // the guest took each of them
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
    // half an image is loaded; what becomes of it is a guest's crash
    let vm = Vm::start(&machine, "status", &[], &["--kernel", "/tmp/half"]);
    let (exit, output) = vm.end(SHORT).unwrap();
    assert_eq!(exit, Exit::Status(3), "{output}");
    machine.shutdown().unwrap();
}

/// What a Linux guest's init tells of its AP bus, at the start and as it changes.
#[test]
fn the_linux_probe_tells_what_its_bus_has() {
    let machine = boot("vmm-linux-probe", true);
    let mdev = mdev(&machine);
    let ap = format!("sysfsdev={}", mdev.path());
    let own = ["--ap", &ap, "--cmdline", "quiet loglevel=3 commands=on"];
    let mut vm = Vm::start(&machine, "linux-probe", &[], &[&LINUX[..], &own].concat());
    vm.until("\"op\":\"ready\"", 1, LIMIT).unwrap();
    mdev.change(false, Resource::Domain, 0x47).unwrap();
    let gone = "\"op\":\"uevent\",\"action\":\"remove\",\"path\":\"/devices/ap/card05/05.0047\"";
    vm.until(gone, 1, SHORT).unwrap();
    vm.until("\"why\":\"event\"", 1, SHORT).unwrap();
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
    assert!(
        objects.iter().all(|o| o["ns"].as_u64() > Some(0)),
        "{output}"
    );
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

/// The mapping that is a guest's storage, as L1 tells it: its range and what
/// follows until the next. It may have a MiB more, to be aligned in.
fn storage(machine: &Machine, mib: u32) -> (u64, String) {
    let line = "cat /proc/$(pidof apvmm)/smaps";
    let smaps = machine.shell(line, SHORT).unwrap().stdout;
    let is_storage = |line: &str| {
        let size = line
            .strip_prefix("Size:")
            .and_then(|l| l.trim().strip_suffix(" kB"));
        size.is_some_and(|kib| [mib, mib + 1].contains(&(kib.parse().unwrap_or(0) / 1024)))
    };
    let lines: Vec<&str> = smaps.lines().collect();
    let size = lines.iter().position(|line| is_storage(line));
    let size = size.unwrap_or_else(|| panic!("{smaps}"));
    let flags = lines[size..].iter().position(|l| l.starts_with("VmFlags"));
    let end = size + flags.unwrap_or_else(|| panic!("{smaps}"));
    let (address, _) = lines[size - 1].split_once('-').unwrap();
    let address = u64::from_str_radix(address, 16).unwrap();
    (address, lines[size - 1..=end].join("\n"))
}

/// A host that has no huge pages to give says so; one that may make some is
/// asked to, and what it makes is told.
#[test]
fn storage_is_of_huge_pages_where_there_are_any() {
    const MIB: u32 = 72;
    let machine = boot("vmm-huge", true);
    let mdev = mdev(&machine);
    let ap = format!("sysfsdev={}", mdev.path());
    let start = |name: &str, pages: &str| {
        let memory = format!("size={MIB}M{pages}");
        let options = ["--kernel", "/mnt/host/probe", "--memory", &memory, "--ap"];
        let line = [&ap, "--cmdline", "wait-changes=2 exit-after=100"];
        Vm::start(&machine, name, &[], &[&options[..], &line].concat())
    };
    let refused = |name: &str, pages: &str, reason: &str| {
        let (exit, output) = start(name, pages).end(SHORT).unwrap();
        assert_eq!(exit, Exit::Status(2), "{output}");
        assert!(output.contains(reason), "{output}");
    };
    // L1 has the kernel's own choice of page, and no hugetlbfs
    let makes_huge = "test -d /sys/kernel/mm/transparent_hugepage";
    let makes_huge = machine.shell(makes_huge, SHORT).unwrap().exit == Exit::Status(0);
    for (pages, huge) in [("", false), (",thp=on", makes_huge)] {
        let mut vm = start(&format!("pages{pages}"), pages);
        vm.until("\"apm\":\"0x0400", 1, SHORT).unwrap();
        vm.ask("reset").unwrap().unwrap();
        vm.until("\"apm\":\"0x0400", 2, SHORT).unwrap();
        let (address, mapping) = storage(&machine, MIB);
        assert!(!huge || address % (1 << 20) == 0, "{mapping}");
        let flags = mapping.lines().last().unwrap();
        assert_eq!(flags.contains(" hg"), !pages.is_empty(), "{mapping}");
        let none = mapping.contains("AnonHugePages:         0 kB");
        assert_eq!(none, !huge, "{mapping}");
        vm.signal(9);
        vm.end(SHORT).unwrap();
    }
    refused("pool", ",hugepages=on", "huge pages (vm.nr_hugepages)");
    mdev.remove().unwrap();
    machine.shutdown().unwrap();

    // KVM takes the last word of a kind
    let mut config = Config::new("vmm-no-huge");
    config.append = "kvm.hpage=0".into();
    let machine = Machine::boot(&config).unwrap();
    for pages in ["thp=on", "hugepages=on"] {
        let memory = format!("64M,{pages}");
        let options = ["--kernel", "/mnt/host/probe", "--memory", &memory];
        let vm = Vm::start(&machine, "refused", &[], &options);
        let (exit, output) = vm.end(SHORT).unwrap();
        assert_eq!(exit, Exit::Status(2), "{output}");
        assert!(output.contains("its parameter hpage=1"), "{output}");
    }
    machine.shutdown().unwrap();
}

#[test]
fn a_user_with_the_nodes_runs_a_confined_machine() {
    const CONFINED: &str = "/mnt/host/confined";
    let machine = boot("vmm-confined", true);
    let mdev = mdev(&machine);
    let shell = |line: &str| machine.shell(&format!("{line}; exit $?"), SHORT).unwrap();
    let device = "cd /dev/vfio; chown 1000 /dev/kvm /dev/vfio/[0-9]* devices/* /dev/iommu";
    assert_eq!(shell(device).exit, Exit::Status(0));
    for backend in ["group", "cdev"] {
        let ap = format!("sysfsdev={},backend={backend}", mdev.path());
        let options = ["--ap", &ap, "--cmdline", "wait-changes=1 exit-after=100"];
        let all = [&PROBE[..], &options].concat();
        let mut vm = Vm::start(&machine, backend, &[CONFINED, "as", "1000"], &all);
        vm.until("\"apm\":\"0x0400", 1, SHORT).unwrap();
        // every thread
        let status = shell("cat /proc/$(pidof apvmm)/task/*/status").stdout;
        let all = |line: &str| status.lines().filter(|l| *l == line).count();
        assert_eq!(all("Uid:\t1000\t1000\t1000\t1000"), 2, "{status}");
        assert_eq!(all("NoNewPrivs:\t1"), 2, "{status}");
        assert_eq!(all("Seccomp:\t2"), 2, "{status}");
        mdev.change(false, Resource::Domain, 0x47).unwrap();
        let (exit, output) = vm.end(LIMIT).unwrap();
        assert_eq!(exit, Exit::Status(0), "{output}");
        mdev.change(true, Resource::Domain, 0x47).unwrap();
    }

    // what the sandbox refuses, and what it kills
    let confined = |line: &str| shell(&format!("{CONFINED} {line}")).exit;
    const EACCES: i32 = 13;
    const SIGSYS: i32 = 31;
    let killed = Exit::Status(128 + SIGSYS);
    assert_eq!(confined("open /dev/iommu"), Exit::Status(0));
    assert_eq!(
        confined("open /sys/bus/ap/ap_max_domain_id"),
        Exit::Status(0)
    );
    assert_eq!(confined("write /sys/bus/ap/apmask"), Exit::Status(EACCES));
    assert_eq!(confined("open /proc/cmdline"), Exit::Status(EACCES));
    assert_eq!(confined("open /dev/kvm"), Exit::Status(EACCES));
    assert_eq!(confined("socket"), killed);
    assert_eq!(confined("exec /bin/busybox"), killed);

    // without the nodes it is the host that refuses
    assert_eq!(
        shell("chown 0 /dev/kvm; chmod 600 /dev/kvm").exit,
        Exit::Status(0)
    );
    let vm = Vm::start(&machine, "refused", &[CONFINED, "as", "1000"], &PROBE);
    let (exit, output) = vm.end(SHORT).unwrap();
    assert_eq!(exit, Exit::Status(2), "{output}");
    assert!(output.contains("open /dev/kvm"), "{output}");
    mdev.remove().unwrap();
    machine.shutdown().unwrap();
}
