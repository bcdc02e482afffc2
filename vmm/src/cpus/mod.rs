// SPDX-License-Identifier: MIT OR Apache-2.0
//! The CPUs of a machine as a whole: who runs, who waits, who ends it.
//!
//! Each CPU is a thread that only does things to itself. Others leave a task
//! at its seat, wake it, and wait for the answer:
//!
//! ```text
//!   CPU 1, SIGP          seat of CPU 0             CPU 0
//!   leaves a task  ──>   task                      runs the guest
//!   wakes CPU 0    ─────────────────────────────>  leaves the guest
//!                        task              ──>     performs it
//!   goes on        <──   answer            <──     goes on, or sleeps
//! ```
//!
//! A CPU that has nothing to do (stopped, in a wait that nothing ends, or
//! held by a pause or a reset of the machine) sleeps at its seat and still
//! performs tasks. So a pause waits until every CPU sleeps there, and a reset
//! leaves tasks at all of them.
//!
//! One order at a time: the second of two CPUs that signal at once is told
//! "busy" and tries again, so that no two ever wait for each other.
//!
//! The first outcome ends the machine; every CPU then returns.
//!
//! No wake-up is lost: a CPU takes back the request to leave the guest before
//! it looks at its seat, and others change the seat before they make it.

use std::sync::{Condvar, Mutex, MutexGuard, PoisonError, TryLockError};
use std::time::{Duration, Instant};

use vmm_sys_util::eventfd::EventFd;

use crate::outcome::Outcome;
use crate::reset::ResetRequest;
use crate::sigp::{self, Answer, Mode, Reset, Target, Task};

/// Makes a CPU leave the guest, soon.
pub trait Wake: Send + Sync {
    /// Does that.
    fn wake(&self);
}

/// A CPU, seen from its own thread.
pub trait Cpu {
    /// Why it cannot go on.
    type Error;

    /// Takes back what [`Wake::wake`] asked for.
    fn awake(&mut self);
    /// Does something to itself, being in this mode.
    fn perform(&mut self, task: Task, mode: Mode) -> Result<Answer, Self::Error>;
}

/// What a CPU thread does after it looked at its seat.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[must_use]
pub enum Next {
    /// Runs the guest.
    Run,
    /// Returns: the machine ends.
    End,
}

/// Not every CPU came to rest in time.
#[derive(Debug, thiserror::Error)]
#[error("CPU {0} does not come to rest")]
pub struct Stuck(pub usize);

/// All CPUs.
pub struct Cpus<W> {
    state: Mutex<State>,
    changed: Condvar,
    wakers: Vec<W>,
    /// Held by the CPU whose order is carried out.
    signalling: Mutex<()>,
    attention: EventFd,
    ram_size: u64,
}

struct State {
    seats: Vec<Seat>,
    paused: bool,
    reset: Option<ResetRequest>,
    outcome: Option<Outcome>,
}

struct Seat {
    mode: Mode,
    /// Told to stop, and has not yet.
    stopping: bool,
    task: Option<Task>,
    answer: Option<Answer>,
    /// Sleeps here.
    at_rest: bool,
}

impl<W: Wake> Cpus<W> {
    /// CPUs that are all stopped, one for each of `wakers`. `attention` is
    /// signalled when there is something for [`Self::outcome`] or
    /// [`Self::reset_request`] to tell.
    pub fn new(wakers: Vec<W>, ram_size: u64, attention: EventFd) -> Self {
        let seat = |_: &W| Seat {
            mode: Mode::Stopped,
            stopping: false,
            task: None,
            answer: None,
            at_rest: false,
        };
        let state = State {
            seats: wakers.iter().map(seat).collect(),
            paused: false,
            reset: None,
            outcome: None,
        };
        Self {
            state: Mutex::new(state),
            changed: Condvar::new(),
            wakers,
            signalling: Mutex::new(()),
            attention,
            ram_size,
        }
    }

    /// How many there are.
    pub fn count(&self) -> usize {
        self.wakers.len()
    }

    /// What wakes CPU `index`.
    pub fn waker(&self, index: usize) -> &W {
        &self.wakers[index]
    }

    /// What each of them does.
    pub fn modes(&self) -> Vec<Mode> {
        self.lock().seats.iter().map(|seat| seat.mode).collect()
    }

    /// Signalled when the machine ends or is to be reset.
    pub fn attention(&self) -> &EventFd {
        &self.attention
    }

    /// How the machine ended, if it did.
    pub fn outcome(&self) -> Option<Outcome> {
        self.lock().outcome.clone()
    }

    /// Ends the machine, unless it has ended.
    pub fn end(&self, outcome: Outcome) {
        self.end_locked(&mut self.lock(), outcome);
    }

    fn end_locked(&self, state: &mut State, outcome: Outcome) {
        if state.outcome.is_none() {
            state.outcome = Some(outcome);
        }
        self.call_all();
        self.call_main();
    }

