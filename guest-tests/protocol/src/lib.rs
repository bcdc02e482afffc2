// SPDX-License-Identifier: MIT OR Apache-2.0
//! Messages between the harness on the build machine and the agent inside L1.
//!
//! ```text
//! harness ── unix socket ── QEMU ── virtio-serial port ── agent
//!    Request  ─────────────────────────────────────────▶
//!             ◀─────────────────────────────────────────  Event
//! ```
//!
//! A frame is a big-endian `u32` length and that many bytes of postcard
//! (serde's wire format for constrained links). Every command carries an id
//! chosen by the harness, so that several may run at once. A virtio-serial
//! port has no notion of a connection: the agent says [`Event::Ready`] once,
//! when it is up, and the port is then used until the machine ends.
//! Why not an existing agent's protocol: `docs/decisions/0005-l1-agent.md`.

#![forbid(unsafe_code)]

mod frame;

pub use frame::{FrameError, MAX_FRAME, receive, send};
use serde::{Deserialize, Serialize};

/// Name of the virtio-serial port that carries the frames.
pub const PORT: &str = "org.vfio-ap-rs.agent";
/// Bytes of output or file content in one frame.
pub const CHUNK: usize = 32 << 10;

/// Names one command or file transfer; chosen by the harness.
pub type Id = u32;

/// What the harness asks of the agent.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub enum Request {
    /// Start a command; answered by [`Event::Exited`] in the end.
    Exec {
        /// Names the command in later messages.
        id: Id,
        /// What to run.
        command: Command,
    },
    /// Bytes for the command's standard input; empty closes it.
    Stdin {
        /// The command.
        id: Id,
        /// The bytes.
        data: Vec<u8>,
    },
    /// Send a signal to the command's process group.
    Signal {
        /// The command.
        id: Id,
        /// Signal number as Linux counts them.
        signal: i32,
    },
    /// The size of the terminal of a command that was started on one.
    Resize {
        /// The command.
        id: Id,
        /// Its new size.
        size: TerminalSize,
    },
    /// Read a whole file; answered by [`Event::FileData`], then
    /// [`Event::FileDone`].
    ReadFile {
        /// Names the transfer.
        id: Id,
        /// Absolute path inside L1.
        path: String,
    },
    /// Append bytes to a file being written; `last` renames it into place
    /// and is answered by [`Event::FileDone`].
    WriteFile {
        /// Names the transfer.
        id: Id,
        /// Absolute path inside L1.
        path: String,
        /// Permission bits of the finished file.
        mode: u32,
        /// The next bytes.
        data: Vec<u8>,
        /// Whether these are the last ones.
        last: bool,
    },
}

/// A command for [`Request::Exec`].
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Command {
    /// Program (looked up in `PATH`) and arguments.
    pub argv: Vec<String>,
    /// Variables set on top of the agent's own environment.
    pub env: Vec<(String, String)>,
    /// Run inside this folder as root directory.
    pub root: Option<String>,
    /// Run on a pseudo terminal of this size instead of three pipes; all
    /// output then comes as [`Stream::Stdout`].
    pub terminal: Option<TerminalSize>,
    /// Kill the command's process group after so many milliseconds.
    pub timeout_ms: Option<u64>,
}

/// Rows and columns of a terminal.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct TerminalSize {
    /// Lines of text.
    pub rows: u16,
    /// Characters in a line.
    pub columns: u16,
}

/// Which output a piece of data came from.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub enum Stream {
    /// Standard output, or the terminal.
    Stdout,
    /// Standard error.
    Stderr,
}

/// How a command ended.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub enum Exit {
    /// It called exit with this status.
    Status(i32),
    /// A signal ended it.
    Signal(i32),
    /// It ran into its `timeout_ms` and was killed.
    TimedOut,
    /// It could not be started.
    NotStarted(String),
}

/// What the agent tells the harness.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub enum Event {
    /// The agent is up and takes requests.
    Ready {
        /// `uname -r` of the kernel.
        kernel: String,
    },
    /// A piece of a command's output, in order within its stream.
    Output {
        /// The command.
        id: Id,
        /// Where it was written.
        stream: Stream,
        /// The bytes.
        data: Vec<u8>,
    },
    /// A command has ended and all its output has been sent.
    Exited {
        /// The command.
        id: Id,
        /// How it ended.
        exit: Exit,
    },
    /// The next bytes of a file being read.
    FileData {
        /// The transfer.
        id: Id,
        /// The bytes.
        data: Vec<u8>,
    },
    /// A transfer has ended; one that failed leaves nothing behind in L1.
    FileDone {
        /// The transfer.
        id: Id,
        /// What went wrong, in words.
        result: Result<(), String>,
    },
    /// One record of the kernel log, in order.
    Kernel {
        /// syslog severity, 0 (emergency) to 7 (debug).
        level: u8,
        /// Microseconds since boot.
        micros: u64,
        /// The text without its prefix.
        text: String,
    },
}
