// SPDX-License-Identifier: MIT OR Apache-2.0
//! Makes a scenario fit a host of the user's own: the adapters and domains of
//! its topology become those of the queues that the user named, and what
//! cannot be held to these is left out.
//!
//! ```text
//! scenario   05 06 07 × 0004 0005        in ascending order, so that the order
//!            │  │  │    │    │           of lines in `explain` stays
//! host       1a 2b 2c × 0011 0012
//! ```

mod search;

use self::search::{Found, Search, Theirs, TooLong, Wanted};
use super::file::{Scenario, Step};
use super::grammar::{Action, Expect, Never, Reserved, ReservedWord, Resources, Sees};
use super::value::{Line, Pattern, Queue};
use ap_arch::{Adm, Apid, Apm, Apqi, Apqn, Aqm};
use ap_device::topology::Topology;
use regex::{Captures, Regex};
use std::collections::{BTreeMap, BTreeSet};
use std::sync::LazyLock;

/// What the user of a host has given.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Given {
    /// The queues that may be used; no others are touched.
    pub queues: BTreeSet<Apqn>,
    /// Accelerators, with which any guest computes RSA.
    pub accelerators: Apm,
    /// Coprocessors that compute RSA, too, for guests with drivers.
    pub coprocessors: Apm,
    /// The host's control domains.
    pub control: Adm,
    /// Adapters that `apmask` keeps from the host, all of whose queues were
    /// named: an edit of the mask that names one touches no other queue.
    pub masked: Apm,
}

/// The scenario for these queues; or why it cannot be run with them. `linux` is
/// whether its guests are Linux.
pub fn fit(
    scenario: &Scenario,
    topology: &Topology,
    given: &Given,
    linux: bool,
) -> Result<Scenario, String> {
    if scenario.reserved != Reserved::Word(ReservedWord::All) {
        return Err("it lets the host keep adapters at the start".to_owned());
    }
    let mut used = Used::of(scenario, topology);
    let able = match linux {
        true => given.accelerators.or(given.coprocessors),
        false => given.accelerators,
    };
    let mut map = used.find(given, able).map_err(|TooLong| TANGLED)?;
    let rsa = map.is_some();
    if !rsa {
        // Rather without its requests than not at all.
        used.rsa = Apm::EMPTY;
        map = used.find(given, able).map_err(|TooLong| TANGLED)?;
    }
    let fitter = Fitter {
        map: map.ok_or_else(|| used.to_string())?,
        given,
        rsa,
    };
    let steps = scenario.steps.iter().map(|step| fitter.step(step));
    Ok(Scenario {
        steps: steps.collect::<Result<_, _>>()?,
        ..scenario.clone()
    })
}

/// What a scenario uses of what its topology has at the start.
#[derive(Default)]
struct Used {
    adapters: Apm,
    domains: Aqm,
    control: Adm,
    /// Adapters that compute RSA.
    rsa: Apm,
}

impl std::fmt::Display for Used {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let (adapters, domains) = (self.adapters.count(), self.domains.count());
        write!(f, "it needs {adapters} adapters by {domains} domains")?;
        if !self.control.is_empty() {
            write!(f, ", with {} control domains", self.control.count())?;
        }
        f.write_str("; APQNS has no such")
    }
}

impl Used {
    fn of(scenario: &Scenario, topology: &Topology) -> Self {
        let mut used = Self::default();
        for step in &scenario.steps {
            match &step.action {
                Action::Assign(r) | Action::Unassign(r) | Action::ApConfig(r) => {
                    used.adapters = used.adapters.or(all(&r.adapters));
                    used.domains = used.domains.or(all(&r.domains));
                    used.control = used.control.or(all(&r.control_domains));
                }
                Action::Bind(b) | Action::Unbind(b) => used.queue(b.apqn),
                Action::Crypto(c) => {
                    used.queue(c.apqn);
                    used.rsa.set(c.apqn.0.apid);
                }
                _ => {}
            }
        }
        let there: Apm = topology.adapters.iter().map(|a| a.apid).collect();
        Self {
            adapters: used.adapters.and(there),
            domains: used.domains.and(topology.aqm),
            control: used.control.and(topology.adm),
            rsa: used.rsa.and(there),
        }
    }

