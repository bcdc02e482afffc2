// SPDX-License-Identifier: MIT OR Apache-2.0
//! The pages that a guest's storage is of.

use super::{SHORT, boot, mdev};
use harness::vm::Vm;
use harness::{Config, Exit, Machine};

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
