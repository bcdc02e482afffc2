// SPDX-License-Identifier: MIT OR Apache-2.0
//! One queue: requests in, replies out, resets in between.
//!
//! ```text
//!   NQAP -> part --last part--> requests --due--> replies --DQAP-->
//!
//!   Ready --RAPQ, ZAPQ: contents and interrupts die--> Resetting
//!         <-----------------until-----------------------'
//!
//!   faults: Stuck for Resetting without an end, Failed for Ready without work
//! ```
//!
//! A queue outlives its presence in the configuration: masks and adapters tell
//! whether it can be reached, and its contents die when it cannot. What stays
//! is the epoch, which the audit log needs to be continuous.

use std::collections::VecDeque;

use ap_arch::{Adm, Psmid, QueueStatus, ResponseCode};

use crate::fault::FaultId;
use crate::{Indicator, Ns, Owner};

/// A request or a reply.
#[derive(Clone, Debug)]
pub(crate) struct Message {
    pub psmid: Psmid,
    pub bytes: Vec<u8>,
    pub owner: Owner,
    pub epoch: u32,
    pub special: bool,
    /// What domains its issuer may control.
    pub control: Adm,
    /// Keyed digest of the request.
    pub tag: u64,
}

/// A request being worked on.
#[derive(Debug)]
pub(crate) struct Request {
    pub message: Message,
    pub due: Ns,
    /// A fault has moved it already.
    pub moved: bool,
}

/// The parts of a message that came before its last.
#[derive(Debug)]
pub(crate) struct Part {
    pub owner: Owner,
    pub psmid: Psmid,
    pub bytes: Vec<u8>,
}

/// How a queue is reset by an instruction.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum QueueReset {
    Rapq,
    Zapq,
}

#[derive(Debug)]
enum State {
    Ready,
    Resetting {
        kind: QueueReset,
        until: Ns,
    },
    /// A reset that a fault keeps from completing.
    Stuck {
        kind: QueueReset,
        by: FaultId,
    },
    /// An asynchronous error, until a reset.
    Failed(ResponseCode),
}

/// Interruption control.
#[derive(Clone, Copy, Debug)]
enum Irq {
    Off,
    /// Asked for, not yet in force.
    Starting(Indicator, Ns),
    On(Indicator),
}

/// Something that happened in a queue because its time had come.
#[derive(Debug)]
pub(crate) enum Event {
    /// The first request is due.
    Due,
    /// A reset has completed.
    ResetDone(QueueReset),
    /// Interrupts are now on.
    IrqOn,
    /// A reply is to be indicated.
    Indicate,
}

/// One queue.
#[derive(Debug)]
pub(crate) struct Queue {
    state: State,
    irq: Irq,
    /// When to indicate a reply that is there, if a fault delays that.
    indicate: Option<Ns>,
    part: Option<Part>,
    requests: VecDeque<Request>,
    replies: VecDeque<Message>,
    /// How much of the first reply was dequeued, if some was.
    offset: Option<usize>,
    pub epoch: u32,
    pub enqueued: u64,
    pub dequeued: u64,
    /// What the agenda has for this queue.
    pub scheduled: Option<Ns>,
}

impl Queue {
    pub(crate) fn new() -> Self {
        Self {
            state: State::Ready,
            irq: Irq::Off,
            indicate: None,
            part: None,
            requests: VecDeque::new(),
            replies: VecDeque::new(),
            offset: None,
            epoch: 0,
            enqueued: 0,
            dequeued: 0,
            scheduled: None,
        }
    }

    /// The status word, for a queue of the given depth.
    ///
    /// E is off during a reset: that is work, too, and a program that looked
    /// at E alone would otherwise take the reset for done.
    pub(crate) fn status(&self, code: ResponseCode, depth: u8) -> QueueStatus {
        let resetting = self.is_resetting();
        let held = self.held();
        QueueStatus::of(code)
            .with(QueueStatus::EMPTY, held == 0 && !resetting)
            .with(QueueStatus::REPLY, !self.replies.is_empty())
            .with(QueueStatus::FULL, held >= usize::from(depth))
            .with(QueueStatus::ASYNC, self.has_failed())
            .with(QueueStatus::IRQ, self.indicator().is_some())
    }

