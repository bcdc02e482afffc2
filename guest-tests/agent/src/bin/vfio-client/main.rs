// SPDX-License-Identifier: MIT OR Apache-2.0
//! Uses AP matrix devices in L1 as a test tells it to, one request a line of
//! standard input, one line of answer each: `ok`, what was asked for, or the
//! name of the error. A device that it opens gets a virtual machine without
//! CPUs, so that the driver writes masks which no guest has to look at.
//!
//! | request                                          | answer                |
//! |--------------------------------------------------|-----------------------|
//! | `open SLOT group\|cdev PATH [alone]`              | `ok`; `alone`: without a machine |
//! | `close SLOT`                                     | `ok`                  |
//! | `info SLOT ARGSZ`                                | `argsz flags regions irqs` |
//! | `irq-info SLOT ARGSZ INDEX`                      | `argsz flags index count` |
//! | `set-irqs SLOT ARGSZ FLAGS INDEX START COUNT [DATA]` | `ok`; DATA: `request`, `change` or a number |
//! | `reset SLOT`                                     | `ok`                  |
//! | `ioctl SLOT NUMBER`                              | `ok`; a VFIO request of a number, without an argument |
//! | `stall SLOT`                                     | `ok`; a VFIO request waits for memory that its argument is in |
//! | `resume`                                         | what that request ends with, now that the memory is there |
//! | `signals`                                        | how often `request` and `change` were signalled since the last time |
//! | `masks`                                          | masks that KVM was given since the last time |
//! | `watch PATH`                                     | `ok`; a file of sysfs to poll |
//! | `poll MILLISECONDS`                              | `changed` if sysfs says so of that file in this time, else `same` |
//! | `listen`                                         | `ok`; to uevents, from now on |
//! | `uevents NAME`                                   | those since the last time that have a variable of that name |
//! | `time COUNT FOLDER FILE=TEXT...`                 | of each of COUNT writes, these in turn: nanoseconds `elapsed:cpu`, and `!` if refused |

mod stall;
mod sys;

use nix::errno::Errno;
use nix::sys::eventfd::{EfdFlags, EventFd};
use stall::Stalled;
use std::collections::HashMap;
use std::fmt::Write as _;
use std::fs::{self, File};
use std::io::{self, Read as _, Seek as _, Write as _};
use std::os::fd::{AsFd, AsRawFd, OwnedFd};
use std::path::Path;
use std::time::Instant;
use sys::{Device, Machine, vfio};

/// What a request that is not understood is answered.
const WHAT: &str = "what?";

struct Client {
    machine: Machine,
    devices: HashMap<String, Device>,
    request: EventFd,
    change: EventFd,
    watched: Option<File>,
    uevents: Option<OwnedFd>,
    stalled: Option<Stalled>,
    /// Masks that were told already.
    told: usize,
}

fn main() -> Result<(), Errno> {
    let eventfd = || EventFd::from_flags(EfdFlags::EFD_NONBLOCK);
    let mut client = Client {
        machine: Machine::new()?,
        devices: HashMap::new(),
        request: eventfd()?,
        change: eventfd()?,
        watched: None,
        uevents: None,
        stalled: None,
        told: 0,
    };
    for line in io::stdin().lines().map_while(Result::ok) {
        let words: Vec<&str> = line.split_whitespace().collect();
        let answer = match client.serve(&words) {
            Ok(answer) => answer,
            Err(errno) => format!("{errno:?}"),
        };
        println!("{answer}");
        // the harness waits for it; if that is gone, so is our input
        let _ = io::stdout().flush();
    }
    Ok(())
}

