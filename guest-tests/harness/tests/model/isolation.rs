// SPDX-License-Identifier: MIT OR Apache-2.0
//! The auditor objects on a real run: to each of its rules being broken by
//! cards that do not do what they say, and to what the stock driver then does.

use crate::{LIMIT, await_record, boot, clear, config, inject, shell, start};
use harness::audit::{Auditing, Mark};
use harness::guest::Guest;
use harness::mdev::{Mdev, Resource, reserve_all, store};
use harness::{Driver, Error, Machine};
use std::collections::BTreeMap;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::time::{Duration, Instant};

const UNBIND: &str = "/sys/bus/ap/drivers/cex4queue/unbind";
const BIND: &str = "/sys/bus/ap/drivers/cex4queue/bind";

/// A queue of the EP11 adapter is zeroized by Linux with a request in it, and
/// the adapter keeps that.
fn keep_a_message(machine: &Machine) -> String {
    inject(
        machine,
        &[
            "apid = 6\non = \"reply\"\ndelay-ms = 3600000\ntimes = 1",
            "apid = 6\non = \"zapq\"\nact = \"keep\"",
        ],
    );
    let mark = machine.mark().unwrap();
    start(machine, "cat /sys/bus/ap/devices/card06/serialnr");
    let request = await_record(machine, mark, |e| e.op == "nqap");
    assert_eq!(
        (request.issuer.as_str(), &request.apqn[..2]),
        ("host", "06")
    );
    let queue = request.apqn;
    start(machine, &format!("echo {queue} >{UNBIND}"));
    queue
}

/// Interrupts of the CCA adapter survive the resets of an unbind and a bind.
fn keep_interrupts(machine: &Machine) {
    inject(
        machine,
        &[
            "apid = 5\non = \"zapq\"\nact = \"keep\"",
            "apid = 5\non = \"rapq\"\nact = \"keep\"",
        ],
    );
    for queue in ["05.0004", "05.0005"] {
        let mark = machine.mark().unwrap();
        store(machine, UNBIND, queue).unwrap();
        store(machine, BIND, queue).unwrap();
        await_record(machine, mark, |e| e.op == "aqic" && e.apqn == queue);
    }
    clear(machine);
    shell(machine, "cat /sys/bus/ap/devices/card05/serialnr");
}

/// The host's reply stays in a queue whose ZAPQ does nothing, and goes to the
/// guest that the stock driver gives the queue to.
fn leave_a_reply(machine: &Machine) -> String {
    let unyielding = "apid = 5\non = \"zapq\"\nrc = 5";
    inject(machine, &[unyielding, "apid = 5\non = \"dqap\"\nrc = 5"]);
    let mark = machine.mark().unwrap();
    start(machine, "cat /sys/bus/ap/devices/card05/serialnr");
    let reply = await_record(machine, mark, |e| e.op == "reply");
    assert_eq!(&reply.apqn[..2], "05");
    reserve_all(machine).unwrap();
    clear(machine);
    inject(machine, &[unyielding]);
    reply.apqn
}

#[test]
fn every_rule_is_seen_broken_on_a_real_run() {
    let mut config = config("rules");
    config.driver = Driver::C;
    config.auditing = Auditing::Counting;
    let machine = boot(&config);
    assert_eq!(machine.violations().unwrap(), BTreeMap::new());
    let broken =
        |machine: &Machine| -> Vec<String> { machine.violations().unwrap().into_keys().collect() };

    let queue = keep_a_message(&machine);
    let wrong = await_record(&machine, Mark::START, |e| e.op == "violation");
    assert_eq!((&wrong.apqn, wrong.tag), (&queue, 3));
    assert_eq!(broken(&machine), ["nothing-survives"]);
    clear(&machine);
    store(&machine, BIND, &queue).unwrap();

    keep_interrupts(&machine);
    assert_eq!(
        broken(&machine),
        ["indicator-is-current", "nothing-survives"]
    );

    let queue = leave_a_reply(&machine);
    // A queue outside the guest's masks answers it all the same.
    let apqn = "07.0004";
    inject(
        &machine,
        &[&format!(
            "apqn = \"{apqn}\"\non = \"tapq\"\nact = \"expose\""
        )],
    );
    let mdev = Mdev::create(&machine, "62177883-f1bb-47f0-914d-32a22e3a8806").unwrap();
    let domain = if queue == "05.0004" { 4 } else { 5 };
    mdev.change(true, Resource::Adapter, 5).unwrap();
    mdev.change(true, Resource::Domain, domain).unwrap();
    assert_eq!(
        mdev.lines("guest_matrix").unwrap(),
        std::slice::from_ref(&queue)
    );
    let device = format!("sysfsdev={}", mdev.path());
    let guest = Guest::start(&machine, &device, 0, 1);
    // It gets the host's reply in place of its own.
    let end = Instant::now() + LIMIT;
    while !broken(&machine).contains(&"reply-to-owner".to_owned()) {
        assert!(Instant::now() < end, "{:?}", broken(&machine));
        std::thread::park_timeout(Duration::from_millis(50));
    }
    // The end of the guest waits for its queues to be zeroized.
    clear(&machine);
    guest.finish(LIMIT).unwrap();
    assert_eq!(
        broken(&machine),
        [
            "host-keeps-off",
            "indicator-is-current",
            "masks-hold",
            "nothing-survives",
            "reply-to-owner",
            "zapq-between-owners"
        ]
    );
    machine.shutdown().unwrap();
}

#[test]
fn a_violation_stops_the_machine_and_tells_its_story() {
    let machine = boot(&config("violation-stops"));
    let queue = keep_a_message(&machine);
    let error = machine
        .shell("while true; do sleep 1; done", LIMIT)
        .unwrap_err();
    assert!(matches!(error, Error::Violated { .. }), "{error}");
    let text = error.to_string();
    let begin = format!("AP isolation: nothing-survives violated at {queue}");
    assert!(text.starts_with(&begin), "{text}");
    for part in ["nqap by the host", "zapq by the host"] {
        assert!(text.contains(&format!("{queue} {part}")), "{text}");
    }
    let status = machine.qmp(qapi::qmp::query_status {}).unwrap();
    assert_eq!(status.status, qapi::qmp::RunState::paused);
}

#[test]
fn a_violation_fails_a_test_that_does_not_look() {
    let machine = boot(&config("violation-fails"));
    keep_a_message(&machine);
    await_record(&machine, Mark::START, |e| e.op == "violation");
    let caught = catch_unwind(AssertUnwindSafe(|| drop(machine)));
    let what = caught.unwrap_err();
    let text = what.downcast_ref::<String>().unwrap();
    assert!(text.contains("nothing-survives"), "{text}");
}
