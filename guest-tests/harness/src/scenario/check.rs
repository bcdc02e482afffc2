// SPDX-License-Identifier: MIT OR Apache-2.0
//! Whether what is expected has come true.

use super::grammar::{By, Expect, Sees};
use super::value::Queue;
use super::world::{GuestState, World};
use crate::guest;
use ap_probe::command::Request;
use serde::Serialize;
use serde_json::Value;
use std::time::Instant;

/// One expectation, what was wanted and what was seen.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Finding {
    /// Which one, such as `guest-sees g`.
    pub what: String,
    /// What was wanted.
    pub wanted: String,
    /// What was seen.
    pub seen: String,
    /// Whether it holds.
    pub holds: bool,
    /// Milliseconds from the beginning of the action until the guest was told.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub told_after: Option<u64>,
    /// Whether it could not be looked at, which `seen` says why.
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    pub not_checked: bool,
}

impl Finding {
    fn new(what: String, wanted: String, seen: String) -> Self {
        let holds = wanted == seen;
        Self {
            what,
            wanted,
            seen,
            holds,
            told_after: None,
            not_checked: false,
        }
    }
}

/// How to look.
#[derive(Debug, Clone, Copy)]
pub struct Look {
    /// When the step's action began.
    pub begin: Instant,
    /// Whether it is about what must not come true: then a guest counts for
    /// what it sees in this moment, told or not.
    pub never: bool,
    /// Whether the driver has `explain`.
    pub explain: bool,
}

const NOTHING: &str = "(nothing)";

/// Every expectation, held against the world.
pub fn findings(expect: &Expect, world: &World, look: Look) -> Vec<Finding> {
    let mut all = Vec::new();
    for (key, attribute, map) in [
        ("matrix", "matrix", &expect.matrix),
        ("guest-matrix", "guest_matrix", &expect.guest_matrix),
    ] {
        for (id, wanted) in map {
            let seen = world.attribute(id, attribute).map(lines);
            let wanted = sorted(wanted.iter().map(String::as_str));
            all.push(Finding::new(
                format!("{key} {id}"),
                wanted,
                or_missing(seen),
            ));
        }
    }
    for (id, wanted) in &expect.control_domains {
        let seen = world.attribute(id, "control_domains").map(lines);
        let wanted: Vec<String> = wanted.iter().map(|d| format!("{d:04x}")).collect();
        let wanted = sorted(wanted.iter().map(String::as_str));
        all.push(Finding::new(
            format!("control-domains {id}"),
            wanted,
            or_missing(seen),
        ));
    }
    if look.explain {
        all.extend(explain(expect, world));
    }
    for (id, wanted) in &expect.guest_sees {
        all.push(guest_sees(id, wanted, world, look));
    }
    let asked = questions(expect);
    all.extend(asked.into_iter().map(|q| answered(&q, world)));
    for (queue, wanted) in &expect.queue_driver {
        let seen = driver(*queue, world);
        all.push(Finding::new(
            format!("queue-driver {queue}"),
            wanted.clone(),
            seen,
        ));
    }
    if let Some(pattern) = &expect.log {
        let log = world.log.lines();
        let line = log.iter().find(|line| pattern.0.is_match(line));
        all.push(Finding {
            what: "log".to_owned(),
            wanted: pattern.0.to_string(),
            seen: line.cloned().unwrap_or_else(|| tail(log)),
            holds: line.is_some(),
            told_after: None,
            not_checked: false,
        });
    }
    all.extend(crypto(expect, world));
    all
}

/// What becomes of the last RSA requests.
fn crypto(expect: &Expect, world: &World) -> Vec<Finding> {
    let crypto = world.crypto.as_ref();
    let ok = expect.crypto_ok.map(|wanted| {
        let seen = crypto.and_then(|c| c.ok);
        let seen = seen.map_or_else(|| "not done".to_owned(), |ok| ok.to_string());
        Finding::new("crypto-ok".to_owned(), wanted.to_string(), seen)
    });
    let under_way = expect.crypto_under_way.map(|wanted| {
        let seen = world.crypto_is_under_way();
        let seen = seen.map_or_else(|| "no requests".to_owned(), |yes| yes.to_string());
        Finding::new("crypto-under-way".to_owned(), wanted.to_string(), seen)
    });
    let found = ok.into_iter().chain(under_way);
    if !crypto.is_some_and(|c| c.unable) {
        return found.collect();
    }
    let not_checked = |f: Finding| Finding {
        seen: "not checked: the guest's kernel has no zcrypt".to_owned(),
        holds: true,
        not_checked: true,
        ..f
    };
    found.map(not_checked).collect()
}

