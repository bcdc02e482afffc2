// SPDX-License-Identifier: MIT OR Apache-2.0
//! The audit log as a stream, beside the ring that QMP asks.

use crate::{boot, config, shell};
use harness::audit::{Mark, read_stream};

const DQAP: u8 = 0x81;
const HOST: u8 = 0;

#[test]
fn the_stream_has_what_the_ring_has() {
    let mut config = config("audit-stream");
    config.audit_stream = true;
    let machine = boot(&config);
    let mark = machine.mark().unwrap();
    shell(&machine, "cat /sys/bus/ap/devices/card06/serialnr");
    let all = machine.audit(Mark::START, None).unwrap();
    let asked = machine.audit(mark, Some("06.0004")).unwrap();
    let other = machine.audit(mark, Some("06.0005")).unwrap();
    let sent = |e: &harness::audit::Entry| e.op == "nqap" && e.issuer == "host";
    assert_eq!(asked.iter().chain(&other).filter(|e| sent(e)).count(), 1);

    let file = machine.logs().join("audit.log");
    machine.shutdown().unwrap();
    let streamed = read_stream(&file).unwrap();
    // The stream goes on to the end of the machine.
    assert!(streamed.len() >= all.len());
    for (streamed, entry) in streamed.iter().zip(&all) {
        assert_eq!(streamed.seq, entry.seq);
        assert_eq!(streamed.psmid, entry.psmid, "{entry}");
        assert_eq!(streamed.apqn.to_string(), entry.apqn);
        assert_eq!(streamed.op == DQAP, entry.op == "dqap");
        assert_eq!(streamed.issuer == HOST, entry.issuer == "host");
    }
}
