// SPDX-License-Identifier: MIT OR Apache-2.0
//! The auditor: bad histories as records, and violations seeded through the
//! model; and nothing where all is well.

mod common;

use ap_arch::*;
use ap_device::abi::{self, AuditRecord};
use ap_device::auditor::{Auditor, INVARIANTS, Invariant, Scene};
use ap_device::topology::Topology;
use ap_device::*;
use common::*;

const A: u32 = 0x1000;
const B: u32 = 0x2000;

/// Records told to an auditor, on one queue that all have.
#[derive(Default)]
struct Story {
    auditor: Auditor,
    seq: u64,
}

impl Story {
    fn tell(&mut self, record: AuditRecord) -> Vec<Invariant> {
        let all = guest(0, ACCEL).matrix;
        let scene = Scene {
            machine: all,
            guest: (record.issuer == abi::ISSUER_SIE).then_some(all),
        };
        let record = AuditRecord {
            seq: self.seq,
            apqn: ACCEL.to_qid(),
            ..record
        };
        self.seq += 1;
        self.auditor.observe(&record, &scene).into_iter().collect()
    }

    /// An instruction of guest `crycb`, or of the host if that is 0.
    fn insn(&mut self, crycb: u32, op: u8, tag: u64, epoch: u32) -> Vec<Invariant> {
        self.tell(AuditRecord {
            op,
            issuer: match crycb {
                0 => abi::ISSUER_HOST,
                _ => abi::ISSUER_SIE,
            },
            crycbd: crycb,
            psmid: tag,
            tag,
            epoch,
            ..AuditRecord::default()
        })
    }

    fn event(&mut self, op: u8, tag: u64, epoch: u32, length: u32) -> Vec<Invariant> {
        self.tell(AuditRecord {
            op,
            issuer: abi::ISSUER_MACHINE,
            psmid: tag,
            tag,
            epoch,
            length,
            ..AuditRecord::default()
        })
    }
}

const ZAPQ: u8 = FunctionCode::Zapq.code();
const AQIC: u8 = FunctionCode::Aqic.code();

#[test]
fn a_reply_to_another() {
    let mut story = Story::default();
    assert_eq!(story.insn(A, abi::OP_NQAP, 1, 0), []);
    assert_eq!(story.event(abi::OP_REPLY, 1, 0, 8), []);
    assert_eq!(
        story.insn(B, abi::OP_DQAP, 1, 0),
        [Invariant::ReplyToOwner, Invariant::ZapqBetweenOwners]
    );
    // the same issuer, but a zeroized queue
    assert_eq!(story.insn(B, abi::OP_NQAP, 2, 0), []);
    story.event(abi::OP_REPLY, 2, 0, 8);
    assert_eq!(story.insn(B, abi::OP_DQAP, 2, 1), [Invariant::ReplyToOwner]);
    assert_eq!(story.auditor.counts(), [2, 1, 0, 0, 0, 0]);
}

#[test]
fn owners_without_a_completed_zapq() {
    for (first, completed) in [(1, true), (ZAPQ, false), (ZAPQ, true)] {
        let mut story = Story::default();
        story.insn(A, abi::OP_NQAP, 1, 0);
        story.event(abi::OP_DISCARD, 1, 0, 0);
        assert_eq!(story.insn(0, first, 0, 0), []);
        if completed {
            story.event(abi::OP_RESET_DONE, 0, 1, first.into());
        }
        let good = first == ZAPQ && completed;
        let found = story.insn(B, abi::OP_NQAP, 2, 1);
        match good {
            true => assert_eq!(found, []),
            false => assert_eq!(found, [Invariant::ZapqBetweenOwners]),
        }
    }
}

#[test]
fn a_message_that_survives() {
    let mut story = Story::default();
    story.insn(A, abi::OP_NQAP, 1, 0);
    assert_eq!(story.insn(0, ZAPQ, 0, 0), [Invariant::NothingSurvives]);
    story.event(abi::OP_RESET_DONE, 0, 1, 2);
    // from nowhere
    assert_eq!(
        story.insn(A, abi::OP_DQAP, 1, 1),
        [Invariant::NothingSurvives]
    );
}

