// SPDX-License-Identifier: MIT OR Apache-2.0
//! The tarball for mainframes, as it is, in an L1 that has no compiler, no
//! Rust and nothing of ours but this.

use harness::config::project_root;
use harness::mdev::wait_for_bus;
use harness::{Config, Exit, Flavour, Machine, Output};
use std::time::Duration;

const LIMIT: Duration = Duration::from_secs(240);

/// Whatever a run could leave behind.
const STATE: &str = r#"
cat /sys/bus/ap/apmask /sys/bus/ap/aqmask /sys/bus/ap/drivers_autoprobe
cd /sys/bus/ap/devices
for q in ??.????; do
  only= online=
  { read -r only <$q/driver_override; read -r online <$q/online; } 2>/dev/null
  echo "$q driver $(readlink $q/driver) only $only online $online"
done
{ cd /sys/devices/vfio_ap/matrix && ls -d *-*-*-*-*; } 2>/dev/null
grep ^vfio_ap /proc/modules
pidof apvmm host-io
[ ! -e /run/vfio-ap-rs/state.json ] || echo a state file
true
"#;

fn shell(machine: &Machine, line: &str) -> Output {
    machine.shell(line, LIMIT).unwrap()
}

fn state(machine: &Machine) -> String {
    shell(machine, STATE).stdout
}

/// In the tarball's folder.
fn run_guest(machine: &Machine, line: &str) -> Output {
    shell(machine, &format!("cd /tmp/vfio-ap-rs-s390x-*; {line}"))
}

fn boot(name: &str, topology: &str, change: impl FnOnce(&mut Config)) -> Machine {
    let mut config = Config::new(format!("host-{name}"));
    let topology = format!("guest-tests/topologies/{topology}.toml");
    config.topology = Some(project_root().join(topology));
    change(&mut config);
    let machine = Machine::boot(&config).unwrap();
    let tarball = std::fs::read(project_root().join("target/dist/current.tar.gz"));
    let tarball = tarball.expect("make dist-s390x");
    machine
        .write_file("/tmp/dist.tar.gz", 0o600, &tarball)
        .unwrap();
    let unpacked = shell(&machine, "cd /tmp && tar xzf dist.tar.gz && rm dist.tar.gz");
    assert_eq!(unpacked.exit, Exit::Status(0), "{unpacked:?}");
    wait_for_bus(&machine, LIMIT).unwrap();
    machine
}

fn count(text: &str, part: &str) -> usize {
    text.lines().filter(|l| l.contains(part)).count()
}

