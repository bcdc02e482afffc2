// SPDX-License-Identifier: MIT OR Apache-2.0
//! One reset, code by code.

use crate::ap_arch::{QueueStatus, ResponseCode};
use crate::{Outcome, ResetRun, ResetStep};

const POLL: ResetStep = ResetStep::Poll;
const DONE: ResetStep = ResetStep::Done(Outcome::Completed);

fn status(code: u8) -> QueueStatus {
    QueueStatus::of(ResponseCode(code))
}

fn failed(code: u8) -> ResetStep {
    ResetStep::Done(Outcome::Failed(ResponseCode(code)))
}

fn offline(code: u8) -> ResetStep {
    ResetStep::Done(Outcome::Offline(ResponseCode(code)))
}

#[test]
fn an_accepted_zapq_is_done_when_tapq_says_so() {
    let mut run = ResetRun::new();
    assert_eq!(run.zapq(status(0)), POLL);
    for code in [0x02, 0x05, 0x0a, 0x02] {
        assert_eq!(run.tapq(status(code)), POLL);
    }
    assert_eq!(run.tapq(status(0)), DONE);
}

#[test]
fn a_zapq_that_was_not_performed_is_issued_again() {
    for refused in [0x02, 0x05, 0x0a] {
        let mut run = ResetRun::new();
        assert_eq!(run.zapq(status(refused)), POLL);
        assert_eq!(run.tapq(status(0x02)), POLL);
        assert_eq!(run.tapq(status(0)), ResetStep::Zapq);
        assert_eq!(run.zapq(status(refused)), POLL);
        assert_eq!(run.tapq(status(0)), ResetStep::Zapq);
        assert_eq!(run.zapq(status(0)), POLL);
        assert_eq!(run.tapq(status(0)), DONE);
    }
}

#[test]
fn an_adapter_that_is_off_is_told_by_zapq() {
    for off in [0x03, 0x04] {
        let mut run = ResetRun::new();
        assert_eq!(run.zapq(status(0x05)), POLL);
        assert_eq!(run.tapq(status(off)), ResetStep::Zapq);
        assert_eq!(run.zapq(status(off)), offline(off));
    }
}

#[test]
fn a_failed_association_needs_another_zapq() {
    for code in [0x35, 0x36] {
        let mut run = ResetRun::new();
        assert_eq!(run.zapq(status(0)), POLL);
        assert_eq!(run.tapq(status(code)), ResetStep::Zapq);
        // what was accepted before does not count
        assert_eq!(run.zapq(status(0x02)), POLL);
        assert_eq!(run.tapq(status(0)), ResetStep::Zapq);
    }
}

#[test]
fn only_known_codes_are_success() {
    for code in 0..=0xff {
        let expected = match code {
            0x00 | 0x02 | 0x05 | 0x0a => POLL,
            0x03 | 0x04 => offline(code),
            _ => failed(code),
        };
        assert_eq!(ResetRun::new().zapq(status(code)), expected);
        let mut run = ResetRun::new();
        run.zapq(status(0));
        let expected = match code {
            0x00 => DONE,
            0x02 | 0x05 | 0x0a => POLL,
            0x35 | 0x36 => ResetStep::Zapq,
            0x03 | 0x04 => offline(code),
            _ => failed(code),
        };
        assert_eq!(run.tapq(status(code)), expected);
    }
}

#[test]
fn status_flags_do_not_matter() {
    let mut run = ResetRun::new();
    assert_eq!(run.zapq(QueueStatus(0xe300_0000)), POLL);
    assert_eq!(run.tapq(QueueStatus(0xe300_ffff)), DONE);
}

#[test]
fn a_reset_that_lasts_is_looked_at_less_often() {
    let mut run = ResetRun::new();
    run.zapq(status(0x02));
    assert_eq!(run.pause_ms(), 20);
    assert_eq!(run.word_seconds(), None);
    let first: u32 = (1..50).map(|_| run.pause_ms()).sum();
    assert_eq!(first, 980);
    let mut words = Vec::new();
    for _ in 0..100 {
        assert_eq!(run.pause_ms(), 200);
        words.extend(run.word_seconds());
    }
    assert_eq!(words, [10, 20]);
    // the next one starts anew
    assert_eq!(ResetRun::new().pause_ms(), 20);
}
