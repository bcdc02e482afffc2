// SPDX-License-Identifier: MIT OR Apache-2.0
//! Runs scenarios: boots L1, does one step after another, and holds what comes
//! of it against what is expected.

use super::check::{Finding, Look, driver_paths, findings};
use super::file::{Scenario, Step};
use super::fit::{Given, fit};
use super::grammar::{Action, By, Expect, Never, Only, Sees};
use super::kernel::{Kernels, kernels};
use super::operator::Operator;
use super::perform::{Actor, Ground};
use super::report::{Report, ScenarioReport, StepReport};
use super::stage::Stage;
use super::value::Kind;
use super::world::{KernelLog, World};
use crate::config::{Config, Driver};
use crate::error::Error;
use crate::keep::keep;
use crate::ktap::Ktap;
use crate::machine::Machine;
use ap_device::topology::Topology;
use ap_probe::command::Request as Question;
use std::collections::BTreeSet;
use std::path::Path;
use std::time::{Duration, Instant};

/// How scenarios are run.
#[derive(Debug, Clone)]
pub struct Options {
    /// Names the folder of the machine's logs.
    pub name: String,
    /// Our driver, or the C driver.
    pub rust: bool,
    /// Whether every event is printed.
    pub verbose: bool,
}

impl Options {
    fn report(&self) -> Report {
        Report {
            driver: if self.rust { "rust" } else { "c" },
            kernel: String::new(),
            scenarios: Vec::new(),
            passed: false,
        }
    }
}

/// Run all of them, one after another; those with the same topology on the
/// same machine.
///
/// # Errors
/// When a machine fails; what a scenario shows is no error, but in the report.
pub fn run(scenarios: &[Scenario], options: &Options) -> Result<Report, Error> {
    let mut ktap = Ktap::begin(scenarios.len());
    let mut report = options.report();
    let topology = |s: &Scenario| s.topology.as_ref().clone();
    for group in scenarios.chunk_by(|a, b| topology(a) == topology(b)) {
        let done = on_one_machine(group, &topology(&group[0]), options, &mut ktap, &mut report);
        if let Err(e) = done {
            ktap.bail_out(&e.to_string());
            return Err(e);
        }
    }
    report.conclude();
    ktap.end();
    Ok(report)
}

/// Run all of them on a Linux that is there already, with the queues that its
/// user has given. One that these do not suffice for is skipped.
///
/// # Errors
/// As for [`run`]; what it did is not undone then.
pub fn run_here(
    machine: &Machine,
    scenarios: &[Scenario],
    given: &Given,
    options: &Options,
) -> Result<Report, Error> {
    let mut ktap = Ktap::begin(scenarios.len());
    let mut report = options.report();
    report.kernel.clone_from(&machine.kernel);
    let done = all_here(machine, scenarios, given, options, &mut ktap, &mut report);
    if let Err(e) = done {
        ktap.bail_out(&e.to_string());
        return Err(e);
    }
    report.conclude();
    ktap.end();
    Ok(report)
}

fn all_here(
    machine: &Machine,
    scenarios: &[Scenario],
    given: &Given,
    options: &Options,
    ktap: &mut Ktap,
    report: &mut Report,
) -> Result<(), Error> {
    let mut stage = Stage::new(machine, options.verbose)?;
    for scenario in scenarios {
        let mut kinds = scenario.guests.iter().map(|g| g.kind.as_ref());
        let linux = kinds.all(|kind| *kind != Kind::Probe);
        match fit(
            scenario,
            &topology(scenario.topology.as_ref())?,
            given,
            linux,
        ) {
            Ok(fitted) => {
                let mut inner = ktap.nested(fitted.steps.len());
                let ground = Ground::Given(&given.queues);
                let done = run_one(&mut stage, &fitted, ground, options, &mut inner)?;
                inner.end();
                done.print(ktap);
                report.scenarios.push(done);
            }
            Err(why) => {
                let left_out = ScenarioReport {
                    skipped: Some(why),
                    ..ScenarioReport::of(scenario)
                };
                left_out.print(ktap);
                report.scenarios.push(left_out);
            }
        }
    }
    Ok(())
}

fn on_one_machine(
    scenarios: &[Scenario],
    topology: &Path,
    options: &Options,
    ktap: &mut Ktap,
    report: &mut Report,
) -> Result<(), Error> {
    let mut config = Config::new(&options.name);
    if config.driver == Driver::None || !options.rust {
        config.driver = if options.rust {
            Driver::Rust
        } else {
            Driver::C
        };
    }
    config.topology = Some(topology.to_owned());
    let mut operator = Operator::new(self::topology(topology)?);
    let machine = Machine::boot(&config)?;
    let (kernel, seconds) = (&machine.kernel, machine.boot_time.as_secs_f32());
    ktap.note(&format!(
        "L1: Linux {kernel} on our QEMU, up after {seconds:.1} s"
    ));
    report.kernel.clone_from(kernel);
    let done = Stage::new(&machine, options.verbose).and_then(|mut stage| {
        for scenario in scenarios {
            let mut inner = ktap.nested(scenario.steps.len());
            let ground = Ground::Emulated(&mut operator);
            let done = run_one(&mut stage, scenario, ground, options, &mut inner)?;
            inner.end();
            done.print(ktap);
            report.scenarios.push(done);
        }
        Ok(())
    });
    done.inspect_err(|e| keep(&machine, None, &e.to_string()))?;
    machine.shutdown()
}

