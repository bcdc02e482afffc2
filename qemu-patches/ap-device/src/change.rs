// SPDX-License-Identifier: MIT OR Apache-2.0
//! Changes of the configuration: what an HMC, an SE or SCLP does.
//!
//! Each one that takes place ends in [`Effect::ConfigChanged`]. Firmware is not
//! known to raise the event for deconfiguring and checkstops, but without it
//! Linux would leave pending requests waiting until its next bus scan.
//!
//! Queues that can no longer be reached lose their contents and interrupts at
//! once; a reset running in them is forgotten.

use std::fmt;

use ap_arch::{Adm, Apid, Apqi, Apqn, Aqm};

use crate::{AdapterSpec, Ap, Effect, Ns, abi};

/// What becomes of a change.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Change {
    /// It took place.
    Done,
    /// It was so already.
    Already,
}

/// Why a change was refused. Nothing has changed then.
#[derive(Clone, Copy, PartialEq, Eq, Debug, thiserror::Error)]
pub enum ChangeError {
    /// The APID is taken.
    #[error("adapter {0} is there already")]
    Taken(Apid),
    /// There is no such adapter.
    #[error("there is no adapter {0}")]
    NoAdapter(Apid),
    /// The APID is above the machine's highest.
    #[error("the machine has no adapter {} and none above {}", .0.get(), .1.get())]
    AboveNa(Apid, Apid),
    /// The domain is above the machine's highest.
    #[error("the machine has no domain {} and none above {}", .0.get(), .1.get())]
    AboveNd(Apqi, Apqi),
}

/// How much a reset resets.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum ResetKind {
    /// Queues, all flavours of subsystem reset.
    Subsystem,
    /// Queues and the state that adapters were added with.
    PowerOn,
}

/// An adapter and its present state.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct AdapterState {
    /// As it was plugged.
    pub spec: AdapterSpec,
    /// Whether it is configured.
    pub config: bool,
    /// Whether it is checkstopped.
    pub checkstop: bool,
}

/// Tag of a configuration record in the audit log: what changed.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum What {
    Added = 1,
    Removed = 2,
    Configured = 3,
    Deconfigured = 4,
    Checkstopped = 5,
    Recovered = 6,
    Domains = 7,
}

/// Length of a reset record in the audit log for a subsystem reset; 1 and 2
/// are RAPQ and ZAPQ.
const RESET_SUBSYSTEM: u32 = 3;

impl Ap {
    /// Plugs an adapter.
    pub fn add_adapter(&mut self, now: Ns, spec: AdapterSpec) -> Result<(), ChangeError> {
        self.poll(now);
        if self.adapters.contains_key(&spec.apid) {
            return Err(ChangeError::Taken(spec.apid));
        }
        self.limits.check_adapter(spec.apid)?;
        self.plug(spec);
        self.changed(What::Added, spec.apid);
        Ok(())
    }

    /// Unplugs an adapter.
    pub fn remove_adapter(&mut self, now: Ns, apid: Apid) -> Result<(), ChangeError> {
        self.poll(now);
        if self.adapters.remove(&apid).is_none() {
            return Err(ChangeError::NoAdapter(apid));
        }
        self.discard_adapter(apid);
        self.changed(What::Removed, apid);
        Ok(())
    }

    /// An adapter's description and state.
    pub fn adapter(&self, apid: Apid) -> Option<AdapterState> {
        self.adapters.get(&apid).map(|adapter| AdapterState {
            spec: adapter.spec,
            config: adapter.config,
            checkstop: adapter.checkstop,
        })
    }

    /// Configures or deconfigures an adapter. The adapter mask keeps it.
    pub fn set_config(&mut self, now: Ns, apid: Apid, on: bool) -> Result<Change, ChangeError> {
        self.poll(now);
        let adapter = self.adapters.get_mut(&apid);
        let adapter = adapter.ok_or(ChangeError::NoAdapter(apid))?;
        if adapter.config == on {
            return Ok(Change::Already);
        }
        adapter.config = on;
        if on {
            self.changed(What::Configured, apid);
        } else {
            self.discard_adapter(apid);
            self.changed(What::Deconfigured, apid);
        }
        Ok(Change::Done)
    }

    /// Lets an adapter fail, or recover.
    pub fn set_checkstop(&mut self, now: Ns, apid: Apid, on: bool) -> Result<Change, ChangeError> {
        self.poll(now);
        let adapter = self.adapters.get_mut(&apid);
        let adapter = adapter.ok_or(ChangeError::NoAdapter(apid))?;
        if adapter.checkstop == on {
            return Ok(Change::Already);
        }
        if on {
            self.fail_adapter(apid);
        } else {
            adapter.checkstop = false;
            self.changed(What::Recovered, apid);
        }
        Ok(Change::Done)
    }

    /// An adapter checkstops.
    pub(crate) fn fail_adapter(&mut self, apid: Apid) {
        if let Some(adapter) = self.adapters.get_mut(&apid) {
            adapter.checkstop = true;
            self.discard_adapter(apid);
            self.changed(What::Checkstopped, apid);
        }
    }

    /// Sets usage and control domains.
    pub fn set_domains(&mut self, now: Ns, aqm: Aqm, adm: Adm) -> Result<Change, ChangeError> {
        self.poll(now);
        if (aqm, adm) == (self.matrix.aqm, self.matrix.adm) {
            return Ok(Change::Already);
        }
        self.limits.check_domains(aqm, adm)?;
        let gone = self.matrix.aqm.and_not(aqm);
        self.set_masks(aqm, adm);
        for apqi in gone.iter() {
            for apqn in self.used(None, Some(apqi)) {
                self.discard(apqn);
            }
        }
        self.changed(What::Domains, Apid::default());
        Ok(Change::Done)
    }

    /// Resets all queues at once, as good as a completed ZAPQ of each: nothing
    /// of the program before is left to the one that comes.
    pub fn reset(&mut self, now: Ns, kind: ResetKind) {
        self.poll(now);
        for apqn in self.used(None, None) {
            self.discard(apqn);
            let queue = self.queue_mut(apqn);
            queue.epoch = queue.epoch.wrapping_add(1);
            self.log_event(abi::OP_RESET_DONE, apqn, RESET_SUBSYSTEM, 0);
        }
        if kind == ResetKind::PowerOn {
            for adapter in self.adapters.values_mut() {
                adapter.config = adapter.spec.config;
                adapter.checkstop = adapter.spec.checkstop;
            }
        }
        self.effects.clear();
    }

    fn discard_adapter(&mut self, apid: Apid) {
        for apqn in self.used(Some(apid), None) {
            self.discard(apqn);
        }
    }

    fn changed(&mut self, what: What, apid: Apid) {
        self.set_masks(self.matrix.aqm, self.matrix.adm);
        let apqn = Apqn::new(apid, Apqi::default());
        self.log_event(abi::OP_CONFIG, apqn, 0, what as u64);
        self.effects.push(Effect::ConfigChanged);
    }
}

impl fmt::Debug for Ap {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Ap")
            .field("now", &self.now)
            .field("matrix", &self.matrix)
            .finish_non_exhaustive()
    }
}
