// SPDX-License-Identifier: MIT OR Apache-2.0
//! The run loop of a CPU: what an exit asks for is done here.
//!
//! Nothing a guest can put into registers or storage ends in a panic: it gets
//! an exception, a condition code, or the machine ends with a reason.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use vm_memory::{Bytes, GuestAddress};

use crate::devices::css::{self, chsc};
use crate::diag;
use crate::exits::{Exit, Instruction, Reg, Storage, decode, with_condition_code, wrap_address};
use crate::kvm::{Access, KvmError, RunExit, Vcpu};
use crate::outcome::{Crash, Outcome};
use crate::program::ProgramInterrupt;
use crate::report::Event;
use crate::shared::Shared;
use crate::sigp;

const PROBLEM_STATE: u64 = 1 << 48;

/// How an instruction ends.
enum Completion {
    /// It has no condition code, or everything is set already.
    Done,
    /// With a condition code.
    Cc(u8),
    /// With a program interruption.
    Interrupt(ProgramInterrupt),
    /// With the machine.
    Machine(Outcome),
}

impl From<Result<Completion, ProgramInterrupt>> for Completion {
    fn from(result: Result<Completion, ProgramInterrupt>) -> Self {
        result.unwrap_or_else(Self::Interrupt)
    }
}

/// A CPU in its loop.
pub struct CpuLoop {
    vcpu: Vcpu,
    shared: Arc<Shared>,
    stop: Arc<AtomicBool>,
}

impl CpuLoop {
    /// A loop that ends when `stop` is set and the CPU kicked.
    pub fn new(vcpu: Vcpu, shared: Arc<Shared>, stop: Arc<AtomicBool>) -> Self {
        Self { vcpu, shared, stop }
    }

    /// Runs the guest to its end.
    pub fn run(&mut self) -> Outcome {
        self.run_inner()
            .unwrap_or_else(|error| Outcome::Host(crate::chain(&error)))
    }

    fn run_inner(&mut self) -> Result<Outcome, KvmError> {
        while !self.stop.load(Ordering::Acquire) {
            let ended = match self.vcpu.run()? {
                RunExit::Intercept { code, ipa, ipb } => self.exit(decode(code, ipa, ipb))?,
                RunExit::TestSubchannel => self.instruction(Instruction::Subchannel)?,
                RunExit::Reset => Some(Outcome::Reset),
                RunExit::Interrupted => None,
                RunExit::Unexpected(reason) => {
                    Some(Outcome::Host(format!("unexpected KVM exit {reason}")))
                }
            };
            if let Some(outcome) = ended {
                return Ok(outcome);
            }
        }
        Ok(Outcome::Orderly)
    }

    /// Handles an exit; returns the outcome if it ends the machine.
    fn exit(&mut self, exit: Exit) -> Result<Option<Outcome>, KvmError> {
        let (mask, address) = self.vcpu.psw();
        let outcome = match exit {
            Exit::Instruction(instruction) => return self.instruction(instruction),
            Exit::DisabledWait => Outcome::of_wait(mask, address),
            // the only CPU there is
            Exit::Stop => Outcome::Orderly,
            Exit::Loop(kind) => Outcome::Crash(Crash::Loop {
                kind,
                mask,
                address,
            }),
            Exit::Unknown(code) => Outcome::Host(format!("unknown interception {code:#04x}")),
        };
        Ok(Some(outcome))
    }

    fn instruction(&mut self, instruction: Instruction) -> Result<Option<Outcome>, KvmError> {
        let (mask, address) = self.vcpu.psw();
        let completion = if instruction == Instruction::Other {
            Completion::Interrupt(ProgramInterrupt::Operation)
        } else if mask & PROBLEM_STATE != 0 {
            Completion::Interrupt(ProgramInterrupt::Privileged)
        } else {
            self.execute(instruction, mask)?
        };
        match completion {
            Completion::Done => {}
            Completion::Cc(cc) => self.vcpu.set_psw(with_condition_code(mask, cc), address),
            Completion::Interrupt(interrupt) => self.vcpu.interrupt(interrupt)?,
            Completion::Machine(outcome) => return Ok(Some(outcome)),
        }
        Ok(None)
    }

    fn execute(&mut self, instruction: Instruction, mask: u64) -> Result<Completion, KvmError> {
        match instruction {
            Instruction::ServiceCall { command, sccb } => self.service_call(command, sccb),
            Instruction::ChannelSubsystemCall { block } => self.chsc(block, mask),
            Instruction::StoreChannelReportWord(operand) => self.stcrw(operand, mask),
            Instruction::Subchannel => Ok(self.subchannel()),
            Instruction::SetChannelMonitor => Ok(Completion::Done),
            Instruction::NotOperational => Ok(Completion::Cc(3)),
            Instruction::SignalProcessor { status, order } => Ok(self.signal(status, order)),
            Instruction::Diagnose { r1, r3, function } => self.diagnose(r1, r3, function),
            Instruction::Other => Ok(Completion::Interrupt(ProgramInterrupt::Operation)),
        }
    }

