// SPDX-License-Identifier: MIT OR Apache-2.0
//! Scenarios on a mainframe: the host is the user's own, so nothing is touched
//! but the queues that were named, and everything is put back, however the run
//! ends. `docs/s390x-hosts.md` is for users.
//!
//! ```text
//! survey ─▶ plan ─▶ state file ─▶ driver, reservation ─▶ scenarios ─▶ undo
//!                       └───────────────────────────────────────────────┘
//! ```

mod driver;
mod plan;
mod state;
mod survey;

use crate::config::Folders;
use crate::error::Error;
use crate::machine::Machine;
use crate::say;
use crate::scenario::{Given, Options, Report, Scenario, run_here};
use ap_arch::{Apm, Apqn};
use driver::{Chosen, Driver};
use plan::{By, Plan, VFIO_AP};
use state::{Guard, STATE, Turn};
use std::collections::BTreeSet;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;
use survey::Survey;

/// A queue changes its driver within this time.
const BIND: Duration = Duration::from_secs(30);

/// Why nothing was run.
#[derive(Debug, thiserror::Error)]
pub enum HostError {
    /// Nothing was changed: what was asked for cannot be done.
    #[error("{0}")]
    Refused(String),
    /// It went wrong on the way; what was changed is put back.
    #[error("{0}")]
    Failed(String),
    /// The same for the machine.
    #[error(transparent)]
    Machine(#[from] Error),
}

fn refused(words: impl Into<String>) -> HostError {
    HostError::Refused(words.into())
}

/// The folder that the tarball was unpacked to: where this program is.
///
/// # Errors
/// When the system does not tell.
pub fn home() -> std::io::Result<PathBuf> {
    let program = std::env::current_exe()?;
    Ok(program.parent().unwrap_or(Path::new("/")).to_owned())
}

/// Where the report goes if nothing else is said.
pub fn report() -> PathBuf {
    Path::new(STATE).with_file_name("report.json")
}

/// The queues that a user names, as `05.0004,05.0005`.
///
/// # Errors
/// With the word that is none.
pub fn queues(text: &str) -> Result<BTreeSet<Apqn>, HostError> {
    let words = text.split([',', ' ']).filter(|w| !w.is_empty());
    let queue = |w: &str| {
        w.parse()
            .map_err(|e| refused(format!("APQNS: \"{w}\" is no queue such as 05.0004: {e}")))
    };
    words.map(queue).collect()
}

/// What could be named, one line a queue.
///
/// # Errors
/// That the host has none.
pub fn candidates() -> Result<Vec<String>, HostError> {
    let survey = survey()?;
    let mut lines = Vec::new();
    for (apqn, queue) in &survey.queues {
        let card = survey.cards.get(&apqn.apid).map_or("", String::as_str);
        let driver = queue.driver.as_deref().unwrap_or("no driver");
        let state = match Plan::new(&survey, &BTreeSet::from([*apqn])) {
            Ok(Plan {
                by: By::Nothing, ..
            }) => "free, vfio_ap's already".to_owned(),
            Ok(_) => "free".to_owned(),
            Err(reasons) => reasons.join("; "),
        };
        lines.push(format!("{apqn}  {card:7} {driver:10} {state}"));
    }
    if lines.is_empty() {
        return Err(refused("this host has no AP queues"));
    }
    Ok(lines)
}

fn survey() -> Result<Survey, HostError> {
    Survey::of(Path::new("/")).map_err(|_| refused("this host has no AP bus (/sys/bus/ap)"))
}

/// Run scenarios with these queues, and put everything back.
///
/// # Errors
/// See [`HostError`].
pub fn run(
    named: &BTreeSet<Apqn>,
    scenarios: &[Scenario],
    mut options: Options,
) -> Result<Report, HostError> {
    if !nix::unistd::geteuid().is_root() {
        return Err(refused("only root may bind queues and make mdevs"));
    }
    let home = home().map_err(|e| refused(format!("where this program is: {e}")))?;
    let turn = Turn::take()?;
    let before = survey()?;
    let plan = Plan::new(&before, named).map_err(|reasons| refused(reasons.join("\n")))?;
    let chosen = Chosen::new(&home.join("modules"), options.rust);
    let chosen = chosen.map_err(|e| refused(format!("the running kernel: {e}")))?;
    let note = |words: &str| say::out(format_args!("# {words}"));
    if let Some(words) = &chosen.words {
        note(words);
    }
    let stop = watch_signals().map_err(|e| refused(format!("signals: {e}")))?;
    let share = home.join("share").display().to_string();

    // From here on the guard puts everything back when it is dropped.
    let guard = Guard::begin(
        turn,
        &before,
        named,
        format!("{share}/apvmm"),
        chosen.loads(),
    )?;
    let done = (|| {
        let driver = load(&chosen, &before, note)?;
        options.rust = driver.rust;
        if !Path::new("/dev/kvm").exists() {
            return Err(HostError::Failed("there is no /dev/kvm".to_owned()));
        }
        reserve(&plan, &before, named, &stop)?;
        let given = Given {
            queues: named.clone(),
            accelerators: before.mode('A'),
            coprocessors: before.mode('C'),
            control: before.control,
            masked: match plan.by {
                By::Masks(apm, _) => apm,
                _ => Apm::EMPTY,
            },
        };
        let scratch = guard.folder().to_owned();
        let folders = Folders {
            share,
            scratch: scratch.display().to_string(),
        };
        let machine = Machine::here(folders, scratch, stop)?;
        let name = if driver.rust { "Rust" } else { "C" };
        note(&format!(
            "this host: Linux {}, {name} driver",
            machine.kernel
        ));
        Ok(run_here(&machine, scenarios, &given, &options)?)
    })();
    let restored = guard.finish();
    match (done, restored) {
        (Ok(report), Ok(())) => Ok(report),
        (Err(e), Ok(())) => Err(e),
        (Ok(_), Err(words)) => Err(HostError::Failed(words)),
        (Err(e), Err(words)) => Err(HostError::Failed(format!("{e}; and {words}"))),
    }
}

/// Put back what a run left that was killed.
///
/// # Errors
/// That there is nothing to put back, or that it cannot be done.
pub fn restore() -> Result<(), HostError> {
    let guard = Guard::left_behind()?;
    guard.finish().map_err(HostError::Failed)
}

/// Load the driver without a queue: by itself the bus would give it all that
/// masks and overrides reserve, not only those that were named.
fn load(chosen: &Chosen, before: &Survey, note: impl Fn(&str)) -> Result<Driver, HostError> {
    if !chosen.loads() || !before.autoprobe {
        return chosen.load(note).map_err(refused);
    }
    let failed = HostError::Failed;
    state::carry_out(&[plan::autoprobe(false)]).map_err(failed)?;
    let driver = chosen.load(note).map_err(refused);
    state::carry_out(&[plan::autoprobe(true)]).map_err(failed)?;
    state::carry_out(&plan::newcomers(before, &survey()?)).map_err(failed)?;
    driver
}

/// Give the named queues to vfio_ap, and no others.
fn reserve(
    plan: &Plan,
    before: &Survey,
    named: &BTreeSet<Apqn>,
    stop: &AtomicUsize,
) -> Result<(), HostError> {
    let failed = |words: String| HostError::Failed(words);
    state::carry_out(&plan.writes(&survey()?)).map_err(failed)?;
    let idle = plan::idle(before, named);
    state::carry_out(&plan::part(&idle, &survey()?)).map_err(failed)?;
    let is_ours = |survey: &Survey, q: &Apqn| {
        let queue = survey.queues.get(q);
        queue.and_then(|q| q.driver.as_deref()) == Some(VFIO_AP)
    };
    let end = std::time::Instant::now() + BIND;
    loop {
        let now = survey()?;
        let Some(missing) = named.iter().find(|q| !is_ours(&now, q)) else {
            return Ok(());
        };
        if stop.load(Ordering::Relaxed) != 0 {
            return Err(failed("interrupted".to_owned()));
        }
        if std::time::Instant::now() > end {
            return Err(failed(format!("{missing} did not become {VFIO_AP}'s")));
        }
        std::thread::park_timeout(Duration::from_millis(20));
    }
}

/// The number of the signal that came, once it did.
fn watch_signals() -> std::io::Result<Arc<AtomicUsize>> {
    use signal_hook::consts::{SIGHUP, SIGINT, SIGTERM};
    let stop = Arc::new(AtomicUsize::new(0));
    for signal in [SIGINT, SIGTERM, SIGHUP] {
        let number = usize::try_from(signal).unwrap_or(1);
        signal_hook::flag::register_usize(signal, Arc::clone(&stop), number)?;
    }
    Ok(stop)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn queues_are_named_as_the_kernel_names_them() {
        let names = |text| queues(text).unwrap();
        assert_eq!(names("05.0004,05.0005").len(), 2);
        assert_eq!(names(" 05.0004, 05.0004 ").len(), 1);
        assert!(names("").is_empty());
        let error = queues("05.0004,5").unwrap_err();
        assert!(error.to_string().contains("\"5\" is no queue"), "{error}");
    }
}