#[test]
fn an_interrupt_of_a_former_epoch() {
    let mut story = Story::default();
    assert_eq!(
        story.event(abi::OP_IRQ, 8, 0, 0),
        [Invariant::IndicatorIsCurrent]
    );
    let enable = |story: &mut Story, epoch| {
        story.tell(AuditRecord {
            op: AQIC,
            issuer: abi::ISSUER_HOST,
            psmid: AqicControl::enable(6).0,
            tag: 8,
            epoch,
            ..AuditRecord::default()
        })
    };
    enable(&mut story, 0);
    assert_eq!(story.event(abi::OP_IRQ, 8, 0, 0), []);
    let stale = [Invariant::IndicatorIsCurrent];
    assert_eq!(story.event(abi::OP_IRQ, 16, 0, 0), stale, "another byte");
    assert_eq!(story.event(abi::OP_IRQ, 8, 1, 0), stale, "another epoch");
    story.insn(0, ZAPQ, 0, 0);
    assert_eq!(story.event(abi::OP_IRQ, 8, 0, 0), stale, "after a reset");
    enable(&mut story, 1);
    assert_eq!(story.event(abi::OP_IRQ, 8, 1, 0), []);
}

#[test]
fn the_host_on_a_guests_queue() {
    let mut story = Story::default();
    story.insn(A, 0, 0, 0);
    assert_eq!(
        story.insn(0, abi::OP_DQAP, 0, 0).last(),
        Some(&Invariant::HostKeepsOff)
    );
    // and the other way: the guest gets what the host used
    let mut story = Story::default();
    assert_eq!(story.insn(0, abi::OP_NQAP, 1, 0), []);
    assert_eq!(story.insn(A, 0, 0, 0), [Invariant::HostKeepsOff]);
    // taken back as it should be
    story.event(abi::OP_DISCARD, 1, 0, 0);
    assert_eq!(story.insn(0, ZAPQ, 0, 0), []);
    story.event(abi::OP_RESET_DONE, 0, 1, 2);
    assert_eq!(story.insn(0, abi::OP_NQAP, 2, 1), []);
    assert_eq!(story.insn(0, 0, 0, 1), [], "administration");
}

#[test]
fn an_answer_outside_masks() {
    let auditor = &mut Auditor::default();
    let scene = Scene {
        machine: guest(0, ACCEL).matrix,
        guest: Some(guest(0, CCA).matrix),
    };
    let mut observe = |status, cc| {
        let record = AuditRecord {
            issuer: abi::ISSUER_SIE,
            apqn: ACCEL.to_qid(),
            status,
            cc,
            ..AuditRecord::default()
        };
        auditor.observe(&record, &scene).into_iter().next()
    };
    assert_eq!(observe(0x0001_0000, 3), None);
    assert_eq!(observe(0, 0xff), None, "a program interruption");
    assert_eq!(observe(0x0003_0000, 3), Some(Invariant::MasksHold));
    assert_eq!(observe(0x8000_0000, 0), Some(Invariant::MasksHold));
}

fn inject(m: &mut Machine, on: &str, act: &str) {
    let text = format!("[[fault]]\napqn = \"04.0047\"\non = \"{on}\"\nact = \"{act}\"");
    m.ap.inject(Topology::parse_faults(&text).unwrap()[0]);
}

fn context(m: &Machine, crycb: u32) -> Context {
    Context::guest(m.now, guest(crycb, ACCEL))
}

/// Runs a seed; it must violate this invariant, perhaps among others.
fn seeded(invariant: Invariant, seed: fn(&mut Machine)) {
    let mut m = machine();
    m.ap.set_stop_at_violation(true);
    seed(&mut m);
    let counts = m.ap.violations();
    assert!(
        counts[invariant as usize - 1] > 0,
        "{invariant:?}: {counts:?}"
    );
    let stop = m.effects().into_iter().find_map(|effect| match effect {
        Effect::Stop(apqn, seq) => Some((apqn, seq)),
        _ => None,
    });
    let (apqn, seq) = stop.expect("told to stop");
    assert_eq!(apqn, ACCEL);
    let mut history = m.ap.audit().since(seq);
    let offender = *history.next().unwrap();
    assert!(offender.flags & abi::AUDIT_VIOLATION != 0);
    let violation = history.next().unwrap();
    assert_eq!(
        (violation.op, violation.apqn),
        (abi::OP_VIOLATION, offender.apqn)
    );
    let told = m.ap.audit().since(0);
    let told = told.filter(|r| r.op == abi::OP_VIOLATION && r.tag == invariant as u64);
    assert_eq!(told.count() as u64, counts[invariant as usize - 1]);
}

