// SPDX-License-Identifier: MIT OR Apache-2.0
//! The grammar: what is read, and what is refused where.

use super::file::Scenario;
use super::grammar::{Action, Operation, Reserved};
use super::needs::Instead;
use crate::config::project_root;
use std::path::Path;
use std::time::Duration;

const EXAMPLE: &str = r#"
name = "adapter follows the host"
topology = "twelve-by-sixteen.toml"
vfio-ap = "all"
[[mdev]]
id = "a"
[[guest]]
id = "g"
kind = "probe"
mdev = "a"
cpus = 1
memory = "256M"
[[step]]
assign = { mdev = "a", adapters = [5], domains = [4], control-domains = [4] }
expect = { guest-matrix = { a = ["05.0004"] } }
[[step]]
start = "g"
expect = { guest-sees = { g = { adapters = [5], domains = [4], control-domains = [4] } } }
[[step]]
machine = { config = { apid = 5, on = false } }
within-ms = 5000
expect = { guest-tapq = { g = { "05.0004" = 0x03 } }, guest-sees = { g = { adapters = [5] } } }
[[step]]
machine = { remove-adapter = 5 }
expect = { guest-sees = { g = { adapters = [] } }, explain = { a = ["adapter 05 not-in-host"] } }
"#;

fn parse(text: &str) -> Result<Scenario, String> {
    Scenario::parse(Path::new("dir/s.toml"), text).map_err(|e| e.to_string())
}

#[test]
fn a_scenario_is_read() {
    let scenario = parse(EXAMPLE).unwrap();
    assert_eq!(scenario.name, "adapter follows the host");
    assert_eq!(
        scenario.topology.as_ref(),
        Path::new("twelve-by-sixteen.toml")
    );
    assert_eq!(scenario.reserved, Reserved::default());
    assert_eq!(scenario.steps.len(), 4);
    let lines: Vec<usize> = scenario.steps.iter().map(|s| s.line).collect();
    assert_eq!(lines, [13, 16, 19, 23]);
    assert_eq!(scenario.steps[0].within, Duration::from_secs(10));
    assert_eq!(scenario.steps[2].within, Duration::from_secs(5));
    let Action::Machine(Operation::Config(switch)) = &scenario.steps[2].action else {
        panic!("{:?}", scenario.steps[2].action);
    };
    assert_eq!((switch.apid, switch.on), (5, false));
    assert!(
        scenario.steps[3]
            .expect
            .explain
            .values()
            .all(|l| l.len() == 1)
    );
}

/// A step after what every scenario needs; it begins in line 7.
fn step(text: &str) -> Result<Scenario, String> {
    let head = "name = \"x\"\ntopology = \"t\"\n[[mdev]]\nid = \"a\"\n[[guest]]\nid = \"g\"\n";
    parse(&format!("{head}[[step]]\n{text}\n"))
}

#[test]
fn every_action_is_read() {
    for text in [
        "assign = { mdev = \"a\", adapters = [0, 255] }",
        "unassign = { mdev = \"a\", control-domains = [4] }",
        "ap-config = { mdev = \"a\" }",
        "write = { path = \"/sys/x\", data = \"1\" }",
        "machine = { config = { apid = 5, on = false } }",
        "machine = { checkstop = { apid = 5, on = true } }",
        "machine = { add-adapter = { apid = 0x33, mode = \"ep11\", generation = 7 } }",
        "machine = { remove-adapter = 5 }",
        "machine = { add-domain = 5 }",
        "machine = { remove-domain = 5 }",
        "machine = { add-control-domain = 5 }",
        "machine = { remove-control-domain = 5 }",
        "machine = { fault = { apqn = \"05.0004\", on = \"zapq\", rc = 2, times = 3 } }",
        "machine = { clear-faults = true }",
        "bind = { apqn = \"05.0004\", driver = \"vfio_ap\" }",
        "unbind = { apqn = \"05.0004\", driver = \"vfio_ap\" }",
        "apmask = \"+5\"",
        "aqmask = \"0x0\"",
        "create-mdev = \"b\"",
        "remove-mdev = \"a\"",
        "start = \"g\"",
        "stop = \"g\"",
        "kill = \"g\"",
        "reset = \"g\"",
        "attach = { guest = \"g\", mdev = \"a\" }",
        "detach = { guest = \"g\", mdev = \"a\" }",
        "crypto = { guest = \"g\", apqn = \"05.0004\", requests = 3, collect = false }",
        "run = \"true\"",
        "pause-ms = 5\nonly = \"rust\"",
    ] {
        let scenario = step(text).unwrap();
        assert_eq!(scenario.steps.len(), 1, "{text}");
        assert!(!scenario.steps[0].action.to_string().is_empty());
    }
}

