// SPDX-License-Identifier: MIT OR Apache-2.0
//! A machine of twelve adapters by sixteen domains, one adapter of which is
//! deconfigured.

use crate::{
    A, APMASK, B, BIND, UNBIND, boot_on, domains, refused, set, shell, until, wait_for,
    wait_for_card,
};
use harness::mdev::{Mdev, Resource, store};
use harness::vfio::VfioClient;
use harness::{Driver, Machine};
use qapi::qmp::device_del;

/// Its masks: all adapters, all usage domains, all control domains.
const ADAPTERS: [u8; 12] = [0, 1, 2, 3, 5, 8, 0xb, 0x10, 0x3f, 0x40, 0x7f, 0xff];
const OFF: u8 = 0x0b;
const DOMAINS: &str = "0-7,0x47,77-82,255";
const CONTROLS: &str = "0-7,0x47,77-82,200,255";

fn numbers(list: &str) -> Vec<u8> {
    let number = |word: &str| match word.strip_prefix("0x") {
        Some(digits) => u8::from_str_radix(digits, 16).unwrap(),
        None => word.parse().unwrap(),
    };
    let range = |part: &str| match part.split_once('-') {
        Some((first, last)) => number(first)..=number(last),
        None => number(part)..=number(part),
    };
    list.split(',').flat_map(range).collect()
}

/// A mask as `ap_config` takes it.
fn mask(bits: &[u8]) -> String {
    let mut bytes = [0u8; 32];
    for bit in bits {
        bytes[usize::from(bit / 8)] |= 0x80 >> (bit % 8);
    }
    let digits: String = bytes.iter().map(|byte| format!("{byte:02x}")).collect();
    format!("0x{digits}")
}

fn matrix(adapters: &[u8], domains: &[u8]) -> Vec<String> {
    let of = |a: &u8| {
        let a = *a;
        domains.iter().map(move |d| format!("{a:02x}.{d:04x}"))
    };
    adapters.iter().flat_map(of).collect()
}

fn expect(mdev: &Mdev, attribute: &str, wanted: &[String]) {
    let wanted: Vec<&str> = wanted.iter().map(String::as_str).collect();
    wait_for(mdev, attribute, &wanted);
}

#[test]
fn everything_works_on_twelve_by_sixteen() {
    let machine = boot_on("twelve-by-sixteen", 192, "large", Driver::Rust, |_| {});
    // Loads, unloads, and loads again with the queues there.
    shell(
        &machine,
        "rmmod vfio_ap; insmod /tmp/vfio_ap.ko
         [ $(ls -d /sys/bus/ap/drivers/vfio_ap/??.???? | wc -l) = 192 ]",
    );
    let (all, controls) = (numbers(DOMAINS), numbers(CONTROLS));
    let on: Vec<u8> = ADAPTERS.into_iter().filter(|&a| a != OFF).collect();
    let mdev = Mdev::create(&machine, A).unwrap();
    let config = format!("{}/ap_config", mdev.path());
    let text = [&ADAPTERS[..], &all, &controls].map(mask).join(",");
    store(&machine, &config, &text).unwrap();
    // The adapter that is off has not let itself be reset.
    expect(&mdev, "guest_matrix", &matrix(&on, &all));
    let off = "adapter 0b reset-failed 0b.0000 rc=0x03";
    wait_for(&mdev, "explain", &[off]);
    assert_eq!(mdev.lines("matrix").unwrap(), matrix(&ADAPTERS, &all));
    assert_eq!(mdev.lines("ap_config").unwrap(), [text]);
    let control = |c: &u8| format!("{c:04x}");
    let controls: Vec<String> = controls.iter().map(control).collect();
    assert_eq!(mdev.lines("control_domains").unwrap(), controls);
    let count = "cat /sys/bus/ap/drivers/vfio_ap/??.????/status | sort | uniq -c";
    let counted = || {
        let counted = shell(&machine, count);
        counted.split_whitespace().collect::<Vec<_>>().join(" ")
    };
    assert_eq!(counted(), "192 assigned");

    over_provisioning_and_owners(&machine);
    let mut client = VfioClient::start(&machine);
    a_change_is_told_without_a_guest(&mut client, &mdev, &on, &all);
    let open = format!("open dev group {}", mdev.path());
    assert_eq!(client.ask(&open).unwrap(), "ok");
    assert_eq!(counted(), "16 assigned 176 in use");
    a_change_is_told_by_poll_and_uevent(&machine, &mut client, &mdev, &on, &all);
    host_changes_are_followed(&machine, &mdev, &on, &all);

    store(&machine, UNBIND, "40.0047").unwrap();
    let less: Vec<u8> = on.iter().copied().filter(|&a| a != 0x40).collect();
    expect(&mdev, "guest_matrix", &matrix(&less, &all));
    store(&machine, BIND, "40.0047").unwrap();
    expect(&mdev, "guest_matrix", &matrix(&on, &all));
    client.end().unwrap();
    mdev.remove().unwrap();
    explain_is_never_truncated(&machine);
    shell(&machine, "rmmod vfio_ap");
    machine.shutdown().unwrap();
}

