// SPDX-License-Identifier: MIT OR Apache-2.0
//! SIGNAL PROCESSOR, the orders that KVM leaves to user space.
//!
//! With `KVM_CAP_S390_USER_SIGP`, KVM answers for CPUs that are not there and
//! keeps the orders that are frequent (sense, external call, emergency
//! signal); left are those that start, stop, restart and reset a CPU or store
//! its registers. This module decides what an order comes to, given the state
//! of the CPU that it addresses; [`crate::cpus`] brings it to that CPU.
//!
//! ```text
//!             start          restart         stop            reset
//!   stopped   -> operating   -> operating    -               -
//!   operating -              restart intr.   -> stopped      -> stopped
//!   waiting   -              restart intr.   -> stopped      -> stopped
//! ```
//!
//! Waiting means: in a wait state that no interrupt can end. KVM leaves that
//! to user space, too, where such a CPU sleeps.
//!
//! Source: Linux `arch/s390/kvm/sigp.c`, `arch/s390/include/asm/sigp.h`;
//! z/Architecture Principles of Operation, "CPU Signaling and Response".

const START: u8 = 0x04;
const STOP: u8 = 0x05;
const RESTART: u8 = 0x06;
const STOP_AND_STORE_STATUS: u8 = 0x09;
const INITIAL_CPU_RESET: u8 = 0x0b;
const CPU_RESET: u8 = 0x0c;
const SET_PREFIX: u8 = 0x0d;
const STORE_STATUS_AT_ADDRESS: u8 = 0x0e;
const SET_ARCHITECTURE: u8 = 0x12;
const STORE_ADDITIONAL_STATUS: u8 = 0x17;

/// Status: the order is not one.
pub const INVALID_ORDER: u32 = 0x002;
/// Status: the order's parameter cannot be used.
pub const INVALID_PARAMETER: u32 = 0x100;
/// Status: the CPU is not stopped, as the order wants.
pub const INCORRECT_STATE: u32 = 0x200;

/// Bytes that a CPU's prefix area has.
const PREFIX_AREA: u64 = 0x2000;
/// Bytes that the vector registers take when stored.
const ADDITIONAL_STATUS: u64 = 0x400;

/// What a CPU does.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Mode {
    /// Nothing, until it is started.
    Stopped,
    /// Executes.
    Operating,
    /// Sits in a wait state that no interrupt can end.
    Waiting {
        /// PSW mask.
        mask: u64,
        /// PSW address.
        address: u64,
    },
}

impl Mode {
    /// How metrics call it.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Stopped => "stopped",
            Self::Operating => "operating",
            Self::Waiting { .. } => "waiting",
        }
    }
}

/// How much of a CPU a reset clears; each does what the one before does.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Reset {
    /// What is pending.
    Normal,
    /// PSW, prefix, control registers, timers.
    Initial,
    /// General, floating-point, vector and access registers.
    Clear,
}

/// Something for a CPU to do to itself.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Task {
    /// Enter the operating state.
    Start,
    /// Enter the operating state at a PSW.
    StartAt {
        /// PSW mask.
        mask: u64,
        /// PSW address.
        address: u64,
    },
    /// Take a restart interruption, in the operating state.
    Restart,
    /// Enter the stopped state.
    Stop {
        /// And store the status at its assigned place.
        store: bool,
    },
    /// Reset, and enter the stopped state.
    Reset(Reset),
    /// Take another prefix.
    SetPrefix(u64),
    /// Store the status at an absolute address.
    StoreStatus(u64),
    /// Store the vector registers at an absolute address.
    StoreAdditionalStatus(u64),
}

/// What an order ends with.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Answer {
    /// Condition code 0.
    Accepted,
    /// Condition code 1 and a status.
    Stored(u32),
    /// Condition code 2.
    Busy,
    /// Condition code 3.
    NotOperational,
}

/// What is known of a CPU before it gets an order.
#[derive(Clone, Copy, Debug)]
pub struct Target {
    /// What it does.
    pub mode: Mode,
    /// Whether it has been told to stop and has not done so yet.
    pub stopping: bool,
    /// Size of storage.
    pub ram_size: u64,
}

/// Whether an order is about the machine, whatever CPU it addresses; then its
/// answer.
pub fn without_target(order: u8) -> Option<Answer> {
    // every CPU is in z/Architecture mode and stays so
    (order == SET_ARCHITECTURE).then_some(Answer::Stored(INVALID_PARAMETER))
}

