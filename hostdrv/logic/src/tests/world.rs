// SPDX-License-Identifier: MIT OR Apache-2.0
//! A machine to run the model on: queues that remember who used them, APCBs
//! that guests could look into, and the invariants of both.
//!
//! The machine knows nothing of the model's bookkeeping. It watches what the
//! model lets happen and judges that.

use std::collections::{BTreeMap, BTreeSet};

use crate::ap_arch::{Adm, Apid, Apm, Apqi, Apqn, Aqm, Matrix, Qci, QciFlags};
use crate::*;

#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Rows<T>(pub Vec<T>, pub usize);

impl<T> Rows<T> {
    pub fn with_room(room: usize) -> Self {
        Self(Vec::new(), room)
    }
}

impl<T> Table<T> for Rows<T> {
    fn as_slice(&self) -> &[T] {
        &self.0
    }

    fn as_mut_slice(&mut self) -> &mut [T] {
        &mut self.0
    }

    fn insert(&mut self, at: usize, record: T) -> Result<(), NoRoom> {
        if self.0.len() == self.1 {
            return Err(NoRoom);
        }
        self.0.insert(at, record);
        Ok(())
    }

    fn remove(&mut self, at: usize) {
        self.0.remove(at);
    }
}

pub struct Heap;

impl Memory for Heap {
    type Mdevs = Rows<Mdev>;
    type Queues = Rows<Queue>;
}

pub fn apqn(apid: u8, apqi: u8) -> Apqn {
    Apqn::new(Apid::new(apid), Apqi::new(apqi))
}

pub fn matrix(apids: &[u8], apqis: &[u8], controls: &[u8]) -> Matrix {
    Matrix {
        apm: apids.iter().map(|&id| Apid::new(id)).collect::<Apm>(),
        aqm: apqis.iter().map(|&id| Apqi::new(id)).collect::<Aqm>(),
        adm: controls.iter().map(|&id| Apqi::new(id)).collect::<Adm>(),
    }
}

pub fn limits() -> Limits {
    Limits::of(&Qci {
        flags: QciFlags::APXA,
        na: 0x3f,
        nd: 0x54,
        matrix: Matrix::EMPTY,
    })
}

/// A reset that the hardware is doing.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub struct Running {
    pub epoch: Epoch,
    /// Nobody could reach the queue since the reset was begun.
    alone: bool,
}

/// Who used a queue since its last completed ZAPQ.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
enum User {
    Nobody,
    Guest(MdevId),
    FormerGuest,
    Host,
}

impl User {
    fn is_guest(self) -> bool {
        matches!(self, Self::Guest(_) | Self::FormerGuest)
    }
}

#[derive(Clone)]
pub struct World {
    pub model: Model<Heap>,
    pub running: BTreeMap<Apqn, Running>,
    pub retries: BTreeSet<Apqn>,
    pub apcbs: BTreeMap<MdevId, Matrix>,
    pub signals: BTreeMap<MdevId, u32>,
    changes: BTreeMap<MdevId, u32>,
    /// What those who watch `guest_matrix` were told of.
    told: BTreeMap<MdevId, Matrix>,
    planned: BTreeMap<MdevId, Matrix>,
    users: BTreeMap<Apqn, User>,
    /// What the bus's masks keep for the host's drivers.
    reserved: Matrix,
    /// Whose masks somebody was told to look at, and has not yet.
    due: BTreeSet<MdevId>,
}

impl World {
    pub fn new(config: Matrix) -> Self {
        Self {
            model: Model::new(Host::new(config), Rows::with_room(8), Rows::with_room(300)),
            running: BTreeMap::new(),
            retries: BTreeSet::new(),
            apcbs: BTreeMap::new(),
            signals: BTreeMap::new(),
            changes: BTreeMap::new(),
            told: BTreeMap::new(),
            planned: BTreeMap::new(),
            users: BTreeMap::new(),
            reserved: Matrix::EMPTY,
            due: BTreeSet::new(),
        }
    }

