// SPDX-License-Identifier: MIT OR Apache-2.0
//! One function a defect: what the driver that is loaded does.

use super::Case;
use crate::{
    A, APMASK, B, BIND, LIMIT, UNBIND, set, set_override, shell, until, wait_for, wait_for_card,
};
use harness::mdev::{Mdev, Resource, store};
use harness::vfio::VfioClient;
use harness::{Exit, Machine, qmp};
use l1_protocol::{Command, Event};
use std::time::Duration;

/// All that one kind of machine can show, in the order of their numbers.
pub const ALL: &[(u8, Case)] = &[
    (4, w04_nobody_waits_for_the_queues_of_others),
    (5, w05_listings_are_whole),
    (7, w07_the_filter_is_applied_after_unassign),
    (8, w08_refused_masks_are_never_seen),
    (9, w09_ap_config_changes_the_guest_once),
    (10, w10_a_reset_that_fails_later_has_failed),
    (11, w11_a_queue_is_reset_before_a_guest_has_it),
    (12, w12_a_failed_reset_is_no_end),
    (15, w15_a_cleared_override_refuses_nothing_else),
    (16, w16_what_was_asked_back_stays_away),
    (17, w17_eventfds_go_with_their_opener),
    (18, w18_nobody_waits_for_memory_of_others),
    (23, w23_a_refusal_is_one_line),
    (24, w24_a_change_while_loading_is_seen),
    (25, w25_an_offline_queue_is_not_passed_on),
];

/// An mdev with these masks, which the driver takes as they are.
fn assigned<'a>(machine: &'a Machine, uuid: &str, masks: &str) -> Mdev<'a> {
    let mdev = Mdev::create(machine, uuid).unwrap();
    configure(machine, &mdev, masks).unwrap();
    mdev
}

fn configure(machine: &Machine, mdev: &Mdev, masks: &str) -> Result<(), harness::Error> {
    store(machine, &format!("{}/ap_config", mdev.path()), masks)
}

/// The lines of an attribute as one.
fn line(mdev: &Mdev, attribute: &str) -> String {
    mdev.lines(attribute).unwrap().join(" ")
}

/// The last words of a refusal, or `ok`.
fn outcome<T>(result: Result<T, harness::Error>) -> String {
    match result {
        Ok(_) => "ok".to_owned(),
        Err(error) => {
            let text = error.to_string();
            text.rsplit(": ").next().unwrap_or(&text).to_owned()
        }
    }
}

fn open(client: &mut VfioClient, mdev: &Mdev) {
    let request = format!("open dev group {}", mdev.path());
    assert_eq!(client.ask(&request).unwrap(), "ok");
    // What opening wrote is of no interest.
    client.ask("masks").unwrap();
}

/// Lets an interrupt of the open device signal the eventfd of that name.
fn watch(client: &mut VfioClient, index: u32, eventfd: &str) {
    let request = format!("set-irqs dev 24 0x24 {index} 0 1 {eventfd}");
    assert_eq!(client.ask(&request).unwrap(), "ok");
}

fn inject(machine: &Machine, fault: &str) {
    let faults = format!("[[fault]]\napqn = \"05.0004\"\n{fault}");
    machine.qmp(qmp::ApInject { faults }).unwrap();
}

fn clear_faults(machine: &Machine) {
    machine.qmp(qmp::ApClearFaults {}).unwrap();
}

/// Starts a write that may take long; whoever has the result waits for its end.
fn begin<'a>(machine: &'a Machine, path: &str, text: &str) -> impl Fn(Duration) -> bool + 'a {
    let line = format!("echo {text} >{path}");
    let (_, events) = machine.start(Command {
        argv: ["sh", "-c", &line].map(str::to_owned).to_vec(),
        ..Command::default()
    });
    move |limit| match machine.next_within(&events, limit).unwrap() {
        Some(Event::Exited { exit, .. }) => exit == Exit::Status(0),
        Some(other) => panic!("{other:?}"),
        None => false,
    }
}

/// Far more than an assignment takes that waits for nothing.
const PROMPT: Duration = Duration::from_secs(8);

