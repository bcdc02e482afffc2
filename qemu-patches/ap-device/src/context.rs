// SPDX-License-Identifier: MIT OR Apache-2.0
//! Who executes an instruction, and what it may reach.

use ap_arch::{Apqn, CrycbFormat, Crycbd, Matrix};

use crate::Ns;

/// Facilities that the program sees.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct Facilities {
    /// Facility 12: PQAP(QCI).
    pub qci: bool,
    /// Facility 15: the T bit of PQAP(TAPQ).
    pub apft: bool,
    /// Facility 65: PQAP(AQIC).
    pub aqic: bool,
}

impl Facilities {
    /// All of them.
    pub const ALL: Self = Self {
        qci: true,
        apft: true,
        aqic: true,
    };
}

/// A SIE guest, as its state description tells.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Guest {
    /// Absolute address of the state description.
    pub sd: u64,
    /// CRYCB designation.
    pub crycbd: Crycbd,
    /// Whether this is a guest's guest.
    pub nested: bool,
    /// Masks of the APCB.
    pub matrix: Matrix,
}

/// Who executes an instruction.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Issuer {
    /// A CPU outside SIE.
    Host,
    /// A CPU inside SIE.
    Guest(Guest),
}

/// Whom a message belongs to.
///
/// Under KVM all virtual CPUs of a guest share one CRYCB, so its address names
/// the guest; the state description is the virtual CPU's.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub enum Owner {
    /// The host.
    Host,
    /// The guest with its CRYCB at this address.
    Guest(u32),
}

/// Everything about the environment of one instruction.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Context {
    /// When.
    pub now: Ns,
    /// On which CPU; only logged.
    pub cpu: u16,
    /// With which facilities.
    pub facilities: Facilities,
    /// First absolute address behind installed storage.
    pub storage_end: u64,
    /// For whom.
    pub issuer: Issuer,
}

impl Context {
    /// The host on CPU 0 with all facilities and 2 GiB of storage.
    pub const fn host(now: Ns) -> Self {
        Self {
            now,
            cpu: 0,
            facilities: Facilities::ALL,
            storage_end: 1 << 31,
            issuer: Issuer::Host,
        }
    }

    /// The same for a guest.
    pub const fn guest(now: Ns, guest: Guest) -> Self {
        Self {
            issuer: Issuer::Guest(guest),
            ..Self::host(now)
        }
    }

    /// The owner of messages that this instruction enqueues.
    pub const fn owner(&self) -> Owner {
        match self.issuer {
            Issuer::Host => Owner::Host,
            Issuer::Guest(guest) => Owner::Guest(guest.crycbd.origin()),
        }
    }

    /// Whether extended addressing is there. A guest with a CRYCB of format 0
    /// or 1 has none.
    pub const fn apxa(&self) -> bool {
        match self.issuer {
            Issuer::Host => true,
            Issuer::Guest(guest) => {
                matches!(guest.crycbd.format(), Some(CrycbFormat::Format2))
            }
        }
    }

    /// What of the machine's configuration this instruction can reach. Nothing,
    /// if the CRYCB designation has no valid format.
    pub fn effective(&self, machine: Matrix) -> Matrix {
        match self.issuer {
            Issuer::Host => machine,
            Issuer::Guest(guest) => match guest.crycbd.format() {
                Some(format) => format.expressible(guest.matrix).intersect(machine),
                None => Matrix::EMPTY,
            },
        }
    }

    /// Whether `apqn` can be named at all.
    pub(crate) fn addressable(&self, apqn: Apqn) -> bool {
        self.apxa() || apqn.apid.fits_without_apxa() && apqn.apqi.fits_without_apxa()
    }
}
