// SPDX-License-Identifier: MIT OR Apache-2.0
//! Tests of the AP instructions.

use ap_arch::{
    ApFunctions, Apqn, DqapGr0, FunctionCode, NqapGr0, PqapGr0, Psmid, Qci, QueueStatus,
    ResponseCode, TapqInfo,
};
use ap_probe::expect::{Answer, is_refused, outside_samples, tapq_fits};
use ap_probe::options::{Expectation, Options};
use ap_probe::rsa::{self, Reply};

use crate::insn::{self, Interruption, QciBlock};
use crate::report::{Report, Verdict, milliseconds, now};

const RESET_IN_PROGRESS: ResponseCode = ResponseCode(2);
const PATIENCE_MS: u64 = 5000;
const BAD_SHOWN: u32 = 10;

/// Facilities of the CPU that matter to AP.
#[derive(Clone, Copy)]
pub struct Facilities {
    query: bool,
    test: bool,
    interrupts: bool,
}

impl Facilities {
    /// What the CPU has.
    pub fn read() -> Self {
        let list = insn::stfle();
        let has = |bit: usize| list[bit / 64] >> (63 - bit % 64) & 1 != 0;
        Self {
            query: has(12),
            test: has(15),
            interrupts: has(65),
        }
    }
}

/// TAPQ; asks for functions if the CPU knows how.
pub fn tapq(facilities: Facilities, apqn: Apqn) -> (Answer, TapqInfo) {
    let gr0 = PqapGr0::new(FunctionCode::Tapq, apqn);
    let gr0 = if facilities.test { gr0.with_t() } else { gr0 };
    pqap(gr0)
}

fn zapq(apqn: Apqn) -> Answer {
    pqap(PqapGr0::new(FunctionCode::Zapq, apqn)).0
}

fn pqap(gr0: PqapGr0) -> (Answer, TapqInfo) {
    match insn::pqap(gr0.0, 0) {
        Ok(out) => (answer(out.cc, out.gr1), TapqInfo(out.gr2)),
        Err(code) => (Answer::Interrupted(code), TapqInfo(0)),
    }
}

fn answer(cc: u8, gr1: u64) -> Answer {
    // the status is the low word
    let status = QueueStatus(gr1 as u32);
    Answer::Status { cc, status }
}

fn from_result(result: Result<(u8, u64), Interruption>) -> Answer {
    result.map_or_else(Answer::Interrupted, |(cc, gr1)| answer(cc, gr1))
}

fn nqap(apqn: Apqn, psmid: Psmid, message: &[u8]) -> Answer {
    let gr0 = NqapGr0::last_part(apqn).0;
    from_result(insn::nqap(gr0, psmid.to_pair(), message))
}

/// Reports an answer.
fn show(report: &mut Report, op: &str, apqn: Apqn, answer: Answer, info: TapqInfo) {
    report.json(|o| {
        o.string("op", op)?;
        o.string("apqn", apqn)?;
        match answer {
            Answer::Interrupted(code) => o.raw("pgm", code)?,
            Answer::Status { cc, status } => {
                o.raw("cc", cc)?;
                o.string("rc", format_args!("{:02x}", status.code().0))?;
                o.string("status", format_args!("{:08x}", status.0))?;
            }
        }
        if info.0 != 0 {
            o.string("gr2", format_args!("{:016x}", info.0))?;
        }
        Ok(())
    });
}

/// Whether there are AP instructions: TAPQ of 00.0000 is one, whatever it
/// answers.
pub fn is_there() -> bool {
    let (answer, _) = pqap(PqapGr0::new(FunctionCode::Tapq, Apqn::default()));
    !matches!(answer, Answer::Interrupted(_))
}

/// Test: the facilities fit each other and what is expected.
pub fn test_facilities(report: &mut Report, options: &Options) -> (Facilities, bool) {
    let facilities = Facilities::read();
    let there = is_there();
    report.json(|o| {
        o.string("op", "STFLE")?;
        o.raw("12", facilities.query)?;
        o.raw("15", facilities.test)?;
        o.raw("65", facilities.interrupts)?;
        o.raw("ap", there)
    });
    let any = facilities.query || facilities.test || facilities.interrupts;
    let unwanted = there && options.expect == Expectation::NoAp;
    let missing = !there && matches!(options.expect, Expectation::Masks(_));
    let bad = u32::from(any && !there) + u32::from(unwanted) + u32::from(missing);
    report.verdict("facilities", Verdict::of(bad));
    (facilities, there && facilities.query)
}

/// Executes QCI.
pub fn query() -> Result<Qci, Interruption> {
    let mut block = QciBlock([0xff; ap_arch::QCI_LEN]);
    let gr0 = PqapGr0::new(FunctionCode::Qci, Apqn::default());
    insn::qci(gr0.0, &mut block)?;
    Ok(Qci::from_bytes(&block.0))
}

