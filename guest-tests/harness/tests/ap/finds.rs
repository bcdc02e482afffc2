// SPDX-License-Identifier: MIT OR Apache-2.0
//! Linux finds what the topology file says, no more and no less.

use crate::topology::{Adapter, Mode};
use crate::{boot, shell, shipped, sysfs};

#[test]
fn linux_finds_one_card() {
    let (machine, topology) = boot("finds-one", shipped("one-card"));
    sysfs::check(&machine, &topology);
    machine.shutdown().unwrap();
}

#[test]
fn linux_finds_twelve_cards_by_sixteen_domains() {
    let (machine, mut topology) = boot("finds-twelve", shipped("twelve-by-sixteen"));
    sysfs::check(&machine, &topology);
    // Other files are told from this one.
    let card = topology.adapters.pop().unwrap();
    let more = sysfs::differences(&machine, &topology);
    assert!(more.iter().any(|d| d.contains(&card.card())), "{more:?}");
    topology.adapters.push(Adapter {
        generation: 4,
        ..card
    });
    let other = sysfs::differences(&machine, &topology);
    assert_eq!(
        other.len(),
        4,
        "type, modalias and both numbers of it: {other:?}"
    );
    machine.shutdown().unwrap();
}

#[test]
fn linux_finds_sixteen_cards_by_eighty_five_domains() {
    let (machine, topology) = boot("finds-sixteen", shipped("sixteen-by-eighty-five"));
    sysfs::check(&machine, &topology);
    machine.shutdown().unwrap();
}

#[test]
fn the_hardware_random_number_generator_is_a_cca_card() {
    let (machine, topology) = boot("hwrng", shipped("three-by-two"));
    let card = topology.of(Mode::Cca).next().unwrap().card();
    let current = shell(&machine, "cat /sys/class/misc/hw_random/rng_current");
    assert_eq!(current, "zcrypt\n");
    let count = || -> u64 {
        let file = format!("/sys/bus/ap/devices/{card}/request_count");
        shell(&machine, &format!("cat {file}"))
            .trim()
            .parse()
            .unwrap()
    };
    let before = count();
    // The kernel keeps some of an adapter's 4096 bytes for the next reader.
    let line = "for n in 1 2; do dd if=/dev/hwrng of=/tmp/random$n bs=4096 count=4 iflag=fullblock; done 2>&1";
    shell(&machine, line);
    assert!(count() > before, "{card} was not asked");
    let [first, second] = ["/tmp/random1", "/tmp/random2"].map(|f| machine.read_file(f).unwrap());
    assert_eq!((first.len(), second.len()), (16384, 16384));
    assert_ne!(first, second);
    // Half of the bits are one, give or take seven standard deviations.
    for bytes in [first, second] {
        let ones: u32 = bytes.iter().map(|b| b.count_ones()).sum();
        assert!(
            ones.abs_diff(65536) < 7 * 181,
            "{ones} of 131072 bits are one"
        );
    }
    machine.shutdown().unwrap();
}