    /// A world with the queues of `config` bound and reset.
    pub fn with_clean_queues(config: Matrix) -> Self {
        let mut world = Self::new(config);
        for apqn in config.apqns() {
            world.handle(Event::Bind(apqn)).unwrap();
        }
        world.finish_resets(Outcome::Completed);
        world
    }

    pub fn create(&mut self) -> MdevId {
        self.model.create(limits()).unwrap()
    }

    /// An mdev with `matrix`, and a guest.
    pub fn guest(&mut self, matrix: Matrix) -> MdevId {
        let id = self.create();
        self.edit(id, Edit::Replace(matrix)).unwrap();
        self.handle(Event::Attach(id)).unwrap();
        id
    }

    pub fn edit(&mut self, id: MdevId, edit: Edit) -> Result<(), Errno> {
        self.handle(Event::Edit(id, edit, Ownership::Available))
    }

    /// What the bus says of the queues that an edit adds.
    pub fn ownership(&self, id: MdevId, edit: Edit) -> Ownership {
        let added = self.model.propose(id, edit).map(|p| p.added);
        let reserved = |(apm, aqm)| {
            let adm = Adm::EMPTY;
            self.reserved.shares_queue(Matrix { apm, aqm, adm })
        };
        if added.is_ok_and(|added| added.into_iter().any(reserved)) {
            Ownership::ReservedForHost
        } else {
            Ownership::Available
        }
    }

    /// The bus's masks are to keep these for the host's drivers, if that may be.
    pub fn reserve(&mut self, matrix: Matrix) {
        if self.model.in_use(matrix.apm, matrix.aqm).is_ok() {
            self.reserved = matrix;
        }
    }

    /// One step, nothing else; checks what must hold at every moment.
    pub fn step(&mut self, event: Event) -> Result<Scope, Errno> {
        let mut begun = Vec::new();
        let before = self.model.clone();
        let effects = self.model.step(event, &mut |effect| begun.push(effect));
        let effects = match effects {
            Ok(effects) => effects,
            Err(errno) => {
                assert_eq!(
                    before.mdevs(),
                    self.model.mdevs(),
                    "{errno:?} changed mdevs"
                );
                assert_eq!(
                    before.queues(),
                    self.model.queues(),
                    "{errno:?} changed queues"
                );
                assert!(begun.is_empty(), "{errno:?} had effects");
                return Err(errno);
            }
        };
        self.check_wakes(&before, event, &begun);
        self.hardware(event);
        for effect in begun {
            match effect {
                QueueEffect::StartReset(apqn, epoch) => {
                    let plugged = self.model.queue(apqn).unwrap().plugged_by();
                    let alone = self.holder(apqn).or(plugged).is_none();
                    self.running.insert(apqn, Running { epoch, alone });
                    self.retries.remove(&apqn);
                }
                QueueEffect::Settled(apqn) => {
                    let resetting = self.model.queue(apqn).is_ok_and(Queue::is_resetting);
                    assert!(!resetting, "{apqn} settled while being reset");
                }
                QueueEffect::RetryLater(apqn) => {
                    self.retries.insert(apqn);
                }
            }
        }
        if let Some(apcb) = effects.set_apcb {
            let Event::Plan(id) = event else {
                panic!("masks to write without a plan");
            };
            self.write_apcb(id, apcb.matrix());
        }
        if let Some(matrix) = effects.shown {
            let Event::Plan(id) = event else {
                panic!("watchers to tell without a plan");
            };
            assert_eq!(effects.set_apcb, None);
            let before = self.told.insert(id, matrix).unwrap_or_default();
            assert_ne!(before, matrix, "told of no change");
        }
        if let Event::Plan(id) = event {
            self.due.remove(&id);
        }
        match effects.reconcile {
            Scope::None => {}
            Scope::One(id) => self.due.extend([id]),
            Scope::All => self.due.extend(self.model.mdevs().iter().map(Mdev::id)),
        }
        self.check_always();
        Ok(effects.reconcile)
    }