/// What an order comes to: something to do, or an answer at once.
pub fn decide(order: u8, parameter: u64, target: Target) -> Result<Task, Answer> {
    let is_reset = matches!(order, INITIAL_CPU_RESET | CPU_RESET);
    if target.stopping && !is_reset {
        return Err(Answer::Busy);
    }
    let stopped = target.mode == Mode::Stopped;
    let invalid = Err(Answer::Stored(INVALID_PARAMETER));
    let incorrect = Err(Answer::Stored(INCORRECT_STATE));
    match order {
        START if stopped => Ok(Task::Start),
        STOP if !stopped => Ok(Task::Stop { store: false }),
        START | STOP => Err(Answer::Accepted),
        RESTART => Ok(Task::Restart),
        STOP_AND_STORE_STATUS => Ok(Task::Stop { store: true }),
        INITIAL_CPU_RESET => Ok(Task::Reset(Reset::Initial)),
        CPU_RESET => Ok(Task::Reset(Reset::Normal)),
        SET_PREFIX => {
            let address = parameter & 0x7fff_e000;
            match fits(address, PREFIX_AREA, target.ram_size) {
                false => invalid,
                true if !stopped => incorrect,
                true => Ok(Task::SetPrefix(address)),
            }
        }
        STORE_STATUS_AT_ADDRESS if !stopped => incorrect,
        STORE_STATUS_AT_ADDRESS => {
            let address = parameter & 0x7fff_fe00;
            match fits(address, 0x200, target.ram_size) {
                false => invalid,
                true => Ok(Task::StoreStatus(address)),
            }
        }
        STORE_ADDITIONAL_STATUS if !stopped => incorrect,
        STORE_ADDITIONAL_STATUS => {
            // the low bits would tell how much to store of a facility that
            // guests of this VMM do not have
            let aligned = parameter.is_multiple_of(ADDITIONAL_STATUS);
            match aligned && fits(parameter, ADDITIONAL_STATUS, target.ram_size) {
                false => invalid,
                true => Ok(Task::StoreAdditionalStatus(parameter)),
            }
        }
        _ => Err(Answer::Stored(INVALID_ORDER)),
    }
}

fn fits(address: u64, len: u64, ram_size: u64) -> bool {
    address.checked_add(len).is_some_and(|end| end <= ram_size)
}

#[cfg(test)]
mod tests {
    use super::*;

    const RAM: u64 = 64 << 20;
    const WAITING: Mode = Mode::Waiting {
        mask: 2 << 48,
        address: 0,
    };

    fn to(mode: Mode) -> Target {
        Target {
            mode,
            stopping: false,
            ram_size: RAM,
        }
    }

    #[test]
    fn orders_that_change_the_state() {
        let accepted = Err(Answer::Accepted);
        let stop = Ok(Task::Stop { store: false });
        for (order, stopped, other) in [
            (START, Ok(Task::Start), accepted),
            (STOP, accepted, stop),
            (RESTART, Ok(Task::Restart), Ok(Task::Restart)),
            (
                STOP_AND_STORE_STATUS,
                Ok(Task::Stop { store: true }),
                Ok(Task::Stop { store: true }),
            ),
        ] {
            assert_eq!(decide(order, 0, to(Mode::Stopped)), stopped, "{order:#x}");
            for mode in [Mode::Operating, WAITING] {
                assert_eq!(decide(order, 0, to(mode)), other, "{order:#x}");
            }
        }
    }

    #[test]
    fn a_cpu_that_stops_is_busy_for_all_but_resets() {
        let target = Target {
            stopping: true,
            ..to(Mode::Operating)
        };
        for order in [START, STOP, RESTART, SET_PREFIX, 0xff] {
            assert_eq!(decide(order, 0, target), Err(Answer::Busy), "{order:#x}");
        }
        let reset = decide(CPU_RESET, 0, target);
        assert_eq!(reset, Ok(Task::Reset(Reset::Normal)));
        let reset = decide(INITIAL_CPU_RESET, 0, target);
        assert_eq!(reset, Ok(Task::Reset(Reset::Initial)));
    }

    #[test]
    fn parameters() {
        let stopped = to(Mode::Stopped);
        let invalid = Err(Answer::Stored(0x100));
        assert_eq!(
            decide(SET_PREFIX, 0xffff_ffff_8000_2fff, stopped),
            Ok(Task::SetPrefix(0x2000))
        );
        assert_eq!(decide(SET_PREFIX, RAM, stopped), invalid);
        assert_eq!(
            decide(SET_PREFIX, RAM - 0x2000, stopped),
            Ok(Task::SetPrefix(RAM - 0x2000))
        );
        assert_eq!(
            decide(STORE_STATUS_AT_ADDRESS, 0x13ff, stopped),
            Ok(Task::StoreStatus(0x1200))
        );
        assert_eq!(decide(STORE_STATUS_AT_ADDRESS, RAM, stopped), invalid);
        assert_eq!(
            decide(STORE_ADDITIONAL_STATUS, 0x1400, stopped),
            Ok(Task::StoreAdditionalStatus(0x1400))
        );
        for wrong in [0x1401, 0x140a, RAM, u64::MAX - 0x3ff] {
            assert_eq!(decide(STORE_ADDITIONAL_STATUS, wrong, stopped), invalid);
        }
    }

    #[test]
    fn a_running_cpu_keeps_prefix_and_status() {
        let incorrect = Err(Answer::Stored(0x200));
        for mode in [Mode::Operating, WAITING] {
            for order in [SET_PREFIX, STORE_STATUS_AT_ADDRESS, STORE_ADDITIONAL_STATUS] {
                assert_eq!(decide(order, 0x1000, to(mode)), incorrect, "{order:#x}");
            }
        }
    }

    #[test]
    fn others() {
        for order in [0, 7, 8, 0x18, 0xff] {
            let answer = decide(order, 0, to(Mode::Stopped));
            assert_eq!(answer, Err(Answer::Stored(2)), "{order:#x}");
            assert_eq!(without_target(order), None);
        }
        assert_eq!(without_target(0x12), Some(Answer::Stored(0x100)));
    }
}
