// SPDX-License-Identifier: MIT OR Apache-2.0
//! The main job: runs scenarios, in which guests in L1 gain and lose AP
//! resources. Each step prints what was done, what was to come of it and what
//! came. `docs/scenarios.md` tells how to write one.

use anyhow::{Context, Result};
use clap::builder::FalseyValueParser;
use clap::{Parser, ValueEnum};
use harness::Error;
use harness::bench::{self, Entry};
use harness::config;
use harness::host::{self, HostError};
use harness::say;
use harness::scenario::{Instead, Kind, Options, Report, Scenario, run};
use std::path::{Path, PathBuf};
use std::process::ExitCode;

/// Runs scenarios: guests gain and lose AP resources, and what they see of it
/// is checked.
///
/// Exit status: 0 all as expected, 1 not, 2 nothing was run: a scenario cannot be
/// read, or a host cannot give what is asked of it; 128 and more a signal.
#[derive(Parser)]
#[command(name = "run-guest", version)]
struct Cli {
    /// A scenario, or a folder of them; may be given more than once. Without it
    /// those that SCENARIO names, separated by spaces
    #[arg(long, value_name = "FILE")]
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
    /// On a mainframe: the queues that scenarios may use, such as
    /// 05.0004,05.0005; without it those that could be named are listed
    #[arg(long, env = "APQNS", value_name = "QUEUES")]
    apqns: Option<String>,
    /// On a mainframe: put back what a run left that was killed
    #[arg(long)]
    restore: bool,
}

#[derive(Clone, Copy, PartialEq, Eq, ValueEnum)]
enum DriverName {
    Rust,
    C,
}

const DEFAULT: &str = "guest-tests/scenarios/default.toml";
/// Of a host the least is asked, too: its user may have given no more.
const ON_HOST: [&str; 2] = ["scenarios/default.toml", "scenarios/single.toml"];
const UNREADABLE: u8 = 2;
/// Guests run on this system, not on an emulated one.
const IS_HOST: bool = cfg!(target_arch = "s390x");

fn main() -> ExitCode {
    let mut cli = Cli::parse();
    if cli.scenario.is_empty() {
        let named = std::env::var("SCENARIO").unwrap_or_default();
        cli.scenario = named.split_whitespace().map(PathBuf::from).collect();
    }
    let scenarios = match scenarios(&cli.scenario, &instead(&cli)) {
        Ok(scenarios) => scenarios,
        Err(e) => {
            say::err(format_args!("run-guest: {e:#}"));
            return ExitCode::from(UNREADABLE);
        }
    };
    if IS_HOST {
        return on_host(&cli, &scenarios);
    }
    if cli.apqns.as_ref().is_some_and(|q| !q.is_empty()) || cli.restore {
        say::err("run-guest: APQNS and --restore are for mainframes; here L1 is emulated");
        return ExitCode::from(UNREADABLE);
    }
    let result = match cli.bench {
        Some(rounds) => bench(&cli, &scenarios, rounds),
        None => run_and_report(&cli, &scenarios),
    };
    match result {
        Ok(true) => ExitCode::SUCCESS,
        Ok(false) => ExitCode::FAILURE,
        Err(e) => {
            say::out(format_args!("# FAIL: {e:#}"));
            ExitCode::FAILURE
        }
    }
}

/// The scenarios in these files and folders, or the default one.
fn scenarios(paths: &[PathBuf], instead: &Instead) -> Result<Vec<Scenario>> {
    instead.check().map_err(anyhow::Error::msg)?;
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
        files = defaults()?;
    }
    let read = |file: &PathBuf| Scenario::read(file, instead).map_err(anyhow::Error::from);
    files.iter().map(read).collect()
}

fn defaults() -> Result<Vec<PathBuf>> {
    if !IS_HOST {
        return Ok(vec![config::project_root().join(DEFAULT)]);
    }
    let home = host::home().context("where this program is")?;
    Ok(ON_HOST.map(|file| home.join(file)).to_vec())
}

