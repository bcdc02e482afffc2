// SPDX-License-Identifier: MIT OR Apache-2.0
//! Scripted faults: hardware that is slow, or fails, on command.

use std::time::Duration;

use ap_arch::{Apid, Apqn};
use serde::Deserialize;

/// Which queues a fault concerns.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Scope {
    /// One queue.
    Queue(Apqn),
    /// All queues of an adapter.
    Adapter(Apid),
}

/// What a fault waits for.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Trigger {
    /// PQAP(TAPQ).
    Tapq,
    /// PQAP(RAPQ).
    Rapq,
    /// PQAP(ZAPQ).
    Zapq,
    /// PQAP(AQIC).
    Aqic,
    /// NQAP.
    Nqap,
    /// DQAP.
    Dqap,
    /// The reply to a request.
    Reply,
}

impl Trigger {
    /// Whether it starts something that completes later and so can be delayed.
    pub const fn completes_later(self) -> bool {
        matches!(self, Self::Rapq | Self::Zapq | Self::Aqic | Self::Reply)
    }
}

/// A fault.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Fault {
    /// Where.
    pub scope: Scope,
    /// At what.
    pub on: Trigger,
    /// Answer with this code and do nothing else. For an instruction that is a
    /// response code, for a reply the code of an error reply.
    pub code: Option<u8>,
    /// How often: to answer with the code or, without one, to delay. `None`:
    /// until cleared.
    pub times: Option<u32>,
    /// Completion takes this long.
    pub delay: Option<Duration>,
}

/// Number of a fault, unique within a model.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub struct FaultId(pub u32);

#[derive(Debug)]
struct Armed {
    id: FaultId,
    fault: Fault,
}

/// The faults in force, in order of definition; the first that fits acts.
#[derive(Debug, Default)]
pub(crate) struct Faults {
    armed: Vec<Armed>,
    last_id: u32,
}

impl Faults {
    pub(crate) fn add(&mut self, fault: Fault) -> FaultId {
        self.last_id += 1;
        let id = FaultId(self.last_id);
        self.armed.push(Armed { id, fault });
        id
    }

    /// Clears one fault, or all. Returns how many there were.
    pub(crate) fn clear(&mut self, id: Option<FaultId>) -> usize {
        let before = self.armed.len();
        self.armed.retain(|a| id.is_some_and(|id| a.id != id));
        before - self.armed.len()
    }

    /// The code to answer with. Whoever acts on it calls [`Self::spend`].
    pub(crate) fn code(&self, on: Trigger, apqn: Apqn) -> Option<(FaultId, u8)> {
        self.matching(on, apqn)
            .filter(|a| a.fault.times != Some(0))
            .find_map(|a| Some((a.id, a.fault.code?)))
    }

    /// How long completion takes. Whoever acts on it calls [`Self::spend`] if
    /// the fault has no code to count.
    pub(crate) fn delay(&self, on: Trigger, apqn: Apqn) -> Option<(FaultId, Duration)> {
        self.matching(on, apqn)
            .find_map(|a| Some((a.id, a.fault.delay?)))
    }

    /// Counts an answer with the code of fault `id`.
    pub(crate) fn spend_code(&mut self, id: FaultId) {
        self.spend(id, |fault| fault.code.is_some());
    }

    /// Counts a delay by fault `id`, unless its count is for the code.
    pub(crate) fn spend_delay(&mut self, id: FaultId) {
        self.spend(id, |fault| fault.code.is_none());
    }

    fn matching(&self, on: Trigger, apqn: Apqn) -> impl Iterator<Item = &Armed> {
        self.armed.iter().filter(move |a| {
            a.fault.on == on
                && match a.fault.scope {
                    Scope::Queue(queue) => queue == apqn,
                    Scope::Adapter(apid) => apid == apqn.apid,
                }
        })
    }

    fn spend(&mut self, id: FaultId, counted: impl Fn(&Fault) -> bool) {
        let armed = self.armed.iter_mut().map(|a| (a.id, &mut a.fault));
        for (_, fault) in armed.filter(|(i, fault)| *i == id && counted(fault)) {
            fault.times = fault.times.map(|left| left.saturating_sub(1));
        }
        // a spent code leaves its delay in force; a spent delay leaves nothing
        self.armed.retain(|a| match a.fault.times {
            Some(0) => a.fault.code.is_some() && a.fault.delay.is_some(),
            _ => true,
        });
    }
}
