// SPDX-License-Identifier: MIT OR Apache-2.0
//! How soon a guest sees what the host writes: a guest of apvmm beside one of
//! QEMU, in one L1, by turns; bare metal and Linux.

use super::vmm::{Vmm, compare, shell};
use super::{median_and_spread, percentile};
use crate::error::Error;
use crate::machine::Machine;
use crate::mdev::{Mdev, Resource, reserve_all};

const UUID: &str = "5fb1ad1a-0000-4000-8000-00000000000f";
/// The adapter that comes and goes, and how the mask begins without and with it.
const PLUGGED: (u8, &str, &str) = (1, "0400", "4400");
/// Changes in a turn; even, so that each ends as it began.
const TURN: usize = 100;

/// Measure so many changes of each kind of guest under each VMM.
///
/// # Errors
/// When the machine fails, or a guest does not see a change at all.
pub fn run(machine: &Machine, vmms: &[Vmm; 2], changes: usize) -> Result<(), Error> {
    reserve_all(machine)?;
    let mdev = Mdev::create(machine, UUID)?;
    mdev.change(true, Resource::Adapter, 5)?;
    mdev.change(true, Resource::Domain, 4)?;
    let mut times = [const { [const { Vec::new() }; 2] }; 2];
    for _ in 0..changes.div_ceil(TURN) {
        for (kind, times) in times.iter_mut().enumerate() {
            for (vmm, times) in vmms.iter().zip(times) {
                times.extend(follow(machine, vmm, kind == 1, mdev.path())?);
            }
        }
    }
    for (kind, times) in ["a bare-metal guest", "a Linux guest"].iter().zip(&times) {
        let spread = median_and_spread(&times[0]).1;
        for (name, part) in [("p50", 0.5), ("p99", 0.99)] {
            let figures = times.each_ref().map(|t| percentile(t, part));
            compare(
                &format!("host write until {kind} sees it, {name}"),
                "ms",
                "ratio at most 1.1",
                figures,
                times[0].len(),
                spread,
            )?;
        }
    }
    mdev.remove()
}

/// Milliseconds that each change of a turn took.
fn follow(machine: &Machine, vmm: &Vmm, linux: bool, mdev: &str) -> Result<Vec<f64>, Error> {
    let (adapter, without, with) = PLUGGED;
    let command = vmm.with_device(linux, mdev);
    let line =
        format!("/mnt/host/follow {TURN} {mdev} {adapter:#x} {without} {with} {command}; exit $?");
    let text = shell(machine, &line)?;
    let times: Vec<f64> = text
        .lines()
        .filter_map(|line| line.strip_prefix("follow: ")?.parse::<f64>().ok())
        .map(|microseconds| microseconds / 1000.0)
        .collect();
    if times.len() == TURN {
        return Ok(times);
    }
    Err(Error::Transfer(format!(
        "{} of {TURN} changes: {text}",
        times.len()
    )))
}