    /// Why the queue does nothing at the moment.
    pub(crate) fn code(&self) -> Option<ResponseCode> {
        match self.state {
            State::Ready => None,
            State::Resetting { .. } | State::Stuck { .. } => Some(ResponseCode::RESET_IN_PROGRESS),
            State::Failed(code) => Some(code),
        }
    }

    pub(crate) fn is_resetting(&self) -> bool {
        matches!(self.state, State::Resetting { .. } | State::Stuck { .. })
    }

    pub(crate) fn has_failed(&self) -> bool {
        matches!(self.state, State::Failed(_))
    }

    /// Lets the queue fail until a reset.
    pub(crate) fn fail(&mut self, code: ResponseCode) {
        self.state = State::Failed(code);
    }

    /// How many messages are inside.
    pub(crate) fn held(&self) -> usize {
        self.requests.len() + self.replies.len()
    }

    pub(crate) fn request_count(&self) -> usize {
        self.requests.len()
    }

    pub(crate) fn reply_count(&self) -> usize {
        self.replies.len()
    }

    /// Where to indicate, if interrupts are in force.
    pub(crate) fn indicator(&self) -> Option<Indicator> {
        match self.irq {
            Irq::On(indicator) => Some(indicator),
            Irq::Off | Irq::Starting(..) => None,
        }
    }

    /// Whether interrupts are on or about to be.
    pub(crate) fn irq_wanted(&self) -> bool {
        !matches!(self.irq, Irq::Off)
    }

    pub(crate) fn irq_off(&mut self) {
        self.irq = Irq::Off;
        self.indicate = None;
    }

    /// A reply that is there will be indicated `at` that time, if it is not
    /// going to be earlier.
    pub(crate) fn indicate_later(&mut self, at: Ns) {
        self.indicate = Some(self.indicate.map_or(at, |before| before.min(at)));
    }

    /// Interrupts will be in force from `from` on.
    pub(crate) fn irq_on(&mut self, indicator: Indicator, from: Ns) {
        self.irq = Irq::Starting(indicator, from);
    }

    /// Puts a part of a message with those that came before it. A part of
    /// another message, or of another program's, starts anew.
    pub(crate) fn add_part(&mut self, owner: Owner, psmid: Psmid, bytes: &[u8]) {
        let mut all = self.take_part(owner, psmid);
        all.extend_from_slice(bytes);
        self.part = Some(Part {
            owner,
            psmid,
            bytes: all,
        });
    }

    /// The parts of a message so far, and forgets them.
    pub(crate) fn take_part(&mut self, owner: Owner, psmid: Psmid) -> Vec<u8> {
        match self.part.take() {
            Some(part) if part.owner == owner && part.psmid == psmid => part.bytes,
            _ => Vec::new(),
        }
    }

    /// How many bytes the parts of a message so far have.
    pub(crate) fn part_len(&self, owner: Owner, psmid: Psmid) -> usize {
        match &self.part {
            Some(part) if part.owner == owner && part.psmid == psmid => part.bytes.len(),
            _ => 0,
        }
    }

    /// Takes a request. Replies come in the order of requests, so it is not
    /// due before those in front of it.
    pub(crate) fn enqueue(&mut self, mut request: Request) {
        if let Some(last) = self.requests.back() {
            request.due = request.due.max(last.due);
        }
        self.requests.push_back(request);
        self.enqueued += 1;
    }

    /// Takes the request that is due.
    pub(crate) fn take_request(&mut self) -> Option<Request> {
        self.requests.pop_front()
    }

    /// Whether the first request could be worked on after the second.
    pub(crate) fn can_reorder(&self) -> bool {
        self.requests.len() > 1 && self.requests.iter().take(2).all(|r| !r.moved)
    }

