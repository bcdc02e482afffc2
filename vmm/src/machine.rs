// SPDX-License-Identifier: MIT OR Apache-2.0
//! A machine: built in the order KVM wants, run, taken down.
//!
//! ```text
//!   VM -> vector registers -> storage limit -> storage -> AP interpretation
//!   -> CPU model -> VFIO device -> CPU -> kernel -> AP device -> run
//! ```
//!
//! Everything before the CPU is frozen once it exists. The AP device comes
//! after the kernel is loaded, so that a bad image costs no queue reset.

use std::fs::{File, OpenOptions};
use std::io::{self, Write};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::JoinHandle;

use kvm_ioctls::DeviceFd;
use vmm_sys_util::eventfd::{EFD_CLOEXEC, EFD_NONBLOCK, EventFd};
use vmm_sys_util::signal::{Killable, SIGRTMIN, register_signal_handler};

use crate::ap::{AttachError, Attachment};
use crate::boot::{self, BootError};
use crate::config::{ApConfig, ApInstructions, ConsoleConfig, VmConfig};
use crate::cpu_model::{self, ApFacilities};
use crate::devices::sclp::{ConsoleSink, Sclp};
use crate::kvm::{self, Kick, KvmError, Vm};
use crate::outcome::Outcome;
use crate::report::{Event, EventLog};
use crate::shared::Shared;
use crate::vcpu::CpuLoop;

