// SPDX-License-Identifier: MIT OR Apache-2.0
//! A machine: built in the order KVM wants, run, reset, taken down.
//!
//! ```text
//!   VM -> vector registers -> storage limit -> huge pages -> storage
//!   -> AP interpretation -> CPU model -> VFIO device -> kernel -> CPUs
//!   -> AP device -> run
//! ```
//!
//! What makes a CPU is frozen once one exists. The AP device comes after the
//! kernel is loaded, so that a bad image costs no queue reset.

use std::io;
use std::sync::Arc;
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use kvm_ioctls::DeviceFd;
use vm_memory::{Bytes, GuestAddress};
use vmm_sys_util::eventfd::{EFD_CLOEXEC, EFD_NONBLOCK, EventFd};

use crate::ap::{AttachError, Attachment};
use crate::boot::{self, BootError};
use crate::config::{ApConfig, ApEvents, ApInstructions, Pages, VmConfig};
use crate::console::{self, Console};
use crate::cpu_model::{self, ApFacilities};
use crate::cpus::{Cpus, Stuck, reset_task};
use crate::devices::sclp::Sclp;
use crate::kvm::{self, InterruptController, Kick, KvmError, Vm};
use crate::outcome::Outcome;
use crate::report::{Event, EventLog};
use crate::reset::{MachineReset, ResetRequest, short_psw};
use crate::shared::{Devices, Shared};
use crate::sigp::{Mode, Task};
use crate::vcpu::CpuLoop;

/// Within which a CPU comes to rest: it may be writing to the console.
const REST: Duration = Duration::from_secs(10);

