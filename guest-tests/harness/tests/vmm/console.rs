// SPDX-License-Identifier: MIT OR Apache-2.0
//! A console that nobody reads, and one that is typed on faster than a guest reads.

use super::{LIMIT, LINUX, SHORT, boot, init};
use harness::Exit;
use harness::vm::Vm;
use std::thread::sleep;
use std::time::{Duration, Instant};

/// Runs apvmm with its output into a pipe whose reader sleeps.
const UNREAD: [&str; 3] = [
    "/bin/sh",
    "-c",
    "busybox mkfifo /tmp/pipe; (trap '' TERM; exec sleep 1000) </tmp/pipe >/dev/null 2>&1 & \
     exec \"$0\" \"$@\" >/tmp/pipe 2>&1",
];

/// Its guest loses output and goes on, and the machine does what it is asked to.
#[test]
fn a_console_that_nobody_reads_holds_up_nothing() {
    let machine = boot("vmm-unread", false);
    let line = init("busybox yes a line that nobody reads");
    let options = [&LINUX[..], &["--cpus", "2", "--cmdline", &line]].concat();
    let vm = Vm::start(&machine, "unread", &UNREAD, &options);
    let listens = "until [ -S /tmp/unread.sock ]; do usleep 50000; done";
    machine.shell(listens, SHORT).unwrap();
    let dropped = |more_than: u64| {
        let end = Instant::now() + LIMIT;
        loop {
            let metrics = vm.ask("metrics").unwrap().unwrap();
            let dropped = metrics["console-dropped"].as_u64().unwrap();
            if dropped > more_than {
                return dropped;
            }
            assert!(Instant::now() < end, "{metrics}");
            sleep(Duration::from_millis(100));
        }
    };
    let first = dropped(0);
    vm.ask("pause").unwrap().unwrap();
    vm.ask("resume").unwrap().unwrap();
    dropped(first);
    vm.ask("reset").unwrap().unwrap();
    let first = dropped(0);
    dropped(first);
    // asks the guest, which has booted once more, or ends it the second time
    vm.signal(15);
    vm.signal(15);
    let (exit, output) = vm.end(SHORT).unwrap();
    assert_eq!(exit, Exit::Status(0), "{output}");
    machine.shutdown().unwrap();
}

/// A guest gets all that is typed, though it is more than is kept for it: a long
/// line, and many at once.
#[test]
fn what_is_typed_arrives_whole() {
    const LINES: usize = 300;
    let machine = boot("vmm-typed", false);
    let line = init(&format!(
        "busybox stty -echo; echo listening; read l; echo length ${{#l}}; \
         busybox head -n {LINES} | busybox uniq -c; poweroff -f"
    ));
    let options = [&LINUX[..], &["--no-reboot", "--cmdline", &line]].concat();
    let mut vm = Vm::start(&machine, "typed", &[], &options);
    vm.until("\nlistening", 1, LIMIT).unwrap();
    let one = "0123456789".repeat(10);
    let all = format!("{}\n{}", "x".repeat(1200), format!("{one}\n").repeat(LINES));
    vm.write(all.into_bytes());
    let (exit, output) = vm.end(LIMIT).unwrap();
    assert_eq!(exit, Exit::Status(0), "{output}");
    assert!(output.contains("\nlength 1200\r\n"), "{output}");
    assert!(output.contains(&format!(" {LINES} {one}\r\n")), "{output}");
    machine.shutdown().unwrap();
}