#[test]
fn scenarios_run_with_the_named_queues_and_leave_no_trace() {
    let machine = boot("scenarios", "twelve-by-sixteen", |_| ());
    shell(&machine, "echo 0 >/sys/bus/ap/devices/03.0006/online");
    let before = state(&machine);

    let listed = run_guest(&machine, "./run-guest");
    assert_eq!(listed.exit, Exit::Status(2), "{listed:?}");
    let line = "05.0004  CEX4A   cex4queue  free";
    assert!(listed.stdout.lines().any(|l| l == line), "{listed:?}");
    let line = "0b.0004: its adapter is deconfigured";
    assert!(listed.stdout.contains(line), "{listed:?}");
    for (line, words) in [
        (
            "APQNS=05.0004,06.0004 ./run-guest",
            "06.0004 is no queue of this host",
        ),
        (
            "APQNS=05.4 ./run-guest",
            "\"05.4\" is no queue such as 05.0004",
        ),
        (
            "APQNS=05.0004 ./run-guest 3</dev/z90crypt",
            "`chzcrypt -d 05.0004`",
        ),
        (
            "APQNS=05.0004 TOPOLOGY=x ./run-guest",
            "for emulated machines",
        ),
        ("./run-guest --restore", "there is nothing to restore"),
    ] {
        let output = run_guest(&machine, line);
        assert_eq!(output.exit, Exit::Status(2), "{line}: {output:?}");
        assert!(output.stderr.contains(words), "{line}: {output:?}");
        assert!(output.stderr.contains("nothing was changed"), "{output:?}");
    }
    assert_eq!(state(&machine), before);

    // None of these numbers is in the scenario; adapter 7f is the only
    // accelerator of the three.
    let queues = "APQNS=03.0006,03.0007,03.00ff,7f.0006,7f.0007,7f.00ff,ff.0006,ff.0007,ff.00ff";
    let output = run_guest(&machine, &format!("{queues} ./run-guest"));
    let text = &output.stdout;
    assert_eq!(output.exit, Exit::Status(0), "{text}\n{}", output.stderr);
    assert_eq!(output.stderr, "");
    assert!(text.contains("Rust driver"), "{text}");
    assert!(text.contains("guest-sees g: adapters [7f ff]"), "{text}");
    assert!(
        text.contains("ok 1 a running guest follows its host"),
        "{text}"
    );
    assert!(text.contains("ok 2 one queue"), "{text}");
    assert_eq!(
        count(text, "# SKIP only an emulated machine can do that"),
        4
    );
    assert_eq!(count(text, "# SKIP"), 7, "{text}");
    assert_eq!(state(&machine), before);

    // A coprocessor, with which bare metal does not compute.
    let output = run_guest(&machine, "APQNS=40.0004 ./run-guest");
    let text = &output.stdout;
    assert_eq!(output.exit, Exit::Status(0), "{text}\n{}", output.stderr);
    assert_eq!(
        count(text, "# SKIP no adapter that was named computes RSA"),
        3
    );
    let skip = "ok 1 a running guest follows its host # SKIP it needs 3 adapters by 3 domains";
    assert!(text.contains(skip), "{text}");
    assert!(text.contains("ok 2 one queue"), "{text}");
    assert_eq!(state(&machine), before);
    machine.shutdown().unwrap();
}

#[test]
#[ignore = "nightly: the whole library once more"]
fn the_library_holds_on_a_host() {
    let machine = boot("library", "twelve-by-sixteen", |_| ());
    let before = state(&machine);
    let queues = "APQNS=01.0004,01.0005,01.0006,05.0004,05.0005,05.0006,10.0004,10.0005,10.0006";
    let output = run_guest(
        &machine,
        &format!("{queues} SCENARIO=scenarios ./run-guest"),
    );
    let text = &output.stdout;
    assert_eq!(output.exit, Exit::Status(0), "{text}\n{}", output.stderr);
    // Two change what is not only theirs, one wants queues that the host uses.
    let skipped: Vec<_> = text
        .lines()
        .filter(|l| l.starts_with("ok ") && l.contains("# SKIP"))
        .collect();
    assert_eq!(skipped.len(), 3, "{skipped:#?}");
    for (name, reason) in [
        ("twenty changes", "line 22: run "),
        ("masks of domains", "it lets the host keep adapters"),
        ("queues are unbound and bound", "line 45: apmask "),
    ] {
        let expected = |l: &&str| l.contains(name) && l.contains(&format!("# SKIP {reason}"));
        assert!(skipped.iter().any(expected), "{name}: {skipped:#?}");
    }
    assert_eq!(state(&machine), before);
    machine.shutdown().unwrap();
}

/// Long enough for a signal to come in between.
const SLOW: &str = r#"
name = "slow"
topology = "../topologies/three-by-two.toml"
[[mdev]]
id = "a"
[[guest]]
id = "g"
mdev = "a"
[[step]]
assign = { mdev = "a", adapters = [5], domains = [4] }
[[step]]
start = "g"
expect = { guest-sees = { g = { adapters = [5] } } }
[[step]]
pause-ms = 600000
"#;

/// Starts it with these queues, does something in between when its guest runs,
/// sends the signal, and waits for its end.
fn interrupted(machine: &Machine, queues: &str, between: &str, signal: &str) -> Output {
    run_guest(
        machine,
        &format!(
            "APQNS={queues} SCENARIO=scenarios/slow.toml ./run-guest >/tmp/out 2>&1 & pid=$!
             until grep -q 'ok 2 start guest g' /tmp/out; do usleep 50000; done
             {between}
             kill -{signal} $pid; wait $pid; status=$?; cat /tmp/out; exit $status"
        ),
    )
}

