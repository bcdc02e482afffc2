// SPDX-License-Identifier: MIT OR Apache-2.0
//! Faults in a topology.

use std::time::Duration;

use ap_arch::{Apid, Apqn};
use serde::Deserialize;
use toml::Spanned;

use super::error::{Text, TopologyError};
use crate::{Fault, Scope, Trigger};

/// One `[[fault]]`.
#[derive(Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
pub(super) struct FaultEntry {
    apqn: Option<Spanned<String>>,
    apid: Option<Spanned<u8>>,
    on: Spanned<Trigger>,
    rc: Option<Spanned<u8>>,
    times: Option<Spanned<u32>>,
    delay_ms: Option<Spanned<u64>>,
}

pub(super) fn faults(
    source: &Text<'_>,
    entries: &[FaultEntry],
) -> Result<Vec<Fault>, TopologyError> {
    entries.iter().map(|entry| entry.fault(source)).collect()
}

impl FaultEntry {
    fn fault(&self, source: &Text<'_>) -> Result<Fault, TopologyError> {
        let on = *self.on.get_ref();
        let scope = match (&self.apqn, &self.apid) {
            (Some(apqn), None) => {
                let queue: Result<Apqn, _> = apqn.get_ref().parse();
                Scope::Queue(queue.map_err(|e| source.at(apqn, e.to_string()))?)
            }
            (None, Some(apid)) => Scope::Adapter(Apid::new(*apid.get_ref())),
            _ => return Err(source.at(&self.on, "needs one of apqn and apid".into())),
        };
        if let Some(rc) = self.rc.as_ref().filter(|rc| *rc.get_ref() == 0) {
            return Err(source.at(rc, "0 is not an error".into()));
        }
        if let Some(times) = self.times.as_ref().filter(|times| *times.get_ref() == 0) {
            return Err(source.at(times, "must be at least 1".into()));
        }
        match &self.delay_ms {
            Some(delay) if !on.completes_later() => {
                let what = "only rapq, zapq, aqic and reply complete later";
                return Err(source.at(delay, what.into()));
            }
            None if self.rc.is_none() => {
                return Err(source.at(&self.on, "needs rc or delay-ms".into()));
            }
            _ => (),
        }
        let delay = self.delay_ms.as_ref();
        Ok(Fault {
            scope,
            on,
            code: self.rc.as_ref().map(|rc| *rc.get_ref()),
            times: self.times.as_ref().map(|times| *times.get_ref()),
            delay: delay.map(|ms| Duration::from_millis(*ms.get_ref())),
        })
    }
}
