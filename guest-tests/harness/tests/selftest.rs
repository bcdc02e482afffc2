// SPDX-License-Identifier: MIT OR Apache-2.0
//! The harness reports what goes wrong in L1 as what it is. Each of these
//! provokes one failure on purpose and looks at the report.

use harness::klog::Kind;
use harness::{Config, Driver, Error, Exit, Machine};
use l1_protocol::Command;
use std::time::Duration;

const SHORT: Duration = Duration::from_secs(30);

fn boot(name: &str) -> Machine {
    Machine::boot(&Config::new(format!("selftest-{name}"))).unwrap_or_else(|e| panic!("{e}"))
}

#[test]
fn a_status_and_both_streams_arrive() {
    let machine = boot("status");
    let output = machine
        .shell("echo out; echo err >&2; exit 3", SHORT)
        .unwrap();
    assert_eq!(output.exit, Exit::Status(3));
    assert_eq!(
        (output.stdout.as_str(), output.stderr.as_str()),
        ("out\n", "err\n")
    );

    let killed = machine.shell("kill -9 $$", SHORT).unwrap();
    assert_eq!(killed.exit, Exit::Signal(9));
    let argv = vec!["/no/such/program".to_owned()];
    let missing = machine
        .run(
            Command {
                argv,
                ..Command::default()
            },
            SHORT,
        )
        .unwrap();
    assert!(matches!(missing.exit, Exit::NotStarted(_)), "{missing:?}");
    machine.shutdown().unwrap();
}

#[test]
fn a_hanging_command_is_a_deadline_and_is_killed() {
    let machine = boot("deadline");
    let error = machine
        .shell("sleep 1000", Duration::from_secs(1))
        .unwrap_err();
    assert!(matches!(error, Error::Deadline { .. }), "{error}");
    assert!(error.to_string().contains("sleep 1000"), "{error}");
    let left = machine.shell("ps | grep -c '[s]leep 1000'", SHORT).unwrap();
    assert_eq!(left.stdout.trim(), "0");
    machine.shutdown().unwrap();
}

#[test]
fn files_go_in_and_come_out_whole() {
    let machine = boot("files");
    let content: Vec<u8> = (0..100_000u32).flat_map(u32::to_be_bytes).collect();
    machine.write_file("/tmp/file", 0o600, &content).unwrap();
    assert!(machine.read_file("/tmp/file").unwrap() == content);
    let listing = machine
        .shell("ls /tmp; stat -c %a /tmp/file", SHORT)
        .unwrap();
    assert_eq!(listing.stdout, "file\n600\n");
    let error = machine
        .write_file("/proc/none/file", 0o600, b"x")
        .unwrap_err();
    assert!(error.to_string().contains("/proc/none/file"), "{error}");
    assert!(machine.read_file("/tmp/none").is_err());
    machine.shutdown().unwrap();
}

#[test]
fn an_oops_is_a_complaint_and_the_machine_goes_on() {
    let machine = boot("oops");
    machine.shell("modprobe lkdtm", SHORT).unwrap();
    machine.check_kernel().unwrap();
    machine
        .shell(
            "echo EXCEPTION >/sys/kernel/debug/provoke-crash/DIRECT",
            SHORT,
        )
        .unwrap();
    assert_eq!(
        machine.shell("echo alive", SHORT).unwrap().stdout,
        "alive\n"
    );
    let Err(Error::Complained { reports, .. }) = machine.check_kernel() else {
        panic!("an oops went unnoticed");
    };
    assert!(reports.iter().any(|r| r.kind == Kind::Oops), "{reports:?}");
}

#[test]
fn a_warning_fails_the_shutdown() {
    let machine = boot("warning");
    machine
        .shell(
            "modprobe lkdtm; echo WARNING >/sys/kernel/debug/provoke-crash/DIRECT",
            SHORT,
        )
        .unwrap();
    let error = machine.shutdown().unwrap_err();
    let Error::Complained { reports, .. } = &error else {
        panic!("{error}")
    };
    assert_eq!(reports[0].kind, Kind::Warning);
}

#[test]
fn a_panic_is_a_crash_with_the_console_attached() {
    let machine = boot("panic");
    let error = machine
        .shell("echo c >/proc/sysrq-trigger", SHORT)
        .unwrap_err();
    assert!(matches!(error, Error::Crashed { .. }), "{error}");
    let text = error.to_string();
    assert!(text.contains("sysrq triggered crash"), "{text}");
    assert!(text.contains("logs: "), "{text}");
}

#[test]
fn a_dead_qemu_is_told_at_once() {
    let mut machine = boot("qemu-dies");
    let argv = vec!["sleep".to_owned(), "1000".to_owned()];
    let (_, events) = machine.start(Command {
        argv,
        ..Command::default()
    });
    machine.kill_qemu();
    let error = machine.next_event(&events, "sleep").unwrap_err();
    assert!(matches!(error, Error::QemuDied { .. }), "{error}");
}

#[test]
fn a_qemu_that_cannot_start_says_why() {
    let mut config = Config::new("selftest-bad-option");
    config.smp = 0;
    let Err(error) = Machine::boot(&config) else {
        panic!("QEMU took zero CPUs")
    };
    assert!(matches!(error, Error::QemuDied { .. }), "{error}");
    assert!(error.to_string().contains("CPU topology"), "{error}");
}

#[test]
fn what_is_not_built_is_named_with_its_command() {
    let mut config = Config::new("selftest-not-built");
    config.driver = Driver::File("/no/such/module.ko".into());
    let Err(error) = Machine::boot(&config) else {
        panic!("a module that is not there was loaded")
    };
    assert!(error.to_string().contains("/no/such/module.ko"), "{error}");
}

/// QEMU connects to us before its guest runs, and we to it as soon as it does:
/// everything we connect to has to be there by then.
#[test]
fn a_qemu_is_reached_however_soon_we_are() {
    for round in 0..20 {
        let mut config = Config::new("selftest-sockets");
        config.boot_limit = Duration::ZERO;
        let Err(error) = Machine::boot(&config) else {
            panic!("L1 booted in no time")
        };
        assert!(
            matches!(error, Error::Deadline { .. }),
            "round {round}: {error}"
        );
    }
}
