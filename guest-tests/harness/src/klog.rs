// SPDX-License-Identifier: MIT OR Apache-2.0
//! Tells the kernel's own complaints from the rest of its log.

use std::fmt;

/// What a line of the kernel log reports.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Kind {
    /// `WARN_ON` and its like.
    Warning,
    /// A lock that could deadlock, or an RCU rule broken (lockdep).
    Lockdep,
    /// Undefined behaviour (UBSAN).
    Ubsan,
    /// Memory that nothing points to any more (kmemleak).
    Leak,
    /// A task or CPU that makes no progress.
    Stall,
    /// A use of memory that is not ours (KASAN).
    Kasan,
    /// `BUG_ON`, a scheduling or list error the kernel calls a bug.
    Bug,
    /// A program check in kernel mode.
    Oops,
    /// The end.
    Panic,
}

impl fmt::Display for Kind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Kind::Warning => "kernel warning",
            Kind::Lockdep => "lockdep report",
            Kind::Ubsan => "UBSAN report",
            Kind::Leak => "memory leak",
            Kind::Stall => "stall",
            Kind::Kasan => "KASAN report",
            Kind::Bug => "kernel BUG",
            Kind::Oops => "kernel oops",
            Kind::Panic => "kernel panic",
        })
    }
}

/// How a report's first line is recognised; the first match counts, so the
/// special cases stand before the general ones.
const MARKS: &[(&str, Kind)] = &[
    ("Kernel panic - not syncing", Kind::Panic),
    ("BUG: KASAN", Kind::Kasan),
    ("UBSAN:", Kind::Ubsan),
    ("Unable to handle kernel", Kind::Oops),
    ("Oops:", Kind::Oops),
    (" [#1]", Kind::Oops),
    ("possible circular locking dependency", Kind::Lockdep),
    ("possible recursive locking", Kind::Lockdep),
    ("possible irq lock inversion", Kind::Lockdep),
    ("inconsistent lock state", Kind::Lockdep),
    ("suspicious RCU usage", Kind::Lockdep),
    ("new suspected memory leaks", Kind::Leak),
    ("detected stalls on CPU", Kind::Stall),
    ("self-detected stall on CPU", Kind::Stall),
    ("blocked for more than", Kind::Stall),
    ("soft lockup", Kind::Stall),
    ("kernel BUG at", Kind::Bug),
    ("BUG:", Kind::Bug),
    ("WARNING:", Kind::Warning),
];

/// A complaint, with the line that announces it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Report {
    /// What it is.
    pub kind: Kind,
    /// The line.
    pub line: String,
}

impl fmt::Display for Report {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}", self.kind, self.line)
    }
}

/// The complaint that a line of the log begins, if it does.
pub fn classify(line: &str) -> Option<Report> {
    let (_, kind) = MARKS.iter().find(|(mark, _)| line.contains(mark))?;
    Some(Report {
        kind: *kind,
        line: line.trim().to_owned(),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn complaints_are_told_apart() {
        let cases = [
            (
                "Kernel panic - not syncing: sysrq triggered crash",
                Some(Kind::Panic),
            ),
            (
                "BUG: KASAN: slab-use-after-free in foo+0x12/0x30",
                Some(Kind::Kasan),
            ),
            (
                "BUG: sleeping function called from invalid context",
                Some(Kind::Bug),
            ),
            (
                "WARNING: drivers/misc/lkdtm/bugs.c:112 at lkdtm_WARNING",
                Some(Kind::Warning),
            ),
            (
                "WARNING: possible circular locking dependency detected",
                Some(Kind::Lockdep),
            ),
            (
                "Unable to handle kernel pointer dereference in virtual kernel address space",
                Some(Kind::Oops),
            ),
            (
                "kmemleak: 3 new suspected memory leaks (see /sys/kernel/debug/kmemleak)",
                Some(Kind::Leak),
            ),
            (
                "ap: The hardware system does not support AP instructions",
                None,
            ),
            ("rcu: Hierarchical SRCU implementation.", None),
        ];
        for (line, kind) in cases {
            assert_eq!(classify(line).map(|r| r.kind), kind, "{line}");
        }
    }
}
