// SPDX-License-Identifier: MIT OR Apache-2.0
//! The thread of a CPU: runs the guest, and does what an exit asks for.
//!
//! ```text
//!   attend ──> run the guest ──> instruction ──> run the guest
//!     ^             |                |
//!     └─ woken, stopped, waiting, reset
//! ```

use std::sync::Arc;

use vm_memory::{Bytes, GuestAddress};

use crate::cpus::{Cpu, Cpus, Next, Watch};
use crate::exits::{Exit, Instruction, decode, with_condition_code};
use crate::instruction::{self, Effect, Processor, Signal};
use crate::kvm::{Access, Kick, KvmError, RunExit, Vcpu};
use crate::outcome::{Crash, Outcome};
use crate::reset::{MachineReset, ResetRequest};
use crate::shared::Shared;
use crate::sigp::{Answer, Mode, Reset, Task};

/// Where a CPU finds its restart PSWs, from its prefix on.
const RESTART_OLD_PSW: u64 = 0x120;
const RESTART_NEW_PSW: u64 = 0x1a0;

/// Where a CPU that stops stores its status, if it is to.
const ASSIGNED_STATUS: u64 = 0x1200;
/// The prefix in a status.
const STATUS_PREFIX: u64 = 0x118;

/// A CPU in its loop.
pub struct CpuLoop {
    index: usize,
    own: Own,
    cpus: Arc<Cpus<Kick>>,
}

/// The CPU itself, and what it reaches.
struct Own {
    vcpu: Vcpu,
    shared: Arc<Shared>,
}

impl CpuLoop {
    /// CPU `index` of `cpus`.
    pub fn new(index: usize, vcpu: Vcpu, shared: Arc<Shared>, cpus: Arc<Cpus<Kick>>) -> Self {
        let own = Own { vcpu, shared };
        Self { index, own, cpus }
    }

    /// Runs until the machine ends.
    pub fn run(mut self) {
        let cpus = Arc::clone(&self.cpus);
        let _watch = Watch(&*cpus);
        if let Err(error) = self.run_inner() {
            cpus.end(Outcome::Host(crate::chain(&error)));
        }
    }

    fn run_inner(&mut self) -> Result<(), KvmError> {
        while self.cpus.attend(self.index, &mut self.own)? == Next::Run {
            while self.step()? {}
        }
        Ok(())
    }

    /// Runs the guest once. `false`: there may be something at the CPU's seat.
    fn step(&mut self) -> Result<bool, KvmError> {
        let exit = match self.own.vcpu.run()? {
            RunExit::Intercept { code, ipa, ipb } => decode(code, ipa, ipb),
            RunExit::TestSubchannel => Exit::Instruction(Instruction::Subchannel),
            RunExit::Reset { clear } => {
                self.reset(MachineReset::Load { clear });
                return Ok(false);
            }
            RunExit::Interrupted => return Ok(false),
            RunExit::Unexpected(reason) => {
                let text = format!("unexpected KVM exit {reason}");
                self.cpus.end(Outcome::Host(text));
                return Ok(false);
            }
        };
        let (mask, address) = self.own.vcpu.psw();
        match exit {
            Exit::Instruction(instruction) => return self.instruction(instruction),
            Exit::DisabledWait => self.cpus.waiting(self.index, mask, address),
            Exit::Stop => {
                self.own.vcpu.set_operating(false)?;
                self.cpus.stopped(self.index);
            }
            Exit::Loop(kind) => self.cpus.end(Outcome::Crash(Crash::Loop {
                kind,
                mask,
                address,
            })),
            Exit::Unknown(code) => {
                let text = format!("unknown interception {code:#04x}");
                self.cpus.end(Outcome::Host(text));
            }
        }
        Ok(false)
    }

    fn instruction(&mut self, instruction: Instruction) -> Result<bool, KvmError> {
        let shared = Arc::clone(&self.own.shared);
        let vcpu = &mut self.own.vcpu;
        match instruction::execute(vcpu, &shared.devices, instruction)? {
            Effect::Done => {}
            Effect::Cc(cc) => vcpu.set_condition_code(cc),
            Effect::Interrupt(interrupt) => vcpu.interrupt(interrupt)?,
            Effect::Service(signal) => {
                vcpu.set_condition_code(0);
                shared.vm.service_signal(signal.0)?;
            }
            Effect::Signal(signal) => return self.signal(signal),
            Effect::Reset(kind) => {
                self.reset(kind);
                return Ok(false);
            }
            Effect::End(outcome) => {
                self.cpus.end(outcome);
                return Ok(false);
            }
        }
        Ok(true)
    }

    fn reset(&self, kind: MachineReset) {
        let cpu = self.index;
        self.cpus.request_reset(ResetRequest { kind, cpu });
    }

    fn signal(&mut self, signal: Signal) -> Result<bool, KvmError> {
        let answer = self.cpus.signal(
            self.index,
            &mut self.own,
            signal.order,
            signal.target.into(),
            signal.parameter,
        )?;
        let cc = match answer {
            None => return Ok(false),
            Some(Answer::Accepted) => 0,
            Some(Answer::Stored(status)) => {
                let register = &mut self.own.vcpu.gprs()[signal.status.index()];
                *register = *register & !0xffff_ffff | u64::from(status);
                1
            }
            Some(Answer::Busy) => 2,
            Some(Answer::NotOperational) => 3,
        };
        self.own.vcpu.set_condition_code(cc);
        Ok(true)
    }
}

