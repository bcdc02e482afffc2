// SPDX-License-Identifier: MIT OR Apache-2.0
//! A channel subsystem without devices, which tells of AP changes.
//!
//! ```text
//!   notify ──> event pending, CRW queued ──> machine check (if armed)
//!   guest:     STCRW  cc 0  takes the CRW
//!              STCRW  cc 1  none left: armed again
//!              CHSC SEI     takes the event: "AP configuration changed"
//! ```
//!
//! Both the event and the CRW are latches: the message is only "look again",
//! so notifications that the guest has not fetched yet merge into one. The
//! machine check is sent at most once until the guest has seen the queue
//! empty, as a program fetches words until it is told there are no more.
//!
//! Source: Linux `drivers/s390/cio/crw.c` and `chsc.c`.

pub mod chsc;

/// Channel report word: reporting source B (channel-subsystem event pending),
/// error recovery code 0 (terminal), channel subsystem 0.
const CRW_CSS_EVENT: u32 = 0x0b00_0000;

/// Machine-check interruption code of a channel report: CP plus the validity
/// bits of everything stored (KVM drops those of what the guest lacks).
pub const CHANNEL_REPORT_MCIC: u64 = 0x0040_0f5d_4833_0000;

/// Subclass mask of a channel report in control register 14.
pub const CHANNEL_REPORT_CR14: u64 = 0x1000_0000;

/// State of the channel subsystem.
#[derive(Debug)]
pub struct Css {
    event: bool,
    crw: bool,
    armed: bool,
    counters: Counters,
}

/// How often things happened.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, serde::Serialize)]
#[serde(rename_all = "kebab-case")]
pub struct Counters {
    /// AP changes told to the channel subsystem.
    pub notified: u64,
    /// Machine checks sent.
    pub machine_checks: u64,
    /// Events the guest fetched.
    pub events_read: u64,
}

/// A machine check has to be made pending.
#[derive(Debug, PartialEq, Eq)]
#[must_use]
pub struct Signal(pub bool);

impl Default for Css {
    fn default() -> Self {
        Self {
            event: false,
            crw: false,
            armed: true,
            counters: Counters::default(),
        }
    }
}

impl Css {
    /// Records that the guest's AP configuration changed.
    pub fn notify_ap_change(&mut self) -> Signal {
        self.counters.notified += 1;
        self.event = true;
        self.crw = true;
        let signal = std::mem::replace(&mut self.armed, false);
        self.counters.machine_checks += u64::from(signal);
        Signal(signal)
    }

    /// STCRW: the word to store and the condition code.
    pub fn take_crw(&mut self) -> (u32, u8) {
        if std::mem::replace(&mut self.crw, false) {
            (CRW_CSS_EVENT, 0)
        } else {
            self.armed = true;
            (0, 1)
        }
    }

    /// Undoes [`Self::take_crw`] when its word could not be stored.
    pub fn requeue_crw(&mut self, cc: u8) {
        if cc == 0 {
            self.crw = true;
        }
    }

    /// Gives back an event that was taken and could not be stored.
    pub fn requeue_event(&mut self) {
        self.event = true;
        self.counters.events_read -= 1;
    }

    /// Forgets what is pending, as a subsystem reset does.
    pub fn reset(&mut self) {
        *self = Self {
            counters: self.counters,
            ..Self::default()
        };
    }

    /// How often things happened.
    pub fn counters(&self) -> Counters {
        self.counters
    }

    /// Takes the pending event, if there is one.
    fn take_event(&mut self) -> bool {
        let event = std::mem::replace(&mut self.event, false);
        self.counters.events_read += u64::from(event);
        event
    }
}

/// Whether a word has the form of a subchannel ID: bit 15 on, and a channel
/// subsystem only if bit 12 (multiple ones) is on.
pub fn is_subchannel_id(id: u32) -> bool {
    let one = id & 0x0001_0000 != 0;
    let multiple = id & 0x0008_0000 != 0;
    let subsystem = id >> 24;
    one && (multiple || subsystem == 0)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_change_is_one_machine_check_one_word_one_event() {
        let mut css = Css::default();
        assert_eq!(css.notify_ap_change(), Signal(true));
        assert_eq!(css.take_crw(), (0x0b00_0000, 0));
        assert_eq!(css.take_crw(), (0, 1));
        assert!(css.take_event());
        assert!(!css.take_event());
        let expected = Counters {
            notified: 1,
            machine_checks: 1,
            events_read: 1,
        };
        assert_eq!(css.counters(), expected);
    }

    #[test]
    fn changes_merge_until_fetched() {
        let mut css = Css::default();
        assert_eq!(css.notify_ap_change(), Signal(true));
        assert_eq!(css.notify_ap_change(), Signal(false));
        assert_eq!(css.take_crw().1, 0);
        assert_eq!(css.take_crw().1, 1);
        assert!(css.take_event());
        assert!(!css.take_event());
    }

    /// The guest fetches until cc 1, so a change between two fetches needs no
    /// second machine check, and one after cc 1 does.
    #[test]
    fn a_change_while_the_guest_fetches_is_not_lost() {
        let mut css = Css::default();
        let _ = css.notify_ap_change();
        assert_eq!(css.take_crw().1, 0);
        assert_eq!(css.notify_ap_change(), Signal(false));
        assert_eq!(css.take_crw().1, 0);
        assert_eq!(css.take_crw().1, 1);
        assert_eq!(css.notify_ap_change(), Signal(true));
    }

    #[test]
    fn a_word_that_could_not_be_stored_stays() {
        let mut css = Css::default();
        let _ = css.notify_ap_change();
        let (_, cc) = css.take_crw();
        css.requeue_crw(cc);
        assert_eq!(css.take_crw().1, 0);
        let (_, cc) = css.take_crw();
        css.requeue_crw(cc);
        assert_eq!(css.take_crw(), (0, 1));
    }

    #[test]
    fn subchannel_ids() {
        for id in [0x0001_0000, 0x0007_ffff, 0xfe09_0001] {
            assert!(is_subchannel_id(id), "{id:#x}");
        }
        for id in [0, 0x0000_0001, 0xfe01_0000, 0x0008_0000] {
            assert!(!is_subchannel_id(id), "{id:#x}");
        }
    }

    #[test]
    fn reset_forgets_what_is_pending() {
        let mut css = Css::default();
        let _ = css.notify_ap_change();
        css.reset();
        assert_eq!(css.take_crw(), (0, 1));
        assert!(!css.take_event());
        assert_eq!(css.counters().notified, 1);
    }
}
