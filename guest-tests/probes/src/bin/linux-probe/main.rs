// SPDX-License-Identifier: MIT OR Apache-2.0
//! The init program of a Linux guest: tells what the guest's own AP bus and
//! zcrypt see, and does what its console asks for ([`ap_probe::command`]).
//!
//! ```text
//!   bus       there is an AP bus, and it has looked at its devices
//!   devices   the cross product of the masks has its cards and queues, no other
//!   z90crypt  zcrypt's own list has the queues that its drivers serve
//!   rsa       one RSA request through each queue that zcrypt serves for RSA
//! ```
//!
//! The lines are those of the bare-metal probe: KTAP with JSON objects between.
//! `device` lines are what sysfs has of each card and queue at the start. `QCI`
//! lines are the masks in sysfs, told whenever the bus was told of a change of
//! them; uevents of the AP bus are told as they come. Words on the kernel's
//! command line: `crypto=off`, `commands=on`, `exit-after=S`; all others are left
//! to the kernel.

mod bus;
// The only unsafe code, shared with the program for L1.
#[path = "../../../../agent/src/bin/zcrypt/ioctl.rs"]
#[expect(dead_code, reason = "the agent's program uses all of it")]
mod ioctl;
mod report;
mod rsa;
mod system;

use ap_probe::command::{Command, Lines, Request};
use ap_probe::options::Options;
use bus::Masks;
use nix::poll::{PollFd, PollFlags, PollTimeout, poll};
use report::Report;
use std::fs::File;
use std::io::{self, Read};
use std::os::fd::AsFd;
use std::sync::Arc;
use std::thread;
use std::time::{Duration, Instant};
use system::Uevents;

/// The bus tells of devices by uevents, but not of a control domain; so its
/// masks are looked at this often in any case.
const LOOK_MS: u8 = 20;
/// The same while every change of them matters.
const WATCH_MS: u8 = 1;
/// The next look that the bus takes by itself is put off this often, long before
/// it is due.
const PUT_OFF: Duration = Duration::from_secs(50);

fn main() {
    if let Err(e) = run() {
        println!("Bail out! {e}");
    }
    // Comes back only when it fails, and then there is nobody to tell.
    system::power_off();
}

fn run() -> io::Result<()> {
    system::mount_all()?;
    system::raw_console();
    system::load_modules()?;
    let line = std::fs::read_to_string("/proc/cmdline")?;
    let options = own_words(&line);
    let events = Uevents::open()?;
    let report = Arc::new(Report::default());
    report.text("KTAP version 1\n1..4");
    bus::wait_for_first_scan();
    let scans = bus::scans();
    let masks = Masks::read();
    report.verdict(
        "bus",
        masks
            .is_some()
            .then_some(())
            .ok_or_else(|| "no AP bus".to_owned()),
    );
    let masks = masks.unwrap_or_default();
    report.masks("start", None, &masks);
    report.devices();
    report.verdict("devices", bus::devices_fit(&masks));
    // A kernel may have it as a module, which nobody has brought.
    let zcrypt = bus::has_zcrypt();
    if zcrypt {
        report.verdict("z90crypt", rsa::status(&report));
    } else {
        report.skip("z90crypt", "the kernel has no zcrypt");
    }
    if !zcrypt {
        report.skip("rsa", "the kernel has no zcrypt");
    } else if options.crypto {
        match rsa::each_queue(&report, &masks) {
            Ok(0) => report.skip("rsa", "no queue serves RSA"),
            outcome => report.verdict("rsa", outcome.map(drop)),
        }
    } else {
        report.skip("rsa", "crypto=off");
    }
    report.summary();
    if options.commands || options.exit_after.is_some() {
        let server = Server {
            report,
            scans,
            told: masks.clone(),
            shown: masks,
            watching: false,
            over: false,
        };
        server.serve(events, &options)?;
    }
    Ok(())
}

/// The words that are meant for a probe.
fn own_words(line: &str) -> Options {
    let known = |word: &&str| Options::parse(word).is_ok();
    let words: Vec<&str> = line.split_whitespace().filter(known).collect();
    Options::parse(&words.join(" ")).unwrap_or_default()
}

