// SPDX-License-Identifier: MIT OR Apache-2.0
//! L1 while a scenario runs in it: everything that happens comes as events of
//! one channel, one after another, and each is held against what must never
//! come true.
//!
//! ```text
//! console of each guest ──┐
//! host-io: writes, files ─┼─▶ one channel ─▶ pump ─▶ World ─▶ expectations
//! L1's kernel log, runs ──┘
//! ```

use super::check::{Look, findings, sees_other, to_ask};
use super::grammar::{By, Expect, Sees};
use super::world::{KernelLog, World};
use crate::error::Error;
use crate::machine::{Machine, Output};
use crate::say;
use ap_probe::command::{Command as Ask, Request as Question};
use l1_protocol::{Command, Event, Exit, Id, Request, Stream};
use serde::Deserialize;
use serde_json::json;
use std::collections::HashMap;
use std::sync::mpsc::{Receiver, Sender, channel};
use std::time::{Duration, Instant};

/// What L1 does by itself is done within this time, or it is stuck.
pub const LIMIT: Duration = Duration::from_secs(120);
/// How long the pump waits when nothing else limits it.
const TURN: Duration = Duration::from_millis(25);

/// See the module.
pub struct Stage<'a> {
    /// The machine.
    pub machine: &'a Machine,
    /// What is known.
    pub world: World,
    to: Sender<Event>,
    from: Receiver<Event>,
    host: Host,
    guests: HashMap<Id, String>,
    runs: HashMap<Id, Run>,
    next_question: u32,
    logs: u32,
    watch: Watch,
    verbose: bool,
}

/// `host-io` in L1.
#[derive(Default)]
struct Host {
    id: Id,
    next: u32,
    partial: String,
    /// Answers that came: the errno's name for a refused write.
    done: HashMap<u32, Option<String>>,
    words: String,
}

/// A program in L1 that something waits for.
#[derive(Default)]
struct Run {
    stdout: String,
    stderr: String,
    exit: Option<Exit>,
}

/// What must not come true now.
#[derive(Default)]
struct Watch {
    nevers: Vec<Expect>,
    /// The only states that guests may be seen in.
    only: By<Vec<Sees>>,
    look: Option<Look>,
    /// What has come true though.
    violation: Option<String>,
}

/// A line of `host-io`.
#[derive(Deserialize)]
struct HostLine {
    id: Option<u32>,
    errno: Option<String>,
    path: Option<String>,
    text: Option<String>,
}

impl<'a> Stage<'a> {
    /// Ready for a first scenario.
    ///
    /// # Errors
    /// When the machine fails.
    pub fn new(machine: &'a Machine, verbose: bool) -> Result<Self, Error> {
        let (to, from) = channel();
        machine.client().follow_kernel(to.clone());
        let mut stage = Self {
            machine,
            world: World::default(),
            to,
            from,
            host: Host::default(),
            guests: HashMap::new(),
            runs: HashMap::new(),
            next_question: 1,
            logs: 0,
            watch: Watch::default(),
            verbose,
        };
        stage.host.id = stage.exec(&[format!("{}/host-io", machine.folders.share)]);
        Ok(stage)
    }

    fn exec<S: AsRef<str>>(&mut self, argv: &[S]) -> Id {
        let client = self.machine.client();
        let id = client.begin_into(self.to.clone());
        let argv = argv.iter().map(|s| s.as_ref().to_owned()).collect();
        let command = Command {
            argv,
            ..Command::default()
        };
        client.send(&Request::Exec { id, command });
        id
    }

    /// Write to a file of L1, at once; the name of the errno if that is refused.
    ///
    /// # Errors
    /// When it takes too long, or the machine fails.
    pub fn write(&mut self, path: &str, data: &str) -> Result<Result<(), String>, Error> {
        let answer = self.ask_host(json!({"write": {"path": path, "data": data}}), path)?;
        Ok(answer.map_or(Ok(()), Err))
    }

    /// Watch files; their text is known when this is done.
    ///
    /// # Errors
    /// When the machine fails.
    pub fn watch_files(&mut self, paths: &[String]) -> Result<(), Error> {
        self.ask_host(json!({"watch": paths}), "files to be watched")
            .map(drop)
    }

    /// Until all is known that was so when this was called.
    ///
    /// # Errors
    /// When the machine fails.
    pub fn sync(&mut self) -> Result<(), Error> {
        self.ask_host(json!({"sync": true}), "watched files")
            .map(drop)
    }

