// SPDX-License-Identifier: MIT OR Apache-2.0
//! Linux as L2 where QEMU works in other ways: with one thread for all CPUs,
//! with counted instructions, and when L1 migrates while the guest runs.

use harness::{Config, Exit, Machine};
use std::path::Path;
use std::time::{Duration, Instant};

const LIMIT: Duration = Duration::from_secs(240);
const WORK: [&str; 4] = ["integer", "syscall", "fault", "fork"];

/// What runs Linux, from the files in a folder. Linux has at most 32 words
/// for init.
fn guest(folder: &str, rounds: usize, milliseconds: u32) -> String {
    let work = WORK.map(|name| format!("{name}={milliseconds}")).join(" ");
    let work = vec![work; rounds].join(" ");
    format!(
        "{folder}/apvmm run --kernel {folder}/guest-kernel --initrd {folder}/guest-initramfs \
         --memory 128M --console stdio --cmdline 'rdinit=/bin/workload -- {work}'"
    )
}

/// Did the guest do everything?
fn check(console: &str, rounds: usize) {
    for name in WORK {
        let start = format!("workload: {name} ");
        let count = console.lines().filter(|l| l.starts_with(&start)).count();
        assert_eq!(count, rounds, "{name}: {console}");
    }
}

fn linux_runs_with(name: &str, cpus: u32, options: &[&str]) {
    let mut config = Config::new(name);
    config.smp = cpus;
    config.options = options.iter().map(|&o| o.to_owned()).collect();
    let machine = Machine::boot(&config).unwrap();
    let output = machine.shell(&guest("/mnt/host", 1, 200), LIMIT).unwrap();
    assert_eq!(output.exit, Exit::Status(0), "{output:?}");
    check(&output.stdout, 1);
    machine.shutdown().unwrap();
}

#[test]
#[ignore = "nightly: the CPUs wait for each other's turn"]
fn linux_runs_with_one_thread_for_all_cpus() {
    linux_runs_with("l2-one-thread", 2, &["-accel", "tcg,thread=single"]);
}

#[test]
#[ignore = "nightly: slow"]
fn linux_runs_with_counted_instructions() {
    linux_runs_with("l2-icount", 1, &["-icount", "shift=auto"]);
}

/// Lets the machine migrate into a file, live.
fn migrate(machine: Machine, file: &Path) {
    use qapi::qmp::{MigrationStatus, migrate, query_migrate};
    let uri = format!("file:{}", file.display());
    machine
        .qmp(migrate {
            uri: Some(uri),
            channels: None,
            detach: None,
            resume: None,
        })
        .unwrap();
    let end = Instant::now() + LIMIT;
    loop {
        let status = machine.qmp(query_migrate {}).unwrap().status;
        match status {
            Some(MigrationStatus::completed) => break,
            Some(MigrationStatus::failed) => panic!("the migration has failed"),
            _ => assert!(Instant::now() < end, "{status:?}"),
        }
        std::thread::park_timeout(Duration::from_millis(50));
    }
    machine.shutdown().unwrap();
}

#[test]
#[ignore = "nightly: writes two machines to disk"]
fn l1_migrates_while_a_guest_runs() {
    const ROUNDS: usize = 7;
    let mut config = Config::new("l2-migration");
    let machine = Machine::boot(&config).unwrap();
    let shell = |machine: &Machine, line: &str| {
        let output = machine.shell(line, LIMIT).unwrap();
        assert_eq!(output.exit, Exit::Status(0), "{line}: {output:?}");
        output.stdout
    };
    // a mounted folder of the build machine cannot migrate
    let copy =
        "cd /mnt/host && cp apvmm guest-kernel guest-initramfs /tmp && cd / && umount /mnt/host";
    shell(&machine, copy);
    let start = format!(
        "{{ {}; echo $? >/tmp/status; }} >/tmp/out 2>&1 &",
        guest("/tmp", ROUNDS, 700)
    );
    shell(&machine, &start);
    let results = "grep -c ^workload: /tmp/out";
    // it may end at once, and then has left no results
    let begun = format!("until {results} || [ -s /tmp/status ]; do sleep 0.1; done");
    shell(&machine, &begun);

    let folder = tempfile::tempdir().unwrap();
    let mut machine = machine;
    for name in ["first", "second"] {
        let file = folder.path().join(name);
        migrate(machine, &file);
        config.incoming = Some(file);
        machine = Machine::boot(&config).unwrap();
        let done: usize = shell(&machine, results).trim().parse().unwrap();
        assert!(done < ROUNDS * WORK.len(), "ended before it migrated");
    }
    shell(&machine, "until [ -s /tmp/status ]; do sleep 0.1; done");
    assert_eq!(shell(&machine, "cat /tmp/status").trim(), "0");
    check(&shell(&machine, "cat /tmp/out"), ROUNDS);
    machine.shutdown().unwrap();
}
