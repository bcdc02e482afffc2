// SPDX-License-Identifier: MIT OR Apache-2.0
//! The C driver and ours answer the same script alike, line by line.

use crate::script::{
    ABOVE, HIGHEST, MALFORMED, MALFORMED_CONFIG, TOO_HIGH, farewell, highest, requests, script,
};
use crate::{LIMIT, boot, boot_on, must_be_listed};
use harness::vfio::VfioClient;
use harness::{Driver, Exit, Machine};

/// A line of the answer that may differ.
struct Difference {
    c: &'static str,
    rust: &'static str,
    /// The beginning of the row in docs/differences.md that says why.
    row: &'static str,
}

/// The row of what only the C driver takes.
const AP_CONFIG: &str = "`ap_config` takes exactly three masks";

/// All that may differ, in the order of the script.
const ALLOWED: &[Difference] = &[
    Difference {
        c: "log: vfio_ap matrix: MDEV: Registered|",
        rust: "log: vfio_ap: loading out-of-tree module taints kernel.|vfio_ap matrix: MDEV: Registered|",
        row: "The kernel says at the first load that the module is from outside its tree",
    },
    Difference {
        c: "attribute explain: none",
        rust: "attribute explain: -r--r--r--",
        row: "`explain` in every mdev",
    },
    Difference {
        c: "ap_config <- ,,: ok",
        rust: "ap_config <- ,,: Invalid argument",
        row: AP_CONFIG,
    },
    MASKS_KEPT,
    Difference {
        c: "ap_config <- 0,0,0,0: ok",
        rust: "ap_config <- 0,0,0,0: Invalid argument",
        row: AP_CONFIG,
    },
    MASKS_KEPT,
    Difference {
        c: "ap_config <- 0x,0,0: ok",
        rust: "ap_config <- 0x,0,0: Invalid argument",
        row: AP_CONFIG,
    },
    MASKS_KEPT,
    Difference {
        c: r"ap_config <- 0,0,0\0junk: ok",
        rust: r"ap_config <- 0,0,0\0junk: Invalid argument",
        row: AP_CONFIG,
    },
    MASKS_KEPT,
    Difference {
        c: r"ap_config <- 0,0\n0,0: ok",
        rust: r"ap_config <- 0,0\n0,0: Invalid argument",
        row: AP_CONFIG,
    },
    MASKS_KEPT,
    Difference {
        c: r"ap_config <- \n0,0,0: ok",
        rust: r"ap_config <- \n0,0,0: Invalid argument",
        row: AP_CONFIG,
    },
    MASKS_KEPT,
    Difference {
        c: "log: vfio_ap_mdev 62177883-f1bb-47f0-914d-32a22e3a8804: Can not reserve queue 05.0004 for host driver: in use by mdev|vfio_ap_mdev 62177883-f1bb-47f0-914d-32a22e3a8804: Can not reserve queue 05.0005 for host driver: in use by mdev|",
        rust: "log: vfio_ap_mdev 62177883-f1bb-47f0-914d-32a22e3a8804: Can not reserve queue 05.0004 and 1 more for host driver: in use by mdev|",
        row: "One line in the log per refused write or mask",
    },
    Difference {
        c: "set-irqs dev 20 0x24 1 0 0 change: ok",
        rust: "set-irqs dev 20 0x24 1 0 0 change: EINVAL",
        row: "`SET_IRQS` with a count of 0 is EINVAL",
    },
];

/// The masks that stood before a write that only C takes.
const MASKS_KEPT: Difference = Difference {
    c: "0x0000,0x0000,0x0000",
    rust: "0x0400,0x0400,0x0400",
    row: AP_CONFIG,
};

/// What neither driver may allow, so that they cannot agree on the wrong thing.
const REFUSALS: &[&str] = &[
    "assign_domain <- 4: Address already in use",
    "ap_config <- 0x02,0x08,0x00: Address already in use",
    r"apmask <- +5\n: Device or resource busy",
    "assign_adapter <- 7: Cannot assign requested address",
];

#[test]
fn every_difference_has_its_row() {
    for difference in ALLOWED {
        must_be_listed(difference.row);
    }
    // what the script leaves out of the log
    must_be_listed("A reset that lasts is told in the log every ten seconds");
}

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
        panic!("no longer differs ({}): {}", difference.row, difference.c);
    }
}

#[test]
fn both_drivers_know_the_highest_numbers() {
    for (name, driver) in [("highest-c", Driver::C), ("highest-rust", Driver::Rust)] {
        let machine = boot_on("one-card", 1, name, driver, |_| {});
        let lines = run(&machine, &highest());
        let (taken, rest) = lines.split_at(HIGHEST.len());
        let blocks: Vec<&[String]> = rest.split(|line| line.starts_with("== ")).collect();
        assert!(taken.iter().all(|line| line.ends_with(": ok")), "{taken:?}");
        let [_, before, after] = blocks[..] else {
            panic!("{lines:?}");
        };
        let (before, refused) = before.split_at(before.len() - TOO_HIGH.len());
        let above = |line: &String| line.ends_with(&format!(": {ABOVE}"));
        assert!(refused.iter().all(above), "{refused:?}");
        assert_eq!(before, after);
        machine.shutdown().unwrap();
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
    let answers = requests.iter().map(|request| {
        let mut answer = client.ask(request).unwrap();
        if request.starts_with("time ") {
            // how long it took is of no interest
            let refused = answer.contains(['!', 'E']);
            answer = if refused { "refused" } else { "ok" }.to_owned();
        }
        format!("{request}: {answer}")
    });
    let answers = answers.collect();
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
/// state before and after; so has that of empty writes, which came first of what
/// a user of the devices asked.
fn malformed_writes_change_nothing(lines: &[String]) {
    let blocks: Vec<&[String]> = lines
        .split(|line| line.starts_with("== "))
        .skip(1)
        .collect();
    assert_eq!(blocks.len(), 10);
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
    let empty = blocks[8];
    let is_empty = |line: &String| line.starts_with("time ");
    let (before, rest) = empty.split_at(empty.iter().position(is_empty).unwrap());
    assert!(rest[0].ends_with(": ok"), "{}", rest[0]);
    assert_eq!(before, &rest[rest.len() - before.len()..]);
}
