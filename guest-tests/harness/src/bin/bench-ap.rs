// SPDX-License-Identifier: MIT OR Apache-2.0
//! How soon Linux follows a change of the AP configuration, into
//! target/bench.json.

use anyhow::Result;
use clap::Parser;
use harness::ap::{Change, Complex};
use harness::bench::{self, Entry};
use harness::{Config, Machine, config, mdev};
use std::process::ExitCode;
use std::time::Duration;

/// Milliseconds within which Linux is to have followed, every time.
const GOAL: f64 = 1000.0;

#[derive(Parser)]
#[command(
    name = "bench-ap",
    version,
    about = "Measures how soon Linux follows AP changes"
)]
struct Cli {
    /// How many times each change is made
    #[arg(long, default_value_t = 10)]
    rounds: usize,
}

fn main() -> Result<ExitCode> {
    let rounds = Cli::parse().rounds.max(1);
    let mut config = Config::new("bench-ap");
    config.topology = Some(config::project_root().join("guest-tests/topologies/three-by-two.toml"));
    let machine = Machine::boot(&config)?;
    mdev::wait_for_bus(&machine, Duration::from_secs(60))?;
    // As in the topology file.
    let adapters = [(5, "cca"), (6, "ep11"), (7, "accelerator")];
    let complex = Complex {
        machine: &machine,
        adapters: adapters
            .map(|(apid, mode)| (apid, mode.to_owned()))
            .to_vec(),
        domains: vec![4, 5],
    };
    complex.scan_every(120)?;
    let mut times = [const { Vec::new() }; Change::ROUND.len()];
    for round in 0..rounds {
        for (change, times) in Change::ROUND.iter().zip(&mut times) {
            let took = complex.change(*change, round % adapters.len())?;
            times.push(took.as_secs_f64() * 1000.0);
        }
    }
    for (change, times) in Change::ROUND.iter().zip(&times) {
        let (median, spread) = bench::median_and_spread(times);
        println!("ap-changes: {change}: {median:.0} ms (spread {spread:.0} ms)");
    }
    let all = times.concat();
    let slowest = all.iter().copied().fold(0.0, f64::max);
    let (ours, spread) = bench::median_and_spread(&all);
    println!(
        "ap-changes: {ours:.0} ms in the middle, {slowest:.0} ms at most, {} changes",
        all.len()
    );
    bench::record(Entry {
        group: "ap".into(),
        name: "Linux has followed a change of the AP configuration".into(),
        unit: "ms".into(),
        ours,
        peer: None,
        ratio: None,
        goal: format!("the slowest under {GOAL} ms"),
        met: slowest < GOAL,
        runs: all.len(),
        spread,
        command: "make bench".into(),
    })?;
    machine.shutdown()?;
    Ok(ExitCode::SUCCESS)
}
