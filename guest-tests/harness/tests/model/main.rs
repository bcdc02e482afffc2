// SPDX-License-Identifier: MIT OR Apache-2.0
//! The AP device model under Linux: its auditor, its faults, its interrupts.

mod faults;
mod irq;
mod isolation;
mod log;

use harness::audit::{Entry, Mark};
use harness::config::project_root;
use harness::{Config, Exit, Machine, mdev, qmp};
use l1_protocol::{Command, Event, Id};
use std::sync::mpsc::Receiver;
use std::time::{Duration, Instant};

/// What must happen, does within this time also on a busy machine.
const LIMIT: Duration = Duration::from_secs(60);

/// A machine with adapters 5 (CCA), 6 (EP11) and 7 (accelerator) by domains 4
/// and 5.
fn config(name: &str) -> Config {
    let mut config = Config::new(name);
    config.topology = Some(project_root().join("guest-tests/topologies/three-by-two.toml"));
    config
}

/// Boot it, with every device of its AP bus bound, and let the bus scan only
/// when it is told to.
fn boot(config: &Config) -> Machine {
    let machine = Machine::boot(config).unwrap();
    mdev::wait_for_bus(&machine, LIMIT).unwrap();
    mdev::store(&machine, "/sys/bus/ap/config_time", "120").unwrap();
    machine
}

/// What a line of shell prints; it must succeed.
fn shell(machine: &Machine, line: &str) -> String {
    let output = machine.shell(line, LIMIT).unwrap();
    assert_eq!(output.exit, Exit::Status(0), "{line}: {output:?}");
    output.stdout
}

/// Start a line of shell that is to end later.
fn start(machine: &Machine, line: &str) -> (Id, Receiver<Event>) {
    machine.start(Command {
        argv: ["sh", "-c", line].map(str::to_owned).to_vec(),
        ..Command::default()
    })
}

/// The end of a started line; what it printed, if it succeeded.
fn finish(machine: &Machine, (id, events): (Id, Receiver<Event>)) -> Option<String> {
    let mut output = String::new();
    let exit = loop {
        match machine.next_within(&events, LIMIT).unwrap() {
            Some(Event::Output { data, .. }) => output += &String::from_utf8_lossy(&data),
            Some(Event::Exited { exit, .. }) => break exit,
            Some(_) => {}
            None => panic!("a command has not ended within {LIMIT:?}: {output}"),
        }
    };
    machine.client().end(id);
    (exit == Exit::Status(0)).then_some(output)
}

/// Put faults in force: lines of `[[fault]]` tables.
fn inject(machine: &Machine, faults: &[&str]) {
    let tables = faults.iter().map(|f| format!("[[fault]]\n{f}\n"));
    let faults = tables.collect();
    machine.qmp(qmp::ApInject { faults }).unwrap();
}

fn clear(machine: &Machine) {
    machine.qmp(qmp::ApClearFaults {}).unwrap();
}

/// Wait for a record since the mark that `wanted` accepts.
fn await_record(machine: &Machine, mark: Mark, wanted: impl Fn(&Entry) -> bool) -> Entry {
    let end = Instant::now() + LIMIT;
    loop {
        let entries = machine.audit(mark, None).unwrap();
        if let Some(entry) = entries.iter().find(|e| wanted(e)) {
            return entry.clone();
        }
        assert!(Instant::now() < end, "never happened; {entries:?}");
        std::thread::park_timeout(Duration::from_millis(20));
    }
}
