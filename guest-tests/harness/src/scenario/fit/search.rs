// SPDX-License-Identifier: MIT OR Apache-2.0
//! Which of a host's adapters take the place of a scenario's.
//!
//! The first do that come in ascending order and have enough domains in common.
//! In general that is as hard as finding a biclique, but here:
//!
//! - One that has all domains that are still common is taken without a second
//!   thought: nothing that leaves it out is better. So only adapters that differ
//!   in what was named of them are tried, not every choice among equals.
//! - What follows depends on the common domains alone, however they came about:
//!   what failed once is not tried again.
//!
//! With 16 adapters, which is all that a partition of a mainframe can have, that
//! makes at most 2^16 choices of 16 looks each. More, with names that form no
//! rectangle, may take longer than anybody waits for, and is given up.

use ap_arch::{Adm, Apid, Aqm};
use std::collections::HashSet;

/// Looks at an adapter after which a search is given up.
const LOOKS: u32 = 1 << 20;

/// An adapter of the host: its number, its named domains, and whether it
/// computes RSA.
#[derive(Debug, Clone, Copy)]
pub(super) struct Theirs {
    pub apid: Apid,
    pub domains: Aqm,
    pub rsa: bool,
}

/// What a scenario wants.
#[derive(Debug, Clone)]
pub(super) struct Wanted {
    /// For each adapter, whether it must compute RSA.
    pub adapters: Vec<bool>,
    /// Domains that all have in common.
    pub domains: u32,
    /// Control domains among these.
    pub control: u32,
}

/// Adapters in the order of the scenario's, and the domains that they have in
/// common.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Found {
    pub adapters: Vec<Apid>,
    pub domains: Aqm,
}

/// It would take too long to tell.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct TooLong;

pub(super) struct Search<'a> {
    wanted: &'a Wanted,
    /// In ascending order.
    theirs: &'a [Theirs],
    control: Adm,
    /// How many of the scenario's have been served, from which of the host's on,
    /// with which domains in common it did not work out.
    failed: HashSet<(usize, usize, Aqm)>,
    looks: u32,
}

impl<'a> Search<'a> {
    pub fn new(wanted: &'a Wanted, theirs: &'a [Theirs], control: Adm) -> Self {
        Self {
            wanted,
            theirs,
            control,
            failed: HashSet::new(),
            looks: 0,
        }
    }

    /// The first that do, if any do.
    pub fn run(&mut self) -> Result<Option<Found>, TooLong> {
        let all = self.theirs.iter().map(|t| t.domains);
        let all = all.fold(Aqm::EMPTY, Aqm::or);
        if !self.suffices(all) {
            return Ok(None);
        }
        let found = self.from(0, 0, all)?;
        Ok(found.map(|mut found| {
            found.adapters.reverse();
            found
        }))
    }

    fn suffices(&self, domains: Aqm) -> bool {
        let control = super::as_control(domains).and(self.control);
        domains.count() >= self.wanted.domains && control.count() >= self.wanted.control
    }

