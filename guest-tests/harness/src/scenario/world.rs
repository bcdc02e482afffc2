// SPDX-License-Identifier: MIT OR Apache-2.0
//! What is known of L1 and its guests, as events tell it: expectations are
//! checked against this and nothing else.

use crate::guest::{Sees, configuration};
use ap_probe::command::Request;
use l1_protocol::Exit;
use serde_json::Value;
use std::collections::{BTreeMap, HashMap, VecDeque};
use std::time::{Duration, Instant};

/// A question is asked again after this time, if its answer does not suffice.
const AGAIN: Duration = Duration::from_millis(50);
/// One without an answer, after this time: the guest may have been reset.
const LOST: Duration = Duration::from_secs(2);
/// Lines kept of a guest's console, for failures.
const TAIL: usize = 12;

/// Everything.
#[derive(Default)]
pub struct World {
    /// Watched files: their text, or none if they are not there.
    pub files: HashMap<String, Option<String>>,
    /// The UUID of each mdev.
    pub mdevs: BTreeMap<String, String>,
    /// Guests that were started.
    pub guests: BTreeMap<String, GuestState>,
    /// L1's kernel log since the step began, if that is of interest.
    pub log: KernelLog,
    /// The last RSA requests that were asked for.
    pub crypto: Option<Crypto>,
}

/// Lines of a kernel log from a certain one on, none until that has come: what
/// is said of a log may be late, so a line of our own tells where a step begins.
#[derive(Default)]
pub struct KernelLog {
    mark: String,
    lines: Option<Vec<String>>,
}

impl KernelLog {
    /// One that begins behind this line.
    pub fn behind(mark: &str) -> Self {
        Self {
            mark: mark.to_owned(),
            lines: None,
        }
    }

    /// Take a line.
    pub fn take(&mut self, line: String) {
        match &mut self.lines {
            Some(lines) => lines.push(line),
            None if line == self.mark => self.lines = Some(Vec::new()),
            None => {}
        }
    }

    /// The lines.
    pub fn lines(&self) -> &[String] {
        self.lines.as_deref().unwrap_or_default()
    }
}

/// RSA requests that were asked for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Crypto {
    /// Of which guest.
    pub guest: String,
    /// Under which number.
    pub id: u32,
    /// How many results were right, once all are there.
    pub ok: Option<u32>,
    /// Whether the guest has nothing to make requests with.
    pub unable: bool,
}

/// A guest.
#[derive(Default)]
pub struct GuestState {
    /// Whether it takes commands.
    pub ready: bool,
    /// What it was told of its masks, at its start and by events, and when.
    pub told: Option<(Sees, Instant)>,
    /// Its masks when it looked last, for whatever reason.
    pub latest: Option<Sees>,
    /// Answers to questions of this step.
    pub answers: BTreeMap<Request, Value>,
    /// What it found wrong by itself.
    pub complaints: Vec<String>,
    /// How it ended.
    pub ended: Option<Exit>,
    /// Whether it is to end.
    pub may_end: bool,
    asked: BTreeMap<u32, Request>,
    asked_at: BTreeMap<Request, Instant>,
    partial: String,
    tail: VecDeque<String>,
}

impl World {
    /// The folder of an mdev in sysfs.
    pub fn mdev_path(&self, id: &str) -> String {
        let uuid = self.mdevs.get(id).map_or("no-such-mdev", String::as_str);
        format!("{}/{uuid}", crate::mdev::MATRIX)
    }

    /// The text of an mdev's attribute.
    pub fn attribute(&self, mdev: &str, name: &str) -> Option<&str> {
        let path = format!("{}/{name}", self.mdev_path(mdev));
        self.files.get(&path)?.as_deref()
    }

    /// A guest begins anew.
    pub fn begins(&mut self, guest: &str) {
        self.guests.insert(guest.to_owned(), GuestState::default());
        self.crypto.take_if(|c| c.guest == guest);
    }

    /// Forget what questions were answered: what follows was asked later.
    pub fn forget_answers(&mut self) {
        for guest in self.guests.values_mut() {
            guest.answers.clear();
            guest.asked_at.clear();
            guest
                .asked
                .retain(|_, r| matches!(r, Request::Crypto(..) | Request::Send(..)));
        }
    }

    /// Whether requests that were asked for are not done yet; none if there are
    /// no such.
    pub fn crypto_is_under_way(&self) -> Option<bool> {
        let crypto = self.crypto.as_ref()?;
        let runs = self.guests.get(&crypto.guest)?.ended.is_none();
        Some(runs && crypto.ok.is_none() && !crypto.unable)
    }

    /// Put console output of a guest to what came before; its complete lines,
    /// each of which is to be [taken](Self::line).
    pub fn console(&mut self, guest: &str, text: &str) -> Vec<String> {
        let state = self.guests.get_mut(guest);
        state.map_or_else(Vec::new, |state| state.split(text))
    }

