// SPDX-License-Identifier: MIT OR Apache-2.0
//! Compiles `include/ap_device.h` with the C compiler against the offsets and
//! numbers of `abi.rs`. Needs `cc`, as building the emulator does.

use std::fmt::Write as _;
use std::mem::{offset_of, size_of};
use std::process::Command;

use ap_device::abi;
use ap_device::auditor::{INVARIANTS, Invariant};

/// Lines of C that fail to compile unless both sides agree on a structure.
macro_rules! layout {
    ($out:ident, $c:literal = $rust:ty { $($member:ident),* $(,)? }) => {
        line(&mut $out, &format!("sizeof({}) == {}", $c, size_of::<$rust>()));
        $(line(&mut $out, &format!(
            "offsetof({}, {}) == {}", $c, stringify!($member), offset_of!($rust, $member)
        ));)*
    };
}

macro_rules! numbers {
    ($out:ident, $($rust:ident = $c:literal),* $(,)?) => {
        $(line(&mut $out, &format!("{} == {}", $c, abi::$rust));)*
    };
}

fn line(out: &mut String, condition: &str) {
    writeln!(out, "_Static_assert({condition}, \"{condition}\");").unwrap();
}

#[test]
fn header_and_abi_agree() {
    let mut c = String::from("#include \"ap_device.h\"\n");
    layout!(
        c,
        "ApContext" = abi::Context {
            now,
            sd,
            storage_end,
            crycbd,
            facilities,
            cpu,
            issuer,
            flags,
            reserved,
            apm,
            aqm,
            adm,
        }
    );
    layout!(
        c,
        "ApResult" = abi::InsnResult {
            gr0,
            gr1,
            gr2,
            r1_even,
            r1_odd,
            length,
            pgm,
            cc,
            writes,
        }
    );
    layout!(
        c,
        "ApEffect" = abi::Effect {
            nib,
            kind,
            gisa,
            apqn,
            isc,
            gisc,
            gisa_format,
            reserved,
        }
    );
    layout!(
        c,
        "ApAdapter" = abi::Adapter {
            apid,
            mode,
            generation,
            config,
            checkstop,
            reserved,
        }
    );
    layout!(
        c,
        "ApQueueInfo" = abi::QueueInfo {
            enqueued,
            dequeued,
            nib,
            status,
            requests,
            replies,
            epoch,
            apqn,
            mode,
            generation,
            reserved,
        }
    );
    layout!(
        c,
        "ApAuditRecord" = abi::AuditRecord {
            seq,
            ns,
            op,
            issuer,
            cc,
            flags,
            apqn,
            cpu,
            status,
            epoch,
            sd,
            crycbd,
            length,
            psmid,
            tag,
        }
    );
    numbers!(
        c,
        ABI = "AP_DEVICE_ABI",
        MAX_MESSAGE = "AP_MAX_MESSAGE",
        ANY_QUEUE = "AP_ANY_QUEUE",
        ISSUER_HOST = "AP_ISSUER_HOST",
        ISSUER_SIE = "AP_ISSUER_SIE",
        ISSUER_NESTED = "AP_ISSUER_NESTED",
        ISSUER_MACHINE = "AP_ISSUER_MACHINE",
        CTX_NESTED = "AP_CTX_NESTED",
        FAC_QCI = "AP_FAC_QCI",
        FAC_APFT = "AP_FAC_APFT",
        FAC_AQIC = "AP_FAC_AQIC",
        WRITES_GR0 = "AP_WRITES_GR0",
        WRITES_GR1 = "AP_WRITES_GR1",
        WRITES_GR2 = "AP_WRITES_GR2",
        WRITES_R1 = "AP_WRITES_R1",
        WRITES_STORE = "AP_WRITES_STORE",
        EFFECT_CONFIG_CHANGED = "AP_EFFECT_CONFIG_CHANGED",
        EFFECT_INDICATE = "AP_EFFECT_INDICATE",
        EFFECT_STOP = "AP_EFFECT_STOP",
        RESET_SUBSYSTEM = "AP_RESET_SUBSYSTEM",
        RESET_POWER_ON = "AP_RESET_POWER_ON",
        MODE_CCA = "AP_MODE_CCA",
        MODE_ACCELERATOR = "AP_MODE_ACCELERATOR",
        MODE_EP11 = "AP_MODE_EP11",
        CHANGE_DONE = "AP_CHANGE_DONE",
        CHANGE_ALREADY = "AP_CHANGE_ALREADY",
        CHANGE_NO_ADAPTER = "AP_CHANGE_NO_ADAPTER",
        OP_UNKNOWN = "AP_OP_UNKNOWN",
        OP_NQAP = "AP_OP_NQAP",
        OP_DQAP = "AP_OP_DQAP",
        OP_REPLY = "AP_OP_REPLY",
        OP_RESET_DONE = "AP_OP_RESET_DONE",
        OP_IRQ = "AP_OP_IRQ",
        OP_CONFIG = "AP_OP_CONFIG",
        OP_MARK = "AP_OP_MARK",
        OP_DISCARD = "AP_OP_DISCARD",
        OP_FAULT = "AP_OP_FAULT",
        OP_VIOLATION = "AP_OP_VIOLATION",
        AUDIT_PARTIAL = "AP_AUDIT_PARTIAL",
        AUDIT_SPECIAL = "AP_AUDIT_SPECIAL",
        AUDIT_T = "AP_AUDIT_T",
        AUDIT_F = "AP_AUDIT_F",
        AUDIT_INJECTED = "AP_AUDIT_INJECTED",
        AUDIT_VIOLATION = "AP_AUDIT_VIOLATION",
    );

    for (invariant, name) in [
        (Invariant::ReplyToOwner, "REPLY_TO_OWNER"),
        (Invariant::ZapqBetweenOwners, "ZAPQ_BETWEEN_OWNERS"),
        (Invariant::NothingSurvives, "NOTHING_SURVIVES"),
        (Invariant::IndicatorIsCurrent, "INDICATOR_IS_CURRENT"),
        (Invariant::HostKeepsOff, "HOST_KEEPS_OFF"),
        (Invariant::MasksHold, "MASKS_HOLD"),
    ] {
        line(
            &mut c,
            &format!("AP_INVARIANT_{name} == {}", invariant as u8),
        );
    }
    line(&mut c, &format!("AP_INVARIANTS == {INVARIANTS}"));

    let source = format!("{}/header_check.c", env!("CARGO_TARGET_TMPDIR"));
    std::fs::write(&source, c).unwrap();
    let include = concat!(env!("CARGO_MANIFEST_DIR"), "/include");
    let output = Command::new("cc")
        .args([
            "-std=c11",
            "-Wall",
            "-Wextra",
            "-Werror",
            "-fsyntax-only",
            "-I",
            include,
            &source,
        ])
        .output()
        .expect("cc runs");
    assert!(
        output.status.success(),
        "{}",
        String::from_utf8_lossy(&output.stderr)
    );
}
