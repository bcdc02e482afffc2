// SPDX-License-Identifier: MIT OR Apache-2.0
//! A case: an RSA operation and its right result.

use crate::ioctl;
use nix::errno::Errno;
use std::fs::File;

/// One line of the file.
pub struct Case {
    result: Vec<u8>,
    message: Vec<u8>,
    key: Key,
}

enum Key {
    Modexpo {
        exponent: Vec<u8>,
        modulus: Vec<u8>,
    },
    Crt {
        dp: Vec<u8>,
        dq: Vec<u8>,
        p: Vec<u8>,
        q: Vec<u8>,
        u: Vec<u8>,
    },
}

impl Case {
    /// Reads a line.
    ///
    /// # Errors
    /// What is wrong with it, in words.
    pub fn parse(line: &str) -> Result<Self, String> {
        let mut words = line.split_whitespace();
        let kind = words.next().ok_or("an empty line")?;
        let numbers = words.map(bytes).collect::<Result<Vec<_>, _>>()?;
        let (result, message, key) = match (kind, <[Vec<u8>; 4]>::try_from(numbers)) {
            ("me", Ok([result, message, exponent, modulus])) => {
                (result, message, Key::Modexpo { exponent, modulus })
            }
            ("crt", Err(numbers)) => {
                let [result, message, dp, dq, p, q, u] = <[Vec<u8>; 7]>::try_from(numbers)
                    .map_err(|all| format!("crt with {} numbers", all.len()))?;
                (result, message, Key::Crt { dp, dq, p, q, u })
            }
            _ => return Err(format!("no case: {kind} ...")),
        };
        Ok(Self {
            result,
            message,
            key,
        })
    }

    /// The right result.
    pub fn result(&self) -> &[u8] {
        &self.result
    }

    /// What the device says the result is.
    ///
    /// # Errors
    /// The kernel's refusal.
    pub fn perform(&self, device: &File) -> Result<Vec<u8>, Errno> {
        let message = &self.message;
        match &self.key {
            Key::Modexpo { exponent, modulus } => {
                ioctl::modexpo(device, message, exponent, modulus)
            }
            Key::Crt { dp, dq, p, q, u } => ioctl::crt(device, message, [dp, dq, p, q, u]),
        }
    }
}

fn bytes(digits: &str) -> Result<Vec<u8>, String> {
    if !digits.is_ascii() || !digits.len().is_multiple_of(2) {
        return Err(format!("no number of whole bytes: {digits}"));
    }
    (0..digits.len())
        .step_by(2)
        .map(|i| u8::from_str_radix(&digits[i..i + 2], 16).map_err(|e| format!("{digits}: {e}")))
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    const HALF: &str = "00112233";

    #[test]
    fn lines_that_are_no_case_are_told() {
        assert!(Case::parse("me 01 02 03 04").is_ok());
        assert!(Case::parse("crt 01 02 03 04 05 06 07").is_ok());
        for line in [
            "",
            "me 01 02 03",
            "crt 01 02 03 04",
            "me 0 0 0 0",
            "me é é é é",
            "x 01",
        ] {
            assert!(Case::parse(line).is_err(), "{line}");
        }
    }

    /// The kernel is asked only when it will find the bytes it is going to read.
    #[test]
    fn only_numbers_of_fitting_lengths_are_passed_on() {
        let padded = format!("0000000000000000{HALF}");
        let whole = format!("{HALF}{HALF}");
        let crt = format!("crt {whole} {whole} {padded} {HALF} {padded} {HALF} {padded}");
        let no_device = File::open("/dev/null").unwrap();
        let perform = |line: &str| Case::parse(line).unwrap().perform(&no_device);

        assert_eq!(perform(&crt), Err(Errno::ENOTTY));
        let modexpo = format!("me {whole} {whole} {whole} {whole}");
        assert_eq!(perform(&modexpo), Err(Errno::ENOTTY));
        for line in [
            format!("me {whole} {whole} {whole} {HALF}"),
            format!("me {whole} {whole} {HALF} {whole}"),
            crt.replace(&format!(" {padded}"), &format!(" {HALF}")),
            crt.replace(&format!(" {padded} {HALF}"), &format!(" {padded} {padded}")),
        ] {
            assert_eq!(perform(&line), Err(Errno::EINVAL), "{line}");
        }
    }
}
