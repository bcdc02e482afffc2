// SPDX-License-Identifier: MIT OR Apache-2.0
//! What an interrupt holds, as long as the hardware may use it.

use std::collections::BTreeSet;

use proptest::prelude::*;
use proptest::sample::select;

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

/// A queue that presents interrupts by the byte it was told of, and who may be
/// at work on it.
#[derive(Default)]
struct Hardware {
    /// The byte that it may write to.
    on: Option<Nib>,
    resetting: bool,
    /// A ZAPQ is done, and the driver does not know yet.
    done: bool,
}

#[derive(Clone, Copy, Debug)]
enum Action {
    /// AQIC that enables; what becomes of that is told by `Answered`.
    Enable(u8),
    Answered,
    /// AQIC that disables, and whether that is certain.
    Disable(bool),
    Zapq,
    Reset,
    ResetDone,
    GiveUp,
}

fn action() -> impl Strategy<Value = Action> {
    prop_oneof![
        3 => select(vec![0, 0, 2, 5, 7, 0x30]).prop_map(Action::Enable),
        3 => Just(Action::Answered),
        1 => any::<bool>().prop_map(Action::Disable),
        2 => Just(Action::Zapq),
        2 => Just(Action::Reset),
        2 => Just(Action::ResetDone),
        1 => Just(Action::GiveUp),
    ]
}

proptest! {
    #![proptest_config(ProptestConfig {
        failure_persistence: None,
        ..ProptestConfig::default()
    })]

    /// What the hardware may write to is held, and nothing else: after what it
    /// took, each interrupt is let go once.
    #[test]
    fn what_the_hardware_uses_is_held(actions in proptest::collection::vec(action(), 0..60)) {
        let (mut ledger, mut hardware) = (Ledger::<Nib>::new(), Hardware::default());
        let (mut made, mut live) = (0, BTreeSet::new());
        let mut working = None;
        for action in actions {
            let gone = match action {
                Action::Enable(code) if ledger.take_turn(Some(made)) => {
                    // a queue that is being reset takes no AQIC
                    let code = if hardware.resetting { 2 } else { code };
                    if code == 0 {
                        hardware.on = Some(made);
                    }
                    live.insert(made);
                    working = Some((ResponseCode(code), made, ledger.aqic()));
                    made += 1;
                    None
                }
                Action::Answered => working.take().and_then(|(code, nib, stamp)| {
                    ledger.end_turn();
                    ledger.enabled(code, nib, stamp)
                }),
                Action::Zapq => {
                    ledger.zapq();
                    (hardware.resetting, hardware.done) = (true, false);
                    None
                }
                Action::Reset if hardware.resetting => {
                    hardware = Hardware { done: true, ..Hardware::default() };
                    None
                }
                Action::ResetDone if hardware.done && ledger.take_turn(None) => {
                    hardware.done = false;
                    ledger.end_turn();
                    ledger.reset_done()
                }
                Action::Disable(certain) if ledger.take_turn(None) => {
                    hardware.on = hardware.on.filter(|_| !certain);
                    ledger.end_turn();
                    ledger.disabled(certain)
                }
                Action::GiveUp if ledger.take_turn(None) => {
                    hardware.on = None;
                    ledger.end_turn();
                    ledger.give_up(|_| true)
                }
                _ => None,
            };
            if let Some(gone) = gone {
                prop_assert!(live.remove(&gone), "{gone} let go twice");
            }
            prop_assert!(hardware.on.is_none_or(|nib| live.contains(&nib)), "{action:?}");
            let held = live.iter().filter(|&&nib| ledger.concerns(|&held| held == nib));
            prop_assert_eq!(held.count() + usize::from(working.is_some()), live.len());
        }
    }
}
