// SPDX-License-Identifier: MIT OR Apache-2.0
//! Which writes give the named queues to vfio_ap, and which put everything
//! back. Pure: from what the host has to what is to be written.
//!
//! A queue is reserved for vfio_ap in one of two ways, which exclude each other
//! for the whole host (`apmask_store` and `driver_override_store` in Linux'
//! `drivers/s390/crypto`):
//!
//! ```text
//! driver_override   one queue; Linux 7 and later, while both masks are full
//! apmask, aqmask    a whole adapter or a whole domain, so only if all queues
//!                   that the host has of it were named
//! ```

use super::survey::{Queue, Survey};
use crate::scenario::OUR_UUIDS;
use ap_arch::{Apm, Apqn, Aqm};
use serde::{Deserialize, Serialize};
use std::collections::{BTreeMap, BTreeSet};

/// The driver that takes queues for guests.
pub const VFIO_AP: &str = "vfio_ap";
const BUS: &str = "/sys/bus/ap";

/// A write to a file of sysfs.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Write {
    /// The file.
    pub path: String,
    /// What is written.
    pub data: String,
}

fn write(path: String, data: impl Into<String>) -> Write {
    let data = data.into();
    Write { path, data }
}

/// How queues are reserved.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum By {
    /// They are vfio_ap's already.
    Nothing,
    /// By `driver_override` of each.
    Override,
    /// By clearing these bits of the masks.
    Masks(Apm, Aqm),
}

/// How the named queues become vfio_ap's.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Plan {
    /// Those that are not yet.
    pub take: BTreeSet<Apqn>,
    /// How.
    pub by: By,
}

/// Whether a driver that comes gets all devices it may have.
pub fn autoprobe(on: bool) -> Write {
    let on = u8::from(on).to_string();
    write(format!("{BUS}/drivers_autoprobe"), on)
}

/// Looks for drivers for the devices that came meanwhile.
pub fn newcomers(before: &Survey, now: &Survey) -> Vec<Write> {
    let cards = now.cards.keys().filter(|c| !before.cards.contains_key(c));
    let cards = cards.map(|apid| format!("card{:02x}", apid.get()));
    let queues = now.queues.keys().filter(|q| !before.queues.contains_key(q));
    let names = cards.chain(queues.map(Apqn::to_string));
    let probe = |name| write(format!("{BUS}/drivers_probe"), name);
    names.map(probe).collect()
}

/// Queues that were not named and have no driver.
pub fn idle(survey: &Survey, named: &BTreeSet<Apqn>) -> BTreeSet<Apqn> {
    let is_idle = |(q, queue): &(&Apqn, &Queue)| queue.driver.is_none() && !named.contains(q);
    let idle = survey.queues.iter().filter(is_idle);
    idle.map(|(q, _)| *q).collect()
}

/// Takes drivers from those that had none. A change of masks may give them one:
/// Linux (`__ap_revise_reserved`) asks for the flags of their driver all the same,
/// and goes by what is in storage at that place. Queues of mdevs are let be.
pub fn part(idle: &BTreeSet<Apqn>, now: &Survey) -> Vec<Write> {
    let is_assigned = |q: &&Apqn| now.mdevs.values().any(|has| has.contains(*q));
    let free = idle.iter().filter(|q| !is_assigned(q));
    free.filter_map(|q| unbind(now, *q)).collect()
}

impl Plan {
    /// For the queues a user named.
    ///
    /// # Errors
    /// Every reason not to touch them.
    pub fn new(survey: &Survey, named: &BTreeSet<Apqn>) -> Result<Self, Vec<String>> {
        let reasons: Vec<String> = named.iter().filter_map(|q| refusal(survey, *q)).collect();
        if !reasons.is_empty() {
            return Err(reasons);
        }
        let is_free = |q: &&Apqn| survey.queues[q].driver.as_deref() != Some(VFIO_AP);
        let take: BTreeSet<Apqn> = named.iter().filter(is_free).copied().collect();
        let by = if take.is_empty() {
            By::Nothing
        } else if survey.has_overrides() && survey.apmask == Apm::FULL && survey.aqmask == Aqm::FULL
        {
            By::Override
        } else {
            masks(survey, named, &take)?
        };
        Ok(Self { take, by })
    }