fn w04_nobody_waits_for_the_queues_of_others(machine: &Machine) -> String {
    let stuck = assigned(machine, A, "0x04,0x08,0x00");
    let other = Mdev::create(machine, B).unwrap();
    wait_for(&stuck, "guest_matrix", &["05.0004"]);
    let mut client = VfioClient::start(machine);
    open(&mut client, &stuck);
    inject(machine, "on = \"zapq\"\nrc = 2");
    let leaving = begin(machine, &format!("{}/unassign_adapter", stuck.path()), "5");
    // Once the guest has lost the queue, its reset has begun.
    until("the guest loses the queue", || {
        client.ask("masks").unwrap() != "none"
    });
    let joining = begin(machine, &format!("{}/assign_adapter", other.path()), "6");
    let prompt = joining(PROMPT);
    clear_faults(machine);
    assert!(prompt || joining(LIMIT));
    assert!(leaving(LIMIT));
    client.end().unwrap();
    stuck.remove().unwrap();
    other.remove().unwrap();
    let how = if prompt {
        "is done at once"
    } else {
        "waits for the stuck queue"
    };
    format!("an assignment to another mdev {how}")
}

fn w05_listings_are_whole(machine: &Machine) -> String {
    let mdev = assigned(machine, A, &format!("0xe0,0x{},0x00", "f".repeat(64)));
    let path = format!("{}/matrix", mdev.path());
    let bytes = machine.read_file(&path).unwrap().len();
    mdev.remove().unwrap();
    format!("{bytes} of {} bytes", 3 * 256 * "05.0004\n".len())
}

fn w07_the_filter_is_applied_after_unassign(machine: &Machine) -> String {
    store(machine, UNBIND, "05.0005").unwrap();
    let mdev = assigned(machine, A, "0x04,0x0c,0x00");
    wait_for(&mdev, "guest_matrix", &[".0004", ".0005"]);
    mdev.change(false, Resource::Domain, 5).unwrap();
    let seen = line(&mdev, "guest_matrix");
    mdev.remove().unwrap();
    store(machine, BIND, "05.0005").unwrap();
    format!("guest_matrix {seen}")
}

fn w08_refused_masks_are_never_seen(machine: &Machine) -> String {
    let holder = assigned(machine, B, "0x02,0x08,0x00");
    let mdev = Mdev::create(machine, A).unwrap();
    let all = format!("0x{}", "f".repeat(64));
    // The reader needs no process of its own for each look, so it looks often.
    let script = format!(
        "cd {}; read -r zero <ap_config
         (n=0; while [ $n -lt 5 ]; do echo {all},{all},{all} >ap_config; n=$((n + 1)); done) 2>/dev/null &
         seen=no
         while [ $seen = no ] && kill -0 $! 2>/dev/null; do
           read -r masks <ap_config; [ $masks = $zero ] || seen=yes
         done
         wait; read -r masks <ap_config; [ $masks = $zero ]; echo $seen",
        mdev.path()
    );
    let seen = shell(machine, &script);
    mdev.remove().unwrap();
    holder.remove().unwrap();
    match seen.trim() {
        "no" => "readers saw the masks that stood".to_owned(),
        _ => "a reader saw refused masks".to_owned(),
    }
}

fn w09_ap_config_changes_the_guest_once(machine: &Machine) -> String {
    let mdev = assigned(machine, A, "0x06,0x08,0x00");
    wait_for(&mdev, "guest_matrix", &["05.0004", "06.0004"]);
    let mut client = VfioClient::start(machine);
    open(&mut client, &mdev);
    watch(&mut client, 1, "change");
    configure(machine, &mdev, "0x05,0x04,0x00").unwrap();
    let masks = client.ask("masks").unwrap();
    let signals = client.ask("signals").unwrap();
    let changes = signals.rsplit(' ').next().unwrap_or_default();
    let commas = outcome(configure(machine, &mdev, ",,"));
    client.end().unwrap();
    mdev.remove().unwrap();
    format!("{masks}; {changes} signals; `,,` is {commas}")
}

