// SPDX-License-Identifier: MIT OR Apache-2.0
//! Topology files: what AP configuration a machine starts with.
//!
//! ```toml
//! usage-domains   = [4, 0x47, "80-95"]      # integers, or "first-last"
//! control-domains = [4, 0x47, 255]          # default: the usage domains
//! max-adapter     = 255                     # the highest APID that QCI tells,
//! max-domain      = 255                     # and the highest domain
//! [[adapter]]
//! apid = 5
//! mode = "cca"                              # cca | accelerator | ep11
//! generation = 8                            # 4..8, default 8
//! config = true                             # false: starts deconfigured
//! [[fault]]
//! apqn = "05.0047"                          # or: apid = 5, or: domain = 0x47
//! on = "zapq"                               # tapq rapq zapq aqic nqap dqap
//!                                           # reply irq qci
//! rc = 0x02                                 # answer with this code ...
//! after = 1                                 # ... not before so many, default 0,
//! times = 3                                 # ... so often, default: always
//! delay-ms = 5000                           # completion takes this long
//! [[fault]]
//! apid = 5
//! on = "reply"
//! act = "bad-length"                        # instead of rc, see below
//! length = 7
//! [[fault]]
//! on = "qci"
//! act = "lie"
//! apid = 5                                  # or: domain, or: control-domain
//! to = "guest"                              # host | guest | all, default all
//! ```
//!
//! | act | on | what happens |
//! |---|---|---|
//! | `async` | tapq aqic nqap dqap reply | the queue answers `rc` and the bit for asynchronous errors until a reset |
//! | `checkstop` | all but irq and qci | the adapter checkstops |
//! | `stuck` | rapq zapq | the reset completes when the fault is cleared |
//! | `keep` | rapq zapq | contents and interrupts survive the reset |
//! | `drop` | reply irq | the reply, or its interrupt, is lost |
//! | `duplicate` | reply | the reply comes twice |
//! | `reorder` | reply | the reply comes after the next |
//! | `wrong-psmid` | reply | the reply has another PSMID |
//! | `bad-length` | reply | the reply is cut off, or padded, to `length` |
//! | `expose` | instructions but qci | a guest without the queue gets an answer |
//! | `lie` | qci | the masks tell the opposite about this adapter or domain |
//!
//! This is version 1 of the grammar. It may be extended, not changed. Errors
//! name the line and the key.

mod domains;
mod error;
mod fault;

use ap_arch::{Adm, Apid, Apqi, Aqm, Generation};
use serde::Deserialize;
use toml::Spanned;

use crate::{AdapterSpec, Fault, Limits, Mode};

use domains::Domains;
pub use domains::{format_domains, parse_domains};
use error::Text;
pub use error::TopologyError;
use fault::FaultEntry;

/// An AP configuration.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct Topology {
    /// Usage domains.
    pub aqm: Aqm,
    /// Control domains.
    pub adm: Adm,
    /// The highest numbers.
    pub limits: Limits,
    /// Adapters, by APID.
    pub adapters: Vec<AdapterSpec>,
    /// Faults, in order.
    pub faults: Vec<Fault>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
struct File {
    #[serde(default)]
    usage_domains: Domains,
    control_domains: Option<Domains>,
    max_adapter: Option<u8>,
    max_domain: Option<u8>,
    #[serde(default)]
    adapter: Vec<AdapterEntry>,
    #[serde(default)]
    fault: Vec<FaultEntry>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct AdapterEntry {
    apid: Spanned<u8>,
    mode: Mode,
    #[serde(default = "newest")]
    generation: Spanned<u8>,
    #[serde(default = "yes")]
    config: bool,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct FaultFile {
    #[serde(default)]
    fault: Vec<FaultEntry>,
}

fn newest() -> Spanned<u8> {
    Spanned::new(0..0, Generation::Cex8.number())
}

fn yes() -> bool {
    true
}

impl Topology {
    /// Reads the text of a topology file.
    pub fn parse(text: &str) -> Result<Self, TopologyError> {
        let source = Text(text);
        let file: File = toml::from_str(text).map_err(|e| source.syntax(&e))?;
        let limits = Limits {
            na: Apid::new(file.max_adapter.unwrap_or(u8::MAX)),
            nd: Apqi::new(file.max_domain.unwrap_or(u8::MAX)),
        };
        let usage = file.usage_domains.mask(&source, limits.nd)?;
        let adm = match file.control_domains {
            Some(domains) => domains.mask(&source, limits.nd)?,
            None => usage,
        };
        let mut adapters: Vec<AdapterSpec> = Vec::new();
        for entry in &file.adapter {
            let spec = entry.spec(&source)?;
            if adapters.iter().any(|other| other.apid == spec.apid) {
                let what = format!("adapter {} is there already", entry.apid.get_ref());
                return Err(source.at(&entry.apid, what));
            }
            if let Err(what) = limits.check_adapter(spec.apid) {
                return Err(source.at(&entry.apid, what.to_string()));
            }
            adapters.push(spec);
        }
        adapters.sort_by_key(|spec| spec.apid);
        Ok(Self {
            aqm: Aqm::from_words(usage.to_words()),
            adm,
            limits,
            adapters,
            faults: fault::faults(&source, &file.fault)?,
        })
    }

    /// Reads only faults, as they are injected at run time: `[[fault]]` tables
    /// as in a topology file, at least one.
    pub fn parse_faults(text: &str) -> Result<Vec<Fault>, TopologyError> {
        let source = Text(text);
        let file: FaultFile = toml::from_str(text).map_err(|e| source.syntax(&e))?;
        if file.fault.is_empty() {
            return Err(TopologyError::new(1, "fault", "there is none".into()));
        }
        fault::faults(&source, &file.fault)
    }
}

impl AdapterEntry {
    fn spec(&self, source: &Text<'_>) -> Result<AdapterSpec, TopologyError> {
        let number = *self.generation.get_ref();
        let generation = Generation::from_number(number).ok_or_else(|| {
            let what = format!("{number} is no generation, those are 4 to 8");
            source.at(&self.generation, what)
        })?;
        Ok(AdapterSpec {
            generation,
            config: self.config,
            ..AdapterSpec::new(Apid::new(*self.apid.get_ref()), self.mode)
        })
    }
}