    /// The writes that carry it out.
    pub fn writes(&self, survey: &Survey) -> Vec<Write> {
        match self.by {
            By::Nothing => Vec::new(),
            By::Override => {
                let each = |q: &Apqn| {
                    let device = format!("{BUS}/devices/{q}");
                    let only = write(format!("{device}/driver_override"), VFIO_AP);
                    let unbind = unbind(survey, *q);
                    let probe = write(format!("{BUS}/drivers_probe"), q.to_string());
                    [Some(only), unbind, Some(probe)]
                };
                self.take.iter().flat_map(each).flatten().collect()
            }
            By::Masks(apm, aqm) => {
                let (apm, aqm) = (survey.apmask.and_not(apm), survey.aqmask.and_not(aqm));
                let mut writes = masks_to(survey, apm, aqm);
                // One without a driver stays so when masks change.
                let is_free = |q: &&Apqn| survey.queues.get(q).is_some_and(|q| q.driver.is_none());
                let free = self.take.iter().filter(is_free);
                writes.extend(free.map(|q| write(format!("{BUS}/drivers_probe"), q.to_string())));
                writes
            }
        }
    }
}

fn unbind(survey: &Survey, queue: Apqn) -> Option<Write> {
    let driver = survey.queues.get(&queue)?.driver.as_ref()?;
    let file = format!("{BUS}/drivers/{driver}/unbind");
    Some(write(file, queue.to_string()))
}

fn masks_to(now: &Survey, apm: Apm, aqm: Aqm) -> Vec<Write> {
    let mut writes = Vec::new();
    if now.apmask != apm {
        writes.push(write(format!("{BUS}/apmask"), apm.to_string()));
    }
    if now.aqmask != aqm {
        writes.push(write(format!("{BUS}/aqmask"), aqm.to_string()));
    }
    writes
}

/// Why a queue must not be touched.
fn refusal(survey: &Survey, apqn: Apqn) -> Option<String> {
    let Some(queue) = survey.queues.get(&apqn) else {
        return Some(format!("{apqn} is no queue of this host"));
    };
    if let Some((uuid, _)) = survey.mdevs.iter().find(|(_, has)| has.contains(&apqn)) {
        return Some(format!("{apqn} is assigned to mdev {uuid}"));
    }
    if !queue.config || queue.checkstop {
        let state = if queue.config {
            "has failed"
        } else {
            "is deconfigured"
        };
        return Some(format!("{apqn}: its adapter {state}"));
    }
    let driver = queue.driver.as_deref().filter(|d| *d != VFIO_AP);
    let only = queue.only.as_deref().unwrap_or_default();
    if !matches!(only, "" | VFIO_AP) {
        return Some(format!("{apqn} is reserved for {only} by driver_override"));
    }
    if queue.requests > 0 {
        return Some(format!("{apqn} has {} requests in it", queue.requests));
    }
    if driver.is_some() && queue.online != Some(false) && !survey.users.is_empty() {
        let users = survey.users.join(", ");
        return Some(format!(
            "{apqn} may be in use by zcrypt, which these have open: {users}; \
             `chzcrypt -d {apqn}` takes it from them"
        ));
    }
    None
}

/// The bits that reserve those of these queues that are not reserved yet, and
/// touch no other.
fn masks(
    survey: &Survey,
    named: &BTreeSet<Apqn>,
    take: &BTreeSet<Apqn>,
) -> Result<By, Vec<String>> {
    let others = |same: &dyn Fn(&Apqn) -> bool| -> Vec<String> {
        let all = survey.queues.keys().filter(|q| same(q));
        let others = all.filter(|q| !named.contains(q));
        others.map(Apqn::to_string).collect()
    };
    let (mut apm, mut aqm) = (Apm::EMPTY, Aqm::EMPTY);
    let mut reasons = Vec::new();
    let is_zcrypts = |q: &&Apqn| survey.apmask.test(q.apid) && survey.aqmask.test(q.apqi);
    for queue in take.iter().filter(is_zcrypts) {
        let by_adapter = others(&|q| q.apid == queue.apid);
        let by_domain = others(&|q| q.apqi == queue.apqi);
        if by_adapter.is_empty() {
            apm.set(queue.apid);
        } else if by_domain.is_empty() {
            aqm.set(queue.apqi);
        } else {
            reasons.push(format!(
                "{queue}: apmask and aqmask, which this host has in use or has alone, take a whole \
                 adapter or a whole domain; name these, too: {} (or {})",
                by_adapter.join(","),
                by_domain.join(",")
            ));
        }
    }
    if reasons.is_empty() {
        Ok(By::Masks(apm, aqm))
    } else {
        Err(reasons)
    }
}

