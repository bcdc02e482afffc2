// SPDX-License-Identifier: MIT OR Apache-2.0
//! A scenario, read from its file and checked: what the types of the grammar
//! cannot say.

use super::grammar::{
    Action, Expect, File, GuestEntry, MachineEntry, Never, Only, Operation, Reserved, StepEntry,
};
use super::needs::Instead;
use super::source::{ScenarioError, Source};
use super::value::Name;
use ap_device::topology::Topology;
use std::collections::BTreeSet;
use std::ops::Range;
use std::path::{Path, PathBuf};
use std::time::Duration;
use toml::{Spanned, Table};

const WITHIN: Duration = Duration::from_secs(10);
const CPUS: std::ops::RangeInclusive<u8> = 1..=8;

/// A scenario.
#[derive(Debug, Clone)]
pub struct Scenario {
    /// Where it was read.
    pub file: PathBuf,
    /// What it is called.
    pub name: String,
    /// The machine's topology file, and where it is named.
    pub topology: Spanned<PathBuf>,
    /// Which adapters start out reserved for vfio_ap.
    pub reserved: Reserved,
    /// The mdevs that are there at the start.
    pub mdevs: Vec<Name>,
    /// The guests that can be started.
    pub guests: Vec<GuestEntry>,
    /// What is done.
    pub steps: Vec<Step>,
}

/// One step.
#[derive(Debug, Clone)]
pub struct Step {
    /// Where it begins.
    pub line: usize,
    /// What it does.
    pub action: Action,
    /// How long what it expects may take.
    pub within: Duration,
    /// With what it is done.
    pub only: Option<Only>,
    /// What must come true.
    pub expect: Expect,
    /// Why it is left out, if it is.
    pub left_out: Option<String>,
}

impl Scenario {
    /// Read a file; the files that it names must serve.
    ///
    /// # Errors
    /// With file, line and key of what is wrong.
    pub fn read(file: &Path, instead: &Instead) -> Result<Self, ScenarioError> {
        let text = std::fs::read_to_string(file).map_err(|e| ScenarioError {
            file: file.to_owned(),
            line: 0,
            key: "scenario".to_owned(),
            what: e.to_string(),
        })?;
        Self::parse(file, &text)?.with_files(&Source::new(file, &text), instead)
    }

    /// The same for the text of a file, whatever files it names.
    ///
    /// # Errors
    /// As for [`read`](Self::read).
    pub fn parse(file: &Path, text: &str) -> Result<Self, ScenarioError> {
        let source = Source::new(file, text);
        let parsed: File = toml::from_str(text).map_err(|e| source.syntax(&e))?;
        let names = Names::of(&source, &parsed)?;
        for guest in &parsed.guest {
            check_guest(&source, &names, guest)?;
        }
        let steps = parsed
            .step
            .into_iter()
            .map(|step| checked(&source, &names, step))
            .collect::<Result<Vec<_>, _>>()?;
        if steps.is_empty() {
            let key = "step".to_owned();
            return Err(ScenarioError {
                key,
                ..source.at(&(0..0), "there is no [[step]]")
            });
        }
        Ok(Self {
            file: file.to_owned(),
            name: parsed.name,
            topology: parsed.topology,
            reserved: parsed.vfio_ap,
            mdevs: parsed.mdev.into_iter().map(|m| m.id).collect(),
            guests: parsed.guest,
            steps,
        })
    }
}

/// The names that steps may use.
struct Names {
    mdevs: BTreeSet<String>,
    guests: BTreeSet<String>,
}

impl Names {
    fn of(source: &Source<'_>, file: &File) -> Result<Self, ScenarioError> {
        let unique = |names: Vec<&Name>| {
            let mut set = BTreeSet::new();
            for name in names {
                plain(source, name)?;
                if !set.insert(name.to_string()) {
                    return Err(source.at(&name.span(), format!("\"{name}\" is there already")));
                }
            }
            Ok(set)
        };
        let mut mdevs = unique(file.mdev.iter().map(|m| &m.id).collect())?;
        // One that was removed may be created again, and others later.
        let steps = file.step.iter().map(Spanned::get_ref);
        for name in steps.filter_map(|s| s.create_mdev.as_ref()) {
            plain(source, name)?;
            mdevs.insert(name.to_string());
        }
        let guests = unique(file.guest.iter().map(|g| &g.id).collect())?;
        Ok(Self { mdevs, guests })
    }

