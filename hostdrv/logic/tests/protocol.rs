// SPDX-License-Identifier: MIT OR Apache-2.0
//! The protocol among threads: writes to attributes, a guest that closes, a bus
//! that takes a queue, and resets that end, all at once, on one queue.
//!
//! With `--cfg loom` every interleaving is tried (up to the bound on
//! preemptions that the environment sets); without, threads race for real, a
//! number of times. What this cannot see: the kernel's own locks around the
//! driver's, which is lockdep's task.

use ap_arch::{Apid, Apqi, Apqn, Matrix, ResponseCode};
use sync::{Arc, Condvar, Mutex, model, spawn};
use vfio_ap_logic::order::{self, Before, Free, Held};
use vfio_ap_logic::protocol::{self, Driver};
use vfio_ap_logic::{
    Apcb, Attach, Condition, Edit, Effects, Epoch, Errno, Event, Host, Limits, Mdev, MdevId,
    Memory, Model, NoRoom, Outcome, Ownership, Queue, QueueEffect, Table,
};

#[cfg(loom)]
mod sync {
    pub use loom::model;
    pub use loom::sync::{Arc, Condvar, Mutex};
    pub use loom::thread::spawn;
}

#[cfg(not(loom))]
mod sync {
    pub use std::sync::{Arc, Condvar, Mutex};
    pub use std::thread::spawn;

    pub fn model(f: impl Fn()) {
        for _ in 0..200 {
            f();
        }
    }
}

struct Rows<T>(Vec<T>);

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

struct Heap;

impl Memory for Heap {
    type Mdevs = Rows<Mdev>;
    type Queues = Rows<Queue>;
}

/// Every call comes in with no lock.
fn free() -> Free<'static> {
    Free::on_entry()
}

/// The one queue of this machine.
const X: Apqn = Apqn::new(Apid::new(5), Apqi::new(4));

fn x() -> Matrix {
    Matrix {
        apm: [X.apid].into_iter().collect(),
        aqm: [X.apqi].into_iter().collect(),
        ..Matrix::EMPTY
    }
}

/// What the driver guards with the model's lock.
struct Locked {
    model: Model<Heap>,
    wanted_reset: Option<Epoch>,
    stop: bool,
}

/// What the hardware sees.
#[derive(Default)]
struct Hardware {
    apcbs: Vec<Matrix>,
    /// What those who watch each `guest_matrix` were told of.
    told: Vec<Matrix>,
    used: bool,
    /// Resets fail.
    broken: bool,
}

struct Machine {
    locked: Mutex<Locked>,
    /// A reset is to be done.
    work: Condvar,
    /// What a caller may wait for has come true.
    progress: Condvar,
    plugs: Vec<Mutex<usize>>,
    mdevs: Vec<MdevId>,
    hardware: Mutex<Hardware>,
}

type User = Box<dyn FnOnce(&Machine) + Send>;

impl Machine {
    /// Two mdevs with a guest each; the first has the queue.
    fn new() -> Arc<Self> {
        let mut model = Model::new(Host::new(x()), Rows(Vec::new()), Rows(Vec::new()));
        let limits = Limits::of(&ap_arch::Qci::default());
        let mdevs: Vec<_> = (0..2).map(|_| model.create(limits).unwrap()).collect();
        let machine = Arc::new(Self {
            locked: Mutex::new(Locked {
                model,
                wanted_reset: None,
                stop: false,
            }),
            work: Condvar::new(),
            progress: Condvar::new(),
            plugs: (0..mdevs.len()).map(Mutex::new).collect(),
            hardware: Mutex::new(Hardware {
                apcbs: mdevs.iter().map(|_| Matrix::EMPTY).collect(),
                told: mdevs.iter().map(|_| Matrix::EMPTY).collect(),
                used: true,
                broken: false,
            }),
            mdevs,
        });
        for &mdev in &machine.mdevs {
            protocol::handle(&*machine, &mut free(), Event::Attach(mdev)).unwrap();
        }
        let assign = Event::Edit(machine.mdevs[0], Edit::Replace(x()), Ownership::Available);
        protocol::handle(&*machine, &mut free(), assign).unwrap();
        protocol::handle(&*machine, &mut free(), Event::Bind(X)).unwrap();
        machine.reset_once();
        assert_eq!(machine.apcb(0), x());
        machine
    }

    fn index(&self, mdev: MdevId) -> usize {
        self.mdevs.iter().position(|&id| id == mdev).unwrap()
    }

    /// Does the reset that is wanted, as a worker does.
    fn reset_once(&self) {
        let epoch = self.locked.lock().unwrap().wanted_reset.take();
        let Some(epoch) = epoch else { return };
        let outcome = {
            let mut hardware = self.hardware.lock().unwrap();
            if hardware.broken {
                Outcome::Failed(ResponseCode::NOT_AVAILABLE)
            } else {
                if !hardware.apcbs.iter().any(|apcb| apcb.contains(X)) {
                    hardware.used = false;
                }
                Outcome::Completed
            }
        };
        // the queue may be gone
        let _ = protocol::handle(self, &mut free(), Event::ResetDone(X, epoch, outcome));
    }

