// SPDX-License-Identifier: GPL-2.0
//! What the attributes of an mdev do: text in and out, decisions elsewhere.

use core::fmt::Write;

use kernel::prelude::*;

use crate::abi::ap_bus;
use crate::ap_arch::Matrix;
use crate::driver::to_error;
use crate::guest::Mdev;
use crate::rules::order::Free;
use crate::rules::protocol::Driver as _;
use crate::rules::{self, Attribute, Model, Withheld};

/// Makes the edit that was written.
pub(crate) fn store(free: &mut Free<'_>, mdev: &Mdev, attribute: Attribute, text: &[u8]) -> Result {
    let edit = attribute.parse(text, mdev.limits()).map_err(to_error)?;
    mdev.core().edit(free, mdev.id(), edit)
}

/// A snapshot of a matrix of an mdev; nothing if the mdev is just going.
fn snapshot(
    free: &mut Free<'_>,
    mdev: &Mdev,
    which: impl FnOnce(&Model<crate::memory::Tables>, &rules::Mdev) -> Matrix,
) -> Matrix {
    mdev.core().look(free, |model| {
        let mdev = model.mdev(mdev.id());
        mdev.map_or(Matrix::EMPTY, |mdev| which(model, mdev))
    })
}

// An error of a writer means that the reader's buffer is full, which is no error.

/// A line that is the same for all.
pub(crate) fn line(line: &str, out: &mut dyn Write) {
    let _ = out.write_str(line);
}

/// `matrix`
pub(crate) fn matrix(free: &mut Free<'_>, mdev: &Mdev, out: &mut dyn Write) -> Result {
    let matrix = snapshot(free, mdev, |_, mdev| mdev.assigned());
    let _ = rules::write_matrix(&matrix, out);
    Ok(())
}

/// `guest_matrix`
pub(crate) fn guest_matrix(free: &mut Free<'_>, mdev: &Mdev, out: &mut dyn Write) -> Result {
    let matrix = snapshot(free, mdev, |model, mdev| model.guest_matrix(mdev));
    let _ = rules::write_matrix(&matrix, out);
    Ok(())
}

/// `control_domains`
pub(crate) fn control_domains(free: &mut Free<'_>, mdev: &Mdev, out: &mut dyn Write) -> Result {
    let matrix = snapshot(free, mdev, |_, mdev| mdev.assigned());
    let _ = rules::write_control_domains(matrix.adm, out);
    Ok(())
}

/// `ap_config`
pub(crate) fn ap_config(free: &mut Free<'_>, mdev: &Mdev, out: &mut dyn Write) {
    let matrix = snapshot(free, mdev, |_, mdev| mdev.assigned());
    let _ = rules::write_ap_config(&matrix, out);
}

/// `explain`
pub(crate) fn explain(free: &mut Free<'_>, mdev: &Mdev, out: &mut dyn Write) -> Result {
    // at most every adapter and every domain twice; names of drivers are
    // looked up afterwards, without the model's lock
    let mut lines = KVec::<Withheld>::with_capacity(3 * 256, GFP_KERNEL)?;
    mdev.core().look(free, |model| {
        if let Ok(mdev) = model.mdev(mdev.id()) {
            for withheld in model.withheld(mdev) {
                let _ = lines.push_within_capacity(withheld);
            }
        }
    });
    for line in &lines {
        let written = match line.names_driver_of() {
            Some(apqn) => ap_bus::with_driver_of(apqn, |driver| line.write(driver, out)),
            None => line.write(None, out),
        };
        if written.is_err() {
            break;
        }
    }
    Ok(())
}
