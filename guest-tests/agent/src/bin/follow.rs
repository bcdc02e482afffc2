// SPDX-License-Identifier: MIT OR Apache-2.0
//! Measures how long a guest takes to see what the host changes, whatever VMM
//! runs it.
//!
//! ```text
//! follow COUNT MDEV ADAPTER WITHOUT WITH COMMAND...
//!
//!   follow: 1830              microseconds, a line for each change
//! ```
//!
//! COMMAND runs a guest whose console is its output and which tells its masks
//! as the probes do. Once it tells an adapter mask that begins with the digits
//! WITHOUT, ADAPTER is assigned to MDEV and taken away in turn, COUNT times in
//! all; a change has been seen when the line with the mask has come here. Then
//! there is a pause, of another length each time, in which the guest comes to
//! rest.

#![forbid(unsafe_code)]

use anyhow::{Context, Result, bail, ensure};
use std::fs;
use std::io::{BufRead, BufReader};
use std::process::{Child, Command, ExitCode, Stdio};
use std::sync::mpsc::{Receiver, channel};
use std::thread;
use std::time::{Duration, Instant};

/// Until a guest boots, or finds a change by itself.
const LIMIT: Duration = Duration::from_secs(120);

fn main() -> ExitCode {
    match run() {
        Ok(()) => ExitCode::SUCCESS,
        Err(e) => {
            eprintln!("follow: {e:#}");
            ExitCode::FAILURE
        }
    }
}

/// A guest, and the adapter masks that it tells.
struct Guest {
    vmm: Child,
    masks: Receiver<(Instant, String)>,
}

impl Drop for Guest {
    fn drop(&mut self) {
        // One that has ended needs no signal.
        let _ = self.vmm.kill();
        let _ = self.vmm.wait();
    }
}

fn run() -> Result<()> {
    let words: Vec<String> = std::env::args().skip(1).collect();
    let [count, mdev, adapter, without, with, command @ ..] = &words[..] else {
        bail!("usage: follow COUNT MDEV ADAPTER WITHOUT WITH COMMAND...");
    };
    let count: u64 = count.parse().context("COUNT")?;
    let guest = start(command)?;
    guest.until(without)?;
    for number in 0..count {
        // Longer than a guest's own scan takes, which hides a change from it.
        thread::sleep(Duration::from_millis(60 + number * 17 % 59));
        let (file, digits) = match number % 2 {
            0 => ("assign_adapter", with),
            _ => ("unassign_adapter", without),
        };
        let file = format!("{mdev}/{file}");
        let begin = Instant::now();
        fs::write(&file, adapter).context(file)?;
        let seen = guest.until(digits)?;
        println!(
            "follow: {}",
            seen.saturating_duration_since(begin).as_micros()
        );
    }
    Ok(())
}

fn start(command: &[String]) -> Result<Guest> {
    let (program, arguments) = command.split_first().context("no COMMAND")?;
    let mut vmm = Command::new(program)
        .args(arguments)
        // Left open: the end of its input could end a guest.
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .with_context(|| program.clone())?;
    let console = vmm.stdout.take().context("no console")?;
    let (to, masks) = channel();
    thread::spawn(move || {
        for line in BufReader::new(console).split(b'\n').map_while(Result::ok) {
            let now = Instant::now();
            let line = String::from_utf8_lossy(&line).into_owned();
            // Nobody listens any more: the end is near.
            if mask(&line).is_some_and(|mask| to.send((now, mask)).is_err()) {
                return;
            }
        }
    });
    Ok(Guest { vmm, masks })
}

/// The adapter mask that a line tells.
fn mask(line: &str) -> Option<String> {
    let value: serde_json::Value = serde_json::from_str(line.trim()).ok()?;
    let told = value["op"] == "QCI";
    let mask = value["apm"].as_str().filter(|_| told)?;
    mask.strip_prefix("0x").map(str::to_owned)
}

impl Guest {
    /// When it told a mask that begins so.
    fn until(&self, digits: &str) -> Result<Instant> {
        let end = Instant::now() + LIMIT;
        loop {
            let left = end.saturating_duration_since(Instant::now());
            let (at, mask) = self.masks.recv_timeout(left)?;
            if mask.starts_with(digits) {
                return Ok(at);
            }
            ensure!(!left.is_zero(), "the guest does not tell {digits}");
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_guest_is_followed() {
        let folder = std::env::temp_dir().join(format!("follow-{}", std::process::id()));
        fs::create_dir_all(&folder).unwrap();
        let script = "echo boot; echo '{\"op\":\"QCI\",\"apm\":\"0x0400\"}'; \
             while [ ! -e assign_adapter ]; do sleep 0.01; done; \
             echo '{\"op\":\"TAPQ\",\"apm\":\"0x4400\"}'; echo '{\"op\":\"QCI\",\"apm\":\"0x4400\"}'; read x";
        let shell = format!("cd {}; {script}", folder.display());
        let guest = start(&["sh".into(), "-c".into(), shell]).unwrap();
        guest.until("04").unwrap();
        let begin = Instant::now();
        fs::write(folder.join("assign_adapter"), "1").unwrap();
        assert!(guest.until("44").unwrap() >= begin);
        drop(guest);
        fs::remove_dir_all(&folder).unwrap();
    }
}
