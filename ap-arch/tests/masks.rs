// SPDX-License-Identifier: MIT OR Apache-2.0
//! Masks and the matrix against sets of numbers.

use std::collections::BTreeSet;

use ap_arch::{Adm, Apid, Apm, Apqi, Apqn, Aqm, Matrix};
use proptest::collection::btree_set;
use proptest::prelude::*;

fn ids() -> impl Strategy<Value = BTreeSet<u8>> {
    prop_oneof![btree_set(any::<u8>(), 0..8), btree_set(any::<u8>(), 0..256)]
}

fn apm(ids: &BTreeSet<u8>) -> Apm {
    ids.iter().copied().map(Apid::new).collect()
}

fn aqm(ids: &BTreeSet<u8>) -> Aqm {
    ids.iter().copied().map(Apqi::new).collect()
}

fn back(mask: Apm) -> BTreeSet<u8> {
    mask.iter().map(Apid::get).collect()
}

/// The leftmost-bit rule, spelled as in `ap_test_bit` of the kernel.
#[test]
fn bit_zero_is_leftmost() {
    assert_eq!(Apm::of(Apid::new(0)).to_bytes()[0], 0x80);
    assert_eq!(Apm::of(Apid::new(7)).to_bytes()[0], 0x01);
    assert_eq!(Apm::of(Apid::new(8)).to_bytes()[1], 0x80);
    assert_eq!(Apm::of(Apid::new(255)).to_bytes()[31], 0x01);
    assert_eq!(Apm::of(Apid::new(64)).to_words(), [0, 1 << 63, 0, 0]);
    assert_eq!(Aqm::of(Apqi::new(15)).first_16(), 1);
    assert_eq!(Apm::of(Apid::new(63)).first_64(), 1);
    assert_eq!(Aqm::from_first_16(0x8001), aqm(&[0, 15].into()));
}

#[test]
fn printed_as_the_kernel_does() {
    let mask = Adm::of(Apqi::new(0x47)).with(Apqi::new(0));
    let zeros = "0".repeat(32);
    assert_eq!(
        mask.to_string(),
        format!("0x80000000000000000100000000000000{zeros}")
    );
    assert_eq!(format!("{mask:?}"), "{0000, 0047}");
}

proptest! {
    #[test]
    fn a_mask_is_a_set(a in ids(), b in ids(), id: u8) {
        let (ma, mb, id) = (apm(&a), apm(&b), Apid::new(id));
        prop_assert_eq!(back(ma), a.clone());
        prop_assert_eq!(ma.count() as usize, a.len());
        prop_assert_eq!(ma.is_empty(), a.is_empty());
        prop_assert_eq!(ma.test(id), a.contains(&id.get()));
        prop_assert_eq!(ma.first().map(Apid::get), a.first().copied());
        prop_assert_eq!(ma.last().map(Apid::get), a.last().copied());
        prop_assert_eq!(back(ma.and(mb)), &a & &b);
        prop_assert_eq!(back(ma.or(mb)), &a | &b);
        prop_assert_eq!(back(ma.and_not(mb)), &a - &b);
        prop_assert_eq!(back(ma.xor(mb)), &a ^ &b);
        prop_assert_eq!(ma.is_subset(mb), a.is_subset(&b));
        prop_assert_eq!(ma.intersects(mb), !a.is_disjoint(&b));
        prop_assert!(ma.with(id).test(id) && !ma.without(id).test(id));
    }

    #[test]
    fn storage_and_words_agree(bytes: [u8; 32]) {
        let mask = Apm::from_bytes(bytes);
        prop_assert_eq!(mask.to_bytes(), bytes);
        prop_assert_eq!(Apm::from_words(mask.to_words()), mask);
        let expect: BTreeSet<u8> = (0..=255)
            .filter(|&n| bytes[usize::from(n / 8)] & 0x80 >> (n % 8) != 0)
            .collect();
        prop_assert_eq!(back(mask), expect);
        prop_assert_eq!(mask.first_64().to_be_bytes(), &bytes[..8]);
        prop_assert_eq!(mask.first_16().to_be_bytes(), &bytes[..2]);
    }

    #[test]
    fn a_matrix_is_a_cross_product(a in ids(), q in ids(), a2 in ids(), q2 in ids()) {
        let one = Matrix { apm: apm(&a), aqm: aqm(&q), adm: Adm::EMPTY };
        let two = Matrix { apm: apm(&a2), aqm: aqm(&q2), adm: Adm::EMPTY };
        let queues = |a: &BTreeSet<u8>, q: &BTreeSet<u8>| -> Vec<Apqn> {
            let pairs = a.iter().flat_map(|&a| q.iter().map(move |&q| (a, q)));
            pairs.map(|(a, q)| Apqn::new(Apid::new(a), Apqi::new(q))).collect()
        };
        let expect = queues(&a, &q);
        prop_assert_eq!(one.queue_count() as usize, expect.len());
        prop_assert!(one.apqns().eq(expect.iter().copied()));
        prop_assert!(expect.iter().all(|&apqn| one.contains(apqn)));
        let common = queues(&(&a & &a2), &(&q & &q2));
        prop_assert_eq!(one.shares_queue(two), !common.is_empty());
        prop_assert!(one.intersect(two).apqns().eq(common));
        prop_assert!(one.intersect(two).is_subset(one));
    }

    #[test]
    fn queues_of_one_adapter_or_domain(a in ids(), q in ids(), n: u8) {
        let matrix = Matrix { apm: apm(&a), aqm: aqm(&q), adm: Adm::EMPTY };
        let of: Vec<u8> = matrix.apqns_of(Apid::new(n)).map(|x| x.apqi.get()).collect();
        prop_assert_eq!(of, q.iter().copied().collect::<Vec<_>>());
        let within: Vec<u8> = matrix.apqns_in(Apqi::new(n)).map(|x| x.apid.get()).collect();
        prop_assert_eq!(within, a.iter().copied().collect::<Vec<_>>());
    }
}
