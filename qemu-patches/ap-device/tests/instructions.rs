// SPDX-License-Identifier: MIT OR Apache-2.0
//! PQAP, NQAP, DQAP: exceptions, response codes, registers.

mod common;

use ap_arch::*;
use ap_device::*;
use common::*;

const SPEC: Outcome = Err(Program::Specification);

fn gr0(function: FunctionCode) -> PqapGr0 {
    PqapGr0::new(function, ACCEL)
}

#[test]
fn pqap_specification() {
    let mut m = machine();
    for code in 9..=255u64 {
        assert_eq!(m.pqap(PqapGr0(code << 24), 0, 0), SPEC, "function {code}");
    }
    for function in [FunctionCode::Qbap, FunctionCode::Bapq, FunctionCode::Aapq] {
        assert_eq!(m.pqap(gr0(function), 0, 0), SPEC, "{function:?}");
    }
    for code in 0..6 {
        let function = FunctionCode::from_code(code).unwrap();
        for bit in 42..48 {
            let gr0 = PqapGr0(gr0(function).0 | 1 << (63 - bit));
            assert_eq!(m.pqap(gr0, 0, 0), SPEC, "{function:?} bit {bit}");
        }
        let takes_f = matches!(
            function,
            FunctionCode::Rapq | FunctionCode::Zapq | FunctionCode::Qact
        );
        let outcome = m.pqap(gr0(function).with_f(), 0, 0);
        assert_eq!(outcome != SPEC, takes_f, "{function:?} bit 41");
    }
    // bits 0-31 and 63 above do not matter
    assert!(
        m.pqap(PqapGr0(gr0(FunctionCode::Tapq).0 | !0 << 32), 0, 0)
            .is_ok()
    );
    for gr2 in 1..8 {
        assert_eq!(m.pqap(gr0(FunctionCode::Qci), 0, gr2), SPEC);
    }
}

#[test]
fn pqap_facilities() {
    let mut m = machine();
    let mut bare = m.host();
    bare.facilities = Facilities::default();
    let tapq = gr0(FunctionCode::Tapq);
    assert!(m.ap.pqap(&bare, tapq.0, 0, 0).is_ok());
    assert_eq!(m.ap.pqap(&bare, tapq.with_t().0, 0, 0), SPEC);
    assert_eq!(m.ap.pqap(&bare, gr0(FunctionCode::Qci).0, 0, 0), SPEC);
    assert_eq!(m.ap.pqap(&bare, gr0(FunctionCode::Aqic).0, 0, 0), SPEC);
}

#[test]
fn without_apxa_high_ids_are_no_ids() {
    let mut m = machine();
    for format in [
        CrycbFormat::Format0,
        CrycbFormat::Format1,
        CrycbFormat::Format2,
    ] {
        let apxa = format == CrycbFormat::Format2;
        let crycbd = Crycbd::new(0x1000, format);
        let guest = Guest {
            crycbd,
            ..guest(0, ACCEL)
        };
        let ctx = Context::guest(m.now, guest);
        for (apid, apqi, fits) in [(63, 15, true), (64, 0, false), (0, 16, false)] {
            let apqn = Apqn::new(Apid::new(apid), Apqi::new(apqi));
            let tapq =
                m.ap.pqap(&ctx, PqapGr0::new(FunctionCode::Tapq, apqn).0, 0, 0);
            assert_eq!(tapq != SPEC, fits || apxa, "{format:?} {apqn}");
            let nqap =
                m.ap.nqap(&ctx, NqapGr0::last_part(apqn).0, Psmid(0), 1, &[]);
            assert_eq!(nqap != SPEC, fits || apxa, "{format:?} {apqn}");
            let dqap = m.ap.dqap(&ctx, DqapGr0::first_part(apqn).0, 1);
            assert_eq!(dqap != SPEC, fits || apxa, "{format:?} {apqn}");
        }
        let qci = m.ap.pqap(
            &ctx,
            PqapGr0::new(FunctionCode::Qci, Apqn::default()).0,
            0,
            0,
        );
        let qci = Qci::from_bytes(&qci.unwrap().block.unwrap());
        assert_eq!(qci.flags.contains(QciFlags::APXA), apxa);
        assert_eq!((qci.na, qci.nd), if apxa { (255, 255) } else { (63, 15) });
    }
}

