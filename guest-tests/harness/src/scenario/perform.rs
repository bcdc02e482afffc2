// SPDX-License-Identifier: MIT OR Apache-2.0
//! Carries out the actions of a scenario.

use super::file::Scenario;
use super::grammar::{Action, Crypto, GuestEntry, Reserved, ReservedWord, Resources};
use super::operator::Operator;
use super::stage::{LIMIT, Stage};
use super::value::Name;
use super::vmm::{self, Kernel};
use super::world;
use crate::error::Error;
use crate::mdev::{MATRIX, wait_for_bus};
use ap_arch::{Adm, Apid, Apm, Apqn, Aqm, Mask, MaskSpace};
use ap_probe::command::Request;
use l1_protocol::Exit;
use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

const BUS: &str = "/sys/bus/ap";
/// A guest speaks within this time, on a machine that has much else to do.
const BOOT: Duration = Duration::from_secs(180);
/// SIGKILL.
const KILL: i32 = 9;

/// Why an action was not done; the errno's name, if it was a write.
pub type Refusal = String;

/// What actions act on, besides the stage.
pub struct Actor<'a> {
    /// The scenario.
    pub scenario: &'a Scenario,
    /// What its guests run.
    pub kernels: BTreeMap<String, Kernel>,
    /// What it is done on.
    pub ground: Ground<'a>,
}

