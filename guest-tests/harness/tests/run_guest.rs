// SPDX-License-Identifier: MIT OR Apache-2.0
//! The main job, as `make run-guest` runs it: the default scenario, the library,
//! and that a run fails when it should.

use harness::config::project_root;
use std::path::{Path, PathBuf};
use std::process::{Command, Output};

/// How the lines begin that only a verbose run has: who said what.
const VERBOSE: &str = "\n#     ";

fn run_guest(args: &[&str]) -> (Output, serde_json::Value) {
    run_guest_with(&[], args)
}

/// With variables of `make run-guest`.
fn run_guest_with(variables: &[(&str, &str)], args: &[&str]) -> (Output, serde_json::Value) {
    let report = tempfile::NamedTempFile::new().unwrap();
    let output = Command::new(env!("CARGO_BIN_EXE_run-guest"))
        .args(args)
        .arg("--report")
        .arg(report.path())
        .env_remove("DRIVER")
        .env_remove("GUEST")
        .env_remove("SCENARIO")
        .env_remove("TOPOLOGY")
        .env_remove("VERBOSE")
        .envs(variables.iter().copied())
        .output()
        .unwrap();
    let text = std::fs::read(report.path()).unwrap_or_default();
    (output, serde_json::from_slice(&text).unwrap_or_default())
}

fn passes(args: &[&str]) -> serde_json::Value {
    let (output, report) = run_guest(args);
    let text = String::from_utf8_lossy(&output.stdout);
    assert!(output.status.success(), "{text}");
    assert_eq!(report["passed"], true, "{text}");
    assert!(!text.contains(VERBOSE), "{text}");
    report
}

fn scenarios() -> PathBuf {
    project_root().join("guest-tests/scenarios")
}

/// Every file of the library but the default one, which runs by itself.
fn library(args: &[&str]) {
    let mut files: Vec<String> = std::fs::read_dir(scenarios())
        .unwrap()
        .map(|entry| entry.unwrap().path())
        .filter(|path| !path.ends_with("default.toml"))
        .map(|path| path.to_str().unwrap().to_owned())
        .collect();
    files.sort();
    let mut all = args.to_vec();
    for file in &files {
        all.extend(["--scenario", file]);
    }
    let report = passes(&all);
    assert_eq!(report["scenarios"].as_array().unwrap().len(), files.len());
}

/// How the guest's adapters were seen, step by step.
fn seen_by(report: &serde_json::Value) -> Vec<String> {
    let steps = report["scenarios"][0]["steps"].as_array().unwrap();
    let findings = steps.iter().flat_map(|s| s["findings"].as_array().unwrap());
    let sees = findings.filter(|f| f["what"] == "guest-sees g");
    sees.map(|f| f["seen"].as_str().unwrap().to_owned())
        .collect()
}

fn default_scenario(args: &[&str]) {
    let report = passes(args);
    let seen = seen_by(&report);
    // The guest saw the adapter come and go, not only the host.
    assert!(
        seen[0].starts_with("adapters [01], domains [0004]"),
        "{seen:?}"
    );
    assert!(
        seen[1].starts_with("adapters [01 05], domains [0004]"),
        "{seen:?}"
    );
    assert_eq!(seen.last().unwrap(), "adapters []");
}

#[test]
fn the_default_scenario_holds_with_the_rust_driver() {
    default_scenario(&["--driver", "rust"]);
}

#[test]
fn the_default_scenario_holds_with_the_c_driver() {
    default_scenario(&["--driver", "c"]);
}

#[test]
fn the_default_scenario_holds_for_linux() {
    default_scenario(&["--guest", "linux"]);
}

