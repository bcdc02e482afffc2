// SPDX-License-Identifier: MIT OR Apache-2.0
//! How fast a guest under SIE is: one Linux image as L2 and, in its place, as
//! L1, on our QEMU and on the same QEMU without our series.
//!
//! The three take turns, and what is compared is the best that each ever did: a
//! machine that others share has slow seconds (`docs/sie-speed.md`), and nothing makes
//! it faster than it is. The image measures itself (`guest-tests/agent`, the program
//! `workload`) and tells how long its kernel took to start it.

use super::{Entry, median_and_spread, record};
use crate::config::{Config, project_root};
use crate::error::Error;
use crate::machine::Machine;
use l1_protocol::Exit;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::Duration;

/// For one run of the image.
const LIMIT: Duration = Duration::from_secs(180);
/// CPUs of QEMU, with L1 in between or not: it translates in another way for
/// one. The image uses one of them.
const CPUS: u32 = 2;
/// Boots of L2 and L1 in a turn besides the one in which all is measured: a boot has
/// one figure only.
const MORE_BOOTS: usize = 2;
/// On the image's command line when it only boots.
const BOOT_WORDS: &str = "quiet maxcpus=1 rdinit=/bin/workload --";
/// Memory of the image in MiB.
const MEMORY: &str = "256";

/// What is wanted of a ratio.
#[derive(Clone, Copy)]
enum Goal {
    AtLeast(f64),
    AtMost(f64),
}

/// A figure, what L2 over L1 is to be, and what L1 over stock QEMU's.
struct Figure {
    /// As `workload` calls it.
    name: &'static str,
    what: &'static str,
    unit: &'static str,
    l2: Goal,
    stock: Option<Goal>,
}

const fn rate(name: &'static str, what: &'static str, l2: f64, stock: Option<f64>) -> Figure {
    Figure {
        name,
        what,
        unit: "a second",
        l2: Goal::AtLeast(l2),
        stock: match stock {
            Some(ratio) => Some(Goal::AtLeast(ratio)),
            None => None,
        },
    }
}

/// How long the image takes to its init, by its own clock.
const BOOT: Figure = Figure {
    name: "boot",
    what: "boot of one image",
    unit: "s",
    l2: Goal::AtMost(1.3),
    stock: None,
};

/// The boot is the first.
const FIGURES: [Figure; 6] = [
    BOOT,
    rate("integer", "integer loop", 0.95, Some(0.98)),
    rate("syscall", "system calls", 0.95, Some(8.0)),
    rate("fault", "page faults", 0.9, Some(4.0)),
    rate("fork", "fork and wait", 0.85, None),
    rate("memory", "memory beyond the TLB", 1.0, None),
];

/// Where the image runs, in the order in which it does so.
#[derive(Debug, Clone, Copy)]
enum Level {
    L2,
    L1,
    Stock,
}

/// What the image measured, by figure and level.
#[derive(Default)]
struct Values([[Vec<f64>; 3]; FIGURES.len()]);

impl Values {
    /// One level's turn, in which `run` runs the image with the words that it is given.
    fn turn(
        &mut self,
        level: Level,
        words: &str,
        run: impl Fn(&str) -> Result<String, Error>,
    ) -> Result<(), Error> {
        let text = run(words)?;
        for (figure, values) in FIGURES.iter().zip(&mut self.0) {
            values[level as usize].push(value(level, &text, figure.name)?);
        }
        if !matches!(level, Level::Stock) {
            for _ in 0..MORE_BOOTS {
                let text = run(BOOT_WORDS)?;
                self.0[0][level as usize].push(value(level, &text, BOOT.name)?);
            }
        }
        Ok(())
    }
}

/// Measure all in turn so many times, each for so long, and record the figures.
///
/// # Errors
/// When something is not built, or a machine fails.
pub fn run(runs: usize, milliseconds: u32) -> Result<(), Error> {
    let mut config = Config::new("bench-sie");
    config.smp = CPUS;
    let ours = config.qemu_binary()?;
    let stock = stock()?;
    let mut words = BOOT_WORDS.to_owned();
    for figure in &FIGURES[1..] {
        words += &format!(" {}={milliseconds}", figure.name);
    }
    let memory = config.memory_mib;
    let mut values = Values::default();
    for _ in 0..runs.max(1) {
        // each time anew: where L1 has L2's storage makes a difference
        let host = Machine::boot(&config)?;
        values.turn(Level::L2, &words, |words| as_l2(&host, words))?;
        host.shutdown()?;
        values.turn(Level::L1, &words, |words| {
            as_l1(&ours, "max,sief2=on,edat=on", memory, words)
        })?;
        values.turn(Level::Stock, &words, |words| {
            as_l1(&stock, "max", memory, words)
        })?;
    }
    for (figure, [l2, l1, stock]) in FIGURES.iter().zip(&values.0) {
        compare(figure, "L2 over L1", figure.l2, l2, l1)?;
        if let Some(goal) = figure.stock {
            compare(figure, "our L1 over stock QEMU's", goal, l1, stock)?;
        }
    }
    Ok(())
}

