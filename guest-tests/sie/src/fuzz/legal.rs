// SPDX-License-Identifier: MIT OR Apache-2.0
//! Which ends of SIE are legal.

use super::asked;
use super::state::Host;
use crate::guest::{Guest, LC_PGM_NEW, PSW_EXT, PSW_IO, PSW_WAIT};
use crate::insn::{self, GUEST_SIZE};
use crate::report::Failure;
use crate::sd::{CPUSTAT_EXT_INT, CPUSTAT_IO_INT, CPUSTAT_P, CPUSTAT_STOP_INT};
use crate::sd::{CPUSTAT_SM, ECB_SPECI};
use crate::sd::{ECA_CEI, ECA_MVPGI, ECA_PROTEXCI, ECB_HOSTPROTINT};

const PINT: u32 = 0x2000_0000;
const PRIVOP: u32 = 0x4000_0000;
const OPEREXC: u32 = 0x8000_0000;
const CKC_SUBCLASS: u64 = 0x800;
const CPU_TIMER_SUBCLASS: u64 = 0x400;
/// MOVE PAGE.
const MVPG: u16 = 0xb254;
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

/// What the guest was entered with.
pub struct Entry {
    requests: u32,
    mask: u64,
    address: u64,
}

impl Entry {
    /// As it is about to be.
    pub fn of(guest: &mut Guest) -> Self {
        let sd = guest.sd();
        Self {
            requests: sd.cpuflags,
            mask: sd.psw_mask,
            address: sd.psw_addr,
        }
    }

    /// The code of the interception that is due before the first instruction; of
    /// several the first. A PSW that is not valid has an exception before it.
    fn due(&self) -> Option<u8> {
        const ORDER: [(u32, u64, u8); 3] = [
            (CPUSTAT_STOP_INT, u64::MAX, 0x28),
            (CPUSTAT_EXT_INT, PSW_EXT, 0x10),
            (CPUSTAT_IO_INT, PSW_IO, 0x18),
        ];
        let of = |&&(bit, enabled, _): &&(u32, u64, u8)| {
            self.requests & bit != 0 && self.mask & enabled != 0
        };
        let due = ORDER.iter().find(of).map(|(_, _, code)| *code);
        due.filter(|_| valid(self.mask, self.address))
    }
}

/// Is a PSW valid: are bits zero that must be, and has the address no more bits
/// than the addressing mode?
fn valid(mask: u64, address: u64) -> bool {
    const RESERVED: u64 = 0xb808_00fe_7fff_ffff;
    let bits = match mask >> 31 & 3 {
        0b00 => 24,
        0b01 => 31,
        0b11 => return mask & RESERVED == 0,
        _ => return false,
    };
    mask & RESERVED == 0 && address >> bits == 0
}

/// Judges how SIE ended; `racing` if another CPU makes requests.
pub fn check(
    guest: &mut Guest,
    host: Host,
    entry: &Entry,
    ended: u64,
    racing: bool,
) -> Result<(), Failure> {
    let code = guest.sd().icptcode;
    if let Some(due) = entry.due() {
        noticed(guest, entry, due, racing)?;
    }
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

/// Judges the end of a guest that was entered with a request. The other CPU may
/// have made another one before that was looked at.
fn noticed(guest: &mut Guest, entry: &Entry, due: u8, racing: bool) -> Result<(), Failure> {
    let sd = guest.sd();
    let (code, unchanged) = (
        sd.icptcode,
        (sd.psw_mask, sd.psw_addr) == (entry.mask, entry.address),
    );
    match code {
        0x20 => Ok(()),
        // the host was interrupted before
        0 if unchanged => Ok(()),
        0x10 | 0x18 | 0x28 if unchanged && (code == due || racing) => Ok(()),
        _ => illegal("end of a guest with a request", code, due.into()),
    }
}

fn interception(guest: &mut Guest, racing: bool) -> Result<(), Failure> {
    let page_table = guest.page_table();
    let sd = guest.sd();
    let code = sd.icptcode;
    // the other CPU makes requests, and takes none back
    let requested = |bit| sd.cpuflags & bit != 0;
    let legal = match code {
        0x04 => sd.icptstatus & !0x63 == 0 && asked::for_it(guest, racing),
        0x08 => program(guest, racing)?,
        0x10 => sd.psw_mask & PSW_EXT != 0 && requested(CPUSTAT_EXT_INT),
        0x14 => sd.eca & ECA_CEI == 0 && sd.psw_mask & PSW_EXT != 0 && timer_expired(guest)?,
        0x18 => sd.psw_mask & PSW_IO != 0 && requested(CPUSTAT_IO_INT),
        0x1c => sd.psw_mask & PSW_WAIT != 0,
        0x20 => VALIDITY.contains(&(sd.ipb >> 16)),
        0x28 => requested(CPUSTAT_STOP_INT),
        0x2c => sd.ictl & OPEREXC != 0,
        0x38 => {
            let source = sd.source_entry();
            let in_table = |entry| entry == 0 || (page_table..page_table + 2048).contains(&entry);
            let mvpg = sd.ipa == MVPG && sd.eca & ECA_MVPGI != 0;
            mvpg && in_table(sd.param) && in_table(source)
        }
        _ => false,
    };
    if legal {
        Ok(())
    } else {
        // with the instruction, if that is why
        let sd = guest.sd();
        illegal(
            "interception",
            u64::from(code) << 48 | u64::from(sd.ipa) << 32 | u64::from(sd.ipb),
            0,
        )
    }
}

fn program(guest: &mut Guest, racing: bool) -> Result<bool, Failure> {
    let new_psw = is_new_psw(guest) || racing;
    let sd = guest.sd();
    let code = sd.iprcc();
    let base = if code == 0x80 { 0x80 } else { code & 0x7f };
    if code & !0xff != 0 || !PROGRAM.contains(&base) {
        illegal("program interruption code", code, 0)?;
    }
    let enforced = code & 0x80 != 0 && sd.cpuflags & CPUSTAT_P != 0;
    // a program-new PSW that is not valid is intercepted in any case
    if base == 6 && !enforced {
        return Ok(sd.ecb & ECB_SPECI == 0 || new_psw);
    }
    Ok(enforced
        || sd.ictl & PINT != 0
        || matches!(base, 5 | 0x13)
        || base == 2 && sd.ictl & PRIVOP != 0
        || base == 4 && sd.eca & ECA_PROTEXCI == 0)
}

/// Is the guest's PSW its program-new PSW? True also if that is not where the guest
/// has its storage.
fn is_new_psw(guest: &mut Guest) -> bool {
    let origin = guest.host_address(0);
    let sd = guest.sd();
    let psw = (sd.psw_mask, sd.psw_addr);
    let at = (sd.prefix & 0x7fff_e000) as usize + LC_PGM_NEW;
    let elsewhere = sd.cpuflags & CPUSTAT_SM == 0 && sd.mso >> 20 != origin >> 20;
    elsewhere || at >= GUEST_SIZE || psw == (guest.get_u64(at), guest.get_u64(at + 8))
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
