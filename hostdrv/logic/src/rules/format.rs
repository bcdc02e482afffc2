// SPDX-License-Identifier: MIT OR Apache-2.0
//! What is read from attributes, as text: byte for byte what the C driver
//! writes, except that no listing is cut at the end of a page.
//! Source: Linux `vfio_ap_ops.c`, `vfio_ap_drv.c`.

use core::fmt::{self, Write};

use crate::ap_arch::{Adm, Matrix};

/// Content of the matrix device's `features`.
pub const FEATURES: &str = "guest_matrix hotplug ap_config\n";

/// `matrix` and `guest_matrix`: a line per queue, by adapter; or per adapter or
/// domain, if the other kind is missing.
pub fn write_matrix(matrix: &Matrix, out: &mut dyn Write) -> fmt::Result {
    if matrix.aqm.is_empty() {
        matrix
            .apm
            .iter()
            .try_for_each(|apid| writeln!(out, "{apid}."))
    } else if matrix.apm.is_empty() {
        matrix
            .aqm
            .iter()
            .try_for_each(|apqi| writeln!(out, ".{apqi}"))
    } else {
        matrix.apqns().try_for_each(|apqn| writeln!(out, "{apqn}"))
    }
}

/// `control_domains`: a line each.
pub fn write_control_domains(adm: Adm, out: &mut dyn Write) -> fmt::Result {
    adm.iter().try_for_each(|id| writeln!(out, "{id}"))
}

/// `ap_config`: the three masks in one line.
pub fn write_ap_config(matrix: &Matrix, out: &mut dyn Write) -> fmt::Result {
    writeln!(out, "{},{},{}", matrix.apm, matrix.aqm, matrix.adm)
}

/// What a queue's `status` says.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub enum QueueStatusText {
    /// Assigned to no mdev.
    Unassigned,
    /// Assigned to an mdev, but no guest has it.
    Assigned,
    /// A guest has it.
    InUse,
}

impl QueueStatusText {
    /// The line.
    pub const fn line(self) -> &'static str {
        match self {
            Self::Unassigned => "unassigned\n",
            Self::Assigned => "assigned\n",
            Self::InUse => "in use\n",
        }
    }
}

/// The part of a text that a reader asked for: the bytes from an offset on
/// that fit a buffer. What lies before or behind is dropped as it comes.
pub struct Window<'a> {
    buffer: &'a mut [u8],
    skip: usize,
    filled: usize,
}

impl<'a> Window<'a> {
    /// The window at `offset`.
    pub fn new(buffer: &'a mut [u8], offset: usize) -> Self {
        Self {
            buffer,
            skip: offset,
            filled: 0,
        }
    }

    /// How many bytes the reader gets.
    pub fn filled(&self) -> usize {
        self.filled
    }
}

impl Write for Window<'_> {
    fn write_str(&mut self, text: &str) -> fmt::Result {
        let skipped = text.len().min(self.skip);
        self.skip -= skipped;
        let wanted = &text.as_bytes()[skipped..];
        let room = &mut self.buffer[self.filled..];
        let len = wanted.len().min(room.len());
        room[..len].copy_from_slice(&wanted[..len]);
        self.filled += len;
        // the buffer is full: nothing of what follows is wanted
        if len < wanted.len() {
            return Err(fmt::Error);
        }
        Ok(())
    }
}
