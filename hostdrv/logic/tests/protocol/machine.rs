// SPDX-License-Identifier: MIT OR Apache-2.0
//! A machine of one queue and two mdevs that the protocol runs on, in threads.
//!
//! The reset worker does what `hostdrv/queue.rs` does: one look at the queue, or
//! two instructions, at a time, and comes back for the next.

use ap_arch::{Apid, Apqi, Apqn, Matrix, QueueStatus, ResponseCode};
pub use sync::model;
use sync::{Arc, Condvar, Mutex, MutexGuard, spawn};
use vfio_ap_logic::order::{self, Before, Free, Held};
use vfio_ap_logic::protocol::{self, Driver};
use vfio_ap_logic::{
    Apcb, Attach, Condition, Edit, Effects, Epoch, Errno, Event, Host, Limits, Mdev, MdevId,
    Memory, Model, NoRoom, Ownership, Queue, QueueEffect, ResetRun, ResetStep, Table,
};

#[cfg(loom)]
mod sync {
    pub use loom::model;
    pub use loom::sync::{Arc, Condvar, Mutex, MutexGuard};
    pub use loom::thread::spawn;
}

#[cfg(not(loom))]
mod sync {
    pub use std::sync::{Arc, Condvar, Mutex, MutexGuard};
    pub use std::thread::spawn;

    pub fn model(f: impl Fn()) {
        for _ in 0..200 {
            f();
        }
    }
}

pub struct Rows<T>(Vec<T>);

impl<T> Table<T> for Rows<T> {
    fn as_slice(&self) -> &[T] {
        &self.0
    }

    fn as_mut_slice(&mut self) -> &mut [T] {
        &mut self.0
    }

    fn insert(&mut self, at: usize, record: T) -> Result<(), NoRoom> {
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

/// Every call comes in with no lock.
pub fn free() -> Free<'static> {
    Free::on_entry()
}

/// The one queue of this machine.
pub const X: Apqn = Apqn::new(Apid::new(5), Apqi::new(4));

pub fn x() -> Matrix {
    Matrix {
        apm: [X.apid].into_iter().collect(),
        aqm: [X.apqi].into_iter().collect(),
        ..Matrix::EMPTY
    }
}

/// What the driver guards with the model's lock, and with that of a work item's task.
pub struct Locked {
    pub model: Model<Heap>,
    /// What the work item is to do.
    task: Option<Epoch>,
    /// It is to run.
    queued: bool,
    stop: bool,
}

/// What the hardware sees.
#[derive(Default)]
pub struct Hardware {
    apcbs: Vec<Matrix>,
    /// What those who watch each `guest_matrix` were told of.
    told: Vec<Matrix>,
    /// A guest may have left something in it.
    used: bool,
    /// A ZAPQ was accepted; whether nobody has had the queue since.
    zapq: Option<bool>,
    /// What the next ZAPQs, and the next TAPQs, are answered; then all is well.
    pub zapqs: Vec<ResponseCode>,
    pub tapqs: Vec<ResponseCode>,
    /// Resets fail.
    pub broken: bool,
    /// The bus has it back.
    given_back: bool,
}

impl Hardware {
    fn is_a_guests(&self) -> bool {
        self.apcbs.iter().any(|apcb| apcb.contains(X))
    }

    fn zapq(&mut self) -> QueueStatus {
        assert!(!self.given_back, "ZAPQ to a queue that the bus has");
        let code = if self.broken {
            ResponseCode::NOT_AVAILABLE
        } else {
            self.zapqs.pop().unwrap_or(ResponseCode::NORMAL)
        };
        if code == ResponseCode::NORMAL {
            self.zapq = Some(!self.is_a_guests());
        }
        QueueStatus::of(code)
    }

    fn tapq(&mut self) -> QueueStatus {
        assert!(!self.given_back, "TAPQ to a queue that the bus has");
        let code = self.tapqs.pop().unwrap_or(ResponseCode::NORMAL);
        if code == ResponseCode::NORMAL && self.zapq.take() == Some(true) {
            self.used = false;
        }
        QueueStatus::of(code)
    }
}

pub struct Machine {
    locked: Mutex<Locked>,
    /// The work item is to run.
    work: Condvar,
    /// What a caller may wait for has come true.
    progress: Condvar,
    plugs: Vec<Mutex<usize>>,
    /// The reset at work.
    run: Mutex<Option<(Epoch, ResetRun)>>,
    pub mdevs: Vec<MdevId>,
    hardware: Mutex<Hardware>,
    /// Who waits for this has waited long enough, or is being killed. When a wait
    /// begins is up to the scheduler, so that is any moment.
    gives_up: fn(Condition) -> bool,
}

/// What a thread does.
pub type User = Box<dyn FnOnce(&Machine) + Send>;

impl Machine {
    /// Two mdevs with a guest each; the first has the queue. The next reset of it
    /// is refused at first, and takes a while then.
    pub fn new() -> Arc<Self> {
        Self::with_waiters(|_| false)
    }