    fn ask_host(
        &mut self,
        mut request: serde_json::Value,
        what: &str,
    ) -> Result<Option<String>, Error> {
        self.host.next += 1;
        let number = self.host.next;
        request["id"] = number.into();
        let data = format!("{request}\n").into_bytes();
        self.machine.client().send(&Request::Stdin {
            id: self.host.id,
            data,
        });
        let end = Instant::now() + LIMIT;
        while Instant::now() < end {
            if let Some(answer) = self.host.done.remove(&number) {
                return Ok(answer);
            }
            self.pump(TURN)?;
        }
        Err(self.machine.deadline(&format!("{what}: {request}"), LIMIT))
    }

    /// From here on L1's kernel log counts: a line of our own says where that is.
    ///
    /// # Errors
    /// When that is refused, or the machine fails.
    pub fn begin_log(&mut self) -> Result<(), Error> {
        self.logs += 1;
        let mark = format!("run-guest: step {} with an eye on this log", self.logs);
        self.world.log = KernelLog::behind(&mark);
        let done = self.write("/dev/kmsg", &mark)?;
        done.map_err(|errno| Error::Transfer(format!("/dev/kmsg: {errno}")))
    }

    /// Run a program in L1 to its end.
    ///
    /// # Errors
    /// When it takes longer than the limit, or the machine fails.
    pub fn run(&mut self, argv: &[&str], limit: Duration) -> Result<Output, Error> {
        let id = self.exec(argv);
        self.runs.insert(id, Run::default());
        let client = self.machine.client();
        client.send(&Request::Stdin {
            id,
            data: Vec::new(),
        });
        let end = Instant::now() + limit;
        loop {
            if let Some(run) = self.runs.get_mut(&id)
                && let Some(exit) = run.exit.take()
            {
                let Run { stdout, stderr, .. } = self.runs.remove(&id).unwrap_or_default();
                client.end(id);
                return Ok(Output {
                    exit,
                    stdout,
                    stderr,
                });
            }
            if Instant::now() > end {
                client.send(&Request::Signal { id, signal: 9 });
                return Err(self.machine.deadline(&argv.join(" "), limit));
            }
            self.pump(TURN)?;
        }
    }

    /// Start a guest; its console is standard output.
    pub fn start_guest(&mut self, name: &str, argv: &[String]) {
        let id = self.exec(argv);
        self.guests.insert(id, name.to_owned());
        self.world.begins(name);
    }

    /// The running guest's process.
    fn guest_id(&self, name: &str) -> Option<Id> {
        let running = self.world.guests.get(name)?.ended.is_none();
        let found = self.guests.iter().find(|(_, n)| *n == name);
        found.filter(|_| running).map(|(id, _)| *id)
    }

    /// Send a signal to a guest's process; `false` if there is none.
    pub fn signal_guest(&mut self, name: &str, signal: i32) -> bool {
        let id = self.guest_id(name);
        if let Some(state) = self.world.guests.get_mut(name) {
            state.may_end = true;
        }
        if let Some(id) = id {
            self.machine.client().send(&Request::Signal { id, signal });
        }
        id.is_some()
    }

    /// Ask a guest on its console; the number its answer will carry.
    pub fn ask(&mut self, guest: &str, request: Question) -> Option<u32> {
        let process = self.guest_id(guest)?;
        let id = self.next_question;
        self.next_question += 1;
        self.world.guests.get_mut(guest)?.asking(id, request);
        let data = format!("{}\n", Ask { id, request }).into_bytes();
        self.machine
            .client()
            .send(&Request::Stdin { id: process, data });
        Some(id)
    }

    /// Wait until something is so; `false` when the time is over.
    ///
    /// # Errors
    /// When the machine fails.
    pub fn until(
        &mut self,
        limit: Duration,
        mut so: impl FnMut(&World) -> bool,
    ) -> Result<bool, Error> {
        let end = Instant::now() + limit;
        while !so(&self.world) {
            if Instant::now() > end {
                return Ok(false);
            }
            self.pump(TURN.min(limit))?;
        }
        Ok(true)
    }

    /// Ask guests what these expectations need to know, where it is time.
    pub fn ask_what_is_needed(&mut self, expect: &Expect, look: Look) {
        for (guest, request) in to_ask(expect, &self.world, look) {
            let state = self.world.guests.get(&guest);
            if state.is_some_and(|g| g.may_ask(request)) {
                self.ask(&guest, request);
            }
        }
    }

