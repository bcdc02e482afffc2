// SPDX-License-Identifier: MIT OR Apache-2.0
//! The operator of the machine below L1: plugs adapters, gives domains, breaks
//! things, and puts everything back.

use super::grammar::Operation;
use crate::error::Error;
use crate::machine::Machine;
use crate::qmp::{ApClearFaults, ApInject, ApSetDomains};
use ap_arch::{Adm, Apqi, Aqm};
use ap_device::AdapterSpec;
use ap_device::topology::{Topology, format_domains};
use qapi::qmp::{device_add, device_del, qom_set};
use serde_json::json;

/// What the machine has, as far as it was changed from here.
#[derive(Debug, Clone)]
pub struct Operator {
    first: Topology,
    now: Topology,
    faulty: bool,
}

impl Operator {
    /// For a machine with this topology.
    pub fn new(first: Topology) -> Self {
        Self {
            now: first.clone(),
            first,
            faulty: false,
        }
    }

    /// Do something to the machine.
    ///
    /// # Errors
    /// QEMU's refusal.
    pub fn perform(&mut self, machine: &Machine, operation: &Operation) -> Result<(), Error> {
        match operation {
            Operation::Config(s) => {
                set(machine, s.apid, "config", s.on)?;
                self.adapter(s.apid, |a| a.config = s.on);
            }
            Operation::Checkstop(s) => {
                set(machine, s.apid, "checkstop", s.on)?;
                self.adapter(s.apid, |a| a.checkstop = s.on);
            }
            Operation::AddAdapter(spec) => {
                add(machine, spec)?;
                self.now.adapters.push(*spec);
            }
            Operation::RemoveAdapter(apid) => {
                machine.qmp(device_del { id: name(*apid) })?;
                self.now.adapters.retain(|a| a.apid.get() != *apid);
            }
            Operation::Domain(domain, on) => {
                let domain = Apqi::new(*domain);
                let aqm = if *on {
                    self.now.aqm.with(domain)
                } else {
                    self.now.aqm.without(domain)
                };
                self.domains(machine, aqm, self.now.adm)?;
            }
            Operation::ControlDomain(domain, on) => {
                let domain = Apqi::new(*domain);
                let adm = if *on {
                    self.now.adm.with(domain)
                } else {
                    self.now.adm.without(domain)
                };
                self.domains(machine, self.now.aqm, adm)?;
            }
            Operation::Fault(text) => {
                machine.qmp(ApInject {
                    faults: text.clone(),
                })?;
                self.faulty = true;
            }
            Operation::ClearFaults => {
                machine.qmp(ApClearFaults {})?;
                self.faulty = false;
            }
        }
        Ok(())
    }

    /// Make the machine what its topology file says; `true` if it was not.
    ///
    /// # Errors
    /// QEMU's refusal.
    pub fn restore(&mut self, machine: &Machine) -> Result<bool, Error> {
        if self.faulty {
            machine.qmp(ApClearFaults {})?;
            self.faulty = false;
        }
        let other = |spec: &&AdapterSpec, all: &[AdapterSpec]| !all.contains(spec);
        let (first, now) = (self.first.adapters.clone(), self.now.adapters.clone());
        let surplus: Vec<_> = now.iter().filter(|a| other(a, &first)).collect();
        let missing: Vec<_> = first.iter().filter(|a| other(a, &now)).collect();
        let moved = self.first.aqm != self.now.aqm || self.first.adm != self.now.adm;
        let changed = moved || !surplus.is_empty() || !missing.is_empty();
        for spec in surplus {
            machine.qmp(device_del {
                id: name(spec.apid.get()),
            })?;
        }
        for spec in missing {
            add(machine, spec)?;
        }
        if moved {
            self.domains(machine, self.first.aqm, self.first.adm)?;
        }
        self.now = self.first.clone();
        Ok(changed)
    }

    fn adapter(&mut self, apid: u8, change: impl FnOnce(&mut AdapterSpec)) {
        if let Some(spec) = self.now.adapters.iter_mut().find(|a| a.apid.get() == apid) {
            change(spec);
        }
    }

    fn domains(&mut self, machine: &Machine, aqm: Aqm, adm: Adm) -> Result<(), Error> {
        machine.qmp(ApSetDomains {
            usage: Some(format_domains(Adm::from_words(aqm.to_words()))),
            control: Some(format_domains(adm)),
        })?;
        (self.now.aqm, self.now.adm) = (aqm, adm);
        Ok(())
    }
}

fn name(apid: u8) -> String {
    format!("ap{apid:02x}")
}

fn set(machine: &Machine, apid: u8, property: &str, value: bool) -> Result<(), Error> {
    let path = format!("/machine/peripheral/{}", name(apid));
    let (property, value) = (property.to_owned(), json!(value));
    machine
        .qmp(qom_set {
            path,
            property,
            value,
        })
        .map(drop)
}

fn add(machine: &Machine, spec: &AdapterSpec) -> Result<(), Error> {
    let arguments = json!({
        "apid": spec.apid.get(),
        "mode": spec.mode.name(),
        "generation": spec.generation.number(),
        "config": spec.config,
        "checkstop": spec.checkstop,
    });
    let command = device_add {
        driver: "ap-cex".to_owned(),
        id: Some(name(spec.apid.get())),
        bus: None,
        arguments: arguments.as_object().cloned().unwrap_or_default(),
    };
    machine.qmp(command).map(drop)
}
