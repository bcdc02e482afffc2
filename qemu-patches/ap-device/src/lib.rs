// SPDX-License-Identifier: MIT OR Apache-2.0
//! Device model of adjunct processors (AP): adapters, domains, queues,
//! messages, faults and the audit log, for an emulator to execute PQAP, NQAP
//! and DQAP with.
//!
//! ```text
//!            insn  <- PQAP NQAP DQAP, with a Context: who, what masks
//!              |
//!   change -> Ap (model) ---- faults, audit, effects
//!              |
//!            Queue     requests -> Engine -> replies
//! ```
//!
//! Pure: time is injected, there is no I/O, no thread and no global, and the
//! same calls give the same results. An emulator written in C uses
//! `include/ap_device.h`, which [`ffi`] implements.
//!
//! What the machine does and Linux expects of it was read from Linux
//! (`arch/s390/include/asm/ap.h`, `drivers/s390/crypto`); what neither tells is
//! a decision of this model and said where it is made.

pub mod abi;
mod adapter;
mod audit;
pub mod auditor;
mod change;
mod context;
mod convert;
mod effect;
pub mod engine;
mod fault;
pub mod ffi;
mod insn;
mod limits;
mod model;
#[cfg(feature = "mutants")]
mod mutant;
mod outcome;
mod queue;
mod reply;
mod time;
pub mod topology;

pub use adapter::{AdapterSpec, Mode};
pub use audit::AuditLog;
pub use change::{AdapterState, Change, ChangeError, ResetKind};
pub use context::{Context, Facilities, Guest, Issuer, Owner};
pub use effect::{Effect, Indicator};
pub use fault::{Act, Fault, FaultId, Listener, Scope, Trigger};
pub use limits::Limits;
pub use model::{Ap, QueueView, Tunables};
#[cfg(feature = "mutants")]
pub use mutant::Mutant;
pub use outcome::{Done, Outcome, Program};
pub use time::Ns;
