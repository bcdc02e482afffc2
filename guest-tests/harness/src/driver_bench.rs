// SPDX-License-Identifier: MIT OR Apache-2.0
//! What operations on mdevs cost, with the C driver and with ours.
//!
//! Time is what the writer waits. Instructions are those of the writer: its CPU
//! time on a machine on which a nanosecond is an instruction (QEMU's `icount`);
//! work that a driver leaves to the kernel's work queues is not in it.

use crate::bench::{Entry, median_and_spread};
use crate::config::project_root;
use crate::mdev::{self, Mdev};
use crate::vfio::VfioClient;
use crate::{Config, Driver, Error, Machine, qmp};
use l1_protocol::Exit;
use std::fmt::Write;
use std::path::PathBuf;
use std::time::{Duration, Instant};

/// Names of the mdevs.
const A: &str = "62177883-f1bb-47f0-914d-32a22e3a8804";
const B: &str = "62177883-f1bb-47f0-914d-32a22e3a8805";
const APMASK_FOLDER: &str = "/sys/bus/ap";
const LIMIT: Duration = Duration::from_secs(300);
/// How long the reset of a stuck queue takes, and for how much of that is
/// measured what others do.
const STUCK: Duration = Duration::from_secs(20);
const MEASURED: Duration = Duration::from_secs(10);
/// So many assignments are enough for the slowest in a hundred.
const ASSIGNMENTS: usize = 1000;

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

fn number(machine: &Machine, line: &str) -> Result<f64, Error> {
    let output = machine.shell(line, LIMIT)?;
    let number = output.stdout.trim().parse().ok();
    number
        .filter(|_| output.exit == Exit::Status(0))
        .ok_or_else(|| Error::Transfer(format!("{line}: {output:?}")))
}

/// Size of the module, and memory of an mdev and of a queue, in bytes. A queue's
/// is what loading the driver takes, which then gets them all.
fn sizes(machine: &Machine, driver: &Driver, size: Size) -> Result<Figures, Error> {
    const MDEVS: f64 = 500.0;
    /// Bytes of all objects, once what was freed is gone; what is larger than
    /// two pages is none.
    const SLAB: &str = "sleep 2; echo 2 >/proc/sys/vm/drop_caches
        for cache in /sys/kernel/slab/*/shrink; do echo 1 >$cache; done 2>/dev/null
        n=0; while read -r _ count _ size _; do
          case $count in ''|*[!0-9]*) ;; *) n=$((n + count * size)) ;; esac
        done </proc/slabinfo; echo $n";
    let module = number(
        machine,
        "sed -n 's/^vfio_ap \\([0-9]*\\) .*/\\1/p' /proc/modules",
    )?;
    let before = number(machine, SLAB)?;
    let create = format!(
        "n=0; cd /sys/devices/vfio_ap/matrix/mdev_supported_types/vfio_ap-passthrough
         while [ $n -lt {MDEVS} ]; do n=$((n + 1)); printf '{}%04x\\n' $n >create; done; echo 0",
        &A[..A.len() - 4]
    );
    number(machine, &create)?;
    let mdev = (number(machine, SLAB)? - before) / MDEVS;
    number(
        machine,
        "cd /sys/devices/vfio_ap/matrix; for m in *-*-*; do echo 1 >$m/remove; done; echo 0",
    )?;
    let load = match driver {
        Driver::C => "modprobe vfio_ap",
        _ => "insmod /tmp/vfio_ap.ko",
    };
    let mut queue = Vec::new();
    // what else comes and goes meanwhile is not in the median
    for _ in 0..3 {
        let before = number(machine, &format!("rmmod vfio_ap; {SLAB}"))?;
        let all = number(
            machine,
            &format!("{load}; ls -d /sys/bus/ap/drivers/vfio_ap/??.???? | wc -l"),
        )?;
        queue.push((number(machine, SLAB)? - before) / all);
    }
    let mut sizes = vec![("module", vec![module]), ("an mdev", vec![mdev])];
    // with one queue it is the driver's
    if size.adapters > 1 {
        sizes.push(("a queue", queue));
    }
    Ok(sizes)
}

