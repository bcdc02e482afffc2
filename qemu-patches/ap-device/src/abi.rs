// SPDX-License-Identifier: MIT OR Apache-2.0
//! The flat structures and numbers of `include/ap_device.h`, which documents
//! them. `tests/header.rs` compiles the header against this file.

use core::mem::{align_of, size_of};

/// Number of the interface; see the header on stability.
pub const ABI: u32 = 2;

/// Longest message in either direction.
pub const MAX_MESSAGE: usize = 65536;

/// `ApContext`: who executes an instruction, and what it may reach.
#[repr(C)]
#[derive(Clone, Copy, Debug, Default)]
pub struct Context {
    /// Time in nanoseconds.
    pub now: u64,
    /// Address of the state description.
    pub sd: u64,
    /// First address behind installed storage.
    pub storage_end: u64,
    /// CRYCB designation.
    pub crycbd: u32,
    /// `FAC_*`.
    pub facilities: u32,
    /// CPU address.
    pub cpu: u16,
    /// `ISSUER_*`.
    pub issuer: u8,
    /// `CTX_*`.
    pub flags: u8,
    /// Zero.
    pub reserved: u32,
    /// Adapters of the APCB.
    pub apm: [u8; 32],
    /// Usage domains of the APCB.
    pub aqm: [u8; 32],
    /// Control domains of the APCB.
    pub adm: [u8; 32],
}

/// Issuer: not in SIE.
pub const ISSUER_HOST: u8 = 0;
/// Issuer: a SIE guest.
pub const ISSUER_SIE: u8 = 1;
/// Issuer, in the audit log only: a guest's guest.
pub const ISSUER_NESTED: u8 = 2;
/// Issuer, in the audit log only: an internal event.
pub const ISSUER_MACHINE: u8 = 0xff;

/// Context flag: the state description belongs to a guest's guest.
pub const CTX_NESTED: u8 = 1;

/// Facility 12.
pub const FAC_QCI: u32 = 1;
/// Facility 15.
pub const FAC_APFT: u32 = 2;
/// Facility 65.
pub const FAC_AQIC: u32 = 4;

/// `ApResult`: what an instruction did.
#[repr(C)]
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct InsnResult {
    /// GR0.
    pub gr0: u64,
    /// GR1.
    pub gr1: u64,
    /// GR2.
    pub gr2: u64,
    /// PSMID, first register.
    pub r1_even: u64,
    /// PSMID, second register.
    pub r1_odd: u64,
    /// Bytes moved, or to store.
    pub length: u32,
    /// Program interruption code.
    pub pgm: u16,
    /// Condition code.
    pub cc: u8,
    /// `WRITES_*`.
    pub writes: u8,
}

/// GR0 is written.
pub const WRITES_GR0: u8 = 1;
/// GR1 is written.
pub const WRITES_GR1: u8 = 2;
/// GR2 is written.
pub const WRITES_GR2: u8 = 4;
/// The R1 pair is written.
pub const WRITES_R1: u8 = 8;
/// The block is stored.
pub const WRITES_STORE: u8 = 16;

/// `ApEffect`: what the emulator has to do.
#[repr(C)]
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Effect {
    /// Notification indicator byte.
    pub nib: u64,
    /// `EFFECT_*`.
    pub kind: u32,
    /// Guest interruption state area, or 0.
    pub gisa: u32,
    /// Queue.
    pub apqn: u16,
    /// Interruption subclass.
    pub isc: u8,
    /// Guest interruption subclass.
    pub gisc: u8,
    /// Format of the area.
    pub gisa_format: u8,
    /// Zero.
    pub reserved: [u8; 3],
}

/// Effect: raise a configuration-change event.
pub const EFFECT_CONFIG_CHANGED: u32 = 1;
/// Effect: indicate a reply.
pub const EFFECT_INDICATE: u32 = 2;
/// Effect: stop the machine.
pub const EFFECT_STOP: u32 = 3;

/// Reset: subsystem reset.
pub const RESET_SUBSYSTEM: u32 = 0;
/// Reset: power-on.
pub const RESET_POWER_ON: u32 = 1;