/// What a scenario is run on.
pub enum Ground<'a> {
    /// An emulated machine, with its operator.
    Emulated(&'a mut Operator),
    /// These queues of a host, which are vfio_ap's; everything else is others'.
    Given(&'a BTreeSet<Apqn>),
}

impl Actor<'_> {
    /// Make what is there at the start: reserved adapters, mdevs.
    ///
    /// # Errors
    /// What L1 refuses.
    pub fn prepare(&mut self, stage: &mut Stage<'_>) -> Result<(), Error> {
        if let Ground::Emulated(_) = self.ground {
            wait_for_bus(stage.machine, LIMIT)?;
            let masks = [
                ("aqmask", Apm::FULL.to_string()),
                ("apmask", apmask(&self.scenario.reserved)),
            ];
            for (name, mask) in masks {
                must(stage.write(&format!("{BUS}/{name}"), &mask)?, name)?;
            }
        }
        let mdevs = self.scenario.mdevs.clone();
        for name in &mdevs {
            must(create(stage, name)?, name)?;
        }
        Ok(())
    }

    /// Leave L1 as it was before.
    ///
    /// # Errors
    /// What L1 refuses.
    pub fn clean_up(&mut self, stage: &mut Stage<'_>) -> Result<(), Error> {
        let guests: Vec<String> = stage.world.guests.keys().cloned().collect();
        for guest in guests {
            stage.signal_guest(&guest, KILL);
            if !has_ended(stage, &guest, LIMIT)? {
                return Err(stage
                    .machine
                    .deadline(&format!("the end of guest {guest}"), LIMIT));
            }
        }
        stage.world.guests.clear();
        stage.world.crypto = None;
        // Faults first: what is stuck would hold up the removal.
        let changed = match &mut self.ground {
            Ground::Emulated(operator) => operator.restore(stage.machine)?,
            Ground::Given(_) => false,
        };
        for name in std::mem::take(&mut stage.world.mdevs).into_values() {
            must(stage.write(&format!("{MATRIX}/{name}/remove"), "1")?, &name)?;
        }
        if changed {
            must(stage.write(&format!("{BUS}/scans"), "1")?, "scans")?;
        }
        let queues = match &self.ground {
            Ground::Emulated(_) => "??.????".to_owned(),
            Ground::Given(queues) => {
                let names: Vec<String> = queues.iter().map(Apqn::to_string).collect();
                names.join(" ")
            }
        };
        let rebind = format!(
            "cd {BUS}/devices; for q in {queues}; do [ -e $q/driver ] || echo $q >../drivers_probe; done"
        );
        stage.run(&["sh", "-c", &rebind], LIMIT)?;
        match self.ground {
            Ground::Emulated(_) => wait_for_bus(stage.machine, LIMIT),
            // On a host the bus may have queues that never get a driver.
            Ground::Given(_) => Ok(()),
        }
    }

    /// Do it. `Ok(Err(...))` if it was refused.
    ///
    /// # Errors
    /// When the machine fails.
    pub fn perform(
        &mut self,
        stage: &mut Stage<'_>,
        action: &Action,
        within: Duration,
    ) -> Result<Result<(), Refusal>, Error> {
        match action {
            Action::Assign(r) => each(stage, "assign", r),
            Action::Unassign(r) => each(stage, "unassign", r),
            Action::ApConfig(r) => {
                let path = format!("{}/ap_config", stage.world.mdev_path(&r.mdev));
                stage.write(&path, &ap_config(r))
            }
            Action::Write(w) => stage.write(&w.path, &w.data),
            Action::Machine(operation) => {
                let Ground::Emulated(operator) = &mut self.ground else {
                    return Ok(Err("this is no emulated machine".to_owned()));
                };
                // A scan that is under way would miss the change.
                must(stage.write(&format!("{BUS}/scans"), "1")?, "scans")?;
                match operator.perform(stage.machine, operation) {
                    Err(refused @ Error::Qmp { .. }) => Ok(Err(refused.to_string())),
                    other => other.map(Ok),
                }
            }
            Action::Bind(b) => stage.write(&driver_file(&b.driver, "bind"), &b.apqn.to_string()),
            Action::Unbind(b) => {
                stage.write(&driver_file(&b.driver, "unbind"), &b.apqn.to_string())
            }
            Action::Apmask(mask) => stage.write(&format!("{BUS}/apmask"), mask),
            Action::Aqmask(mask) => stage.write(&format!("{BUS}/aqmask"), mask),
            Action::CreateMdev(name) => create(stage, name),
            Action::RemoveMdev(name) => remove(stage, name),
            Action::Start(name) => self.start(stage, name),
            Action::Stop(name) => stop(stage, name, within),
            Action::Kill(name) => kill(stage, name),
            Action::Reset(name) => reset(stage, name),
            Action::Attach(both) => {
                let kernel = self.kernels.get(&*both.guest);
                let (Some(guest), Some(kernel)) = (self.guest(&both.guest), kernel) else {
                    return Ok(Err(format!("there is no guest {}", both.guest)));
                };
                let events = vmm::events(guest, kernel);
                let path = stage.world.mdev_path(&both.mdev);
                vmm::control(stage, &both.guest, &vmm::attach(&path, events))
            }
            Action::Detach(both) => vmm::control(stage, &both.guest, &vmm::detach()),
            Action::Crypto(crypto) => request_crypto(stage, crypto, within),
            Action::Run(line) => {
                let output = stage.run(&["sh", "-c", line], LIMIT)?;
                let words = format!("{:?}: {}{}", output.exit, output.stdout, output.stderr);
                Ok(if output.exit == Exit::Status(0) {
                    Ok(())
                } else {
                    Err(words.trim().to_owned())
                })
            }
            Action::Pause(ms) => {
                stage.until(Duration::from_millis(*ms), |_| false)?;
                Ok(Ok(()))
            }
        }
    }

    fn guest(&self, name: &str) -> Option<&GuestEntry> {
        self.scenario.guests.iter().find(|g| &*g.id == name)
    }

    fn start(&mut self, stage: &mut Stage<'_>, name: &Name) -> Result<Result<(), Refusal>, Error> {
        let running = stage
            .world
            .guests
            .get(&**name)
            .is_some_and(|g| g.ended.is_none());
        let (Some(guest), Some(kernel)) = (self.guest(name), self.kernels.get(&**name)) else {
            return Ok(Err(format!("there is no guest {name}")));
        };
        if running {
            return Ok(Err("it runs already".to_owned()));
        }
        let mdev = guest.mdev.as_ref().map(|id| stage.world.mdev_path(id));
        let argv = vmm::command(&stage.machine.folders, guest, kernel, mdev.as_deref());
        stage.start_guest(name, &argv);
        is_up(stage, name)
    }
}

