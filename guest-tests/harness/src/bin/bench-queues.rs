// SPDX-License-Identifier: MIT OR Apache-2.0
//! What AP queues cost, into target/bench.json: requests per second through one
//! queue and many, by interrupts and by polling; one TAPQ; a scan of the AP bus.

use anyhow::{Context, Result, bail};
use clap::Parser;
use harness::bench::{self, Entry};
use harness::{Config, Exit, Machine, config, mdev};
use std::fmt::Write as _;
use std::io::Write as _;
use std::process::{Command, ExitCode};
use std::time::{Duration, Instant};

/// Nothing here takes longer, but for a machine with very many queues.
const LIMIT: Duration = Duration::from_secs(900);
/// Times the scan of one queue that a queue among many may cost.
const GROWTH_GOAL: f64 = 1.0;

#[derive(Parser)]
#[command(
    name = "bench-queues",
    version,
    about = "Measures requests, TAPQ and bus scans"
)]
struct Cli {
    /// How many requests each reader makes
    #[arg(long, default_value_t = 500)]
    requests: u32,
    /// How often each measurement is made
    #[arg(long, default_value_t = 5)]
    runs: usize,
    /// The most domains that the scanned machines have, by 16 adapters
    #[arg(long, default_value_t = 85, value_parser = clap::value_parser!(u8).range(1..=128))]
    domains: u8,
}

fn main() -> Result<ExitCode> {
    let cli = Cli::parse();
    let runs = cli.runs.max(1);
    for (adapters, domains, readers) in [(1, 1, 1), (4, 4, 8)] {
        requests(&cli, runs, adapters, domains, readers)?;
    }
    tapq(runs)?;
    scans(&cli, runs)?;
    Ok(ExitCode::SUCCESS)
}

/// L1 with that many EP11 adapters and usage domains.
fn boot(name: &str, adapters: u8, domains: u8, words: &str) -> Result<Machine> {
    let last = domains - 1;
    let mut text = format!("usage-domains = [\"0-{last}\"]\nmax-domain = {last}\n");
    for apid in 0..adapters {
        writeln!(text, "[[adapter]]\napid = {apid}\nmode = \"ep11\"")?;
    }
    let mut file = tempfile::NamedTempFile::new()?;
    file.write_all(text.as_bytes())?;
    let mut config = Config::new(name);
    config.topology = Some(file.path().to_owned());
    config.append = words.to_owned();
    config.boot_limit = LIMIT;
    let machine = Machine::boot(&config)?;
    mdev::wait_for_bus(&machine, LIMIT)?;
    mdev::store(&machine, "/sys/bus/ap/config_time", "120")?;
    Ok(machine)
}

/// Run a line of shell in L1; how long that took.
fn timed(machine: &Machine, line: &str) -> Result<Duration> {
    let begin = Instant::now();
    let output = machine.shell(line, LIMIT)?;
    let took = begin.elapsed();
    if output.exit != Exit::Status(0) {
        bail!("`{line}` failed: {output:?}");
    }
    Ok(took)
}

fn record(
    name: String,
    unit: &str,
    runs: &[f64],
    peer: Option<f64>,
    goal: (&str, bool),
) -> Result<f64> {
    let (ours, spread) = bench::median_and_spread(runs);
    let ratio = peer.map(|peer| ours / peer);
    println!("ap: {name}: {ours:.2} {unit} (spread {spread:.2})");
    bench::record(Entry {
        group: "ap".into(),
        name,
        unit: unit.into(),
        ours,
        peer,
        ratio,
        goal: goal.0.into(),
        met: goal.1,
        runs: runs.len(),
        spread,
        command: "make bench".into(),
    })?;
    Ok(ours)
}