    /// For CPU `index`: does what is to be done at its seat, and sleeps there
    /// until it may run.
    pub fn attend<C: Cpu>(&self, index: usize, cpu: &mut C) -> Result<Next, C::Error> {
        cpu.awake();
        let mut state = self.lock();
        loop {
            if state.outcome.is_some() {
                return Ok(Next::End);
            }
            let seat = &mut state.seats[index];
            if let Some(task) = seat.task.take() {
                let mode = seat.mode;
                drop(state);
                let answer = cpu.perform(task, mode)?;
                state = self.lock();
                self.settle(&mut state, index, task);
                state.seats[index].answer = Some(answer);
                self.changed.notify_all();
            } else if seat.mode == Mode::Operating && !state.held() {
                return Ok(Next::Run);
            } else {
                state.seats[index].at_rest = true;
                self.changed.notify_all();
                state = self.wait(state);
                state.seats[index].at_rest = false;
            }
        }
    }

    /// For CPU `index`: executes an order to a CPU of the machine. `None`: the
    /// CPU has reset itself, so there is no instruction to complete.
    pub fn signal<C: Cpu>(
        &self,
        index: usize,
        cpu: &mut C,
        order: u8,
        target: usize,
        parameter: u64,
    ) -> Result<Option<Answer>, C::Error> {
        if let Some(answer) = sigp::without_target(order) {
            return Ok(Some(answer));
        }
        let _turn = match self.signalling.try_lock() {
            Ok(turn) => turn,
            Err(TryLockError::Poisoned(turn)) => turn.into_inner(),
            Err(TryLockError::WouldBlock) => return Ok(Some(Answer::Busy)),
        };
        let mut state = self.lock();
        // the CPU tries again, and comes to rest before it does
        if state.outcome.is_some() || state.reset.is_some() {
            return Ok(Some(Answer::Busy));
        }
        let Some(seat) = state.seats.get(target) else {
            return Ok(Some(Answer::NotOperational));
        };
        let known = Target {
            mode: seat.mode,
            stopping: seat.stopping,
            ram_size: self.ram_size,
        };
        let task = match sigp::decide(order, parameter, known) {
            Ok(task) => task,
            Err(answer) => return Ok(Some(answer)),
        };
        if target == index {
            drop(state);
            let answer = cpu.perform(task, known.mode)?;
            self.settle(&mut self.lock(), index, task);
            return Ok(match task {
                Task::Reset(_) => None,
                _ => Some(answer),
            });
        }
        self.leave_task(&mut state, target, task);
        let answer = self.await_answer(state, target, None);
        Ok(Some(answer.unwrap_or(Answer::Busy)))
    }

    /// CPU `index` has stopped as it was told to.
    pub fn stopped(&self, index: usize) {
        let mut state = self.lock();
        self.enter(&mut state, index, Mode::Stopped);
    }

    /// CPU `index` waits for nothing. If it was told to stop, it goes on until KVM
    /// stops it.
    pub fn waiting(&self, index: usize, mask: u64, address: u64) {
        let mut state = self.lock();
        if !state.seats[index].stopping {
            self.enter(&mut state, index, Mode::Waiting { mask, address });
        }
    }

    /// What a task has made of a CPU.
    fn settle(&self, state: &mut State, index: usize, task: Task) {
        let seat = &mut state.seats[index];
        match task {
            Task::Start | Task::StartAt { .. } | Task::Restart => seat.mode = Mode::Operating,
            Task::Reset(_) => self.enter(state, index, Mode::Stopped),
            // it goes on until KVM has presented what is pending
            Task::Stop { .. } if seat.mode == Mode::Operating => seat.stopping = true,
            Task::Stop { .. } => self.enter(state, index, Mode::Stopped),
            Task::SetPrefix(_) | Task::StoreStatus(_) | Task::StoreAdditionalStatus(_) => {}
        }
    }

    /// A CPU no longer executes. The machine ends with the last one, well
    /// unless one of them waits as no sound guest does.
    fn enter(&self, state: &mut State, index: usize, mode: Mode) {
        let seat = &mut state.seats[index];
        seat.mode = mode;
        seat.stopping = false;
        let operating = state.seats.iter().any(|seat| seat.mode == Mode::Operating);
        if operating || state.reset.is_some() {
            return;
        }
        let outcomes = state.seats.iter().filter_map(|seat| match seat.mode {
            Mode::Waiting { mask, address } => Some(Outcome::of_wait(mask, address)),
            _ => None,
        });
        let outcome = outcomes
            .reduce(|first, next| match first {
                Outcome::Orderly => next,
                crash => crash,
            })
            .unwrap_or(Outcome::Orderly);
        self.end_locked(state, outcome);
    }

    /// Holds all CPUs until [`Self::resume`], and waits until they rest.
    pub fn pause(&self, limit: Duration) -> Result<(), Stuck> {
        let mut state = self.lock();
        state.paused = true;
        self.call_all();
        self.await_rest(state, limit)
    }