    fn service_call(&mut self, command: Reg, sccb: Reg) -> Result<Completion, KvmError> {
        // the command is a word
        let word = self.vcpu.gprs()[command.index()] as u32;
        let address = self.vcpu.gprs()[sccb.index()];
        let prefix = self.vcpu.prefix();
        let result = self
            .shared
            .sclp()
            .service_call(&self.shared.memory, prefix, word, address);
        match result {
            Ok(signal) => {
                self.shared.vm.service_signal(signal.0)?;
                Ok(Completion::Cc(0))
            }
            Err(interrupt) => Ok(Completion::Interrupt(interrupt)),
        }
    }

    fn chsc(&mut self, block: Reg, mask: u64) -> Result<Completion, KvmError> {
        let address = wrap_address(mask, self.vcpu.gprs()[block.index()]);
        if !address.is_multiple_of(4096) {
            return Ok(Completion::Interrupt(ProgramInterrupt::Specification));
        }
        let mut request = [0; chsc::REQUEST_LEN];
        if self.vcpu.read(address, &mut request)? == Access::Exception {
            return Ok(Completion::Done);
        }
        let result = chsc::execute(&mut self.shared.css(), &request);
        let response = match result {
            Ok(response) => response,
            Err(interrupt) => return Ok(Completion::Interrupt(interrupt)),
        };
        let at = address + u64::from(response.offset);
        if self.vcpu.write(at, &response.bytes)? == Access::Exception {
            return Ok(Completion::Done);
        }
        if response.ap_event {
            self.shared.log.emit(Event::SeiRead);
        }
        Ok(Completion::Cc(0))
    }

    fn stcrw(&mut self, operand: Storage, mask: u64) -> Result<Completion, KvmError> {
        let address = wrap_address(mask, operand.value(self.vcpu.gprs()));
        if !address.is_multiple_of(4) {
            return Ok(Completion::Interrupt(ProgramInterrupt::Specification));
        }
        let (word, cc) = self.shared.css().take_crw();
        if self.vcpu.write(address, &word.to_be_bytes())? == Access::Exception {
            self.shared.css().requeue_crw(cc);
            return Ok(Completion::Done);
        }
        if cc == 0 {
            self.shared.log.emit(Event::CrwRead);
        }
        Ok(Completion::Cc(cc))
    }

    /// No subchannel is there, and a malformed ID is an operand exception.
    fn subchannel(&mut self) -> Completion {
        // the ID is a word
        let id = self.vcpu.gprs()[1] as u32;
        if css::is_subchannel_id(id) {
            Completion::Cc(3)
        } else {
            Completion::Interrupt(ProgramInterrupt::Operand)
        }
    }

    fn signal(&mut self, status: Reg, order: Storage) -> Completion {
        let gprs = self.vcpu.gprs();
        // the order is a byte
        match sigp::signal(order.value(gprs) as u8) {
            sigp::Answer::Accepted => Completion::Cc(0),
            sigp::Answer::Stored(word) => {
                let register = &mut gprs[status.index()];
                *register = *register & !0xffff_ffff | u64::from(word);
                Completion::Cc(1)
            }
        }
    }

    fn diagnose(&mut self, r1: Reg, r3: Reg, function: Storage) -> Result<Completion, KvmError> {
        let ram_size = crate::boot::ram_size(&self.shared.memory);
        let gprs = self.vcpu.gprs();
        // the function code has 16 bits
        let code = function.value(gprs) as u16;
        Ok(match diag::execute(code, r1, r3, gprs, ram_size) {
            diag::Action::Done => Completion::Done,
            diag::Action::Interrupt(interrupt) => Completion::Interrupt(interrupt),
            diag::Action::Reset => Completion::Machine(Outcome::Reset),
            diag::Action::Exit(status) => Completion::Machine(Outcome::Status(status)),
            diag::Action::Report { address, length } => self.report(address, length).into(),
        })
    }

    fn report(&mut self, address: u64, length: u64) -> Result<Completion, ProgramInterrupt> {
        let mut bytes = vec![0; length as usize];
        self.shared
            .memory
            .read_slice(&mut bytes, GuestAddress(address))
            .map_err(|_| ProgramInterrupt::Addressing)?;
        let line = String::from_utf8_lossy(&bytes);
        self.shared.log.emit(Event::Report {
            line: line.trim_end(),
        });
        Ok(Completion::Done)
    }
}