    fn mdev(&self, source: &Source<'_>, name: &Name) -> Result<(), ScenarioError> {
        known(source, &self.mdevs, name, "mdev")
    }

    fn guest(&self, source: &Source<'_>, name: &Name) -> Result<(), ScenarioError> {
        known(source, &self.guests, name, "guest")
    }
}

/// Names become parts of those of files.
fn plain(source: &Source<'_>, name: &Name) -> Result<(), ScenarioError> {
    let plain = |c: char| c.is_ascii_alphanumeric() || c == '-' || c == '_';
    if !name.is_empty() && name.chars().all(plain) {
        return Ok(());
    }
    let what = format!("\"{name}\" is not of letters, digits, - and _");
    Err(source.at(&name.span(), what))
}

fn known(
    source: &Source<'_>,
    set: &BTreeSet<String>,
    name: &Name,
    what: &str,
) -> Result<(), ScenarioError> {
    if set.contains(&**name) {
        return Ok(());
    }
    let names: Vec<&str> = set.iter().map(String::as_str).collect();
    let what = format!("there is no {what} \"{name}\", only [{}]", names.join(", "));
    Err(source.at(&name.span(), what))
}

fn check_guest(
    source: &Source<'_>,
    names: &Names,
    guest: &GuestEntry,
) -> Result<(), ScenarioError> {
    if let Some(mdev) = &guest.mdev {
        names.mdev(source, mdev)?;
    }
    if CPUS.contains(guest.cpus.get_ref()) {
        return Ok(());
    }
    let what = format!("must be {} to {}", CPUS.start(), CPUS.end());
    Err(source.at(&guest.cpus.span(), what))
}

fn checked(
    source: &Source<'_>,
    names: &Names,
    step: Spanned<StepEntry>,
) -> Result<Step, ScenarioError> {
    let span = step.span();
    let mut entry = step.into_inner();
    let expect = std::mem::take(&mut entry.expect);
    let within = entry.within_ms.map_or(WITHIN, Duration::from_millis);
    let only = entry.only;
    let mut actions = actions(source, entry)?;
    let action = match (actions.pop(), actions.is_empty()) {
        (Some(action), true) => action,
        (None, _) => return Err(source.at(&span, "a step needs an action")),
        (Some(_), false) => return Err(source.at(&span, "a step has exactly one action")),
    };
    for name in action.mdevs() {
        names.mdev(source, name)?;
    }
    for name in action.guests() {
        names.guest(source, name)?;
    }
    check_expect(source, names, &expect)?;
    if let (Some(errno), false) = (&expect.errno, action.has_errno()) {
        return Err(source.at(
            &errno.span(),
            "this action writes no file, so it has no errno",
        ));
    }
    for never in expect.never.iter().flat_map(|Never(all)| all) {
        check_never(source, names, never)?;
    }
    Ok(Step {
        line: source.line(&span),
        action,
        within,
        only,
        expect,
        left_out: None,
    })
}

fn check_never(
    source: &Source<'_>,
    names: &Names,
    never: &Spanned<Expect>,
) -> Result<(), ScenarioError> {
    let inner = never.get_ref();
    let once = inner.errno.is_some() || inner.crypto_ok.is_some();
    if once || inner.never.is_some() || !inner.guest_sees_only.is_empty() {
        let what = "never takes what can be looked at in any moment: \
                    not errno, crypto-ok, never, guest-sees-only";
        return Err(source.at(&never.span(), what));
    }
    check_expect(source, names, inner)
}

fn check_expect(source: &Source<'_>, names: &Names, expect: &Expect) -> Result<(), ScenarioError> {
    let mdevs = expect.matrix.keys().chain(expect.guest_matrix.keys());
    let mdevs = mdevs
        .chain(expect.control_domains.keys())
        .chain(expect.explain.keys());
    for name in mdevs {
        names.mdev(source, name)?;
    }
    let guests = expect.guest_sees.keys().chain(expect.guest_tapq.keys());
    let guests = guests
        .chain(expect.guest_sees_only.keys())
        .chain(expect.guest_empty.keys())
        .chain(expect.linux_devices.keys());
    for name in guests {
        names.guest(source, name)?;
    }
    Ok(())
}

