// SPDX-License-Identifier: MIT OR Apache-2.0
//! Every kind of fault, as a topology file or a command scripts it.

mod common;

use std::time::Duration;

use ap_arch::*;
use ap_device::topology::Topology;
use ap_device::*;
use common::*;

/// Injects one fault on the accelerator's queue.
fn inject(m: &mut Machine, on: &str, rest: &str) -> FaultId {
    let text = format!("[[fault]]\napqn = \"04.0047\"\non = \"{on}\"\n{rest}");
    let faults = Topology::parse_faults(&text).unwrap();
    m.ap.inject(faults[0])
}

fn send(m: &mut Machine, psmids: std::ops::RangeInclusive<u64>) {
    for psmid in psmids {
        assert_eq!(m.nqap(ACCEL, psmid, NONSENSE).code(), ResponseCode::NORMAL);
    }
    m.wait(REPLY);
}

/// The PSMIDs of all replies that are there.
fn receive(m: &mut Machine) -> Vec<u64> {
    std::iter::from_fn(|| m.dqap(ACCEL).ok().map(|(psmid, _)| psmid)).collect()
}

#[test]
fn an_asynchronous_error_until_a_reset() {
    for on in ["tapq", "aqic", "nqap", "dqap", "reply"] {
        let mut m = machine();
        send(&mut m, 1..=1);
        m.ap.poll(m.now);
        inject(&mut m, on, "act = \"async\"\nrc = 0x34\ntimes = 1");
        let struck = match on {
            "tapq" => m.tapq(ACCEL),
            "aqic" => m.aqic(ACCEL, AqicControl::enable(6), 8),
            "nqap" => m.nqap(ACCEL, 2, NONSENSE),
            "dqap" => m.dqap(ACCEL).unwrap_err(),
            _ => {
                send(&mut m, 2..=2);
                m.tapq(ACCEL)
            }
        };
        for status in [struck, m.tapq(ACCEL), m.nqap(ACCEL, 3, NONSENSE)] {
            assert_eq!(status.code(), ResponseCode(0x34), "{on}");
            assert!(status.is_async() && !status.is_empty(), "{on}");
        }
        m.wait(Duration::from_secs(1));
        assert_eq!(m.dqap(ACCEL).unwrap_err().code(), ResponseCode(0x34));
        assert_eq!(m.tapq(ACCEL2).code(), ResponseCode::NORMAL);
        assert_eq!(m.rapq(ACCEL).code(), ResponseCode::NORMAL);
        m.wait(RESET);
        let after = m.tapq(ACCEL);
        assert!(after.is_empty() && !after.is_async(), "{on}");
        send(&mut m, 4..=4);
        assert_eq!(receive(&mut m), [4]);
    }
}

#[test]
fn a_stuck_reset_until_the_fault_is_cleared() {
    let mut m = machine();
    for on in ["rapq", "zapq"] {
        let id = inject(&mut m, on, "act = \"stuck\"\ntimes = 1");
        let accepted = match on {
            "rapq" => m.rapq(ACCEL),
            _ => m.zapq(ACCEL),
        };
        assert_eq!(accepted.code(), ResponseCode::NORMAL);
        m.wait(Duration::from_secs(3600));
        assert_eq!(m.zapq(ACCEL).code(), ResponseCode::RESET_IN_PROGRESS);
        assert_eq!(m.ap.next_deadline(), None);
        m.ap.clear_faults(Some(FaultId(id.0 + 1)));
        assert_eq!(m.tapq(ACCEL).code(), ResponseCode::RESET_IN_PROGRESS);
        m.ap.clear_faults(Some(id));
        assert_eq!(m.tapq(ACCEL).code(), ResponseCode::NORMAL);
        m.zapq(ACCEL);
        m.wait(RESET);
        assert_eq!(m.tapq(ACCEL).code(), ResponseCode::NORMAL, "only once");
    }
    inject(&mut m, "zapq", "act = \"stuck\"");
    m.zapq(ACCEL);
    m.ap.reset(m.now, ResetKind::Subsystem);
    assert_eq!(m.tapq(ACCEL).code(), ResponseCode::NORMAL);
}

#[test]
fn a_reset_that_keeps() {
    let mut m = machine();
    m.aqic(ACCEL, AqicControl::enable(6), 8);
    send(&mut m, 1..=1);
    inject(&mut m, "zapq", "act = \"keep\"\ntimes = 1");
    m.zapq(ACCEL);
    m.wait(RESET);
    assert!(m.tapq(ACCEL).irq_enabled());
    assert_eq!(receive(&mut m), [1]);
}

#[test]
fn a_dropped_reply() {
    let mut m = machine();
    inject(&mut m, "reply", "act = \"drop\"\nafter = 1\ntimes = 1");
    send(&mut m, 1..=3);
    assert_eq!(receive(&mut m), [1, 3]);
    assert!(m.tapq(ACCEL).is_empty(), "which makes Linux send it again");
}