    /// Whoever waits for something wakes when that comes true; but not for what
    /// an edit, or the end of the mdev, makes true.
    fn check_wakes(&self, before: &Model<Heap>, event: Event, begun: &[QueueEffect]) {
        if let Event::Edit(..) | Event::Remove(_) = event {
            return;
        }
        let ids = before.mdevs().iter().map(Mdev::id);
        let of_mdev = |id| [Condition::Drained(id), Condition::Joined(id)];
        let leaves = |queue: &&Queue| queue.binding() == Binding::Leaving;
        let leaving = before.queues().iter().filter(leaves).map(Queue::apqn);
        let woken = begun.iter().any(|b| matches!(b, QueueEffect::Settled(_)));
        for condition in ids
            .flat_map(of_mdev)
            .chain(leaving.map(Condition::Idle))
            .filter(|&c| !before.holds(c))
        {
            let slept = self.model.holds(condition) && !woken;
            assert!(!slept, "{condition:?} came true by {event:?} unnoticed");
        }
    }

    /// What the event means to the hardware.
    fn hardware(&mut self, event: Event) {
        match event {
            Event::Bind(apqn) => {
                // what a guest left is not gone by what others did meanwhile
                let before = self.users.get(&apqn).copied();
                let user = before.filter(|user| user.is_guest());
                self.users.insert(apqn, user.unwrap_or(User::Host));
            }
            Event::Unbound(apqn) => {
                assert_eq!(
                    self.holder(apqn),
                    None,
                    "{apqn} released while a guest has it"
                );
                self.running.remove(&apqn);
                self.retries.remove(&apqn);
                if self.users[&apqn].is_guest() {
                    self.users.insert(apqn, User::FormerGuest);
                }
            }
            Event::ResetDone(apqn, epoch, outcome)
                if self.running.get(&apqn).map(|run| run.epoch) == Some(epoch) =>
            {
                let run = self.running.remove(&apqn).unwrap();
                if run.alone && outcome == Outcome::Completed {
                    self.users.insert(apqn, User::Nobody);
                }
            }
            Event::Cleared(apqn) => {
                self.users.insert(apqn, User::Nobody);
            }
            Event::Retry(apqn) => {
                self.retries.remove(&apqn);
            }
            Event::Published(id) => {
                let masks = self.planned.remove(&id).expect("masks planned");
                self.told.insert(id, masks);
                *self.signals.entry(id).or_default() += 1;
            }
            Event::Detach(id) => {
                let users = self.users.values_mut();
                users
                    .filter(|user| **user == User::Guest(id))
                    .for_each(|user| *user = User::FormerGuest);
            }
            Event::Remove(id) => {
                assert_eq!(self.apcb(id), Matrix::EMPTY);
                self.signals.remove(&id);
                self.changes.remove(&id);
                self.told.remove(&id);
                self.apcbs.remove(&id);
                self.due.remove(&id);
            }
            _ => {}
        }
    }

    fn write_apcb(&mut self, id: MdevId, new: Matrix) {
        let old = self.apcb(id);
        assert_ne!(old, new, "masks written without a change");
        for apqn in new.apqns() {
            if !old.contains(apqn) {
                let user = self.users.get(&apqn).copied();
                let own = matches!(self.model.queue(apqn).map(Queue::last_failure), Ok(Some(_)));
                let own = own && user == Some(User::Guest(id));
                assert!(
                    own || user == Some(User::Nobody),
                    "{apqn} enters a guest unclean"
                );
            }
            self.users.insert(apqn, User::Guest(id));
            if let Some(run) = self.running.get_mut(&apqn) {
                run.alone = false;
            }
        }
        self.apcbs.insert(id, new);
        self.planned.insert(id, new);
        *self.changes.entry(id).or_default() += 1;
    }

    pub fn apcb(&self, id: MdevId) -> Matrix {
        self.apcbs.get(&id).copied().unwrap_or_default()
    }

    fn holder(&self, apqn: Apqn) -> Option<MdevId> {
        let holds = |(_, apcb): &(&MdevId, &Matrix)| apcb.contains(apqn);
        self.apcbs.iter().find(holds).map(|(id, _)| *id)
    }

