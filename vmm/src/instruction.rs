// SPDX-License-Identifier: MIT OR Apache-2.0
//! Emulation of the instructions that KVM leaves to user space.
//!
//! A CPU is what [`Processor`] shows of it and the machine what [`Devices`]
//! holds, so that everything a guest can ask for is tried out without KVM, by
//! tests and by fuzzing.
//!
//! Nothing a guest can put into registers or storage ends in a panic: it gets
//! an exception, a condition code, or the machine ends with a reason.

use vm_memory::{Bytes, GuestAddress};

use crate::devices::css::{self, chsc};
use crate::devices::sclp::ServiceSignal;
use crate::diag;
use crate::exits::{Instruction, Reg, Storage, wrap_address};
use crate::outcome::Outcome;
use crate::program::ProgramInterrupt;
use crate::report::Event;
use crate::reset::MachineReset;
use crate::shared::Devices;

const PROBLEM_STATE: u64 = 1 << 48;

/// How an access to guest storage ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[must_use]
pub enum Access {
    /// Complete.
    Done,
    /// An access exception was presented to the guest; the instruction ends.
    Exception,
}

/// A CPU that has left the guest.
pub trait Processor {
    /// Why it cannot be asked.
    type Error;

    /// PSW mask and address; the address is past the instruction.
    fn psw(&mut self) -> (u64, u64);
    /// The general registers.
    fn gprs(&mut self) -> &mut [u64; 16];
    /// Address of the prefix area.
    fn prefix(&mut self) -> u64;
    /// Reads guest storage by logical address, at most a page.
    fn read(&mut self, address: u64, buffer: &mut [u8]) -> Result<Access, Self::Error>;
    /// Writes guest storage by logical address, at most a page.
    fn write(&mut self, address: u64, bytes: &[u8]) -> Result<Access, Self::Error>;
}

/// What an instruction comes to.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Effect {
    /// It has no condition code, or has ended already.
    Done,
    /// A condition code.
    Cc(u8),
    /// A program interruption.
    Interrupt(ProgramInterrupt),
    /// Condition code 0, and an interrupt to be made pending.
    Service(ServiceSignal),
    /// An order to a CPU.
    Signal(Signal),
    /// A reset of the machine.
    Reset(MachineReset),
    /// The end of the machine.
    End(Outcome),
}

/// The operands of SIGNAL PROCESSOR.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Signal {
    /// The CPU addressed.
    pub target: u16,
    /// What it is to do.
    pub order: u8,
    /// The order's parameter.
    pub parameter: u64,
    /// Takes the status.
    pub status: Reg,
}

/// Executes an instruction up to what it takes KVM to do.
pub fn execute<P: Processor>(
    cpu: &mut P,
    devices: &Devices,
    instruction: Instruction,
) -> Result<Effect, P::Error> {
    devices.exits.count(&instruction);
    let (mask, _) = cpu.psw();
    if instruction == Instruction::Other {
        return Ok(Effect::Interrupt(ProgramInterrupt::Operation));
    }
    if mask & PROBLEM_STATE != 0 {
        return Ok(Effect::Interrupt(ProgramInterrupt::Privileged));
    }
    match instruction {
        Instruction::ServiceCall { command, sccb } => {
            Ok(service_call(cpu, devices, command, sccb).unwrap_or_else(Effect::Interrupt))
        }
        Instruction::ChannelSubsystemCall { block } => chsc(cpu, devices, block, mask),
        Instruction::StoreChannelReportWord(operand) => stcrw(cpu, devices, operand, mask),
        Instruction::Subchannel => Ok(subchannel(cpu.gprs())),
        Instruction::SetChannelMonitor => Ok(Effect::Done),
        Instruction::NotOperational => Ok(Effect::Cc(3)),
        Instruction::SignalProcessor {
            status,
            address,
            order,
        } => Ok(Effect::Signal(signal(cpu.gprs(), status, address, order))),
        Instruction::Diagnose { r1, r3, function } => {
            Ok(diagnose(cpu.gprs(), devices, r1, r3, function))
        }
        Instruction::Other => Ok(Effect::Interrupt(ProgramInterrupt::Operation)),
    }
}

