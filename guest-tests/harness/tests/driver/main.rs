// SPDX-License-Identifier: MIT OR Apache-2.0
//! The vfio_ap drivers end to end: sysfs, queues and guests in L1.

mod fixes;
mod host;
mod large;
mod left;
mod orders;
mod parity;
mod reload;
mod script;
mod smoke;
mod storm;
mod stuck;
mod takeover;
mod tools;
mod weaknesses;

use harness::config::project_root;
use harness::mdev::Mdev;
use harness::vfio::VfioClient;
use harness::{Config, Driver, Exit, Flavour, Machine, mdev, qmp};
use qapi::qmp::{device_add, device_del, qom_set};
use serde_json::json;
use std::time::{Duration, Instant};

/// Names of the matrix devices.
const A: &str = "62177883-f1bb-47f0-914d-32a22e3a8804";
const B: &str = "62177883-f1bb-47f0-914d-32a22e3a8805";
/// Files of the AP bus.
const APMASK: &str = "/sys/bus/ap/apmask";
const AQMASK: &str = "/sys/bus/ap/aqmask";
const UNBIND: &str = "/sys/bus/ap/drivers/vfio_ap/unbind";
const BIND: &str = "/sys/bus/ap/drivers/vfio_ap/bind";
/// What must happen, does within this time also on a busy machine and with the
/// debug kernel (`KERNEL=debug`).
const LIMIT: Duration = Duration::from_secs(900);

/// L1 with adapters 5 to 7 by domains 4 and 5, all queues vfio_ap's.
fn boot(name: &str, driver: Driver) -> Machine {
    boot_with(name, driver, |_| {})
}

/// The same with changes of one's own.
fn boot_with(name: &str, driver: Driver, change: impl FnOnce(&mut Config)) -> Machine {
    boot_on("three-by-two", 6, name, driver, change)
}

/// L1 with a topology of so many queues, all of them vfio_ap's.
fn boot_on(
    topology: &str,
    queues: usize,
    name: &str,
    driver: Driver,
    change: impl FnOnce(&mut Config),
) -> Machine {
    let mut config = Config::new(name);
    config.driver = driver;
    let file = format!("guest-tests/topologies/{topology}.toml");
    config.topology = Some(project_root().join(file));
    change(&mut config);
    let machine = Machine::boot(&config).unwrap();
    assert_eq!(mdev::reserve_all(&machine).unwrap(), queues);
    machine
}

/// The debug kernel, with time enough for it.
fn debug(config: &mut Config) {
    config.flavour = Flavour::Debug;
    config.boot_limit = LIMIT;
}

/// A user of an mdev, with a virtual machine that has what the mdev has.
fn client<'a>(machine: &'a Machine, mdev: &Mdev) -> VfioClient<'a> {
    let mut client = VfioClient::start(machine);
    let open = format!("open dev group {}", mdev.path());
    assert_eq!(client.ask(&open).unwrap(), "ok");
    // What opening wrote is of no interest.
    client.ask("masks").unwrap();
    client
}

/// Writes what must be refused; the error's words.
fn refused(machine: &Machine, path: &str, text: &str) -> String {
    let error = mdev::store(machine, path, text).unwrap_err().to_string();
    error.rsplit(": ").next().unwrap_or(&error).to_owned()
}

/// What was done to a queue since a mark, but for looks at it.
fn done_to(machine: &Machine, apqn: &str, since: u64) -> Vec<(String, u8)> {
    let audit = qmp::QueryApAudit {
        since,
        apqn: apqn.to_owned(),
    };
    let audit = machine.qmp(audit).unwrap();
    assert_eq!(audit.lost, 0);
    let entries = audit.entries.into_iter().filter(|entry| entry.op != "tapq");
    entries
        .map(|entry| (entry.op, (entry.status >> 16) as u8))
        .collect()
}

/// The number of the next record of what is done to queues.
fn mark(machine: &Machine) -> u64 {
    machine.qmp(qmp::ApAuditMark {}).unwrap().seq
}

/// What a line of shell prints; it must succeed.
fn shell(machine: &Machine, line: &str) -> String {
    let output = machine.shell(line, LIMIT).unwrap();
    assert_eq!(output.exit, Exit::Status(0), "{line}: {output:?}");
    output.stdout
}

/// Wait until something has come true.
fn until(what: &str, mut condition: impl FnMut() -> bool) {
    let end = Instant::now() + LIMIT;
    while !condition() {
        assert!(Instant::now() < end, "{what} did not come true");
        std::thread::park_timeout(Duration::from_millis(50));
    }
}

/// Wait until an attribute has these lines.
fn wait_for(mdev: &Mdev, attribute: &str, wanted: &[&str]) {
    let what = format!("{attribute} is {wanted:?}");
    until(&what, || mdev.lines(attribute).unwrap() == wanted);
}

/// Change a property of an adapter.
fn set(machine: &Machine, apid: u8, property: &str, value: bool) {
    let command = qom_set {
        path: format!("/machine/peripheral/ap{apid:02x}"),
        property: property.to_owned(),
        value: serde_json::json!(value),
    };
    machine.qmp(command).unwrap();
}

/// Wait until Linux in L1 has seen the state of a card.
fn wait_for_card(machine: &Machine, apid: u8, attribute: &str, value: u8) {
    let file = format!("/sys/bus/ap/devices/card{apid:02x}/{attribute}");
    let line = format!("until [ \"$(cat {file})\" = {value} ]; do usleep 50000; done");
    shell(machine, &line);
}

/// Give the machine these usage and control domains.
fn domains(machine: &Machine, usage: &str, control: &str) {
    let command = qmp::ApSetDomains {
        usage: Some(usage.to_owned()),
        control: Some(control.to_owned()),
    };
    machine.qmp(command).unwrap();
}

/// Take adapter 6 out of the machine.
fn remove_adapter(machine: &Machine) {
    let id = "ap06".to_owned();
    machine.qmp(device_del { id }).unwrap();
}

/// Put adapter 6 into the machine.
fn add_adapter(machine: &Machine) {
    let arguments = json!({"apid": 6, "mode": "ep11"});
    let command = device_add {
        driver: "ap-cex".to_owned(),
        id: Some("ap06".to_owned()),
        bus: None,
        arguments: arguments.as_object().cloned().unwrap(),
    };
    machine.qmp(command).unwrap();
}

/// Name the driver that a queue is for; none ends that.
fn set_override(machine: &Machine, apqn: &str, driver: &str) -> Result<(), harness::Error> {
    let path = format!("/sys/bus/ap/devices/{apqn}/driver_override");
    mdev::store(machine, &path, driver)
}

/// A row of docs/differences.md begins like this.
fn must_be_listed(row: &str) {
    let text = std::fs::read_to_string(project_root().join("docs/differences.md")).unwrap();
    let mut rows = text.lines().map(|line| line.trim_start_matches("| "));
    assert!(rows.any(|line| line.starts_with(row)), "no row: {row}");
}