/// Reports the configuration, `seq` counting reports.
pub fn show_query(report: &mut Report, seq: u32, qci: &Qci) {
    report.json(|o| {
        o.string("op", "QCI")?;
        o.raw("seq", seq)?;
        o.string("flags", format_args!("{:08x}", qci.flags.0))?;
        o.raw("na", qci.na)?;
        o.raw("nd", qci.nd)?;
        o.string("apm", qci.matrix.apm)?;
        o.string("aqm", qci.matrix.aqm)?;
        o.string("adm", qci.matrix.adm)
    });
}

/// Reports the response code of each queue in the masks, a line per adapter.
pub fn show_queues(report: &mut Report, seq: u32, facilities: Facilities, qci: &Qci) {
    for apid in qci.matrix.apm.iter() {
        report.json(|o| {
            o.string("op", "TAPQ")?;
            o.raw("seq", seq)?;
            o.object("rc", |o| {
                for apqn in qci.matrix.apqns_of(apid) {
                    let mut name = Text::default();
                    name.set(format_args!("{apqn}"));
                    match tapq(facilities, apqn).0 {
                        Answer::Interrupted(_) => o.raw(name.as_str(), "null")?,
                        Answer::Status { status, .. } => {
                            o.string(name.as_str(), format_args!("{:02x}", status.code().0))?;
                        }
                    }
                }
                Ok(())
            })
        });
    }
}

/// Test: the first QCI shows what is expected.
pub fn test_query(report: &mut Report, options: &Options) -> Option<Qci> {
    let qci = match query() {
        Ok(qci) => qci,
        Err(code) => {
            report.text(format_args!("# QCI: program interruption {code:#x}"));
            report.verdict("qci", Verdict::Fail(1));
            return None;
        }
    };
    show_query(report, 0, &qci);
    let matrix = qci.matrix;
    let mut bad = 0;
    if let Expectation::Masks(expected) = options.expect
        && expected != matrix
    {
        report.text(format_args!(
            "# expected {},{},{}",
            expected.apm, expected.aqm, expected.adm
        ));
        bad += 1;
    }
    if !matrix.apm.is_empty() && matrix.apm.last().is_some_and(|a| a.get() > qci.na) {
        bad += 1;
    }
    report.verdict("qci", Verdict::of(bad));
    Some(qci)
}

/// Test: TAPQ of all 65,536 queues answers as the masks say.
pub fn test_sweep(report: &mut Report, facilities: Facilities, qci: &Qci) {
    let (mut inside, mut outside, mut interrupted, mut bad) = (0, 0, 0, 0);
    let start = now();
    for qid in 0..=u16::MAX {
        let apqn = Apqn::from_qid(qid);
        let (answer, info) = tapq(facilities, apqn);
        let is_in = qci.matrix.contains(apqn);
        match answer {
            Answer::Interrupted(_) => interrupted += 1,
            Answer::Status { .. } if is_in => inside += 1,
            Answer::Status { .. } => outside += 1,
        }
        let fits = tapq_fits(qci, apqn, answer);
        bad += u32::from(!fits);
        if is_in || (!fits && bad <= BAD_SHOWN) {
            show(report, "TAPQ", apqn, answer, info);
        }
    }
    let took = now() - start;
    report.json(|o| {
        o.string("op", "sweep")?;
        o.raw("in", inside)?;
        o.raw("out", outside)?;
        o.raw("pgm", interrupted)?;
        o.raw("bad", bad)?;
        o.raw("took", took)
    });
    report.verdict("tapq", Verdict::of(bad));
}

/// Test: resets and messages for queues outside the masks are refused.
pub fn test_outside(report: &mut Report, qci: &Qci) {
    let message = rsa::request();
    let mut buffer = [0; 512];
    let mut bad = 0;
    for apqn in outside_samples(qci) {
        let dqap = insn::dqap(DqapGr0::first_part(apqn).0, &mut buffer);
        let answers = [
            ("ZAPQ", zapq(apqn)),
            ("NQAP", nqap(apqn, Psmid(1), &message)),
            ("DQAP", from_result(dqap.map(|d| (d.cc, d.gr1)))),
        ];
        for (op, answer) in answers {
            if !is_refused(qci, apqn, answer) {
                bad += 1;
                show(report, op, apqn, answer, TapqInfo(0));
            }
        }
    }
    report.verdict("outside", Verdict::of(bad));
}

/// Waits until `done` gives something, at most five seconds.
fn poll<T>(mut done: impl FnMut() -> Option<T>) -> Option<T> {
    let deadline = insn::tod() + milliseconds(PATIENCE_MS);
    loop {
        let result = done();
        if result.is_some() || insn::tod() > deadline {
            return result;
        }
        insn::wait(false, insn::tod() + milliseconds(1));
    }
}

