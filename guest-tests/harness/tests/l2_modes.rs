// SPDX-License-Identifier: MIT OR Apache-2.0
//! Linux as L2 where QEMU works in other ways: with four CPUs, with one thread
//! for all CPUs, with counted instructions, and when L1 migrates while the guest
//! runs.

use harness::{Config, Exit, Machine};
use std::path::Path;
use std::time::{Duration, Instant};

const LIMIT: Duration = Duration::from_secs(240);
const WORK: [&str; 4] = ["integer", "syscall", "fault", "fork"];

/// What runs Linux, from the files in a folder.
fn linux(folder: &str, cpus: u32, words: &str) -> String {
    format!(
        "{folder}/apvmm run --kernel {folder}/guest-kernel --initrd {folder}/guest-initramfs \
         --memory 128M --cpus {cpus} --console stdio --cmdline '{words}'"
    )
}

/// What measures how fast Linux is. Linux has at most 32 words for init.
fn guest(folder: &str, rounds: usize, milliseconds: u32) -> String {
    let work = WORK.map(|name| format!("{name}={milliseconds}")).join(" ");
    let work = vec![work; rounds].join(" ");
    linux(folder, 1, &format!("rdinit=/bin/workload -- {work}"))
}

/// Did the guest do everything?
fn check(console: &str, rounds: usize) {
    for name in WORK {
        let start = format!("workload: {name} ");
        let count = console.lines().filter(|l| l.starts_with(&start)).count();
        assert_eq!(count, rounds, "{name}: {console}");
    }
}

/// How often the CPUs of a guest wait for each other, and what they do between.
const MEETINGS: u32 = 5;
const TURNS: u32 = 2_000;

/// Init of a guest: a process on each CPU, which counts on alone, and after so
/// many turns only when all the others have come as far.
fn work_on_all(cpus: u32) -> String {
    let all: Vec<String> = (0..cpus).map(|cpu| cpu.to_string()).collect();
    let count = "i=0; while [ $i -lt TURNS ]; do \
         x=$(( (x * 1103515245 + 12345) % 2147483648 )); i=$((i+1)); done";
    let meet = "m=$((m+1)); : >/met.$1.$m; \
         for o in ALL; do until [ -e /met.$o.$m ]; do :; done; done";
    let work = format!(
        "read pid rest </proc/self/stat; /bin/busybox taskset -pc $1 $pid >/dev/null; \
         x=$1; m=0; while [ $m -lt MEETINGS ]; do {count}; {meet}; done; \
         read stat </proc/self/stat; set -- $1 $stat; echo cpu ${{40}} counts $x >/counts.$1"
    );
    format!(
        "mount -t proc p /proc; mount -t sysfs s /sys; mount -t devtmpfs d /dev; \
         echo online $(cat /sys/devices/system/cpu/online); \
         work() {{ {work}; }}; for c in ALL; do work $c & done; wait; \
         for c in ALL; do cat /counts.$c; done; poweroff -f"
    )
    .replace("ALL", &all.join(" "))
    .replace("TURNS", &TURNS.to_string())
    .replace("MEETINGS", &MEETINGS.to_string())
}

/// What such a process counts to.
fn count_on(cpu: u32) -> u64 {
    let turns = MEETINGS * TURNS;
    (0..turns).fold(cpu.into(), |x, _| (x * 1_103_515_245 + 12345) % (1 << 31))
}

/// Runs a guest of several CPUs, all of which work at the same time.
fn all_cpus_work(machine: &Machine, cpus: u32) {
    let words = format!("quiet rdinit=/bin/sh -- -c \"{}\"", work_on_all(cpus));
    let begin = Instant::now();
    let output = machine.shell(&linux("/mnt/host", cpus, &words), LIMIT);
    let output = output.unwrap();
    println!("{cpus} CPUs: {:.1} s", begin.elapsed().as_secs_f32());
    assert_eq!(output.exit, Exit::Status(0), "{output:?}");
    let said: Vec<&str> = output.stdout.lines().map(str::trim_end).collect();
    let mut expected = vec![format!("online 0-{}", cpus - 1)];
    expected.extend((0..cpus).map(|cpu| format!("cpu {cpu} counts {}", count_on(cpu))));
    for line in expected {
        assert!(said.contains(&line.as_str()), "no `{line}`: {output:?}");
    }
}

fn boot(name: &str, cpus: u32, options: &[&str]) -> Machine {
    let mut config = Config::new(name);
    config.smp = cpus;
    config.options = options.iter().map(|&o| o.to_owned()).collect();
    Machine::boot(&config).unwrap()
}

fn linux_is_measured(machine: &Machine) {
    let output = machine.shell(&guest("/mnt/host", 1, 200), LIMIT).unwrap();
    assert_eq!(output.exit, Exit::Status(0), "{output:?}");
    check(&output.stdout, 1);
}

#[test]
fn linux_runs_on_four_cpus_of_four() {
    let machine = boot("l2-four-cpus", 4, &[]);
    all_cpus_work(&machine, 4);
    machine.shutdown().unwrap();
}

#[test]
#[ignore = "nightly: the CPUs wait for each other's turn"]
fn linux_runs_with_one_thread_for_all_cpus() {
    let machine = boot("l2-one-thread", 2, &["-accel", "tcg,thread=single"]);
    linux_is_measured(&machine);
    all_cpus_work(&machine, 2);
    machine.shutdown().unwrap();
}

#[test]
#[ignore = "nightly: slow"]
fn linux_runs_with_counted_instructions() {
    let machine = boot("l2-icount", 1, &["-icount", "shift=auto"]);
    linux_is_measured(&machine);
    machine.shutdown().unwrap();
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