/// Why a machine cannot be built or kept.
#[derive(Debug, thiserror::Error)]
pub enum MachineError {
    /// KVM refused.
    #[error(transparent)]
    Kvm(#[from] KvmError),
    /// The kernel cannot be loaded.
    #[error("cannot load the guest")]
    Boot(#[from] BootError),
    /// The device cannot be attached.
    #[error("cannot attach the AP device")]
    Attach(#[from] AttachError),
    /// The host cannot give AP instructions.
    #[error("this host cannot give a guest AP instructions")]
    NoAp,
    /// A machine has one device at most.
    #[error("the machine has an AP device already")]
    HasDevice,
    /// The system refused something else.
    #[error("cannot {what}")]
    System {
        /// What was attempted.
        what: &'static str,
        /// Why it failed.
        source: io::Error,
    },
}

impl MachineError {
    /// Whether the user can mend it in the machine description.
    pub fn is_config(&self) -> bool {
        matches!(self, Self::Boot(_))
    }
}

fn system(what: &'static str) -> impl FnOnce(io::Error) -> MachineError {
    move |source| MachineError::System { what, source }
}

/// A machine, built and perhaps running.
pub struct Machine {
    /// What its CPUs and the event loop share.
    pub shared: Arc<Shared>,
    /// AP facilities of its CPUs.
    pub ap_facilities: ApFacilities,
    ap: Option<Attachment>,
    vfio: Arc<DeviceFd>,
    cpu: Cpu,
}

/// The CPU and its thread.
struct Cpu {
    kick: Kick,
    stop: Arc<AtomicBool>,
    ended: EventFd,
    state: CpuState,
}

enum CpuState {
    Ready(CpuLoop),
    Running(JoinHandle<Outcome>),
    Ended,
}

impl Machine {
    /// Builds a machine, up to the point where its CPU can run.
    pub fn new(config: &VmConfig, log: EventLog) -> Result<Self, MachineError> {
        let size = config.memory.size.0;
        let vm = Vm::new()?;
        vm.enable_vector_registers()?;
        vm.limit_storage(size)?;
        let memory = kvm::allocate(size)?;
        vm.set_storage(&memory)?;
        let ap_facilities = set_cpu_model(&vm, config)?;
        let vfio = Arc::new(vm.create_vfio_device()?);
        let mut vcpu = vm.create_vcpu(0)?;
        vcpu.enable_css()?;

        let entry = boot::load_files(
            &memory,
            &config.kernel,
            config.initrd.as_deref(),
            &config.cmdline,
        )?;
        vcpu.start_at(entry.mask, entry.address)?;

        let console = open_console(&config.console)?;
        let sclp = Sclp::new(size, config.cpus, console);
        let shared = Arc::new(Shared::new(vm, memory, sclp, log));
        shared.log.emit(Event::Built { ap: ap_facilities });

        let kick = vcpu.kick_handle()?;
        let stop = Arc::new(AtomicBool::new(false));
        let cpu_loop = CpuLoop::new(vcpu, Arc::clone(&shared), Arc::clone(&stop));
        let mut machine = Self {
            shared,
            ap_facilities,
            ap: None,
            vfio,
            cpu: Cpu {
                kick,
                stop,
                ended: EventFd::new(EFD_NONBLOCK | EFD_CLOEXEC)
                    .map_err(system("make an eventfd"))?,
                state: CpuState::Ready(cpu_loop),
            },
        };
        if let Some(ap) = &config.ap {
            machine.attach(ap)?;
        }
        Ok(machine)
    }

    /// The attached device.
    pub fn ap(&self) -> Option<&Attachment> {
        self.ap.as_ref()
    }

    /// Attaches a device. On a running machine, tell the guest afterwards.
    pub fn attach(&mut self, config: &ApConfig) -> Result<(), MachineError> {
        if self.ap.is_some() {
            return Err(MachineError::HasDevice);
        }
        let vfio = Arc::clone(&self.vfio);
        let attachment = Attachment::new(config, vfio, &self.shared.memory)?;
        let id = &attachment.id;
        self.shared.log.emit(Event::ApAttached { id });
        self.ap = Some(attachment);
        Ok(())
    }

    /// Detaches the device; `false` if there is none. Tell the guest
    /// afterwards.
    pub fn detach(&mut self) -> bool {
        let Some(attachment) = self.ap.take() else {
            return false;
        };
        let id = attachment.id.clone();
        drop(attachment);
        self.shared.log.emit(Event::ApDetached { id: &id });
        true
    }

    /// Signalled when the CPU has ended.
    pub fn ended(&self) -> &EventFd {
        &self.cpu.ended
    }

    /// Starts the CPU.
    pub fn start(&mut self) -> Result<(), MachineError> {
        extern "C" fn interrupt(_: i32, _: *mut libc::siginfo_t, _: *mut libc::c_void) {}
        register_signal_handler(SIGRTMIN(), interrupt)
            .map_err(|e| system("handle the kick signal")(e.into()))?;
        let ended = self
            .cpu
            .ended
            .try_clone()
            .map_err(system("share an eventfd"))?;
        let mut cpu = match std::mem::replace(&mut self.cpu.state, CpuState::Ended) {
            CpuState::Ready(cpu) => cpu,
            other => {
                self.cpu.state = other;
                return Ok(());
            }
        };
        let log = Arc::clone(&self.shared);
        let thread = std::thread::Builder::new()
            .name("vcpu0".into())
            .spawn(move || {
                log.log.emit(Event::FirstRun);
                let outcome = cpu.run();
                // the reader polls, so a write that fails means it has gone
                let _ = ended.write(1);
                outcome
            })
            .map_err(system("start a CPU thread"))?;
        self.cpu.state = CpuState::Running(thread);
        Ok(())
    }

    /// Ends the machine if it still runs, and says how it ended.
    pub fn finish(mut self) -> Outcome {
        let outcome = self.join();
        self.detach();
        outcome
    }

    fn join(&mut self) -> Outcome {
        let CpuState::Running(thread) = std::mem::replace(&mut self.cpu.state, CpuState::Ended)
        else {
            return Outcome::Orderly;
        };
        self.cpu.stop.store(true, Ordering::Release);
        self.cpu.kick.kick();
        if let Err(error) = thread.kill(SIGRTMIN()) {
            tracing::debug!(%error, "the CPU thread has ended already");
        }
        match thread.join() {
            Ok(outcome) => outcome,
            Err(_) => Outcome::Host("the CPU thread panicked".into()),
        }
    }
}

impl Drop for Machine {
    fn drop(&mut self) {
        self.join();
    }
}

/// Gives the guest the host's CPU, with AP if wanted and possible.
fn set_cpu_model(vm: &Vm, config: &VmConfig) -> Result<ApFacilities, MachineError> {
    let wanted = config.ap_instructions != ApInstructions::Off;
    let interpreted = wanted && vm.enable_ap_interpretation()?;
    let host = vm.machine_model()?;
    let mut model = vm.cpu_model()?;
    // facilities without interpretation would promise what is not there
    let ap = cpu_model::edit(
        &mut model.fac_list,
        &host.fac_mask,
        &host.fac_list,
        interpreted,
    );
    vm.set_cpu_model(&model)?;
    let needed = config.ap_instructions == ApInstructions::On || config.ap.is_some();
    if needed && !ap.usable() {
        return Err(MachineError::NoAp);
    }
    if wanted && !ap.usable() {
        tracing::info!("the host has no AP: the guest gets no AP instructions");
    }
    Ok(ap)
}

fn open_console(config: &ConsoleConfig) -> Result<Box<dyn ConsoleSink>, MachineError> {
    Ok(match config {
        ConsoleConfig::Null => Box::new(|_: &[u8]| {}),
        ConsoleConfig::Stdio => writer(io::stdout()),
        ConsoleConfig::File(path) => {
            let file: File = OpenOptions::new()
                .create(true)
                .write(true)
                .truncate(true)
                .open(path)
                .map_err(system("open the console file"))?;
            writer(file)
        }
    })
}

/// A console that writes through at once. After the first failure (a closed
/// pipe, a full disk) it stays quiet.
fn writer(mut to: impl Write + Send + 'static) -> Box<dyn ConsoleSink> {
    let mut failed = false;
    Box::new(move |bytes: &[u8]| {
        if failed {
            return;
        }
        if let Err(error) = to.write_all(bytes).and_then(|()| to.flush()) {
            tracing::warn!(%error, "cannot write the console");
            failed = true;
        }
    })
}