    /// Take a line of a guest's console.
    pub fn line(&mut self, guest: &str, line: &str) {
        if let Some(state) = self.guests.get_mut(guest)
            && let Some((id, value)) = state.line(line)
            && let Some(crypto) = &mut self.crypto
            && (crypto.guest.as_str(), crypto.id) == (guest, id)
        {
            crypto.unable = value["op"] == "unable";
            crypto.ok = value["ok"].as_u64().and_then(|n| u32::try_from(n).ok());
        }
    }
}

impl GuestState {
    /// A question is on its way.
    pub fn asking(&mut self, id: u32, request: Request) {
        self.asked.insert(id, request);
        self.asked_at.insert(request, Instant::now());
    }

    /// Whether it is time to ask this.
    pub fn may_ask(&self, request: Request) -> bool {
        let waits = self.asked.values().any(|r| *r == request);
        let pause = if waits { LOST } else { AGAIN };
        let free = self
            .asked_at
            .get(&request)
            .is_none_or(|at| at.elapsed() >= pause);
        self.ready && self.ended.is_none() && free
    }

    /// The end of its console, for a failure.
    pub fn tail(&self) -> String {
        let lines: Vec<&str> = self.tail.iter().map(String::as_str).collect();
        lines.join("\n")
    }

    fn split(&mut self, text: &str) -> Vec<String> {
        self.partial.push_str(text);
        let mut lines = Vec::new();
        while let Some(end) = self.partial.find('\n') {
            let line: String = self.partial.drain(..=end).collect();
            lines.push(line.trim().to_owned());
        }
        lines
    }

    /// Take a line; an answer that carries a number is returned.
    fn line(&mut self, line: &str) -> Option<(u32, Value)> {
        if self.tail.len() == TAIL {
            self.tail.pop_front();
        }
        self.tail.push_back(line.to_owned());
        if line.starts_with("not ok ") || line.starts_with("Bail out!") {
            self.complaints.push(line.to_owned());
        }
        let value: Value = serde_json::from_str(line).ok()?;
        if let Some(sees) = configuration(&value) {
            // Only what it was told: a guest that looks because we ask, or all
            // the time, sees more than one that waits to be told. What it is
            // told again, it was told before.
            let told = matches!(value["why"].as_str(), None | Some("start" | "event"));
            if told && self.told.as_ref().is_none_or(|(last, _)| *last != sees) {
                self.told = Some((sees.clone(), Instant::now()));
            }
            self.latest = Some(sees);
        }
        if value["op"] == "ready" {
            self.ready = true;
        }
        let id = u32::try_from(value["id"].as_u64()?).ok()?;
        if let Some(request) = self.asked.remove(&id) {
            self.answers.insert(request, value.clone());
        }
        Some((id, value))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn qci(why: &str, id: &str, apm: &str) -> String {
        let zeros = "0".repeat(62);
        format!(
            "{{\"op\":\"QCI\",{why}{id}\"apm\":\"0x{apm}{zeros}\",\"aqm\":\"0x08{zeros}\",\"adm\":\"0x00{zeros}\"}}\n"
        )
    }

    fn says(world: &mut World, text: &str) {
        for line in world.console("g", text) {
            world.line("g", &line);
        }
    }

    #[test]
    fn a_log_begins_where_it_is_marked() {
        let mut log = KernelLog::behind("step 2");
        for line in ["late", "step 1", "late", "step 2", "ours", "step 2"] {
            log.take(line.to_owned());
        }
        assert_eq!(log.lines(), ["ours", "step 2"]);
    }

    #[test]
    fn what_a_guest_was_told_is_not_what_it_finds_when_asked() {
        let mut world = World::default();
        world.guests.insert("g".to_owned(), GuestState::default());
        says(&mut world, &qci("", "", "04"));
        let (first, rest) = ("{\"op\":\"rea", "dy\"}\nnot ok 3 tapq # 1 bad\n");
        says(&mut world, first);
        assert!(!world.guests["g"].ready);
        says(&mut world, rest);
        let state = world.guests.get_mut("g").unwrap();
        assert!(state.ready);
        assert_eq!(state.complaints, ["not ok 3 tapq # 1 bad"]);
        assert!(state.may_ask(Request::Query));
        state.asking(7, Request::Query);
        assert!(!state.may_ask(Request::Query));
        says(&mut world, &qci("\"why\":\"query\",", "\"id\":7,", "44"));
        let state = &world.guests["g"];
        assert_eq!(state.told.as_ref().unwrap().0.adapters, [5]);
        assert_eq!(state.latest.as_ref().unwrap().adapters, [1, 5]);
        assert_eq!(state.answers[&Request::Query]["id"], 7);
        says(&mut world, &qci("\"why\":\"event\",", "", "44"));
        assert_eq!(world.guests["g"].told.as_ref().unwrap().0.adapters, [1, 5]);
    }
}