const ADAPTER_07: &str = "07.0004,07.0005";
const GUEST_MATRIX: &str = "cat /sys/devices/vfio_ap/matrix/5fb1ad1a-*/guest_matrix";

/// `had` is the guest's queue until then.
fn has_ended_by(output: &Output, number: i32, had: &str) {
    assert_eq!(output.exit, Exit::Status(128 + number), "{output:?}");
    assert!(output.stdout.starts_with(had), "{output:?}");
    let words = format!("# FAIL: interrupted by signal {number}");
    assert!(output.stdout.contains(&words), "{output:?}");
}

fn with_slow_scenario(machine: &Machine) -> String {
    let folder = shell(machine, "echo /tmp/vfio-ap-rs-s390x-*").stdout;
    let file = format!("{}/scenarios/slow.toml", folder.trim());
    machine.write_file(&file, 0o644, SLOW.as_bytes()).unwrap();
    file
}

#[test]
fn a_run_that_is_ended_early_is_undone() {
    let machine = boot("signals", "three-by-two", |_| ());
    let file = with_slow_scenario(&machine);
    let before = state(&machine);

    for (signal, number) in [("HUP", 1), ("INT", 2), ("TERM", 15)] {
        let output = interrupted(&machine, ADAPTER_07, GUEST_MATRIX, signal);
        has_ended_by(&output, number, "07.0004\n");
        assert_eq!(state(&machine), before);
    }

    let output = interrupted(&machine, ADAPTER_07, GUEST_MATRIX, "KILL");
    assert_eq!(output.exit, Exit::Status(128 + 9), "{output:?}");
    assert_ne!(state(&machine), before);
    let output = run_guest(&machine, "APQNS=05.0004 ./run-guest");
    assert_eq!(output.exit, Exit::Status(2), "{output:?}");
    let output = run_guest(&machine, "./run-guest --restore");
    assert_eq!(output.exit, Exit::Status(0), "{output:?}");
    assert_eq!(state(&machine), before);

    // A scenario that fails is no other end.
    let wrong = SLOW.replace(
        "pause-ms = 600000",
        "unassign = { mdev = \"a\", adapters = [5] }\nexpect = { errno = \"EBUSY\" }",
    );
    machine.write_file(&file, 0o644, wrong.as_bytes()).unwrap();
    let line = "APQNS=07.0004,07.0005 SCENARIO=scenarios/slow.toml ./run-guest";
    let output = run_guest(&machine, line);
    assert_eq!(output.exit, Exit::Status(1), "{output:?}");
    assert!(
        output.stdout.contains("errno: seen   it was done"),
        "{output:?}"
    );
    assert_eq!(state(&machine), before);

    // Without a module for the kernel it is the C driver's turn, said aloud.
    let line = "mv modules/* modules/some-other-release; APQNS=07.0004 ./run-guest";
    let output = run_guest(&machine, line);
    let text = &output.stdout;
    assert_eq!(output.exit, Exit::Status(0), "{text}\n{}", output.stderr);
    assert!(
        text.contains("there is no module for the running kernel"),
        "{text}"
    );
    assert!(text.contains("C driver"), "{text}");
    assert!(text.contains("ok 2 one queue"), "{text}");
    assert_eq!(state(&machine), before);
    machine.shutdown().unwrap();
}

