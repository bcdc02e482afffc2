// SPDX-License-Identifier: MIT OR Apache-2.0
//! Debian's stock kernel as L1.

use crate::{boot_config, node, rsa, shell, shipped, sysfs};
use harness::{Config, Flavour};

#[test]
#[ignore = "nightly: needs Debian's stock kernel, `make l1-debian`"]
fn debians_kernel_finds_and_uses_twelve_cards_by_sixteen_domains() {
    let mut config = Config::new("debian");
    config.flavour = Flavour::Debian;
    config.topology = Some(shipped("twelve-by-sixteen"));
    let (machine, topology) = boot_config(&config);
    assert!(machine.kernel.starts_with("6.12."), "{}", machine.kernel);
    assert!(machine.kernel.ends_with("-s390x"), "{}", machine.kernel);
    sysfs::check(&machine, &topology);

    machine
        .write_file("/tmp/cases", 0o600, rsa::cases(12).as_bytes())
        .unwrap();
    let right = node::Outcomes::from([("right".to_owned(), 12)]);
    assert_eq!(node::perform(&machine, "z90crypt", "/tmp/cases", ""), right);
    shell(&machine, "dd if=/dev/hwrng of=/dev/null bs=64 count=4");
    machine.shutdown().unwrap();
}
