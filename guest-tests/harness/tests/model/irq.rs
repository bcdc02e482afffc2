// SPDX-License-Identifier: MIT OR Apache-2.0
//! Replies interrupt Linux in L1, or are polled for, under load.

use crate::{LIMIT, await_record, boot, clear, config, finish, inject, shell, start};
use harness::audit::{Entry, Mark};
use harness::mdev::store;
use harness::{Config, Machine};
use std::time::Duration;

/// Readers that ask cards for their serial numbers, two or one request each
/// time, and one that takes random numbers.
const LOAD: &str = r#"
cd /sys/bus/ap/devices
for reader in 1 2 3 4; do
  for card in card05 card06; do
    { n=0; while [ $n -lt 25 ]; do [ "$(cat $card/serialnr)" ] || exit 1; n=$((n + 1)); done; } &
    jobs="$jobs $!"
  done
done
dd if=/dev/hwrng of=/dev/null bs=4096 count=25 2>/dev/null || exit 1
for job in $jobs; do wait $job || exit 1; done
for queue in ??.????; do
  [ $(cat $queue/requestq_count) = 0 ] && [ $(cat $queue/pendingq_count) = 0 ] || exit 1
done
"#;

/// How often the AP bus was interrupted.
fn interrupts(machine: &Machine) -> u64 {
    let line = shell(machine, "grep APB: /proc/interrupts");
    let words = line.split_whitespace().skip(1);
    words.map_while(|w| w.parse::<u64>().ok()).sum()
}

fn count(entries: &[Entry], op: &str) -> usize {
    entries.iter().filter(|e| e.op == op).count()
}

/// Boot, and put the load on the cards; the machine, how often it was
/// interrupted for that, and the audit log of it.
fn under_load(config: &Config) -> (Machine, u64, Vec<Entry>) {
    let machine = boot(config);
    let before = interrupts(&machine);
    let mark = machine.mark().unwrap();
    let load = start(&machine, LOAD);
    assert!(finish(&machine, load).is_some(), "the load has failed");
    let entries = machine.audit(mark, None).unwrap();
    assert!(
        count(&entries, "nqap") >= 300,
        "{}",
        count(&entries, "nqap")
    );
    let took = |e: &&Entry| e.op == "dqap" && e.cc == Some(0);
    let replies = entries.iter().filter(took).count();
    assert_eq!(replies, count(&entries, "nqap"), "requests without a reply");
    let after = interrupts(&machine);
    (machine, after - before, entries)
}

#[test]
fn every_reply_interrupts_under_load() {
    let (machine, interrupts, entries) = under_load(&config("irq"));
    assert_eq!(shell(&machine, "cat /sys/bus/ap/ap_interrupts").trim(), "1");
    assert!(interrupts > 0);
    // All were indicated; Linux is interrupted once for those that it had not
    // yet looked at.
    assert_eq!(count(&entries, "irq"), count(&entries, "reply"));
    assert!(
        interrupts as usize <= count(&entries, "irq"),
        "{interrupts}"
    );
    no_interrupt_comes_after_a_reset(&machine);
    machine.shutdown().unwrap();
}

#[test]
fn no_reply_interrupts_when_linux_polls() {
    let mut config = config("poll");
    config.append = "ap.useirq=0".to_owned();
    let (machine, interrupts, _) = under_load(&config);
    assert_eq!(shell(&machine, "cat /sys/bus/ap/ap_interrupts").trim(), "0");
    assert_eq!(interrupts, 0);
    let entries = machine.audit(Mark::START, None).unwrap();
    assert_eq!((count(&entries, "aqic"), count(&entries, "irq")), (0, 0));
    machine.shutdown().unwrap();
}

#[test]
fn no_interrupt_comes_after_a_reset_of_the_machine() {
    const DELAY: Duration = Duration::from_secs(3);
    let mut machine = boot(&config("irq-machine-reset"));
    let delay = DELAY.as_millis();
    inject(
        &machine,
        &[
            "apid = 6\non = \"reply\"\ndelay-ms = 200\ntimes = 1",
            &format!("apid = 6\non = \"irq\"\ndelay-ms = {delay}\ntimes = 1"),
        ],
    );
    let mark = machine.mark().unwrap();
    let (reader, _events) = start(&machine, "cat /sys/bus/ap/devices/card06/serialnr");
    let queue = await_record(&machine, mark, |e| e.op == "reply").apqn;
    machine.client().end(reader);
    machine.reset(LIMIT).unwrap();

    let reset = await_record(&machine, mark, |e| {
        e.op == "reset-done" && e.apqn == queue && e.length == 3
    });
    let due = reset.ns + u64::try_from(DELAY.as_nanos()).unwrap();
    // A later time gets into the log when the bus looks at its queues again.
    shell(&machine, "sleep 3; echo 1 >/sys/bus/ap/scans");
    await_record(&machine, mark, |e| e.ns > due);
    let entries = machine.audit(mark, Some(&queue)).unwrap();
    let (before, after): (Vec<_>, Vec<_>) = entries.iter().partition(|e| e.seq < reset.seq);
    assert!(before.iter().all(|e| e.op != "irq"), "{before:?}");
    // Whoever interrupts has been told to by the new boot.
    let unasked = after.iter().take_while(|e| e.op != "aqic");
    assert_eq!(unasked.filter(|e| e.op == "irq").count(), 0, "{after:?}");
    machine.shutdown().unwrap();
}

/// An interrupt that is under way when its queue is reset never comes; after
/// the reset the queue interrupts again.
fn no_interrupt_comes_after_a_reset(machine: &Machine) {
    // An interrupt of another queue may let Linux take the reply before.
    const TRIES: usize = 5;
    assert!((0..TRIES).any(|_| zeroized_under_an_interrupt(machine)));
    let line =
        "for n in 1 2 3 4; do [ \"$(cat /sys/bus/ap/devices/card06/serialnr)\" ] || exit 1; done";
    shell(machine, line);
}

/// Whether a queue was zeroized that had a reply with an interrupt under way.
fn zeroized_under_an_interrupt(machine: &Machine) -> bool {
    // Linux looks once when it has sent a request, so the reply comes later.
    inject(
        machine,
        &[
            "apid = 6\non = \"reply\"\ndelay-ms = 200\ntimes = 1",
            "apid = 6\non = \"irq\"\ndelay-ms = 1000\ntimes = 1",
        ],
    );
    let mark = machine.mark().unwrap();
    let reader = start(machine, "cat /sys/bus/ap/devices/card06/serialnr");
    let queue = await_record(machine, mark, |e| e.op == "reply").apqn;
    let driver = "/sys/bus/ap/drivers/cex4queue";
    store(machine, &format!("{driver}/unbind"), &queue).unwrap();
    finish(machine, reader);
    shell(machine, "sleep 2");
    let entries = machine.audit(mark, Some(&queue)).unwrap();
    clear(machine);
    let after = entries.iter().skip_while(|e| e.op != "zapq");
    assert_eq!(after.filter(|e| e.op == "irq").count(), 0, "{entries:?}");

    store(machine, &format!("{driver}/bind"), &queue).unwrap();
    await_record(machine, mark, |e| e.op == "aqic" && e.apqn == queue);
    count(&entries, "discard") == 1
}
