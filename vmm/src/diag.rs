// SPDX-License-Identifier: MIT OR Apache-2.0
//! DIAGNOSE: hypervisor calls that KVM leaves to user space.
//!
//! Two subcodes of function 0x500 belong to this VMM. KVM and other VMMs use
//! small subcodes there; ours start with "AP" in ASCII:
//!
//! | GR1          | GR2              | GR3    | meaning               |
//! |--------------|------------------|--------|-----------------------|
//! | `0x41500001` | absolute address | length | one line of a report  |
//! | `0x41500002` | exit status      |        | end the machine       |
//!
//! A VMM that does not know them answers with a specification exception, by
//! which a guest tells that it must fall back to its console.
//!
//! Source: Linux `arch/s390/kvm/diag.c`, `arch/s390/kernel/ipl.c`.

use crate::exits::Reg;
use crate::program::ProgramInterrupt;
use crate::reset::MachineReset;

/// Longest report line taken in one call.
pub const REPORT_MAX: u64 = 4096;

/// DIAGNOSE 0x500 subcode: one line of a report.
pub const SUBCODE_REPORT: u64 = 0x4150_0001;
/// DIAGNOSE 0x500 subcode: end the machine with a status.
pub const SUBCODE_EXIT: u64 = 0x4150_0002;

/// DIAGNOSE 0x308 answers (odd register).
const IPL_NOT_CONFIGURED: u64 = 0x0402;
const IPL_STORE_NOTHING: u64 = 0x0102;

/// What a DIAGNOSE asks of the machine.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Action {
    /// Registers are set, go on.
    Done,
    /// Present a program interruption.
    Interrupt(ProgramInterrupt),
    /// Reset the machine.
    Reset(MachineReset),
    /// Take `length` bytes at `address` as a report line.
    Report {
        /// Guest absolute address: prefixing does not apply.
        address: u64,
        /// At most [`REPORT_MAX`].
        length: u64,
    },
    /// End the machine with this status.
    Exit(u8),
}

/// Executes DIAGNOSE with the given function code.
pub fn execute(function: u16, r1: Reg, r3: Reg, gprs: &mut [u64; 16], ram_size: u64) -> Action {
    match function {
        0x308 => program_load(r1, gprs[r3.index()], gprs),
        0x500 => hypercall(gprs, ram_size),
        _ => Action::Interrupt(ProgramInterrupt::Specification),
    }
}

/// Function 0x308. KVM keeps subcodes 3 and 4 to itself and turns them into
/// `KVM_EXIT_S390_RESET`. Only what answers needs a pair of registers.
fn program_load(r1: Reg, subcode: u64, gprs: &mut [u64; 16]) -> Action {
    let answer = match subcode {
        0 => return Action::Reset(MachineReset::ModifiedClear),
        1 => return Action::Reset(MachineReset::LoadNormal),
        5 if r1.is_even() => IPL_NOT_CONFIGURED,
        6 if r1.is_even() => IPL_STORE_NOTHING,
        _ => return Action::Interrupt(ProgramInterrupt::Specification),
    };
    gprs[r1.index() + 1] = answer;
    Action::Done
}

fn hypercall(gprs: &mut [u64; 16], ram_size: u64) -> Action {
    match gprs[1] {
        // highest address of storage, for guests that may get more later
        4 => {
            gprs[2] = ram_size - 1;
            Action::Done
        }
        SUBCODE_REPORT if gprs[3] <= REPORT_MAX => Action::Report {
            address: gprs[2],
            length: gprs[3],
        },
        SUBCODE_EXIT => Action::Exit(u8::try_from(gprs[2]).unwrap_or(u8::MAX)),
        _ => Action::Interrupt(ProgramInterrupt::Specification),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const SPECIFICATION: Action = Action::Interrupt(ProgramInterrupt::Specification);

    fn call(function: u16, gprs: &mut [u64; 16]) -> Action {
        execute(function, Reg::new(2), Reg::new(4), gprs, 256 << 20)
    }

    #[test]
    fn program_load_answers() {
        for (subcode, answer) in [(6, 0x0102), (5, 0x0402)] {
            let mut gprs = [0; 16];
            gprs[4] = subcode;
            assert_eq!(call(0x308, &mut gprs), Action::Done);
            assert_eq!(gprs[3], answer);
        }
        let resets = [MachineReset::ModifiedClear, MachineReset::LoadNormal];
        for (subcode, kind) in (0..).zip(resets) {
            let mut gprs = [0; 16];
            gprs[4] = subcode;
            assert_eq!(call(0x308, &mut gprs), Action::Reset(kind));
            let odd = execute(0x308, Reg::new(1), Reg::new(4), &mut gprs, 1 << 20);
            assert_eq!(odd, Action::Reset(kind));
        }
    }

    #[test]
    fn odd_register_and_unknown_calls_are_specification_exceptions() {
        let mut gprs = [6; 16];
        let odd = execute(0x308, Reg::new(15), Reg::new(4), &mut gprs, 1 << 20);
        assert_eq!(odd, SPECIFICATION);
        assert_eq!(gprs, [6; 16]);
        for function in [0, 0x288, 0x318, 0xffff] {
            assert_eq!(call(function, &mut gprs), SPECIFICATION);
        }
        gprs[1] = 0x4150_0003;
        assert_eq!(call(0x500, &mut gprs), SPECIFICATION);
    }

    #[test]
    fn hypercalls() {
        let mut gprs = [0; 16];
        gprs[1] = 4;
        assert_eq!(call(0x500, &mut gprs), Action::Done);
        assert_eq!(gprs[2], 0x0fff_ffff);

        gprs[1] = SUBCODE_EXIT;
        gprs[2] = 3;
        assert_eq!(call(0x500, &mut gprs), Action::Exit(3));
        gprs[2] = 1 << 40;
        assert_eq!(call(0x500, &mut gprs), Action::Exit(255));

        gprs[1] = SUBCODE_REPORT;
        gprs[3] = REPORT_MAX;
        let report = Action::Report {
            address: 1 << 40,
            length: REPORT_MAX,
        };
        assert_eq!(call(0x500, &mut gprs), report);
        gprs[3] = REPORT_MAX + 1;
        assert_eq!(call(0x500, &mut gprs), SPECIFICATION);
    }
}
