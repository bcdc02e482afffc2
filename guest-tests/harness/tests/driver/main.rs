// SPDX-License-Identifier: MIT OR Apache-2.0
//! The vfio_ap drivers end to end: sysfs, queues and guests in L1.

mod parity;
mod reload;
mod script;

use harness::config::project_root;
use harness::{Config, Driver, Machine, mdev};
use std::time::Duration;

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
