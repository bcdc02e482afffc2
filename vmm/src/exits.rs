// SPDX-License-Identifier: MIT OR Apache-2.0
//! Raw intercepts to typed exits.
//!
//! KVM hands an intercept it does not handle to user space as the
//! interception code and the instruction text: `ipa` holds the first two
//! bytes of the instruction, `ipb` the next four.
//!
//! ```text
//!   RRE   B2xx | 00 r1r2            r1, r2 in ipb bits 8-15
//!   S     B2xx | b ddd              base, displacement in ipb bits 0-15
//!   RS    83 r1r3 | b ddd           DIAGNOSE, SIGP
//! ```
//!
//! Source: Linux `arch/s390/kvm/intercept.c`, `kvm-s390.c` and
//! `Documentation/virt/kvm/api.rst` (`KVM_EXIT_S390_SIEIC`).

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicU64, Ordering};

/// What a vCPU stopped for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Exit {
    /// An instruction to emulate. The PSW already points past it.
    Instruction(Instruction),
    /// A wait state that no interrupt can end.
    DisabledWait,
    /// The CPU was told to stop.
    Stop,
    /// A new PSW makes every interrupt lead to the next one.
    Loop(LoopKind),
    /// KVM should have handled it, or it is not defined.
    Unknown(u8),
}

/// Which kind of interrupt loops.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum LoopKind {
    /// Program interrupts.
    Program,
    /// External interrupts.
    External,
    /// Operation exceptions.
    Operation,
}

/// An instruction left to user space.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Instruction {
    /// SERVC: the register with the command word and that with the SCCB.
    ServiceCall {
        /// Register with the command word.
        command: Reg,
        /// Register with the address of the SCCB.
        sccb: Reg,
    },
    /// CHSC: the register with the address of the block.
    ChannelSubsystemCall {
        /// Register with the address of the block.
        block: Reg,
    },
    /// STCRW.
    StoreChannelReportWord(Storage),
    /// An instruction that names a subchannel in GR1, of which there is none.
    Subchannel,
    /// SCHM, which sets nothing anyone uses here.
    SetChannelMonitor,
    /// RCHP, SIGA: the thing addressed is not operational.
    NotOperational,
    /// DIAGNOSE.
    Diagnose {
        /// First register operand.
        r1: Reg,
        /// Second register operand.
        r3: Reg,
        /// Its low 16 bits are the function code.
        function: Storage,
    },
    /// SIGNAL PROCESSOR.
    SignalProcessor {
        /// Takes the status.
        status: Reg,
        /// Register with the address of the CPU.
        address: Reg,
        /// Its low byte is the order.
        order: Storage,
    },
    /// Anything else: an operation exception in the guest.
    Other,
}

/// Number of a general register, 0..=15.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Reg(u8);

impl Reg {
    /// The register numbered by the low four bits of `number`.
    pub const fn new(number: u8) -> Self {
        Self(number & 15)
    }

    /// The number, 0..=15.
    pub const fn index(self) -> usize {
        self.0 as usize
    }

    /// Whether the register can start an even-odd pair.
    pub const fn is_even(self) -> bool {
        self.0.is_multiple_of(2)
    }
}

/// A storage operand: base register and displacement.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Storage {
    base: Reg,
    displacement: u16,
}

impl Storage {
    fn from_ipb(ipb: u32) -> Self {
        Self {
            base: Reg::new((ipb >> 28) as u8),
            displacement: (ipb >> 16) as u16 & 0xfff,
        }
    }

    /// The sum of base and displacement, not yet cut to the addressing mode.
    pub fn value(self, gprs: &[u64; 16]) -> u64 {
        let base = match self.base.index() {
            0 => 0,
            n => gprs[n],
        };
        base.wrapping_add(self.displacement.into())
    }
}

/// Cuts an address to the addressing mode of a PSW mask.
pub const fn wrap_address(psw_mask: u64, address: u64) -> u64 {
    const EA_BA: u64 = 3 << 31;
    const BA: u64 = 1 << 31;
    match psw_mask & EA_BA {
        EA_BA => address,
        BA => address & 0x7fff_ffff,
        _ => address & 0x00ff_ffff,
    }
}

/// A PSW mask with its condition code replaced by the low two bits of `cc`.
pub const fn with_condition_code(psw_mask: u64, cc: u8) -> u64 {
    (psw_mask & !(3 << 44)) | ((cc as u64 & 3) << 44)
}

/// How often CPUs left the guest for an instruction, by kind.
#[derive(Debug, Default)]
pub struct ExitCounts([AtomicU64; KINDS.len()]);

const KINDS: [&str; 6] = ["servc", "chsc", "css", "sigp", "diagnose", "other"];