    fn worker(&self) {
        loop {
            let mut locked = self.locked.lock().unwrap();
            while locked.wanted_reset.is_none() && !locked.stop {
                locked = self.work.wait(locked).unwrap();
            }
            if locked.wanted_reset.is_none() {
                return;
            }
            drop(locked);
            self.reset_once();
        }
    }

    /// Runs both users and a reset worker at once.
    fn run(machine: &Arc<Self>, first: User, second: User) {
        let (a, b) = (machine.clone(), machine.clone());
        let worker = spawn(move || a.worker());
        let second = spawn(move || second(&b));
        first(machine);
        second.join().unwrap();
        machine.locked.lock().unwrap().stop = true;
        machine.work.notify_all();
        worker.join().unwrap();
        // everybody has what they should have, and was told
        let locked = machine.locked.lock().unwrap();
        for (index, &id) in machine.mdevs.iter().enumerate() {
            let mdev = locked.model.mdev(id).unwrap();
            assert_eq!(machine.apcb(index), locked.model.wanted(mdev));
            let told = machine.hardware.lock().unwrap().told[index];
            assert_eq!(told, locked.model.guest_matrix(mdev));
        }
    }

    fn apcb(&self, index: usize) -> Matrix {
        self.hardware.lock().unwrap().apcbs[index]
    }

    fn is_used(&self) -> bool {
        self.hardware.lock().unwrap().used
    }

    fn attach(&self, index: usize) -> Attach {
        let locked = self.locked.lock().unwrap();
        locked.model.mdev(self.mdevs[index]).unwrap().attach()
    }

