// SPDX-License-Identifier: MIT OR Apache-2.0
//! Measures how fast the machine is that it runs in.
//!
//! ```text
//! workload [NAME=MILLISECONDS]...     names: integer syscall fault fork memory
//!
//!   workload: boot 0.61               seconds from the kernel's start, as init only
//!   workload: integer 61200000        a second, in its best turn
//! ```
//!
//! All take turns of `PART`, each until it had so many milliseconds at least, and
//! what counts is its best turn: the machine underneath may have other work, for
//! seconds at a time, which makes nothing faster. In each turn everything is done
//! once before for nothing: a machine has to translate, and to find storage, when
//! something is done first.
//!
//! As init (`rdinit=/bin/workload`) it switches the machine off at the end; it takes
//! no notice of words that the kernel passes on and that are not its own.

use nix::mount::{MsFlags, mount};
use nix::sys::mman::{MmapAdvise, madvise};
use nix::sys::reboot::{RebootMode, reboot};
use nix::sys::wait::waitpid;
use nix::unistd::{ForkResult, Pid, fork, getpid, getppid};
use std::hint::black_box;
use std::process::ExitCode;
use std::ptr::NonNull;
use std::sync::OnceLock;
use std::time::{Duration, Instant};

/// Of a turn. Has ticks of all kernels in it, with `HZ` 100.
const PART: Duration = Duration::from_millis(50);
const PAGE: usize = 4096;
/// From this size on, an allocation is always mapped anew, and unmapped when
/// it is freed: the most that `malloc` raises its threshold to, and more.
const ALWAYS_MAPPED: usize = 40 << 20;
/// More pages than the TLB of QEMU has entries when it starts, by far.
const MEMORY: usize = 64 << 20;
const _: () = assert!(MEMORY.is_power_of_two());

/// Does some work and returns how much it was.
type Work = Box<dyn FnMut() -> u64>;

/// What is measured.
struct Figure {
    name: String,
    work: Work,
    left: Duration,
    best: f64,
}

fn main() -> ExitCode {
    let init = getpid() == Pid::from_raw(1);
    if init {
        boot_time();
    }
    let mut figures: Vec<Figure> = std::env::args()
        .skip(1)
        .filter_map(|a| figure(&a))
        .collect();
    while figures.iter().any(|figure| !figure.left.is_zero()) {
        for figure in figures.iter_mut().filter(|figure| !figure.left.is_zero()) {
            (figure.work)();
            let (rate, took) = measure(&mut figure.work);
            figure.best = figure.best.max(rate);
            figure.left = figure.left.saturating_sub(took);
        }
    }
    for Figure { name, best, .. } in figures {
        println!("workload: {name} {best:.0}");
    }
    if init {
        // Comes back only when it failed, and then the kernel panics.
        let Err(e) = reboot(RebootMode::RB_POWER_OFF);
        eprintln!("workload: power off: {e}");
    }
    ExitCode::SUCCESS
}

fn figure(argument: &str) -> Option<Figure> {
    let (name, milliseconds) = argument.split_once('=')?;
    Some(Figure {
        name: name.to_owned(),
        left: Duration::from_millis(milliseconds.parse().ok()?),
        work: work(name)?,
        best: 0.0,
    })
}

/// Tells how long the kernel took to start us.
fn boot_time() {
    let none: Option<&str> = None;
    // What fails here shows below.
    let _ = mount(Some("proc"), "/proc", Some("proc"), MsFlags::empty(), none);
    match std::fs::read_to_string("/proc/uptime") {
        Ok(text) => {
            let seconds = text.split_whitespace().next().unwrap_or_default();
            println!("workload: boot {seconds}");
        }
        Err(e) => eprintln!("workload: /proc/uptime: {e}"),
    }
}

/// How much of it is done a second, and how long that took.
fn measure(work: &mut Work) -> (f64, Duration) {
    let begin = Instant::now();
    let mut done = 0;
    while begin.elapsed() < PART {
        done += work();
    }
    let took = begin.elapsed();
    #[expect(clippy::cast_precision_loss, reason = "far below 2^52")]
    let done = done as f64;
    (done / took.as_secs_f64(), took)
}

fn work(name: &str) -> Option<Work> {
    let mut state = 1;
    Some(match name {
        "integer" => Box::new(move || integer(&mut state)),
        "syscall" => Box::new(syscall),
        "fault" => Box::new(fault),
        "fork" => Box::new(fork_and_wait),
        "memory" => {
            let memory = memory();
            Box::new(move || random_reads(memory, &mut state))
        }
        _ => return None,
    })
}

/// Marsaglia's xorshift.
fn next(state: u64) -> u64 {
    let state = state ^ (state << 13);
    let state = state ^ (state >> 7);
    state ^ (state << 17)
}

fn integer(state: &mut u64) -> u64 {
    const ROUNDS: u64 = 1_000_000;
    for _ in 0..ROUNDS {
        *state = next(*state);
    }
    black_box(*state);
    ROUNDS
}

fn syscall() -> u64 {
    const CALLS: u64 = 2_000;
    for _ in 0..CALLS {
        black_box(getppid());
    }
    CALLS
}

/// Maps memory, touches some pages of it, and unmaps it.
fn fault() -> u64 {
    const PAGES: u64 = 2048;
    let mut memory = vec![0_u8; ALWAYS_MAPPED];
    for page in memory.chunks_mut(PAGE).take(PAGES as usize) {
        page[0] = 1;
    }
    black_box(&mut memory);
    PAGES
}

fn fork_and_wait() -> u64 {
    // SAFETY: there is one thread, and the child does nothing but end.
    match unsafe { fork() } {
        // SAFETY: ends the process without running what its parent registered.
        Ok(ForkResult::Child) => unsafe { nix::libc::_exit(0) },
        Ok(ForkResult::Parent { child }) => match waitpid(child, None) {
            Ok(_) => 1,
            Err(_) => 0,
        },
        Err(_) => 0,
    }
}

/// What is read at random. A process that forks does not give it to its child: there
/// would be more to copy.
fn memory() -> &'static [u64] {
    static ONCE: OnceLock<&[u64]> = OnceLock::new();
    ONCE.get_or_init(allocate)
}

fn allocate() -> &'static [u64] {
    const WORD: usize = size_of::<u64>();
    let memory = Vec::leak(vec![1_u64; (MEMORY + PAGE) / WORD]);
    let start = memory.as_ptr().align_offset(PAGE);
    let memory = &memory[start..start + MEMORY / WORD];
    let first = NonNull::from(memory).cast();
    // SAFETY: these are whole pages, of which the child uses nothing.
    if let Err(e) = unsafe { madvise(first, MEMORY, MmapAdvise::MADV_DONTFORK) } {
        eprintln!("workload: madvise: {e}");
    }
    memory
}

/// Reads at random, each address depending on what was read before.
fn random_reads(memory: &[u64], state: &mut u64) -> u64 {
    const READS: u64 = 100_000;
    for _ in 0..READS {
        let at = *state as usize & (MEMORY / size_of::<u64>() - 1);
        *state = next(state.wrapping_add(memory[at]));
    }
    black_box(*state);
    READS
}