/// On a mainframe, with the queues that its user names.
fn on_host(cli: &Cli, scenarios: &[Scenario]) -> ExitCode {
    let done = if cli.restore {
        host::restore().map(|()| true)
    } else {
        with_queues(cli, scenarios)
    };
    match done {
        Ok(true) => ExitCode::SUCCESS,
        Ok(false) => ExitCode::FAILURE,
        Err(HostError::Refused(words)) => {
            say::err(format_args!("{words}\nrun-guest: nothing was changed"));
            ExitCode::from(UNREADABLE)
        }
        Err(e) => {
            say::out(format_args!("# FAIL: {e}"));
            match e {
                HostError::Machine(Error::Interrupted(signal)) => {
                    ExitCode::from(128 + u8::try_from(signal).unwrap_or_default())
                }
                _ => ExitCode::FAILURE,
            }
        }
    }
}

fn with_queues(cli: &Cli, scenarios: &[Scenario]) -> Result<bool, HostError> {
    let refused = |words: &str| Err(HostError::Refused(words.to_owned()));
    if cli
        .topology
        .as_ref()
        .is_some_and(|t| !t.as_os_str().is_empty())
        || cli.bench.is_some()
    {
        return refused("TOPOLOGY and --bench are for emulated machines");
    }
    let queues = host::queues(cli.apqns.as_deref().unwrap_or_default())?;
    if queues.is_empty() {
        say::out("Name the queues that guests may have, with APQNS=05.0004,...:");
        for line in host::candidates()? {
            say::out(line);
        }
        return refused("no queues were named");
    }
    let path = cli.report.clone().unwrap_or_else(host::report);
    let failed = |e: anyhow::Error| HostError::Failed(format!("{e:#}"));
    begin_report(&path).map_err(failed)?;
    let report = host::run(&queues, scenarios, options(cli, cli.driver))?;
    verdict(&report, &path).map_err(failed)
}

/// A mainframe has the adapters that it has.
fn instead(cli: &Cli) -> Instead {
    let topology = cli.topology.clone();
    let guest = cli.guest.as_deref().filter(|g| !g.is_empty());
    Instead {
        topology: topology.filter(|t| !IS_HOST && !t.as_os_str().is_empty()),
        guest: guest.map(Kind::from),
    }
}

fn options(cli: &Cli, driver: DriverName) -> Options {
    Options {
        name: "run-guest".to_owned(),
        rust: driver == DriverName::Rust,
        verbose: cli.verbose,
    }
}

fn run_with(cli: &Cli, driver: DriverName, scenarios: &[Scenario]) -> Result<Report> {
    Ok(run(scenarios, &options(cli, driver))?)
}

fn run_and_report(cli: &Cli, scenarios: &[Scenario]) -> Result<bool> {
    let default = config::project_root().join("target/run-guest/report.json");
    let path = cli.report.as_deref().unwrap_or(&default);
    begin_report(path)?;
    verdict(&run_with(cli, cli.driver, scenarios)?, path)
}

/// A run that comes to no report leaves none, rather than that of an earlier one.
fn begin_report(path: &Path) -> Result<()> {
    match std::fs::remove_file(path) {
        Err(e) if e.kind() != std::io::ErrorKind::NotFound => {
            Err(e).with_context(|| path.display().to_string())
        }
        _ => Ok(()),
    }
}

/// Write the report, and say in a line what is in it.
fn verdict(report: &Report, path: &Path) -> Result<bool> {
    report
        .write(path)
        .with_context(|| path.display().to_string())?;
    let verdict = if report.passed { "PASS" } else { "FAIL" };
    let steps: usize = report.scenarios.iter().map(|s| s.steps.len()).sum();
    say::out(format_args!(
        "# {verdict}: {steps} steps; report: {}",
        path.display()
    ));
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
    say::out(format_args!(
        "host write to guest's QCI: Rust {ours} ms, C {peer} ms, ratio {ratio:.2}"
    ));
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
