// SPDX-License-Identifier: MIT OR Apache-2.0
//! The main job: a guest runs in L1 and gains and loses AP resources, one a
//! step. Each step prints what the host did, what `guest_matrix` says and what
//! the guest itself sees, and how long that took.

use anyhow::{Context, Result};
use clap::{Parser, ValueEnum};
use harness::bench::{self, Entry};
use harness::guest::{Guest, Kind, Sees};
use harness::keep::keep;
use harness::ktap::Ktap;
use harness::mdev::{self, Mdev, Resource};
use harness::{Config, Driver, Exit, Machine, config};
use serde::Serialize;
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::time::{Duration, Instant};

/// Plugs and unplugs AP resources of a running guest and checks that it sees it.
#[derive(Parser)]
#[command(name = "run-guest", version)]
struct Cli {
    /// Which vfio_ap runs in L1 (DRIVER)
    #[arg(long, env = "DRIVER", value_enum, default_value = "rust")]
    driver: DriverName,
    /// What runs in the guest (GUEST)
    #[arg(long, env = "GUEST", value_enum, default_value = "probe")]
    guest: GuestName,
    /// AP topology of the machine; it needs adapters 1 and 5, domains 4 and 0x47 (TOPOLOGY)
    #[arg(long, env = "TOPOLOGY", value_name = "FILE")]
    topology: Option<PathBuf>,
    /// Where the report goes
    #[arg(long, value_name = "FILE")]
    report: Option<PathBuf>,
    /// Run both drivers in turn so many times and record their figures in
    /// target/bench.json
    #[arg(long, value_name = "ROUNDS")]
    bench: Option<usize>,
    /// Expect an adapter the guest does not have, to see the run fail
    #[arg(long, hide = true)]
    wrong_expectation: bool,
    /// Do not tell the guest of changes, to see the run fail
    #[arg(long, hide = true)]
    withhold_events: bool,
}

#[derive(Clone, Copy, ValueEnum, Serialize)]
#[serde(rename_all = "lowercase")]
enum DriverName {
    Rust,
    C,
}

#[derive(Clone, Copy, ValueEnum, Serialize)]
#[serde(rename_all = "lowercase")]
enum GuestName {
    Probe,
    Linux,
}

/// What was seen in one step.
#[derive(Serialize)]
struct Step {
    host: String,
    guest_matrix: Vec<String>,
    expected: Sees,
    guest_sees: Option<Sees>,
    /// From the host's write until the guest's own report reached us.
    milliseconds: u128,
    passed: bool,
}

/// `target/run-guest/report.json`.
#[derive(Serialize)]
struct Report {
    driver: DriverName,
    guest: GuestName,
    kernel: String,
    steps: Vec<Step>,
    passed: bool,
}

/// What the host does while the guest runs, one change a step.
const CHANGES: &[(bool, Resource, u8)] = &[
    (true, Resource::Adapter, 1),
    (true, Resource::Domain, 0x47),
    (true, Resource::ControlDomain, 5),
    (false, Resource::ControlDomain, 5),
    (false, Resource::Domain, 0x47),
    (false, Resource::Adapter, 1),
    // With the last adapter the guest has seen all it waits for, and ends.
    (false, Resource::Adapter, 5),
];
/// Name of the matrix device.
const UUID: &str = "5fb1ad1a-0000-4000-8000-000000000001";
/// Within this time a guest must see a change, and boot.
const SEE: Duration = Duration::from_secs(10);
const BOOT: Duration = Duration::from_secs(60);

