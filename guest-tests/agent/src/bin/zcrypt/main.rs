// SPDX-License-Identifier: MIT OR Apache-2.0
//! Puts RSA operations to a zcrypt device node and judges the results.
//!
//! ```text
//! zcrypt FILE [--device /dev/z90crypt] [--threads 1] [--until STOP]
//!
//!   FILE, a case a line, numbers in hexadecimal with all their digits:
//!     me  RESULT MESSAGE EXPONENT MODULUS
//!     crt RESULT MESSAGE DP DQ P Q U
//!   output, a line for each kind of outcome and how often it came:
//!     right 49
//!     wrong 1
//!     errno 19 3
//! ```
//!
//! Every case is done once, or again and again until a file STOP exists. What
//! is right, the file says: nothing is computed here.

mod case;
#[expect(dead_code, reason = "the Linux probe asks for the list of queues")]
mod ioctl;

use case::Case;
use std::collections::BTreeMap;
use std::fs::{self, File, OpenOptions};
use std::io;
use std::path::{Path, PathBuf};
use std::process::ExitCode;

/// How a case ended, and for which number of cases.
type Outcomes = BTreeMap<Outcome, usize>;

#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum Outcome {
    Right,
    Wrong,
    Refused(i32),
}

struct Options {
    cases: PathBuf,
    device: PathBuf,
    threads: usize,
    until: Option<PathBuf>,
}

fn main() -> ExitCode {
    match options().and_then(|options| run(&options)) {
        Ok(outcomes) => {
            for (outcome, count) in outcomes {
                match outcome {
                    Outcome::Right => println!("right {count}"),
                    Outcome::Wrong => println!("wrong {count}"),
                    Outcome::Refused(errno) => println!("errno {errno} {count}"),
                }
            }
            ExitCode::SUCCESS
        }
        Err(e) => {
            eprintln!("zcrypt: {e}");
            ExitCode::from(2)
        }
    }
}

fn options() -> io::Result<Options> {
    let bad = |what: &str| io::Error::new(io::ErrorKind::InvalidInput, what.to_owned());
    let mut args = std::env::args().skip(1);
    let mut options = Options {
        cases: args
            .next()
            .ok_or_else(|| bad("needs a file of cases"))?
            .into(),
        device: "/dev/z90crypt".into(),
        threads: 1,
        until: None,
    };
    while let Some(name) = args.next() {
        let value = args
            .next()
            .ok_or_else(|| bad(&format!("{name} needs a value")))?;
        match name.as_str() {
            "--device" => options.device = value.into(),
            "--threads" => options.threads = value.parse().map_err(|_| bad("no number"))?,
            "--until" => options.until = Some(value.into()),
            _ => return Err(bad(&format!("no option {name}"))),
        }
    }
    Ok(options)
}

fn run(options: &Options) -> io::Result<Outcomes> {
    let text = fs::read_to_string(&options.cases)?;
    let cases: Vec<Case> = text
        .lines()
        .map(|line| Case::parse(line).map_err(|e| io::Error::new(io::ErrorKind::InvalidData, e)))
        .collect::<io::Result<_>>()?;
    let device = OpenOptions::new()
        .read(true)
        .write(true)
        .open(&options.device)?;
    let until = options.until.as_deref();
    let share = |first: usize| {
        let own = || cases.iter().skip(first).step_by(options.threads);
        work(&device, own, until)
    };
    let mut all = Outcomes::new();
    std::thread::scope(|scope| {
        let share = &share;
        let threads: Vec<_> = (0..options.threads)
            .map(|first| scope.spawn(move || share(first)))
            .collect();
        for thread in threads {
            // A panic of ours is no outcome of the device.
            let part = thread
                .join()
                .map_err(|_| io::Error::other("a thread panicked"))?;
            for (outcome, count) in part {
                *all.entry(outcome).or_default() += count;
            }
        }
        Ok(all)
    })
}

/// One thread's cases, once or until the file is there.
fn work<'a, I>(device: &File, cases: impl Fn() -> I, until: Option<&Path>) -> Outcomes
where
    I: Iterator<Item = &'a Case>,
{
    let mut outcomes = Outcomes::new();
    loop {
        for case in cases() {
            let outcome = match case.perform(device) {
                Ok(result) if result == case.result() => Outcome::Right,
                Ok(_) => Outcome::Wrong,
                Err(errno) => Outcome::Refused(errno as i32),
            };
            *outcomes.entry(outcome).or_default() += 1;
            if until.is_some_and(Path::exists) {
                return outcomes;
            }
        }
        if until.is_none() {
            return outcomes;
        }
    }
}
