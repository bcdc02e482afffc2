// SPDX-License-Identifier: MIT OR Apache-2.0
//! Waits for AP-change events and reports the configuration after each.
//!
//! Source: Linux `drivers/s390/cio/crw.c`, `chsc.c` (`chsc_process_crw`).

use ap_arch::Qci;
use ap_probe::options::Options;

use crate::ap::{self, Facilities};
use crate::insn::{self, Page, Wake};
use crate::report::{Report, Verdict, milliseconds, nanoseconds};

/// Reporting source of a channel report word: an event waits at the channel
/// subsystem.
const SOURCE_CSS: u32 = 0xb;
/// Bit of a channel report word: the machine lost some.
const OVERFLOW: u32 = 0x4000_0000;

const SEI_REQUEST: [u8; 16] = [0, 16, 0, 0x0e, 0, 0, 0, 0, 0x80, 0, 0, 0, 0, 0, 0, 0];
const SEI_OK: [u8; 2] = [0, 1];
const MORE: u8 = 0x80;
const SOURCE_AP: u8 = 5;
const CONFIGURATION_CHANGED: u8 = 3;

/// Test: waits for what the options ask for; `first` is what QCI showed, if
/// there is QCI.
pub fn test_events(
    report: &mut Report,
    options: &Options,
    facilities: Facilities,
    first: Option<Qci>,
    block: &mut Page,
) {
    if !options.waits() {
        report.verdict("events", Verdict::Skip("not asked for"));
        return;
    }
    report.json(|o| o.string("op", "waiting"));
    let deadline = insn::tod() + milliseconds(u64::from(options.seconds()) * 1000);
    let mut shown = first;
    let (mut events, mut changes, mut bad) = (0, 0, 0);
    let wanted = options.wait_events > 0 || options.wait_changes > 0;
    while !wanted || events < options.wait_events || changes < options.wait_changes {
        match insn::wait(true, deadline) {
            Wake::MachineCheck => {}
            Wake::Clock => break,
            Wake::Service(_) | Wake::External(_) => continue,
        }
        let woken = insn::tod();
        if !take_events(report, block, &mut bad) {
            continue;
        }
        events += 1;
        let now = first.map(|_| ap::query());
        let queried = insn::tod();
        let seen = now.and_then(Result::ok);
        changes += u32::from(seen.map(|q| q.matrix) != shown.map(|q| q.matrix));
        shown = seen;
        report.json(|o| {
            o.string("op", "event")?;
            o.raw("seq", events)?;
            o.raw("changes", changes)?;
            o.raw("took", nanoseconds(queried - woken))
        });
        match now {
            Some(Ok(qci)) => {
                ap::show_query(report, events, &qci);
                ap::show_queues(report, events, facilities, &qci);
            }
            Some(Err(_)) => {
                bad += 1;
                break;
            }
            None => {}
        }
    }
    let missing =
        options.wait_events.saturating_sub(events) + options.wait_changes.saturating_sub(changes);
    if missing > 0 {
        report.text(format_args!(
            "# {events} events, {changes} changes came in time"
        ));
    }
    report.verdict("events", Verdict::of(bad + missing));
}

/// Takes all channel report words and, if one says so, all events. Whether an
/// AP change was among them.
pub fn take_events(report: &mut Report, block: &mut Page, bad: &mut u32) -> bool {
    let mut css = false;
    while let Some(word) = insn::stcrw() {
        report.json(|o| {
            o.string("op", "STCRW")?;
            o.string("crw", format_args!("{word:08x}"))
        });
        css |= word >> 24 & 0xf == SOURCE_CSS || word & OVERFLOW != 0;
    }
    let mut changed = false;
    while css {
        block.0.fill(0);
        block.0[..16].copy_from_slice(&SEI_REQUEST);
        let result = insn::chsc(block);
        let response = &block.0[16..32];
        let code = [response[2], response[3]];
        let (notification, flags) = (response[7], response[8]);
        let (source, content) = (response[10], response[11]);
        report.json(|o| {
            o.string("op", "SEI")?;
            match result {
                Ok(cc) => o.raw("cc", cc)?,
                Err(code) => o.raw("pgm", code)?,
            }
            o.raw("code", u16::from_be_bytes(code))?;
            o.raw("nt", notification)?;
            o.raw("flags", flags)?;
            o.raw("rs", source)?;
            o.raw("content", content)
        });
        if result != Ok(0) || code != SEI_OK {
            *bad += 1;
            break;
        }
        changed |= notification == 0 && source == SOURCE_AP && content == CONFIGURATION_CHANGED;
        css = flags & MORE != 0;
    }
    changed
}
