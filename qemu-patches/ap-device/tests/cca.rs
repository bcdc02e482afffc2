// SPDX-License-Identifier: MIT OR Apache-2.0
//! The CCA coprocessor: requests laid out as Linux does, RSA against the
//! accelerator and against openssl.

mod common;

use ap_arch::*;
use ap_device::*;
use chacha20::ChaCha20Rng;
use chacha20::rand_core::{Rng, SeedableRng};
use common::type6::{self, Reply, cca, cca_parameters, field, reply, u16_at};
use common::*;
use proptest::prelude::*;

const DOMAIN: u16 = 0x47;

fn ask(m: &mut Machine, message: &[u8]) -> Result<Reply, u8> {
    reply(&m.ask(CCA, message))
}

fn codes(m: &mut Machine, message: &[u8]) -> (u16, u16) {
    cca_parameters(&ask(m, message).unwrap()).unwrap_err()
}

/// What Linux's source of random numbers sends.
fn random(data_room: usize) -> Vec<u8> {
    let mut message = cca(b"RL", b"RANDOM  ", &[0, 2, 0, 2], DOMAIN);
    let control_room = message.len() - 88;
    type6::put32(&mut message, 72, control_room);
    type6::put32(&mut message, 76, data_room);
    message
}

/// A facility query.
fn query(rule: &[u8; 8]) -> Vec<u8> {
    let fields = [field(&[0; 4096]), field(&[])].concat();
    cca(b"FQ", rule, &fields, DOMAIN)
}

#[test]
fn random_numbers_are_the_generators() {
    let mut m = machine();
    let mut expect = {
        let mut seed = [0; 32];
        seed[7] = 1;
        seed[8] = CCA.apid.get();
        seed[10..16].copy_from_slice(b"random");
        let mut generator = ChaCha20Rng::from_seed(seed);
        // the accelerator was plugged before
        generator.set_stream(1);
        generator
    };
    for (room, size) in [(4096, 4096), (4096, 4096), (100, 100), (5000, 4096)] {
        let answer = ask(&mut m, &random(room)).unwrap();
        assert_eq!(answer.control.len(), 224);
        assert_eq!(cca_parameters(&answer), Ok(&b"RL\0\x02"[..]));
        let mut bytes = vec![0; size];
        expect.fill_bytes(&mut bytes);
        assert_eq!(answer.data, bytes);
    }
    assert_eq!(codes(&mut m, &random(0)), (8, 72));
}

/// Adapters do not share random numbers, nor does one repeat them after it was
/// away.
#[test]
fn random_numbers_do_not_repeat() {
    let mut m = machine();
    let spec = AdapterSpec::new(ABSENT.apid, Mode::Cca);
    let first = ask(&mut m, &random(64)).unwrap().data;
    let mut seen = vec![first];
    for _ in 0..2 {
        m.ap.add_adapter(m.now, spec).unwrap();
        let bytes = reply(&m.ask(ABSENT, &random(64))).unwrap().data;
        assert!(!seen.contains(&bytes));
        seen.push(bytes);
        m.ap.remove_adapter(m.now, spec.apid).unwrap();
    }
}

/// The rules and variables of a facility query.
fn facility(m: &mut Machine, apqn: Apqn, rule: &[u8; 8]) -> (Vec<u8>, Vec<u8>) {
    let mut message = query(rule);
    message[88 + 171] = apqn.apqi.get();
    let answer = reply(&m.ask(apqn, &message)).unwrap();
    let parameters = cca_parameters(&answer).unwrap();
    assert_eq!(parameters[..2], *b"FQ");
    // where Linux looks for them
    let (rules, rest) = parameters[2..].split_at(u16_at(parameters, 2).into());
    let (vars, _) = rest.split_at(u16_at(rest, 0).into());
    (rules[2..].to_vec(), vars[2..].to_vec())
}

#[test]
fn facility_queries() {
    let mut m = machine();
    let (rules, vars) = facility(&mut m, CCA, b"STATICSA");
    assert!(rules.len() >= 80 && vars.len() >= 204);
    let serial = rules[..8].to_vec();
    assert!(serial.starts_with(b"05") && serial.iter().all(u8::is_ascii_hexdigit));
    let states: Vec<u8> = (4..10).map(|item| rules[8 * item]).collect();
    assert_eq!(states, *b"121121", "new empty, current valid, old invalid");
    assert!(vars[84..100].iter().any(|&b| b != 0));
    assert!(vars[184..192].iter().any(|&b| b != 0));

    let (rules, more) = facility(&mut m, CCA, b"STATICSB");
    assert!(rules.len() >= 104 && more.len() >= 240);
    assert_eq!(rules[..8], serial);
    let states: Vec<u8> = (4..13).map(|item| rules[8 * item]).collect();
    assert_eq!(states, *b"121121121");
    assert_eq!(more[..204], vars);
    assert!(more[220..228].iter().any(|&b| b != 0));

    let other = Apqn::new(CCA.apid, Apqi::new(6));
    let (rules, other) = facility(&mut m, other, b"STATICSA");
    assert_eq!(rules[..8], serial, "of the card");
    assert_ne!(other[184..192], vars[184..192], "of the domain");
    assert_eq!(codes(&mut m, &query(b"STATXYZ ")), (8, 33));
}