/// What must not be refused.
fn must(done: Result<(), Refusal>, what: &str) -> Result<(), Error> {
    done.map_err(|errno| Error::Transfer(format!("{what}: {errno}")))
}

/// The adapters that the host keeps, as `apmask` takes them.
fn apmask(reserved: &Reserved) -> String {
    let mask = match reserved {
        Reserved::Word(ReservedWord::All) => Apm::EMPTY,
        Reserved::Word(ReservedWord::None) => Apm::FULL,
        Reserved::List(list) => list.iter().fold(Apm::FULL, |m, a| m.without(Apid::new(*a))),
    };
    mask.to_string()
}

fn mask<S: MaskSpace>(numbers: &[u8]) -> Mask<S> {
    numbers
        .iter()
        .fold(Mask::EMPTY, |mask, n| mask.with(S::Id::from(*n)))
}

fn ap_config(r: &Resources) -> String {
    let (apm, aqm, adm): (Apm, Aqm, Adm) = (
        mask(&r.adapters),
        mask(&r.domains),
        mask(&r.control_domains),
    );
    format!("{apm},{aqm},{adm}")
}

fn driver_file(driver: &str, file: &str) -> String {
    format!("{BUS}/drivers/{driver}/{file}")
}

/// One write a resource, as mdevctl does; the first refusal ends it.
fn each(stage: &mut Stage<'_>, verb: &str, r: &Resources) -> Result<Result<(), Refusal>, Error> {
    let path = stage.world.mdev_path(&r.mdev);
    let kinds = [
        ("adapter", &r.adapters),
        ("domain", &r.domains),
        ("control_domain", &r.control_domains),
    ];
    for (kind, numbers) in kinds {
        for number in numbers {
            let file = format!("{path}/{verb}_{kind}");
            if let Err(errno) = stage.write(&file, &format!("{number:#x}"))? {
                return Ok(Err(errno));
            }
        }
    }
    Ok(Ok(()))
}

/// What the UUIDs of our mdevs begin with.
pub(crate) const OUR_UUIDS: &str = "5fb1ad1a-0000-4000-8000-";

/// Create an mdev under the UUID that its name stands for.
fn create(stage: &mut Stage<'_>, name: &str) -> Result<Result<(), Refusal>, Error> {
    let digest = name
        .bytes()
        .fold(0u64, |n, b| (n << 8 | u64::from(b)) ^ n >> 41);
    let uuid = format!("{OUR_UUIDS}{:012x}", digest & 0xffff_ffff_ffff);
    let file = format!("{MATRIX}/mdev_supported_types/vfio_ap-passthrough/create");
    let done = stage.write(&file, &uuid)?;
    if done.is_ok() {
        stage.world.mdevs.insert(name.to_owned(), uuid.clone());
        let path = |attribute: &str| format!("{MATRIX}/{uuid}/{attribute}");
        let attributes = ["matrix", "guest_matrix", "control_domains", "explain"];
        stage.watch_files(&attributes.map(path))?;
    }
    Ok(done)
}

fn remove(stage: &mut Stage<'_>, name: &str) -> Result<Result<(), Refusal>, Error> {
    let done = stage.write(&format!("{}/remove", stage.world.mdev_path(name)), "1")?;
    if done.is_ok() {
        stage.world.mdevs.remove(name);
    }
    Ok(done)
}

