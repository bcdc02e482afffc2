// SPDX-License-Identifier: MIT OR Apache-2.0
//! Adapters: mode, generation, and what TAPQ says about their queues.

use ap_arch::{ApFunctions, Apid, Apqi, Generation, QactInfo, TapqInfo};
use serde::Deserialize;

use crate::engine::{self, Engine, Identity};

/// What an adapter is loaded to be.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Mode {
    /// CCA coprocessor.
    Cca,
    /// Accelerator.
    Accelerator,
    /// EP11 coprocessor.
    Ep11,
}

impl Mode {
    /// All of them.
    pub const ALL: [Self; 3] = [Self::Cca, Self::Accelerator, Self::Ep11];

    /// The name in topology files and properties.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Cca => "cca",
            Self::Accelerator => "accelerator",
            Self::Ep11 => "ep11",
        }
    }

    /// Function bits of TAPQ, as lszcrypt shows them on real machines:
    /// `S--D--NF-`, `-MC-A-NF-`, `S----XNF-`.
    pub const fn functions(self) -> ApFunctions {
        let common = ApFunctions::APXA.with(ApFunctions::FULL_FUNCTION);
        match self {
            Self::Cca => common.with(ApFunctions::APSC).with(ApFunctions::CCA),
            Self::Accelerator => common
                .with(ApFunctions::MEX_4K)
                .with(ApFunctions::CRT_4K)
                .with(ApFunctions::ACCELERATOR),
            Self::Ep11 => common.with(ApFunctions::APSC).with(ApFunctions::EP11),
        }
    }
}

/// An adapter as it is plugged.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct AdapterSpec {
    /// Its number.
    pub apid: Apid,
    /// Its mode.
    pub mode: Mode,
    /// Its hardware generation.
    pub generation: Generation,
    /// Whether it starts configured.
    pub config: bool,
    /// Whether it starts checkstopped.
    pub checkstop: bool,
}

impl AdapterSpec {
    /// A configured CEX8S.
    pub const fn new(apid: Apid, mode: Mode) -> Self {
        Self {
            apid,
            mode,
            generation: Generation::Cex8,
            config: true,
            checkstop: false,
        }
    }
}

/// How many messages a queue holds, requests and replies together.
pub(crate) const DEPTH: u8 = 8;

/// Longest message, in units of 4096 bytes: the 12 KiB that Linux assumes for
/// adapters which do not tell.
const ML: u8 = 3;

/// An adapter in the machine.
pub(crate) struct Adapter {
    pub spec: AdapterSpec,
    pub config: bool,
    pub checkstop: bool,
    pub engine: Box<dyn Engine>,
}

impl Adapter {
    /// An adapter in the machine with this seed, into which `plug` others were
    /// plugged before.
    pub(crate) fn new(spec: AdapterSpec, seed: u64, plug: u64) -> Self {
        let apid = spec.apid;
        let identity = Identity { seed, apid, plug };
        Self {
            spec,
            config: spec.config,
            checkstop: spec.checkstop,
            engine: engine::for_mode(spec.mode, identity),
        }
    }

    /// GR2 of TAPQ. Without the T bit the function half is not told.
    pub(crate) fn tapq_info(&self, t: bool, nd: Apqi) -> TapqInfo {
        let info = TapqInfo::default()
            .with_device_type(self.spec.generation.device_type())
            .with_nd(nd.get())
            .with_ml(ML)
            .with_depth(DEPTH);
        if t {
            info.with_functions(self.spec.mode.functions())
        } else {
            info
        }
    }

    /// GR2 of QACT: the type to treat this adapter as, if the program knows
    /// types up to the one it asked with, and 0 for a mode that is not ours.
    pub(crate) fn compatible(&self, question: QactInfo) -> QactInfo {
        let mode = (self.spec.mode.functions().0 >> 26) as u8 & 7;
        let known = match question.device_type() {
            0 => u8::MAX,
            known => known,
        };
        if question.mode() == mode {
            QactInfo::new(mode, self.spec.generation.device_type().min(known))
        } else {
            QactInfo::default()
        }
    }

    /// Longest message in bytes.
    pub(crate) fn max_message(&self) -> usize {
        usize::from(ML) * 4096
    }
}
