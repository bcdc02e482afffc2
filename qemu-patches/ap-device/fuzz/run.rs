// SPDX-License-Identifier: MIT OR Apache-2.0
//! Runs bytes as a hostile program. Shared by the fuzz targets and by
//! `tests/hostile.rs`, which runs the corpus and random bytes.

use std::time::Duration;

use ap_arch::*;
use ap_device::*;
use fuzz_input::Choices;

/// The first byte selects a mode, the rest is a request.
pub fn message(data: &[u8]) {
    let Some((&selector, bytes)) = data.split_first() else {
        return;
    };
    let mode = Mode::ALL[usize::from(selector) % 3];
    let apqn = Apqn::default();
    let request = engine::Request {
        apqn,
        control: Adm::EMPTY,
        bytes,
    };
    let identity = engine::Identity {
        seed: 0,
        apid: apqn.apid,
        plug: 0,
    };
    let reply = engine::for_mode(mode, identity).process(request);
    assert!(reply.len() >= 8, "{mode:?}: no room for a reply header");
    match reply[1] {
        0x80 => {
            let length = u16::from_be_bytes([reply[2], reply[3]]);
            assert_eq!(usize::from(length), reply.len());
            assert!(reply.len() <= 0x210 && mode == Mode::Accelerator);
        }
        0x82 => assert_eq!(reply.len(), 8),
        0x86 => {
            let at = |from: usize| {
                let field = reply[from..].first_chunk().expect("a header");
                u32::from_be_bytes(*field) as usize
            };
            let (control, data) = (at(16) + at(20), at(24) + at(28));
            let end = if at(24) == 0 { control } else { data };
            assert_eq!(end, reply.len());
            let version = if mode == Mode::Cca { 2 } else { 4 };
            assert_eq!(reply[48 + 2], version);
            assert!(mode != Mode::Accelerator);
        }
        other => panic!("Linux would take the queue offline for {other:02x}"),
    }
}

fn mask(choices: &mut Choices<'_>) -> [u8; 32] {
    let fill = choices.byte();
    let mut mask = [fill; 32];
    mask[usize::from(choices.byte()) % 32] = choices.byte();
    mask
}

/// Any register, or often one that names a queue there is.
fn gr0(choices: &mut Choices<'_>) -> u64 {
    match choices.byte() % 4 {
        0 => choices.word(),
        _ => {
            let high = u64::from(choices.byte()) << 24 | u64::from(choices.byte() & 0xc0) << 16;
            high | u64::from(choices.byte() % 4) << 8 | u64::from(choices.byte() % 4)
        }
    }
}

fn context(choices: &mut Choices<'_>, now: Ns) -> Context {
    let facilities = choices.byte();
    let host = Context {
        facilities: Facilities {
            qci: facilities & 1 == 0,
            apft: facilities & 2 == 0,
            aqic: facilities & 4 == 0,
        },
        ..Context::host(now)
    };
    if facilities & 8 == 0 {
        return host;
    }
    let guest = Guest {
        sd: 0x1000,
        crycbd: Crycbd(choices.byte().into()),
        nested: facilities & 16 != 0,
        matrix: Matrix {
            apm: Apm::from_bytes(mask(choices)),
            aqm: Aqm::from_bytes(mask(choices)),
            adm: Adm::from_bytes(mask(choices)),
        },
    };
    Context {
        issuer: Issuer::Guest(guest),
        ..host
    }
}

/// Instructions by anyone, with time passing and changes in between.
pub fn instructions(data: &[u8]) {
    let mut choices = Choices::new(data);
    let mut ap = Ap::new(0);
    let mut now = Ns(0);
    for apid in 0..3 {
        let mode = Mode::ALL[usize::from(apid)];
        let spec = AdapterSpec::new(Apid::new(apid), mode);
        ap.add_adapter(now, spec).expect("free");
    }
    ap.set_domains(now, Aqm::from_first_16(0xe000), Adm::EMPTY)
        .unwrap();
    while !choices.is_empty() {
        step(&mut ap, &mut now, &mut choices);
        check(&mut ap, now);
    }
    for queue in ap.queues() {
        // a fault can duplicate each
        assert!(queue.requests + queue.replies <= 16);
    }
}