/// What a topology file says.
fn topology(file: &Path) -> Result<Topology, Error> {
    let name = file.display().to_string();
    let text = std::fs::read_to_string(file).map_err(Error::host(name.clone()))?;
    Topology::parse(&text).map_err(|e| Error::Transfer(format!("{name}: {e}")))
}

fn run_one(
    stage: &mut Stage<'_>,
    scenario: &Scenario,
    ground: Ground<'_>,
    options: &Options,
    ktap: &mut Ktap,
) -> Result<ScenarioReport, Error> {
    let Kernels { by_guest, notes } = kernels(stage, scenario)?;
    for note in &notes {
        ktap.note(note);
    }
    let mut actor = Actor {
        scenario,
        kernels: by_guest,
        ground,
    };
    actor.prepare(stage)?;
    stage.watch_files(&watched(scenario))?;
    let mut report = ScenarioReport::of(scenario);
    for step in &scenario.steps {
        let done = match left_out(step, &actor, options) {
            Some(why) => skipped(step, why),
            None => run_step(stage, &mut actor, step, options)?,
        };
        done.print(ktap);
        report.passed &= done.passed();
        report.steps.push(done);
        if !report.passed {
            // What comes after it was written for a machine that this is not.
            keep(stage.machine, None, "a step has failed");
            break;
        }
    }
    actor.clean_up(stage)?;
    stage.machine.check_kernel()?;
    report.conclude();
    Ok(report)
}

/// Links that expectations ask for; attributes of mdevs are watched anyway.
fn watched(scenario: &Scenario) -> Vec<String> {
    let expects = scenario.steps.iter().map(|s| &s.expect);
    let nevers = expects.clone().flat_map(|e| e.never.iter());
    let nevers = nevers.flat_map(|Never(all)| all.iter().map(toml::Spanned::get_ref));
    let queues: BTreeSet<_> = expects
        .chain(nevers)
        .flat_map(|e| e.queue_driver.keys())
        .collect();
    queues
        .into_iter()
        .flat_map(|queue| driver_paths(*queue))
        .collect()
}

/// Why a step is not for this run.
fn left_out(step: &Step, actor: &Actor<'_>, options: &Options) -> Option<String> {
    let linux = || actor.kernels.values().all(super::vmm::Kernel::is_linux);
    let probe = || !actor.kernels.values().any(super::vmm::Kernel::is_linux);
    if step.left_out.is_some() {
        return step.left_out.clone();
    }
    let (fits, what) = match step.only? {
        Only::Rust => (options.rust, "the Rust driver"),
        Only::C => (!options.rust, "the C driver"),
        Only::Probe => (probe(), "bare-metal guests"),
        Only::Linux => (linux(), "Linux guests"),
    };
    (!fits).then(|| format!("only for {what}"))
}

fn skipped(step: &Step, why: String) -> StepReport {
    StepReport {
        line: step.line,
        action: step.action.to_string(),
        findings: Vec::new(),
        failures: Vec::new(),
        milliseconds: 0,
        skipped: Some(why),
    }
}

fn run_step(
    stage: &mut Stage<'_>,
    actor: &mut Actor<'_>,
    step: &Step,
    options: &Options,
) -> Result<StepReport, Error> {
    let begin = Instant::now();
    let look = Look {
        begin,
        never: false,
        explain: options.rust,
    };
    let nevers = step.expect.never.iter().flat_map(|Never(all)| all);
    let nevers: Vec<Expect> = nevers.map(|n| n.get_ref().clone()).collect();
    stage.world.forget_answers();
    stage.world.log = KernelLog::default();
    if step.expect.log.is_some() || nevers.iter().any(|n| n.log.is_some()) {
        stage.begin_log()?;
    }
    let only = step.expect.guest_sees_only.clone();
    let guests = to_watch(&nevers, &only);
    let mut failures: Vec<String> = Vec::new();
    let (new, old): (Vec<&str>, Vec<&str>) = guests
        .iter()
        .map(String::as_str)
        .partition(|guest| boots(&step.action) == Some(guest));
    let mut watched = watch(stage, &old, &mut failures)?;
    stage.forbid(nevers, only, look);

    let refusal = actor.perform(stage, &step.action, step.within)?.err();
    let errno = step.expect.errno.as_ref().map(|e| &e.get_ref().0);
    let mut found = errno_finding(errno, refusal.as_ref());
    match (&errno, refusal) {
        (None, Some(words)) => failures.push(format!("it could not be done: {words}")),
        _ => {
            stage.sync()?;
            stage.world.forget_answers();
            confirm(stage, &watched, &mut failures)?;
            watched.extend(watch(stage, &new, &mut failures)?);
            found.extend(hold(stage, step, look)?);
        }
    }
    failures.extend(stage.allow());
    for guest in watched {
        stage.ask(&guest, Question::Watch(false));
    }
    failures.extend(complaints(stage));
    if let Err(complaint) = stage.machine.check_kernel() {
        failures.push(complaint.to_string());
    }
    Ok(StepReport {
        line: step.line,
        action: title(&step.action),
        findings: found,
        failures,
        milliseconds: u64::try_from(begin.elapsed().as_millis()).unwrap_or(u64::MAX),
        skipped: None,
    })
}

