// SPDX-License-Identifier: MIT OR Apache-2.0
//! Control requests on a Unix socket, one JSON object a line each way.
//!
//! ```text
//!   {"request":"info"}          {"ok":{...}}
//!   {"request":"ap.query"}      {"ok":{"masks":{...},"events":{...}}}
//!   {"request":"ap.attach","sysfsdev":"...","id":"ap0"}
//!   {"request":"ap.detach"}     {"ok":null}, or {"error":"..."}
//!   {"request":"ap.notify"}
//!   {"request":"pause"}         all CPUs are held when the answer comes
//!   {"request":"resume"}
//!   {"request":"quiesce"}       asks the guest to shut down
//!   {"request":"reset"}         done when the answer comes; the device stays
//!   {"request":"metrics"}       {"ok":{"cpus":[...],"exits":{...},...}}
//! ```
//!
//! The socket never blocks the loop that serves it: input is taken as it
//! comes, and a client that does not read its answers is dropped.

use std::io::{self, Read, Write};
use std::os::fd::{AsRawFd, RawFd};
use std::os::unix::net::{UnixListener, UnixStream};
use std::path::{Path, PathBuf};

use serde::Deserialize;
use serde_json::{Value, json};
use vmm_sys_util::epoll::{ControlOperation, Epoll, EpollEvent, EventSet};

use crate::config::ApConfig;

const CLIENTS_MAX: usize = 8;
const LINE_MAX: usize = 64 * 1024;

/// A control request.
#[derive(Debug, PartialEq, Deserialize)]
#[serde(tag = "request", deny_unknown_fields)]
enum Request {
    #[serde(rename = "info")]
    Info,
    #[serde(rename = "ap.query")]
    ApQuery,
    #[serde(rename = "ap.attach")]
    ApAttach(ApConfig),
    #[serde(rename = "ap.detach")]
    ApDetach,
    #[serde(rename = "ap.notify")]
    ApNotify,
    #[serde(rename = "pause")]
    Pause,
    #[serde(rename = "resume")]
    Resume,
    #[serde(rename = "quiesce")]
    Quiesce,
    #[serde(rename = "reset")]
    Reset,
    #[serde(rename = "metrics")]
    Metrics,
}

/// What requests can do.
pub trait Control {
    /// Why something could not be done.
    type Error: std::error::Error + 'static;

    /// Facts about the machine.
    fn info(&mut self) -> Value;
    /// Masks and event counters.
    fn ap_query(&mut self) -> Value;
    /// Tells the guest of an AP change.
    fn ap_notify(&mut self) -> Result<(), Self::Error>;
    /// Attaches a device.
    fn ap_attach(&mut self, config: &ApConfig) -> Result<(), Self::Error>;
    /// Detaches the device; `false` if there is none.
    fn ap_detach(&mut self) -> Result<bool, Self::Error>;
    /// Counts and states.
    fn metrics(&mut self) -> Value;
    /// Holds all CPUs.
    fn pause(&mut self) -> Result<(), Self::Error>;
    /// Lets them go on.
    fn resume(&mut self);
    /// Resets the machine.
    fn reset(&mut self) -> Result<(), Self::Error>;
    /// Asks the guest to shut down; `false` if it does not listen.
    fn quiesce(&mut self) -> Result<bool, Self::Error>;
}

/// Why the socket cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum ApiError {
    /// It cannot be made.
    #[error("cannot listen on {path}")]
    Listen {
        /// The socket.
        path: PathBuf,
        /// Why not.
        source: io::Error,
    },
    /// It cannot be waited for.
    #[error("cannot watch the control socket")]
    Watch(#[source] io::Error),
}

/// The socket with its clients. Readable (see [`AsRawFd`]) when there is work.
pub struct Api {
    path: PathBuf,
    epoll: Epoll,
    listener: UnixListener,
    clients: Vec<Client>,
}

struct Client {
    stream: UnixStream,
    input: Vec<u8>,
}

impl Api {
    /// Listens on a new socket at `path`; a stale one is replaced.
    pub fn new(path: &Path) -> Result<Self, ApiError> {
        let listen = |source| ApiError::Listen {
            path: path.into(),
            source,
        };
        // left by a machine that was killed: nobody answers
        if UnixStream::connect(path).is_err_and(|e| e.kind() == io::ErrorKind::ConnectionRefused) {
            std::fs::remove_file(path).map_err(listen)?;
        }
        let listener = UnixListener::bind(path).map_err(listen)?;
        listener.set_nonblocking(true).map_err(listen)?;
        let api = Self {
            path: path.into(),
            epoll: Epoll::new().map_err(ApiError::Watch)?,
            listener,
            clients: Vec::new(),
        };
        // told of each client once: one that cannot be accepted, for want of
        // file descriptors, is when there is the next, or an old one calls
        let once = EventSet::IN | EventSet::EDGE_TRIGGERED;
        api.watch(api.listener.as_raw_fd(), once)
            .map_err(ApiError::Watch)?;
        Ok(api)
    }

