// SPDX-License-Identifier: MIT OR Apache-2.0
//! `apvmm run`: from a machine description to an exit status.

use std::io;

use crate::api::ApiError;
use crate::chain;
use crate::config::{Sandbox, VmConfig};
use crate::event_loop::{EventLoop, LoopError};
use crate::kvm;
use crate::machine::{Machine, MachineError};
use crate::outcome::{EXIT_CONFIG, EXIT_HOST, Outcome};
use crate::report::{Event, EventLog};
use crate::sandbox::{self, SandboxError};

#[derive(Debug, thiserror::Error)]
enum RunError {
    #[error("cannot create the event log")]
    Log(#[source] io::Error),
    #[error(transparent)]
    Machine(#[from] MachineError),
    #[error(transparent)]
    Loop(#[from] LoopError),
    #[error("cannot enter the sandbox (--sandbox off goes without)")]
    Sandbox(#[from] SandboxError),
}

/// Runs a machine to its end; returns the exit status.
pub fn run(config: &VmConfig) -> u8 {
    match run_machine(config) {
        Ok(outcome) => outcome.exit_code(),
        Err(error) => {
            tracing::error!("{}", chain(&error));
            match error {
                RunError::Log(_) | RunError::Loop(LoopError::Api(ApiError::Listen { .. })) => {
                    EXIT_CONFIG
                }
                RunError::Machine(error) if error.is_config() => EXIT_CONFIG,
                _ => EXIT_HOST,
            }
        }
    }
}

fn run_machine(config: &VmConfig) -> Result<Outcome, RunError> {
    let log = match &config.events {
        Some(path) => EventLog::create(path).map_err(RunError::Log)?,
        None => EventLog::none(),
    };
    log.emit(Event::Start);
    let mut events = EventLoop::new(config)?;
    let mut machine = Machine::new(config, log)?;
    if config.sandbox == Sandbox::On {
        sandbox::enter(config.api_socket.as_deref(), &kvm::requests())?;
    }
    events.run(&mut machine)?;
    let shared = std::sync::Arc::clone(&machine.shared);
    let outcome = machine.finish();
    let code = outcome.exit_code();
    let reason = describe(&outcome);
    shared.devices.log.emit(Event::Exit {
        code,
        reason: &reason,
    });
    match &outcome {
        Outcome::Orderly | Outcome::Status(0) => tracing::info!("{reason}"),
        _ => tracing::error!("{reason}"),
    }
    Ok(outcome)
}

fn describe(outcome: &Outcome) -> String {
    match outcome {
        Outcome::Orderly => "the guest ended".into(),
        Outcome::Status(status) => format!("the guest ended with status {status}"),
        Outcome::Reset => "the guest asked for a reset".into(),
        Outcome::Crash(crash) => format!("the guest crashed: {crash}"),
        Outcome::Host(reason) => format!("the host failed: {reason}"),
    }
}
