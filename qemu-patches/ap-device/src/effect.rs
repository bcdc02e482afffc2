// SPDX-License-Identifier: MIT OR Apache-2.0
//! What the emulator has to do in consequence of a call.

use std::collections::VecDeque;

use ap_arch::{Apqn, AqicControl};

/// Where and how to tell the program of a reply, as AQIC said.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Indicator {
    /// Absolute address of the notification indicator byte.
    pub nib: u64,
    /// Interruption subclasses and GISA.
    pub control: AqicControl,
}

/// Something to do outside the model.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Effect {
    /// Tell the program that the AP configuration changed.
    ConfigChanged,
    /// A reply became visible on a queue with interrupts on: set the indicator
    /// and make an adapter interruption pending.
    Indicate(Apqn, Indicator),
    /// Stop the machine: the record with this number, about this queue,
    /// violates an invariant.
    Stop(Apqn, u64),
}

/// Effects not yet fetched, oldest first.
///
/// Each kind is idempotent until fetched, so none is in here twice; that also
/// bounds the list, however long nobody fetches.
#[derive(Debug, Default)]
pub(crate) struct Effects(VecDeque<Effect>);

impl Effects {
    pub(crate) fn push(&mut self, effect: Effect) {
        let stop = |effect: &Effect| matches!(effect, Effect::Stop(..));
        let stops_already = stop(&effect) && self.0.iter().any(stop);
        if !stops_already && !self.0.contains(&effect) {
            self.0.push_back(effect);
        }
    }

    pub(crate) fn pop(&mut self) -> Option<Effect> {
        self.0.pop_front()
    }

    /// Forgets the indication for a queue whose interrupts are now off: after a
    /// reset the byte may belong to another program.
    pub(crate) fn cancel_indication(&mut self, apqn: Apqn) {
        self.0
            .retain(|effect| !matches!(effect, Effect::Indicate(queue, _) if *queue == apqn));
    }

    pub(crate) fn clear(&mut self) {
        self.0.clear();
    }
}
