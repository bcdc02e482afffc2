// SPDX-License-Identifier: MIT OR Apache-2.0
//! The same steps on both drivers: what each guest's masks were on the way, and
//! in which order each queue got its instructions, by the device model's log.
//! TAPQ is left out: how often a driver looks is a matter of time.

use crate::{
    A, BIND, UNBIND, boot, client, done_to, mark, must_be_listed, set, shell, until, wait_for,
    wait_for_card,
};
use harness::mdev::{Mdev, Resource, store};
use harness::vfio::VfioClient;
use harness::{Driver, Machine, qmp};

const QUEUES: [&str; 2] = ["05.0004", "05.0005"];

/// What may differ.
struct Difference {
    what: &'static str,
    c: &'static str,
    rust: &'static str,
    /// The beginning of the row in docs/differences.md that says why.
    row: &'static str,
}

const ALLOWED: &[Difference] = &[
    Difference {
        what: "reset, deconfigured after it began: answer",
        c: "ok",
        rust: "EIO",
        row: "A reset is reported as it ended",
    },
    Difference {
        what: "reset, checkstopped after it began: answer",
        c: "ok",
        rust: "EIO",
        row: "A reset is reported as it ended",
    },
    Difference {
        what: "bind: 05.0004",
        c: "",
        rust: "zapq done",
        row: "A queue enters a guest only after a ZAPQ of the driver's own",
    },
    Difference {
        what: "bind it again: 05.0004",
        c: "",
        rust: "zapq done",
        row: "A queue enters a guest only after a ZAPQ of the driver's own",
    },
    Difference {
        what: "close: masks",
        c: "cleared",
        rust: "0x00,0x00,0x00",
        row: "When a guest lets the device go its masks are written as any others",
    },
    Difference {
        what: "unassign without a guest: 05.0005",
        c: "zapq done",
        rust: "",
        row: "A queue no guest has had since its reset is not reset again",
    },
];

/// What the instructions of a RESET are answered, by a name.
const RESETS: &[(&str, &[&str])] = &[
    ("busy twice", &["on = \"zapq\"\nrc = 5\ntimes = 2"]),
    (
        "reset in progress, state change, busy",
        &[
            "on = \"zapq\"\nrc = 2\ntimes = 1",
            "on = \"zapq\"\nrc = 10\ntimes = 1",
            "on = \"zapq\"\nrc = 5\ntimes = 1",
        ],
    ),
    (
        "busy, and busy for TAPQ",
        &[
            "on = \"zapq\"\nrc = 5\ntimes = 1",
            "on = \"tapq\"\nrc = 5\ntimes = 2",
        ],
    ),
    (
        "busy after it began",
        &[
            "on = \"tapq\"\nrc = 2\ntimes = 3",
            "on = \"tapq\"\nrc = 5\ntimes = 1",
        ],
    ),
    ("slow", &["on = \"zapq\"\ndelay-ms = 300\ntimes = 1"]),
    ("slower", &["on = \"zapq\"\ndelay-ms = 1500\ntimes = 1"]),
    (
        "busy, then slow",
        &[
            "on = \"zapq\"\nrc = 5\ntimes = 1",
            "on = \"zapq\"\ndelay-ms = 100\ntimes = 1",
        ],
    ),
    (
        "a secret not unique",
        &["on = \"tapq\"\nrc = 53\ntimes = 1"],
    ),
    (
        "an association failed",
        &["on = \"tapq\"\nrc = 54\ntimes = 1"],
    ),
    ("deconfigured", &["on = \"zapq\"\nrc = 3\ntimes = 1"]),
    ("checkstopped", &["on = \"zapq\"\nrc = 4\ntimes = 1"]),
    (
        "deconfigured after it began",
        &["on = \"tapq\"\nrc = 3\ntimes = 1"],
    ),
    (
        "checkstopped after it began",
        &["on = \"tapq\"\nrc = 4\ntimes = 1"],
    ),
    (
        "busy, then deconfigured",
        &[
            "on = \"zapq\"\nrc = 5\ntimes = 1",
            "on = \"tapq\"\nrc = 3\ntimes = 1",
        ],
    ),
];

