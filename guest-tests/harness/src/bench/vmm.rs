// SPDX-License-Identifier: MIT OR Apache-2.0
//! apvmm beside Debian's QEMU, both under KVM in one L1: how long the start
//! takes, and how much memory besides the guest's.

use super::{Entry, median_and_spread, record};
use crate::config::{Config, project_root};
use crate::error::Error;
use crate::machine::Machine;
use l1_protocol::Exit;
use std::time::Duration;

/// A guest's memory in MiB, for both.
const MEMORY: u32 = 128;
const LIMIT: Duration = Duration::from_secs(120);
/// Where L1 has the kernel's trace events.
const TRACING: &str = "/sys/kernel/tracing";

/// One of the two, by how it is called and by its file's name.
struct Vmm {
    command: String,
    name: &'static str,
}

/// Measure both in turn so many times and record the figures.
///
/// # Errors
/// When Debian's QEMU is not in `target/l1-root`, or the machine fails.
pub fn run(runs: usize) -> Result<(), Error> {
    let root = project_root().join("target/l1-root");
    let path = root.join("usr/bin/qemu-system-s390x");
    if !path.exists() {
        return Err(Error::NotBuilt {
            what: "Debian's QEMU for s390x",
            path,
            make: "make l1-root PACKAGES='s390-tools mdevctl openssl kmod qemu-system-s390x'",
        });
    }
    let mut config = Config::new("bench-vmm");
    config.root = Some(root);
    let machine = Machine::boot(&config)?;
    let vmms = vmms();
    let (mut starts, mut sizes) = ([Vec::new(), Vec::new()], [Vec::new(), Vec::new()]);
    for _ in 0..runs.max(1) {
        for (i, vmm) in vmms.iter().enumerate() {
            starts[i].push(start(&machine, vmm)?);
            sizes[i].push(memory(&machine, vmm)?);
        }
    }
    machine.shutdown()?;
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
    )
}

fn vmms() -> [Vmm; 2] {
    [
        Vmm {
            command: format!(
                "/mnt/host/apvmm run --kernel /mnt/host/probe --memory {MEMORY}M --console stdio --cmdline"
            ),
            name: "apvmm",
        },
        Vmm {
            command: format!(
                "chroot /mnt/root /usr/bin/qemu-system-s390x -accel kvm -machine s390-ccw-virtio \
                 -m {MEMORY}M -nodefaults -display none -chardev stdio,id=c \
                 -device sclpconsole,chardev=c -kernel /mnt/host/probe -append"
            ),
            name: "qemu-system-s390x",
        },
    ]
}

fn report(name: &str, unit: &str, goal: &str, runs: &[Vec<f64>; 2]) -> Result<(), Error> {
    let [(ours, spread), (peer, _)] = runs.each_ref().map(|r| median_and_spread(r));
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
        met: ratio < 1.0,
        runs: runs[0].len(),
        spread,
        command: "make bench".into(),
    })
}

/// Milliseconds from a VMM's exec until KVM first enters its guest.
fn start(machine: &Machine, vmm: &Vmm) -> Result<f64, Error> {
    let Vmm { command, name } = vmm;
    let trace = shell(
        machine,
        &format!(
            "mountpoint -q {TRACING} || mount -t tracefs none {TRACING}; cd {TRACING} && echo 0 >tracing_on && echo >trace && echo 0 >options/overwrite && \
             echo 1 >events/sched/sched_process_exec/enable && \
             echo 1 >events/kvm/kvm_s390_sie_enter/enable && echo 1 >tracing_on && \
             {command} exit-after=1 >/tmp/out; echo 0 >tracing_on; \
             grep -m 1 'sched_process_exec: .*/{name} ' trace; grep -m 1 kvm_s390_sie_enter: trace"
        ),
    )?;
    let times: Vec<f64> = trace.lines().filter_map(time_of).collect();
    match times[..] {
        [exec, enter] => Ok((enter - exec) * 1000.0),
        _ => Err(Error::Transfer(format!("no start of {name} in: {trace}"))),
    }
}

/// The time stamp of a line of the kernel's trace, in seconds.
fn time_of(line: &str) -> Option<f64> {
    line.split_whitespace()
        .find_map(|word| word.strip_suffix(':')?.parse().ok())
}

/// KiB resident in a VMM with a running guest, the guest's memory aside.
fn memory(machine: &Machine, vmm: &Vmm) -> Result<f64, Error> {
    let Vmm { command, name } = vmm;
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

fn shell(machine: &Machine, line: &str) -> Result<String, Error> {
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
