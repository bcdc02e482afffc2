// SPDX-License-Identifier: MIT OR Apache-2.0
//! Does things as somebody else, or from inside apvmm's sandbox.
//!
//! ```text
//!   confined as UID COMMAND...   runs a command as this user and group
//!   confined socket              from inside: makes a socket
//!   confined exec PATH           from inside: runs a program
//!   confined spawn PATH          from inside: runs it in a new process
//!   confined thread              from inside: starts a thread
//!   confined open PATH           from inside: opens a file to read
//!   confined write PATH          from inside: opens a file to write
//! ```
//!
//! The status is 0 if it was done, and the errno if it was refused; the
//! sandbox kills what it does not expect.

use std::fs::OpenOptions;
use std::io;
use std::os::unix::process::CommandExt;
use std::process::{Command, ExitCode};

use nix::unistd::{Gid, Uid, setgid, setgroups, setuid};

fn main() -> ExitCode {
    let args: Vec<String> = std::env::args().skip(1).collect();
    let words: Vec<&str> = args.iter().map(String::as_str).collect();
    let result = match words[..] {
        ["as", uid, program, ref rest @ ..] => run_as(uid, program, rest),
        [action, ref path @ ..] => confine().and_then(|()| act(action, path.first().copied())),
        [] => Err(io::ErrorKind::InvalidInput.into()),
    };
    match result {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("confined: {error}");
            ExitCode::from(error.raw_os_error().map_or(u8::MAX, |code| code as u8))
        }
    }
}

fn run_as(uid: &str, program: &str, args: &[&str]) -> io::Result<()> {
    let id = uid.parse().map_err(io::Error::other)?;
    setgroups(&[])?;
    setgid(Gid::from_raw(id))?;
    setuid(Uid::from_raw(id))?;
    Err(Command::new(program).args(args).exec())
}

#[cfg(target_arch = "s390x")]
fn confine() -> io::Result<()> {
    apvmm::sandbox::enter(None, &apvmm::kvm::requests()).map_err(io::Error::other)
}

#[cfg(not(target_arch = "s390x"))]
fn confine() -> io::Result<()> {
    Err(io::ErrorKind::Unsupported.into())
}

fn act(action: &str, path: Option<&str>) -> io::Result<()> {
    let path = || path.ok_or(io::ErrorKind::InvalidInput);
    match action {
        "socket" => std::net::UdpSocket::bind("127.0.0.1:0").map(drop),
        "exec" => Err(Command::new(path()?).exec()),
        "spawn" => Command::new(path()?).status().map(drop),
        "thread" => std::thread::spawn(|| ())
            .join()
            .map_err(|_| io::ErrorKind::Other.into()),
        "open" => OpenOptions::new().read(true).open(path()?).map(drop),
        "write" => OpenOptions::new().write(true).open(path()?).map(drop),
        _ => Err(io::ErrorKind::InvalidInput.into()),
    }
}
