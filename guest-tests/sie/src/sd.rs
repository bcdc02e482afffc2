// SPDX-License-Identifier: MIT OR Apache-2.0
//! The state description: SIE's operand.
//!
//! Source of the layout and of the names: Linux
//! `arch/s390/include/asm/kvm_host_types.h`, `struct kvm_s390_sie_block`. The
//! machine is big endian, and so is this program.

use core::mem::{offset_of, size_of};

/// The state description.
#[repr(C, align(512))]
#[derive(Clone)]
pub struct StateDescription {
    /// Requests and modes; see the `CPUSTAT_` constants.
    pub cpuflags: u32,
    /// Guest prefix.
    pub prefix: u32,
    unused_08: [u8; 0x20],
    /// Guest CPU timer.
    pub cputm: u64,
    /// Guest clock comparator.
    pub ckc: u64,
    /// Guest TOD clock minus the host's.
    pub epoch: u64,
    /// SUPERVISOR CALL interception.
    pub svcc: u32,
    /// LOAD CONTROL interception.
    pub lctl: u16,
    unused_46: u16,
    /// Interception controls.
    pub ictl: u32,
    /// Execution controls.
    pub eca: u32,
    /// Why the guest was left.
    pub icptcode: u8,
    /// More about an intercepted instruction.
    pub icptstatus: u8,
    /// CPU that last ran this guest.
    pub ihcpu: u16,
    unused_54: u16,
    /// Intercepted instruction, first halfword.
    pub ipa: u16,
    /// Intercepted instruction, the rest.
    pub ipb: u32,
    /// System control area, upper word of the address.
    pub scaoh: u32,
    unused_60: u8,
    /// Execution controls.
    pub ecb: u8,
    /// Execution controls.
    pub ecb2: u8,
    /// Execution controls.
    pub ecb3: u8,
    /// System control area, lower word of the address.
    pub scaol: u32,
    unused_68: [u8; 0x18],
    /// Guest storage origin.
    pub mso: u64,
    /// Guest storage limit.
    pub msl: u64,
    /// Guest PSW, mask.
    pub psw_mask: u64,
    /// Guest PSW, address.
    pub psw_addr: u64,
    /// Guest general register 14.
    pub gg14: u64,
    /// Guest general register 15.
    pub gg15: u64,
    unused_b0: [u8; 0x10],
    /// Interruption parameters; MVPG: host's entry of the destination page.
    pub param: u64,
    /// MVPG: host's entry of the source page; else `pgmilc` and `iprcc` below.
    pub param2: [u16; 4],
    /// Data exception code.
    pub dxc: u32,
    unused_d4: u16,
    /// PER code, ATMID and access identification.
    pub perc: u16,
    /// PER address.
    pub peraddr: u64,
    unused_e0: u64,
    /// Translation exception identification or monitor code.
    pub tecmc: u64,
    unused_f0: [u8; 12],
    /// Crypto control block.
    pub crycbd: u32,
    /// Guest control registers.
    pub gcr: [u64; 16],
    unused_180: [u8; 0x20],
    /// Facility list.
    pub fac: u32,
    unused_1a4: [u8; 0x5c],
}

const _: () = {
    assert!(size_of::<StateDescription>() == 512);
    assert!(offset_of!(StateDescription, cputm) == 0x28);
    assert!(offset_of!(StateDescription, svcc) == 0x40);
    assert!(offset_of!(StateDescription, ictl) == 0x48);
    assert!(offset_of!(StateDescription, icptcode) == 0x50);
    assert!(offset_of!(StateDescription, ipb) == 0x58);
    assert!(offset_of!(StateDescription, ecb) == 0x61);
    assert!(offset_of!(StateDescription, mso) == 0x80);
    assert!(offset_of!(StateDescription, psw_mask) == 0x90);
    assert!(offset_of!(StateDescription, param) == 0xc0);
    assert!(offset_of!(StateDescription, param2) == 0xc8);
    assert!(offset_of!(StateDescription, dxc) == 0xd0);
    assert!(offset_of!(StateDescription, perc) == 0xd6);
    assert!(offset_of!(StateDescription, peraddr) == 0xd8);
    assert!(offset_of!(StateDescription, tecmc) == 0xe8);
    assert!(offset_of!(StateDescription, crycbd) == 0xfc);
    assert!(offset_of!(StateDescription, gcr) == 0x100);
    assert!(offset_of!(StateDescription, fac) == 0x1a0);
};