/// One run at a time looks at a host and changes it; what somebody else makes
/// meanwhile of the driver that it loaded is left alone, and so is the driver.
#[test]
fn others_on_the_host_are_kept_out_or_let_be() {
    const STRANGER: &str = "0f0f0f0f-0000-4000-8000-000000000001";
    let machine = boot("others", "three-by-two", |_| ());
    with_slow_scenario(&machine);
    let before = state(&machine);
    let between = format!(
        r#"{GUEST_MATRIX}
        for line in "APQNS=05.0004 ./run-guest" "./run-guest --restore"; do
          sh -c "$line" 2>&1; echo "status $?"
        done
        ./run-guest; echo "status $?"
        cd /sys/devices/vfio_ap/matrix
        echo {STRANGER} >mdev_supported_types/vfio_ap-passthrough/create
        cd - >/dev/null"#
    );
    let output = interrupted(&machine, ADAPTER_07, &between, "TERM");
    has_ended_by(&output, 15, "07.0004\n");
    let text = &output.stdout;
    let busy =
        "another run-guest is at work on this host\nrun-guest: nothing was changed\nstatus 2";
    assert_eq!(text.matches(busy).count(), 2, "{text}");
    // to look at the host is nobody's turn
    let line = "07.0004  CEX8A   vfio_ap    07.0004 is assigned to mdev 5fb1ad1a-";
    assert!(text.contains(line), "{text}");
    let words = format!("run-guest: vfio_ap stays loaded, as there is {STRANGER}\n");
    assert!(text.contains(&words), "{text}");

    let after = state(&machine);
    let stays = |line: &&str| *line == STRANGER || line.starts_with("vfio_ap ");
    assert!(after.lines().any(|l| l == STRANGER), "{after}");
    let rest: Vec<&str> = after.lines().filter(|l| !stays(l)).collect();
    assert_eq!(rest, before.lines().collect::<Vec<_>>());
    let no_stranger = || {
        let folder = format!("/sys/devices/vfio_ap/matrix/{STRANGER}");
        let removed = shell(
            &machine,
            &format!("echo 1 >{folder}/remove && rmmod vfio_ap"),
        );
        assert_eq!(removed.exit, Exit::Status(0), "{removed:?}");
        assert_eq!(state(&machine), before);
    };
    no_stranger();

    // A terminal that is closed hears nothing any more; all is undone all the same.
    let line = format!(
        "rm -f /tmp/pipe /tmp/out; busybox mkfifo /tmp/pipe; cat /tmp/pipe >/tmp/out & reader=$!
         APQNS={ADAPTER_07} SCENARIO=scenarios/slow.toml ./run-guest >/tmp/pipe 2>&1 & pid=$!
         until grep -q 'ok 2 start guest g' /tmp/out; do usleep 50000; done
         echo {STRANGER} >/sys/devices/vfio_ap/matrix/mdev_supported_types/vfio_ap-passthrough/create
         kill $reader; wait $reader; kill -HUP $pid; wait $pid"
    );
    let output = run_guest(&machine, &line);
    assert_eq!(output.exit, Exit::Status(128 + 1), "{output:?}");
    let after = state(&machine);
    let rest: Vec<&str> = after.lines().filter(|l| !stays(l)).collect();
    assert_eq!(rest, before.lines().collect::<Vec<_>>());
    no_stranger();
    machine.shutdown().unwrap();
}

/// Without `apmask` it would be no different where queues are overridden.
const AT_START: &str = r#"
name = "assigned at the start"
topology = "../topologies/three-by-two.toml"
[[mdev]]
id = "a"
[[guest]]
id = "g"
mdev = "a"
[[step]]
assign = { mdev = "a", adapters = [7], domains = [4, 5] }
[[step]]
start = "g"
expect = { guest-sees = { g = { adapters = [7], domains = [4, 5] } } }
[[step]]
crypto = { guest = "g", apqn = "07.0004", requests = 3 }
expect = { crypto-ok = 3 }
[[step]]
apmask = "+7"
expect = { errno = "EBUSY", queue-driver = { "07.0004" = "vfio_ap" } }
[[step]]
stop = "g"
"#;

