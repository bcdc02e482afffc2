// SPDX-License-Identifier: MIT OR Apache-2.0
//! What happens in a queue by itself: replies, their indication, resets that
//! complete. Faults can strike at each.

use std::time::Duration;

use ap_arch::{Apqn, Psmid, ResponseCode};

use crate::engine::{self, error};
use crate::queue::{Event, Message, QueueReset};
use crate::{Act, Ap, Effect, FaultId, Trigger, abi};

impl Ap {
    /// Everything that has happened in one queue by now.
    pub(crate) fn advance(&mut self, apqn: Apqn) {
        let now = self.now;
        while let Some(event) = self.queue_mut(apqn).advance(now) {
            match event {
                Event::Due => self.request_due(apqn),
                Event::ResetDone(kind) => {
                    let length = match kind {
                        QueueReset::Rapq => 1,
                        QueueReset::Zapq => 2,
                    };
                    self.log_event(abi::OP_RESET_DONE, apqn, length, 0);
                }
                Event::IrqOn => self.indicate_soon(apqn),
                Event::Indicate => self.indicate(apqn),
            }
        }
    }

    /// The first request is due: it gets its reply, or a fault strikes. Each
    /// way, either a request leaves or the queue stops or none moves again, so
    /// this ends.
    fn request_due(&mut self, apqn: Apqn) {
        let reorders = self.queue_mut(apqn).can_reorder();
        let wanted = |act| reorders || act != Act::Reorder;
        let fault = self.faults.act(Trigger::Reply, apqn, wanted);
        if let Some((id, _)) = fault {
            self.strike(apqn, id);
        }
        match fault.map(|(_, act)| act) {
            Some(Act::Reorder) => self.queue_mut(apqn).reorder(),
            Some(Act::Async(code)) => self.queue_mut(apqn).fail(ResponseCode(code)),
            Some(Act::Checkstop) => self.fail_adapter(apqn.apid),
            act => self.work(apqn, act),
        }
    }

    /// Computes the reply to the first request and makes it visible.
    fn work(&mut self, apqn: Apqn, act: Option<Act>) {
        let counted = |fault: &crate::Fault| fault.act.is_some();
        self.faults.pass(Trigger::Reply, apqn, counted);
        let Some(request) = self.queue_mut(apqn).take_request() else {
            return;
        };
        let mut reply = request.message;
        let flags = match act {
            Some(_) => abi::AUDIT_INJECTED,
            None => 0,
        };
        if act == Some(Act::Drop) {
            self.log_message(abi::OP_DISCARD, apqn, &reply, flags);
            return;
        }
        reply.bytes = match act {
            Some(Act::Code(code)) => error::reply(code),
            _ => self.process(apqn, &reply),
        };
        match act {
            Some(Act::WrongPsmid) => reply.psmid = Psmid(!reply.psmid.0),
            Some(Act::Length(length)) => reply.bytes.resize(length as usize, 0),
            _ => (),
        }
        reply.bytes.truncate(abi::MAX_MESSAGE);
        if act == Some(Act::Duplicate) {
            self.publish(apqn, reply.clone(), flags);
        }
        self.publish(apqn, reply, flags);
        self.indicate_soon(apqn);
    }

    /// What the adapter answers. Contents die with an adapter, so there is one.
    fn process(&mut self, apqn: Apqn, message: &Message) -> Vec<u8> {
        let request = engine::Request {
            apqn,
            control: message.control,
            bytes: &message.bytes,
        };
        match self.adapters.get_mut(&apqn.apid) {
            Some(adapter) => adapter.engine.process(request),
            None => error::reply(error::MALFORMED),
        }
    }

    fn publish(&mut self, apqn: Apqn, reply: Message, flags: u8) {
        self.log_message(abi::OP_REPLY, apqn, &reply, flags);
        self.queue_mut(apqn).reply(reply);
    }

    /// Tells the program about a reply, if there is one and the program wants
    /// to be told; unless a fault loses or delays that.
    fn indicate_soon(&mut self, apqn: Apqn) {
        let queue = self.queue_mut(apqn);
        if queue.indicator().is_none() || queue.first_reply().is_none() {
            return;
        }
        let lost = self.faults.act(Trigger::Irq, apqn, |_| true);
        let delay = self.duration(Trigger::Irq, apqn);
        self.faults.pass(Trigger::Irq, apqn, |_| true);
        if let Some((id, _)) = lost {
            self.strike(apqn, id);
        } else if delay.is_zero() {
            self.indicate(apqn);
        } else {
            let at = self.now.after(delay);
            self.queue_mut(apqn).indicate_later(at);
        }
    }

    fn indicate(&mut self, apqn: Apqn) {
        if let Some(indicator) = self.queue_mut(apqn).indicator() {
            self.log_event(abi::OP_IRQ, apqn, 0, indicator.nib);
            self.effects.push(Effect::Indicate(apqn, indicator));
        }
    }

    /// How long the operation takes that starts now.
    pub(crate) fn duration(&mut self, on: Trigger, apqn: Apqn) -> Duration {
        match self.faults.delay(on, apqn) {
            Some((id, delay)) => {
                self.faults.spend_delay(id);
                self.log_fault(apqn, id);
                delay
            }
            None => match on {
                Trigger::Rapq | Trigger::Zapq => self.tunables.reset,
                Trigger::Reply => self.tunables.reply,
                _ => Duration::ZERO,
            },
        }
    }

    /// Counts and logs an act of a fault.
    pub(crate) fn strike(&mut self, apqn: Apqn, id: FaultId) {
        self.faults.spend_act(id);
        self.log_fault(apqn, id);
    }
}