/// Readers that ask EP11 adapters for their serial numbers, each a request and
/// a reply through Linux' zcrypt.
fn requests(cli: &Cli, runs: usize, adapters: u8, domains: u8, readers: u32) -> Result<()> {
    let queues = u32::from(adapters) * u32::from(domains);
    let line = format!(
        "reader() {{
           n=0; while [ $n -lt {} ]; do
             read -r s </sys/bus/ap/devices/card0$1/serialnr || exit 1; n=$((n + 1))
           done
         }}
         r=0; while [ $r -lt {readers} ]; do reader $((r % {adapters})) & jobs=\"$jobs $!\"; r=$((r + 1)); done
         for job in $jobs; do wait $job || exit 1; done",
        cli.requests
    );
    let mut rates = [Vec::new(), Vec::new()];
    for (useirq, rates) in [1, 0].into_iter().zip(&mut rates) {
        let words = format!("ap.useirq={useirq}");
        let machine = boot("bench-requests", adapters, domains, &words)?;
        for _ in 0..runs {
            let took = timed(&machine, &line)?;
            rates.push(f64::from(cli.requests * readers) / took.as_secs_f64());
        }
        machine.shutdown()?;
    }
    let [interrupts, polling] = rates;
    let (polled, _) = bench::median_and_spread(&polling);
    let name = format!("requests through {queues} queue(s), {readers} reader(s)");
    let goal = ("known; the peer polls", true);
    record(name, "1/s", &interrupts, Some(polled), goal)?;
    Ok(())
}

/// The bare-metal probe tests all 65,536 queues, of which 192 are there, straight
/// on QEMU.
fn tapq(runs: usize) -> Result<()> {
    let root = config::project_root();
    let topology = root.join("guest-tests/topologies/twelve-by-sixteen.toml");
    let mut times = Vec::new();
    for _ in 0..runs {
        let output = Command::new(root.join("target/qemu/qemu-system-s390x"))
            .args(["-L", "/usr/share/qemu", "-nodefaults", "-display", "none"])
            .arg("-machine")
            .arg(format!(
                "s390-ccw-virtio,ap-topology={}",
                topology.display()
            ))
            .args(["-cpu", "max", "-m", "128M", "-chardev", "stdio,id=c"])
            .args(["-device", "sclpconsole,chardev=c", "-kernel"])
            .arg(root.join("target/share/probe"))
            .output()?;
        let text = String::from_utf8_lossy(&output.stdout);
        let line = text.lines().find(|l| l.contains("\"op\":\"sweep\""));
        let sweep: serde_json::Value = serde_json::from_str(line.context("no sweep")?)?;
        let took = sweep["took"].as_f64().context("no time")?;
        times.push(took / 65536.0);
    }
    record("TAPQ".to_owned(), "ns", &times, None, ("known", true))?;
    Ok(())
}

/// One machine for each size: how long a scan takes and how many AP
/// instructions it needs.
fn scans(cli: &Cli, runs: usize) -> Result<()> {
    let mut per_queue = Vec::new();
    for (adapters, domains) in [(1, 1), (4, 4), (16, 16), (16, cli.domains)] {
        let queues = u32::from(adapters) * u32::from(domains);
        let machine = boot("bench-scan", adapters, domains, "")?;
        let (mut times, mut counts) = (Vec::new(), Vec::new());
        for _ in 0..runs {
            let mark = machine.mark()?;
            let took = timed(&machine, "echo 1 >/sys/bus/ap/scans")?;
            times.push(took.as_secs_f64() * 1000.0);
            let entries = machine.audit(mark, None)?;
            let instructions = entries.iter().filter(|e| e.issuer == "host").count();
            counts.push(instructions as f64);
        }
        machine.shutdown()?;
        let name = format!("bus scan of {queues} queue(s)");
        record(name, "ms", &times, None, ("known", true))?;
        let (count, _) = bench::median_and_spread(&counts);
        per_queue.push(count / f64::from(queues));
        let first = per_queue[0];
        let goal = "no more a queue than a single one needs";
        let met = count / f64::from(queues) <= first * GROWTH_GOAL;
        let name = format!("AP instructions of a scan of {queues} queue(s)");
        record(name, "", &counts, None, (goal, met))?;
    }
    Ok(())
}