impl ExitCounts {
    /// Counts one more.
    pub fn count(&self, instruction: &Instruction) {
        let kind = match instruction {
            Instruction::ServiceCall { .. } => 0,
            Instruction::ChannelSubsystemCall { .. } => 1,
            Instruction::StoreChannelReportWord(_)
            | Instruction::Subchannel
            | Instruction::SetChannelMonitor
            | Instruction::NotOperational => 2,
            Instruction::SignalProcessor { .. } => 3,
            Instruction::Diagnose { .. } => 4,
            Instruction::Other => 5,
        };
        self.0[kind].fetch_add(1, Ordering::Relaxed);
    }

    /// All counts, by name.
    pub fn values(&self) -> BTreeMap<&'static str, u64> {
        let counts = self.0.iter().map(|count| count.load(Ordering::Relaxed));
        KINDS.into_iter().zip(counts).collect()
    }
}

/// Decodes an intercept.
pub fn decode(code: u8, ipa: u16, ipb: u32) -> Exit {
    match code {
        0x04 => Exit::Instruction(decode_instruction(ipa, ipb)),
        0x08 => Exit::Loop(LoopKind::Program),
        0x14 => Exit::Loop(LoopKind::External),
        0x1c => Exit::DisabledWait,
        0x28 => Exit::Stop,
        0x2c => Exit::Loop(LoopKind::Operation),
        other => Exit::Unknown(other),
    }
}

fn decode_instruction(ipa: u16, ipb: u32) -> Instruction {
    let r1_rre = Reg::new((ipb >> 20) as u8);
    let r2_rre = Reg::new((ipb >> 16) as u8);
    match ipa {
        0xb220 => Instruction::ServiceCall {
            command: r1_rre,
            sccb: r2_rre,
        },
        0xb25f => Instruction::ChannelSubsystemCall { block: r1_rre },
        0xb239 => Instruction::StoreChannelReportWord(Storage::from_ipb(ipb)),
        // CSCH HSCH MSCH SSCH STSCH TSCH RSCH XSCH
        0xb230..=0xb235 | 0xb238 | 0xb276 => Instruction::Subchannel,
        0xb23c => Instruction::SetChannelMonitor,
        // RCHP, SIGA
        0xb23b | 0xb274 => Instruction::NotOperational,
        0x8300..=0x83ff => Instruction::Diagnose {
            r1: Reg::new((ipa >> 4) as u8),
            r3: Reg::new(ipa as u8),
            function: Storage::from_ipb(ipb),
        },
        0xae00..=0xaeff => Instruction::SignalProcessor {
            status: Reg::new((ipa >> 4) as u8),
            address: Reg::new(ipa as u8),
            order: Storage::from_ipb(ipb),
        },
        _ => Instruction::Other,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn decodes_what_the_assembler_writes() {
        // servc %r2,%r4 = b2 20 00 24
        let servc = decode(4, 0xb220, 0x0024_0000);
        let expected = Instruction::ServiceCall {
            command: Reg::new(2),
            sccb: Reg::new(4),
        };
        assert_eq!(servc, Exit::Instruction(expected));

        // chsc %r3 = b2 5f 00 30
        let expected = Instruction::ChannelSubsystemCall { block: Reg::new(3) };
        assert_eq!(decode(4, 0xb25f, 0x0030_0000), Exit::Instruction(expected));

        // diag %r2,%r4,0x308 = 83 24 03 08
        let Exit::Instruction(Instruction::Diagnose { r1, r3, function }) =
            decode(4, 0x8324, 0x0308_0000)
        else {
            panic!("not DIAGNOSE");
        };
        assert_eq!((r1, r3), (Reg::new(2), Reg::new(4)));
        assert_eq!(function.value(&[7; 16]), 0x308);
    }

    #[test]
    fn exits_are_counted_by_kind() {
        let counts = ExitCounts::default();
        counts.count(&Instruction::Subchannel);
        counts.count(&Instruction::Other);
        counts.count(&Instruction::Other);
        let values = counts.values();
        assert_eq!((values["css"], values["other"], values["servc"]), (1, 2, 0));
    }

    #[test]
    fn base_zero_means_no_base() {
        let mut gprs = [0x1000; 16];
        gprs[15] = u64::MAX;
        // stcrw 0x20(%r15) = b2 39 f0 20
        let operand = Storage::from_ipb(0xf020_0000);
        assert_eq!(operand.value(&gprs), 0x1f);
        assert_eq!(Storage::from_ipb(0x0020_0000).value(&gprs), 0x20);
    }

    #[test]
    fn addressing_modes() {
        let address = 0xffff_ffff_ffff_ffff;
        assert_eq!(wrap_address(0x1_8000_0000, address), address);
        assert_eq!(wrap_address(0x8000_0000, address), 0x7fff_ffff);
        assert_eq!(wrap_address(0, address), 0xff_ffff);
    }

    #[test]
    fn condition_code_replaces_two_bits() {
        let mask = 0x0705_3001_8000_0000;
        assert_eq!(with_condition_code(mask, 1), 0x0705_1001_8000_0000);
        assert_eq!(with_condition_code(mask, 0), 0x0705_0001_8000_0000);
    }
}