/// `ApAdapter`: an adapter's description and state.
#[repr(C)]
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Adapter {
    /// APID.
    pub apid: u8,
    /// `MODE_*`.
    pub mode: u8,
    /// 4..=8.
    pub generation: u8,
    /// Configured.
    pub config: u8,
    /// Checkstopped.
    pub checkstop: u8,
    /// Zero.
    pub reserved: [u8; 11],
}

/// Mode: CCA coprocessor.
pub const MODE_CCA: u8 = 0;
/// Mode: accelerator.
pub const MODE_ACCELERATOR: u8 = 1;
/// Mode: EP11 coprocessor.
pub const MODE_EP11: u8 = 2;

/// Change: done.
pub const CHANGE_DONE: i32 = 0;
/// Change: was so already.
pub const CHANGE_ALREADY: i32 = 1;
/// Change: no such adapter.
pub const CHANGE_NO_ADAPTER: i32 = 2;

/// `ApQueueInfo`: a look at a queue.
#[repr(C)]
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct QueueInfo {
    /// Requests accepted.
    pub enqueued: u64,
    /// Replies taken.
    pub dequeued: u64,
    /// Notification indicator byte.
    pub nib: u64,
    /// Status word.
    pub status: u32,
    /// Requests inside.
    pub requests: u32,
    /// Replies ready.
    pub replies: u32,
    /// Completed ZAPQs.
    pub epoch: u32,
    /// Queue.
    pub apqn: u16,
    /// `MODE_*`.
    pub mode: u8,
    /// 4..=8.
    pub generation: u8,
    /// Zero.
    pub reserved: [u8; 4],
}

/// `ApAuditRecord`: one AP instruction or event.
#[repr(C)]
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct AuditRecord {
    /// Number of the record.
    pub seq: u64,
    /// Time.
    pub ns: u64,
    /// A PQAP function code, or `OP_*`.
    pub op: u8,
    /// `ISSUER_*`.
    pub issuer: u8,
    /// Condition code, 0xff for a program interruption.
    pub cc: u8,
    /// `AUDIT_*`.
    pub flags: u8,
    /// Queue.
    pub apqn: u16,
    /// CPU address.
    pub cpu: u16,
    /// Status word.
    pub status: u32,
    /// Completed ZAPQs of the queue.
    pub epoch: u32,
    /// Address of the state description.
    pub sd: u64,
    /// CRYCB designation.
    pub crycbd: u32,
    /// Bytes moved.
    pub length: u32,
    /// PSMID.
    pub psmid: u64,
    /// Keyed digest of the request.
    pub tag: u64,
}

/// PQAP with a function code that has no function.
pub const OP_UNKNOWN: u8 = 0x7f;
/// NQAP.
pub const OP_NQAP: u8 = 0x80;
/// DQAP.
pub const OP_DQAP: u8 = 0x81;
/// A reply became visible.
pub const OP_REPLY: u8 = 0x90;
/// A reset completed.
pub const OP_RESET_DONE: u8 = 0x91;
/// An indication was asked for.
pub const OP_IRQ: u8 = 0x92;
/// The configuration changed.
pub const OP_CONFIG: u8 = 0x93;
/// A mark.
pub const OP_MARK: u8 = 0x94;
/// A request or reply was thrown away.
pub const OP_DISCARD: u8 = 0x95;
/// A scripted fault took effect.
pub const OP_FAULT: u8 = 0xa0;
/// The auditor objects to the record before.
pub const OP_VIOLATION: u8 = 0xa1;

/// Part of a message.
pub const AUDIT_PARTIAL: u8 = 1;
/// Special command.
pub const AUDIT_SPECIAL: u8 = 2;
/// T bit.
pub const AUDIT_T: u8 = 4;
/// F bit.
pub const AUDIT_F: u8 = 8;
/// A scripted fault decided the outcome.
pub const AUDIT_INJECTED: u8 = 16;
/// The auditor objects.
pub const AUDIT_VIOLATION: u8 = 32;

/// Audit filter: any queue.
pub const ANY_QUEUE: u32 = u32::MAX;

const _: () = assert!(size_of::<Context>() == 136 && align_of::<Context>() == 8);
const _: () = assert!(size_of::<InsnResult>() == 48);
const _: () = assert!(size_of::<Effect>() == 24);
const _: () = assert!(size_of::<Adapter>() == 16);
const _: () = assert!(size_of::<QueueInfo>() == 48);
const _: () = assert!(size_of::<AuditRecord>() == 64);
