// SPDX-License-Identifier: MIT OR Apache-2.0
//! The rules of sharing AP queues among guests and the host.
//!
//! ```text
//!   AP bus, sysfs, VFIO                             executor (kernel glue)
//!        |                                               ^
//!        |  Event                                 Effect |
//!        v                                               |
//!   +-------------------------- Model ---------------------------------+
//!   |  Host      what QCI says            (host)                        |
//!   |  Mdev      assigned, published      (mdev)                        |
//!   |  Queue     reset state, user        (queue)                       |
//!   +-------------------------------------------------------------------+
//! ```
//!
//! An event changes what is wanted; it never plans the way there. The way is
//! [`protocol::reconcile`], which compares what a guest should have with what
//! was published to it and closes the gap in one step. Whatever happens in
//! between only makes it run again.
//!
//! What may never happen is impossible to write down: a guest's [`Apcb`] is
//! made from queues that admit the mdev, and a queue does so only holding a
//! token that nothing but a completed reset creates.

mod apcb;
mod edit;
mod errno;
mod explain;
mod filter;
mod format;
mod host;
mod interrupts;
mod log;
mod mdev;
mod model;
pub mod order;
mod parse;
pub mod protocol;
mod publish;
mod queue;
mod reset;
mod table;

pub use apcb::Apcb;
pub use edit::{Edit, Ownership, Proposal};
pub use errno::Errno;
pub use explain::Withheld;
pub use format::{
    FEATURES, QueueStatusText, Window, write_ap_config, write_control_domains, write_matrix,
};
pub use host::{Host, Limits};
pub use interrupts::{DisableRun, DisableStep, Disabled, Enabled, Ledger};
pub use log::Format;
pub use mdev::{Attach, Mdev, MdevId};
pub use model::{Condition, Effects, Event, Model, QueueEffect, Scope};
pub use parse::{Attribute, parse_ap_config, parse_number};
pub use queue::{Binding, CleanToken, Epoch, Health, Queue, Reset, State, Traces};
pub use reset::{Outcome, ResetRun, ResetStep};
pub use table::{Memory, NoRoom, Table, with_room};
