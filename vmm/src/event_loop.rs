// SPDX-License-Identifier: MIT OR Apache-2.0
//! The main thread: waits for signals, device eventfds, console input and
//! control requests, and acts on the machine.
//!
//! | source          | action                                              |
//! |-----------------|-----------------------------------------------------|
//! | CPUs            | return if the machine ended, else reset it          |
//! | SIGTERM, SIGINT | ask the guest to shut down; the second time, stop   |
//! | SIGUSR1         | tell the guest of an AP change                      |
//! | cfg_chg         | the same, and start the timer                       |
//! | timer           | tell it once more (see below)                       |
//! | input           | give it to the guest, as far as there is room       |
//! | SCLP            | take input again, which had waited for room         |
//! | again           | tell of SCLP events that the guest has not read     |
//! | request         | detach the device: the host removes it              |
//!
//! A guest kernel that is told of a change while it is scanning for the one
//! before misses it. So the last change is told again after a pause, which
//! costs an idle guest one scan that finds nothing, unless the device's events
//! say otherwise.
//!
//! SCLP events are told again, too: KVM presents one before the end of a service
//! call, even if that was pending first (`kvm_s390_deliver_pending_interrupts()` in
//! Linux' `arch/s390/kvm/interrupt.c`), and Linux takes no notice of an event while it
//! still waits for the end of reading those before (`sclp_interrupt_handler()`).

use std::io;
use std::os::fd::{AsFd, AsRawFd, RawFd};
use std::time::Duration;

use nix::errno::Errno;
use nix::sys::signal::{SigSet, Signal};
use nix::sys::signalfd::{SfdFlags, SignalFd};
use nix::sys::time::TimeSpec;
use nix::sys::timerfd::{ClockId, Expiration, TimerFd, TimerFlags, TimerSetTimeFlags};
use vmm_sys_util::epoll::{ControlOperation, Epoll, EpollEvent, EventSet};
use vmm_sys_util::eventfd::EventFd;

use crate::api::{Api, ApiError, Control};
use crate::config::{ApConfig, ApEvents, ConsoleConfig, Telling, VmConfig};
use crate::machine::{Machine, MachineError};
use crate::outcome::Outcome;
use crate::report::{Event, NotifyReason};

/// Long enough for a guest's bus scan, short enough to matter.
const TRAILING_PAUSE: Duration = Duration::from_secs(2);

/// Longer than a guest takes to read SCLP events, short enough for input.
const SCLP_PAUSE: Duration = Duration::from_millis(20);

