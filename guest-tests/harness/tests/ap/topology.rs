// SPDX-License-Identifier: MIT OR Apache-2.0
//! A topology file as these tests read it, by themselves: what the device
//! model makes of it is what they check.

use std::path::Path;

/// What an adapter is loaded to be.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Mode {
    Cca,
    Accelerator,
    Ep11,
}

/// One `[[adapter]]`.
#[derive(Debug, Clone, Copy)]
pub struct Adapter {
    pub apid: u8,
    pub mode: Mode,
    /// 4 to 8, for CEX4S to CEX8S.
    pub generation: u8,
    pub config: bool,
}

/// A whole file.
#[derive(Debug)]
pub struct Topology {
    pub adapters: Vec<Adapter>,
    pub usage: Vec<u8>,
    pub control: Vec<u8>,
    pub max_adapter: u8,
    pub max_domain: u8,
}

impl Topology {
    pub fn read(file: &Path) -> Self {
        let text = std::fs::read_to_string(file).unwrap();
        let table: toml::Table = text.parse().unwrap();
        let usage = numbers(&table["usage-domains"]);
        let control = table
            .get("control-domains")
            .map_or_else(|| usage.clone(), numbers);
        let adapters = table["adapter"].as_array().unwrap();
        let max = |key| table.get(key).map_or(u8::MAX, byte);
        Self {
            adapters: adapters.iter().map(adapter).collect(),
            usage,
            control,
            max_adapter: max("max-adapter"),
            max_domain: max("max-domain"),
        }
    }

    /// The adapters of one mode.
    pub fn of(&self, mode: Mode) -> impl Iterator<Item = &Adapter> {
        self.adapters.iter().filter(move |a| a.mode == mode)
    }
}

impl Adapter {
    /// Its queues as Linux names them.
    pub fn queues<'a>(&self, domains: &'a [u8]) -> impl Iterator<Item = String> + use<'a> {
        let apid = self.apid;
        domains.iter().map(move |d| format!("{apid:02x}.{d:04x}"))
    }

    /// Linux's name for it.
    pub fn card(&self) -> String {
        format!("card{:02x}", self.apid)
    }
}

fn byte(value: &toml::Value) -> u8 {
    u8::try_from(value.as_integer().unwrap()).unwrap()
}

fn adapter(entry: &toml::Value) -> Adapter {
    Adapter {
        apid: byte(&entry["apid"]),
        mode: match entry["mode"].as_str().unwrap() {
            "cca" => Mode::Cca,
            "accelerator" => Mode::Accelerator,
            "ep11" => Mode::Ep11,
            other => panic!("mode {other}"),
        },
        generation: entry.get("generation").map_or(8, byte),
        config: entry.get("config").is_none_or(|v| v.as_bool().unwrap()),
    }
}

/// Integers, and ranges as text.
fn numbers(list: &toml::Value) -> Vec<u8> {
    let mut numbers = Vec::new();
    for entry in list.as_array().unwrap() {
        match entry {
            toml::Value::Integer(number) => numbers.push(u8::try_from(*number).unwrap()),
            toml::Value::String(range) => {
                let (first, last) = range.split_once('-').unwrap();
                numbers.extend(first.parse::<u8>().unwrap()..=last.parse().unwrap());
            }
            other => panic!("{other:?} is no domain"),
        }
    }
    numbers.sort_unstable();
    numbers
}
