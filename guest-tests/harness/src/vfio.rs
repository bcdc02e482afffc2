// SPDX-License-Identifier: MIT OR Apache-2.0
//! A user of AP matrix devices in L1 that does what a test says, request by
//! request: `guest-tests/agent/src/bin/vfio-client`.

use crate::error::Error;
use crate::machine::Machine;
use l1_protocol::{Command, Event, Id, Request, Stream};
use std::sync::mpsc::Receiver;
use std::time::Duration;

/// An answer takes this long at most, unless hardware is stuck.
const LIMIT: Duration = Duration::from_secs(900);

/// The running program. Dropping it closes its devices, some time later.
pub struct VfioClient<'a> {
    machine: &'a Machine,
    id: Id,
    events: Receiver<Event>,
    output: String,
}

impl<'a> VfioClient<'a> {
    /// Starts it.
    pub fn start(machine: &'a Machine) -> Self {
        let (id, events) = machine.start(Command {
            argv: vec!["/mnt/host/vfio-client".to_owned()],
            ..Command::default()
        });
        Self {
            machine,
            id,
            events,
            output: String::new(),
        }
    }

    /// Makes a request and returns the answer, which may be an error's name.
    ///
    /// # Errors
    /// When the program ends or the machine fails.
    pub fn ask(&mut self, request: &str) -> Result<String, Error> {
        self.send(format!("{request}\n").into_bytes());
        loop {
            if let Some((line, rest)) = self.output.split_once('\n') {
                let (line, rest) = (line.to_owned(), rest.to_owned());
                self.output = rest;
                return Ok(line);
            }
            match self.machine.next_within(&self.events, LIMIT)? {
                Some(Event::Output {
                    stream: Stream::Stdout,
                    data,
                    ..
                }) => self.output.push_str(&String::from_utf8_lossy(&data)),
                Some(Event::Output { data, .. }) => {
                    let words = String::from_utf8_lossy(&data).into_owned();
                    return Err(Error::Transfer(format!("vfio-client: {words}")));
                }
                Some(Event::Exited { exit, .. }) => {
                    let words = format!("vfio-client has ended at {request}: {exit:?}");
                    return Err(Error::Transfer(words));
                }
                Some(_) => {}
                None => return Err(self.machine.deadline(request, LIMIT)),
            }
        }
    }

    /// Closes everything and waits for the program's end.
    ///
    /// # Errors
    /// When it does not end or the machine fails.
    pub fn end(self) -> Result<(), Error> {
        self.send(Vec::new());
        loop {
            match self.machine.next_within(&self.events, LIMIT)? {
                Some(Event::Exited { .. }) => return Ok(()),
                Some(_) => {}
                None => return Err(self.machine.deadline("the end of vfio-client", LIMIT)),
            }
        }
    }

    /// Ends it at once, as the kernel does with who took too much memory.
    pub fn kill(&self) {
        let (id, signal) = (self.id, 9);
        self.machine.client().send(&Request::Signal { id, signal });
    }

    fn send(&self, data: Vec<u8>) {
        let id = self.id;
        self.machine.client().send(&Request::Stdin { id, data });
    }
}

impl Drop for VfioClient<'_> {
    fn drop(&mut self) {
        self.send(Vec::new());
        self.machine.client().end(self.id);
    }
}
