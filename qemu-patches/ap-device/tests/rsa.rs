// SPDX-License-Identifier: MIT OR Apache-2.0
//! Type 50 requests against crypto-bigint, which is not the engine's
//! implementation, and against a number computed by hand.

mod common;

use common::*;
use crypto_bigint::modular::{BoxedMontyForm, BoxedMontyParams};
use crypto_bigint::{BoxedUint, ConcatenatingMul, Odd};
use proptest::prelude::*;

const SIZES: [usize; 3] = [128, 256, 512];

/// A type 50 request; operands are right-aligned in fields of their sizes.
fn request(format: u16, fields: &[(&[u8], usize)]) -> Vec<u8> {
    let mut message = vec![0; 16];
    for (operand, size) in fields {
        message.extend(std::iter::repeat_n(0, size - operand.len()));
        message.extend_from_slice(operand);
    }
    message[1] = 0x50;
    let length = message.len() as u16;
    message[2..4].copy_from_slice(&length.to_be_bytes());
    message[8..10].copy_from_slice(&format.to_be_bytes());
    message
}

fn me(n: usize, exponent: &[u8], modulus: &[u8], message: &[u8]) -> Vec<u8> {
    let format = 1 + SIZES.iter().position(|&size| size == n).unwrap() as u16;
    request(format, &[(exponent, n), (modulus, n), (message, n)])
}

fn crt(n: usize, [p, q, dp, dq, u]: [&[u8]; 5], message: &[u8]) -> Vec<u8> {
    let format = 0x11 + SIZES.iter().position(|&size| size == n).unwrap() as u16;
    let h = n / 2;
    request(
        format,
        &[(p, h), (q, h), (dp, h), (dq, h), (u, h), (message, n)],
    )
}

/// The result in a reply, the reply checked to be what Linux takes.
fn result(reply: &[u8]) -> Result<Vec<u8>, u8> {
    match reply[1] {
        0x80 => {
            let length = u16::from_be_bytes([reply[2], reply[3]]);
            assert_eq!(usize::from(length), reply.len());
            assert!(reply.len() <= 0x210, "Linux would stop");
            assert!(reply[4..16].iter().all(|&b| b == 0));
            Ok(reply[16..].to_vec())
        }
        0x82 => {
            assert_eq!(reply.len(), 8);
            Err(reply[4])
        }
        other => panic!("reply type {other:02x}"),
    }
}

fn pow(base: &[u8], exponent: &[u8], modulus: &[u8]) -> Vec<u8> {
    let bits = 8 * modulus.len() as u32;
    let number = |bytes: &[u8]| BoxedUint::from_be_slice(bytes, bits).unwrap();
    let modulus = Odd::new(number(modulus)).unwrap();
    let params = BoxedMontyParams::new_vartime(modulus);
    let result = BoxedMontyForm::new(number(base), &params).pow(&number(exponent));
    result.retrieve().to_be_bytes().to_vec()
}

fn odd(mut bytes: Vec<u8>) -> Vec<u8> {
    *bytes.last_mut().unwrap() |= 1;
    bytes
}

/// Random bytes, sometimes with leading zeros.
fn number(n: usize) -> impl Strategy<Value = Vec<u8>> {
    let bytes = proptest::collection::vec(any::<u8>(), n);
    (bytes, prop_oneof![Just(0), 0..n]).prop_map(|(mut bytes, zeros)| {
        bytes[..zeros].fill(0);
        bytes
    })
}

fn me_case() -> impl Strategy<Value = (usize, Vec<u8>, Vec<u8>, Vec<u8>)> {
    prop::sample::select(&SIZES[..])
        .prop_flat_map(|n| (Just(n), number(n), number(n).prop_map(odd), number(n)))
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(48))]

    #[test]
    fn me_equals_another_implementation((n, e, modulus, message) in me_case()) {
        let reply = machine().ask(ACCEL, &me(n, &e, &modulus, &message));
        if message < modulus {
            prop_assert_eq!(result(&reply), Ok(pow(&message, &e, &modulus)));
        } else {
            prop_assert_eq!(result(&reply), Err(0x82));
        }
    }

    /// For any odd p and q without a common factor, CRT gives the number below
    /// pq with the right remainders.
    #[test]
    fn crt_has_the_right_remainders(
        (n, p, q, dp, dq) in prop::sample::select(&SIZES[..]).prop_flat_map(|n| {
            let h = n / 2;
            (Just(n), number(h).prop_map(odd), number(h).prop_map(odd), number(h), number(h))
        }),
        message in any::<u64>(),
    ) {
        let bits = 8 * (n / 2) as u32;
        let big = |bytes: &[u8]| BoxedUint::from_be_slice(bytes, bits).unwrap();
        let inverse = big(&q).invert_mod(&big(&p).to_nz().unwrap());
        prop_assume!(bool::from(inverse.is_some()));
        let u = inverse.unwrap().to_be_bytes();
        let message = message.to_be_bytes();
        let request = crt(n, [&p, &q, &dp, &dq, &u], &message);
        let reply = result(&machine().ask(ACCEL, &request));
        let product = big(&p).concatenating_mul(&big(&q));
        if BoxedUint::from_be_slice(&message, 16 * bits).unwrap() >= product {
            prop_assert_eq!(reply, Err(0x82));
            return Ok(());
        }
        let reply = reply.unwrap();
        prop_assert!(BoxedUint::from_be_slice(&reply, 2 * bits).unwrap() < product);
        for (prime, d) in [(&p, &dp), (&q, &dq)] {
            let prime = big(prime).to_nz().unwrap();
            let wide = BoxedUint::from_be_slice(&reply, 2 * bits).unwrap();
            let remainder = wide.rem_vartime(&prime);
            let base = BoxedUint::from_be_slice(&message, bits.max(64)).unwrap();
            let base = base.rem_vartime(&prime).to_be_bytes();
            let expected = pow(&base[base.len() - n / 2..], d, &prime.get().to_be_bytes());
            let remainder = remainder.to_be_bytes();
            prop_assert_eq!(&remainder[remainder.len() - n / 2..], &expected[..]);
        }
    }
}