#[test]
fn each_kind_seeded_through_the_model() {
    seeded(Invariant::ReplyToOwner, |m| {
        m.nqap_as(&context(m, A), ACCEL, 1, NONSENSE);
        m.wait(REPLY);
        m.dqap_as(&context(m, B), ACCEL).unwrap();
    });
    seeded(Invariant::ZapqBetweenOwners, |m| {
        m.nqap_as(&context(m, A), ACCEL, 1, NONSENSE);
        m.rapq(ACCEL);
        m.wait(RESET);
        m.nqap_as(&context(m, B), ACCEL, 1, NONSENSE);
    });
    seeded(Invariant::NothingSurvives, |m| {
        inject(m, "zapq", "keep");
        m.nqap(ACCEL, 1, NONSENSE);
        m.zapq(ACCEL);
    });
    seeded(Invariant::IndicatorIsCurrent, |m| {
        inject(m, "zapq", "keep");
        m.aqic(ACCEL, AqicControl::enable(6), 8);
        m.zapq(ACCEL);
        m.wait(RESET);
        m.nqap(ACCEL, 1, NONSENSE);
        m.wait(REPLY);
        m.ap.poll(m.now);
    });
    seeded(Invariant::HostKeepsOff, |m| {
        m.nqap_as(&context(m, A), ACCEL, 1, NONSENSE);
        m.nqap(ACCEL, 2, NONSENSE);
    });
    seeded(Invariant::MasksHold, |m| {
        inject(m, "tapq", "expose");
        let ctx = Context::guest(m.now, guest(A, CCA));
        let gr0 = PqapGr0::new(FunctionCode::Tapq, ACCEL).0;
        m.ap.pqap(&ctx, gr0, 0, 0).unwrap();
    });
}

/// Hardware that fails breaks no isolation; nor does a proper change of
/// owners, with interrupts.
#[test]
fn nothing_to_object_to() {
    for act in ["drop", "duplicate", "reorder", "wrong-psmid", "checkstop"] {
        let mut m = machine();
        inject(&mut m, "reply", act);
        for owner in [A, B, 0, A] {
            for psmid in 1..=3 {
                let ctx = match owner {
                    0 => m.host(),
                    _ => context(&m, owner),
                };
                m.nqap_as(&ctx, ACCEL, psmid, NONSENSE);
                m.wait(REPLY);
                let ctx = Context { now: m.now, ..ctx };
                while m.dqap_as(&ctx, ACCEL).is_ok() {}
            }
            m.nqap(ACCEL2, 1, NONSENSE);
            m.ap.set_checkstop(m.now, ACCEL.apid, false).unwrap();
            assert_eq!(m.zapq(ACCEL).code(), ResponseCode::NORMAL);
            m.wait(RESET);
            m.aqic(ACCEL, AqicControl::enable(6), 8);
        }
        m.ap.reset(m.now, ResetKind::PowerOn);
        assert_eq!(m.ap.violations(), [0; INVARIANTS], "{act}");
    }
}

/// Replies in parts, resets, another owner after a plug: all in order.
#[test]
fn plugging_ends_ownership() {
    let mut m = machine();
    m.nqap_as(&context(&m, A), ACCEL, 1, NONSENSE);
    m.ap.remove_adapter(m.now, ACCEL.apid).unwrap();
    m.ap.add_adapter(m.now, AdapterSpec::new(ACCEL.apid, Mode::Accelerator))
        .unwrap();
    m.nqap_as(&context(&m, B), ACCEL, 1, NONSENSE);
    m.wait(REPLY);
    let (ctx, gr0) = (context(&m, B), DqapGr0::first_part(ACCEL).0);
    m.ap.poll(m.now);
    let done = m.ap.dqap(&ctx, gr0, 3).unwrap();
    assert_eq!(done.cc, 1);
    m.dqap_as(&ctx, ACCEL).unwrap();
    assert_eq!(m.ap.violations(), [0; INVARIANTS]);
}

#[cfg(feature = "mutants")]
#[test]
fn a_mutant_is_caught() {
    let mut m = machine();
    m.ap.set_mutant(Some(Mutant::ZapqKeepsReply));
    m.nqap(ACCEL, 1, NONSENSE);
    m.wait(REPLY);
    m.zapq(ACCEL);
    m.wait(RESET);
    m.dqap(ACCEL).unwrap();
    assert_eq!(m.ap.violations(), [0, 0, 1, 0, 0, 0]);
}
