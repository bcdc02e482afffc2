// SPDX-License-Identifier: MIT OR Apache-2.0
//! Device nodes of zcrypt that reach chosen queues only, and RSA through them.

use crate::{LIMIT, shell};
use harness::{Exit, Machine};
use std::collections::BTreeMap;

/// How many cases ended how: `right`, `wrong`, `errno 19`.
pub type Outcomes = BTreeMap<String, usize>;

/// Make `/dev/NAME`, which reaches the queues of one adapter in one domain, or
/// in all, for RSA.
pub fn create(machine: &Machine, name: &str, apid: u8, domain: Option<u8>) {
    let aqmask = match domain {
        Some(domain) => format!("+{domain}"),
        None => format!("0x{}", "f".repeat(64)),
    };
    // 5 and 6 are the numbers of ICARSAMODEXPO and ICARSACRT.
    let line = format!(
        "echo {name} >/sys/class/zcrypt/create; cd /sys/class/zcrypt/{name}
         echo +5,+6 >ioctlmask && echo +{apid} >apmask && echo {aqmask} >aqmask
         until [ -c /dev/{name} ]; do usleep 10000; done"
    );
    shell(machine, &line);
}

/// Put the cases of a file in L1 to such a node, with the options of `zcrypt`.
pub fn perform(machine: &Machine, node: &str, file: &str, options: &str) -> Outcomes {
    let line = format!("/mnt/host/zcrypt {file} --device /dev/{node} {options}");
    let output = machine.shell(&line, LIMIT).unwrap();
    assert_eq!(output.exit, Exit::Status(0), "{line}: {output:?}");
    outcomes(&output.stdout)
}

/// What `zcrypt` printed.
pub fn outcomes(text: &str) -> Outcomes {
    let outcome = |line: &str| {
        let (what, count) = line.rsplit_once(' ').unwrap();
        (what.to_owned(), count.parse().unwrap())
    };
    text.lines().map(outcome).collect()
}
