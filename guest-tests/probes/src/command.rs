// SPDX-License-Identifier: MIT OR Apache-2.0
//! What a probe can be asked for on its console, a line each: a number that
//! its answer carries, and one of these requests.
//!
//! | request                   | answer                                        |
//! |---------------------------|-----------------------------------------------|
//! | `query`                   | `QCI`: the masks as they are now              |
//! | `tapq APQN`               | `TAPQ`: response code, whether it is empty    |
//! | `crypto APQN N`           | `crypto` when N RSA requests are done, with the number of right results |
//! | `send APQN N`             | `send`: N requests are sent, their replies not taken |
//! | `devices`                 | `devices`: names of the AP bus's devices      |
//! | `watch on`, `watch off`   | `watch`; while on, every change of the masks is told at once |
//! | `exit`                    | none: the guest ends                          |
//!
//! A probe that cannot do it answers `unable`, and `busy` to requests while it
//! makes others.

use ap_arch::Apqn;
use core::fmt;
use core::str::FromStr;

/// A request with the number its answer carries.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Command {
    /// The number.
    pub id: u32,
    /// What is asked for.
    pub request: Request,
}

/// What a probe can be asked for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Request {
    /// The masks.
    Query,
    /// The state of a queue.
    Tapq(Apqn),
    /// RSA requests through a queue, their results checked.
    Crypto(Apqn, u32),
    /// RSA requests into a queue, their replies left in it.
    Send(Apqn, u32),
    /// The AP bus's devices.
    Devices,
    /// Whether to look at the masks all the time.
    Watch(bool),
    /// The end.
    Exit,
}

/// A line that is no command.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct NoCommand;

impl FromStr for Command {
    type Err = NoCommand;

    fn from_str(line: &str) -> Result<Self, NoCommand> {
        let mut words = line.split_ascii_whitespace();
        let mut next = || words.next().ok_or(NoCommand);
        let id = next()?.parse().map_err(|_| NoCommand)?;
        let name = next()?;
        let apqn = |word: &str| word.parse().map_err(|_| NoCommand);
        let count = |word: &str| word.parse().map_err(|_| NoCommand);
        let request = match name {
            "query" => Request::Query,
            "tapq" => Request::Tapq(apqn(next()?)?),
            "crypto" => Request::Crypto(apqn(next()?)?, count(next()?)?),
            "send" => Request::Send(apqn(next()?)?, count(next()?)?),
            "devices" => Request::Devices,
            "watch" => match next()? {
                "on" => Request::Watch(true),
                "off" => Request::Watch(false),
                _ => return Err(NoCommand),
            },
            "exit" => Request::Exit,
            _ => return Err(NoCommand),
        };
        match words.next() {
            None => Ok(Self { id, request }),
            Some(_) => Err(NoCommand),
        }
    }
}

impl fmt::Display for Command {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} {}", self.id, self.request)
    }
}

impl fmt::Display for Request {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Query => f.write_str("query"),
            Self::Tapq(apqn) => write!(f, "tapq {apqn}"),
            Self::Crypto(apqn, count) => write!(f, "crypto {apqn} {count}"),
            Self::Send(apqn, count) => write!(f, "send {apqn} {count}"),
            Self::Devices => f.write_str("devices"),
            Self::Watch(on) => write!(f, "watch {}", if *on { "on" } else { "off" }),
            Self::Exit => f.write_str("exit"),
        }
    }
}

/// Collects console input into lines; what is longer than any command is
/// dropped.
pub struct Lines {
    bytes: [u8; 80],
    len: usize,
}

impl Default for Lines {
    fn default() -> Self {
        Self {
            bytes: [0; 80],
            len: 0,
        }
    }
}

impl Lines {
    /// Takes bytes; every complete line that is a command goes to `each`.
    pub fn take(&mut self, input: &[u8], mut each: impl FnMut(Result<Command, NoCommand>)) {
        for &byte in input {
            if byte == b'\n' || byte == b'\r' {
                let line = core::str::from_utf8(self.bytes.get(..self.len).unwrap_or(&[]));
                if self.len > 0 {
                    each(line.map_err(|_| NoCommand).and_then(str::parse));
                }
                self.len = 0;
            } else {
                if let Some(slot) = self.bytes.get_mut(self.len) {
                    *slot = byte;
                }
                self.len = self.len.saturating_add(1);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    extern crate std;
    use super::*;
    use std::string::ToString;
    use std::vec::Vec;

    const APQN: Apqn = Apqn::from_qid(0x0547);

    #[test]
    fn commands_round_trip() {
        for request in [
            Request::Query,
            Request::Tapq(APQN),
            Request::Crypto(APQN, 500),
            Request::Send(APQN, 1),
            Request::Devices,
            Request::Watch(true),
            Request::Watch(false),
            Request::Exit,
        ] {
            let command = Command { id: 7, request };
            assert_eq!(command.to_string().parse(), Ok(command));
        }
        for line in [
            "", "7", "query", "7 tapq", "7 tapq 5", "7 watch", "7 exit 1", "x exit", "7 look",
        ] {
            assert_eq!(line.parse::<Command>(), Err(NoCommand), "{line}");
        }
    }

    #[test]
    fn lines_come_in_pieces() {
        let mut lines = Lines::default();
        let mut seen = Vec::new();
        for piece in ["1 qu", "ery\n2 tapq 05.0", "047\r\n\n", "bad\n", "3 exit"] {
            lines.take(piece.as_bytes(), |c| seen.push(c));
        }
        let command = |id, request| Ok(Command { id, request });
        let expected = [
            command(1, Request::Query),
            command(2, Request::Tapq(APQN)),
            Err(NoCommand),
        ];
        assert_eq!(seen, expected);
        lines.take(&[b'x'; 200], |c| seen.push(c));
        lines.take(b"\n4 query\n", |c| seen.push(c));
        assert_eq!(seen[3..], [Err(NoCommand), command(4, Request::Query)]);
    }
}
