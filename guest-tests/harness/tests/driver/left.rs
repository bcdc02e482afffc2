// SPDX-License-Identifier: MIT OR Apache-2.0
//! What a guest left in a queue, and no ZAPQ has taken away: nobody gets it,
//! until one does.

use crate::{
    A, APMASK, BIND, LIMIT, UNBIND, boot, client, domains, done_to, mark, refused, set, shell,
    until, wait_for, wait_for_card,
};
use harness::mdev::{Mdev, Resource, store};
use harness::{Driver, Machine, qmp};
use std::time::{Duration, Instant};

/// An mdev with both queues of an adapter, which a guest has.
fn with_adapter<'a>(machine: &'a Machine, apid: u8) -> Mdev<'a> {
    let mdev = Mdev::create(machine, A).unwrap();
    mdev.change(true, Resource::Adapter, apid).unwrap();
    for domain in [4, 5] {
        mdev.change(true, Resource::Domain, domain).unwrap();
    }
    let queues = [4, 5].map(|domain| format!("{apid:02x}.{domain:04x}"));
    wait_for(
        &mdev,
        "guest_matrix",
        &queues.each_ref().map(String::as_str),
    );
    mdev
}

/// The host asks for an adapter of which it must not get this queue.
fn is_refused(machine: &Machine, adapter: &str, queue: &str) {
    shell(machine, "dmesg -c >/dev/null");
    let answer = refused(machine, APMASK, adapter);
    assert_eq!(answer, "Device or resource busy");
    let log = shell(machine, "dmesg | grep 'Can not reserve'");
    let words = format!("Can not reserve queue {queue} for host driver: its reset is not done");
    assert!(log.contains(&words), "{log}");
}

/// The host gets an adapter, at last; a ZAPQ of this queue has been done by then.
fn is_given(machine: &Machine, adapter: &str, queue: &str, since: u64) {
    until("the host gets the adapter", || {
        store(machine, APMASK, adapter).is_ok()
    });
    let done = done_to(machine, queue, since);
    let zapq = done.iter().position(|did| *did == ("zapq".to_owned(), 0));
    let end = done.iter().position(|(op, _)| op == "reset-done");
    assert!(zapq.is_some() && zapq < end, "{done:?}");
    until("a driver of the host's has it", || {
        let line = format!("basename $(readlink /sys/bus/ap/devices/{queue}/driver) || true");
        shell(machine, &line).starts_with("cex")
    });
}

/// A guest has adapter 5 when domain 5 leaves the host, and ends.
fn loses_domain(machine: &Machine) {
    let mdev = with_adapter(machine, 5);
    let user = client(machine, &mdev);
    shell(machine, "dmesg -c >/dev/null");
    domains(machine, "4", "4,5,7");
    until("the bus takes the queue", || {
        !shell(machine, "ls /sys/bus/ap/devices").contains("05.0005")
    });
    user.end().unwrap();
    mdev.remove().unwrap();
}

/// The host's driver gets a queue that came back, after a ZAPQ of it.
fn comes_back_reset(machine: &Machine, queue: &str, since: u64) {
    until("a driver of the host's has it", || {
        let line = format!("basename $(readlink /sys/bus/ap/devices/{queue}/driver) || true");
        shell(machine, &line).starts_with("cex")
    });
    let done = done_to(machine, queue, since);
    assert_eq!(done.first(), Some(&("zapq".to_owned(), 0)), "{done:?}");
    let next = done.get(1).map(|(op, _)| op.as_str());
    assert_eq!(next, Some("reset-done"), "{done:?}");
}

