// SPDX-License-Identifier: MIT OR Apache-2.0
//! The front door to L1: a shell in it, or one command run in it.

use anyhow::{Context, Result, bail};
use clap::{Args, Parser, Subcommand, ValueEnum};
use harness::bench::{self, Entry};
use harness::driver_bench::{self, Size};
use harness::keep::keep;
use harness::terminal::{Ends, interactive};
use harness::{Config, Driver, Exit, Flavour, Machine, evidence};
use l1_protocol::{Command, Stream};
use std::io::{Write, stderr, stdout};
use std::path::PathBuf;
use std::process::ExitCode;
use std::time::Duration;

/// Boots L1, an emulated IBM Z that hosts the guests, and runs things in it.
#[derive(Parser)]
#[command(name = "l1", version, about)]
struct Cli {
    #[command(subcommand)]
    what: What,
}

#[derive(Subcommand)]
enum What {
    /// An interactive shell in L1; `exit` leaves and ends the machine
    Shell(Boot),
    /// Run one command in L1 and exit with its status
    Run(Run),
    /// Write docs/evidence/weaknesses.md from what the last tests saw
    Evidence,
    /// Measure what operations on mdevs cost with either driver, into
    /// target/bench.json
    BenchDriver {
        /// Adapters by domains: 1x1, 12x16, 16x85; all of them if none is named
        #[arg(long)]
        size: Option<String>,
        /// How often each operation is made
        #[arg(long, default_value_t = 20)]
        rounds: usize,
    },
    /// Measure how long L1 takes to reach the agent, into target/bench.json
    BenchBoot {
        /// How many boots
        #[arg(long, default_value_t = 5)]
        runs: usize,
    },
    /// Measure a Linux image as L2, as L1, and on stock QEMU, into
    /// target/bench.json
    BenchSie {
        /// How often each is started
        #[arg(long, default_value_t = 9)]
        runs: usize,
        /// For how long each figure is measured at least
        #[arg(long, default_value_t = 400)]
        milliseconds: u32,
    },
    /// Measure apvmm beside Debian's QEMU in L1, into target/bench.json
    BenchVmm {
        /// How many starts of each
        #[arg(long, default_value_t = 5)]
        runs: usize,
    },
}

#[derive(Args)]
struct Boot {
    /// Which vfio_ap to load first (MODULE=x.ko loads one's own)
    #[arg(long, value_enum)]
    driver: Option<DriverName>,
    /// Which kernel
    #[arg(long, value_enum, default_value_t)]
    kernel: Flavour,
    /// AP topology of the machine (TOML)
    #[arg(long, value_name = "FILE")]
    topology: Option<PathBuf>,
    /// Folder to offer as a second root at /mnt/root; writes stay in memory
    #[arg(long, value_name = "DIR")]
    root: Option<PathBuf>,
    /// Run inside that root
    #[arg(long, requires = "root")]
    chroot: bool,
    /// CPUs
    #[arg(long, value_name = "N", default_value_t = 2, value_parser = clap::value_parser!(u32).range(1..=16))]
    smp: u32,
    /// Memory in MiB
    #[arg(long, value_name = "MIB", default_value_t = 1024, value_parser = clap::value_parser!(u32).range(128..=65536))]
    memory: u32,
}

#[derive(Args)]
struct Run {
    #[command(flatten)]
    boot: Boot,
    /// Run this file verbatim by the shell
    #[arg(long, value_name = "FILE", conflicts_with = "command")]
    script: Option<PathBuf>,
    /// Kill the command after so many seconds (status 124)
    #[arg(long, value_name = "SECONDS")]
    timeout: Option<u64>,
    /// The command and its arguments
    #[arg(last = true, value_name = "CMD", required_unless_present = "script")]
    command: Vec<String>,
}

#[derive(Clone, Copy, ValueEnum)]
enum DriverName {
    /// Ours
    Rust,
    /// The stock driver
    C,
    /// No driver
    None,
}

/// Where a script is put inside L1, and inside a second root.
const SCRIPT: &str = "/tmp/l1-script";
/// Bad usage or nothing to run on, as opposed to a status of the command.
const FAILED: u8 = 125;

fn main() -> ExitCode {
    let result = match Cli::parse().what {
        What::Shell(boot) => shell(&boot),
        What::Run(run) => run_command(&run),
        What::Evidence => write_evidence(),
        What::BenchDriver { size, rounds } => bench_driver(size.as_deref(), rounds),
        What::BenchBoot { runs } => bench_boot(runs),
        What::BenchSie { runs, milliseconds } => bench::sie::run(runs, milliseconds)
            .map(|()| ExitCode::SUCCESS)
            .map_err(Into::into),
        What::BenchVmm { runs } => bench::vmm::run(runs)
            .map(|()| ExitCode::SUCCESS)
            .map_err(Into::into),
    };
    result.unwrap_or_else(|e| {
        eprintln!("l1: {e:#}");
        ExitCode::from(FAILED)
    })
}

