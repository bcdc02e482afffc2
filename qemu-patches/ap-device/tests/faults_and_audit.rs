// SPDX-License-Identifier: MIT OR Apache-2.0
//! Scripted faults, and the log of what was done by whom.

mod common;

use std::time::Duration;

use ap_arch::*;
use ap_device::abi::{self, AuditRecord};
use ap_device::*;
use common::*;

fn fault(on: Trigger) -> Fault {
    Fault {
        scope: Scope::Queue(ACCEL),
        on,
        act: None,
        after: 0,
        times: None,
        delay: None,
    }
}

fn log(m: &Machine, since: u64) -> Vec<AuditRecord> {
    m.ap.audit().since(since).copied().collect()
}

fn ops(m: &Machine, since: u64) -> Vec<u8> {
    log(m, since).iter().map(|r| r.op).collect()
}

#[test]
fn a_code_n_times() {
    let mut m = machine();
    let busy = Fault {
        act: Some(Act::Code(5)),
        times: Some(2),
        ..fault(Trigger::Tapq)
    };
    m.ap.inject(busy);
    let codes: Vec<u8> = (0..4).map(|_| m.tapq(ACCEL).code().0).collect();
    assert_eq!(codes, [5, 5, 0, 0]);
    assert_eq!(m.tapq(ACCEL2).code(), ResponseCode::NORMAL);
    assert_eq!(m.ap.clear_faults(None), 0, "spent faults are gone");
}

#[test]
fn a_code_for_each_instruction() {
    for on in [
        Trigger::Tapq,
        Trigger::Rapq,
        Trigger::Zapq,
        Trigger::Aqic,
        Trigger::Nqap,
        Trigger::Dqap,
    ] {
        let mut m = machine();
        m.nqap(ACCEL, 1, NONSENSE);
        m.wait(REPLY);
        let id = m.ap.inject(Fault {
            act: Some(Act::Code(0x33)),
            ..fault(on)
        });
        for _ in 0..3 {
            let code = match on {
                Trigger::Tapq => m.tapq(ACCEL).code(),
                Trigger::Rapq => m.rapq(ACCEL).code(),
                Trigger::Zapq => m.zapq(ACCEL).code(),
                Trigger::Aqic => m.aqic(ACCEL, AqicControl::enable(6), 8).code(),
                Trigger::Nqap => m.nqap(ACCEL, 2, NONSENSE).code(),
                _ => m.dqap(ACCEL).unwrap_err().code(),
            };
            assert_eq!(code, ResponseCode(0x33), "{on:?}");
        }
        assert_eq!(m.ap.clear_faults(Some(id)), 1);
        let status = m.tapq(ACCEL);
        assert_eq!(
            status.code(),
            ResponseCode::NORMAL,
            "nothing was done: {on:?}"
        );
        assert!(status.has_reply() && !status.irq_enabled());
        assert_eq!(m.dqap(ACCEL).unwrap().0, 1);
    }
}

/// The entry of the topology grammar's example: refuse three times, and be
/// slow after.
#[test]
fn a_code_and_a_delay() {
    let mut m = machine();
    let slow = Duration::from_secs(5);
    m.ap.inject(Fault {
        act: Some(Act::Code(2)),
        times: Some(3),
        delay: Some(slow),
        ..fault(Trigger::Zapq)
    });
    let codes: Vec<u8> = (0..3).map(|_| m.zapq(ACCEL).code().0).collect();
    assert_eq!(codes, [2, 2, 2]);
    for _ in 0..2 {
        assert_eq!(m.zapq(ACCEL).code(), ResponseCode::NORMAL);
        m.wait(slow - Duration::from_nanos(1));
        assert_eq!(m.tapq(ACCEL).code(), ResponseCode::RESET_IN_PROGRESS);
        m.wait(Duration::from_nanos(1));
        assert_eq!(m.tapq(ACCEL).code(), ResponseCode::NORMAL);
    }
    // RAPQ is another trigger
    m.rapq(ACCEL);
    m.wait(RESET);
    assert_eq!(m.tapq(ACCEL).code(), ResponseCode::NORMAL);
}