struct Bench<'a> {
    machine: &'a Machine,
    mdev: Mdev<'a>,
    client: VfioClient<'a>,
    lines: Vec<(String, String)>,
}

impl Bench<'_> {
    /// Does something after which `guest_matrix` is as told, and notes what that
    /// did to masks and queues.
    fn step(&mut self, name: &str, guest: &[&str], act: impl FnOnce(&mut Self) -> String) {
        let since = mark(self.machine);
        let answer = act(self);
        wait_for(&self.mdev, "guest_matrix", guest);
        for queue in QUEUES {
            until("every reset is over", || {
                let done = done_to(self.machine, queue, since);
                let count = |what: &str| {
                    let good = |(op, rc): &&(String, u8)| op == what && *rc == 0;
                    done.iter().filter(good).count()
                };
                count("zapq") <= count("reset-done")
            });
            let done = done_to(self.machine, queue, since);
            let words = done.iter().map(|(op, rc)| match (op.as_str(), rc) {
                ("reset-done", _) => "done".to_owned(),
                (op, 0) => op.to_owned(),
                (op, rc) => format!("{op}={rc:02x}"),
            });
            let words = words.collect::<Vec<_>>().join(" ");
            self.lines.push((format!("{name}: {queue}"), words));
        }
        // every fault has met its instruction
        let unmet = self.machine.qmp(qmp::ApClearFaults {}).unwrap().cleared;
        assert_eq!(unmet, 0, "{name}");
        let masks = self.client.ask("masks").unwrap();
        self.lines.push((format!("{name}: masks"), masks));
        self.lines.push((format!("{name}: answer"), answer));
    }

    fn reset(&mut self) -> String {
        self.client.ask("reset dev").unwrap()
    }

    fn change(&mut self, assign: bool, what: Resource, number: u8) -> String {
        self.mdev.change(assign, what, number).unwrap();
        "ok".to_owned()
    }

    fn store(&mut self, path: &str, text: &str) -> String {
        store(self.machine, path, text).unwrap();
        "ok".to_owned()
    }

    /// What the next instructions to a queue are answered, in order.
    fn with_faults(&mut self, apqn: &str, faults: &[&str]) {
        let one = |fault: &&str| format!("[[fault]]\napqn = \"{apqn}\"\n{fault}\n");
        let faults = faults.iter().map(one).collect();
        self.machine.qmp(qmp::ApInject { faults }).unwrap();
    }
}

fn lines(name: &str, driver: Driver) -> Vec<(String, String)> {
    let machine = boot(name, driver);
    let lines = steps(&machine);
    shell(&machine, "rmmod vfio_ap");
    machine.shutdown().unwrap();
    lines
}

