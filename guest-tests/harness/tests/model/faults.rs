// SPDX-License-Identifier: MIT OR Apache-2.0
//! What Linux' AP bus does with each kind of fault. Nothing may hang: every
//! request ends, if need be by a remedy, and the adapter works again after it.

use crate::{LIMIT, await_record, boot, clear, config, inject, shell, start};
use harness::audit::Auditing;
use harness::mdev::store;
use harness::{Exit, Machine};
use l1_protocol::{Event, Id};
use qapi::qmp::qom_set;
use std::fmt::Write;
use std::ops::RangeInclusive;
use std::sync::mpsc::Receiver;
use std::time::{Duration, Instant};

/// What makes the fault happen; requests to the adapter come with it, or
/// right after it.
#[derive(Clone, Copy)]
enum Cause {
    /// The requests.
    Requests,
    /// The queues get their driver anew: ZAPQ, then RAPQ and AQIC.
    Rebind,
    /// A scan of the bus: QCI and TAPQ.
    Scan,
}

/// What lets requests end that the fault holds up.
#[derive(Clone, Copy)]
enum Remedy {
    /// Linux needs none.
    None,
    /// Linux looks at all queues when another one interrupts.
    Interrupt,
    /// A scan of the bus resets queues that failed.
    Scan,
    /// The end of the fault.
    Clear,
    /// The adapter is repaired.
    Repair,
    /// The adapter is deconfigured and configured.
    Reconfigure,
}

struct Case {
    fault: &'static str,
    cause: Cause,
    remedy: Remedy,
    /// How many requests are answered as if nothing were wrong.
    answered: RangeInclusive<usize>,
    /// What Linux does.
    linux: &'static str,
}

const fn case(
    fault: &'static str,
    cause: Cause,
    remedy: Remedy,
    answered: RangeInclusive<usize>,
    linux: &'static str,
) -> Case {
    Case {
        fault,
        cause,
        remedy,
        answered,
        linux,
    }
}

use Cause::{Rebind, Requests};

/// Requests at once: two in each of two queues.
const READERS: usize = 4;
const ALL: RangeInclusive<usize> = READERS..=READERS;
const ALL_BUT_ONE: RangeInclusive<usize> = READERS - 1..=READERS - 1;
/// Those that are sent again while the adapter is gone fail.
const SOME: RangeInclusive<usize> = 0..=READERS;

/// Faults of adapter 6, an EP11 coprocessor.
const CASES: &[Case] = &[
    case(
        "on='tapq' rc=5 times=1",
        Cause::Scan,
        Remedy::None,
        ALL,
        "asks again at the next scan",
    ),
    case(
        "on='rapq' rc=5 times=1",
        Rebind,
        Remedy::Scan,
        ALL,
        "resets the queue again at the next scan",
    ),
    case(
        "on='rapq' delay-ms=300 times=2",
        Rebind,
        Remedy::None,
        ALL,
        "waits",
    ),
    case(
        "on='rapq' act='stuck' times=2",
        Rebind,
        Remedy::Clear,
        ALL,
        "waits as long as the reset takes",
    ),
    case(
        "on='rapq' act='keep' times=2",
        Rebind,
        Remedy::None,
        ALL,
        "does not notice",
    ),
    case(
        "on='zapq' rc=5 times=2",
        Rebind,
        Remedy::None,
        ALL,
        "does not look at the answer",
    ),
    case("on='aqic' rc=5 times=2", Rebind, Remedy::None, ALL, "polls"),
    case(
        "on='aqic' delay-ms=300 times=2",
        Rebind,
        Remedy::None,
        ALL,
        "asks until interrupts are on",
    ),
    case(
        "on='nqap' rc=2 times=1",
        Requests,
        Remedy::None,
        ALL,
        "waits for the reset that it is told of",
    ),
    case(
        "on='nqap' rc=0x10 times=1",
        Requests,
        Remedy::Interrupt,
        ALL,
        "sends again when it reads next",
    ),
    case(
        "on='nqap' rc=5 times=1",
        Requests,
        Remedy::Scan,
        ALL,
        "calls the queue failed until a scan",
    ),
    case(
        "on='nqap' act='async' rc=0x34 times=1",
        Requests,
        Remedy::Reconfigure,
        SOME,
        "does nothing with the queue until it is reset",
    ),
    case(
        "on='dqap' rc=5 times=1",
        Requests,
        Remedy::Scan,
        ALL,
        "calls the queue failed until a scan",
    ),
    case(
        "on='reply' rc=0x82 times=1",
        Requests,
        Remedy::None,
        ALL_BUT_ONE,
        "passes the error on",
    ),
    case(
        "on='reply' delay-ms=300",
        Requests,
        Remedy::None,
        ALL,
        "waits",
    ),
    case(
        "on='reply' act='async' rc=0x34 times=1",
        Requests,
        Remedy::Reconfigure,
        SOME,
        "does nothing with the queue until it is reset",
    ),
    case(
        "on='reply' act='checkstop' times=1",
        Requests,
        Remedy::Repair,
        SOME,
        "ends requests when told of it",
    ),
    case(
        "on='reply' act='drop' times=1",
        Requests,
        Remedy::Interrupt,
        ALL,
        "sends again when a queue is empty that should not be",
    ),
    case(
        "on='irq' act='drop' times=1",
        Requests,
        Remedy::Interrupt,
        ALL,
        "reads when another queue interrupts",
    ),
    case(
        "on='irq' delay-ms=300",
        Requests,
        Remedy::None,
        ALL,
        "waits",
    ),
    case(
        "on='reply' act='duplicate' times=1",
        Requests,
        Remedy::None,
        ALL,
        "drops what answers nothing",
    ),
    case(
        "on='reply' act='reorder' times=1 delay-ms=300",
        Requests,
        Remedy::None,
        ALL,
        "finds the request by its PSMID",
    ),
    case(
        "on='reply' act='wrong-psmid' times=1",
        Requests,
        Remedy::Reconfigure,
        SOME,
        "drops the reply, and its request waits",
    ),
    case(
        "on='reply' act='bad-length' length=7 times=1",
        Requests,
        Remedy::None,
        ALL_BUT_ONE,
        "refuses the reply",
    ),
];

