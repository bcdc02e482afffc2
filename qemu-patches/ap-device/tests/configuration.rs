// SPDX-License-Identifier: MIT OR Apache-2.0
//! Adapters and domains coming, going and failing under load.

mod common;

use ap_arch::*;
use ap_device::*;
use common::*;

const CHANGED: [Effect; 1] = [Effect::ConfigChanged];

/// One request waiting for its reply, one reply waiting to be fetched.
fn load(m: &mut Machine, apqn: Apqn) {
    m.nqap(apqn, 1, NONSENSE);
    m.wait(REPLY);
    m.nqap(apqn, 2, NONSENSE);
    m.aqic(apqn, AqicControl::enable(6), 0x2000);
    assert!(m.tapq(apqn).has_reply());
    m.effects();
}

fn check_dead(m: &mut Machine, apqn: Apqn, code: ResponseCode) {
    assert_eq!(m.tapq(apqn).code(), code);
    assert_eq!(m.nqap(apqn, 3, NONSENSE).code(), code);
    assert_eq!(m.dqap(apqn).unwrap_err().code(), code);
    assert_eq!(m.rapq(apqn).code(), code);
    assert_eq!(m.zapq(apqn).code(), code);
    m.wait(RESET);
    assert_eq!(m.effects(), [], "no late reply, no interrupt");
}

fn check_fresh(m: &mut Machine, apqn: Apqn) {
    assert_eq!(m.tapq(apqn), QueueStatus(QueueStatus::EMPTY));
    let none = m.dqap(apqn).unwrap_err().code();
    assert_eq!(none, ResponseCode::NO_PENDING_REPLY);
    assert_eq!(m.ask(apqn, NONSENSE).len(), 8);
}

#[test]
fn config_off_and_on() {
    let mut m = machine();
    load(&mut m, ACCEL);
    let apid = ACCEL.apid;
    assert_eq!(m.ap.set_config(m.now, apid, false), Ok(Change::Done));
    assert_eq!(m.effects(), CHANGED);
    assert_eq!(m.ap.set_config(m.now, apid, false), Ok(Change::Already));
    assert_eq!(m.effects(), []);
    check_dead(&mut m, ACCEL, ResponseCode::DECONFIGURED);
    // Linux finds the card through a deconfigured queue, too
    let gr0 = PqapGr0::new(FunctionCode::Tapq, ACCEL).with_t();
    let info = TapqInfo(m.pqap(gr0, 0, 0).unwrap().gr2.unwrap());
    assert!(info.functions().contains(ApFunctions::ACCELERATOR));
    assert!(m.ap.matrix().contains(ACCEL), "APM keeps it");
    assert_eq!(
        m.tapq(CCA).code(),
        ResponseCode::NORMAL,
        "only this adapter"
    );
    assert_eq!(m.ap.set_config(m.now, apid, true), Ok(Change::Done));
    check_fresh(&mut m, ACCEL);
}

#[test]
fn checkstop_and_recovery() {
    let mut m = machine();
    load(&mut m, ACCEL);
    let apid = ACCEL.apid;
    assert_eq!(m.ap.set_checkstop(m.now, apid, true), Ok(Change::Done));
    assert_eq!(m.effects(), CHANGED);
    check_dead(&mut m, ACCEL, ResponseCode::CHECKSTOPPED);
    // deconfigured counts more
    m.ap.set_config(m.now, apid, false).unwrap();
    assert_eq!(m.tapq(ACCEL).code(), ResponseCode::DECONFIGURED);
    m.ap.set_config(m.now, apid, true).unwrap();
    assert_eq!(m.ap.set_checkstop(m.now, apid, false), Ok(Change::Done));
    check_fresh(&mut m, ACCEL);
}

#[test]
fn unplug_and_plug_under_load() {
    let mut m = machine();
    for round in 0..3 {
        load(&mut m, ACCEL);
        m.zapq(ACCEL2);
        m.ap.remove_adapter(m.now, ACCEL.apid).unwrap();
        assert_eq!(m.effects(), CHANGED);
        assert!(!m.ap.matrix().contains(ACCEL));
        check_dead(&mut m, ACCEL, ResponseCode::NOT_AVAILABLE);
        assert_eq!(m.ap.next_deadline(), None);
        assert_eq!(
            m.ap.remove_adapter(m.now, ACCEL.apid),
            Err(ChangeError::NoAdapter(ACCEL.apid))
        );
        let mode = Mode::ALL[round % 3];
        let spec = AdapterSpec::new(ACCEL.apid, mode);
        m.ap.add_adapter(m.now, spec).unwrap();
        assert_eq!(m.effects(), CHANGED);
        check_fresh(&mut m, ACCEL);
    }
}