fn w10_a_reset_that_fails_later_has_failed(machine: &Machine) -> String {
    let mdev = assigned(machine, A, "0x04,0x08,0x00");
    wait_for(&mdev, "guest_matrix", &["05.0004"]);
    let mut client = VfioClient::start(machine);
    open(&mut client, &mdev);
    inject(machine, "on = \"tapq\"\nrc = 1");
    let reset = client.ask("reset dev").unwrap();
    clear_faults(machine);
    wait_for(&mdev, "guest_matrix", &["05.0004"]);
    client.end().unwrap();
    mdev.remove().unwrap();
    format!("RESET is {reset}")
}

fn w11_a_queue_is_reset_before_a_guest_has_it(machine: &Machine) -> String {
    store(machine, APMASK, "+5").unwrap();
    inject(machine, "on = \"zapq\"\ndelay-ms = 4000");
    store(machine, APMASK, "-5").unwrap();
    let mdev = assigned(machine, A, "0x04,0x08,0x00");
    let seen = line(&mdev, "guest_matrix");
    let queues = machine.qmp(qmp::QueryApQueues {}).unwrap();
    let queue = queues.iter().find(|queue| queue.apqn == "05.0004").unwrap();
    let code = (queue.status >> 16) & 0xff;
    let what = if code == 2 { "runs" } else { "is over" };
    clear_faults(machine);
    wait_for(&mdev, "guest_matrix", &["05.0004"]);
    mdev.remove().unwrap();
    format!("guest_matrix {seen} while a reset {what}")
}

fn w12_a_failed_reset_is_no_end(machine: &Machine) -> String {
    let mdev = assigned(machine, A, "0x04,0x08,0x00");
    wait_for(&mdev, "guest_matrix", &["05.0004"]);
    let mut client = VfioClient::start(machine);
    open(&mut client, &mdev);
    inject(machine, "on = \"zapq\"\nrc = 1");
    assert_eq!(client.ask("reset dev").unwrap(), "EIO");
    let failed = line(&mdev, "guest_matrix");
    mdev.change(true, Resource::Domain, 5).unwrap();
    let assigned = line(&mdev, "guest_matrix");
    clear_faults(machine);
    assert_eq!(client.ask("reset dev").unwrap(), "ok");
    let reset = line(&mdev, "guest_matrix");
    client.end().unwrap();
    mdev.remove().unwrap();
    format!("failed: {failed}; assigned: {assigned}; reset: {reset}")
}

fn w15_a_cleared_override_refuses_nothing_else(machine: &Machine) -> String {
    store(machine, APMASK, &format!("0x{}", "f".repeat(64))).unwrap();
    set_override(machine, "05.0004", "vfio_ap").unwrap();
    shell(
        machine,
        "cd /sys/bus/ap/drivers; echo 05.0004 >cex4queue/unbind; echo 05.0004 >vfio_ap/bind",
    );
    let mdev = assigned(machine, A, "0x04,0x08,0x00");
    wait_for(&mdev, "guest_matrix", &["05.0004"]);
    set_override(machine, "05.0004", "").unwrap();
    let again = outcome(configure(machine, &mdev, "0x04,0x08,0x00"));
    mdev.remove().unwrap();
    store(machine, APMASK, "0x0").unwrap();
    format!("writing what is assigned already: {again}")
}

fn w16_what_was_asked_back_stays_away(machine: &Machine) -> String {
    store(machine, UNBIND, "06.0004").unwrap();
    let mdev = assigned(machine, A, "0x06,0x08,0x00");
    wait_for(&mdev, "guest_matrix", &["05.0004"]);
    let mut client = VfioClient::start(machine);
    open(&mut client, &mdev);
    watch(&mut client, 0, "request");
    // Removing an mdev that is open asks for it back, and waits.
    let removal = begin(machine, &format!("{}/remove", mdev.path()), "1");
    until("the request", || {
        !client.ask("signals").unwrap().starts_with("request 0")
    });
    client.ask("masks").unwrap();
    store(machine, BIND, "06.0004").unwrap();
    // Our driver would give it only after a reset, which RESET waits for.
    client.ask("reset dev").unwrap();
    let masks = client.ask("masks").unwrap();
    client.end().unwrap();
    assert!(removal(LIMIT));
    format!("after the request the guest got {masks}")
}

