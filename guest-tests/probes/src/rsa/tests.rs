// SPDX-License-Identifier: MIT OR Apache-2.0
//! The result against one computed by Python's `pow`.

extern crate std;
use super::*;
use std::vec::Vec;

/// `pow(message, 65537, modulus)` in hexadecimal.
const PYTHON: [&str; 4] = [
    "30e0f66d684853833fd27869ca9305e4347d46f7354b7f24c6ab82fd65c96b24",
    "a1d9f25c5369745b173933571f727dc8995087bc447000a8b45aa04d061d40db",
    "cc274a79274635da44494cb436fb85daca009752041154699ef43ae8002a18b4",
    "e195c6a95862e2d8e8ba10942f33ab753d8d4cc246bf96df8a06232f739377b2",
];

fn python() -> Vec<u8> {
    let digits = PYTHON.concat();
    let byte = |i| u8::from_str_radix(&digits[i..i + 2], 16).unwrap();
    (0..digits.len()).step_by(2).map(byte).collect()
}

fn reply(result: &[u8]) -> Vec<u8> {
    let mut reply = Vec::from([0, 0x80, 0, 144, 0, 0, 0, 0]);
    reply.resize(16, 0);
    reply.extend_from_slice(result);
    reply
}

#[test]
fn result_is_pythons() {
    assert_eq!(expected().as_slice(), python());
}

#[test]
fn small_numbers() {
    let number = |n| {
        let mut number = [0; LIMBS];
        number[0] = n;
        number
    };
    let modulus = number(1_000_003);
    assert_eq!(
        power(&number(2), 65537, &modulus),
        number(2_u64.modpow(65537, 1_000_003))
    );
    assert_eq!(power(&number(5), 1, &modulus), number(5));
    assert_eq!(power(&number(5), 0, &modulus), number(1));
}

trait ModPow {
    fn modpow(self, exponent: u32, modulus: u64) -> u32;
}

impl ModPow for u64 {
    fn modpow(self, exponent: u32, modulus: u64) -> u32 {
        (0..exponent).fold(1, |acc, _| acc * self % modulus) as u32
    }
}

#[test]
fn request_layout() {
    let request = request();
    assert_eq!(request.len(), 0x190);
    assert_eq!(request[..12], [0, 0x50, 1, 0x90, 0, 0, 0, 0, 0, 1, 0, 0]);
    assert_eq!(request[16..144][123..], [0, 0, 1, 0, 1]);
    // the message is below the modulus, which is odd
    assert!(request[272] < request[144] && request[271] % 2 == 1);
}

#[test]
fn replies() {
    assert_eq!(judge(&reply(&python())), Reply::Correct);
    let mut wrong = python();
    wrong[127] ^= 1;
    assert_eq!(judge(&reply(&wrong)), Reply::Wrong);
    assert_eq!(judge(&reply(&python()[1..])), Reply::Malformed);
    assert_eq!(judge(&[0, 0x82, 0, 0, 0x20, 0, 0, 0]), Reply::Error(0x20));
    assert_eq!(judge(&[]), Reply::Malformed);
    assert_eq!(judge(&[0, 0x86, 0, 0, 0, 0]), Reply::Malformed);
}
