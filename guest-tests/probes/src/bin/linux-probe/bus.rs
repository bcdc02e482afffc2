// SPDX-License-Identifier: MIT OR Apache-2.0
//! The AP bus as sysfs shows it.
//!
//! Source: Linux `drivers/s390/crypto/ap_bus.c`, `ap_queue.c`.

use ap_arch::{Apm, Apqn, Aqm, Mask, MaskSpace, Matrix};
use std::collections::BTreeSet;
use std::fs;
use std::path::Path;
use std::thread;
use std::time::{Duration, Instant};

const BUS: &str = "/sys/bus/ap";
/// A first scan takes this long at most.
const FIRST_SCAN: Duration = Duration::from_secs(60);

/// Seconds, the most that the bus takes.
const SCAN_PAUSE: u8 = 120;

/// Response codes of TAPQ that sysfs can tell.
const NOT_AVAILABLE: u8 = 1;
const DECONFIGURED: u8 = 3;
const CHECKSTOPPED: u8 = 4;

/// The masks, each as sysfs has it: `0x` and 64 digits.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Masks {
    /// Adapters.
    pub apm: String,
    /// Usage domains.
    pub aqm: String,
    /// Control domains.
    pub adm: String,
    /// Facilities of the AP, in words such as APSC; older kernels tell none.
    pub features: String,
}

impl Masks {
    /// What the bus shows, if there is one. It may change between two of the
    /// files, so that what was read is a state only if it is read once more.
    pub fn read() -> Option<Self> {
        let mut last = Self::read_once()?;
        loop {
            let now = Self::read_once()?;
            if now == last {
                return Some(now);
            }
            last = now;
        }
    }

    fn read_once() -> Option<Self> {
        Some(Self {
            apm: attribute(BUS, "ap_adapter_mask")?,
            aqm: attribute(BUS, "ap_usage_domain_mask")?,
            adm: attribute(BUS, "ap_control_domain_mask")?,
            features: attribute(BUS, "features").unwrap_or_default(),
        })
    }

    /// The queues that adapters and usage domains make.
    pub fn queues(&self) -> Vec<Apqn> {
        let apm: Apm = mask(&self.apm).unwrap_or(Apm::EMPTY);
        let aqm: Aqm = mask(&self.aqm).unwrap_or(Aqm::EMPTY);
        let matrix = Matrix {
            apm,
            aqm,
            ..Matrix::EMPTY
        };
        matrix.apqns().collect()
    }
}

fn mask<S: MaskSpace>(text: &str) -> Option<Mask<S>> {
    let digits = text
        .strip_prefix("0x")
        .filter(|d| d.len() == 64 && d.is_ascii())?;
    let mut words = [0; 4];
    for (i, word) in words.iter_mut().enumerate() {
        *word = u64::from_str_radix(&digits[16 * i..16 * (i + 1)], 16).ok()?;
    }
    Some(Mask::from_words(words))
}

fn attribute(folder: &str, name: &str) -> Option<String> {
    let text = fs::read_to_string(format!("{folder}/{name}")).ok()?;
    Some(text.trim().to_owned())
}

/// An attribute of a card or a queue.
pub fn device(name: &str, attribute_name: &str) -> Option<String> {
    attribute(&format!("{BUS}/devices/{name}"), attribute_name)
}

/// Until the bus has looked once; a kernel without one has nothing to wait for.
pub fn wait_for_first_scan() {
    let end = Instant::now() + FIRST_SCAN;
    while attribute(BUS, "bindings").is_some_and(|b| !b.contains("complete"))
        && Instant::now() < end
    {
        thread::sleep(Duration::from_millis(10));
    }
}

/// Let the bus look at its devices now.
pub fn scan() {
    // A refusal shows in what is read next.
    let _ = fs::write(format!("{BUS}/scans"), "1");
}

/// How often it has looked; always 0 where the kernel does not tell.
pub fn scans() -> u64 {
    let count = attribute(BUS, "scans").and_then(|text| text.parse().ok());
    count.unwrap_or_default()
}

/// Put off the next look that the bus takes by itself, for as long as can be:
/// a guest that is not told of a change must not find it.
pub fn put_off_scan() {
    // A bus that does not take it is told of by `config_time`.
    let _ = fs::write(format!("{BUS}/config_time"), SCAN_PAUSE.to_string());
}

/// Seconds from one look of the bus to the next that it takes by itself.
pub fn config_time() -> Option<String> {
    attribute(BUS, "config_time")
}

/// Names of all cards and queues, in order.
pub fn devices() -> BTreeSet<String> {
    let entries = fs::read_dir(format!("{BUS}/devices"));
    let names = entries
        .into_iter()
        .flatten()
        .flatten()
        .map(|e| e.file_name());
    names.filter_map(|n| n.into_string().ok()).collect()
}

/// The driver that has a device.
pub fn driver(name: &str) -> Option<String> {
    let link = fs::read_link(format!("{BUS}/devices/{name}/driver")).ok()?;
    Some(link.file_name()?.to_str()?.to_owned())
}

/// Whether there are drivers that use queues.
pub fn has_zcrypt() -> bool {
    Path::new(&format!("{BUS}/drivers/cex4queue")).exists()
}

/// What TAPQ would answer, as far as sysfs tells.
pub fn code_of(apqn: Apqn) -> u8 {
    let name = apqn.to_string();
    if !Path::new(&format!("{BUS}/devices/{name}")).exists() {
        NOT_AVAILABLE
    } else if device(&name, "config").as_deref() == Some("0") {
        DECONFIGURED
    } else if device(&name, "chkstop").as_deref() == Some("1") {
        CHECKSTOPPED
    } else {
        0
    }
}

/// Test: every queue of the masks has its device and its card, and no other.
pub fn devices_fit(masks: &Masks) -> Result<(), String> {
    let queues = masks.queues();
    let names = queues.iter().map(Apqn::to_string);
    let cards = queues.iter().map(|q| format!("card{}", q.apid));
    let wanted: BTreeSet<String> = names.chain(cards).collect();
    let there = devices();
    if there == wanted {
        return Ok(());
    }
    let missing: Vec<_> = wanted.difference(&there).collect();
    let surplus: Vec<_> = there.difference(&wanted).collect();
    Err(format!("missing {missing:?}, surplus {surplus:?}"))
}
