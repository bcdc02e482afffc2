// SPDX-License-Identifier: MIT OR Apache-2.0
//! The EP11 coprocessor, asked as Linux's sysfs attributes do.

mod common;

use ap_arch::*;
use common::type6::{self, Reply, ep11, reply, u32_at};
use common::*;

const INFO: u32 = 0x0001_0026;

/// Where Linux finds the data of a reply; before it, the return value.
fn data(reply: &Reply) -> Result<&[u8], usize> {
    let payload = &reply.control[32..];
    assert_eq!(reply.control[..3], [0, 0x20, 4]);
    assert_eq!(u32_at(&reply.control, 16), 0, "return code");
    assert_eq!(u32_at(&reply.control, 28), payload.len());
    assert_eq!(payload[..2], [0x30, 0x82]);
    assert_eq!(
        usize::from(type6::u16_at(payload, 2)),
        payload.len() - 4,
        "length of the payload"
    );
    for tag in [4, 10, 16] {
        assert_eq!(payload[tag..tag + 2], [4, 4]);
    }
    match u32_at(payload, 18) {
        0 => {
            assert_eq!(payload[22..24], [4, 0x82]);
            assert_eq!(
                usize::from(type6::u16_at(payload, 24)),
                payload.len() - 26,
                "length of the data"
            );
            Ok(&payload[26..])
        }
        value => Err(value),
    }
}

fn ask(m: &mut Machine, message: &[u8]) -> Result<Reply, u8> {
    reply(&m.ask(EP11, message))
}

#[test]
fn module_information() {
    let mut m = machine();
    let answer = ask(&mut m, &ep11(INFO, 0x47, &[1, 0])).unwrap();
    let info = data(&answer).unwrap();
    assert_eq!(info.len(), 196);
    assert!(u32_at(info, 0) > 0, "Linux shows no ordinal number 0");
    assert!(info[8] > 0, "Linux shows no firmware version 0");
    let serial = &info[108..124];
    assert!(serial.iter().all(u8::is_ascii_hexdigit));
    assert!(serial.starts_with(b"06"), "the APID");
    let mode = &info[140..148];
    assert_ne!(mode, [0; 8]);

    let again = ask(&mut machine(), &ep11(INFO, 0x47, &[1, 0])).unwrap();
    assert_eq!(again.control, answer.control, "the seed decides");
}

#[test]
fn domain_information() {
    let mut m = machine();
    let mut patterns = Vec::new();
    for apqi in [6, 0x47] {
        let apqn = Apqn::new(EP11.apid, Apqi::new(apqi));
        let answer = m.ask(apqn, &ep11(INFO, apqi.into(), &[3, 0]));
        let answer = reply(&answer).unwrap();
        let info = data(&answer).unwrap();
        assert_eq!(info.len(), 80);
        assert_eq!(u32_at(info, 0), apqi.into());
        assert_eq!(u32_at(info, 68) & 0x12, 0x12, "valid, imprint mode left");
        assert_eq!(u32_at(info, 68) & 0x0c, 0, "no new key");
        patterns.push(info[4..36].to_vec());
    }
    assert_ne!(patterns[0], patterns[1]);
    assert_ne!(patterns[0], [0; 32]);
}

/// What a request asks in vain.
#[test]
fn refusals() {
    let mut m = machine();
    let unknown = ask(&mut m, &ep11(INFO + 1, 0x47, &[1, 0])).unwrap();
    assert_eq!(data(&unknown), Err(0x54));
    let unknown = ask(&mut m, &ep11(INFO, 0x47, &[2, 0])).unwrap();
    assert_eq!(data(&unknown), Err(0x07));
    let nothing = ask(&mut m, &ep11(INFO, 0x47, &[])).unwrap();
    assert_eq!(data(&nothing), Err(0x07));
    let foreign = ask(&mut m, &ep11(INFO, 6, &[1, 0]));
    assert_eq!(foreign.unwrap_err(), 0x8a, "another queue's domain");
    let foreign = ask(&mut m, &ep11(INFO, 0x100 + 0x47, &[1, 0]));
    assert_eq!(foreign.unwrap_err(), 0x8a, "no domain at all");

    let mut tight = ep11(INFO, 0x47, &[1, 0]);
    type6::put32(&mut tight, 72, 32 + 26 + 195);
    assert_eq!(ask(&mut m, &tight).unwrap_err(), 0xa0);
    type6::put32(&mut tight, 72, 32 + 26 + 196);
    assert!(ask(&mut m, &tight).is_ok());
}

/// Only a request that administers may name a control domain.
#[test]
fn control_domains() {
    let mut m = machine();
    let adm = [6, 0x47].map(Apqi::new).into_iter().collect();
    m.ap.set_domains(m.now, m.ap.matrix().aqm, adm).unwrap();
    let mut request = ep11(INFO, 6, &[3, 0]);
    assert_eq!(ask(&mut m, &request).unwrap_err(), 0x8a);
    request[88 + 5] = 0x80;
    let answer = ask(&mut m, &request).unwrap();
    assert_eq!(u32_at(data(&answer).unwrap(), 0), 6);
    m.ap.set_domains(m.now, m.ap.matrix().aqm, Adm::EMPTY)
        .unwrap();
    assert_eq!(ask(&mut m, &request).unwrap_err(), 0x8a);
}

#[test]
fn malformed_requests() {
    let mut m = machine();
    let good = ep11(INFO, 0x47, &[1, 0]);
    let mut error = |change: &dyn Fn(&mut Vec<u8>)| {
        let mut message = good.clone();
        change(&mut message);
        ask(&mut m, &message).expect_err("an error")
    };
    assert_eq!(error(&|r| r[1] = 0x50), 0x20);
    assert_eq!(error(&|r| r.truncate(1)), 0x20);
    for length in [2, 87, 88, 88 + 31, 88 + 32, good.len() - 1] {
        assert_eq!(error(&|r| r.truncate(length)), 0x40, "length {length}");
    }
    // offset, agent, CPRB length, version, T4, sequence, its length, tags
    for at in [19, 32, 88 + 1, 88 + 2, 88 + 6, 120, 123, 124, 125, 130, 131] {
        assert_eq!(error(&|r| r[at] ^= 0x40), 0x40, "byte {at}");
    }
    assert_eq!(error(&|r| type6::put32(r, 88 + 28, 0xffff_ffff)), 0x40);
    assert_eq!(error(&|r| type6::put32(r, 56, 0xffff_ffff)), 0x40);
}

/// Lengths in one byte, in two forms, and short numbers.
#[test]
fn other_forms_of_numbers() {
    let mut m = machine();
    let payload: &[u8] = &[
        0x30, 0x81, 17, 4, 2, 0, 38, 4, 1, 0x47, 4, 0x81, 1, 1, 4, 0x82, 0, 1, 0, 0,
    ];
    let mut message = ep11(INFO, 0x47, &[]);
    message.truncate(120);
    message.extend_from_slice(payload);
    type6::put32(&mut message, 56, 32 + payload.len());
    type6::put32(&mut message, 88 + 28, payload.len());
    let answer = ask(&mut m, &message).unwrap();
    assert_eq!(data(&answer).unwrap().len(), 196);
}