    /// Lets the CPUs go on.
    pub fn resume(&self) {
        self.lock().paused = false;
        self.changed.notify_all();
    }

    /// Whether [`Self::pause`] holds the CPUs.
    pub fn is_paused(&self) -> bool {
        self.lock().paused
    }

    /// Asks for a reset of the machine, and holds all CPUs until
    /// [`Self::reset_done`]. The first request counts.
    pub fn request_reset(&self, request: ResetRequest) {
        let mut state = self.lock();
        state.reset.get_or_insert(request);
        self.call_all();
        self.call_main();
    }

    /// The reset that was asked for.
    pub fn reset_request(&self) -> Option<ResetRequest> {
        self.lock().reset
    }

    /// Waits until all CPUs, held by a reset, rest.
    pub fn rest(&self, limit: Duration) -> Result<(), Stuck> {
        let state = self.lock();
        self.call_all();
        self.await_rest(state, limit)
    }

    /// Has CPU `index`, held by a reset, perform a task.
    pub fn order(&self, index: usize, task: Task, limit: Duration) -> Result<(), Stuck> {
        let mut state = self.lock();
        self.leave_task(&mut state, index, task);
        let end = Instant::now() + limit;
        match self.await_answer(state, index, Some(end)) {
            None if self.outcome().is_none() => Err(Stuck(index)),
            _ => Ok(()),
        }
    }

    /// The reset has been made.
    pub fn reset_done(&self) {
        self.lock().reset = None;
        self.changed.notify_all();
    }

    /// Puts CPUs that do not run yet into a mode.
    pub fn set_mode(&self, index: usize, mode: Mode) {
        self.lock().seats[index].mode = mode;
    }

    fn leave_task(&self, state: &mut State, index: usize, task: Task) {
        let seat = &mut state.seats[index];
        seat.answer = None;
        seat.task = Some(task);
        self.wakers[index].wake();
        self.changed.notify_all();
    }

    /// Waits for the answer to a task. None comes if the machine ends.
    fn await_answer(
        &self,
        mut state: MutexGuard<'_, State>,
        index: usize,
        end: Option<Instant>,
    ) -> Option<Answer> {
        loop {
            let answer = state.seats[index].answer.take();
            if answer.is_some() || state.outcome.is_some() || has_passed(end) {
                return answer;
            }
            state = self.wait_until(state, end);
        }
    }

    fn await_rest(&self, mut state: MutexGuard<'_, State>, limit: Duration) -> Result<(), Stuck> {
        let end = Some(Instant::now() + limit);
        loop {
            let awake = state.seats.iter().position(|seat| !seat.at_rest);
            match awake {
                Some(index) if state.outcome.is_none() => {
                    if has_passed(end) {
                        return Err(Stuck(index));
                    }
                    state = self.wait_until(state, end);
                }
                _ => return Ok(()),
            }
        }
    }

    /// Calls all CPUs to their seats.
    fn call_all(&self) {
        for waker in &self.wakers {
            waker.wake();
        }
        self.changed.notify_all();
    }

    fn call_main(&self) {
        // it counts up to 2^64 - 2, and is read whenever it is not zero
        let _ = self.attention.write(1);
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn wait<'a>(&self, state: MutexGuard<'a, State>) -> MutexGuard<'a, State> {
        self.changed
            .wait(state)
            .unwrap_or_else(PoisonError::into_inner)
    }

    fn wait_until<'a>(
        &self,
        state: MutexGuard<'a, State>,
        end: Option<Instant>,
    ) -> MutexGuard<'a, State> {
        let Some(end) = end else {
            return self.wait(state);
        };
        let left = end.saturating_duration_since(Instant::now());
        let (state, _) = self
            .changed
            .wait_timeout(state, left)
            .unwrap_or_else(PoisonError::into_inner);
        state
    }
}

impl State {
    /// Whether no CPU may run.
    fn held(&self) -> bool {
        self.paused || self.reset.is_some()
    }
}

fn has_passed(end: Option<Instant>) -> bool {
    end.is_some_and(|end| Instant::now() >= end)
}

/// Ends the machine when a CPU thread goes in any other way than by returning
/// from its loop.
pub struct Watch<'a, W: Wake>(pub &'a Cpus<W>);

impl<W: Wake> Drop for Watch<'_, W> {
    fn drop(&mut self) {
        if std::thread::panicking() {
            self.0.end(Outcome::Host("a CPU thread panicked".into()));
        }
    }
}

/// The tasks that reset CPU `index`, by the reset that is made.
pub fn reset_task(request: ResetRequest, index: usize) -> Task {
    use crate::reset::MachineReset;
    Task::Reset(match request.kind {
        MachineReset::LoadNormal if request.cpu != index => Reset::Normal,
        MachineReset::LoadNormal => Reset::Initial,
        MachineReset::ModifiedClear | MachineReset::Load { .. } => Reset::Clear,
    })
}

#[cfg(test)]
mod tests;
