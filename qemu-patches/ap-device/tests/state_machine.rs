// SPDX-License-Identifier: MIT OR Apache-2.0
//! Random programs against a reference model that fits on a page: per queue a
//! list of (PSMID, when the reply is there), the end of a reset, and I.

mod common;

use std::collections::BTreeMap;
use std::time::Duration;

use ap_arch::*;
use common::*;
use proptest::prelude::*;

#[derive(Clone, Copy, Debug)]
enum Op {
    Wait(u32),
    Tapq(Apqn),
    Rapq(Apqn),
    Zapq(Apqn),
    Aqic(Apqn, bool),
    Nqap(Apqn, u64),
    Dqap(Apqn),
    Config(Apid, bool),
    Checkstop(Apid, bool),
    Domain(Apqi, bool),
    SubsystemReset,
}

#[derive(Default)]
struct Queue {
    messages: Vec<(u64, u64)>,
    reset_end: Option<u64>,
    irq: bool,
}

struct Reference {
    now: u64,
    queues: BTreeMap<Apqn, Queue>,
    off: Apm,
    stopped: Apm,
    domains: Aqm,
}

impl Reference {
    /// The status word with the code for the queue's state.
    fn status(&mut self, apqn: Apqn) -> u32 {
        if !self.domains.test(apqn.apqi) {
            return 0x0001_0000;
        }
        let now = self.now;
        let queue = self.queues.entry(apqn).or_default();
        queue.reset_end = queue.reset_end.filter(|&end| end > now);
        let code = if self.off.test(apqn.apid) {
            3
        } else if self.stopped.test(apqn.apid) {
            4
        } else if queue.reset_end.is_some() {
            2
        } else {
            0
        };
        let ready = queue.messages.first().is_some_and(|m| m.1 <= now);
        u32::from(queue.messages.is_empty() && queue.reset_end.is_none()) << 31
            | u32::from(ready) << 30
            | u32::from(queue.messages.len() >= 8) << 29
            | u32::from(queue.irq) << 24
            | code << 16
    }

    fn wipe(&mut self, which: impl Fn(Apqn) -> bool) {
        for (&apqn, queue) in &mut self.queues {
            if which(apqn) {
                *queue = Queue::default();
            }
        }
    }

    /// What the instruction answers, as status word and PSMID.
    fn step(&mut self, op: Op) -> Option<(u32, Option<u64>)> {
        match op {
            Op::Wait(us) => self.now += u64::from(us) * 1000,
            Op::Config(apid, on) => {
                self.off = if on {
                    self.off.without(apid)
                } else {
                    self.off.with(apid)
                };
                if !on {
                    self.wipe(|q| q.apid == apid);
                }
            }
            Op::Checkstop(apid, on) => {
                let was = self.stopped.test(apid);
                self.stopped = if on {
                    self.stopped.with(apid)
                } else {
                    self.stopped.without(apid)
                };
                if on && !was {
                    self.wipe(|q| q.apid == apid);
                }
            }
            Op::Domain(apqi, on) => {
                self.domains = if on {
                    self.domains.with(apqi)
                } else {
                    self.domains.without(apqi)
                };
                if !on {
                    self.wipe(|q| q.apqi == apqi);
                }
            }
            Op::SubsystemReset => self.wipe(|_| true),
            Op::Tapq(apqn) => return Some((self.status(apqn), None)),
            Op::Rapq(q) | Op::Zapq(q) | Op::Aqic(q, _) | Op::Nqap(q, _) | Op::Dqap(q) => {
                return Some(self.queue_step(op, q));
            }
        }
        None
    }

    fn queue_step(&mut self, op: Op, apqn: Apqn) -> (u32, Option<u64>) {
        let before = self.status(apqn);
        if before & 0x00ff_0000 != 0 {
            return (before, None);
        }
        let now = self.now;
        let queue = self.queues.entry(apqn).or_default();
        let mut code = 0;
        let mut psmid = None;
        match op {
            Op::Rapq(_) | Op::Zapq(_) => {
                *queue = Queue::default();
                queue.reset_end = Some(now + 5_000_000);
                // accepted, so not the "running" of the next instruction
                return (0, None);
            }
            Op::Aqic(_, on) if queue.irq == on => code = 7,
            Op::Aqic(_, on) => {
                queue.irq = on;
                // comes into force after the instruction
                return (before & !(1 << 24), None);
            }
            Op::Nqap(..) if queue.messages.len() >= 8 => code = 0x10,
            Op::Nqap(_, psmid) => queue.messages.push((psmid, now + 50_000)),
            _ if queue.messages.first().is_none_or(|m| m.1 > now) => code = 0x10,
            _ => psmid = Some(queue.messages.remove(0).0),
        }
        (self.status(apqn) | code << 16, psmid)
    }
}