/// The cases of the kvm-unit-tests for AP.
#[test]
fn message_specification() {
    let mut m = machine();
    let ctx = m.host();
    for (bits, nqap) in [
        (&[32, 34, 35, 40][..], true),
        (&[33, 34, 35, 40, 41], false),
    ] {
        for bit in bits {
            let gr0 = 1u64 << (63 - bit);
            let outcome = match nqap {
                true => m.ap.nqap(&ctx, gr0, Psmid(0), 128, &[0; 128]),
                false => m.ap.dqap(&ctx, gr0, 128),
            };
            assert_eq!(outcome, SPEC, "nqap {nqap} bit {bit}");
        }
    }
    assert_eq!(m.ap.nqap(&ctx, 0, Psmid(0), 0, &[]), SPEC);
    assert_eq!(m.ap.dqap(&ctx, 0, 0), SPEC);
    assert_eq!(m.ap.nqap_want(&ctx, 0, 0), 0);
    assert!(m.ap.dqap_peek(&ctx, 1 << 30, 128).is_empty());
}

#[test]
fn absent_queues_say_only_that() {
    let mut m = machine();
    let absent = QueueStatus::of(ResponseCode::NOT_AVAILABLE);
    let functions = [
        FunctionCode::Tapq,
        FunctionCode::Rapq,
        FunctionCode::Zapq,
        FunctionCode::Aqic,
        FunctionCode::Qact,
    ];
    let outside = Context::guest(m.now, guest(0x1000, CCA));
    m.nqap(ACCEL, 1, NONSENSE);
    m.wait(REPLY);
    for (ctx, apqn) in [(m.host(), ABSENT), (outside, ACCEL)] {
        for function in functions {
            let done =
                m.ap.pqap(&ctx, PqapGr0::new(function, apqn).0, 0, 0)
                    .unwrap();
            assert_eq!(status(done), absent, "{function:?}");
            assert_eq!(done.gr2.unwrap_or(0), 0);
        }
        assert_eq!(status(m.nqap_as(&ctx, apqn, 0, NONSENSE)), absent);
        assert_eq!(m.dqap_as(&ctx, apqn), Err(absent));
    }
    assert!(m.tapq(ACCEL).has_reply(), "untouched");
}

#[test]
fn a_guest_sees_what_its_masks_and_the_machine_have() {
    let mut m = machine();
    let mut wide = guest(0x1000, ACCEL);
    wide.matrix.apm.set(ABSENT.apid);
    let ctx = Context::guest(m.now, wide);
    let done =
        m.ap.pqap(&ctx, PqapGr0::new(FunctionCode::Qci, ABSENT).0, 0, 0);
    let qci = Qci::from_bytes(&done.unwrap().block.unwrap());
    assert_eq!(qci.matrix, guest(0, ACCEL).matrix);
    assert_eq!(
        status(m.nqap_as(&ctx, ACCEL, 9, NONSENSE)).code(),
        ResponseCode::NORMAL
    );
    // a designation without a meaning gives nothing
    let bad = Guest {
        crycbd: Crycbd(0x1002),
        ..wide
    };
    let ctx = Context::guest(m.now, bad);
    let done = m.ap.pqap(
        &ctx,
        PqapGr0::new(FunctionCode::Qci, Apqn::default()).0,
        0,
        0,
    );
    assert_eq!(
        Qci::from_bytes(&done.unwrap().block.unwrap()).matrix,
        Matrix::EMPTY
    );
}

#[test]
fn tapq_without_t_hides_functions() {
    let mut m = machine();
    let info = TapqInfo(m.call(FunctionCode::Tapq, CCA).gr2.unwrap());
    assert_eq!(info.functions(), ApFunctions(0));
    assert_eq!((info.device_type(), info.depth(), info.ml()), (14, 8, 3));
}

