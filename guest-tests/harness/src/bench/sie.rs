// SPDX-License-Identifier: MIT OR Apache-2.0
//! How fast a guest under SIE is: one Linux image as L2 and, in its place, as
//! L1, on our QEMU and on the same QEMU without our series.
//!
//! The three take turns, and what is compared was run one after the other: the
//! ratio is the median of those of all turns, since machines have faster and slower
//! seconds. The image measures itself (`guest-tests/agent`, the
//! program `workload`) and tells how long its kernel took to start it.

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

const LEVELS: [Level; 3] = [Level::L2, Level::L1, Level::Stock];

/// Measure all in turn so many times, each for so long, and record the figures.
///
/// # Errors
/// When something is not built, or a machine fails.
pub fn run(runs: usize, milliseconds: u32) -> Result<(), Error> {
    let mut config = Config::new("bench-sie");
    config.smp = CPUS;
    let ours = config.qemu_binary()?;
    let stock = stock()?;
    let mut words = "quiet maxcpus=1 rdinit=/bin/workload --".to_owned();
    for figure in &FIGURES[1..] {
        words += &format!(" {}={milliseconds}", figure.name);
    }
    let host = Machine::boot(&config)?;
    let mut values = [const { [const { Vec::new() }; LEVELS.len()] }; FIGURES.len()];
    for _ in 0..runs.max(1) {
        for level in LEVELS {
            let text = match level {
                Level::L2 => as_l2(&host, &words)?,
                Level::L1 => as_l1(&ours, "max,sief2=on,edat=on", &words)?,
                Level::Stock => as_l1(&stock, "max", &words)?,
            };
            for (figure, values) in FIGURES.iter().zip(&mut values) {
                let value = value(&text, figure.name)
                    .ok_or_else(|| Error::Transfer(format!("{level:?}: {text}")))?;
                values[level as usize].push(value);
            }
        }
    }
    host.shutdown()?;
    for (figure, [l2, l1, stock]) in FIGURES.iter().zip(&values) {
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
    let ratios: Vec<f64> = ours.iter().zip(peer).map(|(a, b)| a / b).collect();
    let (runs, (ours, spread), peer, ratio) = (
        ours.len(),
        median_and_spread(ours),
        median_and_spread(peer).0,
        median_and_spread(&ratios).0,
    );
    let (met, goal) = match goal {
        Goal::AtLeast(least) => (ratio >= least, format!("ratio at least {least}")),
        Goal::AtMost(most) => (ratio <= most, format!("ratio at most {most}")),
    };
    let Figure { what, unit, .. } = figure;
    println!("{what}, {whose}: {ours:.2} and {peer:.2} {unit}, ratio {ratio:.3} ({goal})");
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

/// Runs the image in place of L1; returns its console.
fn as_l1(qemu: &Path, cpu: &str, words: &str) -> Result<String, Error> {
    let share = project_root().join("target/share");
    let output = Command::new("timeout")
        .arg(LIMIT.as_secs().to_string())
        .arg(qemu)
        .args(["-L", "/usr/share/qemu", "-nodefaults", "-display", "none"])
        .args(["-machine", "s390-ccw-virtio", "-cpu", cpu])
        .args(["-smp", &CPUS.to_string(), "-m", MEMORY, "-no-reboot"])
        .args(["-chardev", "stdio,id=c", "-device", "sclpconsole,chardev=c"])
        .arg("-kernel")
        .arg(share.join("guest-kernel"))
        .arg("-initrd")
        .arg(share.join("guest-initramfs"))
        .args(["-append", words])
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
fn value(console: &str, name: &str) -> Option<f64> {
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
        assert_eq!(value(console, "boot"), Some(0.61));
        assert_eq!(value(console, "integer"), Some(7.0));
        assert_eq!(value(console, "fork"), None);
    }
}