/// Everything of the machine is A's.
fn over_provisioning_and_owners(machine: &Machine) {
    let other = Mdev::create(machine, B).unwrap();
    let path = |name: &str| format!("{}/{name}", other.path());
    // What is not there can be assigned, and comes when it comes.
    other.change(true, Resource::Adapter, 0x20).unwrap();
    other.change(true, Resource::Domain, 0xff).unwrap();
    let not_there = ["adapter 20 not-in-host"];
    wait_for(&other, "explain", &not_there);
    let (busy, taken) = ("Device or resource busy", "Address already in use");
    assert_eq!(refused(machine, &path("assign_adapter"), "0xff"), taken);
    assert_eq!(refused(machine, APMASK, "+0x20"), busy);
    store(machine, APMASK, "+0x21").unwrap();
    let not_available = "Cannot assign requested address";
    let refused = refused(machine, &path("assign_adapter"), "0x21");
    assert_eq!(refused, not_available);
    store(machine, APMASK, "-0x21").unwrap();
    other.remove().unwrap();
}

/// What a guest would get changes, and who watches is told; also at the end of
/// one, when nothing is the guest's any more.
fn a_change_is_told_without_a_guest(client: &mut VfioClient, mdev: &Mdev, on: &[u8], all: &[u8]) {
    let file = format!("watch {}/guest_matrix", mdev.path());
    assert_eq!(client.ask(&file).unwrap(), "ok");
    for (assign, adapters) in [(false, &on[1..]), (true, on)] {
        mdev.change(assign, Resource::Adapter, on[0]).unwrap();
        assert_eq!(client.ask("poll 60000").unwrap(), "changed");
        expect(mdev, "guest_matrix", &matrix(adapters, all));
    }
    assert_eq!(client.ask("listen").unwrap(), "ok");
    let open = format!("open dev group {}", mdev.path());
    assert_eq!(client.ask(&open).unwrap(), "ok");
    assert_eq!(client.ask("close dev").unwrap(), "ok");
    // The guest has it; nobody has anything; the next guest would have it.
    let mut heard = 0;
    until("three uevents", || {
        let new = client.ask("uevents GUEST_MATRIX").unwrap();
        heard += new.matches("GUEST_MATRIX=changed").count();
        heard == 3
    });
    expect(mdev, "guest_matrix", &matrix(on, all));
}

