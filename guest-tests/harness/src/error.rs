// SPDX-License-Identifier: MIT OR Apache-2.0
//! What can go wrong with an L1 machine, each told as what it is.

use crate::audit::Objection;
use crate::klog::Report;
use std::fmt;
use std::path::{Path, PathBuf};
use std::time::Duration;

/// A failure of, or inside, an L1 machine.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// Something the machine is made of has not been built.
    #[error("{what} is missing: {path} (run `{make}`)", path = path.display())]
    NotBuilt {
        /// What it is.
        what: &'static str,
        /// Where it should be.
        path: PathBuf,
        /// What makes it.
        make: &'static str,
    },
    /// A file or process on the build machine failed.
    #[error("{what}: {source}")]
    Host {
        /// What was tried.
        what: String,
        /// The system's word.
        source: std::io::Error,
    },
    /// QEMU ended by itself.
    #[error("QEMU died ({status}){tail}")]
    QemuDied {
        /// Its exit status or signal.
        status: String,
        /// Its last words and where the logs are.
        tail: Tail,
    },
    /// The kernel of L1 stopped for good.
    #[error("the L1 kernel crashed: {reason}{tail}")]
    Crashed {
        /// The panic line, or QEMU's word for the state.
        reason: String,
        /// The end of the console.
        tail: Tail,
    },
    /// The kernel of L1 complained; the machine may still run.
    #[error("the L1 kernel reported {} problem(s); the first: {}{tail}", reports.len(), reports[0])]
    Complained {
        /// At least one.
        reports: Vec<Report>,
        /// Where the logs are.
        tail: Tail,
    },
    /// Something did not happen in time.
    #[error("{what} did not happen within {limit:?}{tail}")]
    Deadline {
        /// What was waited for.
        what: String,
        /// How long.
        limit: Duration,
        /// The end of the console.
        tail: Tail,
    },
    /// The auditor of the AP device model objected.
    #[error("AP isolation: {objection}{tail}")]
    Violated {
        /// To what.
        objection: Box<Objection>,
        /// Where the logs are.
        tail: Tail,
    },
    /// QEMU refused a QMP command.
    #[error("QMP {command}: {reason}")]
    Qmp {
        /// Its name.
        command: &'static str,
        /// QEMU's word.
        reason: String,
    },
    /// A signal told us to end.
    #[error("interrupted by signal {0}")]
    Interrupted(usize),
    /// The agent could not do a transfer.
    #[error("L1: {0}")]
    Transfer(String),
}

impl Error {
    /// Wrap a system error with what was tried.
    pub fn host(what: impl Into<String>) -> impl FnOnce(std::io::Error) -> Self {
        let what = what.into();
        move |source| Self::Host { what, source }
    }
}

/// The end of a log, attached to an error, and the folder with all of them.
#[derive(Debug, Clone)]
pub struct Tail {
    folder: PathBuf,
    lines: Vec<String>,
}

impl Tail {
    /// The last lines of `file` in the log folder.
    pub fn of(folder: &Path, file: &str) -> Self {
        const LINES: usize = 12;
        let bytes = std::fs::read(folder.join(file)).unwrap_or_default();
        let text = String::from_utf8_lossy(&bytes);
        let all: Vec<&str> = text.lines().filter(|l| !l.trim().is_empty()).collect();
        let lines = all[all.len().saturating_sub(LINES)..]
            .iter()
            .map(|l| (*l).to_owned())
            .collect();
        Self {
            folder: folder.to_owned(),
            lines,
        }
    }
}

impl fmt::Display for Tail {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for line in &self.lines {
            write!(f, "\n    {line}")?;
        }
        write!(f, "\n  logs: {}", self.folder.display())
    }
}
