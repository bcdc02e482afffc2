// SPDX-License-Identifier: MIT OR Apache-2.0
//! QMP: commands on one connection, events on another.
//!
//! Two connections, so that an event never waits behind a command.

use crate::client::Life;
use crate::error::Error;
use qapi::{Command, Stream};
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};
use std::fs::File;
use std::io::{BufRead, BufReader, Write};
use std::os::unix::net::UnixStream;
use std::path::Path;
use std::sync::mpsc::Sender;
use std::sync::{Mutex, PoisonError};

/// A connection after the greeting.
struct Connection {
    from: BufReader<UnixStream>,
    to: UnixStream,
}

/// The command connection; every exchange is written to `qmp.log`.
pub struct Qmp {
    inner: Mutex<(Connection, File)>,
}

impl Qmp {
    /// Greet QEMU on both connections and watch its events.
    ///
    /// # Errors
    /// When the log cannot be used, or QEMU does not answer as QMP.
    pub fn new(
        commands: UnixStream,
        events: UnixStream,
        logs: &Path,
        life: Sender<Life>,
    ) -> std::io::Result<Self> {
        let log = File::create(logs.join("qmp.log"))?;
        let connection = greet(commands)?;
        watch(greet(events)?, log.try_clone()?, life);
        Ok(Self {
            inner: Mutex::new((connection, log)),
        })
    }

    /// Execute a command and return its answer.
    ///
    /// # Errors
    /// With QEMU's words when it refuses, or when the connection is gone.
    pub fn execute<C: Command>(&self, command: C) -> Result<C::Ok, Error> {
        let mut inner = self.inner.lock().unwrap_or_else(PoisonError::into_inner);
        let (connection, log) = &mut *inner;
        let asked = serde_json::to_value(&command).unwrap_or_default();
        let result = connection
            .ask(C::NAME, &asked)
            .and_then(|answer| serde_json::from_value(answer).map_err(|e| e.to_string()))
            .map_err(|reason| Error::Qmp {
                command: C::NAME,
                reason,
            });
        let outcome = result
            .as_ref()
            .err()
            .map_or_else(|| "ok".to_owned(), ToString::to_string);
        let _ = writeln!(log, "{} {asked}: {outcome}", C::NAME);
        result
    }
}

impl Connection {
    /// The answer to a command, or why there is none. Events come here, too,
    /// and among them some that the `qapi` crate does not know.
    fn ask(&mut self, name: &str, arguments: &Value) -> Result<Value, String> {
        let command = json!({"execute": name, "arguments": arguments});
        // At once: QEMU may be gone before it would take what follows `quit`.
        let line = format!("{command}\n");
        self.to
            .write_all(line.as_bytes())
            .map_err(|e| e.to_string())?;
        loop {
            let mut line = String::new();
            match self.from.read_line(&mut line) {
                Ok(0) => return Err("QEMU has closed the connection".to_owned()),
                Ok(_) => {}
                Err(e) => return Err(e.to_string()),
            }
            let mut message: Value = serde_json::from_str(&line).map_err(|e| e.to_string())?;
            if let Some(answer) = message.get_mut("return") {
                return Ok(answer.take());
            }
            if let Some(error) = message.get("error") {
                return Err(error["desc"].as_str().unwrap_or(&line).to_owned());
            }
        }
    }
}

fn greet(stream: UnixStream) -> std::io::Result<Connection> {
    let mut reader = BufReader::new(stream.try_clone()?);
    // The crate takes a greeting for granted; a QEMU that gives up sends none.
    if reader.fill_buf()?.is_empty() {
        return Err(std::io::ErrorKind::UnexpectedEof.into());
    }
    let mut qmp = qapi::Qmp::new(Stream::new(reader, stream));
    qmp.handshake()?;
    let (from, to) = qmp.into_inner().into_inner();
    Ok(Connection { from, to })
}

/// Log every event, and tell when the guest is beyond help.
fn watch(connection: Connection, mut log: File, life: Sender<Life>) {
    let Connection { from, to } = connection;
    std::thread::spawn(move || {
        // Held so that QEMU sees the connection open.
        let _to = to;
        for line in from.lines().map_while(Result::ok) {
            let _ = writeln!(log, "{line}");
            let Some(news) = news(&line) else { continue };
            if life.send(news).is_err() {
                return;
            }
        }
    });
}

/// What an event means for the machine as a whole, if it means something.
fn news(line: &str) -> Option<Life> {
    let mut event: Value = serde_json::from_str(line).ok()?;
    let data = event["data"].take();
    match event["event"].as_str()? {
        "GUEST_PANICKED" => Some(Life::Panicked),
        "AP_VIOLATION" => serde_json::from_value(data).ok().map(Life::Violated),
        _ => None,
    }
}

