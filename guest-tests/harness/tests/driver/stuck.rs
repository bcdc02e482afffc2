// SPDX-License-Identifier: MIT OR Apache-2.0
//! A queue whose reset never ends holds up nobody but its own mdev.

use crate::{
    A, APMASK, B, BIND, LIMIT, UNBIND, boot, domains, done_to, mark, refused, shell, wait_for,
};
use harness::guest::Guest;
use harness::mdev::{Mdev, Resource, store};
use harness::{Driver, Exit, Machine, qmp};
use l1_protocol::{Command, Event};
use std::time::{Duration, Instant};

/// What need not wait for hardware is done within this time.
const PROMPT: Duration = Duration::from_secs(5);
/// The bus waits so long for a queue.
const UNBINDING: Duration = Duration::from_secs(10);
/// What the log says then.
const LEAVES: &str = "queue 05.0004 leaves without its reset having completed";
/// The mdev that comes and goes meanwhile.
const C: &str = "62177883-f1bb-47f0-914d-32a22e3a8806";

/// What is done to another mdev and to the driver as a whole: in words, as lines of
/// shell, and what these print. `$M` is the matrix device, `$B` the mdev's folder.
const OPERATIONS: &[(&str, &str, &str)] = &[
    (
        "write every attribute",
        "cd $B
         for what in control_domain=4 adapter=7 domain=4; do
           echo ${what#*=} >assign_${what%=*}; echo ${what#*=} >unassign_${what%=*}
         done
         echo 0x01,0x04,0x04 >ap_config; cat guest_matrix
         echo 0x02,0x04,0x00 >ap_config; cat guest_matrix",
        "07.0005 06.0005",
    ),
    (
        "read every attribute",
        "all=$(find $M/ /sys/bus/ap/* /sys/bus/ap/devices/*/ -type f -perm -400)
         cat $all >/dev/null 2>&1 || true
         set $all; [ $# -gt 100 ]; cat $B/explain $B/guest_matrix",
        "06.0005",
    ),
    (
        "open by a group, RESET, close",
        r#"use "open dev group $B" "info dev 16" "irq-info dev 16 1" \
             "set-irqs dev 24 0x24 1 0 1 change" "reset dev" "close dev""#,
        "ok 16 33 0 2 16 1 1 1 ok ok ok",
    ),
    (
        // iommufd has all memory unmapped at the end
        "open by iommufd, RESET, close",
        r#"use "open dev cdev $B" "set-irqs dev 24 0x24 0 0 1 request" "reset dev" "close dev""#,
        "ok ok ok ok",
    ),
    (
        "make an mdev, use it, and remove it",
        r#"echo $C >$M/mdev_supported_types/vfio_ap-passthrough/create
           echo 0x01,0x0c,0x00 >$M/$C/ap_config; cat $M/$C/guest_matrix
           use "open dev group $M/$C" "close dev"
           echo 1 >$M/$C/remove; [ ! -e $M/$C ]"#,
        "07.0004 07.0005 ok ok",
    ),
    (
        "remove the mdev, and make it again",
        "echo 1 >$B/remove; echo ${B##*/} >$M/mdev_supported_types/vfio_ap-passthrough/create
         echo 0x02,0x04,0x00 >$B/ap_config; cat $B/guest_matrix",
        "06.0005",
    ),
    (
        "unbind and bind",
        "echo 06.0005 >/sys/bus/ap/drivers/vfio_ap/unbind; cat $B/explain
         echo 06.0005 >/sys/bus/ap/drivers/vfio_ap/bind
         until [ \"$(cat $B/guest_matrix)\" = 06.0005 ]; do usleep 20000; done",
        "adapter 06 queue-not-bound 06.0005 none",
    ),
    (
        "edit apmask and aqmask",
        "cd /sys/bus/ap
         for mask in apmask aqmask; do echo +9 >$mask; echo -9 >$mask; done
         if echo +6 >apmask; then echo given; else echo refused; fi 2>/dev/null",
        "refused",
    ),
    (
        "scan the bus",
        "cd /sys/bus/ap; n=$(cat scans); echo 1 >scans
         until [ $(cat scans) != $n ]; do usleep 20000; done",
        "",
    ),
];

/// An mdev with the queue that gets stuck, and another with 06.0005.
fn two_mdevs(machine: &Machine) -> (Mdev<'_>, Mdev<'_>) {
    let stuck = Mdev::create(machine, A).unwrap();
    stuck.change(true, Resource::Adapter, 5).unwrap();
    stuck.change(true, Resource::Domain, 4).unwrap();
    wait_for(&stuck, "guest_matrix", &["05.0004"]);
    let other = Mdev::create(machine, B).unwrap();
    other.change(true, Resource::Adapter, 6).unwrap();
    other.change(true, Resource::Domain, 5).unwrap();
    wait_for(&other, "guest_matrix", &["06.0005"]);
    (stuck, other)
}

/// A guest that has the queue; from then on no reset of it ends.
fn with_stuck_queue<'a>(machine: &'a Machine, stuck: &Mdev) -> Guest<'a> {
    let device = format!("sysfsdev={}", stuck.path());
    let mut guest = Guest::start(machine, &device, 99, 600);
    let begun = guest.until(LIMIT, |sees| sees.matrix() == ["05.0004"]);
    begun.unwrap().unwrap();
    let fault = "[[fault]]\napqn = \"05.0004\"\non = \"zapq\"\nrc = 2".to_owned();
    machine.qmp(qmp::ApInject { faults: fault }).unwrap();
    guest
}

/// Nothing that is done to others waits for the stuck queue.
fn others_go_on(machine: &Machine, other: &Mdev) {
    let (matrix, _) = other.path().rsplit_once('/').unwrap();
    let prelude = format!(
        "set -e; M={matrix} B={} C={C}
         use() {{ printf '%s\\n' \"$@\" | /mnt/host/vfio-client; }}",
        other.path()
    );
    for (what, line, wanted) in OPERATIONS {
        let output = machine.shell(&format!("{prelude}\n{line}"), PROMPT);
        let output = output.unwrap_or_else(|error| panic!("{what}: {error}"));
        assert_eq!(output.exit, Exit::Status(0), "{what}: {output:?}");
        let words: Vec<&str> = output.stdout.split_whitespace().collect();
        assert_eq!(words.join(" "), *wanted, "{what}");
    }
    // The host loses a domain, and has it again.
    domains(machine, "4", "4,5,7");
    wait_for(other, "guest_matrix", &["06."]);
    domains(machine, "4,5", "4,5,7");
    wait_for(other, "guest_matrix", &["06.0005"]);
    // The module stays as long as somebody has a device of it.
    let line = "if rmmod vfio_ap; then echo unloaded; else echo in use; fi";
    let output = machine.shell(line, PROMPT).unwrap();
    assert_eq!(output.stdout, "in use\n");
}

#[test]
fn a_stuck_queue_holds_up_no_other_mdev() {
    let machine = boot("stuck", Driver::Rust);
    let (stuck, other) = two_mdevs(&machine);

    // A queue that a guest has had must be reset when it leaves the guest.
    let mut guest = with_stuck_queue(&machine, &stuck);
    let line = format!("echo 5 >{}/unassign_adapter", stuck.path());
    let (id, unassign) = machine.start(Command {
        argv: ["sh", "-c", &line].map(str::to_owned).to_vec(),
        ..Command::default()
    });
    let gone = guest.until(LIMIT, |sees| sees.adapters.is_empty());
    gone.unwrap().unwrap();

    others_go_on(&machine, &other);
    assert_eq!(stuck.lines("matrix").unwrap(), [".0004"]);
    assert_eq!(stuck.lines("guest_matrix").unwrap(), [".0004"]);

    // All this while, the write that waits for the stuck queue has waited.
    let early = machine.next_within(&unassign, Duration::ZERO).unwrap();
    assert!(early.is_none(), "{early:?}");

    // The bus gets its queue back after ten seconds, whatever it does.
    store(&machine, UNBIND, "05.0004").unwrap();
    let log = shell(&machine, "dmesg | grep 'vfio_ap: .*05.0004'");
    assert!(log.contains(LEAVES), "{log}");
    match machine.next_within(&unassign, LIMIT).unwrap() {
        Some(Event::Exited { exit, .. }) => assert_eq!(exit, Exit::Status(0)),
        other => panic!("the write still waits: {other:?}"),
    }
    machine.client().end(id);

    // What the guest left in it may be there still, so the host does not get it.
    let busy = "Device or resource busy";
    assert_eq!(refused(&machine, APMASK, "+5"), busy);
    let log = shell(&machine, "dmesg | grep 'Can not reserve' | tail -n 1");
    let words = "Can not reserve queue 05.0004 for host driver: its reset is not done";
    assert!(log.contains(words), "{log}");

    // Bound again it is withheld until it let itself be reset.
    store(&machine, BIND, "05.0004").unwrap();
    stuck.change(true, Resource::Adapter, 5).unwrap();
    let line = "adapter 05 reset-pending 05.0004";
    assert_eq!(stuck.lines("explain").unwrap(), [line]);
    assert_eq!(machine.qmp(qmp::ApClearFaults {}).unwrap().cleared, 1);
    let back = guest.until(LIMIT, |sees| sees.matrix() == ["05.0004"]);
    back.unwrap().unwrap();
    wait_for(&stuck, "explain", &[]);
    guest.kill();
    guest.finish(LIMIT).unwrap();
    machine.shutdown().unwrap();
}

#[test]
fn a_guest_that_cannot_end_holds_up_no_other_mdev_nor_the_module_for_long() {
    let machine = boot("stuck-close", Driver::Rust);
    let (stuck, other) = two_mdevs(&machine);
    let guest = with_stuck_queue(&machine, &stuck);
    guest.kill();
    // Its masks are taken away; its end waits for the queue, which nobody may have.
    wait_for(&stuck, "guest_matrix", &[]);
    others_go_on(&machine, &other);
    store(&machine, UNBIND, "05.0004").unwrap();
    guest.finish(LIMIT).unwrap();

    // Bound again it is reset again, which does not end either: the module goes
    // all the same, and says what it leaves.
    store(&machine, BIND, "05.0004").unwrap();
    shell(&machine, "dmesg -c >/dev/null");
    let begin = Instant::now();
    shell(&machine, "rmmod vfio_ap");
    let took = begin.elapsed();
    assert!(took < 2 * UNBINDING, "{took:?}");
    let log = shell(&machine, "dmesg | sed -n 's/.*vfio_ap: //p'");
    let left = "queue 05.0004 may hold what a guest left in it: bind it again to have it reset";
    assert_eq!(log.lines().collect::<Vec<_>>(), [LEAVES, left]);

    // Loaded again it resets the queue before anybody has it.
    shell(&machine, "insmod /tmp/vfio_ap.ko");
    let stuck = Mdev::create(&machine, A).unwrap();
    stuck.change(true, Resource::Adapter, 5).unwrap();
    stuck.change(true, Resource::Domain, 4).unwrap();
    let line = "adapter 05 reset-pending 05.0004";
    assert_eq!(stuck.lines("explain").unwrap(), [line]);
    let since = mark(&machine);
    machine.qmp(qmp::ApClearFaults {}).unwrap();
    wait_for(&stuck, "guest_matrix", &["05.0004"]);
    let done = done_to(&machine, "05.0004", since);
    assert_eq!(done.last().unwrap().0, "reset-done", "{done:?}");
    machine.shutdown().unwrap();
}