#[test]
fn resets() {
    let mut m = machine();
    for function in [FunctionCode::Rapq, FunctionCode::Zapq] {
        let done = m.call(function, ACCEL);
        assert_eq!((done.gr0, done.gr2), (None, None), "GR2 is preserved");
        assert_eq!(status(done), QueueStatus(0));
        let running = ResponseCode::RESET_IN_PROGRESS;
        m.wait(RESET / 2);
        // a further reset is refused and does not prolong the first
        assert_eq!(m.rapq(ACCEL).code(), running);
        assert_eq!(m.zapq(ACCEL).code(), running);
        assert_eq!(m.nqap(ACCEL, 1, NONSENSE).code(), running);
        assert_eq!(m.dqap(ACCEL).unwrap_err().code(), running);
        assert_eq!(m.aqic(ACCEL, AqicControl::enable(6), 8).code(), running);
        assert!(!m.tapq(ACCEL).is_empty());
        m.wait(RESET / 2);
        assert_eq!(m.tapq(ACCEL), QueueStatus(QueueStatus::EMPTY));
    }
    let epoch = m.ap.queues().find(|q| q.apqn == ACCEL).unwrap().epoch;
    assert_eq!(epoch, 1, "only ZAPQ counts");
    assert_eq!(
        m.tapq(ACCEL2).code(),
        ResponseCode::NORMAL,
        "one queue only"
    );
}

#[test]
fn queue_fills_up() {
    let mut m = machine();
    for n in 1..=8 {
        let status = m.nqap(ACCEL, n, NONSENSE);
        assert_eq!(
            (status.code(), status.is_full()),
            (ResponseCode::NORMAL, n == 8)
        );
    }
    let gr0 = NqapGr0::last_part(ACCEL).0;
    assert_eq!(m.ap.nqap_want(&m.host(), gr0, 40), 0, "not even looked at");
    assert_eq!(m.nqap(ACCEL, 9, NONSENSE).code(), ResponseCode::QUEUE_FULL);
    m.wait(REPLY);
    // replies take up room, too, until they are fetched
    assert!(m.tapq(ACCEL).is_full());
    for n in 1..=8 {
        assert_eq!(m.dqap(ACCEL).unwrap().0, n, "in order");
    }
    let none = m.dqap(ACCEL).unwrap_err();
    assert_eq!(
        (none.code(), none.is_empty()),
        (ResponseCode::NO_PENDING_REPLY, true)
    );
}

#[test]
fn nqap_refusals() {
    let mut m = machine();
    let ctx = m.host();
    let special = NqapGr0::last_part(ACCEL).with_special().0;
    let done = m.ap.nqap(&ctx, special, Psmid(0), 40, NONSENSE).unwrap();
    assert_eq!(status(done).code(), ResponseCode::FACILITY_NOT_INSTALLED);
    let special = NqapGr0::last_part(CCA).with_special().0;
    let done = m.ap.nqap(&ctx, special, Psmid(0), 40, NONSENSE).unwrap();
    assert_eq!(
        (status(done).code(), done.moved),
        (ResponseCode::NORMAL, 40)
    );
    let long = vec![0; 3 * 4096 + 1];
    assert_eq!(
        m.nqap(ACCEL, 0, &long).code(),
        ResponseCode::MESSAGE_TOO_BIG
    );
    assert_eq!(m.nqap(ACCEL, 0, &long[1..]).code(), ResponseCode::NORMAL);
    // a length beyond all storage is the same
    let gr0 = NqapGr0::last_part(ACCEL).0;
    assert_eq!(m.ap.nqap_want(&ctx, gr0, u64::MAX), 0);
    let done = m.ap.nqap(&ctx, gr0, Psmid(0), u64::MAX, &[]).unwrap();
    assert_eq!(status(done).code(), ResponseCode::MESSAGE_TOO_BIG);
    // less fetched than wanted is the emulator's mistake, not a panic
    let done = m.ap.nqap(&ctx, gr0, Psmid(0), 40, &[0; 39]).unwrap();
    assert_eq!((status(done).code(), done.moved), (ResponseCode::BUSY, 0));
}