    /// A step, and the masks that follow from it.
    pub fn handle(&mut self, event: Event) -> Result<(), Errno> {
        match self.step(event)? {
            Scope::None => {}
            Scope::One(id) => self.reconcile(id),
            Scope::All => {
                let ids: Vec<_> = self.model.mdevs().iter().map(Mdev::id).collect();
                ids.into_iter().for_each(|id| self.reconcile(id));
            }
        }
        Ok(())
    }

    pub fn reconcile(&mut self, id: MdevId) {
        let pending = |world: &Self| world.model.mdev(id).unwrap().publishing().is_some();
        if pending(self) {
            self.step(Event::Published(id)).unwrap();
        }
        self.step(Event::Plan(id)).unwrap();
        if pending(self) {
            self.step(Event::Published(id)).unwrap();
        }
        assert!(!pending(self));
    }

    pub fn finish_reset(&mut self, apqn: Apqn, outcome: Outcome) {
        let epoch = self.running[&apqn].epoch;
        self.handle(Event::ResetDone(apqn, epoch, outcome)).unwrap();
    }

    /// Ends all resets, also those that begin meanwhile.
    pub fn finish_resets(&mut self, outcome: Outcome) {
        while let Some((&apqn, _)) = self.running.first_key_value() {
            self.finish_reset(apqn, outcome);
        }
    }

    /// Has what failed tried again until it is reset.
    pub fn finish_retries(&mut self) {
        self.finish_resets(Outcome::Completed);
        while let Some(&apqn) = self.retries.first() {
            self.handle(Event::Retry(apqn)).unwrap();
            self.finish_resets(Outcome::Completed);
        }
    }

    /// Lets everything come to rest, and checks what must hold then.
    pub fn settle(&mut self) {
        let ids: Vec<_> = self.model.mdevs().iter().map(Mdev::id).collect();
        ids.iter().for_each(|&id| self.reconcile(id));
        self.finish_resets(Outcome::Completed);
        for mdev in self.model.mdevs() {
            let apcb = self.apcb(mdev.id());
            assert_eq!(apcb, self.model.wanted(mdev));
            assert_eq!(apcb, mdev.published());
            let signals = self.signals.get(&mdev.id());
            assert_eq!(signals, self.changes.get(&mdev.id()));
            if mdev.attach() == Attach::Attached {
                self.check_complete(mdev);
            }
        }
    }

    /// At rest a guest has all that it can have, and it is told what it has not.
    fn check_complete(&self, mdev: &Mdev) {
        let host = self.model.host().settled();
        let apcb = self.apcb(mdev.id());
        let missing = mdev.assigned().apm.and_not(apcb.apm).count()
            + mdev.assigned().aqm.and_not(apcb.aqm).count()
            + mdev.assigned().adm.and_not(apcb.adm).count();
        assert_eq!(self.model.withheld(mdev).count() as u32, missing);
        for apid in mdev.assigned().apm.and_not(apcb.apm).and(host.apm).iter() {
            let good = |apqi| {
                let queue = self.model.queue(Apqn::new(apid, apqi));
                queue.is_ok_and(|queue| {
                    queue.binding() == Binding::Bound && matches!(queue.state(), State::Clean(_))
                })
            };
            assert!(
                !apcb.aqm.iter().all(good),
                "adapter {apid} withheld for nothing"
            );
        }
    }

