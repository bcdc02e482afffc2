// SPDX-License-Identifier: MIT OR Apache-2.0
//! Whether the state description asked for the interception of an instruction.

use crate::controls;
use crate::guest::{Guest, PSW_PROBLEM};
use crate::sd::{ECA_APIE, ECA_MVPGI};

/// Nothing but the host can execute them for a guest. Formats with the second
/// part of the opcode in the last byte have it in the lower half.
const ALWAYS: &[u16] = &[
    0x8300, 0xae00, 0xb202, 0xb204, 0xb210, 0xb211, 0xb212, 0xb214, 0xb220, 0xb229, 0xb22a, 0xb22b,
    0xb22c, 0xb230, 0xb231, 0xb232, 0xb233, 0xb234, 0xb235, 0xb236, 0xb237, 0xb238, 0xb239, 0xb23a,
    0xb23b, 0xb23c, 0xb25f, 0xb274, 0xb276, 0xb27d, 0xb2b1, 0xb9a0, 0xb9af, 0xb9d0, 0xb9d2, 0xb9d3,
    0xe3d0, 0xe3d4, 0xe501, 0xebd0, 0xebd1,
];
/// Instructions of the problem state among those with a control: SVC, MVPG,
/// STFLE and STORE CLOCK.
const UNPRIVILEGED: &[u16] = &[0x0a00, 0xb254, 0xb2b0, 0xb205, 0xb278, 0xb27c];
const STFLE: u32 = 0x1000_0000;
const AQIC: u64 = 3;

/// The opcode of the intercepted instruction.
fn opcode(ipa: u16, ipb: u32) -> u16 {
    match ipa >> 8 {
        0x01 | 0xb2 | 0xb9 | 0xe5 => ipa,
        0xe3 | 0xeb => ipa & 0xff00 | (ipb & 0xff) as u16,
        _ => ipa & 0xff00,
    }
}

fn by_svcc(svcc: u32, operand: u16) -> bool {
    let byte = |shift: u32| svcc >> shift & 0xff == u32::from(operand);
    let named = [(30, 16), (29, 8), (28, 0)];
    svcc >> 31 != 0
        || named
            .iter()
            .any(|&(on, at)| svcc >> on & 1 != 0 && byte(at))
}

/// Judges an interception of code 4; `racing` if another CPU changes the facility
/// list.
pub fn for_it(guest: &mut Guest, racing: bool) -> bool {
    let function = guest.regs[0] >> 24 & 0xff;
    let sd = guest.sd();
    let opcode = opcode(sd.ipa, sd.ipb);
    if sd.psw_mask & PSW_PROBLEM != 0 && !UNPRIVILEGED.contains(&opcode) {
        return false;
    }
    match opcode {
        _ if ALWAYS.contains(&opcode) => true,
        0x0a00 => by_svcc(sd.svcc, sd.ipa & 0xff),
        0xb700 | 0xeb2f => sd.lctl & controls::loaded(sd.ipa) != 0,
        0xb254 => sd.eca & ECA_MVPGI == 0,
        0xb2b0 => sd.ictl & STFLE != 0 || sd.fac == 0 || racing,
        0xb2ad | 0xb2ae => sd.eca & ECA_APIE == 0,
        0xb2af => sd.eca & ECA_APIE == 0 || function == AQIC,
        _ => sd.ictl & controls::of(opcode) != 0,
    }
}