    /// Lets the second request overtake the first; neither moves again.
    pub(crate) fn reorder(&mut self) {
        if self.can_reorder() {
            self.requests.swap(0, 1);
            let (first, second) = (self.requests[0].due, self.requests[1].due);
            for request in self.requests.iter_mut().take(2) {
                request.moved = true;
                request.due = first.max(second);
            }
        }
    }

    /// Makes a reply visible.
    pub(crate) fn reply(&mut self, reply: Message) {
        self.replies.push_back(reply);
    }

    /// The reply to dequeue next.
    pub(crate) fn first_reply(&self) -> Option<&Message> {
        self.replies.front()
    }

    /// Where to go on in the first reply, if a part of it was dequeued.
    pub(crate) fn offset(&self) -> Option<usize> {
        self.offset
    }

    /// Remembers that the first reply was dequeued up to `offset`.
    pub(crate) fn dequeue_part(&mut self, offset: usize) {
        self.offset = Some(offset);
    }

    /// Takes the first reply.
    pub(crate) fn dequeue(&mut self) -> Option<Message> {
        let reply = self.replies.pop_front()?;
        self.offset = None;
        self.dequeued += 1;
        Some(reply)
    }

    /// Throws all contents away and turns interrupts off; a running reset is
    /// forgotten. Returns the messages.
    pub(crate) fn clear(&mut self) -> Vec<Message> {
        self.state = State::Ready;
        self.irq_off();
        self.part = None;
        self.offset = None;
        let requests = self.requests.drain(..).map(|r| r.message);
        let replies = self.replies.drain(..);
        replies.chain(requests).collect()
    }

    /// Starts a reset.
    pub(crate) fn start_reset(&mut self, kind: QueueReset, until: Ns) {
        self.state = State::Resetting { kind, until };
    }

    /// Starts a reset that does not complete.
    pub(crate) fn start_stuck_reset(&mut self, kind: QueueReset, by: FaultId) {
        self.state = State::Stuck { kind, by };
    }

    /// Lets a reset complete that fault `by`, or any, made stuck.
    pub(crate) fn release(&mut self, by: Option<FaultId>, until: Ns) {
        match self.state {
            State::Stuck { kind, by: fault } if by.is_none_or(|by| by == fault) => {
                self.state = State::Resetting { kind, until };
            }
            _ => (),
        }
    }

    /// When something will happen by itself.
    pub(crate) fn deadline(&self) -> Option<Ns> {
        let reset = match self.state {
            State::Resetting { until, .. } => Some(until),
            State::Ready | State::Stuck { .. } | State::Failed(_) => None,
        };
        let irq = match self.irq {
            Irq::Starting(_, from) => Some(from),
            Irq::Off | Irq::On(_) => None,
        };
        [reset, irq, self.indicate, self.next_due()]
            .into_iter()
            .flatten()
            .min()
    }

    /// When the first request is due. Never, in a queue that has failed.
    fn next_due(&self) -> Option<Ns> {
        let request = self.requests.front().filter(|_| !self.has_failed());
        request.map(|r| r.due)
    }

    /// What has happened by `now`, one event at a time.
    pub(crate) fn advance(&mut self, now: Ns) -> Option<Event> {
        match (&self.state, self.irq) {
            (&State::Resetting { kind, until }, _) if until <= now => {
                self.state = State::Ready;
                if kind == QueueReset::Zapq {
                    self.epoch = self.epoch.wrapping_add(1);
                }
                Some(Event::ResetDone(kind))
            }
            (_, Irq::Starting(indicator, from)) if from <= now => {
                self.irq = Irq::On(indicator);
                Some(Event::IrqOn)
            }
            _ if self.indicate.is_some_and(|at| at <= now) => {
                self.indicate = None;
                Some(Event::Indicate)
            }
            _ if self.next_due()? <= now => Some(Event::Due),
            _ => None,
        }
    }
}