/// All actions of a step; there should be one.
fn actions(source: &Source<'_>, e: StepEntry) -> Result<Vec<Action>, ScenarioError> {
    let machine = e.machine.map(|m| operation(source, m)).transpose()?;
    let all = [
        e.assign.map(Action::Assign),
        e.unassign.map(Action::Unassign),
        e.ap_config.map(Action::ApConfig),
        e.write.map(Action::Write),
        machine.map(Action::Machine),
        e.bind.map(Action::Bind),
        e.unbind.map(Action::Unbind),
        e.apmask.map(Action::Apmask),
        e.aqmask.map(Action::Aqmask),
        e.create_mdev.map(Action::CreateMdev),
        e.remove_mdev.map(Action::RemoveMdev),
        e.start.map(Action::Start),
        e.stop.map(Action::Stop),
        e.kill.map(Action::Kill),
        e.reset.map(Action::Reset),
        e.attach.map(Action::Attach),
        e.detach.map(Action::Detach),
        e.crypto.map(Action::Crypto),
        e.run.map(Action::Run),
        e.pause_ms.map(Action::Pause),
    ];
    Ok(all.into_iter().flatten().collect())
}

fn operation(
    source: &Source<'_>,
    machine: Spanned<MachineEntry>,
) -> Result<Operation, ScenarioError> {
    let span = machine.span();
    let m = machine.into_inner();
    let adapter = m.add_adapter.map(|t| adapter(source, &t)).transpose()?;
    let fault = m.fault.map(|t| fault(source, &t)).transpose()?;
    if let Some(clear) = m.clear_faults.as_ref().filter(|clear| !*clear.get_ref()) {
        return Err(source.at(&clear.span(), "can only be true"));
    }
    let all = [
        m.config.map(Operation::Config),
        m.checkstop.map(Operation::Checkstop),
        adapter,
        m.remove_adapter.map(Operation::RemoveAdapter),
        m.add_domain.map(|d| Operation::Domain(d, true)),
        m.remove_domain.map(|d| Operation::Domain(d, false)),
        m.add_control_domain
            .map(|d| Operation::ControlDomain(d, true)),
        m.remove_control_domain
            .map(|d| Operation::ControlDomain(d, false)),
        fault,
        m.clear_faults.map(|_| Operation::ClearFaults),
    ];
    let mut all = all.into_iter().flatten();
    match (all.next(), all.next()) {
        (Some(one), None) => Ok(one),
        _ => Err(source.at(&span, "exactly one change of the machine is needed")),
    }
}

/// An adapter table means what it does in a topology file.
fn adapter(source: &Source<'_>, table: &Spanned<Table>) -> Result<Operation, ScenarioError> {
    let topology = Topology::parse(&section(source, "adapter", table)?);
    let topology = topology.map_err(|e| in_table(source, &table.span(), &e))?;
    let mut adapters = topology.adapters.into_iter();
    let spec = adapters
        .next()
        .ok_or_else(|| source.at(&table.span(), "no adapter"))?;
    Ok(Operation::AddAdapter(spec))
}

/// So does a fault table.
fn fault(source: &Source<'_>, table: &Spanned<Table>) -> Result<Operation, ScenarioError> {
    let text = section(source, "fault", table)?;
    Topology::parse_faults(&text).map_err(|e| in_table(source, &table.span(), &e))?;
    Ok(Operation::Fault(text))
}

fn section(
    source: &Source<'_>,
    name: &str,
    table: &Spanned<Table>,
) -> Result<String, ScenarioError> {
    let body = toml::to_string(table.get_ref());
    let body = body.map_err(|e| source.at(&table.span(), e.to_string()))?;
    Ok(format!("[[{name}]]\n{body}"))
}

/// An error in a table that was copied; it names a line of the copy first.
fn in_table(
    source: &Source<'_>,
    span: &Range<usize>,
    error: &ap_device::topology::TopologyError,
) -> ScenarioError {
    let text = error.to_string();
    let what = text
        .split_once(": ")
        .map_or(text.as_str(), |(_, what)| what);
    source.at(span, what)
}
