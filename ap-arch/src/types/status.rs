// SPDX-License-Identifier: MIT OR Apache-2.0
//! The queue status word and its response codes.
//!
//! ```text
//!   GR1 bits 32-63:   E R F . . . A I   response code   . . . (16 bits)
//! ```
//!
//! Source: Linux `ap_queue_status` in `asm/ap.h`, `AP_RESPONSE_*` in `ap_bus.h`.

use core::fmt;

/// What PQAP, NQAP and DQAP leave in the low word of GR1.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Default)]
pub struct QueueStatus(pub u32);

impl QueueStatus {
    /// E: nothing queued, running or waiting as a reply.
    pub const EMPTY: u32 = 0x8000_0000;
    /// R: a reply is waiting.
    pub const REPLY: u32 = 0x4000_0000;
    /// F: no request more is taken.
    pub const FULL: u32 = 0x2000_0000;
    /// The response code tells of an asynchronous error.
    pub const ASYNC: u32 = 0x0200_0000;
    /// I: interrupts are enabled.
    pub const IRQ: u32 = 0x0100_0000;

    /// No flag, just a response code.
    pub const fn of(code: ResponseCode) -> Self {
        Self((code.0 as u32) << 16)
    }

    /// This status with `flag` on if `on`, else off.
    #[must_use]
    pub const fn with(self, flag: u32, on: bool) -> Self {
        if on {
            Self(self.0 | flag)
        } else {
            Self(self.0 & !flag)
        }
    }

    /// This status with its response code replaced.
    #[must_use]
    pub const fn with_code(self, code: ResponseCode) -> Self {
        Self(self.0 & 0xff00_ffff | (code.0 as u32) << 16)
    }

    /// The response code.
    pub const fn code(self) -> ResponseCode {
        ResponseCode((self.0 >> 16) as u8)
    }

    /// E.
    pub const fn is_empty(self) -> bool {
        self.0 & Self::EMPTY != 0
    }

    /// R.
    pub const fn has_reply(self) -> bool {
        self.0 & Self::REPLY != 0
    }

    /// F.
    pub const fn is_full(self) -> bool {
        self.0 & Self::FULL != 0
    }

    /// Whether the response code tells of an asynchronous error.
    pub const fn is_async(self) -> bool {
        self.0 & Self::ASYNC != 0
    }

    /// I.
    pub const fn irq_enabled(self) -> bool {
        self.0 & Self::IRQ != 0
    }

    /// The condition code that goes with a completed instruction: 0 or 3.
    pub const fn condition_code(self) -> u8 {
        if self.code().0 == 0 { 0 } else { 3 }
    }
}

impl fmt::Debug for QueueStatus {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("QueueStatus(")?;
        for (on, letter) in [
            (self.is_empty(), "E"),
            (self.has_reply(), "R"),
            (self.is_full(), "F"),
            (self.is_async(), "A"),
            (self.irq_enabled(), "I"),
        ] {
            f.write_str(if on { letter } else { "-" })?;
        }
        write!(f, " {})", self.code())
    }
}

/// Response code: how the instruction, or an operation begun earlier, ended.
///
/// Not a Rust enum: machines answer with codes that have no name here, and
/// 0x10 has two.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default)]
pub struct ResponseCode(pub u8);

macro_rules! response_codes {
    ($($(#[$doc:meta])* $name:ident = $code:literal, $text:literal;)*) => {
        impl ResponseCode {
            $($(#[$doc])* pub const $name: Self = Self($code);)*

            /// What the code says, or `None` if it has no name here.
            pub const fn text(self) -> Option<&'static str> {
                match self.0 {
                    $($code => Some($text),)*
                    _ => None,
                }
            }
        }
    };
}

response_codes! {
    /// Done, or accepted.
    NORMAL = 0x00, "normal";
    /// The APQN is not there, or not for this program.
    NOT_AVAILABLE = 0x01, "not available";
    /// A reset is running.
    RESET_IN_PROGRESS = 0x02, "reset in progress";
    /// The adapter is deconfigured.
    DECONFIGURED = 0x03, "deconfigured";
    /// The adapter is checkstopped.
    CHECKSTOPPED = 0x04, "checkstopped";
    /// Busy.
    BUSY = 0x05, "busy";
    /// AQIC: the notification indicator byte cannot be used.
    INVALID_ADDRESS = 0x06, "invalid address";
    /// AQIC: interrupts are already as asked.
    OTHERWISE_CHANGED = 0x07, "otherwise changed";
    /// AQIC: the guest interruption state area cannot be used.
    INVALID_GISA = 0x08, "invalid GISA";
    /// Bound to another secure guest.
    BOUND_TO_ANOTHER = 0x09, "bound to another";
    /// A state change (association) is running.
    STATE_CHANGE_IN_PROGRESS = 0x0a, "state change in progress";
    /// Not bound.
    NOT_BOUND = 0x0b, "not bound";
    /// NQAP: full. DQAP: see [`Self::NO_PENDING_REPLY`].
    QUEUE_FULL = 0x10, "full, or nothing pending";
    /// AAPQ: index too big.
    INDEX_TOO_BIG = 0x11, "index too big";
    /// NQAP, DQAP: a later part without a first one.
    NO_FIRST_PART = 0x13, "no first part";
    /// NQAP: message too long for the adapter.
    MESSAGE_TOO_BIG = 0x15, "message too big";
    /// NQAP: special command without the facility.
    FACILITY_NOT_INSTALLED = 0x16, "facility not installed";
    /// BAPQ failed.
    BIND_ERROR = 0x30, "bind error";
    /// AAPQ: the queue cannot be associated.
    NOT_AVAILABLE_FOR_ASSOCIATION = 0x31, "not available for association";
    /// AAPQ, BAPQ: the queue is not empty.
    NOT_EMPTY = 0x32, "not empty";
    /// BAPQ: too many bound.
    BIND_LIMIT_EXCEEDED = 0x33, "bind limit exceeded";
    /// AAPQ: no such secret.
    INVALID_ASSOCIATION_SECRET = 0x34, "invalid association secret";
    /// AAPQ: secret not unique.
    ASSOCIATION_SECRET_NOT_UNIQUE = 0x35, "association secret not unique";
    /// AAPQ failed.
    ASSOCIATION_FAILED = 0x36, "association failed";
    /// NQAP: the request names a domain that is not allowed.
    INVALID_DOMAIN = 0x42, "invalid domain";
}

impl ResponseCode {
    /// DQAP: no reply is ready. The same code as [`Self::QUEUE_FULL`].
    pub const NO_PENDING_REPLY: Self = Self::QUEUE_FULL;
}

impl fmt::Display for ResponseCode {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.text() {
            Some(text) => write!(f, "{:02x} ({text})", self.0),
            None => write!(f, "{:02x}", self.0),
        }
    }
}

impl fmt::Debug for ResponseCode {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "ResponseCode({self})")
    }
}