#[test]
fn delays() {
    let mut m = machine();
    let slow = Duration::from_millis(70);
    m.ap.inject(Fault {
        times: Some(1),
        delay: Some(slow),
        ..fault(Trigger::Reply)
    });
    m.nqap(ACCEL, 1, NONSENSE);
    m.nqap(ACCEL, 2, NONSENSE);
    m.wait(slow - Duration::from_nanos(1));
    assert!(!m.tapq(ACCEL).has_reply(), "the second does not overtake");
    m.wait(Duration::from_nanos(1));
    assert_eq!(m.dqap(ACCEL).unwrap().0, 1);
    assert_eq!(m.dqap(ACCEL).unwrap().0, 2);
    m.nqap(ACCEL, 3, NONSENSE);
    m.wait(REPLY);
    assert_eq!(m.dqap(ACCEL).unwrap().0, 3, "only once");

    m.ap.inject(Fault {
        times: Some(1),
        delay: Some(slow),
        ..fault(Trigger::Aqic)
    });
    m.aqic(ACCEL, AqicControl::enable(6), 8);
    assert!(!m.tapq(ACCEL).irq_enabled());
    let again = m.aqic(ACCEL, AqicControl::enable(6), 8).code();
    assert_eq!(again, ResponseCode::OTHERWISE_CHANGED);
    m.wait(slow);
    assert!(m.tapq(ACCEL).irq_enabled());
}

#[test]
fn error_replies_on_command() {
    let mut m = machine();
    m.ap.inject(Fault {
        act: Some(Act::Code(0x8a)),
        times: Some(1),
        ..fault(Trigger::Reply)
    });
    assert_eq!(m.ask(ACCEL, NONSENSE), [0, 0x82, 0, 0, 0x8a, 0, 0, 0]);
    assert_eq!(m.ask(ACCEL, NONSENSE)[4], 0x20);
}

#[test]
fn a_fault_of_an_adapter() {
    let mut m = machine();
    let scope = Scope::Adapter(ACCEL.apid);
    m.ap.inject(Fault {
        scope,
        act: Some(Act::Code(5)),
        times: Some(2),
        ..fault(Trigger::Tapq)
    });
    assert_eq!(m.tapq(ACCEL2).code(), ResponseCode::BUSY);
    assert_eq!(m.tapq(CCA).code(), ResponseCode::NORMAL);
    assert_eq!(m.tapq(ACCEL).code(), ResponseCode::BUSY);
    assert_eq!(m.tapq(ACCEL).code(), ResponseCode::NORMAL);
}

/// Masks hold, whatever is scripted.
#[test]
fn a_fault_does_not_show_through_masks() {
    let mut m = machine();
    m.ap.inject(Fault {
        act: Some(Act::Code(5)),
        ..fault(Trigger::Tapq)
    });
    let ctx = Context::guest(m.now, guest(0x1000, CCA));
    let done =
        m.ap.pqap(&ctx, PqapGr0::new(FunctionCode::Tapq, ACCEL).0, 0, 0)
            .unwrap();
    assert_eq!(status(done).code(), ResponseCode::NOT_AVAILABLE);
}

/// A peek spends nothing: the instruction may yet be interrupted.
#[test]
fn peeking_spends_no_fault() {
    let mut m = machine();
    m.nqap(ACCEL, 1, NONSENSE);
    m.wait(REPLY);
    m.ap.inject(Fault {
        act: Some(Act::Code(5)),
        times: Some(1),
        ..fault(Trigger::Dqap)
    });
    let (ctx, gr0) = (m.host(), DqapGr0::first_part(ACCEL).0);
    for _ in 0..3 {
        assert!(m.ap.dqap_peek(&ctx, gr0, 100).is_empty());
    }
    assert_eq!(m.dqap(ACCEL).unwrap_err().code(), ResponseCode::BUSY);
    assert_eq!(m.dqap(ACCEL).unwrap().0, 1);
}

#[test]
fn one_request_in_the_log() {
    let mut m = machine();
    let mark = m.ap.mark(m.now, 0xabc);
    let ctx = Context::guest(m.now, guest(0x1000, ACCEL));
    m.nqap_as(&ctx, ACCEL, 0x77, NONSENSE);
    m.wait(REPLY);
    let ctx = Context::guest(m.now, guest(0x1000, ACCEL));
    m.dqap_as(&ctx, ACCEL).unwrap();
    let log = log(&m, mark);
    let [mark, nqap, reply, dqap] = log.try_into().unwrap();
    assert_eq!((mark.op, mark.tag), (abi::OP_MARK, 0xabc));
    assert_eq!(
        [nqap.op, reply.op, dqap.op],
        [abi::OP_NQAP, abi::OP_REPLY, abi::OP_DQAP]
    );
    assert_eq!([nqap.psmid, reply.psmid, dqap.psmid], [0x77; 3]);
    assert!(nqap.tag != 0 && nqap.tag == reply.tag && reply.tag == dqap.tag);
    assert_eq!([nqap.apqn, reply.apqn, dqap.apqn], [ACCEL.to_qid(); 3]);
    assert_eq!((nqap.length, reply.length, dqap.length), (40, 8, 8));
    for insn in [nqap, dqap] {
        assert_eq!((insn.issuer, insn.sd), (abi::ISSUER_SIE, 0x8000));
        assert_eq!((insn.crycbd, insn.cc), (0x1003, 0));
    }
    assert_eq!((reply.issuer, reply.crycbd), (abi::ISSUER_MACHINE, 0x1000));
    assert_eq!((nqap.ns, reply.ns), (0, 50_000));
}

