// SPDX-License-Identifier: MIT OR Apache-2.0
//! Resets of the whole machine.
//!
//! | DIAGNOSE 0x308 | CPUs                        | storage  | goes on at        |
//! |----------------|-----------------------------|----------|-------------------|
//! | 0              | cleared                     | stays    | the PSW at 0      |
//! | 1              | reset, the caller initially | stays    | the PSW at 0      |
//! | 3              | cleared                     | cleared  | the image's entry |
//! | 4              | cleared                     | stays    | the image's entry |
//!
//! All of them reset the devices, AP queues included. What "goes on" is the
//! CPU that asked for it; a reset from outside is as subcode 3, on CPU 0.
//!
//! Source: Linux `arch/s390/kvm/diag.c`, `arch/s390/include/asm/ipl.h`.

/// A reset that continues at the PSW at address 0, or loads the image again.
#[derive(Clone, Copy, Debug, PartialEq, Eq, serde::Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum MachineReset {
    /// Subcode 0.
    ModifiedClear,
    /// Subcode 1, by which Linux starts a dump kernel.
    LoadNormal,
    /// Subcodes 3 and 4.
    Load {
        /// Whether storage is cleared.
        clear: bool,
    },
}

/// A reset that somebody asked for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ResetRequest {
    /// How much.
    pub kind: MachineReset,
    /// The CPU that goes on.
    pub cpu: usize,
}

/// The PSW that the doubleword at address 0 stands for: bit 12 tells its
/// short form, which is as long as the mask's bits 0-32 and 31 bits of
/// address.
pub fn short_psw(doubleword: u64) -> (u64, u64) {
    const SHORT: u64 = 1 << (63 - 12);
    // a form without bit 12 becomes a PSW with it, which is not valid: the
    // guest gets its specification exception when that is loaded
    let mask = (doubleword & 0xffff_ffff_8000_0000) ^ SHORT;
    (mask, doubleword & 0x7fff_ffff)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn short_psws() {
        let (mask, address) = short_psw(0x0008_0000_8001_0000);
        assert_eq!((mask, address), (0x0000_0000_8000_0000, 0x1_0000));
        // bits 31 and 32 are both part of the mask
        let (mask, address) = short_psw(0x0008_0001_8000_0400);
        assert_eq!((mask, address), (0x0000_0001_8000_0000, 0x400));
        // a doubleword of zeros has no bit 12
        assert_eq!(short_psw(0), (0x0008_0000_0000_0000, 0));
    }
}