fn compare(
    figure: &Figure,
    whose: &str,
    goal: Goal,
    ours: &[f64],
    peer: &[f64],
) -> Result<(), Error> {
    let best: fn(&[f64]) -> f64 = match goal {
        Goal::AtLeast(_) => |values| values.iter().copied().fold(f64::MIN, f64::max),
        Goal::AtMost(_) => |values| values.iter().copied().fold(f64::MAX, f64::min),
    };
    let (runs, (median, spread), peer_median) = (
        ours.len(),
        median_and_spread(ours),
        median_and_spread(peer).0,
    );
    let (ours, peer) = (best(ours), best(peer));
    let ratio = ours / peer;
    let (met, goal) = match goal {
        Goal::AtLeast(least) => (ratio >= least, format!("ratio at least {least}")),
        Goal::AtMost(most) => (ratio <= most, format!("ratio at most {most}")),
    };
    let Figure { what, unit, .. } = figure;
    println!(
        "{what}, {whose}: {ours:.2} and {peer:.2} {unit}, ratio {ratio:.3} ({goal}); \
         medians {median:.2} and {peer_median:.2}"
    );
    record(Entry {
        group: "sie".into(),
        name: format!("{what}, {whose}"),
        unit: (*unit).into(),
        ours,
        peer: Some(peer),
        ratio: Some(ratio),
        goal,
        met,
        runs,
        spread,
        command: "l1 bench-sie".into(),
    })
}

/// QEMU without our series.
fn stock() -> Result<PathBuf, Error> {
    let path = project_root().join("target/qemu-stock/qemu-system-s390x");
    if path.exists() {
        return Ok(path);
    }
    Err(Error::NotBuilt {
        what: "QEMU without our series",
        path,
        make: "scripts/qemu.sh stock",
    })
}

/// Runs the image as L2; returns its console.
fn as_l2(host: &Machine, words: &str) -> Result<String, Error> {
    let argv = [
        "/mnt/host/apvmm",
        "run",
        "--console",
        "stdio",
        "--kernel",
        "/mnt/host/guest-kernel",
        "--initrd",
        "/mnt/host/guest-initramfs",
        "--memory",
        // Huge pages, as for guests that are to be fast: or the first use of each
        // page would count, which costs a guest an exit.
        &format!("size={MEMORY}M,thp=on"),
        "--cmdline",
        words,
    ];
    let command = l1_protocol::Command {
        argv: argv.map(str::to_owned).to_vec(),
        ..Default::default()
    };
    let output = host.run(command, LIMIT)?;
    match output.exit {
        Exit::Status(0) => Ok(output.stdout),
        _ => Err(Error::Transfer(format!("apvmm: {output:?}"))),
    }
}

/// Runs the image in place of L1, in a machine of the same size, of which it uses no
/// more than L2 has; returns its console.
fn as_l1(qemu: &Path, cpu: &str, machine_mib: u32, words: &str) -> Result<String, Error> {
    let share = project_root().join("target/share");
    let output = Command::new("timeout")
        .arg(LIMIT.as_secs().to_string())
        .arg(qemu)
        .args(["-L", "/usr/share/qemu", "-nodefaults", "-display", "none"])
        .args(["-machine", "s390-ccw-virtio", "-cpu", cpu])
        .args(["-smp", &CPUS.to_string(), "-no-reboot"])
        .args(["-m", &format!("{machine_mib}M")])
        .args(["-chardev", "stdio,id=c", "-device", "sclpconsole,chardev=c"])
        .arg("-kernel")
        .arg(share.join("guest-kernel"))
        .arg("-initrd")
        .arg(share.join("guest-initramfs"))
        .args(["-append", &format!("mem={MEMORY}M {words}")])
        .stdin(Stdio::null())
        .output()
        .map_err(Error::host(qemu.display().to_string()))?;
    if output.status.success() {
        Ok(String::from_utf8_lossy(&output.stdout).into_owned())
    } else {
        Err(Error::Transfer(format!("{}: {output:?}", qemu.display())))
    }
}

/// What `workload` tells of a figure.
fn value(level: Level, console: &str, name: &str) -> Result<f64, Error> {
    find(console, name).ok_or_else(|| Error::Transfer(format!("{level:?}: no {name}: {console}")))
}

fn find(console: &str, name: &str) -> Option<f64> {
    let mut lines = console.lines().map(str::split_whitespace);
    lines.find_map(|mut words| {
        let ours = words.next() == Some("workload:") && words.next() == Some(name);
        words.next().filter(|_| ours)?.parse().ok()
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_figure_is_found_among_the_messages() {
        let console = "[0.1] Linux\r\nworkload: boot 0.61\r\nworkload: integer 7\r\n";
        assert_eq!(find(console, "boot"), Some(0.61));
        assert_eq!(find(console, "integer"), Some(7.0));
        assert_eq!(find(console, "fork"), None);
    }
}