/// The text and a public key.
fn me(n: usize, exponent: &[u8], modulus: &[u8], text: &[u8]) -> Vec<u8> {
    let mut section = vec![4, 0];
    section.extend((12 + 2 * n as u16).to_be_bytes());
    for number in [0, n, 8 * n, n] {
        section.extend((number as u16).to_be_bytes());
    }
    section.extend(wide(n, exponent));
    section.extend(wide(n, modulus));
    cca(
        b"PK",
        b"MRP     ",
        &[field(&wide(n, text)), key(&section)].concat(),
        DOMAIN,
    )
}

/// The text and a private key, the modulus not filled in.
fn crt(n: usize, [p, q, dp, dq, u]: [&[u8]; 5], text: &[u8]) -> Vec<u8> {
    let (short, long) = (n / 2, n / 2 + 8);
    let pad = (3 * long + 2 * short).wrapping_neg() & 7;
    let mut section = vec![0; 132];
    section[0] = 8;
    section[28] = 0x40;
    let lengths = [long, short, long, short, long, n];
    for (at, length) in (54..).step_by(2).zip(lengths) {
        section[at..at + 2].copy_from_slice(&(length as u16).to_be_bytes());
    }
    section[71] = pad as u8;
    for (part, length) in [p, q, dp, dq, u].into_iter().zip(lengths) {
        section.extend(wide(length, part));
    }
    section.extend(vec![0; pad]);
    section.extend(vec![0xff; n]);
    let length = section.len() as u16;
    section[2..4].copy_from_slice(&length.to_be_bytes());
    let mut key = key(&section);
    // a public section, without modulus, follows
    key.extend([4, 0, 0, 15, 0, 0, 0, 3, 0, 0, 0, 0, 1, 0, 1]);
    for at in [0, 2, 8] {
        let length = u16_at(&key, at) + 15;
        key[at..at + 2].copy_from_slice(&length.to_be_bytes());
    }
    cca(
        b"PD",
        b"ZERO-PAD",
        &[field(&wide(n, text)), key].concat(),
        DOMAIN,
    )
}

/// A key block with a token with one section.
fn key(section: &[u8]) -> Vec<u8> {
    let token = section.len() as u16 + 8;
    let mut key = Vec::new();
    for number in [token + 6, token + 4, 0, 0x1e00, token, 0, 0] {
        key.extend(number.to_be_bytes());
    }
    key.extend_from_slice(section);
    key
}

/// A number right-aligned in `n` bytes.
fn wide(n: usize, number: &[u8]) -> Vec<u8> {
    [&vec![0; n - number.len()], number].concat()
}

/// The result as Linux takes it from the reply to RSA.
fn result(m: &mut Machine, message: &[u8]) -> Result<Vec<u8>, (u16, u16)> {
    let bytes = m.ask(CCA, message);
    let length = usize::from(u16_at(&bytes, 272));
    assert_eq!(bytes.len(), 274 + length, "or Linux drops it");
    let reply = reply(&bytes).unwrap();
    let parameters = cca_parameters(&reply)?;
    assert_eq!(parameters[..2], message[308..310]);
    Ok(bytes[274..272 + length].to_vec())
}

fn hex(digits: &str) -> Vec<u8> {
    let digits = digits.as_bytes().chunks(2);
    let digits = digits.map(|pair| std::str::from_utf8(pair).unwrap());
    digits.map(|d| u8::from_str_radix(d, 16).unwrap()).collect()
}