    /// Serves the scenario's from `served` on with the host's from `next` on;
    /// the last adapter comes first.
    fn from(&mut self, served: usize, next: usize, common: Aqm) -> Result<Option<Found>, TooLong> {
        let Some(needs_rsa) = self.wanted.adapters.get(served) else {
            let adapters = Vec::new();
            let domains = common;
            return Ok(Some(Found { adapters, domains }));
        };
        if self.failed.contains(&(served, next, common)) {
            return Ok(None);
        }
        let left = self.wanted.adapters.len() - served;
        let last = (self.theirs.len() + 1).saturating_sub(left);
        for (at, theirs) in self.theirs.iter().enumerate().take(last).skip(next) {
            self.looks += 1;
            if self.looks > LOOKS {
                return Err(TooLong);
            }
            let rest = common.and(theirs.domains);
            if (*needs_rsa && !theirs.rsa) || !self.suffices(rest) {
                continue;
            }
            if let Some(mut found) = self.from(served + 1, at + 1, rest)? {
                found.adapters.push(theirs.apid);
                return Ok(Some(found));
            }
            if rest == common {
                break;
            }
        }
        self.failed.insert((served, next, common));
        Ok(None)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::scenario::fit::{all, as_control};

    /// What is found, and after how many looks.
    fn search(wanted: &Wanted, theirs: &[Theirs]) -> (Result<Option<Found>, TooLong>, u32) {
        let mut search = Search::new(wanted, theirs, as_control(Aqm::FULL));
        let found = search.run();
        (found, search.looks)
    }

    fn wanted(adapters: usize, domains: u32) -> Wanted {
        Wanted {
            adapters: vec![false; adapters],
            domains,
            control: 0,
        }
    }

    fn host(adapters: u8, domains: impl Fn(u8) -> Aqm) -> Vec<Theirs> {
        let one = |apid: u8| Theirs {
            apid: Apid::new(apid),
            domains: domains(apid),
            rsa: true,
        };
        (0..adapters).map(one).collect()
    }

    fn first(count: u8) -> Aqm {
        all(&(0..count).collect::<Vec<u8>>())
    }

    #[test]
    fn a_full_mainframe_is_looked_through_once() {
        let mut full = host(16, |_| first(85));
        for (adapters, domains) in [(1, 1), (3, 3), (12, 16), (16, 85)] {
            let (found, looks) = search(&wanted(adapters, domains), &full);
            let found = found.unwrap().unwrap();
            assert_eq!(found.adapters.len(), adapters);
            assert_eq!(found.domains, first(85));
            assert_eq!(looks as usize, adapters);
        }
        // what cannot be is found out as soon
        for (adapters, domains) in [(17, 1), (3, 86), (16, 86)] {
            let (found, looks) = search(&wanted(adapters, domains), &full);
            assert_eq!(found, Ok(None));
            assert!(looks <= 16, "{looks}");
        }
        full.iter_mut().for_each(|t| t.rsa = false);
        let mut rsa = wanted(8, 16);
        rsa.adapters[7] = true;
        let (found, looks) = search(&rsa, &full);
        assert_eq!(found, Ok(None));
        assert!(looks <= 16, "{looks}");
        full[15].rsa = true;
        let (found, looks) = search(&rsa, &full);
        let adapters: Vec<u8> = found
            .unwrap()
            .unwrap()
            .adapters
            .iter()
            .map(|a| a.get())
            .collect();
        assert_eq!(adapters, [0, 1, 2, 3, 4, 5, 6, 15]);
        assert!(looks <= 16, "{looks}");
    }

    #[test]
    fn adapters_that_lack_some_are_passed_over() {
        // each lacks one domain, the last ones none
        let host = host(85, |n| match n {
            0..=79 => first(85).without(n.into()),
            _ => first(85),
        });
        let (found, looks) = search(&wanted(5, 85), &host);
        let found = found.unwrap().unwrap();
        assert_eq!(found.adapters[0], Apid::new(80));
        assert_eq!(looks, 85);
        let (found, looks) = search(&wanted(6, 85), &host);
        assert_eq!(found, Ok(None));
        assert!(looks <= 80, "{looks}");
        let (found, _) = search(&wanted(10, 75), &host);
        assert_eq!(found.unwrap().unwrap().adapters[9], Apid::new(9));
    }

    /// Numbers that form no rectangle; the seed is of no importance.
    fn tangle(n: u8) -> Aqm {
        let mut state = u64::from(n + 1).wrapping_mul(0x9e37_79b9_7f4a_7c15);
        let mut next = || {
            state ^= state << 13;
            state ^= state >> 7;
            state ^= state << 17;
            state
        };
        let domains = (0..85_u8).filter(|_| !next().is_multiple_of(4));
        all(&domains.collect::<Vec<u8>>())
    }

    #[test]
    fn the_worst_of_a_mainframe_is_bounded() {
        let tangled = host(16, tangle);
        let mut most = 0;
        for adapters in 1..=16 {
            for domains in (1..=85).step_by(7) {
                let (found, looks) = search(&wanted(adapters, domains), &tangled);
                found.unwrap();
                most = most.max(looks);
            }
        }
        assert!(most < LOOKS / 16, "{most}");
        // far from what a mainframe has
        let (found, looks) = search(&wanted(20, 12), &host(255, tangle));
        assert_eq!((found, looks), (Err(TooLong), LOOKS + 1));
    }

    /// Every choice of adapters, one after the other.
    fn plainly(wanted: &Wanted, theirs: &[Theirs]) -> Option<Vec<Apid>> {
        let (mut best, count) = (None, theirs.len());
        for choice in 0_u32..1 << count {
            let chosen = || {
                theirs
                    .iter()
                    .enumerate()
                    .filter(move |(i, _)| choice >> i & 1 == 1)
            };
            let mut common = Aqm::FULL;
            chosen().for_each(|(_, t)| common = common.and(t.domains));
            let fits = chosen().count() == wanted.adapters.len()
                && common.count() >= wanted.domains
                && chosen()
                    .zip(&wanted.adapters)
                    .all(|((_, t), rsa)| t.rsa || !rsa);
            let adapters: Vec<Apid> = chosen().map(|(_, t)| t.apid).collect();
            if fits && best.as_ref().is_none_or(|b| adapters < *b) {
                best = Some(adapters);
            }
        }
        best
    }

    #[test]
    fn the_first_choice_is_the_one_that_trying_all_finds() {
        for seed in 0..40 {
            let mut theirs = host(8, |n| tangle(n % 5 + seed * 5));
            for (i, t) in theirs.iter_mut().enumerate() {
                t.rsa = (usize::from(seed) >> (i % 3)) & 1 == 1;
            }
            for adapters in 0..=5 {
                for domains in [0, 5, 20, 27, 33, 60, 70] {
                    let mut wanted = wanted(adapters, domains);
                    for (i, rsa) in wanted.adapters.iter_mut().enumerate() {
                        *rsa = i % 3 == 1;
                    }
                    let found = search(&wanted, &theirs).0.unwrap().map(|f| f.adapters);
                    assert_eq!(found, plainly(&wanted, &theirs), "{seed} {wanted:?}");
                }
            }
        }
    }
}
