// SPDX-License-Identifier: MIT OR Apache-2.0
//! Does what the console asks for ([`ap_probe::command`]) and reports the AP
//! configuration after every AP-change event.
//!
//! A `QCI` line says why it is there: `event`, `query` or `watch`. One loop does
//! it all: interrupts are taken only while it waits, so nothing is ever missed
//! between a look and a wait. RSA requests are made one a turn, so that events
//! and commands go on meanwhile.

use ap_arch::{Apqn, Matrix, Qci};
use ap_probe::command::{Command, Lines, Request};
use ap_probe::rsa::Reply;

use crate::ap::{self, Facilities};
use crate::console::Input;
use crate::events::take_events;
use crate::insn::{self, Page, Wake};
use crate::report::Report;

/// A turn of the loop that has something to do waits this long for interrupts,
/// in clock units: 1/16 of a millisecond. None at all would let the clock's own
/// interrupt keep the others out.
const TURN: u64 = 256_000;

/// RSA requests under way.
struct Job {
    id: u32,
    apqn: Apqn,
    requests: u32,
    done: u32,
    ok: u32,
}

struct Server<'a> {
    report: &'a mut Report,
    facilities: Facilities,
    /// What was reported last.
    shown: Option<Matrix>,
    reports: u32,
    watching: bool,
    job: Option<Job>,
    over: bool,
}

/// Serves until it is told to end. `first` is what QCI showed, if there is QCI.
pub fn serve(report: &mut Report, facilities: Facilities, first: Option<Qci>, block: &mut Page) {
    report.listen();
    report.json(|o| o.string("op", "ready"));
    let mut server = Server {
        report,
        facilities,
        shown: first.map(|qci| qci.matrix),
        reports: 0,
        watching: false,
        job: None,
        over: false,
    };
    let mut lines = Lines::default();
    // What a machine without events to take has done wrong is not asked here.
    let mut bad = 0;
    while !server.over {
        if insn::take_service_events() {
            server.input(&mut lines);
            continue;
        }
        let deadline = if server.watching || server.job.is_some() {
            insn::tod() + TURN
        } else {
            u64::MAX
        };
        if insn::wait(true, deadline) == Wake::MachineCheck
            && take_events(server.report, block, &mut bad)
        {
            server.query("event", None);
        }
        if server.watching {
            server.watch();
        }
        server.work();
    }
}

impl Server<'_> {
    fn input(&mut self, lines: &mut Lines) {
        // The console is borrowed while it is read, so what it told comes after.
        const COMMANDS: usize = 32;
        let mut commands = [None; COMMANDS];
        let mut count = 0;
        let mut end = false;
        self.report.read(|input| match input {
            Input::Bytes(bytes) => lines.take(bytes, |command| {
                if let Some(slot) = commands.get_mut(count) {
                    *slot = Some(command);
                    count += 1;
                }
            }),
            Input::End => end = true,
        });
        for command in commands.into_iter().flatten() {
            match command {
                Ok(command) => self.execute(command),
                Err(_) => self.refuse("unable", 0),
            }
        }
        self.over |= end;
    }

    fn execute(&mut self, Command { id, request }: Command) {
        match request {
            Request::Query => self.query("query", Some(id)),
            Request::Tapq(apqn) => {
                let (answer, _) = ap::tapq(self.facilities, apqn);
                self.report.json(|o| {
                    o.string("op", "TAPQ")?;
                    o.raw("id", id)?;
                    o.string("apqn", apqn)?;
                    match answer {
                        ap_probe::expect::Answer::Interrupted(code) => o.raw("pgm", code),
                        ap_probe::expect::Answer::Status { status, .. } => {
                            o.raw("code", status.code().0)?;
                            o.raw("empty", status.is_empty())
                        }
                    }
                });
            }
            Request::Send(apqn, requests) => {
                let sent = (0..requests).take_while(|_| ap::send(apqn).1.is_ok());
                let ok = sent.count();
                self.counted("send", id, apqn, requests, ok);
            }
            Request::Crypto(..) if self.job.is_some() => self.refuse("busy", id),
            Request::Crypto(apqn, requests) => {
                self.job = Some(Job {
                    id,
                    apqn,
                    requests,
                    done: 0,
                    ok: 0,
                });
            }
            Request::Watch(on) => {
                self.watching = on;
                self.report.json(|o| {
                    o.string("op", "watch")?;
                    o.raw("id", id)?;
                    o.raw("on", on)
                });
            }
            Request::Devices => self.refuse("unable", id),
            Request::Exit => self.over = true,
        }
    }

    fn refuse(&mut self, why: &str, id: u32) {
        self.report.json(|o| {
            o.string("op", why)?;
            o.raw("id", id)
        });
    }

    fn counted(&mut self, op: &str, id: u32, apqn: Apqn, requests: u32, ok: usize) {
        self.report.json(|o| {
            o.string("op", op)?;
            o.raw("id", id)?;
            o.string("apqn", apqn)?;
            o.raw("requests", requests)?;
            o.raw("ok", ok)
        });
    }

    fn query(&mut self, why: &str, id: Option<u32>) {
        // a machine without QCI has no masks to tell
        let matrix = ap::query().map_or(Matrix::EMPTY, |qci| qci.matrix);
        self.tell(why, id, matrix);
    }

    fn tell(&mut self, why: &str, id: Option<u32>, matrix: Matrix) {
        self.shown = Some(matrix);
        self.reports += 1;
        let seq = self.reports;
        self.report.json(|o| {
            o.string("op", "QCI")?;
            o.raw("seq", seq)?;
            o.string("why", why)?;
            if let Some(id) = id {
                o.raw("id", id)?;
            }
            o.string("apm", matrix.apm)?;
            o.string("aqm", matrix.aqm)?;
            o.string("adm", matrix.adm)
        });
    }

    fn watch(&mut self) {
        if let Ok(qci) = ap::query()
            && self.shown != Some(qci.matrix)
        {
            self.tell("watch", None, qci.matrix);
        }
    }

    /// The next RSA request, if there is one to make; the first that goes wrong
    /// is the last.
    fn work(&mut self) {
        let Some(job) = &mut self.job else { return };
        let good = job.done < job.requests && ap::exchange(job.apqn).0 == Some(Reply::Correct);
        job.done += 1;
        job.ok += u32::from(good);
        if good && job.done < job.requests {
            return;
        }
        let (id, apqn, requests, ok) = (job.id, job.apqn, job.requests, job.ok);
        self.job = None;
        self.counted("crypto", id, apqn, requests, ok as usize);
    }
}
