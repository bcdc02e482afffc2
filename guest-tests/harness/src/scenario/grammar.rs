// SPDX-License-Identifier: MIT OR Apache-2.0
//! Version 1 of the grammar of scenario files: `docs/scenarios.md` tells users
//! what it means. It may be extended, not changed.

use super::value::{ErrnoName, Kind, Line, Memory, Name, Pattern, Queue};
use ap_device::AdapterSpec;
use serde::Deserialize;
use serde::de::{self, Deserializer, MapAccess, SeqAccess, Visitor};
use std::collections::BTreeMap;
use std::fmt;
use std::path::PathBuf;
use toml::{Spanned, Table};

/// A whole file.
#[derive(Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
pub(super) struct File {
    pub name: String,
    pub topology: Spanned<PathBuf>,
    #[serde(default)]
    pub vfio_ap: Reserved,
    #[serde(default)]
    pub mdev: Vec<MdevEntry>,
    #[serde(default)]
    pub guest: Vec<GuestEntry>,
    #[serde(default)]
    pub step: Vec<Spanned<StepEntry>>,
}

/// Which adapters start out reserved for vfio_ap.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(
    untagged,
    expecting = "not \"all\", \"none\" or a list of APIDs (0 to 255)"
)]
pub enum Reserved {
    /// All or none.
    Word(ReservedWord),
    /// These.
    List(Vec<u8>),
}

/// See [`Reserved`].
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum ReservedWord {
    /// Every adapter, also one that comes later.
    All,
    /// No adapter.
    None,
}

impl Default for Reserved {
    fn default() -> Self {
        Self::Word(ReservedWord::All)
    }
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
pub(super) struct MdevEntry {
    pub id: Name,
}

/// A guest.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
pub struct GuestEntry {
    /// Its name.
    pub id: Name,
    /// `probe`, `linux` or the path of a kernel.
    #[serde(default = "probe")]
    pub kind: Spanned<Kind>,
    /// The mdev it starts with.
    pub mdev: Option<Name>,
    /// CPUs.
    #[serde(default = "one")]
    pub cpus: Spanned<u8>,
    /// Memory, such as `256M`.
    #[serde(default = "Memory::usual")]
    pub memory: Memory,
    /// Whether it is told of changes.
    #[serde(default = "yes")]
    pub events: bool,
}

fn probe() -> Spanned<Kind> {
    Spanned::new(0..0, Kind::Probe)
}

fn one() -> Spanned<u8> {
    Spanned::new(0..0, 1)
}

fn yes() -> bool {
    true
}

/// A step as it is written: one of the actions, and what is expected.
#[derive(Deserialize, Default)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
pub(super) struct StepEntry {
    pub assign: Option<Resources>,
    pub unassign: Option<Resources>,
    pub ap_config: Option<Resources>,
    pub write: Option<Write>,
    pub machine: Option<Spanned<MachineEntry>>,
    pub bind: Option<QueueDriver>,
    pub unbind: Option<QueueDriver>,
    pub apmask: Option<String>,
    pub aqmask: Option<String>,
    pub create_mdev: Option<Name>,
    pub remove_mdev: Option<Name>,
    pub start: Option<Name>,
    pub stop: Option<Name>,
    pub kill: Option<Name>,
    pub reset: Option<Name>,
    pub attach: Option<GuestMdev>,
    pub detach: Option<GuestMdev>,
    pub crypto: Option<Crypto>,
    pub run: Option<String>,
    pub pause_ms: Option<u64>,
    pub within_ms: Option<u64>,
    pub only: Option<Only>,
    #[serde(default)]
    pub expect: Expect,
}

/// With what a step is done; with all else it is skipped.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Only {
    /// Our driver.
    Rust,
    /// The C driver.
    C,
    /// Guests that are all bare-metal probes.
    Probe,
    /// Guests that are all Linux.
    Linux,
}

/// Adapters and domains of an mdev.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
pub struct Resources {
    /// The mdev.
    pub mdev: Name,
    /// APIDs.
    #[serde(default)]
    pub adapters: Vec<u8>,
    /// Usage domains.
    #[serde(default)]
    pub domains: Vec<u8>,
    /// Control domains.
    #[serde(default)]
    pub control_domains: Vec<u8>,
}

/// A write to a file of L1.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Write {
    /// The file.
    pub path: String,
    /// What is written, at once.
    pub data: String,
}

/// A queue and a driver.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct QueueDriver {
    /// The queue.
    pub apqn: Queue,
    /// The driver, such as `vfio_ap`.
    pub driver: String,
}

/// A guest and an mdev.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct GuestMdev {
    /// The guest.
    pub guest: Name,
    /// The mdev.
    pub mdev: Name,
}

/// RSA requests of a guest.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Crypto {
    /// The guest.
    pub guest: Name,
    /// The queue.
    pub apqn: Queue,
    /// How many.
    #[serde(default = "one_request")]
    pub requests: u32,
    /// Whether their replies are taken.
    #[serde(default = "yes")]
    pub collect: bool,
}