/// A key of `openssl genrsa 1024`, and what `openssl pkeyutl` without padding
/// made of the text.
#[test]
fn openssl_agrees() {
    let modulus = hex(
        "b11a314ab445404b0d1549e28be1699cf9d301403c72749af479630a5409c28e\
         3fd87f0ae49db371eebe638732a79fbae7f7f6831419cdcc7d0e15dbb6430931\
         672a47954d09a6072846320da61fa901e44c1d31a433294546fe38d15dfc10ee\
         4ed13f3765ed2f5d864869ffb193d7163d6bdf46ae6912860e6381d5bf4d70a9",
    );
    let private = hex(
        "0b3591311d3fd4d5eb3a11b7190b6757dc2812c8320b3c7e22431c95a6c40760\
         61821e685e17ed27a4e8bffbeaa4d963471356b2ed2ec4ebd06e77cbb43981f7\
         57752f7d2259b0f9605951b05e1e2331de81a8eca279edbc931d40ad1ab42e84\
         01a863f61ea35c2752b6287e8bd4ee8e536960d0d4d77b58ec2293ab74c26111",
    );
    let parts = [
        "e8923f4e888b22e147583ec10f83d63b319535e5ad637e2265bf4a37715c3b8d\
         f7517dc9c2646d5ba3e2bed9350e63691e13b9fa32eca155cba468d5126d9e5f",
        "c2f1767b7bbdc06da28d8c014e5e850352773f49491b3243a9182fe0128ff575\
         115d575e2c34e5e25b05eefeb88abc4cf85b96794f471b8046f95ebd80533df7",
        "9fd2a8d8a232e37466dff8b8199e62e168d07e2a68fe1f572a0ecbc4d00d2f0b\
         ff72abfbb3afea0af8d3c08d69cd8a795966fafe3a72ace855ba95241fb6df07",
        "76d493a1b00b39da5ac527bbc016d3c3f3a7e6f6f84e50b477c5dba11e0f8cd3\
         40b3824750712a5471a1cb4e901559b51d8b4ecd41ab19b377101955307d0d7f",
        "2ee18dafdead7a8df5e4dceee65b602ed8ae3baf26691d2311c3a68fa575cd21\
         aaa695c0f3618fdba8985201ddff63253310118faa700a63b185fb41b5338b86",
    ]
    .map(hex);
    let text = hex(
        "001f40fc92da241694750979ee6cf582f2d5d7d28e18335de05abc54d0560e0f\
         5302860c652bf08d560252aa5e74210546f369fbbbce8c12cfc7957b2652fe9a\
         755267768822ee624d48fce15ec5ca79cbd602cb7f4c2157a516556991f22ef8\
         c7b5ef7b18d1ff41c59370efb0858651d44a936c11b7b144c48fe04df3c6a3e8",
    );
    let expect = hex(
        "24717700de964aefd9f7b972325c658c85851a0e054049e88f7b33830671902e\
         9201dc5e62436f5f2251d7bce451392ad94e0994a3cce8796597d5c13270518a\
         bf9e1fb37200f964b1cdcd173ef02daa4adf04ba29a6ea96d7cb4662d3b7e001\
         255aed414ba933a3c1e5845ca21439976964c29ddee0f6464f55b59ca977737f",
    );
    let mut m = machine();
    let parts: [&[u8]; 5] = std::array::from_fn(|i| &parts[i][..]);
    assert_eq!(
        result(&mut m, &crt(128, parts, &text)),
        Ok(expect.clone()),
        "private, by primes"
    );
    assert_eq!(
        result(&mut m, &me(128, &private, &modulus, &text)),
        Ok(expect.clone()),
        "private, by exponent"
    );
    assert_eq!(
        result(&mut m, &me(128, &[1, 0, 1], &modulus, &expect)),
        Ok(text),
        "and back"
    );
}

/// p = 61, q = 53, n = 3233, e = 17: 65 becomes 2790 and back, in all sizes,
/// with p and q either way round.
#[test]
fn the_textbook_key() {
    let mut m = machine();
    for n in [57, 128, 256, 512] {
        let encrypted = result(&mut m, &me(n, &[17], &3233u16.to_be_bytes(), &[65]));
        assert_eq!(encrypted, Ok(wide(n, &2790u16.to_be_bytes())));
        for key in [[61, 53, 53, 49, 38], [53, 61, 49, 53, 20]] {
            let key = key.map(|number: u8| [number]);
            let key: [&[u8]; 5] = std::array::from_fn(|i| &key[i][..]);
            let decrypted = result(&mut m, &crt(n, key, &2790u16.to_be_bytes()));
            assert_eq!(decrypted, Ok(wide(n, &[65])));
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(24))]

    /// Layouts differ, results do not. The accelerator is checked elsewhere
    /// against another implementation.
    #[test]
    fn the_accelerator_agrees(
        e in proptest::collection::vec(any::<u8>(), 128),
        mut modulus in proptest::collection::vec(any::<u8>(), 128),
        text in proptest::collection::vec(any::<u8>(), 128),
    ) {
        modulus[127] |= 1;
        let mut m = machine();
        let mut type50 = vec![0, 0x50, 1, 0x90, 0, 0, 0, 0, 0, 1, 0, 0, 0, 0, 0, 0];
        type50.extend([e.clone(), modulus.clone(), text.clone()].concat());
        let accelerator = m.ask(ACCEL, &type50);
        let coprocessor = result(&mut m, &me(128, &e, &modulus, &text));
        match accelerator[1] {
            0x80 => prop_assert_eq!(coprocessor, Ok(accelerator[16..].to_vec())),
            _ => prop_assert_eq!(coprocessor, Err((8, 66))),
        }
    }
}

