// SPDX-License-Identifier: MIT OR Apache-2.0
//! The vfio_ap drivers end to end: sysfs, queues and guests in L1.

mod host;
mod parity;
mod reload;
mod script;
mod stuck;

use harness::config::project_root;
use harness::mdev::Mdev;
use harness::{Config, Driver, Exit, Machine, mdev};
use std::time::{Duration, Instant};

/// Names of the matrix devices.
const A: &str = "62177883-f1bb-47f0-914d-32a22e3a8804";
const B: &str = "62177883-f1bb-47f0-914d-32a22e3a8805";
/// What must happen, does within this time also on a busy machine.
const LIMIT: Duration = Duration::from_secs(60);

/// L1 with adapters 5 to 7 by domains 4 and 5, all queues vfio_ap's.
fn boot(name: &str, driver: Driver) -> Machine {
    let mut config = Config::new(name);
    config.driver = driver;
    config.topology = Some(project_root().join("guest-tests/topologies/three-by-two.toml"));
    let machine = Machine::boot(&config).unwrap();
    assert_eq!(mdev::reserve_all(&machine).unwrap(), 6);
    machine
}

/// What a line of shell prints; it must succeed.
fn shell(machine: &Machine, line: &str) -> String {
    let output = machine.shell(line, LIMIT).unwrap();
    assert_eq!(output.exit, Exit::Status(0), "{line}: {output:?}");
    output.stdout
}

/// Wait until an attribute has these lines.
fn wait_for(mdev: &Mdev, attribute: &str, wanted: &[&str]) {
    let end = Instant::now() + LIMIT;
    loop {
        let lines = mdev.lines(attribute).unwrap();
        if lines == wanted {
            return;
        }
        assert!(
            Instant::now() < end,
            "{attribute}: {lines:?}, not {wanted:?}"
        );
        std::thread::park_timeout(Duration::from_millis(50));
    }
}
