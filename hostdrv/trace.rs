// SPDX-License-Identifier: GPL-2.0
//! What the driver does, for who wants to see it: entries of the s390dbf log
//! `vfio_ap` at level 6, which is off by default. Linux has no static
//! tracepoints that a Rust module outside the tree could define without a C
//! header for each; s390dbf is what the other AP drivers use.
//!
//! An mdev is told by a number that its first entry ties to its UUID.

use crate::abi::dbf::{trace, traces};
use crate::ap_arch::{Apqn, Matrix};
use crate::rules::{Apcb, Edit, Epoch, Errno, Format, MdevId, Outcome};

/// Whether any of this is kept.
pub(crate) fn is_on() -> bool {
    traces()
}

fn number(id: MdevId) -> i64 {
    id.get() as i64
}

/// An mdev is made; `name` is its UUID.
pub(crate) fn created(id: MdevId, name: &[u8]) {
    let digits = name.iter().filter_map(|&c| char::from(c).to_digit(16));
    let uuid = digits.fold(0u128, |uuid, digit| uuid << 4 | u128::from(digit));
    let halves = [(uuid >> 64) as i64, uuid as i64];
    trace(
        const { Format::new(c"mdev %ld: created as %016lx%016lx\n") },
        [number(id), halves[0], halves[1]],
    );
}

/// An attribute was written; the edit was made, or refused.
pub(crate) fn edited(id: MdevId, edit: Edit, made: Result<(), Errno>) {
    let id = number(id);
    let error = made.err().map_or(0, |errno| -i64::from(errno.code()));
    let (format, what) = match edit {
        Edit::AssignAdapter(apid) => (
            const { Format::new(c"mdev %ld: assign adapter %02lx: %ld\n") },
            apid.get(),
        ),
        Edit::UnassignAdapter(apid) => (
            const { Format::new(c"mdev %ld: unassign adapter %02lx: %ld\n") },
            apid.get(),
        ),
        Edit::AssignDomain(apqi) => (
            const { Format::new(c"mdev %ld: assign domain %04lx: %ld\n") },
            apqi.get(),
        ),
        Edit::UnassignDomain(apqi) => (
            const { Format::new(c"mdev %ld: unassign domain %04lx: %ld\n") },
            apqi.get(),
        ),
        Edit::AssignControlDomain(apqi) => (
            const { Format::new(c"mdev %ld: assign control domain %04lx: %ld\n") },
            apqi.get(),
        ),
        Edit::UnassignControlDomain(apqi) => (
            const { Format::new(c"mdev %ld: unassign control domain %04lx: %ld\n") },
            apqi.get(),
        ),
        Edit::Replace(new) => {
            let queues = new.queue_count().into();
            return trace(
                const { Format::new(c"mdev %ld: assign %ld queues at once: %ld\n") },
                [id, queues, error],
            );
        }
    };
    trace(format, [id, what.into(), error]);
}

/// What the filter left of what was assigned.
pub(crate) fn filtered(id: MdevId, assigned: Matrix, left: Matrix) {
    let adapters = [left.apm.count().into(), assigned.apm.count().into()];
    let domains = [left.aqm.count().into(), assigned.aqm.count().into()];
    trace(
        const { Format::new(c"mdev %ld: filtered: %ld of %ld adapters, %ld of %ld domains\n") },
        [number(id), adapters[0], adapters[1], domains[0], domains[1]],
    );
}

/// These masks were written to the guest.
pub(crate) fn published(id: MdevId, apcb: &Apcb) {
    let Matrix { apm, aqm, adm } = apcb.matrix();
    for (format, words) in [
        (
            const { Format::new(c"mdev %ld: published apm %016lx %016lx %016lx %016lx\n") },
            apm.to_words(),
        ),
        (
            const { Format::new(c"mdev %ld: published aqm %016lx %016lx %016lx %016lx\n") },
            aqm.to_words(),
        ),
        (
            const { Format::new(c"mdev %ld: published adm %016lx %016lx %016lx %016lx\n") },
            adm.to_words(),
        ),
    ] {
        let [a, b, c, d] = words.map(|word| word as i64);
        trace(format, [number(id), a, b, c, d]);
    }
}

/// A reset begins.
pub(crate) fn reset_begun(apqn: Apqn, epoch: Epoch) {
    let (qid, epoch) = (apqn.to_qid().into(), epoch.get() as i64);
    trace(
        const { Format::new(c"queue %04lx: reset %ld begun\n") },
        [qid, epoch],
    );
}

/// A reset is over.
pub(crate) fn reset_done(apqn: Apqn, epoch: Epoch, outcome: Outcome) {
    let (qid, epoch) = (apqn.to_qid().into(), epoch.get() as i64);
    let code = match outcome {
        Outcome::Completed => 0,
        Outcome::Offline(code) | Outcome::Failed(code) => code.0.into(),
    };
    trace(
        const { Format::new(c"queue %04lx: reset %ld done, rc %02lx\n") },
        [qid, epoch, code],
    );
}
