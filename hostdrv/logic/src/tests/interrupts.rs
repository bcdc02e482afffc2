// SPDX-License-Identifier: MIT OR Apache-2.0
//! What an interrupt uses, as long as the hardware may use it.

mod histories;

use crate::rules::{DisableRun, DisableStep, Disabled, Enabled, Ledger};
use ap_arch::{QueueStatus, ResponseCode};

/// What an interrupt uses, told apart by the address of its byte.
type Nib = u64;

const ON: u32 = QueueStatus::IRQ;

fn code(code: u8) -> QueueStatus {
    QueueStatus::of(ResponseCode(code))
}

/// Enables with a byte at `nib`, which is answered `rc`.
fn enable(ledger: &mut Ledger<Nib>, rc: u8, nib: Nib) -> Enabled<Nib> {
    let (status, enabled) = ledger.enable(true, nib, |&used| {
        assert_eq!(used, nib);
        code(rc)
    });
    assert_eq!(status, code(rc));
    enabled
}

fn enabled(nib: Nib) -> Ledger<Nib> {
    let mut ledger = Ledger::new();
    assert_eq!(enable(&mut ledger, 0, nib), Enabled::On(None));
    ledger
}

/// Disables until that is over; AQIC and TAPQ are answered as told. Returns what
/// is let go, whether that was certain, and how often which was issued.
fn disable(
    ledger: &mut Ledger<Nib>,
    aqic: QueueStatus,
    tapq: QueueStatus,
) -> (Option<Nib>, bool, [u32; 2]) {
    let (mut run, mut issued) = (DisableRun::new(), [0; 2]);
    loop {
        let disabled = ledger.disable(true, &mut run, |step| match step {
            DisableStep::Aqic => {
                issued[0] += 1;
                aqic
            }
            DisableStep::Tapq => {
                issued[1] += 1;
                tapq
            }
        });
        if let Disabled::Over(gone) = disabled {
            assert_eq!(run.answer(), aqic);
            return (gone, run.is_off(), issued);
        }
    }
}

#[test]
fn what_was_not_enabled_is_let_go() {
    for rc in 1..=255 {
        let mut ledger = enabled(1);
        // neither the new nor, in its place, the old
        assert_eq!(enable(&mut ledger, rc, 2), Enabled::Not(2), "{rc}");
        assert!(ledger.holds(|&nib| nib == 1), "{rc}");
    }
}

#[test]
fn another_enabling_lets_the_old_go() {
    let mut ledger = enabled(1);
    assert_eq!(enable(&mut ledger, 0, 2), Enabled::On(Some(1)));
    assert!(ledger.holds(|&nib| nib == 2));
}

#[test]
fn what_may_be_on_is_kept_until_a_reset_is_done() {
    let mut ledger = enabled(1);
    // offline, checkstopped, and whatever else disables nothing
    for rc in (3..=255).filter(|rc| ![5, 7].contains(rc)) {
        let kept = (None, false, [1, 0]);
        assert_eq!(disable(&mut ledger, code(rc), code(0)), kept, "{rc}");
        let kept = (None, false, [1, 1]);
        assert_eq!(disable(&mut ledger, code(0), code(rc)), kept, "{rc}");
    }
    assert_eq!(ledger.reset_done(), None, "no ZAPQ was issued since");
    ledger.zapq();
    assert!(ledger.holds(|&nib| nib == 1));
    assert_eq!(ledger.reset_done(), Some(1));
    assert_eq!(ledger.reset_done(), None);
}

#[test]
fn disabling_is_not_tried_for_ever() {
    for busy in [2, 5] {
        let mut ledger = enabled(1);
        let kept = (None, false, [6, 0]);
        assert_eq!(disable(&mut ledger, code(busy), code(0)), kept);
        // they stay on, or nobody can tell
        let still_on = QueueStatus(code(busy).0 | ON);
        for answer in [still_on, QueueStatus(ON), code(5)] {
            let kept = (None, false, [1, 5]);
            assert_eq!(disable(&mut ledger, code(0), answer), kept, "{answer:?}");
        }
        assert!(ledger.holds(|&nib| nib == 1));
    }
}

