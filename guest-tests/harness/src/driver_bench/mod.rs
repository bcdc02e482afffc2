// SPDX-License-Identifier: MIT OR Apache-2.0
//! What operations on mdevs cost, with the C driver and with ours.
//!
//! Time is what the writer waits. Instructions are those of the writer: its CPU
//! time on a machine on which a nanosecond is an instruction (QEMU's `icount`);
//! work that a driver leaves to the kernel's work queues is not in it.

mod memory;
mod waits;

use crate::bench::{Entry, median_and_spread};
use crate::config::project_root;
use crate::mdev::{self, Mdev};
use crate::vfio::VfioClient;
use crate::{Config, Driver, Error, Machine};
use std::fmt::Write;
use std::path::PathBuf;
use std::time::Duration;
use waits::Waits;

/// Name of the mdev.
const A: &str = "62177883-f1bb-47f0-914d-32a22e3a8804";
const APMASK_FOLDER: &str = "/sys/bus/ap";
const LIMIT: Duration = Duration::from_secs(300);

/// A machine of so many adapters by domains, numbered from 0.
#[derive(Debug, Clone, Copy)]
pub struct Size {
    /// Adapters.
    pub adapters: u8,
    /// Domains.
    pub domains: u8,
}

/// The sizes that are measured.
pub const SIZES: [Size; 3] = [
    Size {
        adapters: 1,
        domains: 1,
    },
    Size {
        adapters: 12,
        domains: 16,
    },
    Size {
        adapters: 16,
        domains: 85,
    },
];

impl std::fmt::Display for Size {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{}x{}", self.adapters, self.domains)
    }
}

impl Size {
    fn topology(self) -> Result<PathBuf, Error> {
        let mut text = format!("usage-domains = [\"0-{}\"]\n", self.domains - 1);
        for apid in 0..self.adapters {
            // writing to a string cannot fail
            let _ = write!(text, "[[adapter]]\napid = {apid}\nmode = \"cca\"\n");
        }
        let path = project_root().join(format!("target/bench-{self}.toml"));
        std::fs::write(&path, text).map_err(Error::host(path.display().to_string()))?;
        Ok(path)
    }

    fn boot(self, driver: Driver, icount: bool) -> Result<Machine, Error> {
        let mut config = Config::new(format!("bench-{self}"));
        config.driver = driver;
        config.icount = icount;
        config.topology = Some(self.topology()?);
        config.boot_limit = LIMIT;
        Machine::boot(&config)
    }

    /// The masks of the first `adapters` by all domains.
    fn masks(self, adapters: u8) -> String {
        let ones = |n: u8| {
            let mut digits = "f".repeat(usize::from(n / 4));
            digits.push_str(["", "8", "c", "e"][usize::from(n % 4)]);
            format!("0x{digits:0<2}")
        };
        format!("{},{},0x0", ones(adapters), ones(self.domains))
    }
}

/// One write: what the writer waited, its CPU time, and whether it succeeded.
struct Sample {
    elapsed: f64,
    cpu: f64,
    refused: bool,
}

fn samples(answer: &str) -> Result<Vec<Sample>, Error> {
    let sample = |word: &str| {
        let (word, refused) = match word.strip_suffix('!') {
            Some(word) => (word, true),
            None => (word, false),
        };
        let (elapsed, cpu) = word.split_once(':')?;
        Some(Sample {
            elapsed: elapsed.parse().ok()?,
            cpu: cpu.parse().ok()?,
            refused,
        })
    };
    let all: Option<Vec<Sample>> = answer.split_whitespace().map(sample).collect();
    all.ok_or_else(|| Error::Transfer(format!("vfio-client: {answer}")))
}

