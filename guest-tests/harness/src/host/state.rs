// SPDX-License-Identifier: MIT OR Apache-2.0
//! What was changed on a host, kept in a file, and the way back. `/run` is
//! emptied at a boot, and so is what the file is about.

use super::plan::{Saved, Write};
use super::survey::Survey;
use super::{HostError, driver, refused};
use ap_arch::Apqn;
use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use std::collections::BTreeSet;
use std::fs::{self, OpenOptions};
use std::io::Write as _;
use std::os::unix::fs::DirBuilderExt;
use std::path::Path;
use std::time::{Duration, Instant};

/// The file.
pub const STATE: &str = "/run/vfio-ap-rs/state.json";
/// How long the way back may take: a queue that leaves vfio_ap is reset first.
const BACK: Duration = Duration::from_secs(60);

/// Puts everything back when it is dropped.
pub struct Guard {
    saved: Option<Saved>,
}

impl Guard {
    /// Keep what the host has now.
    pub fn begin(
        survey: &Survey,
        named: &BTreeSet<Apqn>,
        apvmm: String,
        module: bool,
    ) -> Result<Self, HostError> {
        if let Some(saved) = read()? {
            return Err(refused(match runs(saved.pid) {
                true => format!("process {} is at work on this host", saved.pid),
                false => "an earlier run was killed: `run-guest --restore` undoes it".to_owned(),
            }));
        }
        let mut saved = Saved::of(survey, named, apvmm);
        saved.module = module;
        keep(&saved).map_err(|e| refused(format!("{STATE}: {e}")))?;
        Ok(Self { saved: Some(saved) })
    }

    /// What a run left that was killed.
    pub fn left_behind() -> Result<Self, HostError> {
        let Some(saved) = read()? else {
            return Err(refused("there is nothing to restore"));
        };
        if runs(saved.pid) {
            let words = format!("process {} is at work: end it by SIGTERM", saved.pid);
            return Err(refused(words));
        }
        end_guests(&saved.apvmm);
        Ok(Self { saved: Some(saved) })
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
            eprintln!("run-guest: {words}");
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

/// Write it, whole or not at all, and only where there is none.
fn keep(saved: &Saved) -> std::io::Result<()> {
    let folder = folder();
    fs::DirBuilder::new()
        .mode(0o700)
        .recursive(true)
        .create(folder)?;
    let part = folder.join(format!("state.{}", saved.pid));
    fs::write(&part, serde_json::to_vec_pretty(saved)?)?;
    // Two that begin at once: the second finds it there.
    let linked = fs::hard_link(&part, STATE);
    fs::remove_file(&part)?;
    linked
}

fn runs(pid: u32) -> bool {
    kill(Pid::from_raw(pid.cast_signed()), None).is_ok()
}

/// Guests of a run that was killed go on without it.
fn end_guests(apvmm: &str) {
    for entry in fs::read_dir("/proc").into_iter().flatten().flatten() {
        let exe = fs::read_link(entry.path().join("exe"));
        let pid = entry.file_name().to_string_lossy().parse();
        if let (Ok(exe), Ok(pid)) = (exe, pid)
            && exe == Path::new(apvmm)
        {
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
    let end = Instant::now() + BACK;
    loop {
        let now = Survey::of(Path::new("/")).map_err(|e| format!("/sys/bus/ap: {e}"))?;
        let writes = saved.undo(&now);
        if writes.is_empty() {
            break;
        }
        let done = carry_out(&writes);
        if Instant::now() > end {
            let rest: Vec<String> = writes.into_iter().map(|w| w.path).collect();
            return Err(format!(
                "this host is not as it was: {} ({}); `run-guest --restore` tries again",
                rest.join(", "),
                done.err().unwrap_or_default()
            ));
        }
        if done.is_err() {
            // A guest that was killed holds its device a moment longer.
            std::thread::park_timeout(Duration::from_millis(100));
        }
    }
    if saved.module {
        while let Err(words) = driver::unload() {
            if Instant::now() > end {
                return Err(words);
            }
            std::thread::park_timeout(Duration::from_millis(100));
        }
    }
    fs::remove_file(STATE).map_err(|e| format!("{STATE}: {e}"))
}
