// SPDX-License-Identifier: MIT OR Apache-2.0
//! Many at once: writes to mdevs, edits of the AP bus's masks, binds and
//! unbinds, and changes of the host's configuration.

use crate::{
    A, APMASK, B, LIMIT, add_adapter, boot, boot_with, debug, domains, remove_adapter, shell,
    wait_for,
};
use harness::mdev::{Mdev, store};
use harness::vfio::VfioClient;
use harness::{Driver, Exit, Machine};
use l1_protocol::{Command, Event};

/// Runs the loops at once, and waits for all of them. What is refused on the
/// way depends on who comes first, and does not matter.
pub fn at_once(machine: &Machine, loops: &[&str], meanwhile: impl FnOnce()) {
    let script = loops
        .iter()
        .map(|body| {
            format!("(n=0; while [ $n -lt 40 ]; do {body}; n=$((n + 1)); done) 2>/dev/null &\n")
        })
        .collect::<String>();
    let script = format!("A={A}; B={B}; cd /sys/devices/vfio_ap/matrix\n{script}wait\n");
    let (_, storm) = machine.start(Command {
        argv: ["sh", "-c", &script].map(str::to_owned).to_vec(),
        ..Command::default()
    });
    meanwhile();
    loop {
        match machine.next_within(&storm, 2 * LIMIT).unwrap() {
            // what the loops read
            Some(Event::Output { .. }) => {}
            Some(Event::Exited { exit, .. }) => {
                assert_eq!(exit, Exit::Status(0));
                return;
            }
            other => panic!("the loops have not ended: {other:?}"),
        }
    }
}

#[test]
fn everything_at_once_settles() {
    storm(&boot("storm", Driver::Rust));
}

#[test]
#[ignore = "nightly: needs the debug kernel"]
fn everything_at_once_settles_on_the_debug_kernel() {
    storm(&boot_with("storm-debug", Driver::Rust, debug));
}

fn storm(machine: &Machine) {
    let one = Mdev::create(machine, A).unwrap();
    let two = Mdev::create(machine, B).unwrap();
    let mut client = VfioClient::start(machine);
    let open = format!("open dev group {}", one.path());
    assert_eq!(client.ask(&open).unwrap(), "ok");

    // The bus asks `in_use` with the lock that assignments take first.
    at_once(
        machine,
        &[
            "echo 0x06,0x0c,0 >$A/ap_config; echo 0x04,0x08,0 >$A/ap_config",
            "echo 7 >$B/assign_adapter; echo 4 >$B/assign_domain; echo 7 >$B/unassign_adapter",
            "echo +7 >/sys/bus/ap/apmask; echo -7 >/sys/bus/ap/apmask",
            "echo +5 >/sys/bus/ap/apmask; echo -5 >/sys/bus/ap/apmask",
        ],
        || {},
    );
    for adapter in ["-5", "-7"] {
        store(machine, APMASK, adapter).unwrap();
    }

    // Queues come and go by hand while the host's configuration changes.
    at_once(
        machine,
        &[
            "echo 0x06,0x0c,0 >$A/ap_config; echo 5 >$A/unassign_domain",
            "echo 0x01,0x0c,0 >$B/ap_config; echo 7 >$B/unassign_adapter",
            "cd /sys/bus/ap/drivers/vfio_ap; echo 05.0004 >unbind; echo 05.0004 >bind",
            "cd /sys/bus/ap/drivers/vfio_ap; echo 07.0005 >unbind; echo 07.0005 >bind",
            "cat $A/guest_matrix $A/explain $A/ap_config /sys/bus/ap/devices/??.????/status",
        ],
        || {
            for _ in 0..4 {
                domains(machine, "4", "4");
                remove_adapter(machine);
                domains(machine, "4,5", "4,5,7");
                add_adapter(machine);
            }
        },
    );
    shell(
        machine,
        "cd /sys/bus/ap/drivers/vfio_ap; until [ $(ls -d ??.???? | wc -l) = 6 ]; do
           for q in 05.0004 07.0005; do [ -e $q ] || echo $q >bind || true; done; usleep 50000
         done 2>/dev/null",
    );

    store(machine, &format!("{}/ap_config", two.path()), "0x01,0x0c,0").unwrap();
    store(machine, &format!("{}/ap_config", one.path()), "0x06,0x0c,0").unwrap();
    wait_for(&one, "explain", &[]);
    wait_for(&two, "explain", &[]);
    let queues = ["05.0004", "05.0005", "06.0004", "06.0005"];
    wait_for(&one, "guest_matrix", &queues);
    wait_for(&two, "guest_matrix", &["07.0004", "07.0005"]);
    let masks = client.ask("masks").unwrap();
    assert_eq!(masks.rsplit("; ").next(), Some("0x06,0x0c,0x00"));
    client.end().unwrap();
    one.remove().unwrap();
    two.remove().unwrap();
    machine.check_leaks().unwrap();
    machine.check_kernel().unwrap();
}