fn main() -> ExitCode {
    let cli = Cli::parse();
    let result = match cli.bench {
        Some(rounds) => bench(&cli, rounds),
        None => run(&cli),
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

fn run(cli: &Cli) -> Result<bool> {
    let (kernel, steps) = run_steps(cli, cli.driver)?;
    let passed = steps.iter().all(|s| s.passed);
    let report = Report {
        driver: cli.driver,
        guest: cli.guest,
        kernel,
        steps,
        passed,
    };
    let default = config::project_root().join("target/run-guest/report.json");
    let path = cli.report.clone().unwrap_or(default);
    write(&report, &path).with_context(|| path.display().to_string())?;
    println!(
        "# {}: {} steps; report: {}",
        if passed { "PASS" } else { "FAIL" },
        report.steps.len(),
        path.display()
    );
    Ok(passed)
}

/// Both drivers in turn, so that what else the machine does hits both alike.
fn bench(cli: &Cli, rounds: usize) -> Result<bool> {
    let mut times = [Vec::new(), Vec::new()];
    for _ in 0..rounds.max(1) {
        for (driver, times) in [DriverName::Rust, DriverName::C]
            .into_iter()
            .zip(&mut times)
        {
            let (_, steps) = run_steps(cli, driver)?;
            if steps.iter().any(|s| !s.passed) {
                return Ok(false);
            }
            // The first step is the guest's boot.
            times.extend(steps[1..].iter().map(|s| s.milliseconds as f64));
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

/// Boot L1 and run all steps on one guest.
fn run_steps(cli: &Cli, driver: DriverName) -> Result<(String, Vec<Step>)> {
    let mut config = Config::new("run-guest");
    config.driver = match driver {
        DriverName::Rust => Driver::Rust,
        DriverName::C => Driver::C,
    };
    let default = config::project_root().join("guest-tests/topologies/twelve-by-sixteen.toml");
    config.topology = Some(cli.topology.clone().unwrap_or(default));
    let machine = Machine::boot(&config)?;
    println!(
        "# L1: Linux {} on our QEMU, up after {:.1} s",
        machine.kernel,
        machine.boot_time.as_secs_f32()
    );
    let queues = mdev::reserve_all(&machine)?;
    println!("# L1: {queues} AP queues are bound to vfio_ap");
    let mut ktap = Ktap::begin(1 + CHANGES.len());
    let steps = change_a_running_guest(cli, &machine, &mut ktap).inspect_err(|e| {
        ktap.bail_out(&e.to_string());
        keep(&machine, None, &format!("{e:#}"));
    })?;
    ktap.end();
    if steps.iter().any(|s| !s.passed) {
        keep(&machine, None, "a step has failed");
    }
    let kernel = machine.kernel.clone();
    machine.shutdown()?;
    Ok((kernel, steps))
}

fn change_a_running_guest(cli: &Cli, machine: &Machine, ktap: &mut Ktap) -> Result<Vec<Step>> {
    let mdev = Mdev::create(machine, UUID)?;
    for (what, number) in [
        (Resource::Adapter, 5),
        (Resource::Domain, 4),
        (Resource::ControlDomain, 4),
    ] {
        mdev.change(true, what, number)?;
    }
    let mut expected = Sees {
        adapters: vec![5],
        domains: vec![4],
        control_domains: vec![4],
    };
    let kind = match cli.guest {
        GuestName::Probe => Kind::Probe,
        GuestName::Linux => Kind::Linux,
    };
    let events = if cli.withhold_events { "off" } else { "on" };
    let ap = format!("sysfsdev={},events={events}", mdev.path());
    let begin = Instant::now();
    let mut guest = Guest::start(machine, kind, &ap, CHANGES.len(), 120);
    let mut steps = vec![observe(
        &mdev,
        &mut guest,
        "start the guest with 05.0004",
        &expected,
        begin,
        BOOT,
        ktap,
    )?];
    for &(assign, what, number) in CHANGES {
        let list = match what {
            Resource::Adapter => &mut expected.adapters,
            Resource::Domain => &mut expected.domains,
            Resource::ControlDomain => &mut expected.control_domains,
        };
        list.retain(|n| *n != number);
        if assign {
            list.push(number);
            list.sort_unstable();
        }
        let mut wanted = expected.clone();
        if cli.wrong_expectation {
            wanted.adapters.push(0xfe);
        }
        let host = format!(
            "{} {} {number:#04x}",
            if assign { "assign" } else { "unassign" },
            what.name()
        );
        let begin = Instant::now();
        mdev.change(assign, what, number)?;
        steps.push(observe(
            &mdev, &mut guest, &host, &wanted, begin, SEE, ktap,
        )?);
        if !steps.last().is_some_and(|s| s.passed) {
            guest.kill();
            return Ok(steps);
        }
    }
    let (exit, lines) = guest.finish(SEE)?;
    if exit != Exit::Status(0) {
        anyhow::bail!("the guest ended with {exit:?}:\n{}", lines.join("\n"));
    }
    mdev.remove()?;
    Ok(steps)
}

/// Wait until the guest sees what is expected, and print the step.
fn observe(
    mdev: &Mdev,
    guest: &mut Guest,
    host: &str,
    expected: &Sees,
    begin: Instant,
    limit: Duration,
    ktap: &mut Ktap,
) -> Result<Step> {
    let seen = guest.until(limit, |s| s == expected)?;
    let milliseconds = begin.elapsed().as_millis();
    let guest_matrix = mdev.lines("guest_matrix")?;
    let agrees = guest_matrix == expected.matrix();
    let passed = seen.is_ok() && agrees;
    let guest_sees = match seen {
        Ok(sees) => Some(sees),
        Err(last) => last,
    };
    ktap.note(&format!("guest_matrix: {}", guest_matrix.join(" ")));
    ktap.note(&match &guest_sees {
        Some(sees) => format!("guest sees:   {} after {milliseconds} ms", told(sees)),
        None => format!("guest sees:   nothing new within {limit:?}"),
    });
    if !passed {
        ktap.note(&format!("expected:     {}", told(expected)));
    }
    ktap.result(passed, host);
    Ok(Step {
        host: host.to_owned(),
        guest_matrix,
        expected: expected.clone(),
        guest_sees,
        milliseconds,
        passed,
    })
}

fn told(sees: &Sees) -> String {
    let matrix = sees.matrix().join(" ");
    format!("{matrix} (control domains {:x?})", sees.control_domains)
}

fn write(report: &Report, path: &Path) -> Result<()> {
    if let Some(folder) = path.parent() {
        std::fs::create_dir_all(folder)?;
    }
    let part = path.with_extension("part");
    std::fs::write(&part, serde_json::to_vec_pretty(report)?)?;
    Ok(std::fs::rename(&part, path)?)
}
