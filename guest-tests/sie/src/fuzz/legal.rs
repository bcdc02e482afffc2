// SPDX-License-Identifier: MIT OR Apache-2.0
//! Which ends of SIE are legal.

use super::state::Host;
use crate::guest::{Guest, PSW_EXT, PSW_IO, PSW_WAIT};
use crate::insn;
use crate::report::Failure;
use crate::sd::{CPUSTAT_EXT_INT, CPUSTAT_IO_INT, CPUSTAT_P, CPUSTAT_STOP_INT};
use crate::sd::{ECA_MVPGI, ECA_PROTEXCI, ECB_HOSTPROTINT};

const PINT: u32 = 0x2000_0000;
const PRIVOP: u32 = 0x4000_0000;
const OPEREXC: u32 = 0x8000_0000;
const CKC_SUBCLASS: u64 = 0x800;
const CPU_TIMER_SUBCLASS: u64 = 0x400;
/// Host's external interruption by the clock comparator.
const WATCHDOG: u64 = 0x1004 << 32;

const VALIDITY: &[u32] = &[
    0x0001, 0x0010, 0x0011, 0x0034, 0x0035, 0x0037, 0x0038, 0x0039, 0x003b, 0x003c, 0x0041, 0x1090,
];
/// Program interruption codes of the machine, without PER.
const PROGRAM: &[u16] = &[
    0x01, 0x02, 0x03, 0x04, 0x05, 0x06, 0x07, 0x08, 0x09, 0x0a, 0x0b, 0x0c, 0x0d, 0x0e, 0x0f, 0x10,
    0x11, 0x12, 0x13, 0x15, 0x1b, 0x1c, 0x1d, 0x1e, 0x1f, 0x20, 0x21, 0x22, 0x23, 0x24, 0x25, 0x26,
    0x27, 0x28, 0x29, 0x2a, 0x2b, 0x2c, 0x2d, 0x2e, 0x2f, 0x30, 0x31, 0x32, 0x33, 0x34, 0x38, 0x39,
    0x3a, 0x3b, 0x40, 0x80,
];
/// Access exceptions of the host's tables, which map one segment.
const HOST_ACCESS: &[u64] = &[0x04, 0x10, 0x11, 0x38];

fn illegal(what: &'static str, got: impl Into<u64>, want: u64) -> Result<(), Failure> {
    Err(Failure {
        what,
        got: got.into(),
        want,
    })
}

/// Judges how SIE ended; `racing` if another CPU makes requests.
pub fn check(guest: &mut Guest, host: Host, ended: u64, racing: bool) -> Result<(), Failure> {
    let code = guest.sd().icptcode;
    match ended {
        0 if code == 0 => illegal("no interception and no interruption", code, 4),
        0 => interception(guest, racing),
        // the interruption may come just after an interception
        WATCHDOG if code == 0 => Ok(()),
        WATCHDOG => interception(guest, racing),
        _ if host == Host::Extent => illegal("host interruption without tables", ended, 0),
        4 if guest.sd().ecb & ECB_HOSTPROTINT == 0 => {
            illegal("protection goes to the host", ended, 0)
        }
        _ if !HOST_ACCESS.contains(&ended) => illegal("host interruption", ended, 0x11),
        _ if code != 0 => illegal("interception with a host interruption", code, 0),
        _ => Ok(()),
    }
}

fn interception(guest: &mut Guest, racing: bool) -> Result<(), Failure> {
    let page_table = guest.page_table();
    let sd = guest.sd();
    let code = sd.icptcode;
    let requested = |bit| racing || sd.cpuflags & bit != 0;
    let legal = match code {
        0x04 => sd.icptstatus & !0x63 == 0,
        0x08 => program(guest)?,
        0x10 => sd.psw_mask & PSW_EXT != 0 && requested(CPUSTAT_EXT_INT),
        0x14 => sd.psw_mask & PSW_EXT != 0 && timer_expired(guest)?,
        0x18 => sd.psw_mask & PSW_IO != 0 && requested(CPUSTAT_IO_INT),
        0x1c => sd.psw_mask & PSW_WAIT != 0,
        0x20 => VALIDITY.contains(&(sd.ipb >> 16)),
        0x28 => requested(CPUSTAT_STOP_INT),
        0x2c => sd.ictl & OPEREXC != 0,
        0x38 => {
            let source = sd.source_entry();
            let in_table = |entry| entry == 0 || (page_table..page_table + 2048).contains(&entry);
            sd.eca & ECA_MVPGI != 0 && in_table(sd.param) && in_table(source)
        }
        _ => false,
    };
    if legal {
        Ok(())
    } else {
        illegal("interception", code, 0)
    }
}

fn program(guest: &mut Guest) -> Result<bool, Failure> {
    let sd = guest.sd();
    let code = sd.iprcc();
    let base = if code == 0x80 { 0x80 } else { code & 0x7f };
    if code & !0xff != 0 || !PROGRAM.contains(&base) {
        illegal("program interruption code", code, 0)?;
    }
    // specification: an invalid program-new PSW is intercepted in any case
    let enforced = code & 0x80 != 0 && sd.cpuflags & CPUSTAT_P != 0;
    Ok(enforced
        || sd.ictl & PINT != 0
        || matches!(base, 5 | 6 | 0x13)
        || base == 2 && sd.ictl & PRIVOP != 0
        || base == 4 && sd.eca & ECA_PROTEXCI == 0)
}

fn timer_expired(guest: &mut Guest) -> Result<bool, Failure> {
    let sd = guest.sd();
    let now = insn::tod().wrapping_add(sd.epoch);
    match sd.param & 0xffff {
        0x1004 => Ok(sd.gcr[0] & CKC_SUBCLASS != 0 && sd.ckc < now),
        0x1005 => Ok(sd.gcr[0] & CPU_TIMER_SUBCLASS != 0 && (sd.cputm as i64) < 0),
        other => illegal("external interruption code", other, 0x1004).map(|()| false),
    }
}
