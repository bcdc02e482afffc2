// SPDX-License-Identifier: MIT OR Apache-2.0
//! apvmm beside Debian's newest QEMU, both under KVM in one L1: how long the
//! start takes, how much memory besides the guest's, what an exit costs, and how
//! soon guests see changes ([`follow`]).

use super::{Entry, follow, median_and_spread, record};
use crate::config::{Config, Driver, project_root};
use crate::error::Error;
use crate::machine::Machine;
use l1_protocol::Exit;
use std::time::Duration;

/// A guest's memory in MiB, for both.
const MEMORY: u32 = 128;
const LIMIT: Duration = Duration::from_secs(600);
/// Goes to the kernel's trace events, with none recorded.
const READY: &str = "mountpoint -q /sys/kernel/tracing || mount -t tracefs none /sys/kernel/tracing; \
     cd /sys/kernel/tracing && echo 0 >tracing_on && echo >trace && echo 0 >options/overwrite";

/// Debian's newest QEMU, and what it needs.
const ROOT: &str = "target/l1-root-sid";
const TOPOLOGY: &str = "guest-tests/topologies/twelve-by-sixteen.toml";
/// Changes of a guest's AP configuration, of each kind of guest.
const CHANGES: usize = 200;

/// One of the two.
pub struct Vmm {
    /// How it is called, without an AP device.
    command: String,
    /// The option for a device, before the path of its mdev.
    device: &'static str,
    /// Options for kernel, RAM disk and command line.
    options: [&'static str; 3],
    /// Its file's name.
    name: &'static str,
}

impl Vmm {
    /// Runs the probe; its command line follows.
    fn probe(&self) -> String {
        let [kernel, _, line] = self.options;
        format!("{} {kernel} /mnt/host/probe {line}", self.command)
    }

    /// Runs Linux; the same.
    fn linux(&self) -> String {
        let [kernel, disk, line] = self.options;
        format!(
            "{} {kernel} /mnt/host/guest-kernel {disk} /mnt/host/guest-initramfs {line}",
            self.command
        )
    }