/// `x-query-ap-device`: the AP device model linked into our QEMU.
#[derive(Debug, Clone, Copy, Serialize)]
pub struct QueryApDevice {}

/// The answer to [`QueryApDevice`].
#[derive(Debug, Clone, Deserialize)]
pub struct ApDeviceInfo {
    /// Version of the library.
    pub version: String,
}

impl qapi_spec::Command for QueryApDevice {
    type Ok = ApDeviceInfo;
    const NAME: &'static str = "x-query-ap-device";
    const ALLOW_OOB: bool = false;
}

/// `x-ap-set-domains`: the machine's domains, as `4,0x47` or `0-255`; what is
/// none stays.
#[derive(Debug, Clone, Default, Serialize)]
pub struct ApSetDomains {
    /// Usage domains.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub usage: Option<String>,
    /// Control domains.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub control: Option<String>,
}

impl qapi_spec::Command for ApSetDomains {
    type Ok = qapi_spec::Empty;
    const NAME: &'static str = "x-ap-set-domains";
    const ALLOW_OOB: bool = false;
}

/// `x-ap-inject`: make queues misbehave.
#[derive(Debug, Clone, Serialize)]
pub struct ApInject {
    /// `[[fault]]` tables as in a topology file.
    pub faults: String,
}

/// The answer to [`ApInject`].
#[derive(Debug, Clone, Deserialize)]
pub struct ApFaults {
    /// Number of the first fault.
    pub first: u32,
}

impl qapi_spec::Command for ApInject {
    type Ok = ApFaults;
    const NAME: &'static str = "x-ap-inject";
    const ALLOW_OOB: bool = false;
}

/// `x-ap-clear-faults`: all of them.
#[derive(Debug, Clone, Copy, Serialize)]
pub struct ApClearFaults {}

/// The answer to [`ApClearFaults`].
#[derive(Debug, Clone, Deserialize)]
pub struct ApFaultsCleared {
    /// How many there were.
    pub cleared: u32,
}

impl qapi_spec::Command for ApClearFaults {
    type Ok = ApFaultsCleared;
    const NAME: &'static str = "x-ap-clear-faults";
    const ALLOW_OOB: bool = false;
}

/// `x-query-ap-queues`: every queue of every emulated adapter.
#[derive(Debug, Clone, Copy, Serialize)]
pub struct QueryApQueues {}

/// One of the answer to [`QueryApQueues`].
#[derive(Debug, Clone, Deserialize, PartialEq, Eq)]
pub struct ApQueueState {
    /// Its name, such as `05.0047`.
    pub apqn: String,
    /// Requests that wait or run.
    pub requests: u32,
    /// Replies that are ready.
    pub replies: u32,
    /// Requests accepted so far.
    pub enqueued: u64,
    /// Replies taken so far.
    pub dequeued: u64,
    /// The status word that the host would get.
    pub status: u32,
}

impl qapi_spec::Command for QueryApQueues {
    type Ok = Vec<ApQueueState>;
    const NAME: &'static str = "x-query-ap-queues";
    const ALLOW_OOB: bool = false;
}

/// `x-query-ap-audit`: what was done to a queue.
#[derive(Debug, Clone, Serialize)]
pub struct QueryApAudit {
    /// Number of the first record.
    pub since: u64,
    /// As `05.0004`.
    pub apqn: String,
}

/// The answer to [`QueryApAudit`].
#[derive(Debug, Clone, Deserialize)]
pub struct ApAudit {
    /// Oldest first.
    pub entries: Vec<ApAuditEntry>,
    /// How many were overwritten.
    pub lost: u64,
}

/// One record.
#[derive(Debug, Clone, Deserialize)]
pub struct ApAuditEntry {
    /// Instruction or event.
    pub op: String,
    /// The status word.
    pub status: u32,
    /// For a reset that is done: 1 for RAPQ, 2 for ZAPQ.
    pub length: u32,
}

impl qapi_spec::Command for QueryApAudit {
    type Ok = ApAudit;
    const NAME: &'static str = "x-query-ap-audit";
    const ALLOW_OOB: bool = false;
}

/// `x-ap-audit-mark`
#[derive(Debug, Clone, Copy, Serialize)]
pub struct ApAuditMark {}

/// The answer to [`ApAuditMark`].
#[derive(Debug, Clone, Deserialize)]
pub struct ApMark {
    /// Its number.
    pub seq: u64,
}

impl qapi_spec::Command for ApAuditMark {
    type Ok = ApMark;
    const NAME: &'static str = "x-ap-audit-mark";
    const ALLOW_OOB: bool = false;
}
