// SPDX-License-Identifier: MIT OR Apache-2.0
//! `KEEP=1`: a machine in which something failed stays for a look.

use crate::machine::Machine;
use crate::terminal::{Ends, interactive};
use l1_protocol::Command;
use std::fs::File;
use std::io::{BufRead, BufReader, Write};
use std::time::Duration;

/// Where a debugger finds a kept machine.
const GDB: &str = "tcp:localhost:1234";
/// A machine that does not answer within this time is beyond a shell.
const ANSWER: Duration = Duration::from_secs(5);

/// Whether `KEEP` asks for it.
pub fn wanted() -> bool {
    std::env::var_os("KEEP").is_some_and(|value| !value.is_empty())
}

/// With `KEEP` set, hold the machine until the user leaves a shell in it: the
/// terminal that started us is the shell's. A machine that cannot run a shell
/// any more is held for a debugger until Enter is pressed. Without `KEEP`, or
/// without a terminal, nothing happens.
pub fn keep(machine: &Machine, root: Option<String>, why: &str) {
    if !wanted() || !machine.is_emulated() {
        return;
    }
    let (Ok(ends), Ok(mut tty)) = (
        Ends::controlling(),
        File::options().read(true).write(true).open("/dev/tty"),
    ) else {
        eprintln!("KEEP: there is no terminal, so the machine is not kept");
        return;
    };
    let gdb = qapi::qmp::human_monitor_command {
        command_line: format!("gdbserver {GDB}"),
        cpu_index: None,
    };
    let debugger = match machine.qmp(gdb) {
        Ok(_) => format!("; a debugger may connect to {GDB}"),
        Err(_) => String::new(),
    };
    // The terminal is all we have to complain to.
    let _ = write!(
        tty,
        "\n{why}\nKEEP: the machine is kept, `exit` ends it{debugger}\nlogs: {}\n",
        machine.logs().display()
    );
    let argv = vec!["/bin/sh".into(), "-l".into()];
    if !answers(machine) || interactive(machine, ends, argv, root).is_err() {
        let _ = writeln!(tty, "KEEP: it cannot run a shell; Enter ends it");
        let _ = BufReader::new(tty).read_line(&mut String::new());
    }
}

fn answers(machine: &Machine) -> bool {
    let argv = vec!["true".into()];
    let (id, events) = machine.start(Command {
        argv,
        ..Command::default()
    });
    let answer = machine.next_within(&events, ANSWER);
    machine.client().end(id);
    matches!(answer, Ok(Some(_)))
}