    /// Runs a guest with an AP device, which tells its masks and takes commands.
    pub fn with_device(&self, linux: bool, mdev: &str) -> String {
        let guest = if linux {
            format!("{} 'quiet loglevel=3 crypto=off commands=on'", self.linux())
        } else {
            format!("{} 'crypto=off commands=on'", self.probe())
        };
        format!("{guest} {}{mdev}", self.device)
    }
}

/// Measure both in turn so many times and record the figures.
///
/// # Errors
/// When Debian's newest QEMU is not there, or the machine fails.
pub fn run(runs: usize) -> Result<(), Error> {
    let root = project_root().join(ROOT);
    let path = root.join("usr/bin/qemu-system-s390x");
    if !path.exists() {
        return Err(Error::NotBuilt {
            what: "Debian's QEMU for s390x",
            path,
            make: "SUITE=sid make l1-root PACKAGES=qemu-system-s390x",
        });
    }
    let mut config = Config::new("bench-vmm");
    config.root = Some(root);
    config.driver = Driver::Rust;
    config.topology = Some(project_root().join(TOPOLOGY));
    let machine = Machine::boot(&config)?;
    let vmms = vmms();
    let none = || [Vec::new(), Vec::new()];
    let (mut starts, mut sizes, mut inits, mut trips) = (none(), none(), none(), none());
    // What reads a file first in this L1 reads it from outside.
    for vmm in &vmms {
        start(&machine, vmm)?;
        init(&machine, vmm)?;
    }
    for _ in 0..runs.max(1) {
        for (i, vmm) in vmms.iter().enumerate() {
            starts[i].push(start(&machine, vmm)?);
            sizes[i].push(memory(&machine, vmm)?);
            inits[i].push(init(&machine, vmm)?);
            trips[i].push(round_trip(&machine, vmm)?);
        }
    }
    report(
        "exec to the first entry into the guest",
        "ms",
        "ratio below 1",
        &starts,
    )?;
    report(
        "memory besides the guest's (RSS)",
        "KiB",
        "ratio below 1",
        &sizes,
    )?;
    report(
        "exec to a Linux guest's init",
        "ms",
        "ratio at most 0.7",
        &inits,
    )?;
    report(
        "exit to the VMM and back",
        "us",
        "ratio at most 0.5",
        &trips,
    )?;
    follow::run(&machine, &vmms, CHANGES)?;
    machine.shutdown()
}

fn vmms() -> [Vmm; 2] {
    let theirs = "chroot /mnt/root /usr/bin/qemu-system-s390x -accel kvm \
         -cpu host,ap=on,apqci=on,apft=on -machine s390-ccw-virtio -nodefaults \
         -display none -no-reboot -chardev stdio,id=c -device sclpconsole,chardev=c";
    [
        Vmm {
            command: format!("/mnt/host/apvmm run --memory {MEMORY}M --console stdio --no-reboot"),
            device: "--ap sysfsdev=",
            options: ["--kernel", "--initrd", "--cmdline"],
            name: "apvmm",
        },
        Vmm {
            command: format!("{theirs} -m {MEMORY}M"),
            device: "-device vfio-ap,sysfsdev=",
            options: ["-kernel", "-initrd", "-append"],
            name: "qemu-system-s390x",
        },
    ]
}

fn report(name: &str, unit: &str, goal: &str, runs: &[Vec<f64>; 2]) -> Result<(), Error> {
    let figures = runs.each_ref().map(|r| median_and_spread(r).0);
    let spread = median_and_spread(&runs[0]).1;
    compare(name, unit, goal, figures, runs[0].len(), spread)
}

/// Print and record a figure of ours and of theirs.
pub fn compare(
    name: &str,
    unit: &str,
    goal: &str,
    [ours, peer]: [f64; 2],
    runs: usize,
    spread: f64,
) -> Result<(), Error> {
    let ratio = ours / peer;
    println!("{name}: apvmm {ours:.1} {unit}, QEMU {peer:.1} {unit}, ratio {ratio:.3}");
    record(Entry {
        group: "vmm".into(),
        name: format!("{name}, apvmm over QEMU"),
        unit: unit.into(),
        ours,
        peer: Some(peer),
        ratio: Some(ratio),
        goal: goal.into(),
        met: ratio <= limit_of(goal),
        runs,
        spread,
        command: "make bench".into(),
    })
}

/// The figure that a goal ends with.
fn limit_of(goal: &str) -> f64 {
    let figure = goal.rsplit(' ').next().and_then(|word| word.parse().ok());
    figure.unwrap_or(1.0)
}

/// Milliseconds from a VMM's exec until the first words of its guest's init
/// come out of it.
fn init(machine: &Machine, vmm: &Vmm) -> Result<f64, Error> {
    let (linux, name) = (vmm.linux(), vmm.name);
    // the sum is not in the command line, which the kernel prints
    let words = "console=ttysclp0 rdinit=/bin/sh -- -c \"echo init-$((40+2)); poweroff -f\"";
    let trace = shell(
        machine,
        &format!(
            "{READY} && echo 1 >events/sched/sched_process_exec/enable && echo 1 >tracing_on && \
             {linux} '{words}' </dev/null | while read -r line; do \
             case $line in *init-42*) echo init >trace_marker;; esac; done; \
             echo 0 >tracing_on; \
             grep -m 1 'sched_process_exec: .*/{name} ' trace; grep -m 1 'tracing_mark_write: init' trace"
        ),
    )?;
    between(&trace).ok_or_else(|| Error::Transfer(format!("no init under {name} in: {trace}")))
}

/// Microseconds that an exit to the VMM takes.
fn round_trip(machine: &Machine, vmm: &Vmm) -> Result<f64, Error> {
    const COUNT: u32 = 20_000;
    let (command, name) = (vmm.probe(), vmm.name);
    let text = shell(
        machine,
        &format!("{command} 'crypto=off round-trips={COUNT}' </dev/null; true"),
    )?;
    let figure = text.lines().find_map(|line| {
        let value: serde_json::Value = serde_json::from_str(line.trim()).ok()?;
        (value["op"] == "round-trips").then(|| value["vmm-ns"].as_f64())?
    });
    match figure {
        Some(ns) if ns > 0.0 => Ok(ns / f64::from(COUNT) / 1000.0),
        _ => Err(Error::Transfer(format!("no round trips of {name}: {text}"))),
    }
}

/// Milliseconds from a VMM's exec until KVM first enters its guest.
fn start(machine: &Machine, vmm: &Vmm) -> Result<f64, Error> {
    let (command, name) = (vmm.probe(), vmm.name);
    let trace = shell(
        machine,
        &format!(
            "{READY} && echo 1 >events/sched/sched_process_exec/enable && \
             echo 1 >events/kvm/kvm_s390_sie_enter/enable && echo 1 >tracing_on && \
             {command} exit-after=1 >/tmp/out; echo 0 >tracing_on; \
             echo 0 >events/kvm/kvm_s390_sie_enter/enable; \
             grep -m 1 'sched_process_exec: .*/{name} ' trace; grep -m 1 kvm_s390_sie_enter: trace"
        ),
    )?;
    between(&trace).ok_or_else(|| Error::Transfer(format!("no start of {name} in: {trace}")))
}

/// Milliseconds between the only two lines of a trace.
fn between(trace: &str) -> Option<f64> {
    let times: Vec<f64> = trace.lines().filter_map(time_of).collect();
    match times[..] {
        [first, last] => Some((last - first) * 1000.0),
        _ => None,
    }
}

/// The time stamp of a line of the kernel's trace, in seconds.
fn time_of(line: &str) -> Option<f64> {
    line.split_whitespace()
        .find_map(|word| word.strip_suffix(':')?.parse().ok())
}

/// KiB resident in a VMM with a running guest, the guest's memory aside.
fn memory(machine: &Machine, vmm: &Vmm) -> Result<f64, Error> {
    let (command, name) = (vmm.probe(), vmm.name);
    let kib = MEMORY * 1024;
    // A mapping's size tells which is the guest's.
    let sum = format!(
        "/^Size:/ {{ guest = $2 >= {kib} }} /^Rss:/ && !guest {{ kib += $2 }} END {{ print kib }}"
    );
    let text = shell(
        machine,
        &format!(
            ": >/tmp/out; {command} 'wait-events=1 exit-after=60' >/tmp/out & \
             n=0; until grep -q '\"op\":\"waiting\"' /tmp/out || [ $n = 600 ]; do sleep 0.1; n=$((n+1)); done; \
             awk '{sum}' /proc/$(pidof {name})/smaps; kill -9 $(pidof {name}); wait 2>/dev/null || true"
        ),
    )?;
    text.trim()
        .parse()
        .map_err(|_| Error::Transfer(format!("no size of {name}: {text}")))
}

/// Run a line in L1, which must succeed; what it prints.
pub fn shell(machine: &Machine, line: &str) -> Result<String, Error> {
    let output = machine.shell(line, LIMIT)?;
    if output.exit == Exit::Status(0) {
        Ok(output.stdout)
    } else {
        Err(Error::Transfer(format!("`{line}`: {output:?}")))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_trace_line_has_a_time() {
        let line = "  apvmm-77      [001] .....    12.500250: sched_process_exec: filename=/mnt/host/apvmm pid=77 old_pid=77";
        assert_eq!(time_of(line), Some(12.500_25));
        assert_eq!(time_of("# entries-in-buffer: none"), None);
    }
}
