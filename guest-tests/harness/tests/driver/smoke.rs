// SPDX-License-Identifier: MIT OR Apache-2.0
//! Once through the driver with the kernel's own checkers looking on: lockdep,
//! KASAN, UBSAN and kmemleak. The whole of it is in the nightly tests.

use crate::{
    A, BIND, UNBIND, add_adapter, boot_with, client, debug, domains, remove_adapter, shell,
    wait_for,
};
use harness::Driver;
use harness::mdev::{Mdev, Resource, store};

#[test]
fn the_debug_kernel_finds_nothing() {
    let machine = boot_with("smoke", Driver::Rust, debug);
    let mdev = Mdev::create(&machine, A).unwrap();
    for (what, number) in [
        (Resource::Adapter, 5),
        (Resource::Adapter, 6),
        (Resource::Domain, 4),
        (Resource::Domain, 5),
        (Resource::ControlDomain, 7),
    ] {
        mdev.change(true, what, number).unwrap();
    }
    let all = ["05.0004", "05.0005", "06.0004", "06.0005"];
    wait_for(&mdev, "guest_matrix", &all);
    let mut client = client(&machine, &mdev);
    shell(
        &machine,
        &format!(
            "cd {}; cat matrix guest_matrix control_domains ap_config explain ../features
             cat ../mdev_supported_types/*/* >/dev/null 2>&1
             cat /sys/bus/ap/devices/??.????/status",
            mdev.path()
        ),
    );
    mdev.change(false, Resource::Adapter, 6).unwrap();
    let config = format!("{}/ap_config", mdev.path());
    store(&machine, &config, "0x06,0x0c,0x01").unwrap();
    assert_eq!(client.ask("reset dev").unwrap(), "ok");
    domains(&machine, "4", "4");
    wait_for(&mdev, "guest_matrix", &["05.0004", "06.0004"]);
    domains(&machine, "4,5", "4,5,7");
    wait_for(&mdev, "guest_matrix", &all);
    remove_adapter(&machine);
    wait_for(&mdev, "guest_matrix", &all[..2]);
    add_adapter(&machine);
    wait_for(&mdev, "guest_matrix", &all);
    store(&machine, UNBIND, "05.0004").unwrap();
    wait_for(&mdev, "guest_matrix", &all[2..]);
    store(&machine, BIND, "05.0004").unwrap();
    wait_for(&mdev, "guest_matrix", &all);
    client.end().unwrap();
    mdev.remove().unwrap();
    shell(&machine, "rmmod vfio_ap");
    machine.check_leaks().unwrap();
    // That would not be so if it did not look.
    shell(&machine, "echo off >/sys/kernel/debug/kmemleak");
    let blind = machine.check_leaks().unwrap_err().to_string();
    assert!(blind.contains("kmemleak does not look"), "{blind}");
    machine.shutdown().unwrap();
}
