// SPDX-License-Identifier: MIT OR Apache-2.0
//! What an instruction did.

use ap_arch::{Psmid, QCI_LEN, QueueStatus};

/// A program interruption, which ends an instruction without any change.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Program {
    /// Specification exception.
    Specification,
}

impl Program {
    /// The program interruption code.
    pub const fn code(self) -> u16 {
        match self {
            Self::Specification => 0x0006,
        }
    }
}

/// A completed instruction: condition code, and what it wrote. What is `None`
/// stays as it was.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct Done {
    /// Condition code.
    pub cc: u8,
    /// GR0: where to go on with a reply.
    pub gr0: Option<u64>,
    /// GR1, the status word in its low half.
    pub gr1: Option<u64>,
    /// GR2.
    pub gr2: Option<u64>,
    /// The PSMID, in the R1 pair.
    pub psmid: Option<Psmid>,
    /// How many bytes of a message were moved.
    pub moved: u32,
    /// What is stored at the address in GR2.
    pub block: Option<[u8; QCI_LEN]>,
}

/// How an instruction ended.
pub type Outcome = Result<Done, Program>;

impl Done {
    /// Ended with a status word and the condition code that goes with it.
    pub(crate) fn with_status(status: QueueStatus) -> Self {
        Self {
            cc: status.condition_code(),
            gr1: Some(status.0.into()),
            ..Self::default()
        }
    }

    /// The status word, if one was written.
    pub fn status(&self) -> Option<QueueStatus> {
        self.gr1.map(|gr1| QueueStatus(gr1 as u32))
    }
}