/// Test: queues in the masks can be zeroized, and are empty afterwards.
pub fn test_reset(report: &mut Report, facilities: Facilities, qci: &Qci) {
    let mut bad = 0;
    let mut usable = 0;
    for apqn in usable_queues(facilities, qci) {
        usable += 1;
        let accepted = zapq(apqn).is_ok();
        let after = poll(|| {
            let (answer, _) = tapq(facilities, apqn);
            (answer.code() != Some(RESET_IN_PROGRESS)).then_some(answer)
        });
        let dqap = insn::dqap(DqapGr0::first_part(apqn).0, &mut [0; 512]);
        let dqap = from_result(dqap.map(|d| (d.cc, d.gr1)));
        let empty = dqap.code() == Some(ResponseCode::NO_PENDING_REPLY);
        if !accepted || !after.is_some_and(Answer::is_ok) || !empty {
            bad += 1;
            show(report, "DQAP", apqn, dqap, TapqInfo(0));
        }
    }
    let verdict = match usable {
        0 => Verdict::Skip("no usable queue"),
        _ => Verdict::of(bad),
    };
    report.verdict("reset", verdict);
}

/// Queues in the masks that answer TAPQ with response code 0.
fn usable_queues(facilities: Facilities, qci: &Qci) -> impl Iterator<Item = Apqn> {
    qci.matrix
        .apqns()
        .filter(move |&apqn| tapq(facilities, apqn).0.is_ok())
}

/// Test: an accelerator computes RSA right; other adapters refuse the request
/// in a reply of their own.
pub fn test_rsa(report: &mut Report, facilities: Facilities, qci: &Qci) {
    let mut bad = 0;
    let mut accelerators = 0;
    for apqn in usable_queues(facilities, qci) {
        let (_, info) = tapq(facilities, apqn);
        let accelerates = info.functions().contains(ApFunctions::ACCELERATOR);
        accelerators += u32::from(accelerates);
        let start = now();
        let (reply, answer) = exchange(apqn);
        let took = now() - start;
        let good = match reply {
            Some(Reply::Correct) => accelerates,
            Some(Reply::Error(code)) => !accelerates && code != 0,
            _ => false,
        };
        bad += u32::from(!good);
        report.json(|o| {
            o.string("op", "RSA")?;
            o.string("apqn", apqn)?;
            o.raw("accelerator", accelerates)?;
            o.string("reply", format_args!("{reply:?}"))?;
            o.string("answer", format_args!("{answer:?}"))?;
            o.raw("took", took)
        });
    }
    let verdict = match (bad, accelerators) {
        (0, 0) => Verdict::Skip("no usable accelerator"),
        _ => Verdict::of(bad),
    };
    report.verdict("rsa", verdict);
}

/// Sends the request and takes its reply, if one comes.
pub fn exchange(apqn: Apqn) -> (Option<Reply>, Answer) {
    let (psmid, sent) = send(apqn);
    if !sent.is_ok() {
        return (None, sent);
    }
    let mut buffer = [0; 1024];
    let mut last = sent;
    let reply = poll(
        || match insn::dqap(DqapGr0::first_part(apqn).0, &mut buffer) {
            Err(code) => {
                last = Answer::Interrupted(code);
                Some(Reply::Malformed)
            }
            Ok(out) => {
                last = answer(out.cc, out.gr1);
                let own = Psmid::from_pair(out.psmid.0, out.psmid.1) == psmid;
                match (out.cc, own) {
                    (0, true) => Some(rsa::judge(&buffer[..out.stored])),
                    (0, false) => Some(Reply::Malformed),
                    _ if last.code() == Some(ResponseCode::NO_PENDING_REPLY) => None,
                    _ => Some(Reply::Malformed),
                }
            }
        },
    );
    (reply, last)
}

/// Sends the request under an identifier of its own.
pub fn send(apqn: Apqn) -> (Psmid, Answer) {
    let psmid = Psmid(0x4150_0000_0000_0000 | u64::from(apqn.to_qid()));
    (psmid, nqap(apqn, psmid, &rsa::request()))
}

/// The name of a queue as text.
#[derive(Default)]
struct Text {
    bytes: [u8; 7],
    len: usize,
}

impl Text {
    fn set(&mut self, text: core::fmt::Arguments<'_>) {
        self.len = 0;
        // an APQN has 7 characters
        let _ = core::fmt::Write::write_fmt(self, text);
    }

    fn as_str(&self) -> &str {
        core::str::from_utf8(&self.bytes[..self.len]).unwrap_or("")
    }
}

impl core::fmt::Write for Text {
    fn write_str(&mut self, text: &str) -> core::fmt::Result {
        let rest = self.bytes.get_mut(self.len..self.len + text.len());
        rest.ok_or(core::fmt::Error)?
            .copy_from_slice(text.as_bytes());
        self.len += text.len();
        Ok(())
    }
}
