// SPDX-License-Identifier: MIT OR Apache-2.0
//! The matrix: which adapters, usage and control domains someone has.
//!
//! ```text
//!              AQM  04   47
//!        APM  05    Q    Q      every adapter of the APM has a queue in every
//!             0a    Q    Q      domain of the AQM: a cross product, always
//! ```

use super::{Adm, Apid, Apm, Apqi, Apqn, Aqm};

/// The three masks together. Queues are the cross product of `apm` and `aqm`.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug, Default)]
pub struct Matrix {
    /// Adapters.
    pub apm: Apm,
    /// Usage domains.
    pub aqm: Aqm,
    /// Control domains.
    pub adm: Adm,
}

impl Matrix {
    /// Nothing.
    pub const EMPTY: Self = Self {
        apm: Apm::EMPTY,
        aqm: Aqm::EMPTY,
        adm: Adm::EMPTY,
    };

    /// Everything addressable.
    pub const FULL: Self = Self {
        apm: Apm::FULL,
        aqm: Aqm::FULL,
        adm: Adm::FULL,
    };

    /// Whether the queue is part of the cross product.
    pub fn contains(self, apqn: Apqn) -> bool {
        self.apm.test(apqn.apid) && self.aqm.test(apqn.apqi)
    }

    /// What both have, mask by mask. The queues of the result are exactly the
    /// queues of both.
    #[must_use]
    pub fn intersect(self, other: Self) -> Self {
        Self {
            apm: self.apm.and(other.apm),
            aqm: self.aqm.and(other.aqm),
            adm: self.adm.and(other.adm),
        }
    }

    /// Whether every bit of each mask is on in the same mask of `other`.
    pub fn is_subset(self, other: Self) -> bool {
        self.apm.is_subset(other.apm)
            && self.aqm.is_subset(other.aqm)
            && self.adm.is_subset(other.adm)
    }

    /// Whether both have some queue in common.
    pub fn shares_queue(self, other: Self) -> bool {
        self.apm.intersects(other.apm) && self.aqm.intersects(other.aqm)
    }

    /// How many queues the cross product has.
    pub fn queue_count(self) -> u32 {
        self.apm.count() * self.aqm.count()
    }

    /// All queues, by adapter, then domain.
    pub fn apqns(self) -> Apqns {
        Apqns {
            aqm: self.aqm,
            adapters: self.apm,
            current: None,
        }
    }

    /// All queues of one adapter, whether or not the APM has it.
    pub fn apqns_of(self, apid: Apid) -> Apqns {
        Apqns {
            aqm: self.aqm,
            adapters: Apm::EMPTY,
            current: Some((apid, self.aqm)),
        }
    }

    /// All queues of one domain, whether or not the AQM has it.
    pub fn apqns_in(self, apqi: Apqi) -> Apqns {
        Self {
            aqm: Aqm::of(apqi),
            ..self
        }
        .apqns()
    }
}

/// Iterator over the queues of a [`Matrix`].
#[derive(Clone, Debug)]
pub struct Apqns {
    aqm: Aqm,
    adapters: Apm,
    current: Option<(Apid, Aqm)>,
}

impl Iterator for Apqns {
    type Item = Apqn;

    fn next(&mut self) -> Option<Apqn> {
        loop {
            let next = self.current.as_mut().and_then(|(apid, domains)| {
                let apqi = domains.first()?;
                domains.clear(apqi);
                Some(Apqn::new(*apid, apqi))
            });
            if next.is_some() {
                return next;
            }
            let apid = self.adapters.first()?;
            self.adapters.clear(apid);
            self.current = Some((apid, self.aqm));
        }
    }
}
