// SPDX-License-Identifier: MIT OR Apache-2.0
//! The highest numbers that a machine knows, as QCI tells them.

use ap_arch::{Adm, Apid, Apqi, Aqm};

use crate::ChangeError;

/// NA and ND of QCI, the highest APID and the highest domain.
///
/// Linux looks at every domain up to ND in each scan of its AP bus, used or not
/// (`ap_scan_adapter()`), and lets `vfio_ap` take numbers up to here.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Limits {
    /// The highest APID.
    pub na: Apid,
    /// The highest domain.
    pub nd: Apqi,
}

impl Default for Limits {
    /// What the architecture can number.
    fn default() -> Self {
        Self {
            na: Apid::new(u8::MAX),
            nd: Apqi::new(u8::MAX),
        }
    }
}

impl Limits {
    /// # Errors
    /// [`ChangeError::AboveNa`]
    pub fn check_adapter(&self, apid: Apid) -> Result<(), ChangeError> {
        match apid > self.na {
            true => Err(ChangeError::AboveNa(apid, self.na)),
            false => Ok(()),
        }
    }

    /// # Errors
    /// [`ChangeError::AboveNd`]
    pub fn check_domains(&self, aqm: Aqm, adm: Adm) -> Result<(), ChangeError> {
        let above = aqm
            .iter()
            .chain(adm.iter())
            .find(|&domain| domain > self.nd);
        match above {
            Some(domain) => Err(ChangeError::AboveNd(domain, self.nd)),
            None => Ok(()),
        }
    }
}
