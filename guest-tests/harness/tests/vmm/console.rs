// SPDX-License-Identifier: MIT OR Apache-2.0
//! A console that nobody reads.

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