#[test]
fn every_instruction_and_event_is_logged() {
    let mut m = machine();
    let start = m.ap.audit().next_seq();
    m.nqap(ACCEL, 1, NONSENSE);
    m.wait(REPLY);
    m.nqap(ACCEL, 2, NONSENSE);
    m.zapq(ACCEL);
    m.wait(RESET);
    m.aqic(ACCEL, AqicControl::enable(6), 8);
    m.nqap(ACCEL, 3, NONSENSE);
    m.wait(REPLY);
    m.tapq(ACCEL);
    m.ap.set_config(m.now, ACCEL.apid, false).unwrap();
    m.ap.reset(m.now, ResetKind::Subsystem);
    let expect = [
        abi::OP_NQAP,
        abi::OP_REPLY,
        abi::OP_NQAP,
        abi::OP_DISCARD,
        abi::OP_DISCARD,
        2,
        abi::OP_RESET_DONE,
        3,
        abi::OP_NQAP,
        abi::OP_REPLY,
        abi::OP_IRQ,
        0,
        abi::OP_DISCARD,
        abi::OP_CONFIG,
        abi::OP_RESET_DONE,
    ];
    assert_eq!(ops(&m, start), expect);
    let log = log(&m, start);
    assert!(log.iter().zip(start..).all(|(r, seq)| r.seq == seq));
    assert_eq!(
        [log[0].epoch, log[6].epoch, log[8].epoch, log[14].epoch],
        [0, 1, 1, 2]
    );
    assert_eq!((log[6].length, log[14].length), (2, 3));
}

#[test]
fn flags_and_exceptions_in_the_log() {
    let mut m = machine();
    let start = m.ap.audit().next_seq();
    m.ap.inject(Fault {
        act: Some(Act::Code(5)),
        times: Some(1),
        ..fault(Trigger::Tapq)
    });
    m.pqap(PqapGr0::new(FunctionCode::Tapq, ACCEL).with_t(), 0, 0)
        .unwrap();
    m.pqap(PqapGr0::new(FunctionCode::Rapq, ACCEL).with_f(), 0, 0)
        .unwrap();
    m.pqap(PqapGr0(0xff00_0000), 0, 0).unwrap_err();
    let ctx = m.host();
    let part = NqapGr0::leading_part(CCA).with_special().0;
    m.ap.nqap(&ctx, part, Psmid(1), 1, &[6]).unwrap();
    let [injected, tapq, rapq, bad, nqap] = log(&m, start).try_into().unwrap();
    assert_eq!((injected.op, injected.tag), (abi::OP_FAULT, 1));
    assert_eq!(tapq.flags, abi::AUDIT_T | abi::AUDIT_INJECTED);
    assert_eq!(tapq.status, 0x8005_0000);
    assert_eq!(rapq.flags, abi::AUDIT_F);
    assert_eq!((bad.op, bad.cc), (abi::OP_UNKNOWN, 0xff));
    assert_eq!(nqap.flags, abi::AUDIT_PARTIAL | abi::AUDIT_SPECIAL);
    assert_eq!(nqap.cc, 1);
}

#[test]
fn the_ring_tells_what_it_lost() {
    let mut m = machine();
    for _ in 0..70_000 {
        m.tapq(ACCEL);
    }
    let audit = m.ap.audit();
    assert_eq!(audit.next_seq() - audit.first_seq(), 65536);
    assert_eq!(audit.since(0).count(), 65536);
    let last = audit.next_seq() - 1;
    assert_eq!(audit.since(last).map(|r| r.seq).collect::<Vec<_>>(), [last]);
    assert_eq!(audit.since(u64::MAX).count(), 0);
}