/// What a line of the report has room for.
fn title(action: &Action) -> String {
    const ROOM: usize = 100;
    let text = action.to_string().replace('\n', " ");
    match text.char_indices().nth(ROOM) {
        Some((end, _)) => format!("{}...", &text[..end]),
        None => text,
    }
}

/// Guests whose masks must not be seen in some state.
fn to_watch(nevers: &[Expect], only: &By<Vec<Sees>>) -> BTreeSet<String> {
    let nevers = nevers.iter().flat_map(|n| n.guest_sees.keys());
    nevers.chain(only.keys()).map(|n| n.to_string()).collect()
}

/// The guest that an action boots, which takes no command before it is up.
fn boots(action: &Action) -> Option<&str> {
    match action {
        Action::Start(guest) | Action::Reset(guest) => Some(guest),
        _ => None,
    }
}

/// Has these guests, as far as they run, look at their masks all the time.
fn watch(
    stage: &mut Stage<'_>,
    guests: &[&str],
    failures: &mut Vec<String>,
) -> Result<Vec<String>, Error> {
    let mut watched = Vec::new();
    for &guest in guests {
        if answers(stage, guest, Question::Watch(true), failures)? {
            watched.push(guest.to_owned());
        }
    }
    Ok(watched)
}

/// Until these guests have looked at their masks once more: what the action
/// did to them has then been seen.
fn confirm(
    stage: &mut Stage<'_>,
    guests: &[String],
    failures: &mut Vec<String>,
) -> Result<(), Error> {
    for guest in guests {
        answers(stage, guest, Question::Query, failures)?;
    }
    Ok(())
}

/// Whether a guest answers. One that runs and does not is a failure: what it saw
/// is not known.
fn answers(
    stage: &mut Stage<'_>,
    guest: &str,
    question: Question,
    failures: &mut Vec<String>,
) -> Result<bool, Error> {
    const SOON: Duration = Duration::from_secs(30);
    if stage.ask(guest, question).is_none() {
        return Ok(false);
    }
    let has_ended = |w: &World| w.guests[guest].ended.is_some();
    let has_answered = |w: &World| w.guests[guest].answers.contains_key(&question);
    stage.until(SOON, |w| has_ended(w) || has_answered(w))?;
    let answered = has_answered(&stage.world);
    if !answered && !has_ended(&stage.world) {
        failures.push(format!(
            "guest {guest} does not answer, so what it saw is not known"
        ));
    }
    Ok(answered)
}

fn errno_finding(wanted: Option<&String>, refusal: Option<&String>) -> Vec<Finding> {
    let Some(wanted) = wanted else {
        return Vec::new();
    };
    let seen = refusal.map_or("it was done", String::as_str);
    vec![Finding {
        what: "errno".to_owned(),
        wanted: wanted.clone(),
        seen: seen.to_owned(),
        holds: seen == wanted,
        told_after: None,
        not_checked: false,
    }]
}

/// Until everything holds at once, or the time is over.
fn hold(stage: &mut Stage<'_>, step: &Step, look: Look) -> Result<Vec<Finding>, Error> {
    const TURN: Duration = Duration::from_millis(10);
    let end = Instant::now() + step.within;
    loop {
        let found = findings(&step.expect, &stage.world, look);
        if found.iter().all(|f| f.holds) || Instant::now() > end || has_failed(stage) {
            return Ok(found);
        }
        stage.ask_what_is_needed(&step.expect, look);
        stage.pump(TURN)?;
    }
}

/// Whether a guest is of no use any more, so that waiting is of none either.
fn has_failed(stage: &Stage<'_>) -> bool {
    let mut guests = stage.world.guests.values();
    guests.any(|g| g.ended.is_some() && !g.may_end)
}

/// What guests found wrong by themselves, told once.
fn complaints(stage: &mut Stage<'_>) -> Vec<String> {
    let mut all = Vec::new();
    for (name, state) in &mut stage.world.guests {
        let said = std::mem::take(&mut state.complaints);
        all.extend(said.into_iter().map(|line| format!("guest {name}: {line}")));
        if let (Some(exit), false) = (&state.ended, state.may_end) {
            all.push(format!(
                "guest {name} has ended ({exit:?}); its console:\n{}",
                state.tail()
            ));
            state.may_end = true;
        }
    }
    all
}