#[test]
fn messages_in_parts() {
    let mut m = machine();
    let ctx = m.host();
    let (part, last) = (NqapGr0::leading_part(CCA).0, NqapGr0::last_part(CCA).0);
    // 06, then zeros: a bad type 6 message if, and only if, the parts are joined
    let done = m.ap.nqap(&ctx, part, Psmid(1), 50, &[6; 50]).unwrap();
    assert_eq!((done.cc, done.moved), (1, 50));
    assert!(m.tapq(CCA).is_empty(), "nothing enqueued yet");
    let done = m.ap.nqap(&ctx, last, Psmid(1), 50, &[0; 50]).unwrap();
    assert_eq!((done.cc, done.moved), (0, 50));
    m.wait(REPLY);
    assert_eq!(m.dqap(CCA).unwrap().1[4], 0x40);
    // the parts of a message do not get into another
    m.ap.nqap(&ctx, part, Psmid(2), 50, &[6; 50]).unwrap();
    m.ap.nqap(&ctx, last, Psmid(3), 50, &[0; 50]).unwrap();
    m.wait(REPLY);
    assert_eq!(
        m.dqap(CCA).unwrap(),
        (3, vec![0, 0x82, 0, 0, 0x20, 0, 0, 0])
    );
    // all parts together may not be too long
    for _ in 0..3 {
        m.ap.nqap(&ctx, part, Psmid(4), 4096, &[6; 4096]).unwrap();
    }
    let done = m.ap.nqap(&ctx, last, Psmid(4), 1, &[6]).unwrap();
    assert_eq!(status(done).code(), ResponseCode::MESSAGE_TOO_BIG);
}

#[test]
fn replies_in_parts() {
    let mut m = machine();
    // the reply to nonsense is 8 bytes
    m.nqap(Apqn::new(Apid::new(4), Apqi::new(6)), 1, NONSENSE);
    m.nqap(ACCEL, 0x1_0000_0002, NONSENSE);
    m.wait(REPLY);
    let ctx = m.host();
    let first = DqapGr0::first_part(ACCEL).0;
    let whole = m.ap.dqap_peek(&ctx, first, 100).to_vec();

    assert_eq!(m.ap.dqap_peek(&ctx, first, 3), &whole[..3]);
    let done = m.ap.dqap(&ctx, first, 3).unwrap();
    assert_eq!((done.cc, done.moved, done.gr2), (1, 3, Some(5)));
    assert_eq!((done.gr1, done.psmid), (None, None));
    let rest = done.gr0.unwrap();
    assert!(!DqapGr0(rest).is_first() && rest != 0);
    assert!(!m.tapq(ACCEL).is_empty(), "still there");

    assert_eq!(m.ap.dqap_peek(&ctx, rest, 3), &whole[3..6]);
    m.ap.dqap(&ctx, rest, 3).unwrap();
    let done = m.ap.dqap(&ctx, rest, 3).unwrap();
    assert_eq!((done.cc, done.moved, done.gr2), (0, 2, Some(0)));
    assert_eq!(done.psmid, Some(Psmid(0x1_0000_0002)));
    assert_eq!(status(done), QueueStatus(QueueStatus::EMPTY));
    // nothing to go on with
    let done = m.ap.dqap(&ctx, rest, 3).unwrap();
    assert_eq!(status(done).code(), ResponseCode::NO_FIRST_PART);
    // an area that fits exactly takes the whole
    let done = m.ap.dqap(&ctx, DqapGr0::first_part(ACCEL2).0, 8).unwrap();
    assert_eq!((done.cc, done.gr2), (0, Some(0)));
}

#[test]
fn a_reply_can_be_read_from_its_start_again() {
    let mut m = machine();
    m.nqap(ACCEL, 1, NONSENSE);
    m.wait(REPLY);
    let ctx = m.host();
    let first = DqapGr0::first_part(ACCEL).0;
    assert_eq!(m.ap.dqap_peek(&ctx, first, 3).len(), 3);
    assert_eq!(m.ap.dqap(&ctx, first, 3).unwrap().moved, 3);
    assert_eq!(m.dqap(ACCEL).unwrap().1.len(), 8);
}

