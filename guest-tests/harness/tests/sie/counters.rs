// SPDX-License-Identifier: MIT OR Apache-2.0
//! Counters and trace events of SIE against a host that makes known numbers of
//! entries, interceptions and faults: `guest-tests/sie/src/counted.rs`.

use super::monitor::Machine;
use harness::config::project_root;
use serde_json::{Value, json};
use std::fs;
use std::path::{Path, PathBuf};

/// What the first CPU counts, as `query-x-s390x-sie` tells it.
fn wanted() -> Value {
    let counts = |of: &[(u64, u64)]| -> Vec<Value> {
        let one = |&(code, count)| json!({ "code": code, "count": count });
        of.iter().map(one).collect()
    };
    json!({
        "cpu": 0,
        "entries": 10 + 5 + 4 + 1,
        "nullified": 4,
        "tlb-flushes": 1 + 1 + 2 + 1,
        "pte-flushes": 1,
        "intercepts": counts(&[
            (0x04, 10 + 1), (0x08, 2), (0x1c, 1), (0x20, 2), (0x28, 1), (0x2c, 1),
        ]),
        "host-faults": counts(&[(0x04, 1), (0x11, 3)]),
        "instructions": counts(&[(0x0000, 1), (0x8300, 5 + 1), (0xb2b2, 3), (0xeb25, 2)]),
    })
}

/// The same as `info sie` prints it, and the second CPU, which enters no guest.
const PRINTED: &str = "\
CPU 0: entries 20, guest TLB flushes 5 and 1 by page-table entry, nullified 4
  interception 04: 11
  interception 08: 2
  interception 1c: 1
  interception 20: 2
  interception 28: 1
  interception 2c: 1
  host fault 04: 1
  host fault 11: 3
  instruction 0000: 1
  instruction 8300: 6
  instruction b2b2: 3
  instruction eb25: 2
CPU 1: entries 0, guest TLB flushes 0 and 0 by page-table entry, nullified 0
";

fn file(name: &str) -> PathBuf {
    Path::new(env!("CARGO_TARGET_TMPDIR")).join(name)
}

/// Runs the host until it powers off, which leaves the machine for questions.
fn counted(console: &Path, options: &[&str]) -> Machine {
    let kernel = project_root().join("target/share/sie-host");
    let kernel = kernel.to_str().unwrap();
    let chardev = format!("file,id=c,path={}", console.display());
    let mut arguments = vec!["-cpu", "max,sief2=on,edat=on", "-m", "128M", "-smp", "2"];
    arguments.extend(["-chardev", &chardev, "-device", "sclpconsole,chardev=c"]);
    arguments.extend(["-kernel", kernel, "-append", "count", "-no-shutdown", "-S"]);
    arguments.extend(options);
    let mut machine = Machine::start(&arguments);
    machine.ask("cont", &json!({}));
    machine.wait_for("SHUTDOWN");
    let ktap = fs::read_to_string(console).unwrap();
    let passed = ktap.lines().filter(|l| l.starts_with("ok ")).count();
    assert_eq!(passed, 5, "{ktap}");
    machine
}

#[test]
fn counters_tell_exactly_what_guests_were_entered_and_left_for() {
    let mut machine = counted(&file("counters.console"), &[]);
    let counters = machine.ask("x-query-s390x-sie", &json!({}));
    assert_eq!(counters[0], wanted());
    assert_eq!(counters[1]["entries"], 0, "{counters}");
    let info = json!({ "command-line": "info sie" });
    let printed = machine.ask("human-monitor-command", &info);
    assert_eq!(printed.as_str().unwrap().replace('\r', ""), PRINTED);
    machine.quit();
}

#[test]
fn each_entry_and_exit_has_its_trace_event() {
    let log = file("counters.trace");
    let path = log.to_str().unwrap();
    counted(
        &file("trace.console"),
        &["-D", path, "-trace", "enable=sie_*"],
    )
    .quit();
    let text = fs::read_to_string(&log).unwrap();
    let lines = |start: &str| text.lines().filter(|l| l.starts_with(start)).count();
    for (event, count) in [
        ("sie_enter cpu 0 ", 20),
        ("sie_leave cpu 0 ", 20),
        ("sie_validity cpu 0 ", 2),
        // instructions, and operation exceptions
        ("sie_insn cpu 0 ", 12),
        ("sie_program cpu 0 ", 2),
        ("sie_host_fault cpu 0 ", 4),
        ("sie_", 20 + 20 + 2 + 12 + 2 + 4),
        // and what they tell
        ("sie_insn cpu 0 code 0x04 insn 0x830000440000", 6),
        ("sie_insn cpu 0 code 0x04 insn 0xeb0106000025", 2),
        ("sie_insn cpu 0 code 0x2c insn 0x0000", 1),
        ("sie_program cpu 0 program interruption 0x0009 ilen 4", 2),
        ("sie_host_fault cpu 0 program interruption 0x11 teid ", 3),
    ] {
        assert_eq!(lines(event), count, "{event}:\n{text}");
    }
    let behind = "code 0x28 guest psw 0x0002000180000000 0x0000000000010000";
    assert!(text.contains(behind), "{text}");
}
