// SPDX-License-Identifier: MIT OR Apache-2.0
//! What a driver takes of memory: itself, for an mdev, and for a queue.

use super::{A, Figures, LIMIT, Size};
use crate::{Driver, Error, Machine};
use l1_protocol::Exit;

/// So many mdevs, and so many rounds of queues: what else comes and goes
/// meanwhile is not in the median.
const MDEVS: usize = 500;
const ROUNDS: usize = 3;

/// Bytes of all objects, once what was freed is gone: those of the caches, and
/// what is larger than two pages, which is only in the sum of all pages.
const ALLOCATED: &str = r#"
    sleep 2; echo 2 >/proc/sys/vm/drop_caches
    for cache in /sys/kernel/slab/*/shrink; do echo 1 >$cache; done 2>/dev/null
    echo 1 >/proc/sys/vm/stat_refresh
    sum=0; pages=0
    while read -r _ count _ size _ each _ _ _ _ _ _ _ _ slabs _; do
        case $count in '' | *[!0-9]*) continue ;; esac
        sum=$((sum + count * size)); pages=$((pages + slabs * each))
    done </proc/slabinfo
    all=$(sed -n 's/^Slab: *\([0-9]*\) kB/\1/p' /proc/meminfo)
    echo $((sum + all * 1024 - pages * 4096))"#;

/// Size of the module, and memory of an mdev and of a queue, in bytes. The
/// driver has all queues before, and after.
pub fn figures(machine: &Machine, driver: &Driver, size: Size) -> Result<Figures, Error> {
    let module = number(
        machine,
        "sed -n 's/^vfio_ap \\([0-9]*\\) .*/\\1/p' /proc/modules",
    )?;
    let mut figures = vec![
        ("module", vec![module]),
        ("an mdev", vec![of_an_mdev(machine)?]),
    ];
    // one queue is less than what else comes and goes
    if size.adapters > 1 {
        let queues = (0..ROUNDS).map(|_| of_a_queue(machine, driver));
        figures.push(("a queue", queues.collect::<Result<_, _>>()?));
    }
    Ok(figures)
}

fn of_an_mdev(machine: &Machine) -> Result<f64, Error> {
    let before = number(machine, ALLOCATED)?;
    let create = format!(
        "n=0; cd /sys/devices/vfio_ap/matrix/mdev_supported_types/vfio_ap-passthrough
         while [ $n -lt {MDEVS} ]; do n=$((n + 1)); printf '{}%04x\\n' $n >create || exit; done; echo $n",
        &A[..A.len() - 4]
    );
    let made = number(machine, &create)?;
    let mdev = (number(machine, ALLOCATED)? - before) / made;
    number(
        machine,
        "cd /sys/devices/vfio_ap/matrix; for m in *-*-*; do echo 1 >$m/remove; done; echo 0",
    )?;
    Ok(mdev)
}

/// Between a driver that is loaded and has none, and one that has them all: what
/// it takes for itself is not in it.
fn of_a_queue(machine: &Machine, driver: &Driver) -> Result<f64, Error> {
    let load = match driver {
        Driver::C => "modprobe vfio_ap",
        _ => "insmod /tmp/vfio_ap.ko",
    };
    let alone = format!(
        "rmmod vfio_ap; cd /sys/bus/ap; echo 0 >drivers_autoprobe; {load}; \
         echo 1 >drivers_autoprobe; {ALLOCATED}"
    );
    let before = number(machine, &alone)?;
    let bind = "cd /sys/bus/ap/devices; n=0
        for queue in ??.????; do echo $queue >../drivers/vfio_ap/bind || exit; n=$((n + 1)); done; echo $n";
    let queues = number(machine, bind)?;
    Ok((number(machine, ALLOCATED)? - before) / queues)
}

/// What a line of shell prints.
fn number(machine: &Machine, line: &str) -> Result<f64, Error> {
    let output = machine.shell(line, LIMIT)?;
    let number = output.stdout.trim().parse().ok();
    number
        .filter(|_| output.exit == Exit::Status(0))
        .ok_or_else(|| Error::Transfer(format!("{line}: {output:?}")))
}
