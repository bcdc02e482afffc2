// SPDX-License-Identifier: MIT OR Apache-2.0
//! The C driver and ours answer the same script alike, line by line.

use crate::script::{MALFORMED, MALFORMED_CONFIG, farewell, requests, script};
use crate::{LIMIT, boot};
use harness::vfio::VfioClient;
use harness::{Driver, Exit, Machine};

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
        c: r"ap_config <- \n0,0,0: ok",
        rust: r"ap_config <- \n0,0,0: Invalid argument",
        reason: "an empty mask is a typing error, not zero",
    },
    MASKS_KEPT,
    Difference {
        c: "log: Can not reserve queue 05.0004 for host driver: in use by mdev|Can not reserve queue 05.0005 for host driver: in use by mdev|",
        rust: "log: Can not reserve queue 05.0004 and 1 more for host driver: in use by mdev|",
        reason: "one line in the log for a refused mask, not one a queue",
    },
    Difference {
        c: "set-irqs dev 20 0x24 1 0 0 change: ok",
        rust: "set-irqs dev 20 0x24 1 0 0 change: EINVAL",
        reason: "without a count there is no eventfd",
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

/// What a driver prints, and answers to the user of its devices.
fn answers(name: &str, driver: Driver) -> Vec<String> {
    let ours = driver == Driver::Rust;
    let machine = boot(name, driver);
    let mut lines = run(&machine, &script());
    let by_group = ask_all(&machine, &requests());
    // The C driver issues AQIC when a device is closed that was opened by
    // iommufd, which no machine without AP interrupts survives (W20).
    if ours {
        same_by_iommufd(&machine, &by_group);
    }
    lines.extend(by_group);
    lines.extend(run(&machine, &farewell()));
    assert_eq!(lines.last().map(String::as_str), Some("unloaded"));
    machine.shutdown().unwrap();
    lines
}

/// The answers to a user of the devices.
fn ask_all(machine: &Machine, requests: &[String]) -> Vec<String> {
    let mut client = VfioClient::start(machine);
    let answer = |request: &String| format!("{request}: {}", client.ask(request).unwrap());
    let answers = requests.iter().map(answer).collect();
    client.end().unwrap();
    answers
}

/// A device does not tell how it was opened.
fn same_by_iommufd(machine: &Machine, by_group: &[String]) {
    let by_iommufd = |request: String| request.replace("open dev group", "open dev cdev");
    let requests: Vec<String> = requests().into_iter().map(by_iommufd).collect();
    let answers = ask_all(machine, &requests);
    let pairs = by_group.iter().zip(&answers);
    // The core refuses a second user of either kind, by different errors.
    for (group, iommufd) in pairs.filter(|(group, _)| !group.starts_with("open two")) {
        assert_eq!(*iommufd, group.replace("open dev group", "open dev cdev"));
    }
}

/// The lines that a script prints.
fn run(machine: &Machine, script: &str) -> Vec<String> {
    machine
        .write_file("/tmp/script", 0o644, script.as_bytes())
        .unwrap();
    let output = machine.shell("sh /tmp/script", 2 * LIMIT).unwrap();
    assert_eq!(output.exit, Exit::Status(0), "{output:?}");
    assert_eq!(output.stderr, "");
    output.stdout.lines().map(str::to_owned).collect()
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
