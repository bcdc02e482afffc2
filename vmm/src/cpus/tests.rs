// SPDX-License-Identifier: MIT OR Apache-2.0
//! CPUs that are threads without a guest.

use std::convert::Infallible;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::thread::JoinHandle;

use super::*;
use crate::outcome::Crash;
use crate::reset::MachineReset;

const LIMIT: Duration = Duration::from_secs(20);
const START: u8 = 4;
const STOP: u8 = 5;
const RESTART: u8 = 6;
const CPU_RESET: u8 = 12;

/// A flag that the "guest" looks at all the time, as KVM does.
#[derive(Clone, Default)]
struct Flag(Arc<AtomicBool>);

impl Wake for Flag {
    fn wake(&self) {
        self.0.store(true, Ordering::Release);
    }
}

/// A CPU whose guest is a function.
struct Fake {
    flag: Flag,
    /// A stop is to be presented.
    stop: bool,
    performed: Arc<Mutex<Vec<Task>>>,
}

impl Cpu for Fake {
    type Error = Infallible;

    fn awake(&mut self) {
        self.flag.0.store(false, Ordering::Release);
    }

    fn perform(&mut self, task: Task, mode: Mode) -> Result<Answer, Infallible> {
        self.performed.lock().unwrap().push(task);
        match task {
            Task::Stop { .. } if mode == Mode::Operating => self.stop = true,
            Task::Reset(_) => self.stop = false,
            _ => {}
        }
        Ok(Answer::Accepted)
    }
}

struct Machine {
    cpus: Arc<Cpus<Flag>>,
    flags: Vec<Flag>,
    performed: Vec<Arc<Mutex<Vec<Task>>>>,
    threads: Vec<JoinHandle<()>>,
}

impl Machine {
    /// One whose first CPU operates.
    fn new(count: usize) -> Self {
        let flags: Vec<_> = (0..count).map(|_| Flag::default()).collect();
        let attention = EventFd::new(libc_nonblock()).unwrap();
        let cpus = Arc::new(Cpus::new(flags.clone(), 1 << 26, attention));
        cpus.set_mode(0, Mode::Operating);
        Self {
            cpus,
            flags,
            performed: (0..count).map(|_| Arc::default()).collect(),
            threads: Vec::new(),
        }
    }

    /// Starts CPU `index`, which does `step` over and over.
    fn spawn(
        &mut self,
        index: usize,
        mut step: impl FnMut(&Cpus<Flag>, &mut Fake) + Send + 'static,
    ) {
        let cpus = Arc::clone(&self.cpus);
        let mut cpu = Fake {
            flag: self.flags[index].clone(),
            stop: false,
            performed: Arc::clone(&self.performed[index]),
        };
        self.threads.push(std::thread::spawn(move || {
            let _watch = Watch(&*cpus);
            let Ok(mut next) = cpus.attend(index, &mut cpu);
            while next == Next::Run {
                let mut look = cpu.flag.0.load(Ordering::Acquire);
                if cpu.stop {
                    cpu.stop = false;
                    cpus.stopped(index);
                    look = true;
                } else if !look {
                    step(&cpus, &mut cpu);
                    look = cpus.modes()[index] != Mode::Operating;
                }
                if look {
                    let Ok(then) = cpus.attend(index, &mut cpu);
                    next = then;
                } else {
                    std::thread::yield_now();
                }
            }
        }));
    }

    fn finish(mut self) -> Outcome {
        for thread in self.threads.drain(..) {
            thread.join().unwrap();
        }
        self.cpus.outcome().unwrap()
    }
}

fn libc_nonblock() -> i32 {
    vmm_sys_util::eventfd::EFD_NONBLOCK
}

/// Repeats an order until it is taken.
fn order(cpus: &Cpus<Flag>, index: usize, cpu: &mut Fake, order: u8, target: usize) -> Answer {
    loop {
        let Ok(answer) = cpus.signal(index, cpu, order, target, 0);
        match answer {
            Some(Answer::Busy) if cpus.outcome().is_none() && cpus.reset_request().is_none() => {
                std::thread::yield_now();
            }
            Some(answer) => return answer,
            None => return Answer::Accepted,
        }
    }
}

#[test]
fn a_cpu_starts_another_and_both_stop() {
    let mut machine = Machine::new(2);
    machine.spawn(0, |cpus, cpu| {
        assert_eq!(order(cpus, 0, cpu, START, 1), Answer::Accepted);
        assert_eq!(order(cpus, 0, cpu, STOP, 0), Answer::Accepted);
    });
    machine.spawn(1, |cpus, cpu| {
        assert_eq!(order(cpus, 1, cpu, START, 9), Answer::NotOperational);
        assert_eq!(order(cpus, 1, cpu, STOP, 1), Answer::Accepted);
    });
    let performed = machine.performed.clone();
    assert_eq!(machine.finish(), Outcome::Orderly);
    let stop = Task::Stop { store: false };
    assert_eq!(*performed[1].lock().unwrap(), [Task::Start, stop]);
}

