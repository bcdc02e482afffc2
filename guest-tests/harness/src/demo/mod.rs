// SPDX-License-Identifier: MIT OR Apache-2.0
//! A guest runs, and a person, or a story, plugs and unplugs: the board shows
//! what the host set and what the guest saw, as it happens.

mod board;
mod command;

use crate::config::{Config, Driver};
use crate::error::Error;
use crate::guest::Sees;
use crate::machine::Machine;
use crate::scenario::{
    Action, Actor, Ground, Operation, Operator, Queue, Scenario, Stage, driver_paths, kernels,
};
use ap_arch::{Apid, Apm, Apqn, Aqm};
use ap_device::topology::Topology;
use board::{Board, letter};
use std::io::{BufRead, Write};
use std::path::Path;
use std::sync::mpsc::{Receiver, TryRecvError, channel};
use std::time::{Duration, Instant};

/// The machine: one adapter of each mode, two domains.
const TOPOLOGY: &str = "guest-tests/topologies/three-by-two.toml";
/// The scenario that every typed line is a step of.
const HEAD: &str = "name = \"demo\"\ntopology = \"-\"\n[[mdev]]\nid = \"a\"\n[[guest]]\nid = \"g\"\nmdev = \"a\"\n[[step]]\n";
/// An action, and what comes of it, is over within this time.
const LIMIT: Duration = Duration::from_secs(60);

/// What is told, what is done, and the guest's matrix after it.
const STORY: &[(&str, &str, &[&str])] = &[
    (
        "The mdev gets adapter 05. Without a domain that is half a matrix.",
        "+ adapter 05",
        &["05."],
    ),
    (
        "With domain 0004 the guest has its first queue. It runs all the time.",
        "+ domain 0004",
        &["05.0004"],
    ),
    (
        "Another adapter is plugged ...",
        "+ adapter 07",
        &["05.0004", "07.0004"],
    ),
    (
        "... and the guest computes with it.",
        "crypto 07.0004",
        &["05.0004", "07.0004"],
    ),
    (
        "A control domain.",
        "+ control 0004",
        &["05.0004", "07.0004"],
    ),
    (
        "The machine loses adapter 07: so does the guest, but not the mdev.",
        "remove 07",
        &["05.0004"],
    ),
    (
        "The machine gets it back.",
        "add 07",
        &["05.0004", "07.0004"],
    ),
    (
        "One queue is taken from vfio_ap: the guest loses its whole adapter.",
        "unbind 05.0004",
        &["07.0004"],
    ),
    ("And given back.", "bind 05.0004", &["05.0004", "07.0004"]),
    ("Unplugged.", "- adapter 07", &["05.0004"]),
];

/// The demo.
struct Demo<'a> {
    stage: Stage<'a>,
    actor: Actor<'a>,
    topology: Topology,
}

/// Boot everything, and let a person type; or tell a story, and check it.
///
/// # Errors
/// When the machine fails, or the story does not hold.
pub fn run(live: bool) -> Result<(), Error> {
    let root = crate::config::project_root();
    let file = root.join(TOPOLOGY);
    let text = std::fs::read_to_string(&file).map_err(Error::host(TOPOLOGY))?;
    let topology = Topology::parse(&text).map_err(|e| Error::Transfer(e.to_string()))?;
    let mut config = Config::new("demo");
    config.driver = Driver::Rust;
    config.topology = Some(file);
    println!("booting the mainframe ...");
    let machine = Machine::boot(&config)?;
    let scenario = parse("start = \"g\"").map_err(Error::Transfer)?;
    let mut operator = Operator::new(topology.clone());
    let mut stage = Stage::new(&machine, false)?;
    let mut demo = Demo {
        actor: Actor {
            kernels: kernels(&mut stage, &scenario)?.by_guest,
            scenario: &scenario,
            ground: Ground::Emulated(&mut operator),
        },
        stage,
        topology,
    };
    demo.actor.prepare(&mut demo.stage)?;
    demo.watch_queues()?;
    println!("starting the guest ...");
    let done = match demo.perform("start = \"g\"")? {
        Ok(()) if live => demo.live(&typed()),
        Ok(()) => demo.tell(),
        Err(words) => Err(Error::Transfer(words)),
    };
    done?;
    demo.actor.clean_up(&mut demo.stage)?;
    drop(demo);
    machine.shutdown()
}

fn parse(step: &str) -> Result<Scenario, String> {
    Scenario::parse(Path::new("demo"), &format!("{HEAD}{step}\n")).map_err(|e| e.to_string())
}

/// Lines of standard input, as they come.
fn typed() -> Receiver<String> {
    let (to, from) = channel();
    std::thread::spawn(move || {
        let lines = std::io::stdin().lock().lines().map_while(Result::ok);
        for line in lines {
            if to.send(line).is_err() {
                return;
            }
        }
    });
    from
}