fn run(m: &mut Machine, op: Op) -> Option<(u32, Option<u64>)> {
    let now = m.now;
    let status = match op {
        Op::Wait(us) => {
            m.wait(Duration::from_micros(us.into()));
            return None;
        }
        Op::Config(apid, on) => {
            m.ap.set_config(now, apid, on).unwrap();
            return None;
        }
        Op::Checkstop(apid, on) => {
            m.ap.set_checkstop(now, apid, on).unwrap();
            return None;
        }
        Op::Domain(apqi, on) => {
            let Matrix { aqm, adm, .. } = m.ap.matrix();
            let aqm = if on {
                aqm.with(apqi)
            } else {
                aqm.without(apqi)
            };
            m.ap.set_domains(now, aqm, adm).unwrap();
            return None;
        }
        Op::SubsystemReset => {
            m.ap.reset(now, ap_device::ResetKind::Subsystem);
            return None;
        }
        Op::Tapq(apqn) => m.tapq(apqn),
        Op::Rapq(apqn) => m.rapq(apqn),
        Op::Zapq(apqn) => m.zapq(apqn),
        Op::Aqic(apqn, true) => m.aqic(apqn, AqicControl::enable(6), 8),
        Op::Aqic(apqn, false) => m.aqic(apqn, AqicControl::disable(), 8),
        Op::Nqap(apqn, psmid) => m.nqap(apqn, psmid, NONSENSE),
        Op::Dqap(apqn) => match m.dqap(apqn) {
            Err(status) => status,
            Ok((psmid, _)) => {
                // the status word that came with it is the one of a TAPQ now
                return Some((m.tapq(apqn).0, Some(psmid)));
            }
        },
    };
    Some((status.0, None))
}

fn op() -> impl Strategy<Value = Op> {
    let queue = prop::sample::select(&[ACCEL, ACCEL2, CCA][..]);
    let apid = prop::sample::select(&[ACCEL.apid, CCA.apid][..]);
    let apqi = prop::sample::select(&[ACCEL.apqi, ACCEL2.apqi][..]);
    prop_oneof![
        4 => prop_oneof![1u32..200, 1000u32..6000].prop_map(Op::Wait),
        2 => queue.clone().prop_map(Op::Tapq),
        1 => queue.clone().prop_map(Op::Rapq),
        1 => queue.clone().prop_map(Op::Zapq),
        1 => (queue.clone(), any::<bool>()).prop_map(|(q, on)| Op::Aqic(q, on)),
        12 => (queue.clone(), any::<u64>()).prop_map(|(q, id)| Op::Nqap(q, id)),
        6 => queue.prop_map(Op::Dqap),
        1 => (apid.clone(), any::<bool>()).prop_map(|(a, on)| Op::Config(a, on)),
        1 => (apid, any::<bool>()).prop_map(|(a, on)| Op::Checkstop(a, on)),
        1 => (apqi, any::<bool>()).prop_map(|(d, on)| Op::Domain(d, on)),
        1 => Just(Op::SubsystemReset),
    ]
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(256))]

    #[test]
    fn the_model_equals_the_reference(ops in proptest::collection::vec(op(), 1..80)) {
        let mut m = machine();
        let mut reference = Reference {
            now: 0,
            queues: BTreeMap::new(),
            off: Apm::EMPTY,
            stopped: Apm::EMPTY,
            domains: m.ap.matrix().aqm,
        };
        for (step, op) in ops.into_iter().enumerate() {
            let expected = reference.step(op);
            let got = run(&mut m, op);
            prop_assert_eq!(got, expected, "step {}: {:?}", step, op);
        }
    }
}
