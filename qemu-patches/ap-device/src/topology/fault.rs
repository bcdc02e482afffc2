// SPDX-License-Identifier: MIT OR Apache-2.0
//! Faults in a topology.

use std::time::Duration;

use ap_arch::{Apid, Apqi, Apqn};
use serde::Deserialize;
use toml::Spanned;

use super::error::{Text, TopologyError};
use crate::abi::MAX_MESSAGE;
use crate::{Act, Fault, Listener, Scope, Trigger};

/// One `[[fault]]`.
#[derive(Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
pub(super) struct FaultEntry {
    apqn: Option<Spanned<String>>,
    apid: Option<Spanned<u8>>,
    domain: Option<Spanned<u8>>,
    control_domain: Option<Spanned<u8>>,
    on: Spanned<Trigger>,
    act: Option<Spanned<Name>>,
    rc: Option<Spanned<u8>>,
    length: Option<Spanned<u32>>,
    after: Option<u32>,
    times: Option<Spanned<u32>>,
    delay_ms: Option<Spanned<u64>>,
    to: Option<Spanned<Listener>>,
}

/// Acts by name. Answering with a code has none: it is what `rc` alone means.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Deserialize)]
#[serde(rename_all = "kebab-case")]
enum Name {
    Async,
    BadLength,
    Checkstop,
    Drop,
    Duplicate,
    Expose,
    Keep,
    Lie,
    Reorder,
    Stuck,
    WrongPsmid,
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
        let scope = self.scope(source)?;
        if let Some(times) = self.times.as_ref().filter(|times| *times.get_ref() == 0) {
            return Err(source.at(times, "must be at least 1".into()));
        }
        let act = self.act(source)?;
        if act.is_some_and(|act| !act.fits(on)) {
            let what = "this cannot happen there".to_owned();
            return Err(match &self.act {
                Some(name) => source.at(name, what),
                None => source.at(&self.on, what),
            });
        }
        if let (Some(to), false) = (&self.to, matches!(act, Some(Act::Lie(_)))) {
            return Err(source.at(to, "only lie has one".into()));
        }
        if let (Some(times), Some(Act::Expose)) = (&self.times, act) {
            return Err(source.at(times, "expose lasts until it is cleared".into()));
        }
        match &self.delay_ms {
            Some(delay) if !on.completes_later() => {
                let what = "only rapq, zapq, aqic, reply and irq complete later";
                return Err(source.at(delay, what.into()));
            }
            None if act.is_none() => {
                return Err(source.at(&self.on, "needs rc, act or delay-ms".into()));
            }
            _ => (),
        }
        let delay = self.delay_ms.as_ref();
        Ok(Fault {
            scope,
            on,
            act,
            after: self.after.unwrap_or(0),
            times: self.times.as_ref().map(|times| *times.get_ref()),
            delay: delay.map(|ms| Duration::from_millis(*ms.get_ref())),
        })
    }

    /// Where. A lie is about one bit of a mask, all else about queues.
    fn scope(&self, source: &Text<'_>) -> Result<Scope, TopologyError> {
        let lies = *self.on.get_ref() == Trigger::Qci;
        let number = |n: &Spanned<u8>| *n.get_ref();
        match (&self.apqn, &self.apid, &self.domain, &self.control_domain) {
            (Some(apqn), None, None, None) if !lies => {
                let queue: Result<Apqn, _> = apqn.get_ref().parse();
                Ok(Scope::Queue(
                    queue.map_err(|e| source.at(apqn, e.to_string()))?,
                ))
            }
            (None, Some(apid), None, None) => Ok(Scope::Adapter(Apid::new(number(apid)))),
            (None, None, Some(apqi), None) => Ok(Scope::Domain(Apqi::new(number(apqi)))),
            (None, None, None, Some(apqi)) if lies => {
                Ok(Scope::ControlDomain(Apqi::new(number(apqi))))
            }
            _ => {
                let what = match lies {
                    true => "needs one of apid, domain and control-domain",
                    false => "needs one of apqn, apid and domain",
                };
                Err(source.at(&self.on, what.into()))
            }
        }
    }

    /// What happens; its parameters must be there, and no others.
    fn act(&self, source: &Text<'_>) -> Result<Option<Act>, TopologyError> {
        if let Some(rc) = self.rc.as_ref().filter(|rc| *rc.get_ref() == 0) {
            return Err(source.at(rc, "0 is not an error".into()));
        }
        let rc = self.rc.as_ref().map(|rc| *rc.get_ref());
        let Some(name) = &self.act else {
            return match &self.length {
                Some(length) => Err(source.at(length, "only bad-length has one".into())),
                None => Ok(rc.map(Act::Code)),
            };
        };
        let act = match (*name.get_ref(), rc, &self.length) {
            (Name::Async, Some(rc), None) => Act::Async(rc),
            (Name::Async, None, _) => return Err(source.at(name, "needs rc".into())),
            (Name::BadLength, None, Some(length)) => {
                let bytes = *length.get_ref();
                if bytes == 0 || bytes as usize > MAX_MESSAGE {
                    return Err(source.at(length, format!("must be 1 to {MAX_MESSAGE}")));
                }
                Act::Length(bytes)
            }
            (Name::BadLength, None, None) => return Err(source.at(name, "needs length".into())),
            (Name::Checkstop, None, None) => Act::Checkstop,
            (Name::Drop, None, None) => Act::Drop,
            (Name::Duplicate, None, None) => Act::Duplicate,
            (Name::Expose, None, None) => Act::Expose,
            (Name::Keep, None, None) => Act::Keep,
            (Name::Lie, None, None) => {
                Act::Lie(self.to.as_ref().map_or(Listener::All, |to| *to.get_ref()))
            }
            (Name::Reorder, None, None) => Act::Reorder,
            (Name::Stuck, None, None) => Act::Stuck,
            (Name::WrongPsmid, None, None) => Act::WrongPsmid,
            (_, rc, _) => {
                let what = if rc.is_some() { "rc" } else { "length" };
                return Err(source.at(name, format!("does not go with {what}")));
            }
        };
        Ok(Some(act))
    }
}