/// A guest that is in none of the only states that it may be seen in, and which
/// it is in.
pub fn sees_other(only: &By<Vec<Sees>>, world: &World) -> Option<String> {
    only.iter().find_map(|(id, states)| {
        let sees = world.guests.get(&**id)?.latest.as_ref()?;
        let every = Sees {
            adapters: Some(Vec::new()),
            domains: Some(Vec::new()),
            control_domains: Some(Vec::new()),
        };
        let known = states.iter().any(|wanted| fits(wanted, sees));
        (!known).then(|| format!("guest-sees-only {id}: seen {}", text_of(&every, sees)))
    })
}

/// What must be asked of guests to tell: the guest, and what.
pub fn to_ask(expect: &Expect, world: &World, look: Look) -> Vec<(String, Request)> {
    let mut questions = questions(expect);
    if look.never {
        return questions
            .into_iter()
            .map(|q| (q.guest, q.request))
            .collect();
    }
    let mut all = Vec::new();
    for (id, wanted) in &expect.guest_sees {
        let told = world.guests.get(&**id).and_then(|g| g.told.as_ref());
        // A guest that has not been told is asked nothing: it must not find out
        // that way.
        if told.is_some_and(|(sees, _)| fits(wanted, sees)) {
            all.push((id.to_string(), Request::Query));
        } else {
            questions.retain(|q| q.guest != **id);
        }
    }
    all.extend(questions.into_iter().map(|q| (q.guest, q.request)));
    all
}

/// An expectation that an answer of a guest decides.
struct Question {
    guest: String,
    request: Request,
    what: String,
    wanted: String,
    read: fn(&Value) -> String,
}

fn questions(expect: &Expect) -> Vec<Question> {
    let mut all = Vec::new();
    for (id, queues) in &expect.guest_tapq {
        all.extend(queues.iter().map(|(queue, code)| Question {
            guest: id.to_string(),
            request: Request::Tapq(queue.0),
            what: format!("guest-tapq {id} {queue}"),
            wanted: format!("{code:02x}"),
            read: |answer| match answer["code"].as_u64() {
                Some(code) => format!("{code:02x}"),
                None => answer.to_string(),
            },
        }));
    }
    for (id, queues) in &expect.guest_empty {
        all.extend(queues.iter().map(|(queue, empty)| Question {
            guest: id.to_string(),
            request: Request::Tapq(queue.0),
            what: format!("guest-empty {id} {queue}"),
            wanted: empty.to_string(),
            read: |answer| match answer["empty"].as_bool() {
                Some(empty) => empty.to_string(),
                None => answer.to_string(),
            },
        }));
    }
    for (id, names) in &expect.linux_devices {
        all.push(Question {
            guest: id.to_string(),
            request: Request::Devices,
            what: format!("linux-devices {id}"),
            wanted: sorted(names.iter().map(String::as_str)),
            read: |answer| match answer["devices"].as_array() {
                Some(names) => sorted(names.iter().filter_map(Value::as_str)),
                None => answer.to_string(),
            },
        });
    }
    all
}

fn answered(question: &Question, world: &World) -> Finding {
    let guest = world.guests.get(&question.guest);
    let answer = guest.and_then(|g| g.answers.get(&question.request));
    let seen = answer.map_or_else(|| "no answer".to_owned(), question.read);
    Finding::new(question.what.clone(), question.wanted.clone(), seen)
}

fn explain<'a>(expect: &'a Expect, world: &'a World) -> impl Iterator<Item = Finding> + 'a {
    expect.explain.iter().map(|(id, wanted)| {
        let text = world.attribute(id, "explain");
        let seen: Vec<&str> = text.unwrap_or_default().lines().collect();
        let same = seen.len() == wanted.len();
        let holds = same && wanted.iter().zip(&seen).all(|(w, s)| w.0.is_match(s));
        let wanted: Vec<&str> = wanted.iter().map(|w| w.as_written()).collect();
        Finding {
            what: format!("explain {id}"),
            wanted: or_nothing(wanted.join(" | ")),
            seen: or_missing(text.map(|_| or_nothing(seen.join(" | ")))),
            holds: holds && text.is_some(),
            told_after: None,
            not_checked: false,
        }
    })
}