/// What is to be as it was, kept in a file while it is not.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Saved {
    /// The program that runs its guests.
    pub apvmm: String,
    /// Whether the module is to be removed.
    pub module: bool,
    apmask: String,
    aqmask: String,
    autoprobe: bool,
    /// The named queues.
    queues: BTreeMap<String, SavedQueue>,
    /// Queues without a driver.
    idle: BTreeSet<String>,
    /// Mdevs that were there.
    mdevs: BTreeSet<String>,
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
struct SavedQueue {
    driver: Option<String>,
    only: Option<String>,
    online: Option<bool>,
}

impl Saved {
    /// What the host has now.
    pub fn of(survey: &Survey, named: &BTreeSet<Apqn>, apvmm: String) -> Self {
        let queue = |q: &Apqn| {
            let queue = &survey.queues[q];
            let saved = SavedQueue {
                driver: queue.driver.clone(),
                only: queue.only.clone(),
                online: queue.online,
            };
            (q.to_string(), saved)
        };
        Self {
            apvmm,
            module: false,
            apmask: survey.apmask.to_string(),
            aqmask: survey.aqmask.to_string(),
            autoprobe: survey.autoprobe,
            queues: named.iter().map(queue).collect(),
            idle: idle(survey, named).iter().map(Apqn::to_string).collect(),
            mdevs: survey.mdevs.keys().cloned().collect(),
        }
    }

    /// The next writes on the way back; none if all is as it was. Each round
    /// is for what the host has after the last.
    pub fn undo(&self, now: &Survey) -> Vec<Write> {
        let ours = |uuid: &&String| uuid.starts_with(OUR_UUIDS) && !self.mdevs.contains(*uuid);
        let mdevs = now.mdevs.keys().filter(ours);
        let remove = |u: &String| write(format!("{}/{u}/remove", crate::mdev::MATRIX), "1");
        let removals: Vec<Write> = mdevs.map(remove).collect();
        if !removals.is_empty() {
            return removals;
        }
        let mut writes = Vec::new();
        if self.autoprobe != now.autoprobe {
            writes.push(autoprobe(self.autoprobe));
        }
        for (path, was, is) in [
            ("apmask", &self.apmask, now.apmask.to_string()),
            ("aqmask", &self.aqmask, now.aqmask.to_string()),
        ] {
            if *was != is {
                writes.push(write(format!("{BUS}/{path}"), was.clone()));
            }
        }
        if !writes.is_empty() {
            // The bus gives queues to other drivers by itself then.
            return writes;
        }
        let idle = self.idle.iter().filter_map(|q| q.parse().ok()).collect();
        writes.extend(part(&idle, now));
        for (name, was) in &self.queues {
            let found = name
                .parse()
                .ok()
                .and_then(|q| Some((q, now.queues.get(&q)?)));
            // A queue that has left the host meanwhile has no state.
            let Some((apqn, is)) = found else { continue };
            let device = format!("{BUS}/devices/{name}");
            if is.driver.is_some() && is.driver != was.driver {
                writes.extend(unbind(now, apqn));
            }
            if let (Some(was), Some(is)) = (&was.only, &is.only)
                && was != is
            {
                writes.push(write(
                    format!("{device}/driver_override"),
                    format!("{was}\n"),
                ));
            }
            if was.driver.is_some() && is.driver != was.driver {
                writes.push(write(format!("{BUS}/drivers_probe"), name.clone()));
            }
            if let (Some(was), Some(is)) = (was.online, is.online)
                && was != is
            {
                let online = u8::from(was).to_string();
                writes.push(write(format!("{device}/online"), online));
            }
        }
        writes
    }
}

#[cfg(test)]
mod tests;