/// Why a machine cannot be built or kept.
#[derive(Debug, thiserror::Error)]
pub enum MachineError {
    /// KVM refused.
    #[error(transparent)]
    Kvm(#[from] KvmError),
    /// The kernel cannot be loaded.
    #[error("cannot load the guest")]
    Boot(#[from] BootError),
    /// The console cannot be opened.
    #[error("cannot open the console")]
    Console(#[source] io::Error),
    /// The device cannot be attached.
    #[error("cannot attach the AP device")]
    Attach(#[from] AttachError),
    /// The host cannot give AP instructions.
    #[error("this host cannot give a guest AP instructions")]
    NoAp,
    /// The guest was made without AP instructions.
    #[error("the guest has no AP instructions: start it with --ap-instructions on")]
    GuestWithoutAp,
    /// KVM maps no huge pages.
    #[error("KVM of this host maps no huge pages: it wants its parameter hpage=1")]
    NoHugePages,
    /// A CPU does not come to rest.
    #[error("cannot hold the machine")]
    Stuck(#[from] Stuck),
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
    /// Whether the user can mend it in the machine description: it names
    /// something that is not there, or is not what it should be.
    pub fn is_config(&self) -> bool {
        matches!(
            self,
            Self::Boot(_) | Self::Console(_) | Self::Attach(AttachError::Mdev(_))
        )
    }
}

fn system(what: &'static str) -> impl FnOnce(io::Error) -> MachineError {
    move |source| MachineError::System { what, source }
}

fn spawn(
    name: String,
    run: impl FnOnce() + Send + 'static,
) -> Result<JoinHandle<()>, MachineError> {
    let thread = std::thread::Builder::new().name(name).spawn(run);
    thread.map_err(system("start a thread"))
}

/// A machine, built and perhaps running.
pub struct Machine {
    /// What its CPUs and the event loop share.
    pub shared: Arc<Shared>,
    /// AP facilities of its CPUs.
    pub ap_facilities: ApFacilities,
    /// Its CPUs.
    pub cpus: Arc<Cpus<Kick>>,
    ap: Option<Attachment>,
    vfio: Arc<DeviceFd>,
    interrupts: InterruptController,
    files: boot::Files,
    resets: u64,
    made: Instant,
    ready: Vec<CpuLoop>,
    writer: Option<console::Writer>,
    threads: Vec<JoinHandle<()>>,
}

impl Machine {
    /// Builds a machine, up to the point where its CPUs can run.
    pub fn new(config: &VmConfig, log: EventLog) -> Result<Self, MachineError> {
        let size = config.memory.size.0;
        let vm = Vm::new()?;
        vm.enable_vector_registers()?;
        vm.enable_user_sigp()?;
        vm.limit_storage(size)?;
        let pages = config.memory.pages;
        if pages != Pages::Small && !vm.enable_huge_pages()? {
            return Err(MachineError::NoHugePages);
        }
        let memory = kvm::allocate(size, pages)?;
        vm.set_storage(&memory)?;
        let ap_facilities = set_cpu_model(&vm, config)?;
        let vfio = Arc::new(vm.create_vfio_device()?);
        let interrupts = vm.create_interrupt_controller()?;

        let mut files =
            boot::Files::open(&config.kernel, config.initrd.as_deref(), &config.cmdline)?;
        let entry = files.load(&memory)?;
        let (mut vcpus, mut kicks) = (Vec::new(), Vec::new());
        for id in 0..config.cpus {
            let mut vcpu = vm.create_vcpu(id)?;
            vcpu.enable_css()?;
            vcpu.clear_reset()?;
            vcpu.set_operating(id == 0)?;
            if id == 0 {
                vcpu.set_psw(entry.mask, entry.address);
            }
            kicks.push(vcpu.kick_handle()?);
            vcpus.push(vcpu);
        }
        let attention =
            EventFd::new(EFD_NONBLOCK | EFD_CLOEXEC).map_err(system("make an eventfd"))?;
        let cpus = Arc::new(Cpus::new(kicks, size, attention));
        cpus.set_mode(0, Mode::Operating);

        let (console, writer) = Console::open(&config.console).map_err(MachineError::Console)?;
        let sclp = Sclp::new(size, config.cpus);
        let devices =
            Devices::new(memory, sclp, console, log).map_err(system("make an eventfd"))?;
        let shared = Arc::new(Shared { vm, devices });
        shared.devices.log.emit(Event::Built { ap: ap_facilities });
        let ready = (0..)
            .zip(vcpus)
            .map(|(i, vcpu)| CpuLoop::new(i, vcpu, Arc::clone(&shared), Arc::clone(&cpus)))
            .collect();

        let mut machine = Self {
            shared,
            ap_facilities,
            cpus,
            ap: None,
            vfio,
            interrupts,
            files,
            resets: 0,
            made: Instant::now(),
            ready,
            writer,
            threads: Vec::new(),
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
        if !self.ap_facilities.usable() {
            return Err(MachineError::GuestWithoutAp);
        }
        let vfio = Arc::clone(&self.vfio);
        let attachment = Attachment::new(config, vfio, &self.shared.devices.memory)?;
        let id = &attachment.id;
        self.shared.devices.log.emit(Event::ApAttached { id });
        self.ap = Some(attachment);
        Ok(())
    }

    /// Detaches the device, if there is one; returns what the guest is to be
    /// told of its changes, of which this is the last.
    pub fn detach(&mut self) -> Option<ApEvents> {
        let attachment = self.ap.take()?;
        let (id, events) = (attachment.id.clone(), attachment.events);
        drop(attachment);
        self.shared.devices.log.emit(Event::ApDetached { id: &id });
        Some(events)
    }

    /// Starts the CPUs, and what writes their console.
    pub fn start(&mut self) -> Result<(), MachineError> {
        kvm::handle_kicks()?;
        if let Some(writer) = self.writer.take() {
            spawn("console".into(), || writer.run())?;
        }
        self.shared.devices.log.emit(Event::FirstRun);
        for (index, cpu) in self.ready.drain(..).enumerate() {
            let cpus = Arc::clone(&self.cpus);
            self.threads.push(spawn(format!("vcpu{index}"), move || {
                cpus.waker(index).bind_thread();
                cpu.run();
            })?);
        }
        Ok(())
    }

    /// How often the machine was reset.
    pub fn resets(&self) -> u64 {
        self.resets
    }

    /// How long the machine has existed.
    pub fn uptime(&self) -> Duration {
        self.made.elapsed()
    }

    /// Holds the CPUs.
    pub fn pause(&self) -> Result<(), MachineError> {
        if let Err(stuck) = self.cpus.pause(REST) {
            self.cpus.resume();
            return Err(stuck.into());
        }
        self.shared.devices.log.emit(Event::Pause);
        Ok(())
    }

    /// Lets the CPUs go on.
    pub fn resume(&self) {
        self.shared.devices.log.emit(Event::Resume);
        self.cpus.resume();
    }

    /// Resets the machine as if it were switched off and on. The device stays.
    pub fn reset(&mut self) -> Result<(), MachineError> {
        self.cpus.request_reset(ResetRequest {
            kind: MachineReset::Load { clear: true },
            cpu: 0,
        });
        self.reset_as_requested()
    }

    /// Does the reset that was asked for, if one was. Half a reset is the end
    /// of the machine.
    pub fn reset_as_requested(&mut self) -> Result<(), MachineError> {
        let Some(request) = self.cpus.reset_request() else {
            return Ok(());
        };
        let result = self.reset_to(request);
        if let Err(error) = &result {
            self.cpus.end(Outcome::Host(crate::chain(error)));
        }
        result
    }

    fn reset_to(&mut self, request: ResetRequest) -> Result<(), MachineError> {
        self.cpus.rest(REST)?;
        self.shared.devices.reset();
        if let Some(ap) = &self.ap {
            // the driver goes on with a queue that takes longer, and keeps it
            // from the guest
            if let Err(error) = ap.reset() {
                tracing::warn!(%error, "cannot reset the AP queues");
            }
        }
        self.interrupts.clear()?;
        for index in 0..self.cpus.count() {
            self.cpus.order(index, reset_task(request, index), REST)?;
        }
        let (mask, address) = self.reload(request.kind)?;
        let start = Task::StartAt { mask, address };
        self.cpus.order(request.cpu, start, REST)?;
        self.resets += 1;
        self.shared
            .devices
            .log
            .emit(Event::Reset { kind: request.kind });
        self.cpus.reset_done();
        Ok(())
    }

    /// Prepares storage; returns the PSW to go on at.
    fn reload(&mut self, kind: MachineReset) -> Result<(u64, u64), MachineError> {
        let memory = &self.shared.devices.memory;
        let MachineReset::Load { clear } = kind else {
            let doubleword: u64 = memory
                .read_obj(GuestAddress(0))
                .map_err(|error| system("read the PSW")(io::Error::other(error)))?;
            return Ok(short_psw(u64::from_be(doubleword)));
        };
        if clear {
            kvm::clear(memory)?;
        }
        let entry = self.files.load(memory)?;
        Ok((entry.mask, entry.address))
    }

    /// Ends the machine if it still runs, and says how it ended.
    pub fn finish(mut self) -> Outcome {
        self.join();
        self.detach();
        self.cpus.outcome().unwrap_or(Outcome::Orderly)
    }

    fn join(&mut self) {
        self.cpus.end(Outcome::Orderly);
        for thread in self.threads.drain(..) {
            if thread.join().is_err() {
                tracing::debug!("a CPU thread panicked");
            }
        }
    }
}

impl Drop for Machine {
    fn drop(&mut self) {
        self.join();
        self.shared.devices.console.finish();
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