#[test]
fn what_is_certainly_off_is_let_go() {
    for aqic in [0, 7] {
        // done, and done by a reset
        for tapq in [0, 2] {
            let off = (Some(1), true, [1, 1]);
            assert_eq!(disable(&mut enabled(1), code(aqic), code(tapq)), off);
        }
    }
    // no such queue
    let off = (Some(1), true, [1, 0]);
    assert_eq!(disable(&mut enabled(1), code(1), code(0)), off);
    let off = (Some(1), true, [1, 1]);
    assert_eq!(disable(&mut enabled(1), code(0), code(1)), off);
}

#[test]
fn a_done_reset_ends_what_was_set_up_before_it() {
    let mut ledger = enabled(1);
    ledger.zapq();
    // the reset is over, the guest enables again, and then the driver hears of it
    assert_eq!(enable(&mut ledger, 0, 2), Enabled::On(Some(1)));
    assert_eq!(ledger.reset_done(), None, "it was set up after the ZAPQ");
    ledger.zapq();
    assert_eq!(ledger.reset_done(), Some(2));
}

#[test]
fn what_the_bus_enabled_is_disabled_first() {
    let mut ledger = Ledger::new();
    assert_eq!(enable(&mut ledger, 7, 1), Enabled::Anothers(1));
    let off = (None, true, [1, 1]);
    assert_eq!(disable(&mut ledger, code(0), code(0)), off);
    assert_eq!(enable(&mut ledger, 0, 1), Enabled::On(None));
    // a guest that enables twice is told so
    assert_eq!(enable(&mut ledger, 7, 2), Enabled::Not(2));
}

/// Whoever was held up, by a page of the guest's or by sleeping, comes back to a
/// queue of which anything may have become.
#[test]
fn who_is_late_does_nothing() {
    let (mut ledger, mut late) = (enabled(1), DisableRun::new());
    let pending = ledger.disable(true, &mut late, |_| code(5));
    assert_eq!(pending, Disabled::Pending);
    // it is reset, and another guest's
    ledger.zapq();
    assert_eq!(ledger.reset_done(), Some(1));
    assert_eq!(enable(&mut ledger, 0, 2), Enabled::On(None));
    let (status, refused) = ledger.enable(false, 3, |_| panic!("AQIC"));
    assert_eq!((status, refused), (code(1), Enabled::Not(3)));
    let over = ledger.disable(false, &mut late, |_| panic!("AQIC"));
    assert_eq!(over, Disabled::Over(None));
    assert_eq!(late.answer(), code(5), "what the guest was told");
    assert!(!late.is_off());
    assert!(ledger.holds(|&nib| nib == 2));
}

#[test]
fn who_has_no_interrupt_disables_none() {
    let ledger = Ledger::<Nib>::new();
    assert!(!ledger.holds(|_| true));
    let mut ledger = enabled(1);
    let is_mine = ledger.holds(|&nib| nib == 2);
    let mut run = DisableRun::new();
    let over = ledger.disable(is_mine, &mut run, |_| panic!("AQIC"));
    assert_eq!(over, Disabled::Over(None));
    assert_eq!(run.answer(), code(1));
}

#[test]
fn what_the_bus_took_is_left_alone() {
    let mut ledger = enabled(1);
    assert_eq!(ledger.retire(), Some(1), "nobody will know when it is off");
    // the queue may have been bound again, and be the guest's again
    let (status, refused) = ledger.enable(true, 2, |_| panic!("AQIC"));
    assert_eq!((status, refused), (code(1), Enabled::Not(2)));
    let mut run = DisableRun::new();
    let over = ledger.disable(true, &mut run, |_| panic!("AQIC"));
    assert_eq!(over, Disabled::Over(None));
    assert_eq!(ledger.retire(), None);
}