fn one_request() -> u32 {
    1
}

#[derive(Deserialize, Default)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
pub(super) struct MachineEntry {
    pub config: Option<Switch>,
    pub checkstop: Option<Switch>,
    pub add_adapter: Option<Spanned<Table>>,
    pub remove_adapter: Option<u8>,
    pub add_domain: Option<u8>,
    pub remove_domain: Option<u8>,
    pub add_control_domain: Option<u8>,
    pub remove_control_domain: Option<u8>,
    pub fault: Option<Spanned<Table>>,
    pub clear_faults: Option<Spanned<bool>>,
}

/// A state of an adapter.
#[derive(Debug, Clone, Copy, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Switch {
    /// The adapter.
    pub apid: u8,
    /// Whether it is to be in that state.
    pub on: bool,
}

/// What an operator does to the machine below L1.
#[derive(Debug, Clone)]
pub enum Operation {
    /// Configure or deconfigure an adapter.
    Config(Switch),
    /// Let an adapter fail, or repair it.
    Checkstop(Switch),
    /// Plug an adapter.
    AddAdapter(AdapterSpec),
    /// Unplug an adapter.
    RemoveAdapter(u8),
    /// Give or take a usage domain.
    Domain(u8, bool),
    /// Give or take a control domain.
    ControlDomain(u8, bool),
    /// Let queues misbehave: the text of a fault table.
    Fault(String),
    /// Let them behave.
    ClearFaults,
}

/// What a step does.
#[derive(Debug, Clone)]
pub enum Action {
    Assign(Resources),
    Unassign(Resources),
    ApConfig(Resources),
    Write(Write),
    Machine(Operation),
    Bind(QueueDriver),
    Unbind(QueueDriver),
    Apmask(String),
    Aqmask(String),
    CreateMdev(Name),
    RemoveMdev(Name),
    Start(Name),
    Stop(Name),
    Kill(Name),
    Reset(Name),
    Attach(GuestMdev),
    Detach(GuestMdev),
    Crypto(Crypto),
    Run(String),
    Pause(u64),
}

/// By mdev or guest.
pub type By<T> = BTreeMap<Name, T>;

/// What must come true.
#[derive(Debug, Clone, Default, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case", default)]
pub struct Expect {
    pub errno: Option<Spanned<ErrnoName>>,
    pub matrix: By<Vec<String>>,
    pub guest_matrix: By<Vec<String>>,
    pub control_domains: By<Vec<u8>>,
    pub explain: By<Vec<Line>>,
    pub guest_sees: By<Sees>,
    pub guest_sees_only: By<Vec<Sees>>,
    pub guest_tapq: By<BTreeMap<Queue, u8>>,
    pub guest_empty: By<BTreeMap<Queue, bool>>,
    pub linux_devices: By<Vec<String>>,
    pub queue_driver: BTreeMap<Queue, String>,
    pub log: Option<Pattern>,
    pub crypto_ok: Option<u32>,
    pub crypto_under_way: Option<bool>,
    pub never: Option<Never>,
}

/// Masks of a guest; what is none is not compared.
#[derive(Debug, Clone, Default, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case", default)]
pub struct Sees {
    /// APIDs.
    pub adapters: Option<Vec<u8>>,
    /// Usage domains.
    pub domains: Option<Vec<u8>>,
    /// Control domains.
    pub control_domains: Option<Vec<u8>>,
}

/// What must not come true: one table of expectations, or several.
#[derive(Debug, Clone)]
pub struct Never(pub Vec<Spanned<Expect>>);

impl<'de> Deserialize<'de> for Never {
    fn deserialize<D: Deserializer<'de>>(from: D) -> Result<Self, D::Error> {
        let either = Spanned::<OneOrMany>::deserialize(from)?;
        let span = either.span();
        Ok(Self(match either.into_inner() {
            OneOrMany::One(one) => vec![Spanned::new(span, *one)],
            OneOrMany::Many(all) => all,
        }))
    }
}

enum OneOrMany {
    One(Box<Expect>),
    Many(Vec<Spanned<Expect>>),
}

/// Not `untagged`, which would forget where an error is.
impl<'de> Deserialize<'de> for OneOrMany {
    fn deserialize<D: Deserializer<'de>>(from: D) -> Result<Self, D::Error> {
        struct Either;
        impl<'de> Visitor<'de> for Either {
            type Value = OneOrMany;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a table of expectations or a list of them")
            }

            fn visit_map<A: MapAccess<'de>>(self, map: A) -> Result<OneOrMany, A::Error> {
                let one = Expect::deserialize(de::value::MapAccessDeserializer::new(map))?;
                Ok(OneOrMany::One(Box::new(one)))
            }

            fn visit_seq<A: SeqAccess<'de>>(self, seq: A) -> Result<OneOrMany, A::Error> {
                let all = Vec::deserialize(de::value::SeqAccessDeserializer::new(seq))?;
                Ok(OneOrMany::Many(all))
            }
        }
        from.deserialize_any(Either)
    }
}