/// What the peek promised is what the dequeue does, even if it is later.
#[test]
fn dequeuing_does_not_let_time_pass() {
    let mut m = machine();
    m.nqap(ACCEL, 1, NONSENSE);
    let first = DqapGr0::first_part(ACCEL).0;
    assert!(m.ap.dqap_peek(&m.host(), first, 100).is_empty());
    m.wait(REPLY);
    let done = m.ap.dqap(&m.host(), first, 100).unwrap();
    assert_eq!(status(done).code(), ResponseCode::NO_PENDING_REPLY);
    assert_eq!(m.dqap(ACCEL).unwrap().0, 1);
}

#[test]
fn interruption_control() {
    let mut m = machine();
    let on = AqicControl::enable(6);
    let code = |status: QueueStatus| status.code();
    assert_eq!(code(m.aqic(ACCEL, on, 0)), ResponseCode::INVALID_ADDRESS);
    assert_eq!(
        code(m.aqic(ACCEL, on, u64::MAX)),
        ResponseCode::INVALID_ADDRESS
    );
    assert_eq!(
        code(m.aqic(ACCEL, on, 1 << 31)),
        ResponseCode::INVALID_ADDRESS
    );
    let off = AqicControl::disable();
    assert_eq!(code(m.aqic(ACCEL, off, 8)), ResponseCode::OTHERWISE_CHANGED);
    let gisa = on.with_gisa(0x7fff_fff0, 1);
    let mut small = m.host();
    small.storage_end = 0x10000;
    let aqic = PqapGr0::new(FunctionCode::Aqic, ACCEL).0;
    let done = m.ap.pqap(&small, aqic, gisa.0, 8).unwrap();
    assert_eq!(code(status(done)), ResponseCode::INVALID_GISA);

    assert_eq!(code(m.aqic(ACCEL, on, 0x1008)), ResponseCode::NORMAL);
    assert!(m.tapq(ACCEL).irq_enabled());
    assert_eq!(
        code(m.aqic(ACCEL, on, 0x1008)),
        ResponseCode::OTHERWISE_CHANGED
    );
    m.nqap(ACCEL, 1, NONSENSE);
    assert_eq!(m.effects(), []);
    m.wait(REPLY);
    let indicator = Indicator {
        nib: 0x1008,
        control: on,
    };
    assert_eq!(m.effects(), [Effect::Indicate(ACCEL, indicator)]);
    assert_eq!(code(m.aqic(ACCEL, off, 0)), ResponseCode::NORMAL);
    assert!(!m.tapq(ACCEL).irq_enabled());
    // enabled over a waiting reply, which would be missed otherwise
    m.aqic(ACCEL, on, 0x1008);
    assert_eq!(m.effects(), [Effect::Indicate(ACCEL, indicator)]);

    let ctx = Context::guest(m.now, guest(0x1000, ACCEL));
    let done = m.ap.pqap(&ctx, aqic, on.0, 8).unwrap();
    assert_eq!(code(status(done)), ResponseCode::INVALID_ADDRESS);
}

#[test]
fn compatible_types() {
    let mut m = machine();
    let mut ask = |mode, known| {
        let gr0 = PqapGr0::new(FunctionCode::Qact, EP11);
        let done = m.pqap(gr0, QactInfo::new(mode, known).0, 0).unwrap();
        QactInfo(done.gr2.unwrap()).device_type()
    };
    assert_eq!(ask(1, 14), 14);
    assert_eq!(ask(1, 12), 12);
    assert_eq!(ask(1, 0), 14);
    assert_eq!(ask(4, 14), 0, "another mode");
}

#[test]
fn deadlines() {
    let mut m = machine();
    assert_eq!(m.ap.next_deadline(), None);
    m.zapq(CCA);
    m.nqap(ACCEL, 1, NONSENSE);
    assert_eq!(m.ap.next_deadline(), Some(m.now.after(REPLY)));
    m.wait(REPLY);
    m.ap.poll(m.now);
    assert_eq!(m.ap.next_deadline(), Some(Ns(0).after(RESET)));
    m.ap.poll(Ns(0).after(RESET));
    assert_eq!(m.ap.next_deadline(), None);
    // time does not run backwards
    m.ap.poll(Ns(0));
    m.now = Ns(0);
    assert_eq!(m.tapq(CCA).code(), ResponseCode::NORMAL);
}
