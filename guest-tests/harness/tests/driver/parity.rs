// SPDX-License-Identifier: MIT OR Apache-2.0
//! The C driver and ours answer the same script alike, line by line.

use crate::script::{MALFORMED, MALFORMED_CONFIG, script};
use crate::{LIMIT, boot};
use harness::{Driver, Exit};

/// A line of the answer that may differ.
struct Difference {
    c: &'static str,
    rust: &'static str,
    /// As in docs/differences.md.
    reason: &'static str,
}

/// All that may differ, in the order of the script.
const ALLOWED: &[Difference] = &[
    Difference {
        c: "attribute explain: none",
        rust: "attribute explain: -r--r--r--",
        reason: "the attribute is new",
    },
    Difference {
        c: "ap_config <- ,,: ok",
        rust: "ap_config <- ,,: Invalid argument",
        reason: "an empty mask is a typing error, not zero",
    },
    MASKS_KEPT,
    Difference {
        c: "ap_config <- 0,0,0,0: ok",
        rust: "ap_config <- 0,0,0,0: Invalid argument",
        reason: "what follows the masks is not ignored",
    },
    MASKS_KEPT,
    Difference {
        c: "ap_config <- 0x,0,0: ok",
        rust: "ap_config <- 0x,0,0: Invalid argument",
        reason: "an empty mask is a typing error, not zero",
    },
    MASKS_KEPT,
    Difference {
        c: r"ap_config <- 0,0,0\0junk: ok",
        rust: r"ap_config <- 0,0,0\0junk: Invalid argument",
        reason: "what follows the masks is not ignored",
    },
    MASKS_KEPT,
    Difference {
        c: r"ap_config <- 0,0\n0,0: ok",
        rust: r"ap_config <- 0,0\n0,0: Invalid argument",
        reason: "what follows a newline is not ignored",
    },
    MASKS_KEPT,
    Difference {
        c: "log: Can not reserve queue 05.0004 for host driver: in use by mdev|Can not reserve queue 05.0005 for host driver: in use by mdev|",
        rust: "log: Can not reserve queue 05.0004 and 1 more for host driver: in use by mdev|",
        reason: "one line in the log for a refused mask, not one a queue",
    },
];

/// The masks that stood before a write that only C takes.
const MASKS_KEPT: Difference = Difference {
    c: "0x0000,0x0000,0x0000",
    rust: "0x0400,0x0400,0x0400",
    reason: "a typing error must not take a guest's adapters",
};

/// What neither driver may allow, so that they cannot agree on the wrong thing.
const REFUSALS: &[&str] = &[
    "assign_domain <- 4: Address already in use",
    "ap_config <- 0x02,0x08,0x00: Address already in use",
    r"apmask <- +5\n: Device or resource busy",
    "assign_adapter <- 7: Cannot assign requested address",
];

#[test]
fn both_drivers_answer_alike() {
    let c = answers("parity-c", Driver::C);
    let rust = answers("parity-rust", Driver::Rust);
    for lines in [&c, &rust] {
        malformed_writes_change_nothing(lines);
        for refusal in REFUSALS {
            assert!(lines.iter().any(|line| line == refusal), "{refusal}");
        }
    }

    let mut allowed = ALLOWED.iter().peekable();
    let mut wrong = Vec::new();
    for (c, rust) in c.iter().zip(&rust).filter(|(c, rust)| c != rust) {
        match allowed.peek() {
            Some(difference) if difference.c == c && difference.rust == rust => {
                allowed.next();
            }
            _ => wrong.push(format!("C:    {c}\nRust: {rust}")),
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
    assert_eq!(c.len(), rust.len());
    if let Some(difference) = allowed.next() {
        panic!(
            "no longer differs ({}): {}",
            difference.reason, difference.c
        );
    }
}

/// What a driver prints.
fn answers(name: &str, driver: Driver) -> Vec<String> {
    let machine = boot(name, driver);
    machine
        .write_file("/tmp/script", 0o644, script().as_bytes())
        .unwrap();
    let output = machine.shell("sh /tmp/script", 2 * LIMIT).unwrap();
    let lines: Vec<String> = output.stdout.lines().map(str::to_owned).collect();
    assert_eq!(output.exit, Exit::Status(0), "{output:?}");
    assert_eq!(output.stderr, "");
    assert_eq!(lines.last().map(String::as_str), Some("unloaded"));
    machine.shutdown().unwrap();
    lines
}

/// Each block of malformed writes has the errors of the table, and the same
/// state before and after.
fn malformed_writes_change_nothing(lines: &[String]) {
    let blocks: Vec<&[String]> = lines
        .split(|line| line.starts_with("== "))
        .skip(1)
        .collect();
    assert_eq!(blocks.len(), 8);
    for (number, block) in blocks[..7].iter().enumerate() {
        let table = if number == 6 {
            MALFORMED_CONFIG
        } else {
            MALFORMED
        };
        let is_write = |line: &String| line.contains(" <- ");
        let (before, rest) = block.split_at(block.iter().position(is_write).unwrap());
        let (writes, rest) = rest.split_at(table.len());
        for (line, (value, error)) in writes.iter().zip(table) {
            assert!(line.ends_with(&format!(": {error}")), "{value}: {line}");
        }
        assert_eq!(before, &rest[..before.len()]);
    }
}