/// p = 61, q = 53, n = 3233, e = 17, d = 2753: 65 becomes 2790 and back; with
/// p and q either way round.
#[test]
fn the_textbook_key() {
    let mut m = machine();
    for n in SIZES {
        let mut expect = vec![0; n];
        expect[n - 2..].copy_from_slice(&2790u16.to_be_bytes());
        let reply = m.ask(ACCEL, &me(n, &[17], &3233u16.to_be_bytes(), &[65]));
        assert_eq!(result(&reply), Ok(expect));

        let mut expect = vec![0; n];
        expect[n - 1] = 65;
        let message = 2790u16.to_be_bytes();
        // d mod 60 = 53, d mod 52 = 49, 53^-1 mod 61 = 38, 61^-1 mod 53 = 20
        for key in [[61, 53, 53, 49, 38], [53, 61, 49, 53, 20]] {
            let key = key.map(|number: u8| [number]);
            let key: [&[u8]; 5] = std::array::from_fn(|i| &key[i][..]);
            let reply = m.ask(ACCEL, &crt(n, key, &message));
            assert_eq!(result(&reply), Ok(expect.clone()));
        }
    }
}

#[test]
fn edges() {
    let mut m = machine();
    let mut ask = |e: &[u8], modulus: &[u8], message: &[u8]| {
        let reply = result(&m.ask(ACCEL, &me(128, e, modulus, message)))?;
        Ok(reply[127])
    };
    assert_eq!(ask(&[0], &[9], &[5]), Ok(1));
    assert_eq!(ask(&[0], &[1], &[0]), Ok(0));
    assert_eq!(ask(&[3], &[1], &[0]), Ok(0));
    assert_eq!(ask(&[3], &[9], &[0]), Ok(0));
    assert_eq!(ask(&[1], &[9], &[8]), Ok(8));
    assert_eq!(ask(&[1], &[9], &[9]), Err(0x82));
    assert_eq!(ask(&[1], &[8], &[1]), Err(0x85));
    assert_eq!(ask(&[1], &[0], &[0]), Err(0x84));
}

#[test]
fn malformed_requests() {
    let mut m = machine();
    let good = me(128, &[3], &[9], &[2]);
    let mut error = |change: &dyn Fn(&mut Vec<u8>)| {
        let mut message = good.clone();
        change(&mut message);
        result(&m.ask(ACCEL, &message)).expect_err("an error")
    };
    assert_eq!(error(&|r| r[1] = 0x06), 0x20);
    assert_eq!(error(&|r| r.truncate(1)), 0x20);
    assert_eq!(error(&|r| r.truncate(15)), 0x80);
    assert_eq!(error(&|r| r.truncate(0x18f)), 0x80);
    assert_eq!(error(&|r| r.push(0)), 0x80);
    assert_eq!(error(&|r| r[3] -= 1), 0x80);
    assert_eq!(error(&|r| r[9] = 2), 0x80, "length of another format");
    for format in [0, 4, 0x10, 0x14] {
        assert_eq!(error(&|r| r[9] = format), 0x29);
    }
    for at in [0, 4, 6, 7, 10, 15] {
        assert_eq!(error(&|r| r[at] = 1), 0x24, "byte {at}");
    }
    let mut even = crt(128, [&[61], &[52], &[1], &[1], &[1]], &[1]);
    assert_eq!(result(&m.ask(ACCEL, &even)), Err(0x85));
    even[16..80].fill(0);
    assert_eq!(result(&m.ask(ACCEL, &even)), Err(0x84));
}

/// Byte 5 of the header is ignored, as its name says.
#[test]
fn the_ignored_byte() {
    let mut message = me(128, &[3], &[9], &[2]);
    message[5] = 0xff;
    assert!(result(&machine().ask(ACCEL, &message)).is_ok());
}