#[test]
fn what_a_guest_left_is_nobodys() {
    let machine = boot("left", Driver::Rust);
    // The bus does nothing of its own accord meanwhile.
    store(&machine, "/sys/bus/ap/config_time", "120").unwrap();

    a_reset_that_is_asked_for_is_begun_at_once(&machine);

    // A ZAPQ that fails, as long as it does.
    let mdev = with_adapter(&machine, 5);
    let mut user = client(&machine, &mdev);
    let since = mark(&machine);
    let faults = "[[fault]]\napqn = \"05.0004\"\non = \"zapq\"\nrc = 1".to_owned();
    machine.qmp(qmp::ApInject { faults }).unwrap();
    mdev.change(false, Resource::Adapter, 5).unwrap();
    assert_eq!(user.ask("masks").unwrap(), "0x00,0x0c,0x00");
    is_refused(&machine, "+5", "05.0004");
    user.end().unwrap();
    mdev.remove().unwrap();
    is_refused(&machine, "+5", "05.0004");
    machine.qmp(qmp::ApClearFaults {}).unwrap();
    is_given(&machine, "+5", "05.0004", since);

    // An adapter that is deconfigured, whose queue the bus takes and gives back.
    let mdev = with_adapter(&machine, 6);
    let user = client(&machine, &mdev);
    let since = mark(&machine);
    set(&machine, 6, "config", false);
    wait_for_card(&machine, 6, "config", 0);
    mdev.change(false, Resource::Adapter, 6).unwrap();
    is_refused(&machine, "+6", "06.0004");
    user.end().unwrap();
    mdev.remove().unwrap();
    store(&machine, UNBIND, "06.0004").unwrap();
    let log = shell(&machine, "dmesg | grep 'vfio_ap: .*06.0004'");
    let words = "queue 06.0004 may hold what a guest left in it: bind it again to have it reset";
    assert!(log.contains(words), "{log}");
    is_refused(&machine, "+6", "06.0004");
    store(&machine, BIND, "06.0004").unwrap();
    is_refused(&machine, "+6", "06.0004");
    set(&machine, 6, "config", true);
    wait_for_card(&machine, 6, "config", 1);
    is_given(&machine, "+6", "06.0004", since);

    // A domain leaves the host with its queue: the host may have the adapter, and gets the queue when that came back and was reset.
    store(&machine, APMASK, "-5").unwrap();
    loses_domain(&machine);
    let log = shell(&machine, "dmesg | grep 'vfio_ap: .*05.0005'");
    let words =
        "queue 05.0005 may hold what a guest left in it: it is reset when the host has it again";
    assert!(log.contains(words), "{log}");
    store(&machine, APMASK, "+5").unwrap();
    let since = mark(&machine);
    domains(&machine, "4,5", "4,5,7");
    comes_back_reset(&machine, "05.0005", since);
    store(&machine, APMASK, "-5").unwrap();

    // The same, but it does not let itself be reset.
    loses_domain(&machine);
    let faults = "[[fault]]\napqn = \"05.0005\"\non = \"zapq\"\nrc = 4".to_owned();
    machine.qmp(qmp::ApInject { faults }).unwrap();
    domains(&machine, "4,5", "4,5,7");
    until("the bus has the queue", || {
        shell(&machine, "ls /sys/bus/ap/devices").contains("05.0005")
    });
    let log = shell(&machine, "dmesg | grep 'vfio_ap: .*05.0005'");
    let words =
        "queue 05.0005 came back and could not be reset: it may hold what a guest left in it";
    assert!(log.contains(words), "{log}");
    is_refused(&machine, "+5", "05.0005");
    let since = mark(&machine);
    machine.qmp(qmp::ApClearFaults {}).unwrap();
    is_given(&machine, "+5", "05.0005", since);

    what_goes_need_not_wait_for_what_comes_back(&machine);

    // What is taken for good goes with the driver, which says so.
    let mdev = with_adapter(&machine, 7);
    let user = client(&machine, &mdev);
    let faults = "[[fault]]\napqn = \"07.0005\"\non = \"zapq\"\nrc = 1".to_owned();
    machine.qmp(qmp::ApInject { faults }).unwrap();
    user.end().unwrap();
    mdev.remove().unwrap();
    is_refused(&machine, "+7", "07.0005");
    let limit = LIMIT.as_secs();
    shell(&machine, &format!("timeout {limit} rmmod vfio_ap"));
    let log = shell(&machine, "dmesg | grep 'vfio_ap: queue'");
    let told: Vec<_> = log.lines().collect();
    assert!(told.len() == 1 && told[0].contains("07.0005"), "{log}");
    store(&machine, APMASK, "+7").unwrap();
    machine.shutdown().unwrap();
}

/// A domain goes as another comes back, with a queue that does not let itself be
/// reset: the bus waits for that, but no guest does.
fn what_goes_need_not_wait_for_what_comes_back(machine: &Machine) {
    store(machine, APMASK, "-5,-6").unwrap();
    loses_domain(machine);
    let mdev = Mdev::create(machine, A).unwrap();
    mdev.change(true, Resource::Adapter, 6).unwrap();
    mdev.change(true, Resource::Domain, 4).unwrap();
    wait_for(&mdev, "guest_matrix", &["06.0004"]);
    let mut user = client(machine, &mdev);
    let faults = "[[fault]]\napqn = \"05.0005\"\non = \"zapq\"\nrc = 2".to_owned();
    machine.qmp(qmp::ApInject { faults }).unwrap();
    let since = mark(machine);
    domains(machine, "5", "4,5,7");
    until("the guest loses the queue", || {
        user.ask("masks").unwrap() != "none"
    });
    let log = shell(machine, "dmesg | grep 'vfio_ap: .*05.0005' || true");
    assert!(!log.contains("came back"), "{log}");
    machine.qmp(qmp::ApClearFaults {}).unwrap();
    until("a driver of the host's has it", || {
        let line = "ls /sys/bus/ap/drivers/vfio_ap/05.0005 || true";
        !shell(machine, line).is_empty()
    });
    let done = done_to(machine, "05.0005", since);
    assert!(done.contains(&("zapq".to_owned(), 0)), "{done:?}");
    user.end().unwrap();
    mdev.remove().unwrap();
    domains(machine, "4,5", "4,5,7");
    until("the bus has its queues", || {
        shell(machine, "ls -d /sys/bus/ap/devices/??.0004 | wc -l").trim() == "3"
    });
}

/// What failed is tried again a second later; who asks for it does not wait so long.
fn a_reset_that_is_asked_for_is_begun_at_once(machine: &Machine) {
    const RESETS: u32 = 20;
    let mdev = with_adapter(machine, 7);
    let mut user = client(machine, &mdev);
    let faults = "[[fault]]\napqn = \"07.0004\"\non = \"zapq\"\nrc = 1".to_owned();
    machine.qmp(qmp::ApInject { faults }).unwrap();
    let begin = Instant::now();
    for _ in 0..RESETS {
        assert_eq!(user.ask("reset dev").unwrap(), "EIO");
    }
    // far more than twenty instructions take, and less than twenty seconds
    let took = begin.elapsed();
    assert!(
        took < Duration::from_secs(u64::from(RESETS) / 2),
        "{took:?}"
    );
    machine.qmp(qmp::ApClearFaults {}).unwrap();
    wait_for(&mdev, "explain", &[]);
    user.end().unwrap();
    mdev.remove().unwrap();
}
