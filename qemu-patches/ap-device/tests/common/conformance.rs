// SPDX-License-Identifier: MIT OR Apache-2.0
//! What Linux and vfio_ap rely on, as checks that can fail: the model must
//! pass all of them, and each mutant must fail some.

use ap_arch::*;

use super::*;

pub type Check = fn(&mut Machine) -> Result<(), String>;

/// All checks, by name.
pub const CHECKS: [(&str, Check); 6] = [
    ("tapq_tells_functions", tapq_tells_functions),
    ("not_empty_until_dequeued", not_empty_until_dequeued),
    ("zapq_leaves_nothing", zapq_leaves_nothing),
    ("rapq_leaves_nothing", rapq_leaves_nothing),
    ("qci_keeps_gr1", qci_keeps_gr1),
    ("interrupts_die_with_reset", interrupts_die_with_reset),
];

fn ensure(condition: bool, what: &str) -> Result<(), String> {
    match condition {
        true => Ok(()),
        false => Err(what.to_owned()),
    }
}

/// Linux sets T without asking once facility 15 is there.
fn tapq_tells_functions(m: &mut Machine) -> Result<(), String> {
    for (apqn, functions) in [
        (CCA, 0x9280_0000),
        (ACCEL, 0x6a80_0000),
        (EP11, 0x8680_0000),
    ] {
        let gr0 = PqapGr0::new(FunctionCode::Tapq, apqn).with_t();
        let done = m.pqap(gr0, 0, 0).map_err(|e| format!("{e:?}"))?;
        let info = TapqInfo(done.gr2.ok_or("GR2 not written")?);
        ensure(info.functions() == ApFunctions(functions), "functions")?;
        ensure(info.device_type() == 14, "type")?;
    }
    Ok(())
}

/// Linux sends everything again if E comes on early.
fn not_empty_until_dequeued(m: &mut Machine) -> Result<(), String> {
    ensure(m.tapq(ACCEL).is_empty(), "empty at first")?;
    ensure(!m.nqap(ACCEL, 1, NONSENSE).is_empty(), "a request")?;
    ensure(!m.tapq(ACCEL).is_empty(), "a running request")?;
    m.wait(REPLY);
    let ready = m.tapq(ACCEL);
    ensure(!ready.is_empty() && ready.has_reply(), "a reply")?;
    m.dqap(ACCEL).map_err(|s| format!("{s:?}"))?;
    ensure(m.tapq(ACCEL).is_empty(), "empty in the end")
}

fn zapq_leaves_nothing(m: &mut Machine) -> Result<(), String> {
    reset_leaves_nothing(m, FunctionCode::Zapq)
}

fn rapq_leaves_nothing(m: &mut Machine) -> Result<(), String> {
    reset_leaves_nothing(m, FunctionCode::Rapq)
}

/// Nothing of the owner before is left to the next.
fn reset_leaves_nothing(m: &mut Machine, function: FunctionCode) -> Result<(), String> {
    m.nqap(ACCEL, 1, NONSENSE);
    m.wait(REPLY);
    m.nqap(ACCEL, 2, NONSENSE);
    let accepted = status(m.call(function, ACCEL));
    ensure(accepted.code() == ResponseCode::NORMAL, "accepted")?;
    let running = m.tapq(ACCEL).code();
    ensure(running == ResponseCode::RESET_IN_PROGRESS, "running")?;
    m.wait(RESET);
    let after = m.tapq(ACCEL);
    ensure(after.code() == ResponseCode::NORMAL, "completed")?;
    ensure(after.is_empty() && !after.has_reply(), "status")?;
    match m.dqap(ACCEL) {
        Err(s) if s.code() == ResponseCode::NO_PENDING_REPLY => Ok(()),
        other => Err(format!("{other:?}")),
    }
}

/// Linux keeps its own return value in GR1 across QCI.
fn qci_keeps_gr1(m: &mut Machine) -> Result<(), String> {
    let gr0 = PqapGr0::new(FunctionCode::Qci, Apqn::default());
    let done = m.pqap(gr0, 0xdead, 0x1000).map_err(|e| format!("{e:?}"))?;
    ensure(done.gr1.is_none() && done.gr2.is_none(), "registers")?;
    let block = done.block.ok_or("no block")?;
    ensure(Qci::from_bytes(&block).matrix == m.ap.matrix(), "block")
}

/// An indicator that outlives a reset scribbles on the next kernel.
fn interrupts_die_with_reset(m: &mut Machine) -> Result<(), String> {
    m.aqic(ACCEL, AqicControl::enable(6), 0x5000);
    ensure(m.tapq(ACCEL).irq_enabled(), "enabled")?;
    m.rapq(ACCEL);
    m.wait(RESET);
    ensure(!m.tapq(ACCEL).irq_enabled(), "off after the reset")?;
    m.nqap(ACCEL, 1, NONSENSE);
    m.wait(REPLY);
    ensure(m.effects().is_empty(), "no indication")
}