/// Adapter 16 is only in the topology that the variable names.
#[test]
fn variables_choose_as_options_do() {
    let file = tempfile::NamedTempFile::new().unwrap();
    let topologies = project_root().join("guest-tests/topologies");
    let text = format!(
        "name = \"variables\"
topology = \"{}/three-by-two.toml\"
[[mdev]]
id = \"a\"
[[guest]]
id = \"g\"
mdev = \"a\"
[[step]]
assign = {{ mdev = \"a\", adapters = [16], domains = [4] }}
[[step]]
start = \"g\"
expect = {{ guest-sees = {{ g = {{ adapters = [16], domains = [4] }} }} }}
",
        topologies.display()
    );
    std::fs::write(file.path(), text).unwrap();
    let topology = topologies.join("twelve-by-sixteen.toml");
    let variables = [
        ("SCENARIO", file.path().to_str().unwrap()),
        ("TOPOLOGY", topology.to_str().unwrap()),
        ("DRIVER", "c"),
        ("GUEST", "linux"),
        ("VERBOSE", "1"),
    ];
    let (output, report) = run_guest_with(&variables, &[]);
    let text = String::from_utf8_lossy(&output.stdout);
    assert!(output.status.success(), "{text}");
    assert_eq!(report["driver"], "c");
    assert_eq!(report["scenarios"][0]["name"], "variables");
    assert!(text.contains(VERBOSE), "{text}");
    // what only the Linux probe looks at
    let looks = |l: &str| l.starts_with("#     g: ") && l.contains("\"op\":\"z90crypt\"");
    assert!(text.lines().any(looks), "{text}");
}

#[test]
fn the_library_holds_with_the_rust_driver() {
    library(&["--driver", "rust"]);
}

#[test]
fn the_library_holds_with_the_c_driver() {
    library(&["--driver", "c"]);
}

#[test]
#[ignore = "nightly: every guest boots Linux"]
fn the_library_holds_for_linux_with_the_rust_driver() {
    library(&["--driver", "rust", "--guest", "linux"]);
}

#[test]
#[ignore = "nightly: every guest boots Linux"]
fn the_library_holds_for_linux_with_the_c_driver() {
    library(&["--driver", "c", "--guest", "linux"]);
}

#[test]
#[ignore = "nightly: the same with the Rust driver is in make test"]
fn the_default_scenario_holds_for_linux_with_the_c_driver() {
    default_scenario(&["--driver", "c", "--guest", "linux"]);
}

/// A kernel of Debian's, with its modules, does all that ours does: with one CPU
/// in the default scenario and with four in the one about resets.
fn debians_kernel_is_a_guest(series: &str) {
    let folder = project_root().join("target/guest-kernels");
    let releases = std::fs::read_dir(&folder).into_iter().flatten().flatten();
    let mut kernels = releases
        .filter(|entry| entry.file_name().to_string_lossy().starts_with(series))
        .map(|entry| entry.path().join("vmlinuz"));
    let kernel = kernels.next().expect("run scripts/guest-kernels.sh");
    let files = ["default.toml", "reset.toml"].map(|f| scenarios().join(f));
    let mut args = vec!["--guest", kernel.to_str().unwrap()];
    for file in &files {
        args.extend(["--scenario", file.to_str().unwrap()]);
    }
    let report = passes(&args);
    let steps = report["scenarios"].as_array().unwrap().iter();
    let steps = steps.flat_map(|s| s["steps"].as_array().unwrap());
    let findings = steps.flat_map(|s| s["findings"].as_array().unwrap());
    let crypto: Vec<_> = findings.filter(|f| f["what"] == "crypto-ok").collect();
    assert_eq!(crypto.len(), 5, "{crypto:?}");
    // With its modules zcrypt is there, and was asked.
    assert!(
        crypto.iter().all(|f| f["seen"] == f["wanted"]),
        "{crypto:?}"
    );
}

#[test]
#[ignore = "nightly: needs Debian's kernels, by scripts/guest-kernels.sh"]
fn debians_stable_kernel_is_a_guest() {
    debians_kernel_is_a_guest("6.12.");
}

#[test]
#[ignore = "nightly: needs Debian's kernels, by scripts/guest-kernels.sh"]
fn debians_newest_kernel_is_a_guest() {
    debians_kernel_is_a_guest("7.2.");
}

/// A kernel that does nothing but ask for a reset, as Linux does to reboot.
fn kernel_that_reboots() -> Vec<u8> {
    const ENTRY: usize = 0x1_0000;
    let mut image = vec![0; ENTRY + 0x1000];
    // lghi %r2,3; diag %r0,%r2,0x308
    image[ENTRY..ENTRY + 8].copy_from_slice(&[0xa7, 0x29, 0, 3, 0x83, 0x02, 0x03, 0x08]);
    image[ENTRY + 8..ENTRY + 14].copy_from_slice(b"S390EP");
    image
}

/// What every failing scenario begins with; one adapter is the guest's.
const HEAD: &str = r#"
topology = "three-by-two.toml"
[[mdev]]
id = "a"
[[guest]]
id = "g"
mdev = "a"
events = EVENTS
[[step]]
assign = { mdev = "a", adapters = [5], domains = [4] }
[[step]]
start = "g"
expect = { guest-sees = { g = { adapters = [5] } } }
"#;

fn failing(folder: &Path, name: &str, events: bool, steps: &str) -> String {
    let path = folder.join(format!("{name}.toml"));
    let head = HEAD.replace("EVENTS", &events.to_string());
    std::fs::write(&path, format!("name = \"{name}\"{head}{steps}")).unwrap();
    path.to_str().unwrap().to_owned()
}

/// So much that the log is still being told of when the next step begins.
const LATE: &str = r#"
[[step]]
run = "i=0; while [ $i -lt 3000 ]; do echo late >/dev/kmsg; i=$((i+1)); done"
[[step]]
pause-ms = 0
within-ms = 2000
expect = { log = "late" }
"#;

/// A Linux that is not told of an adapter; it is asked for a queue of that one.
const LINUX: &str = r#"
[[guest]]
id = "l"
kind = "linux"
mdev = "a"
events = false
[[step]]
kill = "g"
[[step]]
start = "l"
expect = { guest-sees = { l = { adapters = [5] } } }
[[step]]
assign = { mdev = "a", adapters = [7] }
expect.guest-sees = { l = { adapters = [5, 7] } }
expect.guest-tapq = { l = { "07.0004" = 0x00 } }
"#;

/// A queue that is not the guest's yet takes no requests.
const PLUGGED: &str = r#"
[[step]]
assign = { mdev = "a", adapters = [7] }
expect = { guest-sees = { g = { adapters = [5, 7] } } }
"#;

const CRYPTO: &str = r#"
[[step]]
crypto = { guest = "g", apqn = "07.0004", requests = 5000 }
"#;

/// All on one machine, so each also shows that a failure leaves nothing behind.
#[test]
fn a_run_fails_when_it_should_and_says_what() {
    let folder = tempfile::tempdir().unwrap();
    let plug = "[[step]]\nassign = { mdev = \"a\", adapters = [7] }\nwithin-ms = 3000\n";
    let files = [
        ("wrong-expectation", true, format!("{plug}expect = {{ guest-sees = {{ g = {{ adapters = [5, 0xfe] }} }} }}")),
        ("event-withheld", false, format!("{plug}expect = {{ guest-sees = {{ g = {{ adapters = [5, 7] }} }}, guest-matrix = {{ a = [\"05.0004\", \"07.0004\"] }} }}")),
        ("never-violated", true, format!("{plug}expect = {{ never = {{ guest-sees = {{ g = {{ adapters = [5, 7] }} }} }} }}")),
        ("never-held-before", true, format!("{plug}expect = {{ never = {{ guest-sees = {{ g = {{ adapters = [5] }} }} }} }}")),
        ("state-not-listed", true, format!("{plug}expect = {{ guest-sees-only = {{ g = [{{ adapters = [5] }}, {{ adapters = [6] }}] }} }}")),
        ("log-of-before", true, LATE.to_owned()),
        ("linux-event-withheld", true, format!("{LINUX}within-ms = 3000\nexpect.never = {{ guest-tapq = {{ l = {{ \"07.0004\" = 0x04 }} }} }}")),
        ("requests-on-requests", true, format!("{PLUGGED}{CRYPTO}{CRYPTO}")),
        ("refused-though-not-expected", true, "[[step]]\nbind = { apqn = \"05.0004\", driver = \"cex4queue\" }".to_owned()),
        ("done-though-refusal-expected", true, format!("{plug}expect = {{ errno = \"EBUSY\" }}")),
        // The guest is told of an adapter that it does not have.
        ("card-that-lies", true, format!("[[step]]\nmachine = {{ fault = {{ on = \"qci\", act = \"lie\", apid = 6, to = \"guest\" }} }}\n{plug}expect = {{ guest-sees = {{ g = {{ adapters = [5, 7] }} }} }}")),
        ("guest-that-reboots", true, "[[guest]]\nid = \"h\"\nkind = \"reboots\"\n[[step]]\nstart = \"h\"".to_owned()),
        ("guest-that-dies", true, "[[step]]\nrun = \"kill -9 $(pidof apvmm)\"\nexpect = { guest-sees = { g = { adapters = [] } } }".to_owned()),
    ];
    std::fs::write(folder.path().join("reboots"), kernel_that_reboots()).unwrap();
    let topology = project_root().join("guest-tests/topologies/three-by-two.toml");
    let mut args = vec![
        "--topology".to_owned(),
        topology.to_str().unwrap().to_owned(),
    ];
    for (name, events, steps) in &files {
        args.push("--scenario".to_owned());
        args.push(failing(folder.path(), name, *events, steps));
    }
    let args: Vec<&str> = args.iter().map(String::as_str).collect();
    let (output, report) = run_guest(&args);
    let text = String::from_utf8_lossy(&output.stdout);
    assert_eq!(output.status.code(), Some(1), "{text}");
    assert_eq!(report["passed"], false);
    for (number, (name, ..)) in files.iter().enumerate() {
        let line = format!("not ok {} {name}", number + 1);
        assert!(text.contains(&line), "{line}\n{text}");
        // Up to the step that is to fail, all was well.
        assert_eq!(
            report["scenarios"][number]["steps"][1]["failures"],
            serde_json::json!([])
        );
    }
    for line in [
        "not ok 3 assign adapter 07 to a",
        "guest-sees g: wanted adapters [05 fe]",
        "guest-sees g: seen   adapters [05 07]",
        "guest-matrix a: 05.0004 07.0004",
        "guest-sees g: seen   adapters [05]",
        "never guest-sees g: seen adapters [05 07]",
        "never guest-sees g: seen adapters [05]",
        "guest-sees-only g: seen adapters [05 07], domains [0004], control domains []",
        "not ok 4 pause 0 ms",
        "not ok 5 assign adapter 07 to a",
        "guest-sees l: seen   adapters [05]",
        "guest-tapq l 07.0004: 00",
        "it could not be done: the requests before are not done",
        "it could not be done: E",
        "errno: seen   it was done",
        "guest-sees g: seen   adapters [05 06 07]",
        "it could not be done: it ended (Some(Status(4)))",
        "guest g has ended (Signal(9))",
    ] {
        assert!(text.contains(line), "{line}\n{text}");
    }
}

/// What a run of a scenario says, which must fail.
fn fails(variables: &[(&str, &str)], file: &str) -> String {
    let topology = project_root().join("guest-tests/topologies/three-by-two.toml");
    let topology = topology.to_str().unwrap();
    let args = ["--topology", topology, "--scenario", file];
    let (output, _) = run_guest_with(variables, &args);
    let text = String::from_utf8_lossy(&output.stdout);
    assert_eq!(output.status.code(), Some(1), "{text}");
    text.into_owned()
}

/// What a run says of a driver with this defect.
fn with_defect(defect: &str, variables: &[(&str, &str)], steps: &str) -> String {
    let module = format!("target/hostdrv/release-{defect}/vfio_ap.ko");
    let module = project_root().join(module);
    let folder = tempfile::tempdir().unwrap();
    let file = failing(folder.path(), "defect", true, steps);
    let module = [("MODULE", module.to_str().unwrap())];
    let text = fails(&[&module, variables].concat(), &file);
    assert!(text.contains("not ok 1 defect"), "{text}");
    text
}

#[test]
fn a_driver_that_never_publishes_is_found_out() {
    let steps = "[[step]]\nassign = { mdev = \"a\", adapters = [7] }";
    let text = with_defect("vfio_ap_never_publishes", &[("VERBOSE", "1")], steps);
    assert!(text.contains("not ok 2 start guest g"), "{text}");
    assert!(text.contains("guest-sees g: seen   adapters []"), "{text}");
    // all that happened is told: by the guest, and in the host's files
    for (who, what) in [("g: ", "\"op\":\"QCI\""), ("/sys/", "/matrix: 05.0004")] {
        let mut lines = text.lines();
        let told = |line: &str| line.starts_with(&format!("{}{who}", VERBOSE.trim_start()));
        assert!(lines.any(|l| told(l) && l.contains(what)), "{text}");
    }
}

/// The guest has what it was not told of, and had been told of another change
/// just before.
#[test]
fn a_driver_that_leaves_an_event_out_is_found_out() {
    let steps = r#"
[[step]]
assign = { mdev = "a", adapters = [7] }
expect = { guest-sees = { g = { adapters = [5, 7] } } }
[[step]]
assign = { mdev = "a", adapters = [6] }
[step.expect]
guest-matrix = { a = ["05.0004", "06.0004", "07.0004"] }
guest-sees = { g = { adapters = [5, 6, 7] } }
"#;
    let text = with_defect("vfio_ap_tells_every_other_change", &[], steps);
    for line in [
        "ok 3 assign adapter 07 to a",
        "guest-matrix a: 05.0004 06.0004 07.0004",
        "guest-sees g: seen   adapters [05 07]",
        "not ok 4 assign adapter 06 to a",
    ] {
        assert!(text.contains(line), "{line}\n{text}");
    }
}

/// Not even by the scan that its bus takes by itself every half minute.
#[test]
#[ignore = "nightly: it waits for longer than that"]
fn a_linux_that_is_not_told_is_found_out() {
    let folder = tempfile::tempdir().unwrap();
    let steps = format!("{LINUX}within-ms = 40000");
    let file = failing(folder.path(), "untold", true, &steps);
    let text = fails(&[], &file);
    assert!(text.contains("not ok 5 assign adapter 07 to a"), "{text}");
    assert!(
        text.contains("guest-sees l: seen   adapters [05]\n"),
        "{text}"
    );
}

/// `ap_config` back and forth.
const BACK_AND_FORTH: &str = r#"
name = "back and forth"
topology = "three-by-two.toml"
[[mdev]]
id = "a"
[[guest]]
id = "g"
mdev = "a"
[[step]]
ap-config = { mdev = "a", adapters = [5, 6], domains = [4], control-domains = [4] }
[[step]]
start = "g"
[[step]]
run = """
cd /sys/devices/vfio_ap/matrix/*-*-*-*-*/ && for n in 1 2 3 4 5 6 7 8 9 10; do
  echo 0x03,0x04,0x05 >ap_config && echo 0x06,0x08,0x08 >ap_config || exit 1
done
"""
within-ms = 60000
[step.expect]
guest-sees = { g = { adapters = [5, 6], domains = [4], control-domains = [4] } }
guest-sees-only.g = [
  { adapters = [5, 6], domains = [4], control-domains = [4] },
  { adapters = [6, 7], domains = [5], control-domains = [5, 7] },
]
"#;

/// Our driver goes from one to the other, and the C driver over what nobody has
/// asked for: docs/differences.md. A guest that looked too seldom would not tell
/// them apart.
#[test]
fn states_in_between_are_seen() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("back-and-forth.toml");
    std::fs::write(&file, BACK_AND_FORTH).unwrap();
    let topology = project_root().join("guest-tests/topologies/three-by-two.toml");
    let mut args = vec![
        "--topology",
        topology.to_str().unwrap(),
        "--scenario",
        file.to_str().unwrap(),
    ];
    passes(&args);
    args.extend(["--driver", "c"]);
    let (output, _) = run_guest(&args);
    let text = String::from_utf8_lossy(&output.stdout);
    assert_eq!(output.status.code(), Some(1), "{text}");
    assert!(text.contains("not ok 3 run "), "{text}");
    assert!(text.contains("guest-sees-only g: seen"), "{text}");
}

#[test]
fn a_scenario_that_cannot_be_read_is_told_before_anything_boots() {
    let folder = tempfile::tempdir().unwrap();
    let file = failing(folder.path(), "bad", true, "[[step]]\nstart = \"h\"");
    let (output, _) = run_guest(&["--scenario", &file]);
    assert_eq!(output.status.code(), Some(2));
    let words = String::from_utf8_lossy(&output.stderr);
    assert!(
        words.contains("bad.toml:15: start: there is no guest \"h\""),
        "{words}"
    );
    assert!(output.stdout.is_empty());

    // a file that it names is not there
    let text = HEAD
        .replace("EVENTS", "true")
        .replace("id = \"g\"", "id = \"g\"\nkind = \"bzImage\"");
    std::fs::write(&file, format!("name = \"bad\"{text}")).unwrap();
    let told = |args: &[&str], words: &str| {
        let (output, _) = run_guest(&[&["--scenario", &file], args].concat());
        let seen = String::from_utf8_lossy(&output.stderr);
        assert_eq!(output.status.code(), Some(2), "{seen}");
        assert!(seen.contains(words) && output.stdout.is_empty(), "{seen}");
    };
    told(&[], "bad.toml:2: topology: ");
    told(&["--topology", "no/such"], "TOPOLOGY: no/such: ");
    told(&["--guest", "no/such"], "GUEST: no/such: ");
    let topology = project_root().join("guest-tests/topologies/three-by-two.toml");
    told(
        &["--topology", topology.to_str().unwrap()],
        "bad.toml:7: kind: ",
    );
}