    /// What must hold at every moment, whatever is going on.
    pub fn check_always(&self) {
        for (index, a) in self.model.mdevs().iter().enumerate() {
            // what is assigned was asked for when neither had it
            assert!(!a.assigned().shares_queue(self.reserved));
            for b in &self.model.mdevs()[index + 1..] {
                assert!(!a.assigned().shares_queue(b.assigned()));
                assert!(!self.apcb(a.id()).shares_queue(self.apcb(b.id())));
            }
        }
        for (&id, apcb) in &self.apcbs {
            let mdev = self.model.mdev(id).unwrap();
            // the model never claims less than the guest can reach
            for apqn in apcb.apqns() {
                let queue = self.model.queue(apqn).expect("only bound queues");
                assert_eq!(queue.plugged_by(), Some(id));
            }
            let settled = *apcb == mdev.published() && mdev.publishing().is_none();
            assert!(settled || Some(*apcb) == mdev.publishing());
        }
        self.check_told();
        self.check_host();
        for queue in self.model.queues() {
            let apqn = queue.apqn();
            if let State::Clean(_) = queue.state() {
                assert_eq!(self.users[&apqn], User::Nobody, "{apqn} called clean");
            }
            if queue.binding() == Binding::Lost {
                assert_eq!(self.holder(apqn), None, "{apqn} is a guest's");
            }
            let running = self.running.get(&apqn).map(|run| run.epoch);
            // a reset that no longer counts may still be running
            if queue.is_resetting() {
                assert_eq!(queue.reset_epoch(), running, "{apqn}");
            }
            for mdev in self.model.mdevs() {
                if self.model.has_plugged(mdev.id(), apqn) {
                    assert!(self.apcb(mdev.id()).contains(apqn));
                }
            }
        }
    }

    /// Where nobody was told to look there is nothing to see, and who watches was
    /// told of what is shown.
    fn check_told(&self) {
        for mdev in self.model.mdevs() {
            let id = mdev.id();
            if self.due.contains(&id) || mdev.publishing().is_some() {
                continue;
            }
            let wanted = self.model.wanted(mdev);
            assert_eq!(self.apcb(id), wanted, "{mdev:?} wants {wanted:?}");
            let told = self.told.get(&id).copied().unwrap_or_default();
            let shown = self.model.guest_matrix(mdev);
            assert_eq!(told, shown, "{mdev:?} shows {shown:?}");
        }
    }

    /// The host's drivers get nothing that a guest may have left something in,
    /// and are refused nothing else that is not assigned.
    fn check_host(&self) {
        for (&apqn, user) in &self.users {
            let (apm, aqm) = (Apm::of(apqn.apid), Aqm::of(apqn.apqi));
            let lost = |queue: &Queue| queue.binding() == Binding::Lost;
            // the host has no use for it, and it is reset when it comes back
            let gone = self.model.queue(apqn).is_ok_and(lost)
                && !self.model.host().current().contains(apqn);
            let wanted = user.is_guest() && !gone || self.model.owner(apqn).is_some();
            let refused = self.model.in_use(apm, aqm).is_err();
            assert_eq!(refused, wanted, "{apqn} of {user:?}");
        }
    }

    /// All that matters of the state: reset numbers do not.
    pub fn key(&self) -> impl std::hash::Hash + Eq + use<> {
        let queues: Vec<_> = self
            .model
            .queues()
            .iter()
            .map(|queue| {
                let numberless = |reset| match reset {
                    Reset::Draining(_) => Reset::Draining(Epoch::for_tests(0)),
                    Reset::Running(_) => Reset::Running(Epoch::for_tests(0)),
                    other => other,
                };
                let state = match queue.state() {
                    State::Used { traces, reset } => Ok((*traces, numberless(*reset))),
                    State::Clean(_) => Err(None),
                    State::Plugged { by, health } => Err(Some(match health {
                        Health::Resetting(_) => (*by, Health::Resetting(Epoch::for_tests(0))),
                        other => (*by, *other),
                    })),
                };
                (queue.apqn(), queue.binding(), state)
            })
            .collect();
        let alone: Vec<_> = self
            .running
            .iter()
            .map(|(k, run)| (*k, run.alone))
            .collect();
        let users: Vec<_> = self.users.iter().map(|(k, v)| (*k, *v)).collect();
        let apcbs: Vec<_> = self.apcbs.iter().map(|(k, v)| (*k, *v)).collect();
        let mdevs = self.model.mdevs().to_vec();
        (*self.model.host(), mdevs, queues, alone, users, apcbs)
    }
}