/// Keys and texts that do not work end the request, never the queue: Linux
/// takes it offline for most other codes.
#[test]
fn unusable_keys_and_texts() {
    let mut m = machine();
    let text_too_big = me(128, &[3], &[9], &[9]);
    assert_eq!(result(&mut m, &text_too_big), Err((8, 66)));
    assert_eq!(result(&mut m, &me(128, &[3], &[8], &[2])), Err((8, 65)));
    assert_eq!(result(&mut m, &me(128, &[3], &[], &[2])), Err((8, 65)));
    let primes: [&[u8]; 5] = [&[61], &[52], &[1], &[1], &[1]];
    assert_eq!(result(&mut m, &crt(128, primes, &[2])), Err((8, 65)));
    let huge = me(520, &[3], &[9], &[2]);
    assert_eq!(result(&mut m, &huge), Err((8, 72)));

    let good = me(128, &[3], &[9], &[2]);
    // 88 + 220 + 12 + 130: the key block; 6 on: the token; 8 on: the section
    for at in [450, 456, 464, 466, 470] {
        let mut bad = good.clone();
        bad[at] ^= 0x40;
        let code = result(&mut m, &bad).unwrap_err();
        assert!(matches!(code, (8, 65 | 72)), "byte {at}: {code:?}");
    }
    let mut encrypted = crt(128, [&[61], &[53], &[53], &[49], &[38]], &[65]);
    encrypted[464 + 28] = 0x42;
    assert_eq!(result(&mut m, &encrypted), Err((8, 65)));
    // the result would be longer than the modulus field
    let mut short = crt(
        128,
        [&[0xff; 64], &[0xfd; 64], &[1], &[1], &[1]],
        &[0xf0; 128],
    );
    short[464 + 65] = 100;
    assert_eq!(result(&mut m, &short), Err((8, 65)));
}

#[test]
fn refusals() {
    let mut m = machine();
    let unknown = cca(b"KG", b"AES     ", &[], DOMAIN);
    assert_eq!(codes(&mut m, &unknown), (8, 33));
    let unknown = cca(b"RL", b"ODD     ", &[0, 2, 0, 2], DOMAIN);
    assert_eq!(codes(&mut m, &unknown), (8, 33));
    let foreign = cca(b"RL", b"RANDOM  ", &[0, 2, 0, 2], 6);
    assert_eq!(ask(&mut m, &foreign).unwrap_err(), 0x8a);
    let mut tight = query(b"STATICSA");
    type6::put32(&mut tight, 72, 511);
    assert_eq!(ask(&mut m, &tight).unwrap_err(), 0xa0);
    let type50 = [0, 0x50, 1, 0x90, 0, 0, 0, 0, 0, 1, 0, 0, 0, 0, 0, 0];
    assert_eq!(ask(&mut m, &type50).unwrap_err(), 0x20);
}

/// Only a request that administers may name a control domain.
#[test]
fn control_domains() {
    let mut m = machine();
    let adm = [6, 0x47].map(Apqi::new).into_iter().collect();
    m.ap.set_domains(m.now, m.ap.matrix().aqm, adm).unwrap();
    let mut request = cca(b"XX", b"        ", &[], 6);
    assert_eq!(ask(&mut m, &request).unwrap_err(), 0x8a);
    request[88 + 7] = b'3';
    assert_eq!(codes(&mut m, &request), (8, 33));
    request[88 + 171] = 7;
    assert_eq!(ask(&mut m, &request).unwrap_err(), 0x8a);
}

#[test]
fn malformed_requests() {
    let mut m = machine();
    let good = random(4096);
    let mut error = |change: &dyn Fn(&mut Vec<u8>)| {
        let mut message = good.clone();
        change(&mut message);
        ask(&mut m, &message).expect_err("an error")
    };
    assert_eq!(error(&|r| r[1] = 0x50), 0x20);
    for length in [2, 87, 88, 88 + 219, 88 + 220, good.len() - 1] {
        assert_eq!(error(&|r| r.truncate(length)), 0x40, "length {length}");
    }
    // offset, agent, CPRBX length, version, length of the rules
    for at in [19, 32, 88 + 1, 88 + 2, 88 + 222] {
        assert_eq!(error(&|r| r[at] ^= 0x40), 0x40, "byte {at}");
    }
    for at in [56, 88 + 12] {
        assert_eq!(error(&|r| type6::put32(r, at, 0xffff_ffff)), 0x40);
    }
}