fn service_call<P: Processor>(
    cpu: &mut P,
    devices: &Devices,
    command: Reg,
    sccb: Reg,
) -> Result<Effect, ProgramInterrupt> {
    // the command is a word
    let word = cpu.gprs()[command.index()] as u32;
    let address = cpu.gprs()[sccb.index()];
    let prefix = cpu.prefix();
    devices
        .service_call(prefix, word, address)
        .map(Effect::Service)
}

fn chsc<P: Processor>(
    cpu: &mut P,
    devices: &Devices,
    block: Reg,
    mask: u64,
) -> Result<Effect, P::Error> {
    let address = wrap_address(mask, cpu.gprs()[block.index()]);
    if !address.is_multiple_of(4096) {
        return Ok(Effect::Interrupt(ProgramInterrupt::Specification));
    }
    let mut request = [0; chsc::REQUEST_LEN];
    if cpu.read(address, &mut request)? == Access::Exception {
        return Ok(Effect::Done);
    }
    let result = chsc::execute(&mut devices.css(), &request);
    let response = match result {
        Ok(response) => response,
        Err(interrupt) => return Ok(Effect::Interrupt(interrupt)),
    };
    // within the page
    let at = address + u64::from(response.offset);
    if cpu.write(at, &response.bytes)? == Access::Exception {
        if response.ap_event {
            devices.css().requeue_event();
        }
        return Ok(Effect::Done);
    }
    if response.ap_event {
        devices.log.emit(Event::SeiRead);
    }
    Ok(Effect::Cc(0))
}

fn stcrw<P: Processor>(
    cpu: &mut P,
    devices: &Devices,
    operand: Storage,
    mask: u64,
) -> Result<Effect, P::Error> {
    let address = wrap_address(mask, operand.value(cpu.gprs()));
    if !address.is_multiple_of(4) {
        return Ok(Effect::Interrupt(ProgramInterrupt::Specification));
    }
    let (word, cc) = devices.css().take_crw();
    if cpu.write(address, &word.to_be_bytes())? == Access::Exception {
        devices.css().requeue_crw(cc);
        return Ok(Effect::Done);
    }
    if cc == 0 {
        devices.log.emit(Event::CrwRead);
    }
    Ok(Effect::Cc(cc))
}

/// No subchannel is there, and a malformed ID is an operand exception.
fn subchannel(gprs: &[u64; 16]) -> Effect {
    // the ID is a word
    if css::is_subchannel_id(gprs[1] as u32) {
        Effect::Cc(3)
    } else {
        Effect::Interrupt(ProgramInterrupt::Operand)
    }
}

/// The parameter is in the odd register of the pair that the status register
/// is of.
fn signal(gprs: &[u64; 16], status: Reg, address: Reg, order: Storage) -> Signal {
    Signal {
        // an address has 16 bits, an order 8
        target: gprs[address.index()] as u16,
        order: order.value(gprs) as u8,
        parameter: gprs[status.index() | 1],
        status,
    }
}

fn diagnose(
    gprs: &mut [u64; 16],
    devices: &Devices,
    r1: Reg,
    r3: Reg,
    function: Storage,
) -> Effect {
    // the function code has 16 bits
    let code = function.value(gprs) as u16;
    match diag::execute(code, r1, r3, gprs, devices.ram_size()) {
        diag::Action::Done => Effect::Done,
        diag::Action::Interrupt(interrupt) => Effect::Interrupt(interrupt),
        diag::Action::Reset(kind) => Effect::Reset(kind),
        diag::Action::Exit(status) => Effect::End(Outcome::Status(status)),
        diag::Action::Report { address, length } => report(devices, address, length),
    }
}

fn report(devices: &Devices, address: u64, length: u64) -> Effect {
    // at most REPORT_MAX
    let mut bytes = vec![0; length as usize];
    let read = devices.memory.read_slice(&mut bytes, GuestAddress(address));
    if read.is_err() {
        return Effect::Interrupt(ProgramInterrupt::Addressing);
    }
    let line = String::from_utf8_lossy(&bytes);
    devices.log.emit(Event::Report {
        line: line.trim_end(),
    });
    Effect::Done
}
