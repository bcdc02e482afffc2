// SPDX-License-Identifier: MIT OR Apache-2.0
//! The harness's end of the agent's port.
//!
//! One thread reads events and hands each to whoever waits for its id; the
//! kernel log goes to `kernel.log` and through [`klog::classify`].

use crate::audit::Violation;
use crate::klog::{self, Report};
use l1_protocol::{Event, Id, Request, receive, send};
use std::collections::HashMap;
use std::fs::File;
use std::io::Write;
use std::os::unix::net::UnixStream;
use std::path::Path;
use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::mpsc::{Receiver, Sender, channel};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

/// A fact about the machine as a whole.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Life {
    /// The agent is up, on a kernel of this release.
    Ready(String),
    /// The connection to the agent has ended.
    Disconnected,
    /// QEMU says the guest has panicked or is in a disabled wait.
    Panicked,
    /// QEMU's AP device model has stopped the machine at this.
    Violated(Violation),
}

#[derive(Default)]
struct Shared {
    waiting: HashMap<Id, Sender<Event>>,
    /// Who else reads the kernel's log.
    kernel: Option<Sender<Event>>,
    reports: Vec<Report>,
    /// Once set, no id will ever be answered again.
    over: bool,
}

/// The connection. Dropping it does not end the machine.
pub struct Client {
    to: Mutex<UnixStream>,
    shared: Arc<Mutex<Shared>>,
    next: AtomicU32,
}

impl Client {
    /// Take over `stream`; what concerns the machine as a whole goes to `life`.
    ///
    /// # Errors
    /// When the log cannot be created or the stream cannot be shared.
    pub fn new(stream: UnixStream, logs: &Path, life: Sender<Life>) -> std::io::Result<Self> {
        let mut from = stream.try_clone()?;
        let mut log = File::create(logs.join("kernel.log"))?;
        let shared = Arc::new(Mutex::new(Shared::default()));
        let theirs = Arc::clone(&shared);
        std::thread::spawn(move || {
            while let Ok(event) = receive(&mut from) {
                dispatch(event, &theirs, &life, &mut log);
            }
            let mut shared = lock(&theirs);
            shared.over = true;
            // Dropping the senders wakes everyone who waits.
            shared.waiting.clear();
            shared.kernel = None;
            let _ = life.send(Life::Disconnected);
        });
        Ok(Self {
            to: Mutex::new(stream),
            shared,
            next: AtomicU32::new(1),
        })
    }

    /// A new id and the events that will carry it.
    pub fn begin(&self) -> (Id, Receiver<Event>) {
        let (to, from) = channel();
        (self.begin_into(to), from)
    }

    /// A new id whose events go to `to`, among others.
    pub fn begin_into(&self, to: Sender<Event>) -> Id {
        let id = self.next.fetch_add(1, Ordering::Relaxed);
        let mut shared = lock(&self.shared);
        if !shared.over {
            shared.waiting.insert(id, to);
        }
        id
    }

    /// Send the kernel's log to `to`, too, from now on.
    pub fn follow_kernel(&self, to: Sender<Event>) {
        lock(&self.shared).kernel = Some(to);
    }

    /// Send a request. A failure shows as the end of the events it would
    /// have caused, so it is not reported twice.
    pub fn send(&self, request: &Request) {
        let mut to = self.to.lock().unwrap_or_else(PoisonError::into_inner);
        let _ = send(&mut *to, request);
    }

    /// End the connection.
    pub(crate) fn hang_up(&self) {
        let to = self.to.lock().unwrap_or_else(PoisonError::into_inner);
        // If it has ended already, so much the better.
        let _ = to.shutdown(std::net::Shutdown::Both);
    }

    /// Forget an id.
    pub fn end(&self, id: Id) {
        lock(&self.shared).waiting.remove(&id);
    }

    /// The kernel's complaints so far, taken away.
    pub fn take_reports(&self) -> Vec<Report> {
        std::mem::take(&mut lock(&self.shared).reports)
    }
}

fn lock(shared: &Mutex<Shared>) -> MutexGuard<'_, Shared> {
    shared.lock().unwrap_or_else(PoisonError::into_inner)
}

fn dispatch(event: Event, shared: &Mutex<Shared>, life: &Sender<Life>, log: &mut File) {
    let id = match &event {
        Event::Ready { kernel } => {
            let _ = life.send(Life::Ready(kernel.clone()));
            return;
        }
        Event::Kernel {
            level,
            micros,
            text,
        } => {
            let (s, us) = (micros / 1_000_000, micros % 1_000_000);
            // A log that cannot be written must not stop the run it is for.
            let _ = writeln!(log, "<{level}>[{s:5}.{us:06}] {text}");
            let mut shared = lock(shared);
            shared.reports.extend(klog::classify(text));
            // Whoever followed it may have gone.
            if shared
                .kernel
                .as_ref()
                .is_some_and(|to| to.send(event).is_err())
            {
                shared.kernel = None;
            }
            return;
        }
        Event::Output { id, .. }
        | Event::Exited { id, .. }
        | Event::FileData { id, .. }
        | Event::FileDone { id, .. } => *id,
    };
    if let Some(to) = lock(shared).waiting.get(&id) {
        let _ = to.send(event);
    }
}
