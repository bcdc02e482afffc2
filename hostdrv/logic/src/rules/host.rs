// SPDX-License-Identifier: MIT OR Apache-2.0
//! What the machine gives the host.

use super::Errno;
use crate::ap_arch::{Apid, Apqi, Matrix, Qci, QciFlags};

/// The host's AP configuration as the driver knows it.
///
/// The AP bus tells of a change before it has looked for the devices that come
/// with it, and again when it has bound them. What was removed counts at once;
/// what was added counts when the scan is over, so that a guest gets a bulk
/// change in one step and never loses an adapter because a new domain's queue
/// device has not been made yet.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug, Default)]
pub struct Host {
    current: Matrix,
    settled: Matrix,
    /// The bus has told of a configuration.
    told: bool,
}

impl Host {
    /// A host whose scan is over, and whose bus has told nothing yet.
    pub fn new(config: Matrix) -> Self {
        Self {
            current: config,
            settled: config,
            told: false,
        }
    }

    /// What the machine gives now; reset commands can reach these queues.
    pub fn current(&self) -> Matrix {
        self.current
    }

    /// What counts for guests.
    pub fn settled(&self) -> Matrix {
        self.settled
    }

    /// What was asked for when the bus had come to know the driver is older than
    /// all that the bus told meanwhile.
    pub(super) fn registered(&mut self, config: Matrix) {
        if !self.told {
            *self = Self::new(config);
        }
    }

    pub(super) fn config_changed(&mut self, config: Matrix) {
        self.current = config;
        self.settled = self.settled.intersect(config);
        self.told = true;
    }

    pub(super) fn scan_complete(&mut self, config: Matrix) {
        *self = Self::new(config);
        self.told = true;
    }
}

/// The highest numbers that can be assigned, fixed when an mdev is created.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub struct Limits {
    apid: u8,
    apqi: u8,
}

impl Limits {
    /// The limits that go with a configuration block: its own if the machine
    /// has extended addressing, else the 64 by 16 of those without.
    pub fn of(qci: &Qci) -> Self {
        if qci.flags.contains(QciFlags::APXA) {
            Self {
                apid: qci.na,
                apqi: qci.nd,
            }
        } else {
            Self { apid: 63, apqi: 15 }
        }
    }

    /// The adapter of a number, if there can be one.
    pub fn adapter(self, number: u64) -> Result<Apid, Errno> {
        Self::check(number, self.apid).map(Apid::new)
    }

    /// The usage or control domain of a number, if there can be one.
    pub fn domain(self, number: u64) -> Result<Apqi, Errno> {
        Self::check(number, self.apqi).map(Apqi::new)
    }

    /// Whether nothing in `matrix` is beyond the limits.
    pub fn allow(self, matrix: Matrix) -> bool {
        matrix.apm.last().is_none_or(|last| last.get() <= self.apid)
            && matrix.aqm.last().is_none_or(|last| last.get() <= self.apqi)
            && matrix.adm.last().is_none_or(|last| last.get() <= self.apqi)
    }

    fn check(number: u64, max: u8) -> Result<u8, Errno> {
        match u8::try_from(number) {
            Ok(number) if number <= max => Ok(number),
            _ => Err(Errno::Enodev),
        }
    }
}
