// SPDX-License-Identifier: MIT OR Apache-2.0
//! Tests of the rules, on a machine made of plain data.

mod edit;
mod exhaustive;
mod explain;
mod filter;
mod format;
mod interrupts;
mod life;
mod log;
mod parse;
mod random;
mod reset;
mod traces;
mod world;