fn step(ap: &mut Ap, now: &mut Ns, choices: &mut Choices<'_>) {
    let apid = Apid::new(choices.byte() % 4);
    match choices.byte() % 16 {
        0..=4 => {
            let ctx = context(choices, *now);
            let (gr0, gr1, gr2) = (gr0(choices), choices.word(), choices.word());
            sound(ap.pqap(&ctx, gr0, gr1, gr2));
        }
        5..=7 => {
            let ctx = context(choices, *now);
            let gr0 = gr0(choices);
            let length = match choices.byte() {
                255 => choices.word(),
                length => length.into(),
            };
            let bytes: Vec<u8> = (0..length.min(300)).map(|_| choices.byte()).collect();
            let want = ap.nqap_want(&ctx, gr0, length) as usize;
            assert!(want == 0 || want as u64 == length);
            let bytes = &bytes[..want.min(bytes.len())];
            let psmid = Psmid(choices.word());
            let moved = sound(ap.nqap(&ctx, gr0, psmid, length, bytes));
            assert!(moved == 0 || moved == bytes.len());
        }
        8..=10 => {
            let ctx = context(choices, *now);
            let (gr0, length) = (gr0(choices), choices.byte().into());
            let peeked = ap.dqap_peek(&ctx, gr0, length).len();
            assert!(peeked as u64 <= length);
            let moved = sound(ap.dqap(&ctx, gr0, length));
            assert_eq!(peeked, moved);
        }
        11 => *now = now.after(Duration::from_micros(choices.byte().into())),
        12 => *now = now.after(Duration::from_millis(choices.byte().into())),
        13 => {
            let on = choices.byte();
            let _ = match on % 4 {
                0 => ap.set_config(*now, apid, on & 4 != 0).map(drop),
                1 => ap.set_checkstop(*now, apid, on & 4 != 0).map(drop),
                2 => ap.remove_adapter(*now, apid),
                _ => {
                    let mode = Mode::ALL[usize::from(on / 4) % 3];
                    ap.add_adapter(*now, AdapterSpec::new(apid, mode))
                }
            };
        }
        14 => {
            let aqm = Aqm::from_bytes(mask(choices));
            ap.set_domains(*now, aqm, Adm::EMPTY).unwrap();
        }
        _ => match choices.byte() % 3 {
            0 => ap.reset(*now, ResetKind::Subsystem),
            1 => ap.reset(*now, ResetKind::PowerOn),
            _ => {
                let text = String::from_utf8_lossy(choices.rest()).into_owned();
                if let Ok(faults) = topology::Topology::parse_faults(&text) {
                    for fault in faults {
                        ap.inject(fault);
                    }
                }
            }
        },
    }
}

/// How many bytes an instruction moved; its registers fit its condition code.
fn sound(outcome: Outcome) -> usize {
    let Ok(done) = outcome else {
        return 0;
    };
    match (done.cc, done.status()) {
        (0 | 3, Some(status)) => assert_eq!(done.cc, status.condition_code()),
        (0, None) => assert!(done.block.is_some()),
        (1, _) => assert!(done.moved > 0 && done.psmid.is_none()),
        (cc, status) => panic!("cc {cc} {status:?}"),
    }
    done.moved as usize
}

/// Nothing overdue is left, and no more effects than queues.
fn check(ap: &mut Ap, now: Ns) {
    ap.poll(now);
    assert!(ap.next_deadline().is_none_or(|when| when > now));
    let effects = std::iter::from_fn(|| ap.next_effect()).count();
    assert!(effects <= 1 + 256 * 256);
}