    fn queue(&mut self, queue: Queue) {
        self.adapters.set(queue.0.apid);
        self.domains.set(queue.0.apqi);
    }

    /// The first adapters and domains that do; those of `able` compute RSA.
    fn find(&self, given: &Given, able: Apm) -> Result<Option<Map>, TooLong> {
        let mut by_adapter: BTreeMap<Apid, Aqm> = BTreeMap::new();
        for queue in &given.queues {
            by_adapter.entry(queue.apid).or_default().set(queue.apqi);
        }
        let theirs = by_adapter.into_iter().map(|(apid, domains)| Theirs {
            apid,
            domains,
            rsa: able.test(apid),
        });
        let theirs: Vec<Theirs> = theirs.collect();
        let wanted = Wanted {
            adapters: self.adapters.iter().map(|a| self.rsa.test(a)).collect(),
            domains: self.domains.count(),
            control: self.control.count(),
        };
        let found = Search::new(&wanted, &theirs, given.control).run()?;
        Ok(found.map(|Found { adapters, domains }| {
            let control = as_control(domains).and(given.control);
            Map {
                adapters: self.adapters.iter().zip(adapters).collect(),
                domains: self.domains.iter().zip(domains.iter()).collect(),
                control: self.control.iter().zip(control.iter()).collect(),
            }
        }))
    }
}

fn all<T: From<u8>, C: FromIterator<T>>(numbers: &[u8]) -> C {
    numbers.iter().map(|n| T::from(*n)).collect()
}

fn as_control(domains: Aqm) -> Adm {
    Adm::from_words(domains.to_words())
}

/// Whose number becomes which.
struct Map {
    adapters: BTreeMap<Apid, Apid>,
    domains: BTreeMap<Apqi, Apqi>,
    control: BTreeMap<Apqi, Apqi>,
}

impl Map {
    fn queue(&self, queue: Queue) -> Option<Queue> {
        let apid = self.adapters.get(&queue.0.apid)?;
        let apqi = self.domains.get(&queue.0.apqi)?;
        Some(Queue(Apqn::new(*apid, *apqi)))
    }

    fn list<T: Copy + Ord + From<u8> + Into<u8>>(map: &BTreeMap<T, T>, numbers: &[u8]) -> Vec<u8> {
        let known = numbers.iter().filter_map(|n| map.get(&T::from(*n)));
        known.map(|n| (*n).into()).collect()
    }

    /// Text with numbers in it, such as a line of `explain`; none if it has one
    /// that nothing became.
    fn text(&self, text: &str) -> Option<String> {
        static NUMBERS: LazyLock<Regex> = LazyLock::new(|| {
            let names = r"\b(?P<word>card|adapter )(?P<adapter>[0-9a-f]{2})\b";
            let domains = r"(?P<control>control-)?domain (?P<domain>[0-9a-f]{4})\b";
            // A dot may be escaped: lines of `explain` are regular expressions.
            let queues = r"\b(?P<apid>[0-9a-f]{2})(?P<dot>\\?\.)(?P<apqi>[0-9a-f]{4})\b";
            let halves = r"^(?P<left>[0-9a-f]{2})\.$|^\.(?P<right>[0-9a-f]{4})$";
            Regex::new(&format!("{names}|{domains}|{queues}|{halves}")).expect("it is constant")
        });
        let mut known = true;
        let new = NUMBERS.replace_all(text, |found: &Captures<'_>| {
            self.number(found).unwrap_or_else(|| {
                known = false;
                String::new()
            })
        });
        known.then(|| new.into_owned())
    }

    fn number(&self, found: &Captures<'_>) -> Option<String> {
        let hex = |name: &str| u8::try_from(u16::from_str_radix(&found[name], 16).ok()?).ok();
        let adapter = |name: &str| self.adapters.get(&Apid::new(hex(name)?));
        let domain = |name: &str| self.domains.get(&Apqi::new(hex(name)?));
        let two = |apid: &Apid| format!("{:02x}", apid.get());
        let four = |apqi: &Apqi| format!("{:04x}", apqi.get());
        Some(if let Some(word) = found.name("word") {
            format!("{}{}", word.as_str(), two(adapter("adapter")?))
        } else if found.name("control").is_some() {
            let domain = self.control.get(&Apqi::new(hex("domain")?))?;
            format!("control-domain {}", four(domain))
        } else if found.name("domain").is_some() {
            format!("domain {}", four(domain("domain")?))
        } else if found.name("left").is_some() {
            format!("{}.", two(adapter("left")?))
        } else if found.name("right").is_some() {
            format!(".{}", four(domain("right")?))
        } else {
            let dot = &found["dot"];
            format!("{}{dot}{}", two(adapter("apid")?), four(domain("apqi")?))
        })
    }
}