    /// The same, with waiters that give up.
    pub fn with_waiters(gives_up: fn(Condition) -> bool) -> Arc<Self> {
        let mut model = Model::new(Host::new(x()), Rows(Vec::new()), Rows(Vec::new()));
        let limits = Limits::of(&ap_arch::Qci::default());
        let mdevs: Vec<_> = (0..2).map(|_| model.create(limits).unwrap()).collect();
        let machine = Arc::new(Self {
            locked: Mutex::new(Locked {
                model,
                task: None,
                queued: false,
                stop: false,
            }),
            work: Condvar::new(),
            progress: Condvar::new(),
            plugs: (0..mdevs.len()).map(Mutex::new).collect(),
            run: Mutex::new(None),
            hardware: Mutex::new(Hardware {
                apcbs: mdevs.iter().map(|_| Matrix::EMPTY).collect(),
                told: mdevs.iter().map(|_| Matrix::EMPTY).collect(),
                used: true,
                ..Hardware::default()
            }),
            mdevs,
            gives_up,
        });
        for &mdev in &machine.mdevs {
            protocol::handle(&*machine, &mut free(), Event::Attach(mdev)).unwrap();
        }
        let assign = Event::Edit(machine.mdevs[0], Edit::Replace(x()), Ownership::Available);
        protocol::handle(&*machine, &mut free(), assign).unwrap();
        machine.bind();
        while std::mem::take(&mut machine.lock().queued) {
            machine.look_at_queue();
        }
        assert_eq!(machine.apcb(0), x());
        {
            let mut hardware = machine.hardware();
            hardware.zapqs = vec![ResponseCode::BUSY];
            hardware.tapqs = vec![ResponseCode::RESET_IN_PROGRESS, ResponseCode::NORMAL];
        }
        machine
    }

    pub fn lock(&self) -> MutexGuard<'_, Locked> {
        self.locked.lock().unwrap()
    }

    pub fn hardware(&self) -> MutexGuard<'_, Hardware> {
        self.hardware.lock().unwrap()
    }

    fn index(&self, mdev: MdevId) -> usize {
        self.mdevs.iter().position(|&id| id == mdev).unwrap()
    }

    /// What the work item does, as `Queue::work` in `hostdrv/queue.rs`.
    fn look_at_queue(&self) {
        let Some(epoch) = self.lock().task else {
            return;
        };
        let mut slot = self.run.lock().unwrap();
        if self.lock().task != Some(epoch) {
            return;
        }
        let (mut run, mut step) = match *slot {
            Some((running, run)) if running == epoch => (run, ResetStep::Poll),
            _ => (ResetRun::new(), ResetStep::Zapq),
        };
        if step == ResetStep::Poll {
            step = run.tapq(self.hardware().tapq());
        }
        if step == ResetStep::Zapq {
            step = run.zapq(self.hardware().zapq());
        }
        if let ResetStep::Done(outcome) = step {
            *slot = None;
            drop(slot);
            // the queue may be gone
            let _ = protocol::handle(self, &mut free(), Event::ResetDone(X, epoch, outcome));
        } else {
            *slot = Some((epoch, run));
            drop(slot);
            self.lock().queued = true;
        }
    }

    fn worker(&self) {
        loop {
            let mut locked = self.lock();
            while !locked.queued && !locked.stop {
                locked = self.work.wait(locked).unwrap();
            }
            if !std::mem::take(&mut locked.queued) {
                return;
            }
            drop(locked);
            self.look_at_queue();
        }
    }

    /// Runs all users and a reset worker at once.
    pub fn run(machine: &Arc<Self>, users: Vec<User>) {
        let worker = machine.clone();
        let worker = spawn(move || worker.worker());
        let mut users = users.into_iter();
        let first = users.next().unwrap();
        let start = |user: User| {
            let machine = machine.clone();
            spawn(move || user(&machine))
        };
        let others: Vec<_> = users.map(start).collect();
        first(machine);
        for other in others {
            other.join().unwrap();
        }
        machine.lock().stop = true;
        machine.work.notify_all();
        worker.join().unwrap();
        machine.check_rest();
    }

    /// Everybody has what they should have, and was told.
    fn check_rest(&self) {
        let locked = self.lock();
        for (index, &id) in self.mdevs.iter().enumerate() {
            let Ok(mdev) = locked.model.mdev(id) else {
                assert_eq!(self.apcb(index), Matrix::EMPTY);
                continue;
            };
            assert_eq!(self.apcb(index), locked.model.wanted(mdev));
            let told = self.hardware().told[index];
            assert_eq!(told, locked.model.guest_matrix(mdev));
        }
    }

    pub fn apcb(&self, index: usize) -> Matrix {
        self.hardware().apcbs[index]
    }

    pub fn is_used(&self) -> bool {
        self.hardware().used
    }

    pub fn attach(&self, index: usize) -> Attach {
        self.lock().model.mdev(self.mdevs[index]).unwrap().attach()
    }

    pub fn assign(&self, index: usize, matrix: Matrix) -> Result<(), Errno> {
        let edit = Edit::Replace(matrix);
        let id = self.mdevs[index];
        protocol::edit(self, &mut free(), id, edit, Ownership::Available)
    }

    pub fn close(&self, index: usize) {
        protocol::close(self, &mut free(), self.mdevs[index]).unwrap();
    }

    /// The bus has its queue back when this returns, as after `Core::unbind`.
    pub fn unbind(&self) {
        protocol::unbind(self, &mut free(), X).unwrap();
        self.lock().task = None;
        let slot = self.run.lock().unwrap();
        self.hardware().given_back = true;
        drop(slot);
    }

    pub fn bind(&self) {
        *self.run.lock().unwrap() = None;
        self.hardware().given_back = false;
        protocol::handle(self, &mut free(), Event::Bind(X)).unwrap();
    }
}

