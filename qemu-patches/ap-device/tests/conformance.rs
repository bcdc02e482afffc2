// SPDX-License-Identifier: MIT OR Apache-2.0
//! The model passes all checks; each mutant fails the one made for it.

mod common;

use common::conformance::CHECKS;
use common::machine;

#[test]
fn the_model_passes() {
    for (name, check) in CHECKS {
        assert_eq!(check(&mut machine()), Ok(()), "{name}");
    }
}

#[cfg(feature = "mutants")]
#[test]
fn each_mutant_fails() {
    use ap_device::Mutant;

    let expected = [
        (Mutant::NoApft, "tapq_tells_functions"),
        (Mutant::EmptyStuck, "not_empty_until_dequeued"),
        (Mutant::ZapqKeepsReply, "zapq_leaves_nothing"),
        (Mutant::QciClobbersGr1, "qci_keeps_gr1"),
    ];
    assert_eq!(expected.map(|(mutant, _)| mutant), Mutant::ALL);
    for (mutant, expected) in expected {
        let fails = CHECKS.into_iter().filter(|(_, check)| {
            let mut m = machine();
            m.ap.set_mutant(Some(mutant));
            check(&mut m).is_err()
        });
        let failed: Vec<&str> = fails.map(|(name, _)| name).collect();
        assert_eq!(failed, [expected], "{mutant:?}");
    }
}
