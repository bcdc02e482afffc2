// SPDX-License-Identifier: MIT OR Apache-2.0
//! apvmm in L1 with its control socket, or another VMM, and what it prints.

use crate::error::Error;
use crate::machine::Machine;
use l1_protocol::{Command, Event, Exit, Id};
use serde_json::Value;
use std::sync::mpsc::Receiver;
use std::time::{Duration, Instant};

const APVMM: &str = "/mnt/host/apvmm";

/// A running apvmm.
pub struct Vm<'a> {
    machine: &'a Machine,
    socket: String,
    id: Id,
    events: Receiver<Event>,
    output: String,
    exit: Option<Exit>,
}

impl<'a> Vm<'a> {
    /// Starts one by what stands before it on a command line, and its options.
    pub fn start(machine: &'a Machine, name: &str, before: &[&str], options: &[&str]) -> Self {
        let socket = format!("/tmp/{name}.sock");
        let run = [APVMM, "run", "--api-socket", &socket, "--console", "stdio"];
        let argv = [before, &run[..], options].concat();
        let argv = argv.into_iter().map(str::to_owned).collect();
        let mut vm = Self::other(machine, argv);
        vm.socket = socket;
        vm
    }

    /// Starts another VMM, which knows no control requests of ours.
    pub fn other(machine: &'a Machine, argv: Vec<String>) -> Self {
        let (id, events) = machine.start(Command {
            argv,
            ..Command::default()
        });
        Self {
            machine,
            socket: String::new(),
            id,
            events,
            output: String::new(),
            exit: None,
        }
    }

    /// What it and its guest have printed.
    pub fn output(&self) -> &str {
        &self.output
    }

    /// Waits until `text` has been printed so many times.
    ///
    /// # Errors
    /// When it ends or time runs out before.
    pub fn until(&mut self, text: &str, times: usize, limit: Duration) -> Result<(), Error> {
        let end = Instant::now() + limit;
        while self.output.matches(text).count() < times {
            let left = end.saturating_duration_since(Instant::now());
            if left.is_zero() || self.exit.is_some() {
                let what = format!("{times} times {text:?} in {:?}", self.output);
                return Err(self.machine.deadline(&what, limit));
            }
            self.take(left)?;
        }
        Ok(())
    }

    /// Makes a control request and returns what came of it.
    ///
    /// # Errors
    /// When there is no answer.
    pub fn ask(&self, request: &str) -> Result<Result<Value, String>, Error> {
        let limit = Duration::from_secs(100);
        let line = format!("{APVMM} ctl --api-socket {} '{request}'", self.socket);
        let output = self.machine.shell(&line, limit)?;
        let answer: Value = serde_json::from_str(&output.stdout)
            .map_err(|_| Error::Transfer(format!("no answer to {request}: {output:?}")))?;
        Ok(match answer["error"].as_str() {
            Some(error) => Err(error.to_owned()),
            None => Ok(answer["ok"].clone()),
        })
    }

    /// Types on its guest's console.
    pub fn write(&self, data: Vec<u8>) {
        let id = self.id;
        self.machine
            .client()
            .send(&l1_protocol::Request::Stdin { id, data });
    }

    /// Sends it a signal.
    pub fn signal(&self, signal: i32) {
        let id = self.id;
        let request = l1_protocol::Request::Signal { id, signal };
        self.machine.client().send(&request);
    }

    /// Waits for its end; returns how it ended and what was printed.
    ///
    /// # Errors
    /// When time runs out before.
    pub fn end(mut self, limit: Duration) -> Result<(Exit, String), Error> {
        let end = Instant::now() + limit;
        loop {
            if let Some(exit) = self.exit.take() {
                return Ok((exit, std::mem::take(&mut self.output)));
            }
            let left = end.saturating_duration_since(Instant::now());
            if left.is_zero() {
                return Err(self.machine.deadline("the end of apvmm", limit));
            }
            self.take(left)?;
        }
    }

    fn take(&mut self, limit: Duration) -> Result<(), Error> {
        match self.machine.next_within(&self.events, limit)? {
            Some(Event::Output { data, .. }) => {
                self.output.push_str(&String::from_utf8_lossy(&data));
            }
            Some(Event::Exited { exit, .. }) => self.exit = Some(exit),
            _ => {}
        }
        Ok(())
    }
}

impl Drop for Vm<'_> {
    fn drop(&mut self) {
        self.machine.client().end(self.id);
    }
}
