// SPDX-License-Identifier: MIT OR Apache-2.0
//! The host's own AP configuration changes under a running guest, and
//! `explain` tells what that takes away.

use crate::{
    A, APMASK, B, BIND, LIMIT, UNBIND, add_adapter, boot, domains, remove_adapter, set, shell,
    wait_for, wait_for_card,
};
use harness::guest::{Guest, Sees};
use harness::mdev::{Mdev, Resource, store};
use harness::{Driver, Machine};

/// The host, the guest, and what both must agree on.
struct Observer<'a> {
    mdev: Mdev<'a>,
    guest: Guest<'a>,
}

impl Observer<'_> {
    fn expect(&mut self, adapters: &[u8], domains: &[u8], controls: &[u8], explain: &[&str]) {
        let wanted = Sees {
            adapters: adapters.to_vec(),
            domains: domains.to_vec(),
            control_domains: controls.to_vec(),
        };
        let seen = self.guest.until(LIMIT, |sees| *sees == wanted).unwrap();
        assert_eq!(seen, Ok(wanted.clone()));
        assert_eq!(self.mdev.lines("guest_matrix").unwrap(), wanted.matrix());
        wait_for(&self.mdev, "explain", explain);
    }
}

#[test]
fn a_guest_follows_its_host() {
    let machine = boot("host", Driver::Rust);
    let mdev = Mdev::create(&machine, A).unwrap();
    for (what, number) in [
        (Resource::Adapter, 5),
        (Resource::Adapter, 6),
        (Resource::Domain, 4),
        (Resource::Domain, 5),
        (Resource::ControlDomain, 4),
        (Resource::ControlDomain, 7),
    ] {
        mdev.change(true, what, number).unwrap();
    }
    let all = ["05.0004", "05.0005", "06.0004", "06.0005"];
    wait_for(&mdev, "guest_matrix", &all);
    let device = format!("sysfsdev={}", mdev.path());
    let guest = Guest::start(&machine, &device, 99, 600);
    let mut observer = Observer { mdev, guest };
    observer.expect(&[5, 6], &[4, 5], &[4, 7], &[]);

    domains(&machine, "4", "4");
    let lost = ["domain 0005 not-in-host", "control-domain 0007 not-in-host"];
    observer.expect(&[5, 6], &[4], &[4], &lost);
    domains(&machine, "4,5", "4,5,7");
    observer.expect(&[5, 6], &[4, 5], &[4, 7], &[]);

    remove_adapter(&machine);
    observer.expect(&[5], &[4, 5], &[4, 7], &["adapter 06 not-in-host"]);
    add_adapter(&machine);
    observer.expect(&[5, 6], &[4, 5], &[4, 7], &[]);

    // An adapter that is off or has failed stays the guest's, who is told so
    // by the adapter itself.
    for (apid, property, attribute, off) in
        [(5, "config", "config", 0), (6, "checkstop", "chkstop", 1)]
    {
        set(&machine, apid, property, off == 1);
        wait_for_card(&machine, apid, attribute, off);
        assert_eq!(observer.mdev.lines("guest_matrix").unwrap(), all);
        assert!(observer.mdev.lines("explain").unwrap().is_empty());
        // Any change makes the guest ask its queues.
        let control = Resource::ControlDomain;
        observer.mdev.change(false, control, 7).unwrap();
        observer.expect(&[5, 6], &[4, 5], &[4], &[]);
        observer.mdev.change(true, control, 7).unwrap();
        observer.expect(&[5, 6], &[4, 5], &[4, 7], &[]);
        set(&machine, apid, property, off == 0);
        wait_for_card(&machine, apid, attribute, 1 - off);
    }
    let Observer { mdev, guest } = observer;
    guest.kill();
    let (_, said) = guest.finish(LIMIT).unwrap();
    for answer in [r#""05.0004":"03""#, r#""06.0005":"04""#] {
        assert!(said.iter().any(|line| line.contains(answer)), "{answer}");
    }
    mdev.remove().unwrap();
    every_reason_is_explained(&machine);
    machine.shutdown().unwrap();
}

/// An adapter whose queues the host's default drivers own is refused.
fn is_the_hosts(mdev: &Mdev, apid: u8) {
    let refused = mdev.change(true, Resource::Adapter, apid).unwrap_err();
    let text = "Cannot assign requested address";
    assert!(refused.to_string().ends_with(text), "{refused}");
}

/// What keeps a queue from an mdev without a guest.
fn every_reason_is_explained(machine: &Machine) {
    let mdev = Mdev::create(machine, B).unwrap();
    mdev.change(true, Resource::Adapter, 7).unwrap();
    mdev.change(true, Resource::Adapter, 0x33).unwrap();
    mdev.change(true, Resource::Domain, 4).unwrap();
    wait_for(&mdev, "explain", &["adapter 33 not-in-host"]);
    mdev.change(false, Resource::Adapter, 0x33).unwrap();

    store(machine, UNBIND, "07.0004").unwrap();
    let line = "adapter 07 queue-not-bound 07.0004 none";
    wait_for(&mdev, "explain", &[line]);

    // Somebody may have used it meanwhile, so it is reset first; but it is off.
    set(machine, 7, "config", false);
    wait_for_card(machine, 7, "config", 0);
    store(machine, BIND, "07.0004").unwrap();
    let line = "adapter 07 reset-failed 07.0004 rc=0x03";
    wait_for(&mdev, "explain", &[line]);
    assert_eq!(mdev.lines("guest_matrix").unwrap(), [".0004"]);
    set(machine, 7, "config", true);
    wait_for(&mdev, "explain", &[]);
    assert_eq!(mdev.lines("guest_matrix").unwrap(), ["07.0004"]);

    // The host's default drivers get everything back but one queue, which an
    // override keeps for us; when that ends, its new driver is named.
    mdev.change(false, Resource::Adapter, 7).unwrap();
    store(machine, APMASK, &format!("0x{}", "f".repeat(64))).unwrap();
    shell(
        machine,
        "cd /sys/bus/ap; echo vfio_ap >devices/07.0004/driver_override;
         echo 07.0004 >drivers/cex4queue/unbind; echo 07.0004 >drivers/vfio_ap/bind",
    );
    is_the_hosts(&mdev, 6);
    mdev.change(true, Resource::Adapter, 7).unwrap();
    wait_for(&mdev, "guest_matrix", &["07.0004"]);
    shell(
        machine,
        "cd /sys/bus/ap; echo >devices/07.0004/driver_override;
         echo 07.0004 >drivers/vfio_ap/unbind; echo 07.0004 >drivers/cex4queue/bind",
    );
    let line = "adapter 07 queue-not-bound 07.0004 cex4queue";
    wait_for(&mdev, "explain", &[line]);
    // What was lost is no reason to refuse what has nothing to do with it.
    is_the_hosts(&mdev, 6);
    mdev.change(true, Resource::ControlDomain, 7).unwrap();
    mdev.remove().unwrap();
}
