// SPDX-License-Identifier: MIT OR Apache-2.0
//! A bare-metal guest in L1 under apvmm, for tests that do without a scenario,
//! and what guests say they see.

use crate::error::Error;
use crate::machine::Machine;
use ap_arch::{Adm, Apm, Aqm};
use l1_protocol::{Command, Event, Exit, Id, Stream};
use serde_json::Value;
use std::sync::mpsc::Receiver;
use std::time::{Duration, Instant};

/// The AP configuration a guest sees, as lists of numbers.
#[derive(Debug, Clone, Default, PartialEq, Eq, serde::Serialize)]
pub struct Sees {
    /// APIDs.
    pub adapters: Vec<u8>,
    /// APQIs of usage domains.
    pub domains: Vec<u8>,
    /// Control domains.
    pub control_domains: Vec<u8>,
}

impl Sees {
    /// The lines of `guest_matrix`: APQNs, or what there is of one half.
    pub fn matrix(&self) -> Vec<String> {
        let domain = |d: &u8| format!(".{d:04x}");
        if self.adapters.is_empty() {
            return self.domains.iter().map(domain).collect();
        }
        if self.domains.is_empty() {
            return self.adapters.iter().map(|a| format!("{a:02x}.")).collect();
        }
        let of_adapter = |a: &u8| {
            let a = format!("{a:02x}");
            self.domains
                .iter()
                .map(move |d| format!("{a}{}", domain(d)))
        };
        self.adapters.iter().flat_map(of_adapter).collect()
    }
}

/// A running guest.
pub struct Guest<'a> {
    machine: &'a Machine,
    id: Id,
    events: Receiver<Event>,
    /// Output that does not end in a newline yet.
    partial: String,
    lines: Vec<String>,
    next: usize,
    exit: Option<Exit>,
}

impl<'a> Guest<'a> {
    /// Start the probe with the device `ap`, as apvmm's option takes it; it is to
    /// end by itself after it saw its masks change `changes` times, or after
    /// `seconds`.
    pub fn start(machine: &'a Machine, ap: &str, changes: usize, seconds: u64) -> Self {
        let words = format!("wait-changes={changes} exit-after={seconds}");
        let mut argv = [
            "/mnt/host/apvmm",
            "run",
            "--no-reboot",
            "--console",
            "stdio",
        ]
        .map(str::to_owned)
        .to_vec();
        argv.extend(["--ap".to_owned(), ap.to_owned()]);
        let rest = ["--kernel", "/mnt/host/probe", "--memory", "64M"];
        argv.extend(rest.map(str::to_owned));
        argv.extend(["--cmdline".to_owned(), words]);
        let (id, events) = machine.start(Command {
            argv,
            ..Command::default()
        });
        Self {
            machine,
            id,
            events,
            partial: String::new(),
            lines: Vec::new(),
            next: 0,
            exit: None,
        }
    }

    /// Wait until the guest tells a configuration that `wanted` accepts; what
    /// it told last, when time runs out.
    ///
    /// # Errors
    /// When the guest ends or the machine fails before.
    pub fn until(
        &mut self,
        limit: Duration,
        wanted: impl Fn(&Sees) -> bool,
    ) -> Result<Result<Sees, Option<Sees>>, Error> {
        let end = Instant::now() + limit;
        let mut last = None;
        loop {
            while let Some(line) = self.lines.get(self.next) {
                self.next += 1;
                let value = serde_json::from_str(line).ok();
                if let Some(sees) = value.as_ref().and_then(configuration) {
                    if wanted(&sees) {
                        return Ok(Ok(sees));
                    }
                    last = Some(sees);
                }
            }
            let left = end.saturating_duration_since(Instant::now());
            if left.is_zero() {
                return Ok(Err(last));
            }
            if let Some(exit) = &self.exit {
                return Err(Error::Transfer(format!(
                    "the guest has ended ({exit:?}): {}",
                    self.tail()
                )));
            }
            self.take(left)?;
        }
    }

