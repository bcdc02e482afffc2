// SPDX-License-Identifier: MIT OR Apache-2.0
//! What was changed on a host, kept in a file, and the way back. `/run` is
//! emptied at a boot, and so is what the file is about.

use super::plan::{Saved, Write};
use super::survey::Survey;
use super::{HostError, driver, refused};
use crate::say;
use ap_arch::Apqn;
use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use std::collections::BTreeSet;
use std::fs::{self, File, OpenOptions, TryLockError};
use std::io::Write as _;
use std::os::unix::fs::DirBuilderExt;
use std::path::Path;
use std::time::{Duration, Instant};

/// The file.
pub const STATE: &str = "/run/vfio-ap-rs/state.json";
const LOCK: &str = "/run/vfio-ap-rs/lock";
/// How long the way back may take: a queue that leaves vfio_ap is reset first.
const BACK: Duration = Duration::from_secs(60);
/// Successful rounds after which the time runs: masks, mdevs, drivers and states
/// take one each, unless somebody else keeps changing them.
const ROUNDS: u32 = 16;

/// The right to change this host, which one process has at a time. What the host
/// has is looked at only with it: another run may be about to put things back.
pub struct Turn(#[expect(dead_code, reason = "the kernel unlocks it when it is closed")] File);

impl Turn {
    /// Take it.
    pub fn take() -> Result<Self, HostError> {
        let failed = |e: std::io::Error| refused(format!("{LOCK}: {e}"));
        let mut folders = fs::DirBuilder::new();
        folders.mode(0o700).recursive(true);
        folders.create(folder()).map_err(failed)?;
        let file = File::create(LOCK).map_err(failed)?;
        match file.try_lock() {
            Ok(()) => Ok(Self(file)),
            Err(TryLockError::WouldBlock) => {
                Err(refused("another run-guest is at work on this host"))
            }
            Err(TryLockError::Error(e)) => Err(failed(e)),
        }
    }
}

/// Puts everything back when it is dropped.
pub struct Guard {
    saved: Option<Saved>,
    _turn: Turn,
}

impl Guard {
    /// Keep what the host has now.
    pub fn begin(
        turn: Turn,
        survey: &Survey,
        named: &BTreeSet<Apqn>,
        apvmm: String,
        module: bool,
    ) -> Result<Self, HostError> {
        if read()?.is_some() {
            let words = "an earlier run was killed: `run-guest --restore` undoes it";
            return Err(refused(words));
        }
        let mut saved = Saved::of(survey, named, apvmm);
        saved.module = module;
        keep(&saved).map_err(|e| refused(format!("{STATE}: {e}")))?;
        Ok(Self {
            saved: Some(saved),
            _turn: turn,
        })
    }

    /// What a run left that was killed.
    pub fn left_behind() -> Result<Self, HostError> {
        let turn = Turn::take()?;
        let Some(saved) = read()? else {
            return Err(refused("there is nothing to restore"));
        };
        end_guests(&saved.apvmm);
        Ok(Self {
            saved: Some(saved),
            _turn: turn,
        })
    }

    /// For files of the run; only root may look inside.
    pub fn folder(&self) -> &Path {
        folder()
    }

    /// Put everything back and say what could not be.
    pub fn finish(mut self) -> Result<(), String> {
        self.saved.take().map_or(Ok(()), |saved| back(&saved))
    }
}

impl Drop for Guard {
    fn drop(&mut self) {
        if let Some(saved) = self.saved.take()
            && let Err(words) = back(&saved)
        {
            say::err(format_args!("run-guest: {words}"));
        }
    }
}

fn folder() -> &'static Path {
    Path::new(STATE).parent().unwrap_or(Path::new("/run"))
}

fn read() -> Result<Option<Saved>, HostError> {
    let text = match fs::read(STATE) {
        Err(e) if e.kind() == std::io::ErrorKind::NotFound => return Ok(None),
        other => other.map_err(|e| refused(format!("{STATE}: {e}")))?,
    };
    let saved = serde_json::from_slice(&text);
    saved
        .map(Some)
        .map_err(|e| refused(format!("{STATE}: {e}")))
}

/// Write it, whole or not at all.
fn keep(saved: &Saved) -> std::io::Result<()> {
    let part = folder().join("state.part");
    fs::write(&part, serde_json::to_vec_pretty(saved)?)?;
    fs::rename(&part, STATE)
}

/// Guests of a run that was killed go on without it. They have their sockets in
/// the folder; those of a user's own do not.
fn end_guests(apvmm: &str) {
    let folder = folder().to_string_lossy();
    for entry in fs::read_dir("/proc").into_iter().flatten().flatten() {
        let words = fs::read(entry.path().join("cmdline")).unwrap_or_default();
        let words = String::from_utf8_lossy(&words);
        let ours = words.split('\0').next() == Some(apvmm) && words.contains(&*folder);
        let pid = entry.file_name().to_string_lossy().parse();
        if let (true, Ok(pid)) = (ours, pid) {
            // It may end by itself in this moment.
            let _ = kill(Pid::from_raw(pid), Signal::SIGKILL);
        }
    }
}

/// One after another; all of them, whatever becomes of each.
pub fn carry_out(writes: &[Write]) -> Result<(), String> {
    let mut failed = Vec::new();
    for Write { path, data } in writes {
        let file = OpenOptions::new().write(true).open(path);
        if let Err(e) = file.and_then(|mut f| f.write_all(data.as_bytes())) {
            failed.push(format!("writing {} to {path}: {e}", data.trim()));
        }
    }
    if failed.is_empty() {
        Ok(())
    } else {
        Err(failed.join("; "))
    }
}

/// Rounds of writes, until nothing is left to be written.
fn back(saved: &Saved) -> Result<(), String> {
    let mut end = Instant::now() + BACK;
    let mut rounds = ROUNDS;
    let others = loop {
        let now = Survey::of(Path::new("/")).map_err(|e| format!("/sys/bus/ap: {e}"))?;
        let writes = saved.undo(&now);
        if writes.is_empty() {
            break now.mdevs;
        }
        match carry_out(&writes) {
            // Each write may wait for a queue: only rounds without success count.
            Ok(()) if rounds > 0 => {
                rounds -= 1;
                end = Instant::now() + BACK;
            }
            done if Instant::now() > end => {
                let rest: Vec<String> = writes.into_iter().map(|w| w.path).collect();
                return Err(format!(
                    "this host is not as it was: {} ({}); `run-guest --restore` tries again",
                    rest.join(", "),
                    done.err().unwrap_or_default()
                ));
            }
            // A guest that was killed holds its device a moment longer.
            _ => std::thread::park_timeout(Duration::from_millis(100)),
        }
    };
    if saved.module && !others.is_empty() {
        // Without the module they would be gone.
        let names: Vec<String> = others.into_keys().collect();
        let names = names.join(", ");
        say::err(format_args!(
            "run-guest: vfio_ap stays loaded, as there is {names}"
        ));
    } else if saved.module {
        while let Err(words) = driver::unload() {
            if Instant::now() > end {
                return Err(words);
            }
            std::thread::park_timeout(Duration::from_millis(100));
        }
    }
    for entry in fs::read_dir(folder()).into_iter().flatten().flatten() {
        if entry.file_name().to_string_lossy().starts_with("kernel-") {
            // At worst it stays until the next boot.
            let _ = fs::remove_file(entry.path());
        }
    }
    fs::remove_file(STATE).map_err(|e| format!("{STATE}: {e}"))
}
