// SPDX-License-Identifier: MIT OR Apache-2.0
//! `/init` of the L1 machine.
//!
//! As process 1 it mounts the file systems, starts itself again as the agent
//! and reaps orphans; it powers off when the agent ends, since nobody could
//! reach the machine any more. The two are separate processes because the
//! agent waits for its own children one by one, which a reaper of all
//! children would take away from it.

#![forbid(unsafe_code)]

mod mounts;
mod port;

use nix::sys::reboot::{RebootMode, reboot};
use nix::sys::wait::{WaitStatus, wait};
use nix::unistd::Pid;
use std::process::{Command, ExitCode};

/// Name under which process 1 starts the agent.
const AGENT: &str = "--agent";

fn main() -> ExitCode {
    if std::env::args().nth(1).as_deref() == Some(AGENT) {
        if let Err(e) = port::run() {
            eprintln!("agent: {e:#}");
            return ExitCode::FAILURE;
        }
        return ExitCode::SUCCESS;
    }
    if nix::unistd::getpid() != Pid::from_raw(1) {
        eprintln!("This is the init program of a test machine and runs as process 1 only.");
        return ExitCode::from(2);
    }
    init();
    ExitCode::FAILURE
}

/// Process 1; comes back only if the machine cannot be powered off.
fn init() {
    mounts::all();
    match Command::new("/proc/self/exe")
        .arg(AGENT)
        .env("PATH", l1_agent::PATH)
        .spawn()
    {
        Ok(agent) => reap_until(Pid::from_raw(agent.id().cast_signed())),
        Err(e) => eprintln!("init: the agent cannot be started: {e}"),
    }
    power_off();
}

fn reap_until(agent: Pid) {
    loop {
        match wait() {
            Ok(WaitStatus::Exited(pid, status)) if pid == agent => {
                eprintln!("init: the agent ended with status {status}");
                return;
            }
            Ok(WaitStatus::Signaled(pid, signal, _)) if pid == agent => {
                eprintln!("init: the agent was killed by {signal}");
                return;
            }
            Ok(_) | Err(nix::errno::Errno::EINTR) => {}
            Err(e) => {
                eprintln!("init: wait: {e}");
                return;
            }
        }
    }
}

/// Write everything back and switch the machine off.
fn power_off() {
    nix::unistd::sync();
    // Comes back only when it failed.
    let Err(e) = reboot(RebootMode::RB_POWER_OFF);
    eprintln!("init: power off: {e}");
}