/// Why the loop failed.
#[derive(Debug, thiserror::Error)]
pub enum LoopError {
    /// A system call.
    #[error("cannot {what}")]
    System {
        /// What was attempted.
        what: &'static str,
        /// Why it failed.
        source: io::Error,
    },
    /// The control socket.
    #[error(transparent)]
    Api(#[from] ApiError),
    /// The machine.
    #[error(transparent)]
    Machine(#[from] MachineError),
}

fn system<E: Into<io::Error>>(what: &'static str) -> impl FnOnce(E) -> LoopError {
    move |error| LoopError::System {
        what,
        source: error.into(),
    }
}

/// What an event is about; its number is what epoll keeps.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u64)]
enum Source {
    Cpus,
    Signal,
    Timer,
    Request,
    CfgChg,
    Input,
    Sclp,
    Again,
    Api,
}

impl Source {
    const ALL: [Self; 9] = [
        Self::Cpus,
        Self::Signal,
        Self::Timer,
        Self::Request,
        Self::CfgChg,
        Self::Input,
        Self::Sclp,
        Self::Again,
        Self::Api,
    ];
}

/// The loop.
pub struct EventLoop {
    epoll: Epoll,
    signals: SignalFd,
    timer: TimerFd,
    again: TimerFd,
    api: Option<Api>,
    no_reboot: bool,
    /// Whether the guest was asked to shut down since it started.
    asked: bool,
    /// Whether input waits until the guest has taken what was before it.
    input_waits: bool,
    stopping: bool,
}

/// Signals that the loop takes instead of handlers.
fn signals() -> SigSet {
    [Signal::SIGTERM, Signal::SIGINT, Signal::SIGUSR1]
        .into_iter()
        .collect()
}

impl EventLoop {
    /// Prepares the loop. Before any other thread starts, so that all of them
    /// leave the signals to it.
    pub fn new(config: &VmConfig) -> Result<Self, LoopError> {
        let set = signals();
        set.thread_block().map_err(system("block signals"))?;
        let signals = SignalFd::with_flags(&set, SfdFlags::SFD_NONBLOCK | SfdFlags::SFD_CLOEXEC)
            .map_err(system("wait for signals"))?;
        let timer = || {
            let flags = TimerFlags::TFD_NONBLOCK | TimerFlags::TFD_CLOEXEC;
            TimerFd::new(ClockId::CLOCK_MONOTONIC, flags).map_err(system("make a timer"))
        };
        let this = Self {
            epoll: Epoll::new().map_err(system("make an epoll instance"))?,
            timer: timer()?,
            again: timer()?,
            api: config.api_socket.as_deref().map(Api::new).transpose()?,
            signals,
            no_reboot: config.no_reboot,
            asked: false,
            input_waits: false,
            stopping: false,
        };
        this.watch(Source::Signal, &this.signals)?;
        this.watch(Source::Timer, &this.timer.as_fd())?;
        this.watch(Source::Again, &this.again.as_fd())?;
        if let Some(api) = &this.api {
            this.watch(Source::Api, api)?;
        }
        if config.console == ConsoleConfig::Stdio {
            this.watch_input();
        }
        Ok(this)
    }

    fn watch(&self, source: Source, fd: &impl AsRawFd) -> Result<(), LoopError> {
        self.control(ControlOperation::Add, source, fd.as_raw_fd())
            .map_err(system("watch a file"))
    }

    fn control(&self, operation: ControlOperation, source: Source, fd: RawFd) -> io::Result<()> {
        self.epoll
            .ctl(operation, fd, EpollEvent::new(EventSet::IN, source as u64))
    }

    /// Standard input, unless it is a file, which cannot be waited for.
    fn watch_input(&self) {
        if let Err(error) = self.control(ControlOperation::Add, Source::Input, 0) {
            tracing::debug!(%error, "no console input");
        }
    }

    fn unwatch_input(&self) -> Result<(), LoopError> {
        self.control(ControlOperation::Delete, Source::Input, 0)
            .map_err(system("stop watching input"))
    }

    fn watch_device(&self, machine: &Machine) -> Result<(), LoopError> {
        let Some(ap) = machine.ap() else {
            return Ok(());
        };
        self.watch(Source::Request, &ap.request)?;
        self.watch(Source::CfgChg, &ap.cfg_chg)
    }

    /// Runs the machine until it ends or is stopped.
    pub fn run(&mut self, machine: &mut Machine) -> Result<(), LoopError> {
        self.watch(Source::Cpus, machine.cpus.attention())?;
        self.watch(Source::Sclp, &machine.shared.devices.sclp_attention)?;
        self.watch_device(machine)?;
        machine.start()?;
        let mut events = [EpollEvent::default(); Source::ALL.len()];
        loop {
            let count = match self.epoll.wait(-1, &mut events) {
                Err(error) if error.kind() == io::ErrorKind::Interrupted => continue,
                result => result.map_err(system("wait for events"))?,
            };
            for event in &events[..count] {
                let source = Source::ALL.into_iter().find(|&s| s as u64 == event.data());
                if let Some(source) = source {
                    self.handle(source, machine)?;
                }
                if self.stopping {
                    return Ok(());
                }
            }
        }
    }

    fn handle(&mut self, source: Source, machine: &mut Machine) -> Result<(), LoopError> {
        match source {
            Source::Signal => self.signal(machine),
            Source::Timer if expired(&self.timer)? => notify(machine, NotifyReason::Trailing),
            Source::Again if expired(&self.again)? => {
                let told = machine.shared.tell_of_events();
                told.map_err(MachineError::from)?;
                self.tell_again(machine)
            }
            Source::Timer | Source::Again => Ok(()),
            // a device that has just gone may have left an event behind
            Source::Request => {
                let Some(ap) = machine.ap() else {
                    return Ok(());
                };
                // of a device that was there before this one
                if drain(&ap.request) == 0 {
                    return Ok(());
                }
                machine
                    .shared
                    .devices
                    .log
                    .emit(Event::Request { id: &ap.id });
                self.detach(machine).map(|_| ())
            }
            Source::CfgChg => {
                let Some(ap) = machine.ap() else {
                    return Ok(());
                };
                let count = drain(&ap.cfg_chg);
                machine.shared.devices.log.emit(Event::CfgChg { count });
                let events = ap.events;
                self.notify_change(machine, events, NotifyReason::CfgChg)
            }
            Source::Input => self.input(machine),
            Source::Sclp => {
                drain(&machine.shared.devices.sclp_attention);
                if std::mem::take(&mut self.input_waits) {
                    self.watch_input();
                }
                self.tell_again(machine)
            }
            Source::Api => {
                let Some(mut api) = self.api.take() else {
                    return Ok(());
                };
                api.serve(&mut Handler {
                    events: self,
                    machine,
                });
                self.api = Some(api);
                Ok(())
            }
            Source::Cpus => self.cpus(machine),
        }
    }

    /// The machine ended, or is to be reset. A reset may be done already.
    fn cpus(&mut self, machine: &mut Machine) -> Result<(), LoopError> {
        drain(machine.cpus.attention());
        if machine.cpus.outcome().is_some() {
            self.stopping = true;
        } else if machine.cpus.reset_request().is_some() {
            if self.no_reboot {
                machine.cpus.end(Outcome::Reset);
                self.stopping = true;
            } else {
                machine.reset_as_requested()?;
                self.asked = false;
            }
        }
        Ok(())
    }

    /// Tells the guest of a change of a device, as its events say.
    fn notify_change(
        &self,
        machine: &Machine,
        events: ApEvents,
        reason: NotifyReason,
    ) -> Result<(), LoopError> {
        let telling = events.telling(reason);
        if telling == Telling::Not {
            return Ok(());
        }
        notify(machine, reason)?;
        // after it, so that the pause lies between the two
        if telling == Telling::AndAgain {
            let pause = Expiration::OneShot(TimeSpec::from_duration(TRAILING_PAUSE));
            self.timer.set(pause, TimerSetTimeFlags::empty())
        } else {
            self.timer.unset()
        }
        .map_err(system("set the timer"))
    }

    /// Tells the guest since a user asked for it.
    fn notify_asked(&self, machine: &Machine) -> Result<(), LoopError> {
        let events = machine.ap().map_or_else(ApEvents::default, |ap| ap.events);
        self.notify_change(machine, events, NotifyReason::User)
    }

    /// `false` if there is no device.
    fn detach(&self, machine: &mut Machine) -> Result<bool, LoopError> {
        // closing the eventfds takes them out of the epoll set
        let Some(events) = machine.detach() else {
            return Ok(false);
        };
        self.notify_change(machine, events, NotifyReason::Detach)?;
        Ok(true)
    }

    fn signal(&mut self, machine: &Machine) -> Result<(), LoopError> {
        while let Some(info) = self
            .signals
            .read_signal()
            .map_err(system("read a signal"))?
        {
            if info.ssi_signo == Signal::SIGUSR1 as u32 {
                self.notify_asked(machine)?;
            } else {
                self.quiesce(machine)?;
            }
        }
        Ok(())
    }

    /// Asks the guest to shut down; stops it if asked before or deaf.
    fn quiesce(&mut self, machine: &Machine) -> Result<(), LoopError> {
        let again = std::mem::replace(&mut self.asked, true);
        self.stopping = !self.ask_to_shut_down(machine)? || again;
        Ok(())
    }

    /// `false` if the guest does not listen.
    fn ask_to_shut_down(&self, machine: &Machine) -> Result<bool, LoopError> {
        let listens = machine.shared.quiesce().map_err(MachineError::from)?;
        self.tell_again(machine)?;
        Ok(listens)
    }

    /// Has the guest told of its SCLP events after a while if it has not read them.
    fn tell_again(&self, machine: &Machine) -> Result<(), LoopError> {
        if !machine.shared.devices.sclp().has_events() {
            return Ok(());
        }
        let pause = Expiration::OneShot(TimeSpec::from_duration(SCLP_PAUSE));
        self.again
            .set(pause, TimerSetTimeFlags::empty())
            .map_err(system("set a timer"))
    }

    fn input(&mut self, machine: &Machine) -> Result<(), LoopError> {
        let mut buffer = [0; 256];
        let room = machine.shared.devices.sclp().input_room();
        let part = buffer.len().min(room);
        if part == 0 {
            self.input_waits = true;
            return self.unwatch_input();
        }
        // Not through a buffer: nobody would be told of what is left in it.
        match nix::unistd::read(io::stdin(), &mut buffer[..part]) {
            // the terminal may be somebody else's as well
            Err(Errno::EAGAIN | Errno::EINTR) => Ok(()),
            Ok(count) if count > 0 => {
                let done = machine.shared.console_input(&buffer[..count]);
                done.map_err(MachineError::from)?;
                self.tell_again(machine)
            }
            // its end, or gone
            _ => self.unwatch_input(),
        }
    }
}

fn notify(machine: &Machine, reason: NotifyReason) -> Result<(), LoopError> {
    machine
        .shared
        .notify_ap_change(reason)
        .map_err(|e| MachineError::from(e).into())
}

/// Whether a timer has expired, and was not set anew by an event that came with it.
fn expired(timer: &TimerFd) -> Result<bool, LoopError> {
    match timer.wait() {
        Ok(()) => Ok(true),
        Err(Errno::EAGAIN) => Ok(false),
        Err(error) => Err(system("read a timer")(error)),
    }
}

/// Resets an eventfd; returns how often it was signalled.
fn drain(eventfd: &EventFd) -> u64 {
    eventfd.read().unwrap_or(0)
}

/// Control requests act on the loop and the machine.
struct Handler<'a> {
    events: &'a mut EventLoop,
    machine: &'a mut Machine,
}

impl Control for Handler<'_> {
    type Error = LoopError;

