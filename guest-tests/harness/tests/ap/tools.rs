// SPDX-License-Identifier: MIT OR Apache-2.0
//! lszcrypt and chzcrypt, as Debian ships them, agree with the topology file.

use crate::topology::{Adapter, Mode, Topology};
use crate::{LIMIT, boot_config, shell, shipped, sysfs};
use harness::config::project_root;
use harness::{Config, Exit, Machine};
use l1_protocol::Command;
use std::collections::BTreeSet;

/// What a line of the tools' shell prints; it must succeed.
fn tool(machine: &Machine, line: &str) -> String {
    let command = Command {
        argv: ["sh", "-c", line].map(str::to_owned).to_vec(),
        root: Some("/mnt/root".to_owned()),
        ..Command::default()
    };
    let output = machine.run(command, LIMIT).unwrap();
    assert_eq!(output.exit, Exit::Status(0), "{line}: {output:?}");
    output.stdout
}

/// The columns of a table's lines, without its head.
fn table(text: &str) -> Vec<Vec<&str>> {
    let (_, lines) = text.split_once("---\n").unwrap();
    let columns = |line| str::split_whitespace(line).collect();
    lines.lines().map(columns).collect()
}

/// `lszcrypt -V`, without the counts of requests.
fn verbose(machine: &Machine) -> Vec<String> {
    let text = tool(machine, "lszcrypt -V");
    let mut lines = table(&text);
    for columns in &mut lines {
        columns.remove(4);
    }
    lines.iter().map(|columns| columns.join(" ")).collect()
}

fn mode_name(mode: Mode) -> &'static str {
    match mode {
        Mode::Cca => "CCA-Coproc",
        Mode::Accelerator => "Accelerator",
        Mode::Ep11 => "EP11-Coproc",
    }
}

/// What [`verbose`] is to be. Its depth is one more than that of sysfs, since
/// the kernel has come to tell the depth and no longer the greatest index.
fn expected(topology: &Topology) -> Vec<String> {
    let mut lines = Vec::new();
    for adapter in &topology.adapters {
        let kind = format!("{} {}", sysfs::type_name(adapter), mode_name(adapter.mode));
        let state = if adapter.config {
            "online 0"
        } else {
            "deconfig -"
        };
        let functions = match adapter.mode {
            Mode::Cca => "S--D--N-F-",
            Mode::Accelerator => "-MC-A-N-F-",
            Mode::Ep11 => "S----XN-F-",
        };
        let rest = format!("{kind} {state} {} 09 {functions}", sysfs::hwtype(adapter));
        lines.push(format!("{:02x} {rest} cex4card", adapter.apid));
        for queue in adapter.queues(&topology.usage) {
            lines.push(format!("{queue} {rest} cex4queue"));
        }
    }
    lines
}

fn boot(name: &str, topology: &str) -> (Machine, Topology) {
    let root = project_root().join("target/l1-root");
    assert!(
        root.join("usr/sbin/lszcrypt").exists(),
        "run `make l1-root PACKAGES=s390-tools` first"
    );
    let mut config = Config::new(name);
    config.root = Some(root);
    config.topology = Some(shipped(topology));
    boot_config(&config)
}

#[test]
#[ignore = "nightly: needs Debian's s390-tools, `make l1-root`"]
fn lszcrypt_shows_twelve_cards_by_sixteen_domains() {
    let (machine, topology) = boot("lszcrypt", "twelve-by-sixteen");
    assert_eq!(verbose(&machine), expected(&topology));
    domains(&machine, &topology);
    bus(&machine, &topology);
    for adapter in &topology.adapters {
        capabilities(&machine, adapter);
    }
    serial_numbers(&machine, &topology);
    machine.shutdown().unwrap();
}

/// `-d`: a letter for each of 256 domains, 16 in a line.
fn domains(machine: &Machine, topology: &Topology) {
    let text = tool(machine, "lszcrypt -d");
    let lines = table(&text);
    let shown: Vec<&str> = lines[..16]
        .iter()
        .flat_map(|l| l[1..].iter().copied())
        .collect();
    let letter = |d: u8| match (topology.control.contains(&d), topology.usage.contains(&d)) {
        (true, true) => "B",
        (true, false) => "C",
        (false, true) => "U",
        (false, false) => ".",
    };
    assert_eq!(shown, (0..=255).map(letter).collect::<Vec<_>>());
}

