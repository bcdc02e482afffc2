// SPDX-License-Identifier: MIT OR Apache-2.0
//! The masks a guest gets.

use super::queue::Admission;
use crate::ap_arch::{Apqn, Matrix};

/// Masks every queue of which has admitted the guest's mdev.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Apcb(Matrix);

impl Apcb {
    /// Asks every queue of `matrix`; `None` if one refuses.
    pub(super) fn admit(
        matrix: Matrix,
        mut ask: impl FnMut(Apqn) -> Option<Admission>,
    ) -> Option<Self> {
        for apqn in matrix.apqns() {
            let Admission { .. } = ask(apqn)?;
        }
        Some(Self(matrix))
    }

    /// The masks.
    pub fn matrix(&self) -> Matrix {
        self.0
    }
}