    /// From now on these must not come true, and guests be in no other states.
    pub fn forbid(&mut self, nevers: Vec<Expect>, only: By<Vec<Sees>>, look: Look) {
        self.watch = Watch {
            nevers,
            only,
            look: Some(Look {
                never: true,
                ..look
            }),
            violation: None,
        };
        // what holds already may be over when the next event comes
        self.hold_against_forbidden();
    }

    /// Whether what is forbidden has come true; everything is allowed again.
    pub fn allow(&mut self) -> Option<String> {
        self.hold_against_forbidden();
        std::mem::take(&mut self.watch).violation
    }

    /// Take the next event, if there is one in this time.
    ///
    /// # Errors
    /// When the machine fails, or `host-io` ends.
    pub fn pump(&mut self, limit: Duration) -> Result<(), Error> {
        if let Some(look) = self.watch.look {
            for never in self.watch.nevers.clone() {
                self.ask_what_is_needed(&never, look);
            }
        }
        if let Some(event) = self.machine.next_within(&self.from, limit)? {
            self.take(event)?;
            self.hold_against_forbidden();
        }
        Ok(())
    }

    fn hold_against_forbidden(&mut self) {
        let Some(look) = self.watch.look else { return };
        if self.watch.violation.is_some() {
            return;
        }
        let all = self.watch.nevers.iter();
        let mut found = all.flat_map(|never| findings(never, &self.world, look));
        let never = found.find(|f| f.holds && !f.not_checked);
        let never = never.map(|f| format!("never {}: seen {}", f.what, f.seen));
        self.watch.violation = never.or_else(|| sees_other(&self.watch.only, &self.world));
    }

    fn take(&mut self, event: Event) -> Result<(), Error> {
        match event {
            Event::Kernel { text, .. } => {
                self.tell("kernel", &text);
                self.world.log.take(text);
            }
            Event::Output { id, stream, data } => {
                let text = String::from_utf8_lossy(&data).into_owned();
                if id == self.host.id {
                    return self.host_output(stream, &text);
                }
                if let Some(run) = self.runs.get_mut(&id) {
                    match stream {
                        Stream::Stdout => run.stdout.push_str(&text),
                        Stream::Stderr => run.stderr.push_str(&text),
                    }
                }
                if let Some(name) = self.guests.get(&id).cloned() {
                    // Lines come in bunches; each may tell a state of its own.
                    for line in self.world.console(&name, &text) {
                        self.tell(&name, &line);
                        self.world.line(&name, &line);
                        self.hold_against_forbidden();
                    }
                }
            }
            Event::Exited { id, exit } => self.ended(id, exit)?,
            _ => {}
        }
        Ok(())
    }

    fn ended(&mut self, id: Id, exit: Exit) -> Result<(), Error> {
        if id == self.host.id {
            let words = format!("host-io has ended ({exit:?}): {}", self.host.words);
            return Err(Error::Transfer(words));
        }
        if let Some(run) = self.runs.get_mut(&id) {
            run.exit = Some(exit);
        } else if let Some(name) = self.guests.remove(&id) {
            self.tell(&name, &format!("ended: {exit:?}"));
            self.machine.client().end(id);
            if let Some(state) = self.world.guests.get_mut(&name) {
                state.ended = Some(exit);
            }
        }
        Ok(())
    }

    fn host_output(&mut self, stream: Stream, text: &str) -> Result<(), Error> {
        if stream == Stream::Stderr {
            self.host.words.push_str(text);
            return Ok(());
        }
        self.host.partial.push_str(text);
        while let Some(end) = self.host.partial.find('\n') {
            let line: String = self.host.partial.drain(..=end).collect();
            let parsed: HostLine = serde_json::from_str(&line)
                .map_err(|e| Error::Transfer(format!("host-io said {line}: {e}")))?;
            if let Some(id) = parsed.id {
                self.host.done.insert(id, parsed.errno);
            } else if let Some(path) = parsed.path {
                let shown = parsed.text.as_deref().unwrap_or("(gone)");
                self.tell(&path, &shown.replace('\n', " "));
                self.world.files.insert(path, parsed.text);
                // Files come in bunches; each is a state of its own.
                self.hold_against_forbidden();
            }
        }
        Ok(())
    }

    fn tell(&self, who: &str, what: &str) {
        if self.verbose {
            say::out(format_args!("#     {who}: {what}"));
        }
    }
}