#[test]
fn where_masks_are_in_use_they_serve() {
    let machine = boot("masks", "three-by-two", |_| ());
    shell(&machine, "echo -0x06 >/sys/bus/ap/apmask");
    let folder = shell(&machine, "echo /tmp/vfio-ap-rs-s390x-*").stdout;
    let file = format!("{}/scenarios/at-start.toml", folder.trim());
    machine
        .write_file(&file, 0o644, AT_START.as_bytes())
        .unwrap();
    let before = state(&machine);

    let output = run_guest(&machine, "APQNS=07.0004 ./run-guest");
    assert_eq!(output.exit, Exit::Status(2), "{output:?}");
    let words = "name these, too: 07.0005 (or 05.0004,06.0004)";
    assert!(output.stderr.contains(words), "{output:?}");

    let line = "APQNS=07.0004,07.0005 SCENARIO=scenarios/at-start.toml ./run-guest";
    let output = run_guest(&machine, line);
    let text = &output.stdout;
    assert_eq!(output.exit, Exit::Status(0), "{text}\n{}", output.stderr);
    assert!(text.contains("errno: EBUSY"), "{text}");
    assert!(!text.contains("SKIP"), "{text}");
    assert_eq!(state(&machine), before);

    // Of the queues that the mask reserves only those that were named are taken.
    with_slow_scenario(&machine);
    let between = format!(
        "{GUEST_MATRIX}
         cd /sys/bus/ap/devices; for q in ??.????; do echo $q of $(readlink $q/driver); done
         cd - >/dev/null"
    );
    for (queues, taken, had) in [
        (ADAPTER_07, 2, "07.0004\n"),
        ("07.0004,07.0005,06.0005", 3, "06.0005\n"),
    ] {
        let output = interrupted(&machine, queues, &between, "TERM");
        has_ended_by(&output, 15, had);
        assert_eq!(count(&output.stdout, "/vfio_ap"), taken, "{output:?}");
        assert!(output.stdout.contains("\n06.0004 of\n"), "{output:?}");
        assert_eq!(state(&machine), before);
    }
    let output = interrupted(&machine, "07.0004,07.0005,06.0005", "true", "KILL");
    assert_eq!(output.exit, Exit::Status(128 + 9), "{output:?}");
    assert_ne!(state(&machine), before);
    let output = run_guest(&machine, "./run-guest --restore");
    assert_eq!(output.exit, Exit::Status(0), "{output:?}");
    assert_eq!(state(&machine), before);
    machine.shutdown().unwrap();
}

#[test]
#[ignore = "nightly: needs a kernel of its own, `make l1-norust`"]
fn a_kernel_without_rust_has_the_c_driver() {
    let machine = boot("norust", "twelve-by-sixteen", |config| {
        config.flavour = Flavour::Norust;
    });
    let before = state(&machine);
    let output = run_guest(&machine, "APQNS=05.0004 ./run-guest");
    let text = &output.stdout;
    assert_eq!(output.exit, Exit::Status(0), "{text}\n{}", output.stderr);
    let release = machine.kernel.as_str();
    assert!(release.ends_with("-norust"), "{release}");
    let words = format!(
        "# the running kernel, {release}, is built without Rust (CONFIG_RUST): \
         the C driver (modprobe vfio_ap) is used"
    );
    assert!(text.contains(&words), "{text}");
    let words = format!("# this host: Linux {release}, C driver");
    assert!(text.contains(&words), "{text}");
    assert!(
        text.lines().any(|l| l.trim_end() == "ok 2 one queue"),
        "{text}"
    );
    assert_eq!(state(&machine), before);
    machine.shutdown().unwrap();
}

#[test]
#[ignore = "nightly: needs Debian's stock kernel, `make l1-debian`"]
fn a_kernel_with_neither_driver_is_left_alone() {
    let machine = boot("debian", "three-by-two", |config| {
        config.flavour = Flavour::Debian;
    });
    let before = state(&machine);
    let output = run_guest(&machine, "APQNS=07.0004,07.0005 ./run-guest");
    assert_eq!(output.exit, Exit::Status(2), "{output:?}");
    let words = "-s390x, is built without Rust (CONFIG_RUST): the C driver (modprobe vfio_ap)";
    assert!(output.stdout.contains(words), "{output:?}");
    // CONFIG_VFIO_AP is not set there.
    let words = "modprobe vfio_ap: ";
    assert!(output.stderr.contains(words), "{output:?}");
    assert_eq!(state(&machine), before);
    machine.shutdown().unwrap();
}
