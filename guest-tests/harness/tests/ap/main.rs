// SPDX-License-Identifier: MIT OR Apache-2.0
//! Unmodified Linux on emulated adapters: it finds them, uses them, and sees
//! them change.

mod changes;
mod debian;
mod finds;
mod node;
mod refused;
mod rsa;
mod sysfs;
mod tools;
mod topology;

use harness::config::project_root;
use harness::{Config, Exit, Machine, mdev};
use std::path::PathBuf;
use std::time::Duration;
use topology::Topology;

/// What must happen, does within this time also on a busy machine, and with a
/// thousand RSA operations.
const LIMIT: Duration = Duration::from_secs(1800);

/// The topology file of this name that the project ships.
fn shipped(name: &str) -> PathBuf {
    project_root().join(format!("guest-tests/topologies/{name}.toml"))
}

/// L1 on a topology file, with every device of its AP bus bound.
fn boot(name: &str, file: PathBuf) -> (Machine, Topology) {
    let mut config = Config::new(name);
    config.topology = Some(file);
    boot_config(&config)
}

fn boot_config(config: &Config) -> (Machine, Topology) {
    let machine = Machine::boot(config).unwrap();
    mdev::wait_for_bus(&machine, LIMIT).unwrap();
    let topology = Topology::read(config.topology.as_ref().unwrap());
    (machine, topology)
}

/// What a line of shell prints; it must succeed.
fn shell(machine: &Machine, line: &str) -> String {
    let output = machine.shell(line, LIMIT).unwrap();
    assert_eq!(output.exit, Exit::Status(0), "{line}: {output:?}");
    output.stdout
}
