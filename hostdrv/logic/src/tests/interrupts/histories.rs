// SPDX-License-Identifier: MIT OR Apache-2.0
//! Two guests, a queue that they have in turn, resets, and a bus that takes it:
//! everything that can come between two steps does.

use std::collections::BTreeSet;

use proptest::prelude::*;
use proptest::sample::select;

use super::{ON, code};
use crate::rules::{DisableRun, DisableStep, Disabled, Enabled, Ledger};
use ap_arch::QueueStatus;

/// What an interrupt uses. Those of a guest are told apart by their number.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
struct Nib {
    owner: Owner,
    number: u32,
}

#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
enum Owner {
    Bus,
    Guest(usize),
}

/// A queue that presents interrupts by the byte it was told of.
#[derive(Default)]
struct Hardware {
    /// The byte that it may write to.
    on: Option<Nib>,
    resetting: bool,
    /// A ZAPQ is done, and the driver does not know yet.
    done: bool,
    /// AQIC to disable was accepted, and is not done.
    disabling: bool,
}

impl Hardware {
    fn enable(&mut self, rc: u8, nib: Nib) -> QueueStatus {
        match rc {
            _ if self.resetting => code(2),
            0 if self.on.is_some() => code(7),
            0 => {
                self.on = Some(nib);
                code(0)
            }
            rc => code(rc),
        }
    }

    fn disable(&mut self, step: DisableStep, rc: u8) -> QueueStatus {
        let rc = if self.resetting { 2 } else { rc };
        let irq = if self.on.is_some() { ON } else { 0 };
        match step {
            DisableStep::Aqic if rc == 0 => self.disabling = true,
            // nobody can tell
            DisableStep::Tapq if rc == 7 => return code(5),
            _ => {}
        }
        QueueStatus(code(rc).0 | irq)
    }

    fn settle(&mut self) {
        if core::mem::take(&mut self.disabling) {
            self.on = None;
        }
    }

    fn reset(&mut self) {
        if self.resetting {
            *self = Self {
                done: true,
                ..Self::default()
            };
        }
    }
}

/// What a guest's side is at, one thing at a time: pins are under a lock of its
/// mdev's.
#[derive(Debug)]
enum Work {
    None,
    /// Has pinned, perhaps for a long time, and will enable.
    Enable(Nib),
    /// Disables for the guest.
    Disable(DisableRun),
    /// Disables because the byte is unmapped.
    Unmap(DisableRun),
}

struct Guest {
    work: Work,
    /// Which binding of the queue it works on.
    binding: usize,
}

struct World {
    /// One per time that the queue was bound; the last one counts.
    bindings: Vec<Ledger<Nib>>,
    hardware: Hardware,
    plugged: Option<usize>,
    /// Nobody has had it since it was reset.
    clean: bool,
    /// The last ZAPQ was accepted, and no guest has had it since.
    counts: bool,
    guests: [Guest; 2],
    made: u32,
    /// What was made and not let go.
    live: BTreeSet<Nib>,
    /// What is never let go.
    leaked: BTreeSet<Nib>,
}

#[derive(Clone, Copy, Debug)]
enum Action {
    Pin(usize),
    Disable(usize),
    Unmap(usize),
    /// The next step of what a guest's side is at, as the hardware answers.
    Go(usize, u8),
    /// Disabling is done in hardware.
    Settle,
    Plug(usize),
    Unplug,
    /// A ZAPQ, and whether it is accepted.
    Zapq(bool),
    /// A reset is done in hardware.
    Reset,
    /// The driver hears of it.
    ResetDone,
    /// The bus takes the queue, gives it back, and may enable interrupts.
    Rebind(bool),
}

fn action() -> impl Strategy<Value = Action> {
    let code = || select(vec![0, 0, 0, 2, 3, 5, 7, 0x30]);
    prop_oneof![
        3 => (0..2_usize).prop_map(Action::Pin),
        1 => (0..2_usize).prop_map(Action::Disable),
        1 => (0..2_usize).prop_map(Action::Unmap),
        6 => (0..2_usize, code()).prop_map(|(guest, code)| Action::Go(guest, code)),
        2 => Just(Action::Settle),
        3 => (0..2_usize).prop_map(Action::Plug),
        1 => Just(Action::Unplug),
        2 => any::<bool>().prop_map(Action::Zapq),
        3 => Just(Action::Reset),
        3 => Just(Action::ResetDone),
        1 => any::<bool>().prop_map(Action::Rebind),
    ]
}

impl World {
    fn new() -> Self {
        Self {
            bindings: vec![Ledger::new()],
            hardware: Hardware::default(),
            plugged: None,
            clean: false,
            counts: false,
            guests: [(); 2].map(|()| Guest {
                work: Work::None,
                binding: 0,
            }),
            made: 0,
            live: BTreeSet::new(),
            leaked: BTreeSet::new(),
        }
    }

    fn ledger(&mut self) -> &mut Ledger<Nib> {
        self.bindings.last_mut().unwrap()
    }

    fn begin(&mut self, guest: usize, work: impl FnOnce(&mut Self) -> Work) {
        // it looked whether it has the queue, which may have been long ago
        if matches!(self.guests[guest].work, Work::None) {
            let binding = self.bindings.len() - 1;
            let work = work(self);
            self.guests[guest] = Guest { work, binding };
        }
    }

