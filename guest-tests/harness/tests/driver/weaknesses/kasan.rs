// SPDX-License-Identifier: MIT OR Apache-2.0
//! Defects that only a kernel with KASAN shows.

use super::compare_and_leave;
use crate::{A, LIMIT, UNBIND, boot_with, wait_for};
use harness::evidence::{Record, Seen};
use harness::klog::Kind;
use harness::mdev::{Mdev, Resource, store};
use harness::{Driver, Error, Flavour};

/// A filtered queue is unassigned, its mdev removed, and the queue unbound.
#[test]
#[ignore = "nightly: needs the debug kernel"]
fn w02_a_removed_mdev_is_not_touched() {
    let c = touched("kasan-c", Driver::C);
    let rust = touched("kasan-rust", Driver::Rust);
    compare_and_leave(Record::from([(2, Seen { c, rust })]));
}

fn touched(name: &str, driver: Driver) -> String {
    let machine = boot_with(name, driver, |config| config.flavour = Flavour::Debug);
    store(&machine, UNBIND, "05.0005").unwrap();
    let mdev = Mdev::create(&machine, A).unwrap();
    for domain in [4, 5] {
        mdev.change(true, Resource::Domain, domain).unwrap();
    }
    mdev.change(true, Resource::Adapter, 5).unwrap();
    wait_for(&mdev, "guest_matrix", &[".0004", ".0005"]);
    mdev.change(false, Resource::Adapter, 5).unwrap();
    mdev.remove().unwrap();
    machine.check_kernel().unwrap();
    // What KASAN finds need not end the write, but may.
    let unbind = format!("echo 05.0004 >{UNBIND}");
    let _ = machine.shell(&unbind, LIMIT);
    match machine.check_kernel() {
        Ok(()) => "nothing".to_owned(),
        Err(Error::Complained { reports, .. })
            if reports.iter().any(|report| report.kind == Kind::Kasan) =>
        {
            "KASAN: use after free".to_owned()
        }
        Err(other) => panic!("{other}"),
    }
}