/// What is measured: a name, whether it must be refused, and its values, of
/// time or of instructions.
type Figures = Vec<(&'static str, Vec<f64>)>;

/// The operations, on an mdev that a guest has.
fn operations(
    machine: &Machine,
    size: Size,
    rounds: usize,
    icount: bool,
) -> Result<Figures, Error> {
    let mdev = Mdev::create(machine, A)?;
    let path = mdev.path();
    mdev::store(
        machine,
        &format!("{path}/ap_config"),
        &size.masks(size.adapters),
    )?;
    let mut client = VfioClient::start(machine);
    client.ask(&format!("open dev group {path}"))?;
    let mut measure = |folder: &str, writes: &[&str], refused: bool| {
        let count = rounds * writes.len();
        let answer = client.ask(&format!("time {count} {folder} {}", writes.join(" ")))?;
        let all = samples(&answer)?;
        if all.iter().any(|sample| sample.refused != refused) {
            let words = format!("{folder} {writes:?}: refused: {}", !refused);
            return Err(Error::Transfer(words));
        }
        let value = |sample: &Sample| {
            if icount {
                sample.cpu
            } else {
                sample.elapsed / 1e3
            }
        };
        let of_step = |step| {
            all.iter()
                .skip(step)
                .step_by(writes.len())
                .map(value)
                .collect()
        };
        Ok((0..writes.len()).map(of_step).collect::<Vec<Vec<f64>>>())
    };
    let mut figures = Figures::new();
    let mut add = |names: &[&'static str], values: Vec<Vec<f64>>| {
        figures.extend(names.iter().copied().zip(values));
    };
    add(
        &["unassign_adapter", "assign_adapter"],
        measure(path, &["unassign_adapter=0", "assign_adapter=0"], false)?,
    );
    let less = format!("ap_config={}", size.masks(size.adapters - 1));
    let all = format!("ap_config={}", size.masks(size.adapters));
    add(
        &["ap_config, less", "ap_config, more"],
        measure(path, &[&less, &all], false)?,
    );
    add(&["in_use"], measure(APMASK_FOLDER, &["apmask=+0"], true)?);
    client.end()?;
    mdev.remove()?;
    Ok(figures)
}

/// What was measured of a driver.
struct Measured {
    operations: Figures,
    memory: Figures,
    waits: Option<Waits>,
}

fn measure(size: Size, driver: &Driver, rounds: usize, icount: bool) -> Result<Measured, Error> {
    let machine = size.boot(driver.clone(), icount)?;
    mdev::reserve_all(&machine)?;
    mdev::store(&machine, "/sys/bus/ap/config_time", "120")?;
    let operations = operations(&machine, size, rounds, icount)?;
    let waits = (!icount && size.adapters > 1).then(|| Waits::measure(&machine, size));
    let memory = if icount {
        Figures::new()
    } else {
        memory::figures(&machine, driver, size)?
    };
    machine.shutdown()?;
    Ok(Measured {
        operations,
        memory,
        waits: waits.transpose()?,
    })
}

/// Both drivers at one size; entries for `target/bench.json`.
///
/// # Errors
/// When a machine fails, or an operation does not do what it should.
pub fn run(size: Size, rounds: usize) -> Result<Vec<Entry>, Error> {
    let command = format!("l1 bench-driver --size {size} --rounds {rounds}");
    let mut entries = Vec::new();
    let mut add = |name: &str, unit: &str, ours: &[f64], theirs: &[f64], goal: f64| {
        let (median, spread) = median_and_spread(ours);
        let peer = median_and_spread(theirs).0;
        let ratio = median / peer;
        println!("{size} {name}: Rust {median:.0}, C {peer:.0} {unit}, ratio {ratio:.2}");
        entries.push(Entry {
            group: "driver".into(),
            name: format!("{size} {name}, Rust driver over C, {unit}"),
            unit: unit.into(),
            ours: median,
            peer: Some(peer),
            ratio: Some(ratio),
            goal: format!("at most {goal} times C"),
            met: ratio <= goal,
            runs: ours.len(),
            spread,
            command: command.clone(),
        });
    };
    let mut waits = Vec::new();
    for (icount, unit) in [(false, "us"), (true, "instructions of the writer")] {
        let ours = measure(size, &Driver::Rust, rounds, icount)?;
        let theirs = measure(size, &Driver::C, rounds, icount)?;
        for ((name, ours), (_, theirs)) in ours.operations.iter().zip(&theirs.operations) {
            add(name, unit, ours, theirs, 1.0);
        }
        for ((name, ours), (_, theirs)) in ours.memory.iter().zip(&theirs.memory) {
            add(&format!("size of {name}"), "bytes", ours, theirs, 2.0);
        }
        waits.extend(ours.waits.zip(theirs.waits));
    }
    let waits = waits.iter();
    entries.extend(waits.map(|(ours, theirs)| ours.entry(theirs, size, &command)));
    Ok(entries)
}
