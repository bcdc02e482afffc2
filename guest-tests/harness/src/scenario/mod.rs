// SPDX-License-Identifier: MIT OR Apache-2.0
//! Scenarios: files that tell what is done to a machine and its guests, step by
//! step, and what must come of it. `docs/scenarios.md` is for their writers.
//!
//! ```text
//! grammar, value ─▶ file ─▶ engine ─▶ perform: actions ─▶ stage, operator
//!   (TOML)       (checked)    │ fit: for a user's own host  │ events
//!                             └──▶ check: expectations ◀── world
//! ```

mod action;
mod check;
mod engine;
mod file;
mod fit;
mod grammar;
mod kernel;
mod needs;
mod operator;
mod perform;
mod report;
mod source;
mod stage;
mod value;
mod vmm;
mod world;

pub use check::Finding;
pub(crate) use check::driver_paths;
pub use engine::{Options, run, run_here};
pub use file::Scenario;
pub use fit::Given;
pub(crate) use grammar::{Action, Operation};
pub(crate) use kernel::{depends, kernels};
pub use needs::Instead;
pub(crate) use operator::Operator;
pub(crate) use perform::{Actor, Ground, OUR_UUIDS};
pub use report::{Report, ScenarioReport, StepReport};
pub use source::ScenarioError;
pub(crate) use stage::Stage;
pub use value::Kind;
pub(crate) use value::Queue;

#[cfg(test)]
mod tests;