impl Cpu for Own {
    type Error = KvmError;

    fn awake(&mut self) {
        self.vcpu.awake();
    }

    fn perform(&mut self, task: Task, mode: Mode) -> Result<Answer, KvmError> {
        match task {
            Task::Start => self.vcpu.set_operating(true)?,
            Task::StartAt { mask, address } => {
                self.vcpu.set_psw(mask, address);
                self.vcpu.set_operating(true)?;
            }
            Task::Restart if mode == Mode::Stopped => self.restart()?,
            Task::Restart => self.vcpu.inject_restart()?,
            Task::Stop { store } => {
                if let Mode::Waiting { .. } = mode {
                    // nothing can be pending that it would take
                    self.vcpu.set_operating(false)?;
                }
                // of a CPU that is stopped already, only the status is stored
                if store || mode == Mode::Operating {
                    self.vcpu.inject_stop(store)?;
                }
                if store && mode != Mode::Operating {
                    self.store_prefix(ASSIGNED_STATUS);
                }
            }
            Task::Reset(kind) => {
                self.vcpu.set_operating(false)?;
                match kind {
                    Reset::Normal => self.vcpu.reset()?,
                    Reset::Initial => self.vcpu.initial_reset()?,
                    Reset::Clear => self.vcpu.clear_reset()?,
                }
            }
            Task::SetPrefix(address) => self.vcpu.set_prefix(address),
            Task::StoreStatus(address) => {
                self.vcpu.store_status(address)?;
                self.store_prefix(address);
            }
            Task::StoreAdditionalStatus(address) => return Ok(self.store_vectors(address)),
        }
        Ok(Answer::Accepted)
    }
}

impl Own {
    /// Exchanges the PSWs of a restart. Not left to KVM, which would present
    /// other interruptions first.
    fn restart(&mut self) -> Result<(), KvmError> {
        let prefix = self.vcpu.prefix();
        let (mask, address) = self.vcpu.psw();
        let mut old = [0; 16];
        old[..8].copy_from_slice(&mask.to_be_bytes());
        old[8..].copy_from_slice(&address.to_be_bytes());
        let memory = &self.shared.devices.memory;
        let mut new = [0_u64; 2];
        // a prefix is within storage: SIGP and KVM see to that
        let result = memory
            .write_slice(&old, GuestAddress(prefix + RESTART_OLD_PSW))
            .and_then(|()| memory.read_obj(GuestAddress(prefix + RESTART_NEW_PSW)))
            .and_then(|mask| {
                new[0] = mask;
                memory.read_obj(GuestAddress(prefix + RESTART_NEW_PSW + 8))
            });
        match result {
            Ok(address) => {
                self.vcpu
                    .set_psw(u64::from_be(new[0]), u64::from_be(address));
            }
            Err(error) => tracing::warn!(%error, "no restart PSW at prefix {prefix:#x}"),
        }
        self.vcpu.set_operating(true)
    }

    /// Corrects a status: KVM knows of a new prefix only when the CPU runs.
    fn store_prefix(&mut self, status: u64) {
        // a prefix has 31 bits
        let prefix = (self.vcpu.prefix() as u32).to_be_bytes();
        let memory = &self.shared.devices.memory;
        if let Err(error) = memory.write_slice(&prefix, GuestAddress(status + STATUS_PREFIX)) {
            tracing::warn!(%error, "no storage for a status at {status:#x}");
        }
    }

    fn store_vectors(&mut self, address: u64) -> Answer {
        let mut bytes = Vec::with_capacity(512);
        for half in self.vcpu.vector_registers().as_flattened() {
            bytes.extend_from_slice(&half.to_be_bytes());
        }
        let memory = &self.shared.devices.memory;
        match memory.write_slice(&bytes, GuestAddress(address)) {
            Ok(()) => Answer::Accepted,
            Err(_) => Answer::Stored(crate::sigp::INVALID_PARAMETER),
        }
    }
}

impl Processor for Vcpu {
    type Error = KvmError;

    fn psw(&mut self) -> (u64, u64) {
        Vcpu::psw(self)
    }

    fn gprs(&mut self) -> &mut [u64; 16] {
        Vcpu::gprs(self)
    }

    fn prefix(&mut self) -> u64 {
        Vcpu::prefix(self)
    }

    fn read(&mut self, address: u64, buffer: &mut [u8]) -> Result<Access, KvmError> {
        Vcpu::read(self, address, buffer)
    }

    fn write(&mut self, address: u64, bytes: &[u8]) -> Result<Access, KvmError> {
        Vcpu::write(self, address, bytes)
    }
}

impl Vcpu {
    fn set_condition_code(&mut self, cc: u8) {
        let (mask, address) = self.psw();
        self.set_psw(with_condition_code(mask, cc), address);
    }
}
