// SPDX-License-Identifier: MIT OR Apache-2.0
//! A queue whose reset never ends holds up nobody but its own mdev.

use crate::{A, APMASK, B, BIND, LIMIT, UNBIND, boot, refused, shell, wait_for};
use harness::guest::Guest;
use harness::mdev::{Mdev, Resource, store};
use harness::{Driver, Exit, qmp};
use l1_protocol::{Command, Event};
use std::time::{Duration, Instant};

/// What need not wait for hardware is done within this time.
const PROMPT: Duration = Duration::from_secs(5);

#[test]
fn a_stuck_queue_holds_up_no_other_mdev() {
    let machine = boot("stuck", Driver::Rust);
    let stuck = Mdev::create(&machine, A).unwrap();
    stuck.change(true, Resource::Adapter, 5).unwrap();
    stuck.change(true, Resource::Domain, 4).unwrap();
    wait_for(&stuck, "guest_matrix", &["05.0004"]);
    let other = Mdev::create(&machine, B).unwrap();

    // A queue that a guest has had must be reset when it leaves the guest.
    let device = format!("sysfsdev={}", stuck.path());
    let mut guest = Guest::start(&machine, &device, 99, 600);
    let begun = guest.until(LIMIT, |sees| sees.matrix() == ["05.0004"]);
    begun.unwrap().unwrap();
    let fault = "[[fault]]\napqn = \"05.0004\"\non = \"zapq\"\nrc = 2".to_owned();
    machine.qmp(qmp::ApInject { faults: fault }).unwrap();
    let line = format!("echo 5 >{}/unassign_adapter", stuck.path());
    let (id, unassign) = machine.start(Command {
        argv: ["sh", "-c", &line].map(str::to_owned).to_vec(),
        ..Command::default()
    });
    let gone = guest.until(LIMIT, |sees| sees.adapters.is_empty());
    gone.unwrap().unwrap();

    let prompt = |what: &str, act: &dyn Fn()| {
        let begin = Instant::now();
        act();
        let took = begin.elapsed();
        assert!(took < PROMPT, "{what} took {took:?}");
    };
    prompt("assign an adapter", &|| {
        other.change(true, Resource::Adapter, 6).unwrap();
    });
    prompt("assign a domain", &|| {
        other.change(true, Resource::Domain, 5).unwrap();
        wait_for(&other, "guest_matrix", &["06.0005"]);
    });
    prompt("edit apmask", &|| {
        store(&machine, APMASK, "+9").unwrap();
    });
    prompt("read the stuck mdev", &|| {
        assert_eq!(stuck.lines("matrix").unwrap(), [".0004"]);
        assert_eq!(stuck.lines("guest_matrix").unwrap(), [".0004"]);
    });
    prompt("unbind", &|| {
        store(&machine, UNBIND, "06.0005").unwrap();
        let line = "adapter 06 queue-not-bound 06.0005 none";
        wait_for(&other, "explain", &[line]);
    });
    prompt("bind", &|| {
        store(&machine, BIND, "06.0005").unwrap();
        wait_for(&other, "guest_matrix", &["06.0005"]);
    });
    prompt("unassign", &|| {
        other.change(false, Resource::Adapter, 6).unwrap();
    });

    // All this while, the write that waits for the stuck queue has waited.
    let early = machine.next_within(&unassign, Duration::ZERO).unwrap();
    assert!(early.is_none(), "{early:?}");

    // The bus gets its queue back after ten seconds, whatever it does.
    store(&machine, UNBIND, "05.0004").unwrap();
    let log = shell(&machine, "dmesg | grep 'vfio_ap: .*05.0004'");
    assert!(
        log.contains("queue 05.0004 leaves without its reset having completed"),
        "{log}"
    );
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
