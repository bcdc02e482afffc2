// SPDX-License-Identifier: MIT OR Apache-2.0
//! What CPU threads and the event loop share: storage and devices.
//!
//! Locks: one each around SCLP and the channel subsystem, never both at once,
//! never held while a CPU runs. Making an interrupt pending needs no kick;
//! KVM wakes the CPU that takes it.

use std::io;
use std::sync::{Mutex, MutexGuard, PoisonError};

use vm_memory::GuestMemoryMmap;
use vmm_sys_util::eventfd::{EFD_CLOEXEC, EFD_NONBLOCK, EventFd};

use crate::console::Console;
use crate::devices::css::Css;
use crate::devices::sclp::{Sclp, ServiceSignal};
use crate::exits::ExitCounts;
use crate::program::ProgramInterrupt;
use crate::report::EventLog;

/// Storage, and what the guest sees besides its CPUs.
pub struct Devices {
    /// Guest storage.
    pub memory: GuestMemoryMmap,
    /// Where console output goes.
    pub console: Console,
    /// Where events go.
    pub log: EventLog,
    /// What CPUs left the guest for.
    pub exits: ExitCounts,
    /// Signalled when the guest has read events, so that there is room for console
    /// input, and when there are more of them.
    pub sclp_attention: EventFd,
    sclp: Mutex<Sclp>,
    css: Mutex<Css>,
}

impl Devices {
    /// Puts the parts together.
    pub fn new(
        memory: GuestMemoryMmap,
        sclp: Sclp,
        console: Console,
        log: EventLog,
    ) -> io::Result<Self> {
        Ok(Self {
            sclp_attention: EventFd::new(EFD_NONBLOCK | EFD_CLOEXEC)?,
            memory,
            console,
            log,
            exits: ExitCounts::default(),
            sclp: Mutex::new(sclp),
            css: Mutex::new(Css::default()),
        })
    }

    /// Executes a service call of a CPU in the supervisor state, but for the
    /// interrupt that it ends with.
    pub fn service_call(
        &self,
        prefix: u64,
        command: u32,
        address: u64,
    ) -> Result<ServiceSignal, ProgramInterrupt> {
        let mut sclp = self.sclp();
        let room = sclp.input_room();
        let served = sclp.service_call(&self.memory, prefix, command, address)?;
        let attention = sclp.has_events() || sclp.input_room() != room;
        drop(sclp);
        if attention {
            self.call_for_sclp();
        }
        // not with the processor in hand: it may take a while
        self.console.write(&served.output);
        Ok(served.signal)
    }

    fn call_for_sclp(&self) {
        // it counts up to 2^64 - 2, and is read whenever it is not zero
        let _ = self.sclp_attention.write(1);
    }

    /// The service-call processor.
    pub fn sclp(&self) -> MutexGuard<'_, Sclp> {
        lock(&self.sclp)
    }

    /// The channel subsystem.
    pub fn css(&self) -> MutexGuard<'_, Css> {
        lock(&self.css)
    }

    /// Size of guest storage.
    pub fn ram_size(&self) -> u64 {
        crate::boot::ram_size(&self.memory)
    }

    /// Brings the devices to the state they start in.
    pub fn reset(&self) {
        self.sclp().reset();
        self.css().reset();
        self.call_for_sclp();
    }
}

/// A device left behind by a thread that panicked is still consistent enough
/// to end the machine with.
fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

#[cfg(target_arch = "s390x")]
pub use machine::Shared;

#[cfg(target_arch = "s390x")]
mod machine {
    use super::Devices;
    use crate::devices::css::{CHANNEL_REPORT_CR14, CHANNEL_REPORT_MCIC, Signal};
    use crate::kvm::{KvmError, Vm};
    use crate::report::{Event, NotifyReason};

    /// A machine's devices, and KVM to tell of them.
    pub struct Shared {
        /// The virtual machine.
        pub vm: Vm,
        /// Storage and devices.
        pub devices: Devices,
    }

    impl Shared {
        /// Tells the guest that its AP configuration changed.
        pub fn notify_ap_change(&self, reason: NotifyReason) -> Result<(), KvmError> {
            let Signal(machine_check) = self.devices.css().notify_ap_change();
            // before the guest can answer, so that the log is in order
            self.devices.log.emit(Event::Notify {
                reason,
                machine_check,
            });
            if machine_check {
                self.vm
                    .machine_check(CHANNEL_REPORT_CR14, CHANNEL_REPORT_MCIC)?;
            }
            Ok(())
        }

        /// Asks the guest to shut down. `false` if it does not listen.
        pub fn quiesce(&self) -> Result<bool, KvmError> {
            let signal = self.devices.sclp().quiesce();
            if let Some(signal) = signal {
                self.devices.log.emit(Event::Quiesce);
                self.vm.service_signal(signal.0)?;
            }
            Ok(signal.is_some())
        }

        /// Tells the guest of SCLP events, if there are any.
        pub fn tell_of_events(&self) -> Result<(), KvmError> {
            let waits = self.devices.sclp().has_events();
            if waits {
                self.vm.service_signal(1)
            } else {
                Ok(())
            }
        }

        /// Gives console input to the guest, now or when it listens.
        pub fn console_input(&self, bytes: &[u8]) -> Result<(), KvmError> {
            let signal = self.devices.sclp().console_input(bytes);
            signal.map_or(Ok(()), |signal| self.vm.service_signal(signal.0))
        }
    }
}