    fn assign(&self, index: usize, matrix: Matrix) -> Result<(), Errno> {
        let edit = Edit::Replace(matrix);
        protocol::edit(
            self,
            &mut free(),
            self.mdevs[index],
            edit,
            Ownership::Available,
        )
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
        let mut locked = self.locked.lock().unwrap();
        let Locked {
            model,
            wanted_reset,
            ..
        } = &mut *locked;
        model.step(event, &mut |effect| match effect {
            QueueEffect::StartReset(_, epoch) => {
                *wanted_reset = Some(epoch);
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
        look(&self.locked.lock().unwrap().model)
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
        let mut hardware = self.hardware.lock().unwrap();
        let index = *guest;
        let had = hardware.apcbs[index].contains(X);
        hardware.apcbs[index] = apcb.matrix();
        if apcb.matrix().contains(X) {
            assert!(had || !hardware.used, "queue enters a guest unclean");
            hardware.used = true;
        }
        let holders = hardware.apcbs.iter().filter(|apcb| apcb.contains(X));
        assert!(holders.count() <= 1, "queue in two guests");
    }

    fn changed(&self, guest: &mut usize) {
        let mut hardware = self.hardware.lock().unwrap();
        hardware.told[*guest] = hardware.apcbs[*guest];
    }

    fn shown(&self, _held: &mut Held<'_, order::Plug>, guest: &mut usize, matrix: Matrix) {
        self.hardware.lock().unwrap().told[*guest] = matrix;
    }

    fn wait_and_look<T>(
        &self,
        _free: &mut Free<'_>,
        condition: Condition,
        look: impl FnOnce(&Model<Heap>) -> T,
    ) -> T {
        let mut locked = self.locked.lock().unwrap();
        while !locked.model.holds(condition) {
            locked = self.progress.wait(locked).unwrap();
        }
        look(&locked.model)
    }
}

#[test]
fn reset_completion_against_unassign_against_close() {
    model(|| {
        let machine = Machine::new();
        let unassign: User = Box::new(|machine| {
            machine.assign(0, Matrix::EMPTY).unwrap();
            // what the write promises: the queue is out, and reset
            assert_eq!(machine.apcb(0), Matrix::EMPTY);
            assert!(!machine.is_used());
        });
        let close: User = Box::new(|machine| {
            protocol::close(machine, &mut free(), machine.mdevs[0]).unwrap();
            assert!(!machine.is_used());
        });
        Machine::run(&machine, unassign, close);
        assert_eq!(machine.attach(0), Attach::Detached);
    });
}

#[test]
fn reset_completion_against_handover_against_unbind() {
    model(|| {
        let machine = Machine::new();
        let handover: User = Box::new(|machine| {
            machine.assign(0, Matrix::EMPTY).unwrap();
            machine.assign(1, x()).unwrap();
        });
        let unbind: User = Box::new(|machine| {
            protocol::unbind(machine, &mut free(), X).unwrap();
            assert!(!machine.is_used(), "queue given to the host unclean");
        });
        Machine::run(&machine, handover, unbind);
        assert!(!machine.apcb(1).contains(X));
    });
}

#[test]
fn reset_completion_against_close_against_unbind() {
    model(|| {
        let machine = Machine::new();
        let close: User = Box::new(|machine| {
            protocol::close(machine, &mut free(), machine.mdevs[0]).unwrap();
            assert!(!machine.is_used());
        });
        let unbind: User = Box::new(|machine| {
            protocol::unbind(machine, &mut free(), X).unwrap();
            assert!(!machine.is_used(), "queue given to the host unclean");
        });
        Machine::run(&machine, close, unbind);
        assert_eq!(machine.attach(0), Attach::Detached);
    });
}

#[test]
fn reset_completion_against_close_against_another_mdev() {
    model(|| {
        let machine = Machine::new();
        let reopen: User = Box::new(|machine| {
            let id = machine.mdevs[0];
            protocol::close(machine, &mut free(), id).unwrap();
            machine.assign(0, Matrix::EMPTY).unwrap();
            protocol::handle(machine, &mut free(), Event::Attach(id)).unwrap();
        });
        let take: User = Box::new(|machine| {
            // refused as long as the other has it
            let _ = machine.assign(1, x());
        });
        Machine::run(&machine, reopen, take);
    });
}

#[test]
fn reset_completion_against_unassign_against_the_host() {
    model(|| {
        let machine = Machine::new();
        let unassign: User = Box::new(|machine| {
            machine.assign(0, Matrix::EMPTY).unwrap();
        });
        let ask: User = Box::new(|machine| {
            let in_use = machine
                .locked
                .lock()
                .unwrap()
                .model
                .in_use(x().apm, x().aqm);
            // nobody gets it any more, so what was seen first is seen no less now
            assert!(
                in_use.is_err() || !machine.is_used(),
                "queue given to the host unclean"
            );
        });
        Machine::run(&machine, unassign, ask);
    });
}

#[test]
fn guest_reset_against_unbind() {
    model(|| {
        let machine = Machine::new();
        let reset: User = Box::new(|machine| {
            let id = machine.mdevs[0];
            protocol::reset(machine, &mut free(), id).unwrap();
        });
        let unbind: User = Box::new(|machine| {
            protocol::unbind(machine, &mut free(), X).unwrap();
            assert!(!machine.is_used(), "queue given to the host unclean");
        });
        Machine::run(&machine, reset, unbind);
    });
}

#[test]
fn guest_reset_that_fails_against_another() {
    model(|| {
        let machine = Machine::new();
        machine.hardware.lock().unwrap().broken = true;
        let reset = || -> User {
            Box::new(|machine| {
                let verdict = protocol::reset(machine, &mut free(), machine.mdevs[0]);
                assert_eq!(verdict, Err(Errno::Eio));
            })
        };
        Machine::run(&machine, reset(), reset());
    });
}

/// What comes back is reset, which may take long; what the host has lost is gone
/// from the guests before.
#[test]
fn what_the_host_loses_goes_before_what_comes_back_is_reset() {
    model(|| {
        let machine = Machine::new();
        let y = Apqn::new(Apid::new(6), Apqi::new(7));
        let only = |apqn: Apqn| Matrix {
            apm: [apqn.apid].into_iter().collect(),
            aqm: [apqn.apqi].into_iter().collect(),
            ..Matrix::EMPTY
        };
        lose(&machine, y, only(y));
        let mut cleared = Vec::new();
        protocol::config_changed(&*machine, &mut free(), only(y), |apqn| {
            assert_eq!(machine.apcb(0), Matrix::EMPTY);
            cleared.push(apqn);
            true
        });
        assert_eq!(cleared, [y]);
        let locked = machine.locked.lock().unwrap();
        assert_eq!(locked.model.host().current(), only(y));
        assert!(locked.model.queue(y).is_err());
    });
}

/// Has the second guest leave something in a queue that the host then loses, but
/// for which it has what it had before.
fn lose(machine: &Machine, apqn: Apqn, only: Matrix) {
    let mut locked = machine.locked.lock().unwrap();
    let mut step = |event| {
        let mut begun = None;
        let effects = locked.model.step(event, &mut |effect| {
            if let QueueEffect::StartReset(_, epoch) = effect {
                begun = Some(epoch);
            }
        });
        let _ = effects.unwrap();
        begun
    };
    let id = machine.mdevs[1];
    let both = Matrix {
        apm: x().apm.or(only.apm),
        aqm: x().aqm.or(only.aqm),
        ..Matrix::EMPTY
    };
    step(Event::ScanComplete(both));
    let epoch = step(Event::Bind(apqn)).unwrap();
    step(Event::ResetDone(apqn, epoch, Outcome::Completed));
    step(Event::Edit(id, Edit::Replace(only), Ownership::Available));
    for host in [both, x()] {
        step(Event::ScanComplete(host));
        step(Event::Plan(id));
        step(Event::Published(id));
    }
    step(Event::Unbind(apqn));
    step(Event::Unbound(apqn));
}