/// `-b`: what the topology decides of it, and the features of this model.
fn bus(machine: &Machine, topology: &Topology) {
    let text = tool(machine, "lszcrypt -b");
    let lines: BTreeSet<&str> = text.lines().collect();
    let domain = format!("ap_domain={:#x}", topology.usage[0]);
    for line in ["features: APSC APXA QACT", "ap_max_domain_id=0xff", &domain] {
        assert!(lines.contains(line), "no {line} in {text}");
    }
}

/// `-c` of a card, and of its first queue the master keys, which it is asked for.
fn capabilities(machine: &Machine, adapter: &Adapter) {
    let card = format!("{:#04x}", adapter.apid);
    let text = tool(machine, &format!("lszcrypt -c {card}"));
    let lines: Vec<&str> = text.lines().skip(1).collect();
    let limit = "AP bus max message size limit 12 Kb";
    let wanted: &[&str] = match adapter.mode {
        Mode::Cca => &[
            "RSA 4K Clear Key",
            "CCA Secure Key (full function set)",
            "Long RNG",
            limit,
        ],
        Mode::Accelerator => &["RSA 4K Clear Key", limit],
        Mode::Ep11 => &["EP11 Secure Key", limit],
    };
    assert_eq!(lines, wanted, "{adapter:?}");

    let text = tool(machine, &format!("lszcrypt -c {:02x}.0047", adapter.apid));
    let keys: Vec<&str> = text
        .lines()
        .filter_map(|line| line.split_once(" CUR: valid 0x"))
        .map(|(name, _)| name)
        .collect();
    let wanted: &[&str] = match adapter.mode {
        _ if !adapter.config => &[],
        Mode::Cca => &["MK AES", "MK APKA", "MK ASYM"],
        Mode::Accelerator => &[],
        Mode::Ep11 => &["MK WK"],
    };
    assert_eq!(keys, wanted, "{adapter:?}: {text}");
}

/// `-s`: coprocessors that are there have one each, and no two the same.
fn serial_numbers(machine: &Machine, topology: &Topology) {
    let text = tool(machine, "lszcrypt -s");
    let lines = table(&text);
    let mut serials = BTreeSet::new();
    let asked = |a: &&Adapter| a.config && a.mode != Mode::Accelerator;
    for adapter in topology.adapters.iter().filter(asked) {
        let card = format!("{:02x}", adapter.apid);
        let line = lines
            .iter()
            .find(|l| l[0] == card)
            .unwrap_or_else(|| panic!("{card}: {text}"));
        let [_, kind, mode, "online", serial] = line[..] else {
            panic!("{line:?}");
        };
        assert_eq!(
            (kind, mode),
            (&*sysfs::type_name(adapter), mode_name(adapter.mode))
        );
        assert!(serials.insert(serial.to_owned()), "{serial} twice");
    }
}

#[test]
#[ignore = "nightly: needs Debian's s390-tools, `make l1-root`"]
fn chzcrypt_changes_what_lszcrypt_shows() {
    let (machine, mut topology) = boot("chzcrypt", "three-by-two");
    let all = expected(&topology);
    assert_eq!(verbose(&machine), all);
    for number in 0..topology.adapters.len() {
        let card = topology.adapters[number].apid;
        tool(&machine, &format!("chzcrypt --config-off {card:#04x}"));
        topology.adapters[number].config = false;
        // The queues follow with the next scan, which the change itself causes.
        let device = format!("/sys/bus/ap/devices/{card:02x}.0005");
        let wait = |value| format!("until grep -q {value} {device}/config; do usleep 10000; done");
        shell(&machine, &wait(0));
        assert_eq!(verbose(&machine), expected(&topology));
        tool(&machine, &format!("chzcrypt --config-on {card:#04x}"));
        topology.adapters[number].config = true;
        shell(&machine, &wait(1));
        assert_eq!(verbose(&machine), all);

        tool(&machine, &format!("chzcrypt -d {card:#04x}"));
        let name = format!("{card:02x}");
        let offline = |line: &String| match line.starts_with(&name) {
            true => line.replace(" online ", " offline "),
            false => line.clone(),
        };
        assert_eq!(
            verbose(&machine),
            all.iter().map(offline).collect::<Vec<_>>()
        );
        tool(&machine, &format!("chzcrypt -e {card:#04x}"));
        assert_eq!(verbose(&machine), all);
    }
    tool(&machine, "chzcrypt -c 77");
    tool(&machine, "chzcrypt -q 5");
    let text = tool(&machine, "lszcrypt -b");
    for line in ["config_time=77 (seconds)", "ap_domain=0x5"] {
        assert!(text.contains(line), "no {line} in {text}");
    }
    machine.shutdown().unwrap();
}
