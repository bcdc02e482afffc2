// SPDX-License-Identifier: MIT OR Apache-2.0
//! A filter of system calls, as the program that the kernel runs at each.
//!
//! ```text
//!   load architecture     not ours        -> kill
//!   load number           on the list     -> allow
//!                         clone3          -> "no such call"
//!                         ioctl, prctl    -> load the argument
//!                                            on its list -> allow
//!                         anything else   -> kill
//! ```
//!
//! Written here since the crate for it, rust-vmm's seccompiler, is for
//! little-endian targets only.
//!
//! Source: Linux `include/uapi/linux/seccomp.h`, `linux/filter.h`,
//! `Documentation/userspace-api/seccomp_filter.rst`.

/// One instruction, in the order the kernel has its parts.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Step {
    /// What to do.
    pub code: u16,
    /// How many instructions to skip if a comparison holds.
    pub jt: u8,
    /// And if it does not.
    pub jf: u8,
    /// An operand.
    pub k: u32,
}

/// Load a word of `struct seccomp_data`.
const LOAD: u16 = 0x20;
const JUMP_IF_EQUAL: u16 = 0x15;
const RETURN: u16 = 0x06;

const ALLOW: u32 = 0x7fff_0000;
const KILL_PROCESS: u32 = 0x8000_0000;
/// Fail with ENOSYS.
const NO_SUCH_CALL: u32 = 0x0005_0000 | 38;

const NUMBER_AT: u32 = 0;
const ARCHITECTURE_AT: u32 = 4;
const ARGUMENTS_AT: u32 = 16;

/// What a process may call.
#[derive(Clone, Debug, Default)]
pub struct Allowed {
    /// Calls with any arguments.
    pub calls: Vec<u32>,
    /// Calls that fail as on a kernel without them; callers have another way.
    pub missing: Vec<u32>,
    /// Calls with certain values of one argument, whose low word counts.
    pub by_argument: Vec<ByArgument>,
}

/// A call with certain values of one argument.
#[derive(Clone, Debug)]
pub struct ByArgument {
    /// The call.
    pub call: u32,
    /// Number of the argument, from 0.
    pub argument: u32,
    /// Its values.
    pub values: Vec<u32>,
}

/// The program for processes of an architecture, with the byte order of its
/// 64-bit arguments.
pub fn program(architecture: u32, big_endian: bool, allowed: &Allowed) -> Vec<Step> {
    let mut steps = vec![
        load(ARCHITECTURE_AT),
        Step {
            code: JUMP_IF_EQUAL,
            jt: 1,
            jf: 0,
            k: architecture,
        },
        finish(KILL_PROCESS),
        load(NUMBER_AT),
    ];
    for &call in &allowed.calls {
        steps.extend([unless(call, 1), finish(ALLOW)]);
    }
    for &call in &allowed.missing {
        steps.extend([unless(call, 1), finish(NO_SUCH_CALL)]);
    }
    for rule in &allowed.by_argument {
        let low_word = ARGUMENTS_AT + 8 * rule.argument + 4 * u32::from(big_endian);
        let mut body = vec![load(low_word)];
        for &value in &rule.values {
            body.extend([unless(value, 1), finish(ALLOW)]);
        }
        body.push(finish(KILL_PROCESS));
        // a jump spans at most 255: the lists of this program are shorter
        let skip = u8::try_from(body.len()).unwrap_or(u8::MAX);
        steps.push(unless(rule.call, skip));
        steps.extend(body);
    }
    steps.push(finish(KILL_PROCESS));
    steps
}

fn load(k: u32) -> Step {
    Step {
        code: LOAD,
        jt: 0,
        jf: 0,
        k,
    }
}

/// Goes on if the word loaded is `k`, else skips.
fn unless(k: u32, skip: u8) -> Step {
    Step {
        code: JUMP_IF_EQUAL,
        jt: 0,
        jf: skip,
        k,
    }
}

fn finish(k: u32) -> Step {
    Step {
        code: RETURN,
        jt: 0,
        jf: 0,
        k,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const ARCH: u32 = 0x8000_0016;

    /// What the kernel would do with a program.
    fn run(steps: &[Step], arch: u32, number: u32, arguments: [u64; 6], big_endian: bool) -> u32 {
        let order = |value: u64| match big_endian {
            true => value.to_be_bytes(),
            false => value.to_le_bytes(),
        };
        let word = |value: u32| match big_endian {
            true => value.to_be_bytes(),
            false => value.to_le_bytes(),
        };
        let mut data = Vec::new();
        data.extend(word(number));
        data.extend(word(arch));
        data.extend(order(0));
        for argument in arguments {
            data.extend(order(argument));
        }
        let (mut at, mut loaded) = (0, 0);
        loop {
            let step = steps[at];
            at += 1;
            match step.code {
                LOAD => {
                    let bytes = data[step.k as usize..][..4].try_into().unwrap();
                    loaded = match big_endian {
                        true => u32::from_be_bytes(bytes),
                        false => u32::from_le_bytes(bytes),
                    };
                }
                JUMP_IF_EQUAL => {
                    at += usize::from(if loaded == step.k { step.jt } else { step.jf });
                }
                RETURN => return step.k,
                other => panic!("{other:#x}"),
            }
        }
    }

    #[test]
    fn what_is_allowed_and_nothing_else() {
        let allowed = Allowed {
            calls: vec![3, 4],
            missing: vec![386],
            by_argument: vec![
                ByArgument {
                    call: 54,
                    argument: 1,
                    values: vec![0xae80, 0x3b6f],
                },
                ByArgument {
                    call: 172,
                    argument: 0,
                    values: vec![15],
                },
            ],
        };
        for big_endian in [true, false] {
            let steps = program(ARCH, big_endian, &allowed);
            let verdict =
                |arch, number, arguments| run(&steps, arch, number, arguments, big_endian);
            let plain = |number| verdict(ARCH, number, [0; 6]);
            assert_eq!((plain(3), plain(4)), (ALLOW, ALLOW));
            assert_eq!(plain(386), NO_SUCH_CALL);
            assert_eq!((plain(2), plain(5)), (KILL_PROCESS, KILL_PROCESS));
            let ioctl = |request| verdict(ARCH, 54, [9, request, 0, 0, 0, 0]);
            assert_eq!((ioctl(0xae80), ioctl(0x3b6f)), (ALLOW, ALLOW));
            // the kernel looks at the low word, too
            assert_eq!(ioctl(1 << 32 | 0xae80), ALLOW);
            assert_eq!((ioctl(0xae81), ioctl(0)), (KILL_PROCESS, KILL_PROCESS));
            let prctl = |option| verdict(ARCH, 172, [option, 0xae80, 0, 0, 0, 0]);
            assert_eq!((prctl(15), prctl(16)), (ALLOW, KILL_PROCESS));
            assert_eq!(verdict(0x8000_0000, 3, [0; 6]), KILL_PROCESS);
        }
    }
}
