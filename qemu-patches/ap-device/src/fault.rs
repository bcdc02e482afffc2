// SPDX-License-Identifier: MIT OR Apache-2.0
//! Scripted faults: hardware that is slow, or fails, on command.

use std::time::Duration;

use ap_arch::{Adm, Apid, Apm, Apqi, Apqn, Aqm, Matrix};
use serde::Deserialize;

/// Which queues a fault concerns.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Scope {
    /// One queue.
    Queue(Apqn),
    /// All queues of an adapter.
    Adapter(Apid),
    /// All queues of a usage domain.
    Domain(Apqi),
    /// No queue, but the domain's bit in the mask of control domains.
    ControlDomain(Apqi),
}

impl Scope {
    /// These masks with the opposite of what they say about this.
    pub(crate) fn contradict(self, truth: Matrix) -> Matrix {
        let Matrix { apm, aqm, adm } = truth;
        match self {
            Self::Queue(_) => truth,
            Self::Adapter(apid) => Matrix {
                apm: apm.xor(Apm::of(apid)),
                ..truth
            },
            Self::Domain(apqi) => Matrix {
                aqm: aqm.xor(Aqm::of(apqi)),
                ..truth
            },
            Self::ControlDomain(apqi) => Matrix {
                adm: adm.xor(Adm::of(apqi)),
                ..truth
            },
        }
    }
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
    /// The indication of a reply.
    Irq,
    /// PQAP(QCI).
    Qci,
}

impl Trigger {
    /// Whether it starts something that completes later and so can be delayed.
    pub const fn completes_later(self) -> bool {
        matches!(
            self,
            Self::Rapq | Self::Zapq | Self::Aqic | Self::Reply | Self::Irq
        )
    }

    /// Whether it is RAPQ or ZAPQ.
    pub const fn resets(self) -> bool {
        matches!(self, Self::Rapq | Self::Zapq)
    }
}

/// To whom QCI lies.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Listener {
    /// The host.
    Host,
    /// Guests.
    Guest,
    /// Both.
    All,
}

impl Listener {
    fn includes(self, guest: bool) -> bool {
        match self {
            Self::Host => !guest,
            Self::Guest => guest,
            Self::All => true,
        }
    }
}

/// What happens instead of the usual.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Act {
    /// Answer with this code and do nothing else. For an instruction that is a
    /// response code, for a reply the code of an error reply.
    Code(u8),
    /// The queue fails: it answers with this response code and the bit for
    /// asynchronous errors, and does nothing, until a reset.
    Async(u8),
    /// The adapter checkstops.
    Checkstop,
    /// The reset is accepted and never completes, unless the fault is cleared.
    Stuck,
    /// The reset is accepted and completes, but contents and interrupts
    /// survive.
    Keep,
    /// The queue answers a guest whose masks do not hold it.
    Expose,
    /// The reply, or its indication, is lost.
    Drop,
    /// The reply comes twice.
    Duplicate,
    /// The reply comes after the next one, if a request waits for that.
    Reorder,
    /// The reply has another PSMID.
    WrongPsmid,
    /// The reply is cut off, or padded with zeros, to this length.
    Length(u32),
    /// QCI tells the opposite of what is so.
    Lie(Listener),
}

impl Act {
    /// Whether it can happen at `on`.
    pub const fn fits(self, on: Trigger) -> bool {
        match self {
            Self::Code(_) | Self::Checkstop => !matches!(on, Trigger::Irq | Trigger::Qci),
            // a reset would undo it
            Self::Async(_) => !matches!(on, Trigger::Irq | Trigger::Qci) && !on.resets(),
            Self::Stuck | Self::Keep => on.resets(),
            Self::Expose => !matches!(on, Trigger::Irq | Trigger::Reply | Trigger::Qci),
            Self::Drop => matches!(on, Trigger::Irq | Trigger::Reply),
            Self::Duplicate | Self::Reorder | Self::WrongPsmid | Self::Length(_) => {
                matches!(on, Trigger::Reply)
            }
            Self::Lie(_) => matches!(on, Trigger::Qci),
        }
    }
}

