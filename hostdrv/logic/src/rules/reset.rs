// SPDX-License-Identifier: MIT OR Apache-2.0
//! One reset of a queue, instruction by instruction.
//!
//! ZAPQ only starts the work; TAPQ tells when it is over. A ZAPQ that answered
//! "reset in progress", "busy" or "state change in progress" was not performed
//! and is issued again once the queue answers TAPQ normally.
//! Source: Linux `apq_reset_check`, `vfio_ap_mdev_reset_queue` (for the codes
//! and the interval).

use crate::ap_arch::{QueueStatus, ResponseCode};

/// How a reset ended.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub enum Outcome {
    /// ZAPQ was accepted and is done.
    Completed,
    /// The adapter is deconfigured or checkstopped: nothing was zeroized.
    Offline(ResponseCode),
    /// Gone, or an answer that no reset should give.
    Failed(ResponseCode),
}

/// What to do next.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub enum ResetStep {
    /// Issue ZAPQ and tell [`ResetRun::zapq`] the status.
    Zapq,
    /// Wait for [`ResetRun::pause_ms`], issue TAPQ, and tell
    /// [`ResetRun::tapq`] the status.
    Poll,
    /// It is over.
    Done(Outcome),
}

/// A reset that is running. Begin with a ZAPQ.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug, Default)]
pub struct ResetRun {
    accepted: bool,
    waited_ms: u32,
}

impl ResetRun {
    /// Time between two looks at the queue.
    const INTERVAL_MS: u32 = 20;

    /// The same for a queue that has not come back within [`Self::PROMPT_MS`]:
    /// it need not cost others their time.
    const LONG_INTERVAL_MS: u32 = 200;

    /// Nearly every reset is over by then.
    const PROMPT_MS: u32 = 1_000;

    /// Time between two words about it in the log.
    const WORD_MS: u32 = 10_000;

    /// Before the first ZAPQ.
    pub fn new() -> Self {
        Self::default()
    }

    /// How long to wait before the next look.
    pub fn pause_ms(&mut self) -> u32 {
        let pause = if self.waited_ms < Self::PROMPT_MS {
            Self::INTERVAL_MS
        } else {
            Self::LONG_INTERVAL_MS
        };
        self.waited_ms = self.waited_ms.saturating_add(pause);
        pause
    }

    /// After a pause: how many seconds it has lasted, if the log should say so.
    pub fn word_seconds(&self) -> Option<u32> {
        let word = self.waited_ms.is_multiple_of(Self::WORD_MS);
        word.then_some(self.waited_ms / 1_000)
    }

    /// ZAPQ answered `status`.
    pub fn zapq(&mut self, status: QueueStatus) -> ResetStep {
        self.accepted = false;
        match status.code() {
            ResponseCode::NORMAL => {
                self.accepted = true;
                ResetStep::Poll
            }
            ResponseCode::RESET_IN_PROGRESS
            | ResponseCode::BUSY
            | ResponseCode::STATE_CHANGE_IN_PROGRESS => ResetStep::Poll,
            code => Self::ended(code),
        }
    }

    /// TAPQ answered `status`.
    pub fn tapq(&mut self, status: QueueStatus) -> ResetStep {
        match status.code() {
            ResponseCode::NORMAL if self.accepted => ResetStep::Done(Outcome::Completed),
            ResponseCode::NORMAL
            | ResponseCode::ASSOCIATION_SECRET_NOT_UNIQUE
            | ResponseCode::ASSOCIATION_FAILED => ResetStep::Zapq,
            // what becomes of a ZAPQ that was refused, the next ZAPQ tells
            ResponseCode::DECONFIGURED | ResponseCode::CHECKSTOPPED if !self.accepted => {
                ResetStep::Zapq
            }
            ResponseCode::RESET_IN_PROGRESS
            | ResponseCode::BUSY
            | ResponseCode::STATE_CHANGE_IN_PROGRESS => ResetStep::Poll,
            code => Self::ended(code),
        }
    }

    fn ended(code: ResponseCode) -> ResetStep {
        ResetStep::Done(match code {
            ResponseCode::DECONFIGURED | ResponseCode::CHECKSTOPPED => Outcome::Offline(code),
            _ => Outcome::Failed(code),
        })
    }
}