/// `cpuflags`: a z/Architecture guest.
pub const CPUSTAT_ZARCH: u32 = 0x0000_0800;
/// `cpuflags`: no guest storage origin and limit.
pub const CPUSTAT_SM: u32 = 0x0000_0080;
/// `cpuflags`: PER happens whatever the guest's PSW says, and is intercepted.
pub const CPUSTAT_P: u32 = 0x0000_0001;
/// `cpuflags`: stop request.
pub const CPUSTAT_STOP_INT: u32 = 0x0400_0000;
/// `cpuflags`: I/O interruption request.
pub const CPUSTAT_IO_INT: u32 = 0x0200_0000;
/// `cpuflags`: external interruption request.
pub const CPUSTAT_EXT_INT: u32 = 0x0100_0000;
/// `ecb`: the host gets protection exceptions of its tables.
pub const ECB_HOSTPROTINT: u8 = 0x02;
/// `ecb`: specification exceptions are interpreted.
pub const ECB_SPECI: u8 = 0x08;
/// Timers interrupt the guest without the host.
pub const ECA_CEI: u32 = 0x8000_0000;
/// `eca`: protection exceptions are interpreted.
pub const ECA_PROTEXCI: u32 = 0x0000_2000;
/// `eca`: MVPG is interpreted.
pub const ECA_MVPGI: u32 = 0x0100_0000;
/// `eca`: AP instructions are interpreted.
pub const ECA_APIE: u32 = 0x0000_0008;

impl StateDescription {
    /// All zero.
    pub const fn new() -> Self {
        Self {
            cpuflags: 0,
            prefix: 0,
            unused_08: [0; 0x20],
            cputm: 0,
            ckc: 0,
            epoch: 0,
            svcc: 0,
            lctl: 0,
            unused_46: 0,
            ictl: 0,
            eca: 0,
            icptcode: 0,
            icptstatus: 0,
            ihcpu: 0,
            unused_54: 0,
            ipa: 0,
            ipb: 0,
            scaoh: 0,
            unused_60: 0,
            ecb: 0,
            ecb2: 0,
            ecb3: 0,
            scaol: 0,
            unused_68: [0; 0x18],
            mso: 0,
            msl: 0,
            psw_mask: 0,
            psw_addr: 0,
            gg14: 0,
            gg15: 0,
            unused_b0: [0; 0x10],
            param: 0,
            param2: [0; 4],
            dxc: 0,
            unused_d4: 0,
            perc: 0,
            peraddr: 0,
            unused_e0: 0,
            tecmc: 0,
            unused_f0: [0; 12],
            crycbd: 0,
            gcr: [0; 16],
            unused_180: [0; 0x20],
            fac: 0,
            unused_1a4: [0; 0x5c],
        }
    }

    /// All of it.
    pub fn from_bytes(bytes: &[u8; 512]) -> Self {
        // SAFETY: integers only, of the same size, for which any bits are valid.
        unsafe { core::mem::transmute_copy(bytes) }
    }

    /// All of it, as bytes.
    pub fn to_bytes(&self) -> [u8; 512] {
        // SAFETY: integers only and, by its size, no padding between them.
        unsafe { core::mem::transmute_copy(self) }
    }

    /// Address of the host's entry of the source page of MVPG.
    pub fn source_entry(&self) -> u64 {
        self.param2.iter().fold(0, |v, &h| v << 16 | u64::from(h))
    }

    /// Program interruption code of an intercepted program interruption.
    pub fn iprcc(&self) -> u16 {
        self.param2[3]
    }
}
