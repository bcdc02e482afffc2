// SPDX-License-Identifier: MIT OR Apache-2.0
//! RSA through chosen queues, and what zcrypt says of its queues.
//!
//! zcrypt picks a queue by load; to reach a certain one, a device node is made
//! that has no other (Linux `drivers/s390/crypto/zcrypt_api.c`, zcdn).

use crate::bus::{self, Masks};
use crate::ioctl;
use crate::report::Report;
use ap_arch::Apqn;
use ap_probe::rsa;
use std::collections::BTreeSet;
use std::fs::{self, File, OpenOptions};
use std::io;
use std::path::Path;
use std::thread;
use std::time::{Duration, Instant};

const CLASS: &str = "/sys/class/zcrypt";
const Z90CRYPT: &str = "/dev/z90crypt";
/// devtmpfs has a new node within this time.
const NODE: Duration = Duration::from_secs(5);

/// Round trips that came to a bad end.
pub struct Failed {
    /// How many results were right before.
    pub ok: u32,
    /// What went wrong.
    pub why: String,
}

/// Opens a device node that reaches just this queue, and only for RSA.
fn node_for(apqn: Apqn) -> io::Result<File> {
    let name = format!("queue-{:02x}-{:02x}", apqn.apid.get(), apqn.apqi.get());
    let folder = format!("{CLASS}/{name}");
    if !Path::new(&folder).exists() {
        fs::write(format!("{CLASS}/create"), &name)?;
        // 5 and 6 are the numbers of ICARSAMODEXPO and ICARSACRT.
        fs::write(format!("{folder}/ioctlmask"), "+5,+6")?;
        fs::write(format!("{folder}/apmask"), format!("+{}", apqn.apid.get()))?;
        fs::write(format!("{folder}/aqmask"), format!("+{}", apqn.apqi.get()))?;
    }
    let path = format!("/dev/{name}");
    let end = Instant::now() + NODE;
    while !Path::new(&path).exists() && Instant::now() < end {
        thread::sleep(Duration::from_millis(5));
    }
    open(&path)
}

fn open(path: &str) -> io::Result<File> {
    OpenOptions::new().read(true).write(true).open(path)
}

/// Makes so many RSA requests through the queue; stops at the first that goes
/// wrong.
///
/// # Errors
/// What went wrong, after how many right results.
pub fn round_trips(apqn: Apqn, requests: u32) -> Result<u32, Failed> {
    let device = node_for(apqn).map_err(|e| Failed {
        ok: 0,
        why: format!("no node for {apqn}: {e}"),
    })?;
    let (exponent, expected) = (rsa::exponent(), rsa::expected());
    for ok in 0..requests {
        let failed = |why: String| Failed { ok, why };
        let result = ioctl::modexpo(&device, rsa::message(), &exponent, rsa::modulus())
            .map_err(|errno| failed(format!("{errno:?}")))?;
        if result != expected {
            return Err(failed("a wrong result".to_owned()));
        }
    }
    Ok(requests)
}

/// Test: a request through every queue that must compute RSA; how many these are.
pub fn each_queue(report: &Report, masks: &Masks) -> Result<usize, String> {
    // EP11 has no RSA in clear keys.
    let serves = |q: &Apqn| bus::code_of(*q) == 0 && !is_ep11(*q);
    let queues: Vec<Apqn> = masks.queues().into_iter().filter(serves).collect();
    let mut bad = Vec::new();
    for apqn in &queues {
        let begin = Instant::now();
        let outcome = round_trips(*apqn, 1);
        let took = begin.elapsed().as_nanos();
        report.json("RSA", |o| {
            o.string("apqn", apqn)?;
            o.raw("ok", outcome.is_ok())?;
            o.raw("took", took)
        });
        if let Err(failed) = outcome {
            bad.push(format!("{apqn}: {}", failed.why));
        }
    }
    if bad.is_empty() {
        Ok(queues.len())
    } else {
        Err(bad.join(", "))
    }
}

/// A card's type ends in the letter of its mode: `CEX8P` is EP11.
fn is_ep11(apqn: Apqn) -> bool {
    bus::device(&format!("card{}", apqn.apid), "type").is_some_and(|kind| kind.ends_with('P'))
}

/// Test: zcrypt's list has exactly the queues that its drivers have in sysfs.
pub fn status(report: &Report) -> Result<(), String> {
    let served: BTreeSet<String> = bus::devices()
        .into_iter()
        .filter(|name| bus::driver(name).as_deref() == Some("cex4queue"))
        .collect();
    let device = open(Z90CRYPT).map_err(|e| format!("{Z90CRYPT}: {e}"))?;
    let list = ioctl::device_status(&device).map_err(|e| format!("device status: {e:?}"))?;
    for queue in &list {
        report.json("z90crypt", |o| {
            o.string("apqn", queue.apqn())?;
            o.raw("hwtype", queue.hwtype())?;
            o.raw("online", queue.is_online())
        });
    }
    let listed: BTreeSet<String> = list.iter().map(|q| q.apqn()).collect();
    if listed == served {
        Ok(())
    } else {
        Err(format!("zcrypt lists {listed:?}, sysfs has {served:?}"))
    }
}