    fn pin(&mut self, guest: usize) -> Work {
        self.made += 1;
        let nib = Nib {
            owner: Owner::Guest(guest),
            number: self.made,
        };
        self.live.insert(nib);
        Work::Enable(nib)
    }

    /// Goes on with what a guest's side is at; returns what is let go.
    fn go(&mut self, index: usize, rc: u8) -> Option<Nib> {
        let Self {
            bindings,
            guests,
            hardware,
            plugged,
            ..
        } = self;
        let Guest { work, binding } = &mut guests[index];
        let ledger = &mut bindings[*binding];
        let has_it = *plugged == Some(index);
        let owner = Owner::Guest(index);
        let (may, run) = match work {
            Work::None => return None,
            Work::Enable(nib) => {
                let (_, enabled) = ledger.enable(has_it, *nib, |&nib| hardware.enable(rc, nib));
                let anothers = matches!(enabled, Enabled::Anothers(_));
                *work = if anothers {
                    // it is pinned again when that is over
                    Work::Disable(DisableRun::new())
                } else {
                    Work::None
                };
                return match enabled {
                    Enabled::On(old) => old,
                    Enabled::Not(new) | Enabled::Anothers(new) => Some(new),
                };
            }
            Work::Disable(run) => (has_it, run),
            Work::Unmap(run) => (ledger.holds(|nib| nib.owner == owner), run),
        };
        let disabled = ledger.disable(may, run, |step| {
            let is_anothers = |on: &Nib| on.owner == Owner::Guest(1 - index);
            assert!(!hardware.on.as_ref().is_some_and(is_anothers), "{index}");
            hardware.disable(step, rc)
        });
        match disabled {
            Disabled::Pending => None,
            Disabled::Over(gone) => {
                *work = Work::None;
                gone
            }
        }
    }

    fn zapq(&mut self, accepted: bool) {
        self.ledger().zapq();
        self.hardware.done = false;
        self.hardware.resetting |= accepted;
        self.counts = accepted;
    }

    fn reset_done(&mut self) -> Option<Nib> {
        if !core::mem::take(&mut self.hardware.done) {
            return None;
        }
        self.clean |= self.counts && self.plugged.is_none();
        self.ledger().reset_done()
    }

    fn unplug(&mut self) {
        if self.plugged.take().is_some() {
            self.counts = false;
        }
    }

    fn rebind(&mut self, bus_enables: bool) {
        self.unplug();
        let left = self.ledger().retire();
        self.leaked.extend(left);
        self.bindings.push(Ledger::new());
        (self.clean, self.counts, self.hardware.done) = (false, false, false);
        if bus_enables && self.hardware.on.is_none() {
            let (owner, number) = (Owner::Bus, 0);
            self.hardware.on = Some(Nib { owner, number });
        }
    }

    fn act(&mut self, action: Action) -> Option<Nib> {
        match action {
            Action::Pin(guest) => self.begin(guest, |world| world.pin(guest)),
            Action::Disable(guest) => self.begin(guest, |_| Work::Disable(DisableRun::new())),
            Action::Unmap(guest) => self.begin(guest, |_| Work::Unmap(DisableRun::new())),
            Action::Go(guest, code) => return self.go(guest, code),
            Action::Settle => self.hardware.settle(),
            Action::Plug(guest) if self.clean => {
                (self.plugged, self.clean) = (Some(guest), false);
            }
            Action::Plug(_) => {}
            Action::Unplug => self.unplug(),
            Action::Zapq(accepted) => self.zapq(accepted),
            Action::Reset => self.hardware.reset(),
            Action::ResetDone => return self.reset_done(),
            Action::Rebind(bus_enables) => self.rebind(bus_enables),
        }
        None
    }

    fn check(&self) {
        let on = self.hardware.on.filter(|nib| nib.owner != Owner::Bus);
        if let Some(nib) = on {
            assert!(self.live.contains(&nib), "{nib:?} is used");
            let stranger = self
                .plugged
                .filter(|&guest| nib.owner != Owner::Guest(guest));
            assert_eq!(stranger, None, "{nib:?} is told of its interrupts");
        }
        let (last, old) = self.bindings.split_last().unwrap();
        let held = |nib: &Nib| last.holds(|held| held == nib);
        let pinning = |nib: &Nib| {
            let mut works = self.guests.iter().map(|guest| &guest.work);
            works.any(|work| matches!(work, Work::Enable(new) if new == nib))
        };
        for nib in &self.live {
            let reasons = [held(nib), pinning(nib), self.leaked.contains(nib)];
            let reasons = reasons.iter().filter(|&&reason| reason).count();
            assert_eq!(reasons, 1, "{nib:?}");
        }
        for ledger in old {
            assert!(!ledger.holds(|_| true), "kept for a queue that is gone");
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig {
        failure_persistence: None,
        cases: 512,
        ..ProptestConfig::default()
    })]

    /// What the hardware may write to is kept, and nothing else; nobody touches
    /// what is another guest's; and each is let go once.
    #[test]
    fn what_the_hardware_uses_is_kept(actions in proptest::collection::vec(action(), 0..80)) {
        let mut world = World::new();
        for action in actions {
            if let Some(gone) = world.act(action) {
                prop_assert!(world.live.remove(&gone), "{gone:?} is let go twice");
            }
            world.check();
        }
    }
}