#[test]
fn refused_changes_change_nothing() {
    let mut m = machine();
    let spec = AdapterSpec::new(ACCEL.apid, Mode::Cca);
    let taken = Err(ChangeError::Taken(ACCEL.apid));
    assert_eq!(m.ap.add_adapter(m.now, spec), taken);
    let none = Err(ChangeError::NoAdapter(ABSENT.apid));
    assert_eq!(m.ap.set_config(m.now, ABSENT.apid, true), none);
    assert_eq!(m.ap.set_checkstop(m.now, ABSENT.apid, true), none);
    assert_eq!(m.effects(), []);
    assert_eq!(
        m.ap.adapter(ACCEL.apid).unwrap().spec.mode,
        Mode::Accelerator
    );
    assert_eq!(
        ChangeError::Taken(ACCEL.apid).to_string(),
        "adapter 04 is there already"
    );
}

#[test]
fn domains_come_and_go() {
    let mut m = machine();
    load(&mut m, ACCEL);
    let matrix = m.ap.matrix();
    let less = matrix.aqm.without(ACCEL.apqi);
    assert_eq!(m.ap.set_domains(m.now, less, matrix.adm), Ok(Change::Done));
    assert_eq!(m.effects(), CHANGED);
    check_dead(&mut m, ACCEL, ResponseCode::NOT_AVAILABLE);
    assert_eq!(m.tapq(ACCEL2).code(), ResponseCode::NORMAL);
    assert_eq!(
        m.ap.set_domains(m.now, less, matrix.adm),
        Ok(Change::Already)
    );
    assert_eq!(m.effects(), []);
    assert_eq!(
        m.ap.set_domains(m.now, matrix.aqm, matrix.adm),
        Ok(Change::Done)
    );
    check_fresh(&mut m, ACCEL);
}

#[test]
fn nothing_above_the_highest_numbers() {
    let text = "max-adapter = 9\nmax-domain = 84\nusage-domains = [84]\n\
                [[adapter]]\napid = 9\nmode = \"cca\"";
    let topology = topology::Topology::parse(text).unwrap();
    let mut ap = Ap::with_topology(&topology, 0);
    let before = ap.matrix();
    let now = Ns(0);

    let adapter = ap.add_adapter(now, AdapterSpec::new(Apid::new(10), Mode::Cca));
    let na = Apid::new(9);
    assert_eq!(adapter, Err(ChangeError::AboveNa(Apid::new(10), na)));
    let (high, nd) = (Apqi::new(85), Apqi::new(84));
    let above = Err(ChangeError::AboveNd(high, nd));
    let aqm = Aqm::of(high);
    assert_eq!(ap.set_domains(now, aqm, before.adm), above);
    assert_eq!(ap.set_domains(now, before.aqm, Adm::of(high)), above);
    assert_eq!(ap.matrix(), before);
    assert_eq!(ap.next_effect(), None);

    let gr0 = PqapGr0::new(FunctionCode::Qci, Apqn::default());
    let done = ap.pqap(&Context::host(now), gr0.0, 0, 0).unwrap();
    let qci = Qci::from_bytes(&done.block.unwrap());
    assert_eq!((qci.na, qci.nd), (9, 84));
    let gr0 = PqapGr0::new(FunctionCode::Tapq, Apqn::new(na, nd)).with_t();
    let done = ap.pqap(&Context::host(now), gr0.0, 0, 0).unwrap();
    assert_eq!(TapqInfo(done.gr2.unwrap()).nd(), 84);
}

#[test]
fn subsystem_reset() {
    for kind in [ResetKind::Subsystem, ResetKind::PowerOn] {
        let mut m = machine();
        load(&mut m, ACCEL);
        m.zapq(CCA);
        m.ap.set_config(m.now, EP11.apid, false).unwrap();
        m.ap.set_checkstop(m.now, EP11.apid, true).unwrap();
        m.ap.reset(m.now, kind);
        assert_eq!(m.effects(), [], "effects of before are nobody's");
        assert_eq!(m.ap.next_deadline(), None);
        assert_eq!(m.tapq(CCA), QueueStatus(QueueStatus::EMPTY));
        assert_eq!(m.tapq(ACCEL), QueueStatus(QueueStatus::EMPTY));
        let ep11 = m.tapq(EP11).code();
        match kind {
            ResetKind::Subsystem => assert_eq!(ep11, ResponseCode::DECONFIGURED),
            ResetKind::PowerOn => assert_eq!(ep11, ResponseCode::NORMAL),
        }
        check_fresh(&mut m, ACCEL);
    }
}

/// Effects that nobody fetches do not pile up.
#[test]
fn effects_are_bounded() {
    let mut m = machine();
    for _ in 0..1000 {
        m.ap.set_config(m.now, ACCEL.apid, false).unwrap();
        m.ap.set_config(m.now, ACCEL.apid, true).unwrap();
    }
    assert_eq!(m.effects(), CHANGED);
}

#[test]
fn queue_listing() {
    let mut m = machine();
    load(&mut m, ACCEL);
    let listed: Vec<Apqn> = m.ap.queues().map(|q| q.apqn).collect();
    assert!(listed.into_iter().eq(m.ap.matrix().apqns()));
    let queue = m.ap.queues().find(|q| q.apqn == ACCEL).unwrap();
    assert_eq!((queue.requests, queue.replies), (1, 1));
    assert_eq!((queue.enqueued, queue.dequeued), (2, 0));
    assert_eq!(queue.nib, Some(0x2000));
    assert_eq!(queue.status, m.tapq(ACCEL));
}