#[test]
fn a_duplicate_reply() {
    let mut m = machine();
    inject(&mut m, "reply", "act = \"duplicate\"");
    send(&mut m, 1..=8);
    assert_eq!(m.nqap(ACCEL, 9, NONSENSE).code(), ResponseCode::QUEUE_FULL);
    let twice: Vec<u64> = (1..=8).flat_map(|psmid| [psmid; 2]).collect();
    assert_eq!(receive(&mut m), twice);
}

#[test]
fn reordered_replies() {
    let mut m = machine();
    inject(&mut m, "reply", "act = \"reorder\"\ntimes = 1");
    send(&mut m, 1..=1);
    assert_eq!(receive(&mut m), [1], "nothing to change places with");
    send(&mut m, 1..=3);
    assert_eq!(receive(&mut m), [2, 1, 3]);
    inject(&mut m, "reply", "act = \"reorder\"");
    send(&mut m, 1..=5);
    assert_eq!(receive(&mut m), [2, 1, 4, 3, 5]);
}

#[test]
fn a_wrong_psmid() {
    let mut m = machine();
    inject(&mut m, "reply", "act = \"wrong-psmid\"\ntimes = 1");
    send(&mut m, 1..=2);
    assert_eq!(receive(&mut m), [!1, 2]);
}

#[test]
fn bad_lengths() {
    let mut m = machine();
    for length in [1, 7, 9, 65536] {
        let text = format!("act = \"bad-length\"\nlength = {length}\ntimes = 1");
        inject(&mut m, "reply", &text);
        let reply = m.ask(ACCEL, NONSENSE);
        assert_eq!(reply.len(), length);
        assert!(reply.iter().skip(8).all(|&b| b == 0));
    }
    assert_eq!(m.ask(ACCEL, NONSENSE).len(), 8);
}

#[test]
fn a_lost_interrupt() {
    let mut m = machine();
    m.aqic(ACCEL, AqicControl::enable(6), 8);
    inject(&mut m, "irq", "act = \"drop\"\ntimes = 1");
    send(&mut m, 1..=1);
    assert!(m.effects().is_empty());
    assert_eq!(receive(&mut m), [1], "the reply is there");
    send(&mut m, 2..=2);
    assert_eq!(m.effects().len(), 1);
}

#[test]
fn a_late_interrupt() {
    let mut m = machine();
    m.aqic(ACCEL, AqicControl::enable(6), 8);
    inject(&mut m, "irq", "delay-ms = 3\ntimes = 1");
    send(&mut m, 1..=1);
    assert!(m.effects().is_empty());
    assert!(m.tapq(ACCEL).has_reply());
    m.wait(Duration::from_millis(3));
    assert_eq!(m.effects().len(), 1);
    // and never after a reset
    inject(&mut m, "irq", "delay-ms = 3\ntimes = 1");
    send(&mut m, 2..=2);
    m.rapq(ACCEL);
    m.wait(Duration::from_secs(1));
    assert!(m.effects().is_empty());
}

#[test]
fn a_checkstop_after_some() {
    for on in ["tapq", "rapq", "zapq", "aqic", "nqap", "dqap", "reply"] {
        let mut m = machine();
        send(&mut m, 1..=4);
        m.ap.poll(m.now);
        inject(&mut m, on, "act = \"checkstop\"\nafter = 2\ntimes = 1");
        for round in 0..3 {
            let status = match on {
                "tapq" => m.tapq(ACCEL),
                "rapq" | "zapq" => {
                    let function = match on {
                        "rapq" => FunctionCode::Rapq,
                        _ => FunctionCode::Zapq,
                    };
                    let status = status(m.call(function, ACCEL));
                    m.wait(RESET);
                    status
                }
                "aqic" => {
                    let control = match round {
                        1 => AqicControl::disable(),
                        _ => AqicControl::enable(6),
                    };
                    m.aqic(ACCEL, control, 8)
                }
                "nqap" => m.nqap(ACCEL, 9, NONSENSE),
                "dqap" => m.dqap(ACCEL).err().unwrap_or_default(),
                _ => {
                    m.nqap(ACCEL, 9, NONSENSE);
                    m.wait(REPLY);
                    m.tapq(ACCEL)
                }
            };
            let expect = match round {
                2 => ResponseCode::CHECKSTOPPED,
                _ => ResponseCode::NORMAL,
            };
            assert_eq!(status.code(), expect, "{on}, round {round}");
        }
        assert_eq!(m.effects(), [Effect::ConfigChanged], "{on}");
        assert_eq!(m.tapq(ACCEL2).code(), ResponseCode::CHECKSTOPPED);
        m.ap.set_checkstop(m.now, ACCEL.apid, false).unwrap();
        assert!(m.tapq(ACCEL).is_empty(), "contents died");
    }
}