struct Server {
    report: Arc<Report>,
    /// The masks that were told last, for that the bus was told of them.
    told: Masks,
    /// The masks that were seen last, and after how many scans of the bus.
    shown: Masks,
    scans: u64,
    watching: bool,
    over: bool,
}

impl Server {
    fn serve(mut self, mut events: Uevents, options: &Options) -> io::Result<()> {
        let end = options
            .exit_after
            .map(|s| Instant::now() + Duration::from_secs(s.into()));
        let mut stdin = File::from(io::stdin().as_fd().try_clone_to_owned()?);
        let mut lines = Lines::default();
        let mut put_off = Instant::now();
        bus::put_off_scan();
        let pause = bus::config_time().unwrap_or_default();
        self.report
            .json("ready", |o| o.string("config_time", pause));
        while !self.over && end.is_none_or(|end| Instant::now() < end) {
            if put_off.elapsed() > PUT_OFF {
                bus::put_off_scan();
                put_off = Instant::now();
            }
            let (typed, told) = {
                let ready = PollFlags::POLLIN;
                let mut fds = [
                    PollFd::new(stdin.as_fd(), ready),
                    PollFd::new(events.as_fd(), ready),
                ];
                let look = if self.watching { WATCH_MS } else { LOOK_MS };
                poll(&mut fds, PollTimeout::from(look)).map_err(io::Error::from)?;
                (fds[0].any().unwrap_or(false), fds[1].any().unwrap_or(false))
            };
            if told {
                events.tell(&self.report)?;
            }
            self.look();
            if typed {
                let mut buffer = [0; 256];
                let count = stdin.read(&mut buffer)?;
                lines.take(&buffer[..count], |command| match command {
                    Ok(command) => self.execute(command),
                    Err(_) => self.report.answer("unable", 0, |_| Ok(())),
                });
            }
        }
        Ok(())
    }

    /// Tells the masks if the bus has found new ones in a scan that we have not
    /// asked for. So does one after it was told of what we had found before.
    fn look(&mut self) {
        let scans = bus::scans();
        let Some(masks) = Masks::read() else { return };
        let found = masks != self.shown || scans != self.scans;
        if found && masks != self.told {
            self.report.masks("event", None, &masks);
            self.told = masks.clone();
        }
        (self.shown, self.scans) = (masks, scans);
    }

    /// Lets the bus look now: its own picture may be old. What it finds new only
    /// then, it has not been told of, unless it has looked once more meanwhile.
    fn scan(&mut self) {
        self.look();
        bus::scan();
        self.scans = bus::scans().min(self.scans + 1);
        self.shown = Masks::read().unwrap_or_default();
    }

    fn execute(&mut self, Command { id, request }: Command) {
        match request {
            Request::Query => {
                self.scan();
                self.report.masks("query", Some(id), &self.shown);
            }
            Request::Tapq(apqn) => {
                self.scan();
                let code = bus::code_of(apqn);
                self.report.answer("TAPQ", id, |o| {
                    o.string("apqn", apqn)?;
                    o.raw("code", code)
                });
            }
            Request::Crypto(..) if !bus::has_zcrypt() => {
                self.report.answer("unable", id, |_| Ok(()));
            }
            Request::Crypto(apqn, requests) => {
                let report = Arc::clone(&self.report);
                thread::spawn(move || {
                    let ok = rsa::round_trips(apqn, requests);
                    report.answer("crypto", id, |o| {
                        o.string("apqn", apqn)?;
                        o.raw("requests", requests)?;
                        o.raw("ok", *ok.as_ref().unwrap_or_else(|failed| &failed.ok))?;
                        match &ok {
                            Ok(_) => Ok(()),
                            Err(failed) => o.string("text", &failed.why),
                        }
                    });
                });
            }
            Request::Devices => {
                let names: Vec<String> = bus::devices().iter().map(|n| format!("{n:?}")).collect();
                let list = format!("[{}]", names.join(","));
                self.report
                    .answer("devices", id, |o| o.raw("devices", list));
            }
            Request::Watch(on) => {
                self.watching = on;
                self.report.answer("watch", id, |o| o.raw("on", on));
            }
            // zcrypt takes every reply.
            Request::Send(..) => self.report.answer("unable", id, |_| Ok(())),
            Request::Exit => self.over = true,
        }
    }
}