fn w17_eventfds_go_with_their_opener(machine: &Machine) -> String {
    let mdev = assigned(machine, A, "0x04,0x08,0x00");
    wait_for(&mdev, "guest_matrix", &["05.0004"]);
    let mut client = VfioClient::start(machine);
    open(&mut client, &mdev);
    watch(&mut client, 1, "change");
    assert_eq!(client.ask("close dev").unwrap(), "ok");
    client.ask("signals").unwrap();
    open(&mut client, &mdev);
    mdev.change(false, Resource::Domain, 4).unwrap();
    let signals = client.ask("signals").unwrap();
    let changes = signals.rsplit(' ').next().unwrap_or_default();
    // `argsz` ends before what follows it.
    let count = client.ask("set-irqs dev 20 0x24 1 0 0 change").unwrap();
    client.end().unwrap();
    mdev.remove().unwrap();
    format!("the old eventfd: {changes} signals; a count of 0: {count}")
}

/// The argument of a request is in memory that is not there for a while.
fn w18_nobody_waits_for_memory_of_others(machine: &Machine) -> String {
    let mdev = assigned(machine, A, "0x04,0x08,0x00");
    let other = Mdev::create(machine, B).unwrap();
    let mut client = VfioClient::start(machine);
    open(&mut client, &mdev);
    assert_eq!(client.ask("stall dev").unwrap(), "ok");
    let joining = begin(machine, &format!("{}/assign_adapter", other.path()), "6");
    let prompt = joining(PROMPT);
    // all zeros is too short an argument
    assert_eq!(client.ask("resume").unwrap(), "EINVAL");
    assert!(prompt || joining(LIMIT));
    client.end().unwrap();
    mdev.remove().unwrap();
    other.remove().unwrap();
    let how = if prompt {
        "is done at once"
    } else {
        "waits for that memory"
    };
    format!("an assignment to another mdev {how}")
}

fn w23_a_refusal_is_one_line(machine: &Machine) -> String {
    let all = "f".repeat(64);
    let holder = assigned(machine, B, &format!("0x04,0x{all},0x00"));
    let mdev = assigned(machine, A, &format!("0x00,0x{all},0x00"));
    shell(machine, "dmesg -c >/dev/null");
    mdev.change(true, Resource::Adapter, 5).unwrap_err();
    let lines = shell(machine, "dmesg -c | grep -c 'already assigned to'");
    mdev.remove().unwrap();
    holder.remove().unwrap();
    format!("{} lines", lines.trim())
}

/// The first answer to the driver that is loaded is what was so before: domain 5
/// comes after it, and the bus, which has seen no change, says nothing.
fn w24_a_change_while_loading_is_seen(machine: &Machine) -> String {
    let load = "if [ -e /tmp/vfio_ap.ko ]; then insmod /tmp/vfio_ap.ko; else modprobe vfio_ap; fi";
    shell(machine, "rmmod vfio_ap");
    let faults = "[[fault]]\non = \"qci\"\nact = \"lie\"\ndomain = 5\ntimes = 1".to_owned();
    machine.qmp(qmp::ApInject { faults }).unwrap();
    shell(machine, load);
    let mdev = assigned(machine, A, "0x04,0x0c,0x00");
    until("the driver has made up its mind", || {
        line(&mdev, "guest_matrix").starts_with("05.0004")
    });
    let seen = line(&mdev, "guest_matrix");
    mdev.remove().unwrap();
    clear_faults(machine);
    shell(machine, &format!("rmmod vfio_ap; {load}"));
    format!("guest_matrix {seen}")
}

fn w25_an_offline_queue_is_not_passed_on(machine: &Machine) -> String {
    let first = assigned(machine, A, "0x04,0x08,0x00");
    wait_for(&first, "guest_matrix", &["05.0004"]);
    let mut client = VfioClient::start(machine);
    open(&mut client, &first);
    set(machine, 5, "config", false);
    wait_for_card(machine, 5, "config", 0);
    client.end().unwrap();
    first.remove().unwrap();
    let next = assigned(machine, B, "0x04,0x08,0x00");
    let seen = line(&next, "guest_matrix");
    set(machine, 5, "config", true);
    wait_for_card(machine, 5, "config", 1);
    wait_for(&next, "guest_matrix", &["05.0004"]);
    next.remove().unwrap();
    format!("guest_matrix of the next mdev {seen}")
}
