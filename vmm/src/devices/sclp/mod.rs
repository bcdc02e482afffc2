// SPDX-License-Identifier: MIT OR Apache-2.0
//! The service-call logical processor: machine facts, console, quiesce.
//!
//! A service call names a command and the address of a block (SCCB):
//!
//! ```text
//!   +0 length   +2 function   +3 control mask (3)   +6 response code   +8 data
//! ```
//!
//! The block is copied out of guest storage once, worked on, and copied back,
//! so nothing the guest changes meanwhile matters. The answer is always a
//! service-signal interrupt.
//!
//! Source: Linux `drivers/s390/char/sclp.h`, `sclp_early_core.c`, `sclp.c`.

mod event;
mod facts;

use vm_memory::{Bytes, GuestAddress, GuestMemoryMmap};

use event::EventFacility;

use crate::devices::put;
use crate::program::ProgramInterrupt;

/// Parts of the command word that name the command.
const COMMAND_MASK: u32 = 0xffff_00ff;

const READ_SCP_INFO: u32 = 0x0002_0001;
const READ_SCP_INFO_FORCED: u32 = 0x0012_0001;
const READ_CPU_INFO: u32 = 0x0001_0001;
const WRITE_EVENT_DATA: u32 = 0x0076_0005;
const READ_EVENT_DATA: u32 = 0x0077_0005;
const WRITE_EVENT_MASK: u32 = 0x0078_0005;

const HEADER_LEN: usize = 8;
const PAGE: u64 = 4096;

/// Response codes.
mod code {
    pub const READ_COMPLETE: u16 = 0x0010;
    pub const COMPLETE: u16 = 0x0020;
    pub const BOUNDARY_VIOLATION: u16 = 0x0100;
    pub const INVALID_COMMAND: u16 = 0x01f0;
    pub const INSUFFICIENT_LENGTH: u16 = 0x0300;
    pub const INVALID_FUNCTION: u16 = 0x40f0;
    pub const NO_EVENTS: u16 = 0x60f0;
    pub const INVALID_SELECTION: u16 = 0x70f0;
    pub const INCONSISTENT_LENGTHS: u16 = 0x72f0;
    pub const EVENT_SYNTAX: u16 = 0x73f0;
    pub const INVALID_MASK_LENGTH: u16 = 0x74f0;
}

/// A service-signal external interrupt with its parameter.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[must_use]
pub struct ServiceSignal(pub u32);

/// What a service call comes to.
#[derive(Debug, PartialEq, Eq)]
pub struct Served {
    /// To be made pending.
    pub signal: ServiceSignal,
    /// Console output, at most a page.
    pub output: Vec<u8>,
}

/// The processor.
pub struct Sclp {
    ram_size: u64,
    cpus: u16,
    events: EventFacility,
}

impl Sclp {
    /// For a machine of `ram_size` bytes and `cpus` CPUs.
    pub fn new(ram_size: u64, cpus: u16) -> Self {
        Self {
            ram_size,
            cpus,
            events: EventFacility::default(),
        }
    }

    /// Executes a service call of a CPU in the supervisor state whose prefix
    /// area is at `prefix`.
    pub fn service_call(
        &mut self,
        memory: &GuestMemoryMmap,
        prefix: u64,
        command: u32,
        address: u64,
    ) -> Result<Served, ProgramInterrupt> {
        let area = address & !0x1fff;
        if address & !0x7fff_fff8 != 0 || area == 0 || area == prefix {
            return Err(ProgramInterrupt::Specification);
        }
        let at = GuestAddress(address);
        let outside = |_| ProgramInterrupt::Addressing;

        let mut length = [0; 2];
        memory.read_slice(&mut length, at).map_err(outside)?;
        let length = u16::from_be_bytes(length);
        if usize::from(length) < HEADER_LEN {
            return Err(ProgramInterrupt::Specification);
        }
        let mut sccb = vec![0; length.into()];
        memory.read_slice(&mut sccb, at).map_err(outside)?;
        // the guest may have changed it since
        put(&mut sccb, 0, &length.to_be_bytes());

        let mut output = Vec::new();
        let code = if address % PAGE + u64::from(length) > PAGE {
            code::BOUNDARY_VIOLATION
        } else {
            self.execute(command, &mut sccb, &mut output)
        };
        put(&mut sccb, 6, &code.to_be_bytes());
        memory.write_slice(&sccb, at).map_err(outside)?;
        let pending = u32::from(self.events.pending());
        // bits above 31 were found zero
        let signal = ServiceSignal(address as u32 | pending);
        Ok(Served { signal, output })
    }

    /// Executes a command on a block of at least a header; returns the
    /// response code.
    fn execute(&mut self, command: u32, sccb: &mut [u8], output: &mut Vec<u8>) -> u16 {
        match command & COMMAND_MASK {
            READ_SCP_INFO | READ_SCP_INFO_FORCED => {
                facts::read_scp_info(sccb, self.ram_size, self.cpus)
            }
            READ_CPU_INFO => facts::read_cpu_info(sccb, self.cpus),
            WRITE_EVENT_DATA => EventFacility::write(sccb, output),
            READ_EVENT_DATA => self.events.read(sccb),
            WRITE_EVENT_MASK => self.events.set_masks(sccb),
            _ => code::INVALID_COMMAND,
        }
    }

    /// Asks the guest to shut down. `None` if it does not listen.
    pub fn quiesce(&mut self) -> Option<ServiceSignal> {
        self.events.queue_quiesce().then_some(ServiceSignal(1))
    }

    /// Whether an event waits that the guest wants.
    pub fn has_events(&self) -> bool {
        self.events.pending()
    }

    /// How many bytes [`Self::console_input`] has room for.
    pub fn input_room(&self) -> usize {
        self.events.input_room()
    }

    /// Queues console input, as far as there is room. `None` if the guest need
    /// not be told, since it does not listen yet.
    pub fn console_input(&mut self, bytes: &[u8]) -> Option<ServiceSignal> {
        self.events.queue_input(bytes).then_some(ServiceSignal(1))
    }

    /// Forgets masks and pending events, as a subsystem reset does.
    pub fn reset(&mut self) {
        self.events = EventFacility::default();
    }
}

#[cfg(test)]
mod tests;