#[test]
fn the_last_cpu_that_waits_ends_the_machine() {
    for (first, outcome) in [
        (0xfff, Outcome::Orderly),
        (
            0,
            Outcome::Crash(Crash::DisabledWait {
                mask: 1,
                address: 0,
            }),
        ),
    ] {
        let mut machine = Machine::new(2);
        machine.spawn(0, move |cpus, cpu| {
            if order(cpus, 0, cpu, START, 1) == Answer::Accepted {
                cpus.waiting(0, 1, first);
            }
        });
        machine.spawn(1, |cpus, _| cpus.waiting(1, 1, 0xfff));
        assert_eq!(machine.finish(), outcome);
    }
}

#[test]
fn a_cpu_that_waits_can_be_stopped_and_restarted() {
    let mut machine = Machine::new(2);
    let rounds = AtomicU64::new(0);
    machine.spawn(0, move |cpus, cpu| {
        if rounds.fetch_add(1, Ordering::Relaxed) == 50 {
            return cpus.end(Outcome::Status(7));
        }
        order(cpus, 0, cpu, RESTART, 1);
        while cpus.modes()[1] == Mode::Operating && cpus.outcome().is_none() {
            std::thread::yield_now();
        }
        order(cpus, 0, cpu, STOP, 1);
        assert_eq!(cpus.modes()[1], Mode::Stopped);
    });
    machine.spawn(1, |cpus, _| cpus.waiting(1, 2, 3));
    assert_eq!(machine.finish(), Outcome::Status(7));
}

/// A CPU may load such a wait before it is presented with the stop.
#[test]
fn a_cpu_that_is_to_stop_does_not_wait() {
    let Machine { cpus, flags, .. } = Machine::new(1);
    let mut cpu = Fake {
        flag: flags[0].clone(),
        stop: false,
        performed: Arc::default(),
    };
    assert_eq!(order(&cpus, 0, &mut cpu, STOP, 0), Answer::Accepted);
    cpus.waiting(0, 1, 0);
    assert_eq!(cpus.outcome(), None);
    assert_eq!(cpus.attend(0, &mut cpu), Ok(Next::Run));
    cpus.stopped(0);
    assert_eq!(cpus.outcome(), Some(Outcome::Orderly));
}

/// Every CPU starts, stops and resets the others and itself all the time;
/// pauses and resets of the machine come between. Nothing gets stuck.
#[test]
fn a_crowd() {
    const COUNT: usize = 4;
    let mut machine = Machine::new(COUNT);
    let steps = Arc::new(AtomicU64::new(0));
    for index in 0..COUNT {
        let steps = Arc::clone(&steps);
        let mut dice = index as u64;
        machine.spawn(index, move |cpus, cpu| {
            steps.fetch_add(1, Ordering::Relaxed);
            dice = dice.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1);
            // CPU 0 goes on, so that the machine does
            let target = 1 + (dice >> 33) as usize % (COUNT - 1);
            let order = [START, START, RESTART, STOP, CPU_RESET][(dice >> 40) as usize % 5];
            let _ = cpus.signal(index, cpu, order, target, 0);
        });
    }
    let cpus = Arc::clone(&machine.cpus);
    for round in 0..200 {
        cpus.pause(LIMIT).unwrap();
        assert!(cpus.is_paused());
        let before = steps.load(Ordering::Relaxed);
        std::thread::yield_now();
        assert_eq!(steps.load(Ordering::Relaxed), before);
        cpus.resume();
        if round % 10 == 0 {
            let request = ResetRequest {
                kind: MachineReset::Load { clear: true },
                cpu: 0,
            };
            cpus.request_reset(request);
            cpus.rest(LIMIT).unwrap();
            for index in 0..COUNT {
                cpus.order(index, reset_task(request, index), LIMIT)
                    .unwrap();
            }
            assert_eq!(cpus.modes(), [Mode::Stopped; COUNT]);
            cpus.order(0, Task::Start, LIMIT).unwrap();
            cpus.reset_done();
        }
        while steps.load(Ordering::Relaxed) < before + 20 {
            std::thread::yield_now();
        }
    }
    cpus.end(Outcome::Status(1));
    assert_eq!(machine.finish(), Outcome::Status(1));
}

#[test]
fn a_pause_does_not_wait_for_ever() {
    let machine = Machine::new(1);
    let stuck = machine.cpus.pause(Duration::from_millis(10));
    assert_eq!(stuck.unwrap_err().0, 0);
}

#[test]
fn a_panic_ends_the_machine() {
    let mut machine = Machine::new(2);
    machine.spawn(0, |_, _| panic!("as the test wants"));
    machine.spawn(1, |_, _| {});
    let results: Vec<_> = machine.threads.drain(..).map(JoinHandle::join).collect();
    assert!(results[0].is_err() && results[1].is_ok());
    assert!(matches!(machine.finish(), Outcome::Host(_)));
}

#[test]
fn who_is_reset_how() {
    let request = |kind| ResetRequest { kind, cpu: 1 };
    let normal = request(MachineReset::LoadNormal);
    assert_eq!(reset_task(normal, 0), Task::Reset(Reset::Normal));
    assert_eq!(reset_task(normal, 1), Task::Reset(Reset::Initial));
    for kind in [
        MachineReset::ModifiedClear,
        MachineReset::Load { clear: false },
    ] {
        assert_eq!(reset_task(request(kind), 1), Task::Reset(Reset::Clear));
    }
}