impl Client {
    fn serve(&mut self, words: &[&str]) -> Result<String, Errno> {
        let ok = |()| "ok".to_owned();
        match *words {
            ["open", slot, way, path, ref rest @ ..] => {
                let alone = rest == ["alone"];
                self.open(slot, way, path, alone).map(ok)
            }
            ["close", slot] => {
                let device = self.devices.remove(slot).ok_or(Errno::EBADF)?;
                self.machine.forget(&device);
                Ok(ok(()))
            }
            ["info", slot, argsz] => self.ask(slot, vfio(7), &[number(argsz)?, 0, 0, 0]),
            ["irq-info", slot, argsz, index] => {
                self.ask(slot, vfio(9), &[number(argsz)?, 0, number(index)?, 0])
            }
            ["set-irqs", slot, ref words @ ..] => {
                let words = words.iter().map(|word| self.word(word));
                let words: Vec<u32> = words.collect::<Result<_, _>>()?;
                self.ask(slot, vfio(10), &words).map(|_| ok(()))
            }
            ["reset", slot] => self.ask(slot, vfio(11), &[0]).map(|_| ok(())),
            ["ioctl", slot, request] => {
                let device = self.devices.get(slot).ok_or(Errno::EBADF)?;
                sys::call_nowhere(&device.file, vfio(number(request)?))?;
                Ok(ok(()))
            }
            ["stall", slot] => {
                let device = self.devices.get(slot).ok_or(Errno::EBADF)?;
                self.stalled = Some(Stalled::new(&device.file)?);
                Ok(ok(()))
            }
            ["resume"] => {
                let stalled = self.stalled.take().ok_or(Errno::EBADF)?;
                stalled.resume().map(|_| ok(()))
            }
            ["signals"] => Ok(format!(
                "request {} change {}",
                count(&self.request),
                count(&self.change)
            )),
            ["masks"] => self.masks(),
            ["watch", path] => {
                let file = File::open(path).map_err(errno)?;
                self.watched = Some(read_on(file)?);
                Ok(ok(()))
            }
            ["poll", limit] => self.poll(number(limit)?),
            ["listen"] => {
                self.uevents = Some(sys::uevents()?);
                Ok(ok(()))
            }
            ["uevents", name] => Ok(self.uevents(name)),
            ["time", rounds, folder, ref writes @ ..] if !writes.is_empty() => {
                time(number(rounds)?, folder, writes)
            }
            _ => Ok(WHAT.to_owned()),
        }
    }

    fn open(&mut self, slot: &str, way: &str, path: &str, alone: bool) -> Result<(), Errno> {
        let path = Path::new(path);
        let name = |path: &Path| {
            let name = path.file_name().and_then(|name| name.to_str());
            name.map(str::to_owned).ok_or(Errno::ENOENT)
        };
        let machine = (!alone).then_some(&self.machine);
        let device = if way == "cdev" {
            let mut nodes = fs::read_dir(path.join("vfio-dev")).map_err(|_| Errno::ENOENT)?;
            let node = nodes.next().and_then(Result::ok).ok_or(Errno::ENOENT)?;
            Device::by_cdev(&name(&node.path())?, machine)?
        } else {
            let group = fs::read_link(path.join("iommu_group")).map_err(|_| Errno::ENOENT)?;
            Device::by_group(&name(&group)?, &name(path)?, machine)?
        };
        self.devices.insert(slot.to_owned(), device);
        Ok(())
    }

    /// Whether sysfs tells of a change of the watched file.
    fn poll(&mut self, limit: u32) -> Result<String, Errno> {
        let file = self.watched.take().ok_or(Errno::EBADF)?;
        let changed = sys::poll_sysfs(&file, limit)?;
        self.watched = Some(read_on(file)?);
        Ok(if changed { "changed" } else { "same" }.to_owned())
    }

    fn uevents(&self, name: &str) -> String {
        let mut all = Vec::new();
        while let Some(event) = self.uevents.as_ref().and_then(sys::receive) {
            let mut words = event.split(|&byte| byte == 0).map(String::from_utf8_lossy);
            let what = words.next().unwrap_or_default().into_owned();
            let named = words.find(|word| word.split('=').next() == Some(name));
            all.extend(named.map(|word| format!("{what} {word}")));
        }
        if all.is_empty() {
            return "none".to_owned();
        }
        all.join("; ")
    }

