// SPDX-License-Identifier: MIT OR Apache-2.0
//! The main job: runs scenarios, in which guests in L1 gain and lose AP
//! resources. Each step prints what was done, what was to come of it and what
//! came. `docs/scenarios.md` tells how to write one.

use anyhow::{Context, Result};
use clap::builder::FalseyValueParser;
use clap::{Parser, ValueEnum};
use harness::bench::{self, Entry};
use harness::config;
use harness::scenario::{Options, Report, Scenario, run};
use std::path::{Path, PathBuf};
use std::process::ExitCode;

/// Runs scenarios: guests gain and lose AP resources, and what they see of it
/// is checked.
///
/// Exit status: 0 all as expected, 1 not, 2 a scenario that cannot be read.
#[derive(Parser)]
#[command(name = "run-guest", version)]
struct Cli {
    /// A scenario, or a folder of them; may be given more than once
    #[arg(long, env = "SCENARIO", value_name = "FILE", value_delimiter = ' ')]
    scenario: Vec<PathBuf>,
    /// Which vfio_ap runs in L1
    #[arg(long, env = "DRIVER", value_enum, default_value = "rust")]
    driver: DriverName,
    /// What guests run instead of what the scenario says: probe, linux, or a
    /// kernel of one's own
    #[arg(long, env = "GUEST", value_name = "probe|linux|FILE")]
    guest: Option<String>,
    /// AP topology of the machine instead of the scenario's
    #[arg(long, env = "TOPOLOGY", value_name = "FILE")]
    topology: Option<PathBuf>,
    /// Print everything that happens
    #[arg(long, env = "VERBOSE", value_parser = FalseyValueParser::new())]
    verbose: bool,
    /// Where the report goes
    #[arg(long, value_name = "FILE")]
    report: Option<PathBuf>,
    /// Run both drivers in turn so many times and record in target/bench.json
    /// how long guests take to see a change
    #[arg(long, value_name = "ROUNDS")]
    bench: Option<usize>,
}

#[derive(Clone, Copy, PartialEq, Eq, ValueEnum)]
enum DriverName {
    Rust,
    C,
}

const DEFAULT: &str = "guest-tests/scenarios/default.toml";
const UNREADABLE: u8 = 2;

fn main() -> ExitCode {
    let cli = Cli::parse();
    let scenarios = match scenarios(&cli.scenario) {
        Ok(scenarios) => scenarios,
        Err(e) => {
            eprintln!("run-guest: {e:#}");
            return ExitCode::from(UNREADABLE);
        }
    };
    let result = match cli.bench {
        Some(rounds) => bench(&cli, &scenarios, rounds),
        None => run_and_report(&cli, &scenarios),
    };
    match result {
        Ok(true) => ExitCode::SUCCESS,
        Ok(false) => ExitCode::FAILURE,
        Err(e) => {
            println!("# FAIL: {e:#}");
            ExitCode::FAILURE
        }
    }
}

/// The scenarios in these files and folders, or the default one.
fn scenarios(paths: &[PathBuf]) -> Result<Vec<Scenario>> {
    let mut files = Vec::new();
    // A variable that is set, but empty, names nothing.
    for path in paths.iter().filter(|p| !p.as_os_str().is_empty()) {
        if path.is_dir() {
            let entries = std::fs::read_dir(path).with_context(|| path.display().to_string())?;
            let mut inside: Vec<PathBuf> = entries.flatten().map(|e| e.path()).collect();
            inside.retain(|p| p.extension().is_some_and(|e| e == "toml"));
            inside.sort();
            files.extend(inside);
        } else {
            files.push(path.clone());
        }
    }
    if files.is_empty() {
        files.push(config::project_root().join(DEFAULT));
    }
    let read = |file: &PathBuf| Scenario::read(file).map_err(anyhow::Error::from);
    files.iter().map(read).collect()
}

fn run_with(cli: &Cli, driver: DriverName, scenarios: &[Scenario]) -> Result<Report> {
    let set = |value: &Option<String>| value.clone().filter(|v| !v.is_empty());
    let options = Options {
        name: "run-guest".to_owned(),
        rust: driver == DriverName::Rust,
        guest: set(&cli.guest),
        topology: cli.topology.clone().filter(|t| !t.as_os_str().is_empty()),
        verbose: cli.verbose,
    };
    Ok(run(scenarios, &options)?)
}

fn run_and_report(cli: &Cli, scenarios: &[Scenario]) -> Result<bool> {
    let report = run_with(cli, cli.driver, scenarios)?;
    let default = config::project_root().join("target/run-guest/report.json");
    let path: &Path = cli.report.as_deref().unwrap_or(&default);
    report
        .write(path)
        .with_context(|| path.display().to_string())?;
    let verdict = if report.passed { "PASS" } else { "FAIL" };
    let steps: usize = report.scenarios.iter().map(|s| s.steps.len()).sum();
    println!("# {verdict}: {steps} steps; report: {}", path.display());
    Ok(report.passed)
}

/// Both drivers in turn, so that what else the machine does hits both alike.
fn bench(cli: &Cli, scenarios: &[Scenario], rounds: usize) -> Result<bool> {
    let mut times = [Vec::new(), Vec::new()];
    for _ in 0..rounds.max(1) {
        for (driver, times) in [DriverName::Rust, DriverName::C]
            .into_iter()
            .zip(&mut times)
        {
            let report = run_with(cli, driver, scenarios)?;
            if !report.passed {
                return Ok(false);
            }
            times.extend(plug_times(&report));
        }
    }
    let [(ours, spread), (peer, _)] = times.each_ref().map(|t| bench::median_and_spread(t));
    let ratio = ours / peer;
    println!("host write to guest's QCI: Rust {ours} ms, C {peer} ms, ratio {ratio:.2}");
    bench::record(Entry {
        group: "hot-plug".into(),
        name: "host write to the guest's QCI, Rust driver over C".into(),
        unit: "ms".into(),
        ours,
        peer: Some(peer),
        ratio: Some(ratio),
        goal: "ratio at most 1.1".into(),
        met: ratio <= 1.1,
        runs: times[0].len(),
        spread,
        command: "make bench".into(),
    })?;
    Ok(true)
}

/// From the beginning of each assignment until the guest was told of it.
fn plug_times(report: &Report) -> Vec<f64> {
    let steps = report.scenarios.iter().flat_map(|s| &s.steps);
    let plugs =
        steps.filter(|s| s.action.starts_with("assign") || s.action.starts_with("unassign"));
    let told = plugs.flat_map(|s| &s.findings).filter_map(|f| f.told_after);
    told.map(|ms| ms as f64).collect()
}
