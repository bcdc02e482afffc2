// SPDX-License-Identifier: MIT OR Apache-2.0
//! What an AP instruction must answer, given the masks that QCI shows.
//!
//! | queue                                  | answer                        |
//! |----------------------------------------|-------------------------------|
//! | in the masks                           | any state of a present queue  |
//! | not in the masks                       | RC 01, condition code 3       |
//! | ID above what the machine can have     | the same, or a specification exception |

use ap_arch::{Apqn, Qci, QciFlags, QueueStatus, ResponseCode};

/// Program interruption code of a specification exception.
pub const SPECIFICATION: u16 = 6;

/// How an instruction ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Answer {
    /// With a program interruption.
    Interrupted(u16),
    /// With a status.
    Status {
        /// Condition code.
        cc: u8,
        /// Queue status.
        status: QueueStatus,
    },
}

impl Answer {
    /// The response code, if there is one.
    pub fn code(self) -> Option<ResponseCode> {
        match self {
            Self::Status { status, .. } => Some(status.code()),
            Self::Interrupted(_) => None,
        }
    }

    /// Whether the instruction was carried out.
    pub fn is_ok(self) -> bool {
        self.code() == Some(ResponseCode::default())
    }
}

/// Response codes of a queue that is there: usable, resetting,
/// deconfigured, checkstopped, busy.
const PRESENT: [u8; 5] = [0, 2, 3, 4, 5];
const NOT_THERE: u8 = 1;

/// Whether an APQN is beyond what the machine can have.
fn is_beyond(qci: &Qci, apqn: Apqn) -> bool {
    if !qci.flags.contains(QciFlags::APXA) {
        return !apqn.apid.fits_without_apxa() || !apqn.apqi.fits_without_apxa();
    }
    apqn.apid.get() > qci.na || apqn.apqi.get() > qci.nd
}

/// Whether TAPQ's answer fits the masks.
pub fn tapq_fits(qci: &Qci, apqn: Apqn, answer: Answer) -> bool {
    match answer {
        Answer::Interrupted(code) => code == SPECIFICATION && is_beyond(qci, apqn),
        Answer::Status { cc, status } if qci.matrix.contains(apqn) => {
            PRESENT.contains(&status.code().0) && cc == status.condition_code()
        }
        Answer::Status { cc, status } => cc == 3 && status.code().0 == NOT_THERE,
    }
}

/// Whether an instruction was refused as it must be outside the masks.
pub fn is_refused(qci: &Qci, apqn: Apqn, answer: Answer) -> bool {
    !qci.matrix.contains(apqn) && tapq_fits(qci, apqn, answer)
}

/// Some queues outside the masks: the neighbours of the first one inside, and
/// the corners.
pub fn outside_samples(qci: &Qci) -> impl Iterator<Item = Apqn> {
    let qci = *qci;
    let first = qci.matrix.apqns().next().unwrap_or_default().to_qid();
    let near = [0x0001, 0x00ff, 0x0100, 0xff00, 0x0101, 0xfeff].map(|d| first.wrapping_add(d));
    let corners = [0x0000, 0x00ff, 0xff00, 0xffff];
    let machine = u16::from_be_bytes([qci.na, qci.nd]);
    near.into_iter()
        .chain(corners)
        .chain([machine])
        .map(Apqn::from_qid)
        .filter(move |&apqn| !qci.matrix.contains(apqn))
}

#[cfg(test)]
mod tests {
    use super::*;
    use ap_arch::{Apid, Apm, Apqi, Aqm, Matrix};

    fn qci(flags: QciFlags) -> Qci {
        Qci {
            flags,
            na: 11,
            nd: 15,
            matrix: Matrix {
                apm: Apm::of(Apid::new(5)),
                aqm: Aqm::of(Apqi::new(4)),
                ..Matrix::EMPTY
            },
        }
    }

    fn status(cc: u8, code: u8) -> Answer {
        let status = QueueStatus::of(ResponseCode(code));
        Answer::Status { cc, status }
    }

    const IN: u16 = 0x0504;
    const OUT: u16 = 0x0604;
    const BEYOND: u16 = 0x0c04;

    fn fits(qid: u16, answer: Answer) -> bool {
        tapq_fits(&qci(QciFlags::APXA), Apqn::from_qid(qid), answer)
    }

    #[test]
    fn queues_in_the_masks_are_there() {
        for (cc, code) in [(0, 0), (3, 2), (3, 3), (3, 4), (3, 5)] {
            assert!(fits(IN, status(cc, code)), "{code}");
        }
        for (cc, code) in [(3, 1), (3, 0), (0, 3), (3, 0x10)] {
            assert!(!fits(IN, status(cc, code)), "{code}");
        }
        assert!(!fits(IN, Answer::Interrupted(SPECIFICATION)));
    }

    #[test]
    fn queues_outside_are_not() {
        for qid in [OUT, BEYOND] {
            assert!(fits(qid, status(3, 1)));
            assert!(!fits(qid, status(0, 1)));
            assert!(!fits(qid, status(0, 0)));
            assert!(!fits(qid, status(3, 3)));
        }
        assert!(!fits(OUT, Answer::Interrupted(SPECIFICATION)));
        assert!(fits(BEYOND, Answer::Interrupted(SPECIFICATION)));
        assert!(!fits(BEYOND, Answer::Interrupted(1)));
    }

    #[test]
    fn without_extended_addressing_ids_are_short() {
        let qci = qci(QciFlags::APSC);
        let fits = |qid| {
            let answer = Answer::Interrupted(SPECIFICATION);
            tapq_fits(&qci, Apqn::from_qid(qid), answer)
        };
        assert!(fits(0x4000) && fits(0x0010));
        assert!(!fits(0x3f0f));
    }

    #[test]
    fn samples_are_outside() {
        let qci = qci(QciFlags::APXA);
        assert!(outside_samples(&qci).all(|a| !qci.matrix.contains(a)));
        assert!(outside_samples(&qci).any(|a| a == Apqn::from_qid(OUT)));
        assert!(outside_samples(&qci).count() >= 10);
        let full = Qci {
            matrix: Matrix::FULL,
            ..qci
        };
        assert_eq!(outside_samples(&full).count(), 0);
    }
}
