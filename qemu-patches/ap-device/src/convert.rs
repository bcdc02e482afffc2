// SPDX-License-Identifier: MIT OR Apache-2.0
//! Between the flat structures of the C interface and our types.

use ap_arch::{Adm, Apid, Apm, Aqm, Crycbd, Generation, Matrix};

use crate::abi;
use crate::{
    AdapterSpec, AdapterState, Context, Effect, Facilities, Guest, Issuer, Mode, Ns, Outcome,
    QueueView,
};

impl From<&abi::Context> for Context {
    /// An issuer that is not the host is taken for a guest, which can reach
    /// less.
    fn from(ctx: &abi::Context) -> Self {
        let has = |facility| ctx.facilities & facility != 0;
        let issuer = if ctx.issuer == abi::ISSUER_HOST {
            Issuer::Host
        } else {
            Issuer::Guest(Guest {
                sd: ctx.sd,
                crycbd: Crycbd(ctx.crycbd),
                nested: ctx.flags & abi::CTX_NESTED != 0,
                matrix: Matrix {
                    apm: Apm::from_bytes(ctx.apm),
                    aqm: Aqm::from_bytes(ctx.aqm),
                    adm: Adm::from_bytes(ctx.adm),
                },
            })
        };
        Self {
            now: Ns(ctx.now),
            cpu: ctx.cpu,
            facilities: Facilities {
                qci: has(abi::FAC_QCI),
                apft: has(abi::FAC_APFT),
                aqic: has(abi::FAC_AQIC),
            },
            storage_end: ctx.storage_end,
            issuer,
        }
    }
}

impl From<&Outcome> for abi::InsnResult {
    fn from(outcome: &Outcome) -> Self {
        let done = match outcome {
            Ok(done) => done,
            Err(program) => {
                return Self {
                    pgm: program.code(),
                    ..Self::default()
                };
            }
        };
        let (r1_even, r1_odd) = done.psmid.unwrap_or_default().to_pair();
        let writes = [
            (done.gr0.is_some(), abi::WRITES_GR0),
            (done.gr1.is_some(), abi::WRITES_GR1),
            (done.gr2.is_some(), abi::WRITES_GR2),
            (done.psmid.is_some(), abi::WRITES_R1),
            (done.block.is_some(), abi::WRITES_STORE),
        ];
        Self {
            gr0: done.gr0.unwrap_or(0),
            gr1: done.gr1.unwrap_or(0),
            gr2: done.gr2.unwrap_or(0),
            r1_even,
            r1_odd,
            length: done.block.map_or(done.moved, |block| block.len() as u32),
            pgm: 0,
            cc: done.cc,
            writes: writes
                .iter()
                .filter(|(on, _)| *on)
                .fold(0, |all, (_, flag)| all | flag),
        }
    }
}

impl From<Effect> for abi::Effect {
    fn from(effect: Effect) -> Self {
        match effect {
            Effect::ConfigChanged => Self {
                kind: abi::EFFECT_CONFIG_CHANGED,
                ..Self::default()
            },
            Effect::Stop(apqn, seq) => Self {
                nib: seq,
                kind: abi::EFFECT_STOP,
                apqn: apqn.to_qid(),
                ..Self::default()
            },
            Effect::Indicate(apqn, indicator) => Self {
                nib: indicator.nib,
                kind: abi::EFFECT_INDICATE,
                gisa: indicator.control.gisa_origin(),
                apqn: apqn.to_qid(),
                isc: indicator.control.isc(),
                gisc: indicator.control.gisc(),
                gisa_format: indicator.control.gisa_format(),
                reserved: [0; 3],
            },
        }
    }
}

impl Mode {
    /// The number of the C interface.
    pub(crate) const fn number(self) -> u8 {
        match self {
            Self::Cca => abi::MODE_CCA,
            Self::Accelerator => abi::MODE_ACCELERATOR,
            Self::Ep11 => abi::MODE_EP11,
        }
    }

    /// The mode with a number of the C interface.
    pub(crate) fn from_number(number: u8) -> Option<Self> {
        Self::ALL.into_iter().find(|mode| mode.number() == number)
    }
}

impl TryFrom<&abi::Adapter> for AdapterSpec {
    type Error = String;

    fn try_from(adapter: &abi::Adapter) -> Result<Self, String> {
        let mode = Mode::from_number(adapter.mode)
            .ok_or_else(|| format!("{} is no mode of an adapter", adapter.mode))?;
        let generation = Generation::from_number(adapter.generation)
            .ok_or_else(|| format!("{} is no generation, those are 4 to 8", adapter.generation))?;
        Ok(Self {
            apid: Apid::new(adapter.apid),
            mode,
            generation,
            config: adapter.config != 0,
            checkstop: adapter.checkstop != 0,
        })
    }
}

impl From<AdapterState> for abi::Adapter {
    fn from(state: AdapterState) -> Self {
        Self {
            apid: state.spec.apid.get(),
            mode: state.spec.mode.number(),
            generation: state.spec.generation.number(),
            config: state.config.into(),
            checkstop: state.checkstop.into(),
            reserved: [0; 11],
        }
    }
}

impl From<QueueView> for abi::QueueInfo {
    fn from(view: QueueView) -> Self {
        Self {
            enqueued: view.enqueued,
            dequeued: view.dequeued,
            nib: view.nib.unwrap_or(0),
            status: view.status.0,
            // a queue holds far fewer
            requests: view.requests as u32,
            replies: view.replies as u32,
            epoch: view.epoch,
            apqn: view.apqn.to_qid(),
            mode: view.spec.mode.number(),
            generation: view.spec.generation.number(),
            reserved: [0; 4],
        }
    }
}