fn steps(machine: &Machine) -> Vec<(String, String)> {
    store(machine, "/sys/bus/ap/config_time", "120").unwrap();
    let mdev = Mdev::create(machine, A).unwrap();
    store(
        machine,
        &format!("{}/ap_config", mdev.path()),
        "0x04,0x0c,0x01",
    )
    .unwrap();
    wait_for(&mdev, "guest_matrix", &QUEUES);
    let client = client(machine, &mdev);
    let mut bench = Bench {
        machine,
        mdev,
        client,
        lines: Vec::new(),
    };
    let domain = Resource::Domain;
    bench.step("reset", &QUEUES, Bench::reset);
    for (name, faults) in RESETS {
        bench.step(&format!("reset, {name}"), &QUEUES, |bench| {
            bench.with_faults(QUEUES[0], faults);
            bench.reset()
        });
    }
    bench.step("unassign a domain", &QUEUES[..1], |bench| {
        bench.change(false, domain, 5)
    });
    bench.step("assign a domain", &QUEUES, |bench| {
        bench.change(true, domain, 5)
    });
    bench.step("unassign a busy domain", &QUEUES[..1], |bench| {
        bench.with_faults(QUEUES[1], &["on = \"zapq\"\nrc = 5\ntimes = 3"]);
        bench.change(false, domain, 5)
    });
    bench.step("assign it again", &QUEUES, |bench| {
        bench.change(true, domain, 5)
    });
    bench.step("unassign a slow adapter", &[".0004", ".0005"], |bench| {
        bench.with_faults(QUEUES[0], &["on = \"zapq\"\ndelay-ms = 400\ntimes = 1"]);
        bench.with_faults(QUEUES[1], &["on = \"tapq\"\nrc = 2\ntimes = 2"]);
        bench.change(false, Resource::Adapter, 5)
    });
    bench.step("assign the adapter", &QUEUES, |bench| {
        bench.change(true, Resource::Adapter, 5)
    });
    bench.step("assign a control domain", &QUEUES, |bench| {
        bench.change(true, Resource::ControlDomain, 4)
    });
    bench.step("unbind", &[".0004", ".0005"], |bench| {
        bench.store(UNBIND, "05.0004")
    });
    bench.step("bind", &QUEUES, |bench| bench.store(BIND, "05.0004"));
    bench.step("unbind a busy queue", &[".0004", ".0005"], |bench| {
        bench.with_faults(QUEUES[0], &["on = \"zapq\"\nrc = 10\ntimes = 2"]);
        bench.store(UNBIND, QUEUES[0])
    });
    bench.step("bind it again", &QUEUES, |bench| {
        bench.store(BIND, QUEUES[0])
    });
    bench.step("off", &QUEUES, |bench| {
        set(bench.machine, 5, "config", false);
        wait_for_card(bench.machine, 5, "config", 0);
        bench.reset()
    });
    bench.step("on", &QUEUES, |bench| {
        set(bench.machine, 5, "config", true);
        wait_for_card(bench.machine, 5, "config", 1);
        bench.reset()
    });
    bench.step("close", &QUEUES, |bench| {
        bench.with_faults(QUEUES[0], &["on = \"zapq\"\nrc = 2\ntimes = 2"]);
        bench.with_faults(QUEUES[1], &["on = \"tapq\"\nrc = 5\ntimes = 1"]);
        bench.client.ask("close dev").unwrap()
    });
    bench.step("unassign without a guest", &QUEUES[..1], |bench| {
        bench.change(false, domain, 5)
    });
    let Bench {
        mdev,
        client,
        lines,
        ..
    } = bench;
    client.end().unwrap();
    mdev.remove().unwrap();
    lines
}

#[test]
fn every_difference_has_its_row() {
    for difference in ALLOWED {
        must_be_listed(difference.row);
    }
}

#[test]
fn both_drivers_do_the_same_to_masks_and_queues() {
    let c = lines("orders-c", Driver::C);
    let rust = lines("orders-rust", Driver::Rust);
    let mut allowed = ALLOWED.iter().peekable();
    let mut wrong = Vec::new();
    for ((what, c), (_, rust)) in c.iter().zip(&rust).filter(|(c, rust)| c != rust) {
        match allowed.peek() {
            Some(next) if (next.what, next.c, next.rust) == (what, c, rust) => {
                allowed.next();
            }
            _ => wrong.push(format!("{what}\n  C:    {c}\n  Rust: {rust}")),
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
    if let Some(Difference { what, row, .. }) = allowed.next() {
        panic!("no longer differs ({row}): {what}");
    }
    // Neither may leave a guest's queue as it was.
    let closed = c.iter().filter(|(what, _)| what.starts_with("close: 05"));
    for (what, done) in closed {
        assert!(done.contains("zapq done"), "{what}: {done}");
    }
}
