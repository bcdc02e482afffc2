// SPDX-License-Identifier: MIT OR Apache-2.0
//! All that sysfs tells about the AP bus, against what a topology says.

use crate::shell;
use crate::topology::{Adapter, Mode, Topology};
use harness::Machine;
use std::collections::{BTreeMap, BTreeSet};

/// Attributes by device and name.
type Attributes = BTreeMap<(String, String), String>;

const CARD: &[&str] = &[
    "type",
    "modalias",
    "hwtype",
    "raw_hwtype",
    "ap_functions",
    "depth",
    "max_msg_size",
    "config",
    "chkstop",
    "online",
];
const QUEUE: &[&str] = &["ap_functions", "config", "chkstop", "online"];
const BUS: &[&str] = &[
    "ap_adapter_mask",
    "ap_usage_domain_mask",
    "ap_control_domain_mask",
    "ap_max_adapter_id",
    "ap_max_domain_id",
];

/// Assert that Linux has exactly the topology's cards and queues, each as it
/// should be and with its driver.
pub fn check(machine: &Machine, topology: &Topology) {
    let all = differences(machine, topology);
    assert!(
        all.is_empty(),
        "{} differ: {:#?}",
        all.len(),
        &all[..all.len().min(10)]
    );
}

/// Every attribute that is not as it should be, or should not be.
pub fn differences(machine: &Machine, topology: &Topology) -> Vec<String> {
    let (seen, wanted) = (seen(machine), wanted(topology));
    let keys: BTreeSet<_> = seen.keys().chain(wanted.keys()).collect();
    let difference = |key: &&(String, String)| {
        let (seen, wanted) = (seen.get(*key), wanted.get(*key));
        let (device, name) = key;
        (seen != wanted).then(|| format!("{device}/{name}: {seen:?}, not {wanted:?}"))
    };
    keys.iter().filter_map(difference).collect()
}

fn seen(machine: &Machine) -> Attributes {
    let files = |folder: &str, names: &[&str]| {
        let paths: Vec<String> = names
            .iter()
            .map(|name| format!("{folder}/{name}"))
            .collect();
        paths.join(" ")
    };
    // An attribute that cannot be read is missing from the answer. A pattern
    // that fits nothing stands for itself, and is no file.
    let line = format!(
        "cd /sys/bus/ap; grep -H . {}; cd devices; grep -sH . {} {}; cd ../drivers
         for d in */card?? */??.????; do echo ${{d#*/}}/driver:${{d%/*}}; done; true",
        BUS.join(" "),
        files("card??", CARD),
        files("??.????", QUEUE),
    );
    let output = shell(machine, &line);
    let attribute = |line: &str| {
        let (path, value) = line.split_once(':').unwrap();
        let (device, name) = path.split_once('/').unwrap_or(("", path));
        ((device.to_owned(), name.to_owned()), value.to_owned())
    };
    let is_device = |line: &&str| !line.contains('?');
    output.lines().filter(is_device).map(attribute).collect()
}

fn wanted(topology: &Topology) -> Attributes {
    let mut all = Attributes::new();
    let mut bus = |name: &str, value: String| all.insert((String::new(), name.to_owned()), value);
    bus(
        "ap_adapter_mask",
        mask(topology.adapters.iter().map(|a| a.apid)),
    );
    bus("ap_usage_domain_mask", mask(topology.usage.iter().copied()));
    bus(
        "ap_control_domain_mask",
        mask(topology.control.iter().copied()),
    );
    bus("ap_max_adapter_id", topology.max_adapter.to_string());
    bus("ap_max_domain_id", topology.max_domain.to_string());

    for adapter in &topology.adapters {
        let mut add = |device: &str, name: &str, value: String| {
            all.insert((device.to_owned(), name.to_owned()), value)
        };
        let card = adapter.card();
        let hwtype = hwtype(adapter);
        add(&card, "type", type_name(adapter));
        add(&card, "modalias", format!("ap:t{hwtype:02X}"));
        add(&card, "hwtype", hwtype.to_string());
        add(&card, "raw_hwtype", hwtype.to_string());
        add(&card, "depth", "8".to_owned());
        add(&card, "max_msg_size", "12288".to_owned());
        let queues: Vec<String> = adapter.queues(&topology.usage).collect();
        let devices = std::iter::once((&card, "cex4card"));
        for (device, driver) in devices.chain(queues.iter().map(|q| (q, "cex4queue"))) {
            add(device, "driver", driver.to_owned());
            add(device, "ap_functions", functions(adapter.mode).to_owned());
            add(device, "config", u8::from(adapter.config).to_string());
            add(device, "chkstop", "0".to_owned());
            add(device, "online", u8::from(adapter.config).to_string());
        }
    }
    all
}

/// The type TAPQ tells: 10 for CEX4S and so on.
pub fn hwtype(adapter: &Adapter) -> u8 {
    adapter.generation + 6
}

/// zcrypt's name for such an adapter.
pub fn type_name(adapter: &Adapter) -> String {
    let letter = match adapter.mode {
        Mode::Cca => 'C',
        Mode::Accelerator => 'A',
        Mode::Ep11 => 'P',
    };
    format!("CEX{}{letter}", adapter.generation)
}

/// The function word of TAPQ; what its bits are called, `tools` has.
fn functions(mode: Mode) -> &'static str {
    match mode {
        Mode::Cca => "0x92800000",
        Mode::Accelerator => "0x6A800000",
        Mode::Ep11 => "0x86800000",
    }
}

/// 256 bits, the first leftmost.
fn mask(numbers: impl Iterator<Item = u8>) -> String {
    let mut bytes = [0u8; 32];
    for number in numbers {
        bytes[usize::from(number / 8)] |= 0x80 >> (number % 8);
    }
    let digits: String = bytes.iter().map(|b| format!("{b:02x}")).collect();
    format!("0x{digits}")
}
