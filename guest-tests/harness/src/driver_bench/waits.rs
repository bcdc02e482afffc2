// SPDX-License-Identifier: MIT OR Apache-2.0
//! Whether an assignment waits for the hardware of another mdev.

use super::{A, LIMIT, Size, samples};
use crate::bench::{Entry, percentile};
use crate::mdev::{self, Mdev};
use crate::vfio::VfioClient;
use crate::{Error, Machine, qmp};
use std::time::{Duration, Instant};

/// The mdev that is assigned to; A is the other.
const B: &str = "62177883-f1bb-47f0-914d-32a22e3a8805";
/// Both are measured in turn, so that what else the machine does meets both.
const ROUNDS: usize = 4;
/// So many assignments in a round, or as many as fit into this time.
const ASSIGNMENTS: usize = 500;
const MEASURED: Duration = Duration::from_secs(8);
/// How long the reset of a stuck queue takes.
const STUCK: Duration = Duration::from_secs(12);
/// What the slowest assignments in a hundred may take with the other stuck, over
/// those with the other idle.
const GOAL: f64 = 1.1;

/// Microseconds of each assignment to B.
#[derive(Default)]
pub struct Waits {
    idle: Vec<f64>,
    stuck: Vec<f64>,
}

impl Waits {
    /// With A idle, and while a queue that A lost takes seconds to be reset.
    pub fn measure(machine: &Machine, size: Size) -> Result<Self, Error> {
        let (a, b) = (Mdev::create(machine, A)?, Mdev::create(machine, B)?);
        mdev::store(machine, &format!("{}/ap_config", a.path()), &size.masks(1))?;
        mdev::store(machine, &format!("{}/assign_domain", b.path()), "0")?;
        let mut client = VfioClient::start(machine);
        client.ask(&format!("open dev group {}", a.path()))?;
        // once for nothing, to have everything in caches
        assignments(&mut client, &b)?;
        let mut waits = Self::default();
        for _ in 0..ROUNDS {
            waits.idle.extend(assignments(&mut client, &b)?);
            let stuck = while_stuck(machine, &mut client, &a, &b)?;
            waits.stuck.extend(stuck);
            mdev::store(machine, &format!("{}/assign_adapter", a.path()), "0")?;
        }
        client.end()?;
        a.remove()?;
        b.remove()?;
        Ok(waits)
    }

    /// The slowest in a hundred with A stuck, over those with A idle.
    fn ratio(&self) -> f64 {
        percentile(&self.stuck, 0.99) / percentile(&self.idle, 0.99)
    }

    /// What `target/bench.json` keeps of ours, with the C driver's beside it.
    pub fn entry(&self, theirs: &Self, size: Size, command: &str) -> Entry {
        let name = format!("{size} p99 of an assignment, another mdev stuck over idle");
        let (ours, peer) = (self.ratio(), theirs.ratio());
        let met = ours <= GOAL;
        let verdict = if met { "met" } else { "missed" };
        println!("{name}: Rust {ours:.2} (goal at most {GOAL}: {verdict}), C {peer:.2}");
        for (driver, waits) in [("Rust", self), ("C", theirs)] {
            for (state, all) in [("idle", &waits.idle), ("stuck", &waits.stuck)] {
                let [middle, slow, worst] = [0.5, 0.99, 1.0].map(|part| percentile(all, part));
                println!(
                    "  {driver}, {state}: {} assignments, p50 {middle:.0}, p99 {slow:.0}, \
                     slowest {worst:.0} us",
                    all.len()
                );
            }
        }
        Entry {
            group: "driver".into(),
            name: format!("{name}, Rust driver"),
            unit: "times idle".into(),
            ours,
            peer: Some(peer),
            ratio: Some(ours / peer),
            goal: format!("at most {GOAL} times idle"),
            met,
            runs: self.stuck.len(),
            spread: 0.0,
            command: command.to_owned(),
        }
    }
}

fn assignments(client: &mut VfioClient, b: &Mdev) -> Result<Vec<f64>, Error> {
    let request = format!("time 40 {} assign_adapter=1 unassign_adapter=1", b.path());
    let (begin, mut times) = (Instant::now(), Vec::new());
    while times.len() < ASSIGNMENTS && begin.elapsed() < MEASURED {
        let assigned = samples(&client.ask(&request)?)?.into_iter().step_by(2);
        times.extend(assigned.map(|sample| sample.elapsed / 1e3));
    }
    Ok(times)
}

/// Assignments while a queue that A lost is being reset.
fn while_stuck(
    machine: &Machine,
    client: &mut VfioClient,
    a: &Mdev,
    b: &Mdev,
) -> Result<Vec<f64>, Error> {
    let faults = format!(
        "[[fault]]\napqn = \"00.0000\"\non = \"zapq\"\ndelay-ms = {}",
        STUCK.as_millis()
    );
    machine.qmp(qmp::ApInject { faults })?;
    client.ask("masks")?;
    let line = format!("echo 0 >{}/unassign_adapter", a.path());
    let (id, leaving) = machine.start(l1_protocol::Command {
        argv: ["sh", "-c", &line].map(str::to_owned).to_vec(),
        ..Default::default()
    });
    let begun = Instant::now();
    while client.ask("masks")? == "none" {
        if begun.elapsed() > LIMIT {
            return Err(machine.deadline("the guest loses the queue", LIMIT));
        }
    }
    let times = assignments(client, b)?;
    machine.qmp(qmp::ApClearFaults {})?;
    machine.next_within(&leaving, LIMIT)?;
    machine.client().end(id);
    Ok(times)
}