#[test]
fn errors_name_file_line_and_key() {
    let start = |expect: &str| format!("start = \"g\"\nexpect = {{ {expect} }}");
    for (text, error) in [
        ("", "dir/s.toml:7: step: a step needs an action"),
        (
            "start = \"g\"\nstop = \"g\"",
            "dir/s.toml:7: step: a step has exactly one action",
        ),
        (
            "begin = \"g\"",
            "dir/s.toml:8: begin: unknown field `begin`",
        ),
        (
            "start = \"h\"",
            "dir/s.toml:8: start: there is no guest \"h\", only [g]",
        ),
        (
            "assign = { mdev = \"b\", adapters = [5] }",
            "dir/s.toml:8: mdev: there is no mdev \"b\", only [a]",
        ),
        (
            "assign = { mdev = \"a\", adapters = [\n  5, 256] }",
            "dir/s.toml:9: adapters: invalid value: integer `256`",
        ),
        (
            "assign = { mdev = \"a\", adapter = [5] }",
            "dir/s.toml:8: adapter: unknown field",
        ),
        (
            "write = { path = \"/x\", data = \"1\", mode = 7 }",
            "dir/s.toml:8: mode: unknown field",
        ),
        (
            "unbind = { apqn = \"05.0004\", from = \"vfio_ap\" }",
            "dir/s.toml:8: from: unknown field",
        ),
        (
            "crypto = { guest = \"g\", apqn = \"05.0004\", times = 3 }",
            "dir/s.toml:8: times: unknown field",
        ),
        (
            "attach = { guest = \"g\", mdev = \"a\", events = false }",
            "dir/s.toml:8: events: unknown field",
        ),
        (
            "machine = { config = { apid = 5, off = true } }",
            "dir/s.toml:8: off: unknown field",
        ),
        (
            "machine = { add-card = 5 }",
            "dir/s.toml:8: add-card: unknown field",
        ),
        (
            "machine = { fault = { on = \"zapq\", rc = 2, time = 3 } }",
            "dir/s.toml:8: fault: time: unknown",
        ),
        (
            "machine = { add-adapter = { apid = 5, mode = \"cca\", gen = 8 } }",
            "dir/s.toml:8: add-adapter: gen: unknown",
        ),
        (
            "create-mdev = \"../x\"",
            "dir/s.toml:8: create-mdev: \"../x\" is not of letters",
        ),
        (
            "bind = { apqn = \"5.4\", driver = \"x\" }",
            "dir/s.toml:8: apqn: \"5.4\" is no queue",
        ),
        ("machine = {}", "dir/s.toml:8: machine: exactly one change"),
        (
            "machine = { add-domain = 5, remove-domain = 4 }",
            "dir/s.toml:8: machine: exactly one change",
        ),
        (
            "machine = { add-domain = 300 }",
            "dir/s.toml:8: add-domain: invalid value",
        ),
        (
            "machine = { clear-faults = false }",
            "dir/s.toml:8: clear-faults: can only be true",
        ),
        (
            "machine = { fault = { apqn = \"05.0004\", on = \"zapq\" } }",
            "dir/s.toml:8: fault: on: needs rc, act or delay-ms",
        ),
        (
            "machine = { add-adapter = { apid = 5, mode = \"cca\", generation = 9 } }",
            "dir/s.toml:8: add-adapter: generation: 9 is no generation",
        ),
        (
            "only = \"qemu\"\nstart = \"g\"",
            "dir/s.toml:8: only: unknown variant `qemu`",
        ),
        (
            &start("guest-sees = { h = {} }"),
            "dir/s.toml:9: h: there is no guest \"h\"",
        ),
        (
            &start("matrix = { g = [] }"),
            "dir/s.toml:9: g: there is no mdev \"g\"",
        ),
        (
            &start("guest-sees = { g = { adapters = [-1] } }"),
            "dir/s.toml:9: adapters: invalid",
        ),
        (
            &start("guest-tapq = { g = { \"5\" = 1 } }"),
            "dir/s.toml:9: 5: \"5\" is no queue",
        ),
        (&start("explain = { a = [\"(\"] }"), "dir/s.toml:9: explain"),
        (
            &start("errno = \"EBUSY\""),
            "dir/s.toml:9: errno: this action writes no file",
        ),
        (
            &start("errno = \"EWHAT\""),
            "dir/s.toml:9: errno: \"EWHAT\" is no errno",
        ),
        (&start("sees = 1"), "dir/s.toml:9: sees: unknown field"),
        (
            &start("never = { crypto-ok = 1 }"),
            "dir/s.toml:9: never: never takes",
        ),
        (
            "start = \"g\"\n[step.expect]\nnever = [\n{ log = \"x\" },\n{ errno = \"EBUSY\" }]",
            "dir/s.toml:12: never: never takes",
        ),
        (
            &start("never = { guest-sees-only = { g = [] } }"),
            "dir/s.toml:9: never: never takes",
        ),
        (
            &start("never = { sees = 1 }"),
            "dir/s.toml:9: sees: unknown field",
        ),
        (
            &start("never = [{ log = \"x\" }, { sees = 1 }]"),
            "dir/s.toml:9: sees: unknown field",
        ),
        (
            &start("never = 5"),
            "dir/s.toml:9: never: invalid type: integer `5`, expected a table",
        ),
        (
            &start("guest-sees = { g = { adapter = [] } }"),
            "dir/s.toml:9: adapter: unknown field",
        ),
        (
            &start("guest-sees-only = { g = [{ adapters = [5] }, { domain = [5] }] }"),
            "dir/s.toml:9: domain: unknown field",
        ),
        (
            &start("guest-sees-only = { h = [] }"),
            "dir/s.toml:9: h: there is no guest \"h\"",
        ),
        (
            &start("never = [{ guest-sees = { x = {} } }]"),
            "dir/s.toml:9: x: there is no guest",
        ),
    ] {
        let seen = step(text).unwrap_err();
        // An error within a list names the list's line; its text is regex's.
        let as_wanted = match error {
            "dir/s.toml:9: explain" => seen.starts_with("dir/s.toml:9: a: "),
            _ => seen.starts_with(error),
        };
        assert!(as_wanted, "{text}\n  wanted {error}\n  seen   {seen}");
    }
    for (text, error) in [
        (
            "name = \"x\"",
            "dir/s.toml:1: topology: missing field `topology`",
        ),
        (
            "name = \"x\"\ntopology = \"t\"",
            "dir/s.toml:1: step: there is no [[step]]",
        ),
        ("nam = \"x\"", "dir/s.toml:1: nam: unknown field `nam`"),
        ("name = ", "dir/s.toml:1: name: "),
    ] {
        let seen = parse(text).unwrap_err();
        assert!(
            seen.starts_with(error),
            "{text}\n  wanted {error}\n  seen   {seen}"
        );
    }
    let guests = EXAMPLE.replace("cpus = 1", "cpus = 9");
    assert_eq!(
        parse(&guests).unwrap_err(),
        "dir/s.toml:11: cpus: must be 1 to 8"
    );
    for size in ["banana", "32M", "-1G", "M", "70000001", "99999999999G"] {
        let text = EXAMPLE.replace("\"256M\"", &format!("\"{size}\""));
        let seen = parse(&text).unwrap_err();
        assert!(seen.starts_with("dir/s.toml:12: memory: "), "{seen}");
        assert!(seen.contains(&format!("\"{size}\" is no memory")), "{seen}");
    }
    for (table, line) in [("[[mdev]]", 6), ("[[guest]]", 8)] {
        let text = EXAMPLE.replace(table, &format!("{table}\ncolour = 3"));
        let seen = parse(&text).unwrap_err();
        let wanted = format!("dir/s.toml:{line}: colour: unknown field");
        assert!(seen.starts_with(&wanted), "{seen}");
    }
    let twice = EXAMPLE.replace("[[guest]]", "[[mdev]]\nid = \"a\"\n[[guest]]");
    assert_eq!(
        parse(&twice).unwrap_err(),
        "dir/s.toml:8: id: \"a\" is there already"
    );
}

#[test]
fn the_library_is_read() {
    let folder = project_root().join("guest-tests/scenarios");
    let mut count = 0;
    for entry in std::fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        Scenario::read(&path, &Instead::default()).unwrap_or_else(|e| panic!("{e}"));
        count += 1;
    }
    assert!(count >= 10);
}