/// An indication that nobody has fetched dies with the interrupts: the reply
/// becomes due in the very call that turns them off.
#[test]
fn no_interrupt_after_they_are_off() {
    let off: [fn(&mut Machine); 5] = [
        |m| assert!(m.rapq(ACCEL).code().0 == 0),
        |m| assert!(m.zapq(ACCEL).code().0 == 0),
        |m| assert!(m.aqic(ACCEL, AqicControl::disable(), 0).code().0 == 0),
        |m| m.ap.reset(m.now, ResetKind::Subsystem),
        |m| assert!(m.ap.set_domains(m.now, Aqm::EMPTY, Adm::EMPTY).is_ok()),
    ];
    for turn_off in off {
        let mut m = machine();
        m.aqic(ACCEL, AqicControl::enable(6), 8);
        m.aqic(ACCEL2, AqicControl::enable(6), 8);
        m.nqap(ACCEL, 1, NONSENSE);
        m.wait(REPLY);
        turn_off(&mut m);
        let about_it = |effect: &Effect| matches!(effect, Effect::Indicate(..));
        assert!(!m.effects().iter().any(about_it));
    }
}

/// A peek lets nothing pass and nothing happen.
#[test]
fn peeking_counts_nothing() {
    let mut m = machine();
    inject(&mut m, "nqap", "act = \"checkstop\"\nafter = 1\ntimes = 1");
    let (ctx, gr0) = (m.host(), NqapGr0::last_part(ACCEL).0);
    for _ in 0..3 {
        assert_eq!(m.ap.nqap_want(&ctx, gr0, 40), 40);
    }
    assert_eq!(m.nqap(ACCEL, 1, NONSENSE).code(), ResponseCode::NORMAL);
    for _ in 0..3 {
        assert_eq!(m.ap.nqap_want(&ctx, gr0, 40), 0);
    }
    assert_eq!(m.tapq(ACCEL).code(), ResponseCode::NORMAL);
    assert_eq!(
        m.nqap(ACCEL, 1, NONSENSE).code(),
        ResponseCode::CHECKSTOPPED
    );
}

#[test]
fn a_queue_exposed() {
    let mut m = machine();
    let ctx = Context::guest(m.now, guest(0x1000, CCA));
    let gr0 = PqapGr0::new(FunctionCode::Tapq, ACCEL).0;
    let code = |m: &mut Machine| status(m.ap.pqap(&ctx, gr0, 0, 0).unwrap()).code();
    let id = inject(&mut m, "tapq", "act = \"expose\"");
    assert_eq!(code(&mut m), ResponseCode::NORMAL);
    m.ap.clear_faults(Some(id));
    assert_eq!(code(&mut m), ResponseCode::NOT_AVAILABLE);
}

#[test]
fn a_card_that_lies_about_a_mask() {
    let masks = |m: &mut Machine, ctx: &Context| {
        let gr0 = PqapGr0::new(FunctionCode::Qci, Apqn::default()).0;
        let done = m.ap.pqap(ctx, gr0, 7, 0).unwrap();
        assert_eq!((done.cc, done.gr1), (0, None));
        Qci::from_bytes(&done.block.unwrap()).matrix
    };
    let mut m = machine();
    let host = m.host();
    let guest = Context::guest(m.now, guest(0x9000, ACCEL));
    let truth = [m.ap.matrix(), guest.effective(m.ap.matrix())];
    let lie = |m: &mut Machine, rest: &str| {
        let text = format!("[[fault]]\non = \"qci\"\nact = \"lie\"\n{rest}");
        m.ap.inject(Topology::parse_faults(&text).unwrap()[0])
    };

    let id = lie(&mut m, "apid = 4\nto = \"guest\"");
    assert_eq!(masks(&mut m, &host), truth[0]);
    let told = masks(&mut m, &guest);
    assert!(told.apm.is_empty());
    assert_eq!((told.aqm, told.adm), (truth[1].aqm, truth[1].adm));
    m.ap.clear_faults(Some(id));
    assert_eq!(masks(&mut m, &guest), truth[1]);

    lie(&mut m, "control-domain = 9\nafter = 1\ntimes = 1");
    assert_eq!(masks(&mut m, &host), truth[0]);
    assert!(masks(&mut m, &guest).adm.test(Apqi::new(9)));
    assert_eq!(masks(&mut m, &host), truth[0]);

    lie(&mut m, "domain = 6\nto = \"host\"");
    assert!(!masks(&mut m, &host).aqm.test(Apqi::new(6)));
    assert_eq!(m.tapq(ACCEL2).code(), ResponseCode::NORMAL, "it is there");
    let last = m.ap.audit().since(0).filter(|r| r.op == 4).last().unwrap();
    assert_ne!(last.flags & abi::AUDIT_INJECTED, 0);
}

#[test]
fn a_fault_of_a_whole_domain() {
    let mut m = machine();
    let text = "[[fault]]\ndomain = 6\non = \"tapq\"\nrc = 5";
    m.ap.inject(Topology::parse_faults(text).unwrap()[0]);
    assert_eq!(m.tapq(ACCEL2).code(), ResponseCode::BUSY);
    assert_eq!(m.tapq(ACCEL).code(), ResponseCode::NORMAL);
}