impl Driver for Machine {
    /// Which of the guests.
    type Guest = usize;

    type Memory = Heap;

    fn step<H: Before<order::Model>>(
        &self,
        _held: &mut Held<'_, H>,
        event: Event,
    ) -> Result<Effects, Errno> {
        let mut locked = self.lock();
        let Locked {
            model,
            task,
            queued,
            ..
        } = &mut *locked;
        model.step(event, &mut |effect| match effect {
            QueueEffect::StartReset(_, epoch) => {
                *task = Some(epoch);
                *queued = true;
                self.work.notify_all();
            }
            QueueEffect::Settled(_) => self.progress.notify_all(),
            QueueEffect::RetryLater(_) => {}
        })
    }

    fn look<H: Before<order::Model>, T>(
        &self,
        _held: &mut Held<'_, H>,
        look: impl FnOnce(&Model<Heap>) -> T,
    ) -> T {
        look(&self.lock().model)
    }

    fn with_plug(
        &self,
        free: &mut Free<'_>,
        mdev: MdevId,
        f: impl FnOnce(&mut Held<'_, order::Plug>, &mut usize),
    ) {
        let index = self.index(mdev);
        f(&mut free.lend(), &mut self.plugs[index].lock().unwrap());
    }

    fn set_apcb(&self, _held: &mut Held<'_, order::Plug>, guest: &mut usize, apcb: &Apcb) {
        let mut hardware = self.hardware();
        let index = *guest;
        let had = hardware.apcbs[index].contains(X);
        hardware.apcbs[index] = apcb.matrix();
        if apcb.matrix().contains(X) {
            assert!(had || !hardware.used, "queue enters a guest unclean");
            hardware.used = true;
            hardware.zapq = hardware.zapq.map(|_| false);
        }
        let holders = hardware.apcbs.iter().filter(|apcb| apcb.contains(X));
        assert!(holders.count() <= 1, "queue in two guests");
    }

    fn changed(&self, guest: &mut usize) {
        let mut hardware = self.hardware();
        hardware.told[*guest] = hardware.apcbs[*guest];
    }

    fn shown(&self, _held: &mut Held<'_, order::Plug>, guest: &mut usize, matrix: Matrix) {
        self.hardware().told[*guest] = matrix;
    }

    fn wait_and_look<T>(
        &self,
        _free: &mut Free<'_>,
        condition: Condition,
        look: impl FnOnce(&Model<Heap>) -> T,
    ) -> T {
        let mut locked = self.lock();
        while !locked.model.holds(condition) {
            if (self.gives_up)(condition) {
                break;
            }
            locked = self.progress.wait(locked).unwrap();
        }
        look(&locked.model)
    }
}
