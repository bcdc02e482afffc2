// SPDX-License-Identifier: MIT OR Apache-2.0
//! Why a guest does not get what its mdev was assigned.

use core::fmt::{self, Write};

use super::format::QueueStatusText;
use super::{Attach, Binding, Mdev, Memory, Model, Queue};
use crate::ap_arch::{Apid, Apqi, Apqn, ResponseCode};

/// Something assigned that the guest does not get, and the first reason.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub enum Withheld {
    /// The host does not have the adapter.
    AdapterNotInHost(Apid),
    /// The driver does not have this queue of the adapter.
    QueueNotBound(Apqn),
    /// This queue of the adapter is being reset.
    ResetPending(Apqn),
    /// The reset of this queue of the adapter did not complete.
    ResetFailed(Apqn, ResponseCode),
    /// The host does not have the usage domain.
    DomainNotInHost(Apqi),
    /// The host does not have the control domain.
    ControlDomainNotInHost(Apqi),
}

impl Withheld {
    /// The queue whose driver is to be named, if one is.
    pub fn names_driver_of(&self) -> Option<Apqn> {
        match self {
            Self::QueueNotBound(apqn) => Some(*apqn),
            _ => None,
        }
    }

    /// The line of `explain`; `driver` is the one that has the queue instead.
    pub fn write(&self, driver: Option<&str>, out: &mut dyn Write) -> fmt::Result {
        match self {
            Self::AdapterNotInHost(apid) => writeln!(out, "adapter {apid} not-in-host"),
            Self::QueueNotBound(apqn) => {
                let driver = driver.unwrap_or("none");
                writeln!(out, "adapter {} queue-not-bound {apqn} {driver}", apqn.apid)
            }
            Self::ResetPending(apqn) => {
                writeln!(out, "adapter {} reset-pending {apqn}", apqn.apid)
            }
            Self::ResetFailed(apqn, code) => {
                let (apid, code) = (apqn.apid, code.0);
                writeln!(out, "adapter {apid} reset-failed {apqn} rc=0x{code:02x}")
            }
            Self::DomainNotInHost(apqi) => writeln!(out, "domain {apqi} not-in-host"),
            Self::ControlDomainNotInHost(id) => {
                writeln!(out, "control-domain {id} not-in-host")
            }
        }
    }
}

impl<M: Memory> Model<M> {
    /// Everything assigned to `mdev` that its guest does not get, or would not
    /// get: adapters, then domains, then control domains.
    pub fn withheld<'a>(&'a self, mdev: &'a Mdev) -> impl Iterator<Item = Withheld> + 'a {
        let host = self.host.settled();
        let assigned = mdev.assigned;
        let aqm = assigned.aqm.and(host.aqm);
        let adapters = assigned.apm.iter().filter_map(move |apid| {
            if host.apm.test(apid) {
                self.obstacle(mdev.id, apid, aqm)
                    .map(|apqn| self.reason(apqn))
            } else {
                Some(Withheld::AdapterNotInHost(apid))
            }
        });
        let domains = assigned.aqm.and_not(host.aqm);
        let controls = assigned.adm.and_not(host.adm);
        adapters
            .chain(domains.iter().map(Withheld::DomainNotInHost))
            .chain(controls.iter().map(Withheld::ControlDomainNotInHost))
    }

    /// What the `status` of a queue says.
    pub fn queue_status(&self, apqn: Apqn) -> QueueStatusText {
        match self.owner(apqn) {
            None => QueueStatusText::Unassigned,
            Some(mdev) if mdev.attach != Attach::Detached && mdev.published.contains(apqn) => {
                QueueStatusText::InUse
            }
            Some(_) => QueueStatusText::Assigned,
        }
    }

    fn reason(&self, apqn: Apqn) -> Withheld {
        let bound = |queue: &&Queue| queue.binding() == Binding::Bound;
        match self.queue(apqn).ok().filter(bound) {
            None => Withheld::QueueNotBound(apqn),
            Some(queue) => match queue.last_failure() {
                Some(code) => Withheld::ResetFailed(apqn, code),
                None => Withheld::ResetPending(apqn),
            },
        }
    }
}