impl Demo<'_> {
    fn queues(&self) -> Vec<Apqn> {
        let adapters = self.topology.adapters.iter();
        let queue = |a: Apid| self.topology.aqm.iter().map(move |d| Apqn::new(a, d));
        adapters.flat_map(|a| queue(a.apid)).collect()
    }

    fn perform(&mut self, step: &str) -> Result<Result<(), String>, Error> {
        let scenario = match parse(step) {
            Ok(scenario) => scenario,
            Err(words) => return Ok(Err(words)),
        };
        let action = &scenario.steps[0].action;
        let done = self.actor.perform(&mut self.stage, action, LIMIT)?;
        if let Action::Machine(Operation::AddAdapter(spec)) = action
            && done.is_ok()
            && !self.topology.adapters.iter().any(|a| a.apid == spec.apid)
        {
            self.topology.adapters.push(*spec);
            self.watch_queues()?;
        }
        Ok(done)
    }

    /// The board shows their drivers.
    fn watch_queues(&mut self) -> Result<(), Error> {
        let queues = self.queues().into_iter();
        let paths: Vec<String> = queues.flat_map(|q| driver_paths(Queue(q))).collect();
        self.stage.watch_files(&paths)
    }

    fn told(&self) -> Option<&(Sees, Instant)> {
        self.stage.world.guests.get("g")?.told.as_ref()
    }

    /// How long the guest was told after this, if it was.
    fn told_after(&self, begin: Instant) -> String {
        let after = self
            .told()
            .and_then(|(_, at)| at.checked_duration_since(begin));
        after.map_or_else(String::new, |after| {
            format!("    the guest was told after {} ms", after.as_millis())
        })
    }

    fn lines(&self, attribute: &str) -> Vec<String> {
        let text = self.stage.world.attribute("a", attribute);
        text.unwrap_or_default()
            .lines()
            .map(str::to_owned)
            .collect()
    }

    fn board(&self) -> Board {
        let files = &self.stage.world.files;
        let known = |path: &String| files.get(path).and_then(Option::as_deref);
        let host = self.queues().into_iter().filter_map(|q| {
            let [device, driver] = driver_paths(Queue(q));
            known(&device)?;
            Some((q, letter(known(&driver))))
        });
        let sees = self
            .told()
            .map(|(sees, _)| sees.clone())
            .unwrap_or_default();
        let control: Vec<String> = sees
            .control_domains
            .iter()
            .map(|d| format!("{d:04x}"))
            .collect();
        let assigned = self.lines("matrix");
        let (mut adapters, mut domains): (Apm, Aqm) = (
            self.topology.adapters.iter().map(|a| a.apid).collect(),
            self.topology.aqm,
        );
        for (apid, apqi) in assigned.iter().filter_map(|l| l.split_once('.')) {
            adapters = u8::from_str_radix(apid, 16).map_or(adapters, |a| adapters.with(a.into()));
            domains = u8::from_str_radix(apqi, 16).map_or(domains, |d| domains.with(d.into()));
        }
        Board {
            adapters: adapters.iter().collect(),
            domains: domains.iter().collect(),
            host: host.collect(),
            assigned,
            given: self.lines("guest_matrix"),
            seen: sees.matrix(),
            control: [self.lines("control_domains").join(" "), control.join(" ")],
            explain: self.lines("explain"),
        }
    }

    /// The story: each chapter must end as it is told.
    fn tell(&mut self) -> Result<(), Error> {
        for (words, line, wanted) in STORY {
            println!("\n{words}\n> {line}");
            let begin = Instant::now();
            let step = command::step(line).map_err(Error::Transfer)?;
            self.perform(&step)?.map_err(Error::Transfer)?;
            let end = begin + LIMIT;
            while !self.has_come(wanted) {
                if Instant::now() > end {
                    let words =
                        format!("the guest was to have {wanted:?}:\n{}", self.board().text());
                    return Err(Error::Transfer(words));
                }
                self.stage.pump(Duration::from_millis(25))?;
            }
            println!("{}", self.board().text());
            println!("{}", self.told_after(begin));
        }
        println!("\nThe guest saw all of it, and was never restarted.");
        Ok(())
    }

    fn has_come(&self, wanted: &[&str]) -> bool {
        let computed = self
            .stage
            .world
            .crypto
            .as_ref()
            .is_none_or(|c| c.ok == Some(3));
        let seen = self.told().map(|(sees, _)| sees.matrix());
        computed && self.lines("guest_matrix") == wanted && seen.is_some_and(|s| s == wanted)
    }

    /// A person at a terminal. The board is at the top, typing below it.
    fn live(&mut self, lines: &Receiver<String>) -> Result<(), Error> {
        let mut news = command::HELP.to_owned();
        let mut begin = Instant::now();
        let mut shown = None;
        let mut typing = false;
        loop {
            let board = self.board();
            if shown.as_ref() != Some(&board) || !typing {
                let text = format!("{}\n{}", board.text(), self.told_after(begin));
                draw(&text, (!typing).then_some(&news));
                (shown, typing) = (Some(board), true);
            }
            self.stage.pump(Duration::from_millis(25))?;
            let line = match lines.try_recv() {
                Ok(line) => line,
                Err(TryRecvError::Empty) => continue,
                Err(TryRecvError::Disconnected) => return Ok(()),
            };
            begin = Instant::now();
            typing = false;
            news = match line.trim() {
                "quit" | "q" => return Ok(()),
                "" | "help" => command::HELP.to_owned(),
                line => self.typed(line)?,
            };
        }
    }

    /// Do what was typed; what became of it.
    fn typed(&mut self, line: &str) -> Result<String, Error> {
        let step = match command::step(line) {
            Ok(step) => step,
            Err(words) => return Ok(words),
        };
        Ok(match self.perform(&step)? {
            Ok(()) => format!("{line}: done"),
            Err(words) => format!("{line}: refused: {words}"),
        })
    }
}

/// The board, over the old one; with news all is drawn anew, else the cursor
/// stays where somebody types.
fn draw(board: &str, news: Option<&String>) {
    const ERASE_LINE: &str = "\x1b[K\n";
    let board = board.replace('\n', ERASE_LINE);
    match news {
        Some(news) => print!("\x1b[H\x1b[J{board}{ERASE_LINE}\n{news}\n\n> "),
        None => print!("\x1b7\x1b[H{board}{ERASE_LINE}\x1b8"),
    }
    // A terminal that has gone needs no board.
    let _ = std::io::stdout().flush();
}