    /// Wait for the guest's end.
    ///
    /// # Errors
    /// When it does not end in time or the machine fails.
    pub fn finish(mut self, limit: Duration) -> Result<(Exit, Vec<String>), Error> {
        let end = Instant::now() + limit;
        loop {
            if let Some(exit) = self.exit.take() {
                return Ok((exit, std::mem::take(&mut self.lines)));
            }
            let left = end.saturating_duration_since(Instant::now());
            if left.is_zero() {
                return Err(self.machine.deadline("the guest's end", limit));
            }
            self.take(left)?;
        }
    }

    /// Stop the guest at once.
    pub fn kill(&self) {
        self.machine.client().send(&l1_protocol::Request::Signal {
            id: self.id,
            signal: 9,
        });
    }

    /// Wait for one more event; a time-out is not an error here.
    fn take(&mut self, limit: Duration) -> Result<(), Error> {
        match self.machine.next_within(&self.events, limit)? {
            Some(Event::Output {
                stream: Stream::Stdout,
                data,
                ..
            }) => {
                self.partial.push_str(&String::from_utf8_lossy(&data));
                while let Some(end) = self.partial.find('\n') {
                    let line: String = self.partial.drain(..=end).collect();
                    self.lines.push(line.trim().to_owned());
                }
            }
            Some(Event::Output { data, .. }) => {
                self.lines
                    .extend(String::from_utf8_lossy(&data).lines().map(str::to_owned));
            }
            Some(Event::Exited { exit, .. }) => self.exit = Some(exit),
            _ => {}
        }
        Ok(())
    }

    fn tail(&self) -> String {
        self.lines[self.lines.len().saturating_sub(5)..].join(" | ")
    }
}

/// What a report tells of the AP configuration, if it does.
pub(crate) fn configuration(value: &Value) -> Option<Sees> {
    if value["op"] != "QCI" {
        return None;
    }
    let mask = |name: &str| mask_bytes(value[name].as_str()?);
    Some(Sees {
        adapters: Apm::from_bytes(mask("apm")?)
            .iter()
            .map(|a| a.get())
            .collect(),
        domains: Aqm::from_bytes(mask("aqm")?)
            .iter()
            .map(|d| d.get())
            .collect(),
        control_domains: Adm::from_bytes(mask("adm")?)
            .iter()
            .map(|d| d.get())
            .collect(),
    })
}

/// A mask as sysfs writes it: `0x` and 64 digits.
pub(crate) fn mask_bytes(hex: &str) -> Option<[u8; 32]> {
    let digits = hex
        .strip_prefix("0x")
        .filter(|d| d.len() == 64 && d.is_ascii())?;
    let mut mask = [0; 32];
    for (i, byte) in mask.iter_mut().enumerate() {
        *byte = u8::from_str_radix(&digits[2 * i..2 * i + 2], 16).ok()?;
    }
    Some(mask)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_report_becomes_lists() {
        let zeros = "0".repeat(62);
        let line = format!(
            r#"{{"ns":1,"op":"QCI","seq":0,"apm":"0x44{zeros}","aqm":"0x08{zeros}","adm":"0x{zeros}01"}}"#
        );
        let configuration = |line: &str| configuration(&serde_json::from_str(line).unwrap());
        let sees = configuration(&line).unwrap();
        assert_eq!(
            sees,
            Sees {
                adapters: vec![1, 5],
                domains: vec![4],
                control_domains: vec![255]
            }
        );
        assert_eq!(sees.matrix(), ["01.0004", "05.0004"]);
        let half = |adapters, domains| Sees {
            adapters,
            domains,
            control_domains: vec![],
        };
        assert_eq!(half(vec![5], vec![]).matrix(), ["05."]);
        assert_eq!(half(vec![], vec![0x47]).matrix(), [".0047"]);
        assert!(half(vec![], vec![]).matrix().is_empty());
        assert_eq!(configuration(r#"{"op":"TAPQ"}"#), None);
        assert_eq!(
            configuration(r#"{"op":"QCI","apm":"0x1","aqm":"0x1","adm":"0x1"}"#),
            None
        );
    }
}
