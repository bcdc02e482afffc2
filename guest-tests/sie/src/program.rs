// SPDX-License-Identifier: MIT OR Apache-2.0
//! Program interruptions of the guest: its own, or intercepted.

use crate::Test;
use crate::guest::{CODE, DATA, Guest, PSW_MASK, PSW_PROBLEM};
use crate::report::{Failure, expect};
use crate::sd::{ECB_SPECI, StateDescription};

/// The tests.
pub const TESTS: &[Test] = &[
    ("privileged_operation", privileged_operation),
    ("data_exception", data_exception),
    ("operation_exception", operation_exception),
    ("specification_exception", specification_exception),
    ("invalid_new_psw", invalid_new_psw),
    ("all_by_pint", all_by_pint),
    ("csst_byte", csst_byte),
];

fn intercepted(guest: &mut Guest, code: u16) -> Result<(), Failure> {
    guest.sd().psw_addr = CODE;
    guest.run_to(8)?;
    expect("iprcc", StateDescription::iprcc(guest.sd()), code)
}

fn privileged_operation(guest: &mut Guest) -> Result<(), Failure> {
    // privilege comes before interception, also of DIAG
    guest.sd().psw_mask = PSW_MASK | PSW_PROBLEM;
    guest.program(&[]);
    guest.run_to_program_check(2)?;
    expect("old PSW past it", guest.program_old(), CODE + 4)?;
    // TPROT
    guest.sd().psw_addr = CODE;
    guest.sd().psw_mask = PSW_MASK | PSW_PROBLEM;
    guest.put_code(CODE, &[0xe501, 0x0000, 0x0000]);
    guest.run_to_program_check(2)?;
    expect("old PSW past TPROT", guest.program_old(), CODE + 6)?;
    guest.program(&[]);
    guest.sd().psw_addr = CODE;
    guest.sd().psw_mask = PSW_MASK | PSW_PROBLEM;
    guest.sd().ictl = 0x4000_0000;
    intercepted(guest, 2)?;
    expect("PSW past it", guest.sd().psw_addr, CODE + 4)
}

fn data_exception(guest: &mut Guest) -> Result<(), Failure> {
    // CGRT 1,1 with mask "equal" traps with data-exception code 0xff
    guest.program(&[0xb960, 0x8011]);
    guest.run_to_program_check(7)?;
    expect("code in the lowcore", guest.get_u64(0x90) >> 32, 0xffu64)?;
    guest.sd().ictl = 0x2000_0000;
    intercepted(guest, 7)?;
    expect("code for the host", guest.sd().dxc, 0xffu32)
}

fn operation_exception(guest: &mut Guest) -> Result<(), Failure> {
    guest.program(&[0x0000]);
    guest.run_to_program_check(1)?;
    guest.sd().ictl = 0x8000_0000;
    guest.sd().psw_addr = CODE;
    guest.run_to(0x2c)?;
    expect("ipa", guest.sd().ipa, 0u16)?;
    expect("PSW past it", guest.sd().psw_addr, CODE + 2)
}

fn specification_exception(guest: &mut Guest) -> Result<(), Failure> {
    // LPQ into an odd register
    guest.regs[2] = DATA;
    guest.program(&[0xe310, 0x2000, 0x008f]);
    intercepted(guest, 6)?;
    guest.sd().ecb = ECB_SPECI;
    guest.sd().psw_addr = CODE;
    guest.run_to_program_check(6)
}

fn invalid_new_psw(guest: &mut Guest) -> Result<(), Failure> {
    // bit 0 of a PSW must be zero: the loop is for the host to break
    guest.sd().ecb = ECB_SPECI;
    guest.put_u64(0x1d0, 1 << 63 | PSW_MASK);
    guest.put_u64(0x1d8, 0xbad0);
    guest.program(&[0x0000]);
    intercepted(guest, 6)?;
    expect("PSW is the new one", guest.sd().psw_addr, 0xbad0u64)
}

fn all_by_pint(guest: &mut Guest) -> Result<(), Failure> {
    // fixed-point divide: DSGR by zero
    guest.program(&[0xb90d, 0x0024]);
    guest.run_to_program_check(9)?;
    guest.sd().ictl = 0x2000_0000;
    intercepted(guest, 9)
}

fn csst_byte(guest: &mut Guest) -> Result<(), Failure> {
    // CSST 0(2),0(4),6: swap a word (function code 0), store a byte at an odd
    // address (storage characteristic 0); the parameter list is at 0x40000
    let csst = [0xc862, 0x2000, 0x4000];
    guest.regs[1] = 0x4_0000;
    guest.regs[2] = DATA;
    guest.regs[4] = DATA + 0x101;
    guest.regs[6] = 0xaaaa_aaaa_1111_1111;
    guest.put_u64(DATA as usize, 0x2222_2222_0000_0000);
    guest.put_u64(0x4_0000, 0x3333_3333_0000_0000);
    guest.put_u64(0x4_0010, 0x5c00_0000_0000_0000);
    guest.program(&csst);
    guest.run_to_end(3)?;
    expect(
        "what was found, in the right half",
        guest.regs[6],
        0xaaaa_aaaa_2222_2222u64,
    )?;
    guest.sd().psw_addr = CODE;
    guest.run_to_end(3)?;
    expect(
        "swapped",
        guest.get_u64(DATA as usize) >> 32,
        0x3333_3333u64,
    )?;
    expect(
        "stored",
        guest.get_u64(DATA as usize + 0x100),
        0x5c_0000_0000_0000u64,
    )
}