fn config(boot: &Boot, name: &str) -> Config {
    let mut config = Config::new(name);
    match boot.driver {
        Some(DriverName::Rust) => config.driver = Driver::Rust,
        Some(DriverName::C) => config.driver = Driver::C,
        Some(DriverName::None) => config.driver = Driver::None,
        None => {}
    }
    config.flavour = boot.kernel;
    config.topology.clone_from(&boot.topology);
    config.root.clone_from(&boot.root);
    config.smp = boot.smp;
    config.memory_mib = boot.memory;
    if config.gdb {
        eprintln!("l1: waiting for a debugger on localhost:1234 (docs/debugging.md)");
    }
    config
}

fn chroot(boot: &Boot) -> Option<String> {
    boot.chroot.then(|| "/mnt/root".to_owned())
}

fn shell(boot: &Boot) -> Result<ExitCode> {
    let machine = Machine::boot(&config(boot, "shell"))?;
    eprintln!(
        "l1: Linux {} after {:.1} s; kernel messages in {}",
        machine.kernel,
        machine.boot_time.as_secs_f32(),
        machine.logs().join("kernel.log").display()
    );
    let argv = vec!["/bin/sh".into(), "-l".into()];
    let exit = interactive(&machine, Ends::standard()?, argv, chroot(boot))?;
    Ok(status(&exit))
}

fn run_command(run: &Run) -> Result<ExitCode> {
    let machine = Machine::boot(&config(&run.boot, "run"))?;
    let root = chroot(&run.boot);
    let mut argv = run.command.clone();
    if let Some(script) = &run.script {
        let content = std::fs::read(script).with_context(|| script.display().to_string())?;
        let inside = root
            .as_ref()
            .map_or_else(|| SCRIPT.to_owned(), |r| format!("{r}{SCRIPT}"));
        machine.write_file(&inside, 0o755, &content)?;
        argv = vec!["/bin/sh".into(), SCRIPT.into()];
    }
    let limit = run.timeout.map(Duration::from_secs);
    let command = Command {
        argv,
        root,
        ..Command::default()
    };
    let result = machine.run_with(command, limit, |stream, data| {
        // A closed pipe of ours does not stop the command.
        let _ = match stream {
            Stream::Stdout => stdout().write_all(data).and_then(|()| stdout().flush()),
            Stream::Stderr => stderr().write_all(data),
        };
    });
    let exit = match result {
        Err(harness::Error::Deadline { limit, .. }) => {
            eprintln!("l1: killed after {limit:?}");
            return Ok(ExitCode::from(124));
        }
        other => other.inspect_err(|e| keep(&machine, None, &e.to_string()))?,
    };
    if let Exit::NotStarted(why) = &exit {
        bail!("the command could not be started: {why}");
    }
    if exit != Exit::Status(0) {
        keep(&machine, chroot(&run.boot), &format!("{exit:?}"));
    }
    machine.shutdown()?;
    Ok(status(&exit))
}

/// The exit status a shell would give.
fn status(exit: &Exit) -> ExitCode {
    match exit {
        Exit::Status(code) => ExitCode::from(u8::try_from(code & 0xff).unwrap_or(FAILED)),
        Exit::Signal(signal) => {
            ExitCode::from(u8::try_from(128 + (signal & 0x7f)).unwrap_or(FAILED))
        }
        Exit::TimedOut => ExitCode::from(124),
        Exit::NotStarted(_) => ExitCode::from(FAILED),
    }
}

fn write_evidence() -> Result<ExitCode> {
    let path = evidence::table_file();
    let table = evidence::table(&evidence::recorded()?)?;
    std::fs::write(&path, table).with_context(|| path.display().to_string())?;
    println!("{}", path.display());
    Ok(ExitCode::SUCCESS)
}

/// Seconds within which L1 must reach the agent.
const BOOT_GOAL: f64 = 3.0;

fn bench_driver(only: Option<&str>, rounds: usize) -> Result<ExitCode> {
    let wanted = |size: &Size| only.is_none_or(|only| size.to_string() == only);
    for size in driver_bench::SIZES.into_iter().filter(wanted) {
        for entry in driver_bench::run(size, rounds.max(1))? {
            bench::record(entry)?;
        }
    }
    Ok(ExitCode::SUCCESS)
}

fn bench_boot(runs: usize) -> Result<ExitCode> {
    let mut times = Vec::new();
    for _ in 0..runs.max(1) {
        let machine = Machine::boot(&Config::new("bench-boot"))?;
        times.push(machine.boot_time.as_secs_f64());
        machine.shutdown()?;
    }
    let (ours, spread) = bench::median_and_spread(&times);
    let met = ours < BOOT_GOAL;
    println!(
        "boot: L1 reaches the agent in {ours:.2} s (spread {spread:.2} s, {} runs)",
        times.len()
    );
    bench::record(Entry {
        group: "boot".into(),
        name: "L1 from QEMU's start to the agent".into(),
        unit: "s".into(),
        ours,
        peer: None,
        ratio: None,
        goal: format!("under {BOOT_GOAL} s on 2 cores, release kernel"),
        met,
        runs: times.len(),
        spread,
        command: "make bench".into(),
    })?;
    Ok(if met {
        ExitCode::SUCCESS
    } else {
        ExitCode::FAILURE
    })
}
