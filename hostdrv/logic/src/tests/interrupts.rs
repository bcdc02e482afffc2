// SPDX-License-Identifier: MIT OR Apache-2.0

use crate::rules::Ledger;
use ap_arch::ResponseCode;

/// What an interrupt holds, told apart by the address of its byte.
type Nib = u64;

/// Enables with a byte at `nib`; returns what is let go.
fn enable(ledger: &mut Ledger<Nib>, code: ResponseCode, nib: Nib) -> Option<Nib> {
    let stamp = ledger.aqic();
    ledger.enabled(code, nib, stamp)
}

fn enabled(nib: Nib) -> Ledger<Nib> {
    let mut ledger = Ledger::new();
    assert_eq!(enable(&mut ledger, ResponseCode::NORMAL, nib), None);
    ledger
}

#[test]
fn what_was_not_enabled_is_let_go() {
    for code in (1..=255).map(ResponseCode) {
        let mut ledger = enabled(1);
        // neither the new nor, in its place, the old
        assert_eq!(enable(&mut ledger, code, 2), Some(2), "{code:?}");
        assert!(ledger.concerns(|&nib| nib == 1), "{code:?}");
    }
}

#[test]
fn another_enabling_lets_the_old_go() {
    let mut ledger = enabled(1);
    assert_eq!(enable(&mut ledger, ResponseCode::NORMAL, 2), Some(1));
    assert!(ledger.concerns(|&nib| nib == 2));
}

#[test]
fn what_may_be_on_is_kept_until_a_reset_is_done() {
    let mut ledger = enabled(1);
    assert_eq!(ledger.disabled(false), None);
    assert_eq!(ledger.reset_done(), None, "no ZAPQ was issued since");
    ledger.zapq();
    assert_eq!(ledger.disabled(false), None);
    assert_eq!(ledger.reset_done(), Some(1));
    assert_eq!(ledger.reset_done(), None);
}

#[test]
fn what_is_certainly_off_is_let_go() {
    assert_eq!(enabled(1).disabled(true), Some(1));
}

#[test]
fn a_done_reset_ends_what_was_set_up_before_it() {
    let mut ledger = Ledger::new();
    ledger.zapq();
    let before = ledger.aqic();
    ledger.zapq();
    let after = ledger.aqic();
    // the answers come in either order
    assert_eq!(ledger.enabled(ResponseCode::NORMAL, 2, after), None);
    assert_eq!(ledger.reset_done(), None, "it was set up after the ZAPQ");
    assert_eq!(ledger.enabled(ResponseCode::NORMAL, 1, before), Some(2));
    assert_eq!(ledger.reset_done(), Some(1));
}

#[test]
fn what_the_bus_enabled_is_disabled_first() {
    let changed = ResponseCode::OTHERWISE_CHANGED;
    assert!(Ledger::<Nib>::new().is_anothers(changed));
    assert!(!Ledger::<Nib>::new().is_anothers(ResponseCode::NORMAL));
    // a guest that enables twice is told so
    assert!(!enabled(1).is_anothers(changed));
}

#[test]
fn without_a_registration_no_address_is_concerned() {
    let mut ledger = Ledger::<Nib>::new();
    assert!(!ledger.concerns(|_| true));
    assert_eq!(ledger.give_up(|_| true), None);
    let mut ledger = enabled(0x1000);
    assert_eq!(ledger.give_up(|nib| (0..0x1000).contains(nib)), None);
    assert_eq!(
        ledger.give_up(|nib| (0x1000..0x2000).contains(nib)),
        Some(0x1000)
    );
}

#[test]
fn unmapping_waits_for_whoever_pins_the_byte() {
    let mut ledger = Ledger::<Nib>::new();
    assert!(ledger.take_turn(Some(0x1000)));
    assert!(!ledger.take_turn(None), "one at a time");
    assert!(ledger.is_pinning(&(0x1000..0x2000)));
    assert!(!ledger.is_pinning(&(0..0x1000)));
    ledger.end_turn();
    assert!(!ledger.is_pinning(&(0x1000..0x2000)));
    assert!(ledger.take_turn(None));
    assert!(!ledger.is_pinning(&(0..u64::MAX)));
}