/// Wait until a guest takes commands.
fn is_up(stage: &mut Stage<'_>, name: &str) -> Result<Result<(), Refusal>, Error> {
    let so = stage.until(BOOT, |w| {
        w.guests
            .get(name)
            .is_none_or(|g| g.ready || g.ended.is_some())
    })?;
    let state = stage.world.guests.get(name);
    Ok(match state {
        Some(g) if g.ready => Ok(()),
        Some(g) if !so => Err(format!(
            "it said nothing within {BOOT:?}; its console:\n{}",
            g.tail()
        )),
        Some(g) => Err(format!(
            "it ended ({:?}); its console:\n{}",
            g.ended,
            g.tail()
        )),
        None => Err("there is no such guest".to_owned()),
    })
}

fn has_ended(stage: &mut Stage<'_>, name: &str, limit: Duration) -> Result<bool, Error> {
    stage.until(limit, |w| {
        w.guests.get(name).is_none_or(|g| g.ended.is_some())
    })
}

/// Ask a guest to shut down and wait for its end.
fn stop(stage: &mut Stage<'_>, name: &str, within: Duration) -> Result<Result<(), Refusal>, Error> {
    let Some(state) = stage
        .world
        .guests
        .get_mut(name)
        .filter(|g| g.ended.is_none())
    else {
        return Ok(Err("it does not run".to_owned()));
    };
    state.may_end = true;
    if let Err(words) = vmm::control(stage, name, &vmm::quiesce())? {
        return Ok(Err(words));
    }
    if !has_ended(stage, name, within)? {
        return Ok(Err(format!("it did not end within {within:?}")));
    }
    let ended = stage.world.guests.get(name).and_then(|g| g.ended.clone());
    Ok(match ended {
        Some(Exit::Status(0)) => Ok(()),
        other => Err(format!("it ended as {other:?}")),
    })
}

/// End a guest's VMM by SIGKILL.
fn kill(stage: &mut Stage<'_>, name: &str) -> Result<Result<(), Refusal>, Error> {
    if !stage.signal_guest(name, KILL) {
        return Ok(Err("it does not run".to_owned()));
    }
    Ok(if has_ended(stage, name, LIMIT)? {
        Ok(())
    } else {
        Err("it did not end".to_owned())
    })
}

fn reset(stage: &mut Stage<'_>, name: &str) -> Result<Result<(), Refusal>, Error> {
    // What it said before is not said by the guest that begins now.
    let state = stage.world.guests.get(name);
    if state.is_some_and(|g| g.ended.is_none()) {
        stage.world.begins(name);
    }
    match vmm::control(stage, name, &vmm::reset())? {
        Ok(()) => is_up(stage, name),
        refused => Ok(refused),
    }
}

/// RSA requests go on while other steps are done; `crypto-ok` waits for them.
/// Requests whose replies are left are sent when this is done.
fn request_crypto(
    stage: &mut Stage<'_>,
    crypto: &Crypto,
    within: Duration,
) -> Result<Result<(), Refusal>, Error> {
    let Crypto {
        guest,
        apqn,
        requests,
        collect,
    } = crypto;
    let request = match collect {
        true => Request::Crypto(apqn.0, *requests),
        false => Request::Send(apqn.0, *requests),
    };
    if stage.world.crypto_is_under_way() == Some(true) {
        return Ok(Err("the requests before are not done".to_owned()));
    }
    let guest = guest.to_string();
    let Some(id) = stage.ask(&guest, request) else {
        return Ok(Err("the guest does not run".to_owned()));
    };
    stage.world.crypto = Some(world::Crypto {
        guest: guest.clone(),
        id,
        ok: None,
        unable: false,
    });
    if *collect {
        return Ok(Ok(()));
    }
    stage.until(within, |w| w.guests[&guest].answers.contains_key(&request))?;
    let answer = stage.world.guests[&guest].answers.get(&request);
    Ok(match answer {
        Some(answer) if answer["ok"].as_u64() == Some(u64::from(*requests)) => Ok(()),
        Some(answer) => Err(answer.to_string()),
        None => Err("the guest did not answer".to_owned()),
    })
}