/// A fault.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Fault {
    /// Where.
    pub scope: Scope,
    /// At what.
    pub on: Trigger,
    /// What happens. `None`: only the delay.
    pub act: Option<Act>,
    /// How many times it lets pass first.
    pub after: u32,
    /// How often: the act or, without one, the delay. `None`: until cleared.
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

    /// What happens, of what is `wanted`. Whoever lets it happen calls
    /// [`Self::spend_act`].
    pub(crate) fn act(
        &self,
        on: Trigger,
        apqn: Apqn,
        wanted: impl Fn(Act) -> bool,
    ) -> Option<(FaultId, Act)> {
        self.in_force(on, apqn)
            .filter(|a| a.fault.times != Some(0))
            .find_map(|a| Some((a.id, a.fault.act.filter(|&act| wanted(act))?)))
    }

    /// How long completion takes. Whoever delays it calls
    /// [`Self::spend_delay`].
    pub(crate) fn delay(&self, on: Trigger, apqn: Apqn) -> Option<(FaultId, Duration)> {
        self.in_force(on, apqn)
            .find_map(|a| Some((a.id, a.fault.delay?)))
    }

    /// Counts an act of fault `id`.
    pub(crate) fn spend_act(&mut self, id: FaultId) {
        self.spend(id, |fault| fault.act.is_some());
    }

    /// Counts a delay by fault `id`, unless its count is for the act.
    pub(crate) fn spend_delay(&mut self, id: FaultId) {
        self.spend(id, |fault| fault.act.is_none());
    }

    /// Counts what faults let pass, of those that are `counted`, once all of
    /// them were asked.
    pub(crate) fn pass(&mut self, on: Trigger, apqn: Apqn, counted: impl Fn(&Fault) -> bool) {
        let waiting = self.armed.iter_mut().map(|a| &mut a.fault);
        for fault in waiting.filter(|f| f.concerns(on, apqn) && counted(f)) {
            fault.after = fault.after.saturating_sub(1);
        }
    }

    /// What QCI tells wrong to the host or a guest, counting those that it does
    /// not yet. Whoever tells it calls [`Self::spend_act`].
    pub(crate) fn lies(&mut self, guest: bool) -> Vec<(FaultId, Scope)> {
        let mut lies = Vec::new();
        for Armed { id, fault } in &mut self.armed {
            match fault.act {
                Some(Act::Lie(to)) if to.includes(guest) && fault.after > 0 => fault.after -= 1,
                Some(Act::Lie(to)) if to.includes(guest) => lies.push((*id, fault.scope)),
                _ => (),
            }
        }
        lies
    }

    fn in_force(&self, on: Trigger, apqn: Apqn) -> impl Iterator<Item = &Armed> {
        let armed = self.armed.iter();
        armed.filter(move |a| a.fault.after == 0 && a.fault.concerns(on, apqn))
    }

    fn spend(&mut self, id: FaultId, counted: impl Fn(&Fault) -> bool) {
        let armed = self.armed.iter_mut().map(|a| (a.id, &mut a.fault));
        for (_, fault) in armed.filter(|(i, fault)| *i == id && counted(fault)) {
            fault.times = fault.times.map(|left| left.saturating_sub(1));
        }
        // a spent act leaves its delay in force; a spent delay leaves nothing
        self.armed.retain(|a| match a.fault.times {
            Some(0) => a.fault.act.is_some() && a.fault.delay.is_some(),
            _ => true,
        });
    }
}

impl Fault {
    fn concerns(&self, on: Trigger, apqn: Apqn) -> bool {
        self.on == on
            && match self.scope {
                Scope::Queue(queue) => queue == apqn,
                Scope::Adapter(apid) => apid == apqn.apid,
                Scope::Domain(apqi) => apqi == apqn.apqi,
                Scope::ControlDomain(_) => false,
            }
    }
}