    /// All files count alike: [`Self::serve`] looks at each.
    fn watch(&self, fd: RawFd, what: EventSet) -> io::Result<()> {
        let event = EpollEvent::new(what, 0);
        self.epoll.ctl(ControlOperation::Add, fd, event)
    }

    /// Takes new clients and serves complete requests.
    ///
    /// A client that cannot be served is dropped; that ends no machine.
    pub fn serve<C: Control>(&mut self, control: &mut C) {
        // takes note of what was told once
        let mut told = [EpollEvent::default(); CLIENTS_MAX + 1];
        if let Err(error) = self.epoll.wait(0, &mut told) {
            tracing::debug!(%error, "cannot ask who calls");
        }
        while let Some(stream) = self.accept() {
            let ready = stream
                .set_nonblocking(true)
                .and_then(|()| self.watch(stream.as_raw_fd(), EventSet::IN));
            if self.clients.len() < CLIENTS_MAX && ready.is_ok() {
                let input = Vec::new();
                self.clients.push(Client { stream, input });
            }
        }
        self.clients
            .retain_mut(|client| client.serve(control).is_ok());
    }

    /// The next client that waits.
    fn accept(&self) -> Option<UnixStream> {
        loop {
            match self.listener.accept() {
                Ok((stream, _)) => return Some(stream),
                Err(error) if error.kind() == io::ErrorKind::ConnectionAborted => {}
                Err(error) => {
                    if error.kind() != io::ErrorKind::WouldBlock {
                        tracing::debug!(%error, "cannot accept a client");
                    }
                    return None;
                }
            }
        }
    }
}

impl AsRawFd for Api {
    fn as_raw_fd(&self) -> RawFd {
        self.epoll.as_raw_fd()
    }
}

impl Drop for Api {
    fn drop(&mut self) {
        if let Err(error) = std::fs::remove_file(&self.path) {
            tracing::debug!(%error, "the control socket has gone already");
        }
    }
}

impl Client {
    /// Reads what is there and answers complete lines. An error drops the
    /// client.
    fn serve<C: Control>(&mut self, control: &mut C) -> io::Result<()> {
        let mut buffer = [0; 4096];
        loop {
            match self.stream.read(&mut buffer) {
                Ok(0) => return Err(io::ErrorKind::UnexpectedEof.into()),
                Ok(count) => self.input.extend_from_slice(&buffer[..count]),
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => return Ok(()),
                Err(error) => return Err(error),
            }
            while let Some(end) = self.input.iter().position(|&byte| byte == b'\n') {
                let line: Vec<u8> = self.input.drain(..=end).collect();
                let mut answer = answer(&line, control).to_string();
                answer.push('\n');
                self.stream.write_all(answer.as_bytes())?;
            }
            if self.input.len() > LINE_MAX {
                return Err(io::ErrorKind::InvalidData.into());
            }
        }
    }
}

/// Executes one request.
fn answer<C: Control>(line: &[u8], control: &mut C) -> Value {
    let request = match serde_json::from_slice(line) {
        Ok(request) => request,
        Err(error) => return json!({"error": format!("bad request: {error}")}),
    };
    let result = match request {
        Request::Info => Ok(control.info()),
        Request::ApQuery => Ok(control.ap_query()),
        Request::ApNotify => control.ap_notify().map(|()| Value::Null),
        Request::ApAttach(config) => control.ap_attach(&config).map(|()| Value::Null),
        Request::ApDetach => match control.ap_detach() {
            Ok(false) => return json!({"error": "the machine has no AP device"}),
            result => result.map(|_| Value::Null),
        },
        Request::Pause => control.pause().map(|()| Value::Null),
        Request::Resume => {
            control.resume();
            Ok(Value::Null)
        }
        Request::Reset => control.reset().map(|()| Value::Null),
        Request::Metrics => Ok(control.metrics()),
        Request::Quiesce => match control.quiesce() {
            Ok(false) => return json!({"error": "the guest does not listen"}),
            result => result.map(|_| Value::Null),
        },
    };
    match result {
        Ok(value) => json!({"ok": value}),
        Err(error) => json!({"error": crate::chain(&error)}),
    }
}

#[cfg(test)]
mod tests;
