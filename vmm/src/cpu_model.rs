// SPDX-License-Identifier: MIT OR Apache-2.0
//! Facilities of the guest's CPU.
//!
//! KVM starts a machine with what it emulates and the host has; AP facilities
//! are not among them, since they are of use only with a device. Bit n of the
//! list counts from the left, as the STFLE instruction stores it.
//!
//! Source: Linux `arch/s390/tools/gen_facilities.c`, `kvm_arch_init_vm`.

/// Words of a facility list.
pub const WORDS: usize = 256;

/// PQAP(QCI).
const AP_QUERY: usize = 12;
/// TAPQ with the T bit.
const AP_FACILITIES_TEST: usize = 15;
/// AP interrupts.
const AP_INTERRUPTS: usize = 65;
/// Secure execution, for the host and for a guest that is one: neither here,
/// yet KVM passes them on from the host.
const ULTRAVISOR_CALL: usize = 158;
const SECURE_GUEST: usize = 161;

/// Which AP facilities a guest has.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, serde::Serialize)]
#[serde(rename_all = "kebab-case")]
pub struct ApFacilities {
    /// Facility 12.
    pub query: bool,
    /// Facility 15.
    pub test: bool,
    /// Facility 65.
    pub interrupts: bool,
}

impl ApFacilities {
    /// Whether Linux will drive adapters: it needs TAPQ with the T bit.
    pub fn usable(self) -> bool {
        self.query && self.test
    }
}

/// Whether facility `bit` is in a list.
pub fn test(list: &[u64; WORDS], bit: usize) -> bool {
    list[bit / 64] & mask(bit) != 0
}

const fn mask(bit: usize) -> u64 {
    1 << (63 - bit % 64)
}

/// Takes what no guest of this VMM has from its list and adds the AP
/// facilities the host offers: those in both its mask and its list.
pub fn edit(
    guest: &mut [u64; WORDS],
    host_mask: &[u64; WORDS],
    host_list: &[u64; WORDS],
    with_ap: bool,
) -> ApFacilities {
    for bit in [ULTRAVISOR_CALL, SECURE_GUEST] {
        guest[bit / 64] &= !mask(bit);
    }
    let mut offer = |bit: usize| {
        let offered = with_ap && test(host_mask, bit) && test(host_list, bit);
        if offered {
            guest[bit / 64] |= mask(bit);
        } else {
            guest[bit / 64] &= !mask(bit);
        }
        offered
    };
    ApFacilities {
        query: offer(AP_QUERY),
        test: offer(AP_FACILITIES_TEST),
        interrupts: offer(AP_INTERRUPTS),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const ALL: [u64; WORDS] = [u64::MAX; WORDS];

    #[test]
    fn adds_what_mask_and_list_offer() {
        let mut list = [0; WORDS];
        list[0] = 1 << 51; // 12 and only 12
        let mut guest = [0; WORDS];
        let ap = edit(&mut guest, &ALL, &list, true);
        assert_eq!((ap.query, ap.test, ap.interrupts), (true, false, false));
        assert_eq!(guest[0], 0x0008_0000_0000_0000);
        assert!(!ap.usable());

        let mut guest = [0; WORDS];
        let ap = edit(&mut guest, &list, &ALL, true);
        assert_eq!((ap.query, ap.test, ap.interrupts), (true, false, false));
    }

    #[test]
    fn all_three() {
        let mut guest = [0; WORDS];
        let ap = edit(&mut guest, &ALL, &ALL, true);
        assert!(ap.usable() && ap.interrupts);
        assert_eq!(guest[..2], [0x0009_0000_0000_0000, 0x4000_0000_0000_0000]);
        assert!(guest[2..].iter().all(|&w| w == 0));
    }

    #[test]
    fn off_and_secure_execution_are_taken_away() {
        let mut guest = ALL;
        let ap = edit(&mut guest, &ALL, &ALL, false);
        assert_eq!(ap, ApFacilities::default());
        for bit in [12, 15, 65, 158, 161] {
            assert!(!test(&guest, bit), "{bit}");
        }
        let ones: u32 = guest.iter().map(|w| w.count_ones()).sum();
        assert_eq!(ones, 256 * 64 - 5);
    }
}