fn a_change_is_told_by_poll_and_uevent(
    machine: &Machine,
    client: &mut VfioClient,
    mdev: &Mdev,
    on: &[u8],
    all: &[u8],
) {
    let file = format!("watch {}/guest_matrix", mdev.path());
    assert_eq!(client.ask(&file).unwrap(), "ok");
    assert_eq!(client.ask("listen").unwrap(), "ok");
    assert_eq!(client.ask("poll 0").unwrap(), "same");
    // What does not change the guest's matrix is not told.
    mdev.change(true, Resource::Adapter, 0x22).unwrap();
    assert_eq!(client.ask("poll 200").unwrap(), "same");
    assert_eq!(client.ask("uevents GUEST_MATRIX").unwrap(), "none");
    let event = "change@/devices/vfio_ap/matrix/";
    let told = format!("{event}{A} GUEST_MATRIX=changed");
    for (assign, adapters) in [(false, &on[1..]), (true, on)] {
        mdev.change(assign, Resource::Adapter, on[0]).unwrap();
        expect(mdev, "guest_matrix", &matrix(adapters, all));
        assert_eq!(client.ask("poll 60000").unwrap(), "changed");
        assert_eq!(client.ask("poll 0").unwrap(), "same");
        let mut heard = client.ask("uevents GUEST_MATRIX").unwrap();
        until("the uevent", || {
            if heard == "none" {
                heard = client.ask("uevents GUEST_MATRIX").unwrap();
            }
            heard == told
        });
    }
    mdev.change(false, Resource::Adapter, 0x22).unwrap();
    assert!(machine.check_kernel().is_ok());
}

fn host_changes_are_followed(machine: &Machine, mdev: &Mdev, on: &[u8], all: &[u8]) {
    // The adapter that was off joins when it is on.
    set(machine, OFF, "config", true);
    wait_for_card(machine, OFF, "config", 1);
    expect(mdev, "guest_matrix", &matrix(&ADAPTERS, all));
    wait_for(mdev, "explain", &[]);
    // Domains go and come, several at once.
    domains(machine, "0-7,255", CONTROLS);
    expect(
        mdev,
        "guest_matrix",
        &matrix(&ADAPTERS, &numbers("0-7,255")),
    );
    domains(machine, DOMAINS, CONTROLS);
    expect(mdev, "guest_matrix", &matrix(&ADAPTERS, all));
    let id = "ap0b".to_owned();
    machine.qmp(device_del { id }).unwrap();
    expect(mdev, "guest_matrix", &matrix(on, all));
    wait_for(mdev, "explain", &["adapter 0b not-in-host"]);
}

/// Of all that can be assigned most is not there: thousands of bytes of reasons.
fn explain_is_never_truncated(machine: &Machine) {
    let mdev = Mdev::create(machine, B).unwrap();
    let every: Vec<u8> = (0..=255).collect();
    let text = [mask(&every), mask(&every), mask(&every)].join(",");
    store(machine, &format!("{}/ap_config", mdev.path()), &text).unwrap();
    let (there, controls) = (numbers(DOMAINS), numbers(CONTROLS));
    let missing = |there: &[u8]| {
        let there = there.to_vec();
        every.iter().filter(move |n| !there.contains(n))
    };
    let adapters = ADAPTERS.map(|a| if a == OFF { 0 } else { a });
    let mut wanted: Vec<String> = missing(&adapters)
        .map(|a| format!("adapter {a:02x} not-in-host"))
        .collect();
    wanted.extend(missing(&there).map(|d| format!("domain {d:04x} not-in-host")));
    wanted.extend(missing(&controls).map(|d| format!("control-domain {d:04x} not-in-host")));
    expect(&mdev, "explain", &wanted);
    let length: usize = wanted.iter().map(|line| line.len() + 1).sum();
    assert!(length > 4 * 4096, "{length}");
    let bytes = machine.read_file(&format!("{}/explain", mdev.path()));
    assert_eq!(bytes.unwrap().len(), length);
    // Every queue there could be, in one listing.
    let bytes = machine.read_file(&format!("{}/matrix", mdev.path()));
    assert_eq!(bytes.unwrap().len(), 65536 * "05.0004\n".len());
    mdev.remove().unwrap();
}