/// The slowest assignments to B in a hundred, in microseconds: with A idle,
/// and while a queue that A lost takes seconds to be reset.
fn p99(machine: &Machine, size: Size) -> Result<[f64; 2], Error> {
    let (a, b) = (Mdev::create(machine, A)?, Mdev::create(machine, B)?);
    mdev::store(machine, &format!("{}/ap_config", a.path()), &size.masks(1))?;
    mdev::store(machine, &format!("{}/assign_domain", b.path()), "0")?;
    let mut client = VfioClient::start(machine);
    client.ask(&format!("open dev group {}", a.path()))?;
    let request = format!("time 40 {} assign_adapter=1 unassign_adapter=1", b.path());
    let worst = |client: &mut VfioClient| -> Result<f64, Error> {
        let (begin, mut times) = (Instant::now(), Vec::new());
        while times.len() < ASSIGNMENTS && begin.elapsed() < MEASURED {
            let assigns = samples(&client.ask(&request)?)?.into_iter().step_by(2);
            times.extend(assigns.map(|sample| sample.elapsed / 1e3));
        }
        times.sort_by(f64::total_cmp);
        Ok(times[times.len() * 99 / 100])
    };
    // once for nothing, to have everything in caches
    worst(&mut client)?;
    let idle = worst(&mut client)?;
    let faults = format!(
        "[[fault]]\napqn = \"00.0000\"\non = \"zapq\"\ndelay-ms = {}",
        STUCK.as_millis()
    );
    machine.qmp(qmp::ApInject { faults })?;
    client.ask("masks")?;
    let line = format!("echo 0 >{}/unassign_adapter", a.path());
    let (_, leaving) = machine.start(l1_protocol::Command {
        argv: ["sh", "-c", &line].map(str::to_owned).to_vec(),
        ..Default::default()
    });
    while client.ask("masks")? == "none" {}
    let stuck = worst(&mut client)?;
    machine.qmp(qmp::ApClearFaults {})?;
    machine.next_within(&leaving, LIMIT)?;
    client.end()?;
    a.remove()?;
    b.remove()?;
    Ok([idle, stuck])
}

/// Both drivers at one size; entries for `target/bench.json`.
///
/// # Errors
/// When a machine fails, or an operation does not do what it should.
pub fn run(size: Size, rounds: usize) -> Result<Vec<Entry>, Error> {
    let command = format!("l1 bench-driver --size {size} --rounds {rounds}");
    let mut entries = Vec::new();
    let mut add = |name: String, unit: &str, ours: &[f64], theirs: &[f64], goal: f64| {
        let (median, spread) = median_and_spread(ours);
        let peer = median_and_spread(theirs).0;
        let ratio = median / peer;
        println!("{name}: Rust {median:.0}, C {peer:.0} {unit}, ratio {ratio:.2}");
        entries.push(Entry {
            group: "driver".into(),
            name: format!("{name}, Rust driver over C, {unit}"),
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
    for (icount, unit) in [(false, "us"), (true, "instructions of the writer")] {
        let mut both = Vec::new();
        for driver in [Driver::Rust, Driver::C] {
            let machine = size.boot(driver.clone(), icount)?;
            mdev::reserve_all(&machine)?;
            mdev::store(&machine, "/sys/bus/ap/config_time", "120")?;
            let figures = operations(&machine, size, rounds, icount)?;
            let waits = (!icount && size.adapters > 1).then(|| p99(&machine, size));
            let extra = if icount {
                Vec::new()
            } else {
                sizes(&machine, &driver, size)?
            };
            machine.shutdown()?;
            both.push((figures, extra, waits.transpose()?));
        }
        let [(ours, our_sizes, our_p99), (theirs, their_sizes, their_p99)] = &both[..] else {
            unreachable!("two drivers");
        };
        for ((name, ours), (_, theirs)) in ours.iter().zip(theirs) {
            add(format!("{size} {name}"), unit, ours, theirs, 1.0);
        }
        for ((name, ours), (_, theirs)) in our_sizes.iter().zip(their_sizes) {
            add(format!("{size} size of {name}"), "bytes", ours, theirs, 2.0);
        }
        if let (Some([idle, stuck]), Some([c_idle, c_stuck])) = (our_p99, their_p99) {
            // As the other figures are over C's, this is over C's, too.
            let (ours, theirs) = (stuck / idle, c_stuck / c_idle);
            println!(
                "{size} p99 of an assignment, another mdev stuck over idle: {ours:.2}, C {theirs:.2}"
            );
            add(
                format!("{size} p99 of an assignment, another mdev stuck over idle"),
                "times idle",
                &[ours],
                &[theirs],
                1.1,
            );
        }
    }
    Ok(entries)
}