    /// Makes a request with words, and tells them as they are afterwards.
    fn ask(&self, slot: &str, request: u32, words: &[u32]) -> Result<String, Errno> {
        let device = self.devices.get(slot).ok_or(Errno::EBADF)?;
        let mut words = words.to_vec();
        sys::call_words(&device.file, request, &mut words)?;
        let words: Vec<String> = words.iter().map(u32::to_string).collect();
        Ok(words.join(" "))
    }

    fn word(&self, word: &str) -> Result<u32, Errno> {
        match word {
            "request" => Ok(self.request.as_raw_fd().cast_unsigned()),
            "change" => Ok(self.change.as_raw_fd().cast_unsigned()),
            _ => number(word),
        }
    }

    /// What KVM logs of every machine: masks that were set, and cleared.
    fn masks(&mut self) -> Result<String, Errno> {
        let log = format!(
            "/sys/kernel/debug/s390dbf/kvm-{}/sprintf",
            std::process::id()
        );
        let text = fs::read_to_string(log).map_err(|_| Errno::ENOENT)?;
        let mut all: Vec<String> = Vec::new();
        for line in text.lines() {
            if line.contains("CLR CRYCB") {
                all.push("cleared".to_owned());
            }
            let Some((_, mask)) = line.split_once("SET CRYCB: ") else {
                continue;
            };
            let (kind, digits) = mask.split_at(3);
            let digits: String = digits.split_whitespace().collect();
            let short = match digits.trim_end_matches("00") {
                "" => "0x00".to_owned(),
                digits => format!("0x{digits}"),
            };
            match all.last_mut() {
                Some(last) if kind != "apm" => {
                    last.push(',');
                    last.push_str(&short);
                }
                _ => all.push(short),
            }
        }
        let new = all.get(self.told..).unwrap_or_default().join("; ");
        self.told = all.len();
        Ok(if new.is_empty() { "none".into() } else { new })
    }
}

/// A number, `-1` among them.
fn number(word: &str) -> Result<u32, Errno> {
    let parsed = match word.strip_prefix("0x") {
        Some(digits) => u32::from_str_radix(digits, 16).ok(),
        None => word.parse::<i64>().ok().map(|n| n as u32),
    };
    parsed.ok_or(Errno::EINVAL)
}

/// How often it was signalled since the last time.
fn count(eventfd: &EventFd) -> u64 {
    let mut bytes = [0; 8];
    match nix::unistd::read(eventfd.as_fd(), &mut bytes) {
        Ok(8) => u64::from_ne_bytes(bytes),
        _ => 0,
    }
}

fn errno(error: io::Error) -> Errno {
    Errno::from_raw(error.raw_os_error().unwrap_or(0))
}

/// Reads a file from its beginning: what changes after that, poll tells.
fn read_on(mut file: File) -> Result<File, Errno> {
    file.rewind().map_err(errno)?;
    file.read_to_end(&mut Vec::new()).map_err(errno)?;
    Ok(file)
}

fn time(rounds: u32, folder: &str, writes: &[&str]) -> Result<String, Errno> {
    let mut answer = String::new();
    let mut files = Vec::new();
    for write in writes {
        let (file, text) = write.split_once('=').ok_or(Errno::EINVAL)?;
        let file = File::options()
            .write(true)
            .open(Path::new(folder).join(file));
        files.push((file.map_err(errno)?, text));
    }
    for round in 0..rounds as usize {
        let step = round % files.len();
        let (file, text) = &mut files[step];
        let (begin, cpu) = (Instant::now(), sys::cpu_time());
        let refused = if file.write(text.as_bytes()).is_err() {
            "!"
        } else {
            ""
        };
        let (elapsed, cpu) = (begin.elapsed().as_nanos(), sys::cpu_time() - cpu);
        // writing to a string cannot fail
        let _ = write!(answer, "{elapsed}:{cpu}{refused} ");
    }
    Ok(answer)
}