fn guest_sees(id: &str, wanted: &Sees, world: &World, look: Look) -> Finding {
    let state = world.guests.get(id);
    let told = state.and_then(|g| g.told.as_ref());
    let now = if look.never {
        state.and_then(|g| g.latest.as_ref())
    } else {
        told.map(|(sees, _)| sees)
    };
    let mut holds = now.is_some_and(|sees| fits(wanted, sees));
    let mut seen = now.map_or_else(|| "nothing yet".to_owned(), |sees| text_of(wanted, sees));
    if holds && !look.never {
        match state.and_then(asked_now) {
            Some(sees) if fits(wanted, &sees) => {}
            Some(sees) => {
                holds = false;
                seen = format!("{seen}, but when asked: {}", text_of(wanted, &sees));
            }
            None => {
                holds = false;
                seen += ", not confirmed";
            }
        }
    }
    let after = told.and_then(|(_, at)| at.checked_duration_since(look.begin));
    let as_sees = guest::Sees {
        adapters: wanted.adapters.clone().unwrap_or_default(),
        domains: wanted.domains.clone().unwrap_or_default(),
        control_domains: wanted.control_domains.clone().unwrap_or_default(),
    };
    Finding {
        what: format!("guest-sees {id}"),
        wanted: text_of(wanted, &as_sees),
        seen,
        holds,
        told_after: after.and_then(|d| u64::try_from(d.as_millis()).ok()),
        not_checked: false,
    }
}

/// Its masks when it was asked in this step.
fn asked_now(state: &GuestState) -> Option<guest::Sees> {
    guest::configuration(state.answers.get(&Request::Query)?)
}

fn same(wanted: &Option<Vec<u8>>, seen: &[u8]) -> bool {
    wanted.as_ref().is_none_or(|wanted| {
        let mut wanted = wanted.clone();
        wanted.sort_unstable();
        wanted.dedup();
        wanted == seen
    })
}

fn fits(wanted: &Sees, seen: &guest::Sees) -> bool {
    same(&wanted.adapters, &seen.adapters)
        && same(&wanted.domains, &seen.domains)
        && same(&wanted.control_domains, &seen.control_domains)
}

/// Those masks that are compared.
fn text_of(wanted: &Sees, sees: &guest::Sees) -> String {
    let list = |name: &str, compared: bool, numbers: &[u8], digits: usize| {
        let numbers: Vec<String> = numbers.iter().map(|n| format!("{n:0digits$x}")).collect();
        compared.then(|| format!("{name} [{}]", numbers.join(" ")))
    };
    let lists = [
        list("adapters", wanted.adapters.is_some(), &sees.adapters, 2),
        list("domains", wanted.domains.is_some(), &sees.domains, 4),
        list(
            "control domains",
            wanted.control_domains.is_some(),
            &sees.control_domains,
            4,
        ),
    ];
    lists.into_iter().flatten().collect::<Vec<_>>().join(", ")
}

/// The driver that has a queue; `none`, or `gone` if there is no such queue.
fn driver(queue: Queue, world: &World) -> String {
    let [device, driver] = driver_paths(queue);
    let known = |path: &str| world.files.get(path).cloned().flatten();
    match (known(&device), known(&driver)) {
        (None, _) => "gone".to_owned(),
        (Some(_), None) => "none".to_owned(),
        (Some(_), Some(driver)) => driver,
    }
}

/// Links that tell of a queue and its driver.
pub fn driver_paths(queue: Queue) -> [String; 2] {
    let device = format!("/sys/bus/ap/devices/{queue}");
    let driver = format!("{device}/driver");
    [device, driver]
}

fn lines(text: &str) -> String {
    sorted(text.lines())
}

fn sorted<'a>(words: impl Iterator<Item = &'a str>) -> String {
    let mut words: Vec<&str> = words.collect();
    words.sort_unstable();
    or_nothing(words.join(" "))
}

fn or_nothing(text: String) -> String {
    if text.is_empty() {
        NOTHING.to_owned()
    } else {
        text
    }
}

fn or_missing(text: Option<String>) -> String {
    text.unwrap_or_else(|| "no such file".to_owned())
}

fn tail(log: &[String]) -> String {
    let last = log.last().map_or("no line", String::as_str);
    format!("{} lines, the last: {last}", log.len())
}

#[cfg(test)]
mod tests;
