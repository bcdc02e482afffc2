// SPDX-License-Identifier: MIT OR Apache-2.0
//! The kernel log, record by record, from `/dev/kmsg`
//! (Documentation/ABI/testing/dev-kmsg).

use crate::agent::{Log, Port};
use anyhow::{Context, Result};
use l1_protocol::Event;
use std::fs::File;
use std::io::{Read, Seek, SeekFrom};

/// Send the records there are, if they are wanted, and then each new one, for
/// ever.
pub fn stream(port: &Port, which: Log) -> Result<()> {
    let mut log = File::open("/dev/kmsg").context("/dev/kmsg")?;
    if which == Log::New {
        log.seek(SeekFrom::End(0)).context("/dev/kmsg")?;
    }
    // One read returns one whole record; 8 KiB is the kernel's own limit.
    let mut record = [0; 8192];
    loop {
        match log.read(&mut record) {
            Ok(0) => return Ok(()),
            Ok(n) => {
                if let Some(event) = parse(&String::from_utf8_lossy(&record[..n])) {
                    port.send(&event)?;
                }
            }
            // Records were overwritten before they were read; go on behind.
            Err(e) if e.raw_os_error() == Some(nix::libc::EPIPE) => {}
            Err(e) => return Err(e).context("/dev/kmsg"),
        }
    }
}

/// `6,12,345678,-;text`, with continuation lines of key=value behind it.
fn parse(record: &str) -> Option<Event> {
    let (prefix, text) = record.split_once(';')?;
    let mut fields = prefix.split(',');
    let priority: u32 = fields.next()?.parse().ok()?;
    let micros = fields.nth(1)?.parse().ok()?;
    let text = text.lines().next().unwrap_or_default().to_owned();
    Some(Event::Kernel {
        level: (priority & 7) as u8,
        micros,
        text,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_record_is_taken_apart() {
        let event = parse("12,7,1234567,-;ap: no adapters; none\n SUBSYSTEM=ap\n").unwrap();
        assert_eq!(
            event,
            Event::Kernel {
                level: 4,
                micros: 1_234_567,
                text: "ap: no adapters; none".into()
            }
        );
        assert!(parse("nonsense").is_none());
        assert!(parse("x,1,2,-;text").is_none());
    }
}
