// SPDX-License-Identifier: MIT OR Apache-2.0
//! AP facts as types. Public source for each: Linux `arch/s390/include/asm/ap.h`
//! (instructions, registers, QCI), `drivers/s390/crypto/ap_bus.h` (response
//! codes, device types), `arch/s390/include/asm/kvm_host.h` (CRYCB, APCB).
//!
//! Three conventions hold throughout:
//! - "bit n" counts from the left, as the architecture does: bit 0 of a 64-bit
//!   register is its most significant. For the 256-bit masks this rule is
//!   encoded in `mask.rs` and nowhere else.
//! - Memory images are big-endian byte arrays; conversion happens at the edge.
//! - Register forms are newtypes over the raw value. They keep bits without a
//!   name here, so that a value read from a machine survives a round trip.
#![forbid(unsafe_code)]

mod apcb;
mod apqn;
mod bits;
mod mask;
mod matrix;
mod message;
mod pqap;
mod qci;
mod status;
mod tapq;

pub use apcb::{APCB0_LEN, APCB1_LEN, CrycbFormat, Crycbd};
pub use apqn::{Apid, Apqi, Apqn, ParseApqnError};
pub use mask::{AdapterSpace, ControlSpace, UsageSpace};
pub use mask::{Adm, Apm, Aqm, Mask, MaskSpace};
pub use matrix::{Apqns, Matrix};
pub use message::{DqapGr0, NqapGr0, Psmid};
pub use pqap::{AqicControl, FunctionCode, PqapGr0, QactInfo};
pub use qci::{QCI_LEN, Qci, QciFlags};
pub use status::{QueueStatus, ResponseCode};
pub use tapq::{ApFunctions, BindState, Generation, TapqInfo};