struct Fitter<'a> {
    map: Map,
    given: &'a Given,
    /// Whether adapters that are to compute RSA do.
    rsa: bool,
}

impl Fitter<'_> {
    fn step(&self, step: &Step) -> Result<Step, String> {
        let mut new = step.clone();
        new.expect = self.expect(&step.expect);
        let fitted = match &step.action {
            Action::Assign(r) => self.resources(r).map(Action::Assign),
            Action::Unassign(r) => self.resources(r).map(Action::Unassign),
            Action::ApConfig(r) => self.resources(r).map(Action::ApConfig),
            Action::Machine(_) => Err("only an emulated machine can do that"),
            Action::Bind(b) | Action::Unbind(b) => match self.map.queue(b.apqn) {
                Some(apqn) => {
                    let mut b = b.clone();
                    b.apqn = apqn;
                    Ok(match &step.action {
                        Action::Bind(_) => Action::Bind(b),
                        _ => Action::Unbind(b),
                    })
                }
                None => Err(NOT_THERE),
            },
            Action::Crypto(_) if !self.rsa => Err(NO_RSA),
            Action::Crypto(c) => match self.map.queue(c.apqn) {
                Some(apqn) => {
                    let mut c = c.clone();
                    c.apqn = apqn;
                    Ok(Action::Crypto(c))
                }
                None => Err(NOT_THERE),
            },
            Action::Apmask(mask) => self.apmask(mask).map(Action::Apmask).ok_or(TOO_MUCH),
            Action::Aqmask(_) | Action::Write(_) | Action::Run(_) => Err(TOO_MUCH),
            other => Ok(other.clone()),
        };
        match fitted {
            Ok(action) => new.action = action,
            // What is to be refused changes nothing: later steps do without it.
            Err(TOO_MUCH) if step.expect.errno.is_none() => {
                let action = step.action.to_string();
                let action = action.lines().next().unwrap_or_default();
                return Err(format!("line {}: {action}: {TOO_MUCH}", step.line));
            }
            Err(why) => new.left_out = Some(why.to_owned()),
        }
        Ok(new)
    }

    fn resources(&self, r: &Resources) -> Result<Resources, &'static str> {
        let new = Resources {
            mdev: r.mdev.clone(),
            adapters: Map::list(&self.map.adapters, &r.adapters),
            domains: Map::list(&self.map.domains, &r.domains),
            control_domains: Map::list(&self.map.control, &r.control_domains),
        };
        let empty = |r: &Resources| {
            r.adapters.is_empty() && r.domains.is_empty() && r.control_domains.is_empty()
        };
        if empty(&new) && !empty(r) {
            return Err(NOT_THERE);
        }
        Ok(new)
    }

    /// `+5` or `-5`, if no queue but those named is concerned.
    fn apmask(&self, edit: &str) -> Option<String> {
        let sign = edit.get(..1).filter(|s| *s == "+" || *s == "-")?;
        let number = edit[1..].trim();
        let apid = match number.strip_prefix("0x") {
            Some(hex) => u8::from_str_radix(hex, 16).ok()?,
            None => number.parse().ok()?,
        };
        let apid = self.map.adapters.get(&Apid::new(apid))?;
        let ours = self.given.masked.test(*apid);
        ours.then(|| format!("{sign}{:#x}", apid.get()))
    }

    fn expect(&self, e: &Expect) -> Expect {
        let map = &self.map;
        let texts = |lines: &[String]| lines.iter().filter_map(|l| map.text(l)).collect();
        let line = |l: &Line| map.text(l.as_written()).and_then(|t| Line::new(&t).ok());
        let mut new = e.clone();
        for list in new.matrix.values_mut().chain(new.guest_matrix.values_mut()) {
            *list = texts(list);
        }
        for list in new.linux_devices.values_mut() {
            *list = texts(list);
        }
        for list in new.control_domains.values_mut() {
            *list = Map::list(&map.control, list);
        }
        for lines in new.explain.values_mut() {
            *lines = lines.iter().filter_map(line).collect();
        }
        for sees in new.guest_sees.values_mut() {
            self.sees(sees);
        }
        for sees in new.guest_sees_only.values_mut().flatten() {
            self.sees(sees);
        }
        for queues in new.guest_tapq.values_mut() {
            *queues = self.queues(queues);
        }
        for queues in new.guest_empty.values_mut() {
            *queues = self.queues(queues);
        }
        new.queue_driver = self.queues(&e.queue_driver);
        let log = e.log.as_ref().and_then(|p| map.text(p.0.as_str()));
        new.log = log.and_then(|text| Pattern::new(&text).ok());
        new.crypto_ok = new.crypto_ok.filter(|_| self.rsa);
        new.crypto_under_way = new.crypto_under_way.filter(|_| self.rsa);
        if let Some(Never(nevers)) = &mut new.never {
            // With a number that the host cannot show it never comes true, and
            // without that number it would be something else.
            nevers.retain(|n| self.can_be(n.get_ref()));
            for never in nevers {
                *never.get_mut() = self.expect(never.get_ref());
            }
        }
        new
    }

    fn sees(&self, sees: &mut Sees) {
        let map = &self.map;
        sees.adapters = sees.adapters.as_ref().map(|l| Map::list(&map.adapters, l));
        sees.domains = sees.domains.as_ref().map(|l| Map::list(&map.domains, l));
        let control = sees.control_domains.as_ref();
        sees.control_domains = control.map(|l| Map::list(&map.control, l));
    }

    fn queues<T: Clone>(&self, queues: &BTreeMap<Queue, T>) -> BTreeMap<Queue, T> {
        let known = queues
            .iter()
            .filter_map(|(q, v)| Some((self.map.queue(*q)?, v.clone())));
        known.collect()
    }

    /// Whether all numbers of these expectations became others.
    fn can_be(&self, e: &Expect) -> bool {
        let new = self.expect(e);
        let size = |e: &Expect| {
            let lists = e.matrix.values().chain(e.guest_matrix.values());
            let lists = lists.chain(e.linux_devices.values()).map(Vec::len);
            let sees = e.guest_sees.values().flat_map(|s| {
                let all = [&s.adapters, &s.domains, &s.control_domains];
                all.map(|l| l.as_ref().map_or(0, Vec::len))
            });
            let queues = e.guest_tapq.values().map(BTreeMap::len);
            let queues = queues.chain(e.guest_empty.values().map(BTreeMap::len));
            let control = e.control_domains.values().map(Vec::len);
            let explain = e.explain.values().map(Vec::len);
            let rest = e.queue_driver.len() + usize::from(e.log.is_some());
            let parts = lists.chain(sees).chain(queues).chain(control);
            parts.chain(explain).sum::<usize>() + rest
        };
        size(&new) == size(e)
    }
}

const TANGLED: &str =
    "there are too many ways to choose from APQNS; name all pairs of some adapters and domains";
const NOT_THERE: &str = "the topology does not have it at the start, nor has this host";
const NO_RSA: &str = "no adapter that was named computes RSA for these guests";
const TOO_MUCH: &str = "it cannot be held to the queues that were named";

#[cfg(test)]
mod tests;