const SERIAL: &str = "[ \"$(cat /sys/bus/ap/devices/card06/serialnr)\" ]";

fn table(case: &Case) -> String {
    let mut text = "apid = 6\n".to_owned();
    for word in case.fault.split(' ') {
        let (key, value) = word.split_once('=').unwrap();
        writeln!(text, "{key} = {value}").unwrap();
    }
    text
}

fn remedy(machine: &Machine, remedy: Remedy) {
    match remedy {
        Remedy::None => {}
        Remedy::Interrupt => drop(shell(machine, "cat /sys/bus/ap/devices/card05/serialnr")),
        Remedy::Scan => store(machine, "/sys/bus/ap/scans", "1").unwrap(),
        Remedy::Clear => clear(machine),
        Remedy::Repair => {
            let command = qom_set {
                path: "/machine/peripheral/ap06".to_owned(),
                property: "checkstop".to_owned(),
                value: false.into(),
            };
            machine.qmp(command).unwrap();
        }
        Remedy::Reconfigure => {
            for value in ["0", "1"] {
                store(machine, "/sys/bus/ap/devices/card06/config", value).unwrap();
            }
        }
    }
}

/// Whether a request was answered, once it has ended. A remedy may have come
/// before what it is for, so it is given again and again.
fn end(machine: &Machine, (id, events): (Id, Receiver<Event>), by: Remedy) -> bool {
    let limit = Instant::now() + LIMIT;
    loop {
        match machine
            .next_within(&events, Duration::from_secs(1))
            .unwrap()
        {
            Some(Event::Exited { exit, .. }) => {
                machine.client().end(id);
                return exit == Exit::Status(0);
            }
            Some(_) => {}
            None => remedy(machine, by),
        }
        assert!(Instant::now() < limit, "a request hangs");
    }
}

/// Both queues are there, bound and at work again.
fn recovered(machine: &Machine) {
    let line = format!(
        "cd /sys/bus/ap/devices
         for queue in 06.0004 06.0005; do
           until [ \"$(cat $queue/online 2>/dev/null)\" = 1 ]; do echo 1 >/sys/bus/ap/scans; usleep 100000; done
         done
         until {SERIAL}; do echo 1 >/sys/bus/ap/scans; usleep 100000; done"
    );
    shell(machine, &line);
}

#[test]
fn linux_gets_over_every_kind_of_fault() {
    let mut config = config("faults");
    // A reset that keeps what it should discard is one of the faults.
    config.auditing = Auditing::Counting;
    let machine = boot(&config);
    let mut wrong = Vec::new();
    for case in CASES {
        let mark = machine.mark().unwrap();
        inject(&machine, &[&table(case)]);
        match case.cause {
            Requests => {}
            Rebind => {
                // The ZAPQ of the one must be over for the RAPQ of the other.
                let line = "cd /sys/bus/ap/drivers/cex4queue; for queue in 06.0004 06.0005; do echo $queue >unbind; usleep 50000; echo $queue >bind; done";
                shell(&machine, line);
            }
            Cause::Scan => store(&machine, "/sys/bus/ap/scans", "1").unwrap(),
        }
        let readers = [(); READERS].map(|()| start(&machine, SERIAL));
        await_record(&machine, mark, |e| e.op == "fault");
        remedy(&machine, case.remedy);
        let ends = readers.map(|reader| end(&machine, reader, case.remedy));
        let answered = ends.iter().filter(|ok| **ok).count();
        clear(&machine);
        println!("{}: {answered} answered: {}", case.fault, case.linux);
        if !case.answered.contains(&answered) {
            wrong.push(format!("{}: {answered} answered", case.fault));
        }
        recovered(&machine);
    }
    assert!(wrong.is_empty(), "{wrong:#?}");
    a_lie_about_an_adapter_removes_it(&machine);
    machine.shutdown().unwrap();
}

/// While QCI hides an adapter Linux has none, and finds it again afterwards.
fn a_lie_about_an_adapter_removes_it(machine: &Machine) {
    inject(machine, &["apid = 6\non = \"qci\"\nact = \"lie\""]);
    remedy(machine, Remedy::Scan);
    shell(
        machine,
        "cd /sys/bus/ap/devices; until [ ! -e card06 ]; do usleep 50000; done",
    );
    clear(machine);
    recovered(machine);
}
