// SPDX-License-Identifier: MIT OR Apache-2.0
//! A QEMU without Linux, asked by QMP on its standard input and output.

use harness::config::project_root;
use serde_json::{Value, json};
use std::io::{BufRead, BufReader, Lines, Write};
use std::process::{Child, ChildStdin, ChildStdout, Command, Stdio};

/// The machine; killed when dropped.
pub struct Machine {
    qemu: Child,
    to: ChildStdin,
    from: Lines<BufReader<ChildStdout>>,
}

impl Machine {
    /// Starts QEMU with these arguments.
    pub fn start(arguments: &[&str]) -> Self {
        let mut qemu = Command::new(project_root().join("target/qemu/qemu-system-s390x"))
            .args(["-L", "/usr/share/qemu", "-nodefaults", "-display", "none"])
            .args(["-machine", "s390-ccw-virtio", "-qmp", "stdio"])
            .args(arguments)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        let to = qemu.stdin.take().unwrap();
        let from = BufReader::new(qemu.stdout.take().unwrap()).lines();
        let mut machine = Self { qemu, to, from };
        machine.until(|line| !line["QMP"].is_null());
        machine.ask("qmp_capabilities", &json!({}));
        machine
    }

    /// The answer to a command.
    pub fn ask(&mut self, name: &str, arguments: &Value) -> Value {
        let command = json!({ "execute": name, "arguments": arguments });
        // at once: QEMU obeys before the end of the line, and may be gone by then
        self.to
            .write_all(format!("{command}\n").as_bytes())
            .unwrap();
        let mut line = self.until(|line| line["event"].is_null());
        assert!(line["error"].is_null(), "{command}: {line}");
        line["return"].take()
    }

    /// Waits for an event.
    pub fn wait_for(&mut self, event: &str) {
        self.until(|line| line["event"] == event);
    }

    /// Ends QEMU, until it has ended.
    pub fn quit(mut self) {
        self.ask("quit", &json!({}));
        self.qemu.wait().unwrap();
    }

    /// The first line that is wanted; the others are left out.
    fn until(&mut self, wanted: impl Fn(&Value) -> bool) -> Value {
        loop {
            let line = self.from.next().expect("QEMU has ended").unwrap();
            let line = serde_json::from_str(&line).unwrap();
            if wanted(&line) {
                return line;
            }
        }
    }
}

impl Drop for Machine {
    fn drop(&mut self) {
        let _ = self.qemu.kill();
        let _ = self.qemu.wait();
    }
}