    fn info(&mut self) -> serde_json::Value {
        let machine = &self.machine;
        let paused = machine.cpus.is_paused();
        serde_json::json!({
            "version": env!("CARGO_PKG_VERSION"),
            "state": if paused { "paused" } else { "running" },
            "memory": machine.shared.devices.ram_size(),
            "cpus": machine.cpus.count(),
            "ap-facilities": machine.ap_facilities,
            "ap": machine.ap().map(|ap| &ap.id),
        })
    }

    fn metrics(&mut self) -> serde_json::Value {
        let machine = &self.machine;
        let modes = machine.cpus.modes();
        let cpus: Vec<_> = modes.iter().map(|mode| mode.name()).collect();
        serde_json::json!({
            "uptime-ns": machine.uptime().as_nanos() as u64,
            "cpus": cpus,
            "resets": machine.resets(),
            "console-dropped": machine.shared.devices.console.dropped(),
            "exits": machine.shared.devices.exits.values(),
            "ap": machine.shared.devices.css().counters(),
        })
    }

    fn ap_query(&mut self) -> serde_json::Value {
        serde_json::json!({
            "id": self.machine.ap().map(|ap| &ap.id),
            "masks": self.machine.ap().map(|ap| ap.mdev.masks()),
            "events": self.machine.shared.devices.css().counters(),
        })
    }

    fn pause(&mut self) -> Result<(), LoopError> {
        self.machine.pause()?;
        Ok(())
    }

    fn resume(&mut self) {
        self.machine.resume();
    }

    fn reset(&mut self) -> Result<(), LoopError> {
        self.machine.reset()?;
        self.events.asked = false;
        Ok(())
    }

    fn ap_notify(&mut self) -> Result<(), LoopError> {
        self.events.notify_asked(self.machine)
    }

    fn ap_attach(&mut self, config: &ApConfig) -> Result<(), LoopError> {
        self.machine.attach(config)?;
        self.events.watch_device(self.machine)?;
        self.events
            .notify_change(self.machine, config.events, NotifyReason::Attach)
    }

    fn ap_detach(&mut self) -> Result<bool, LoopError> {
        self.events.detach(self.machine)
    }

    fn quiesce(&mut self) -> Result<bool, LoopError> {
        self.events.ask_to_shut_down(self.machine)
    }
}
