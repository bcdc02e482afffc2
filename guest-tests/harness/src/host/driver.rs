// SPDX-License-Identifier: MIT OR Apache-2.0
//! Which vfio_ap a host gets: ours where it fits the running kernel, else the
//! kernel's own.

use crate::scenario::depends;
use std::fs::{self, File};
use std::io::{BufRead, BufReader};
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::Command;

/// What decides.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Facts {
    /// The running kernel's release.
    release: String,
    /// Whether a vfio_ap is loaded, and whether that one is ours.
    loaded: Option<bool>,
    /// Whether the kernel can load modules in Rust.
    rust: bool,
    /// Releases there is a module of ours for.
    modules: Vec<String>,
}

/// What is done.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Choice {
    /// The one that is loaded, ours or the kernel's.
    Loaded(bool),
    /// Ours.
    Ours,
    /// The kernel's.
    Kernels,
}

/// The driver that serves.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Driver {
    /// Whether it is ours.
    pub rust: bool,
    /// Whether it was not there before.
    pub loaded: bool,
}

/// What will be loaded, and why, for a user.
#[derive(Debug)]
pub struct Chosen {
    choice: Choice,
    module: PathBuf,
    /// Why it is not the one that was wanted, if so.
    pub words: Option<String>,
}

impl Choice {
    fn of(facts: &Facts, wants_rust: bool) -> (Self, Option<String>) {
        let release = &facts.release;
        if let Some(ours) = facts.loaded {
            let name = if ours { "Rust" } else { "C" };
            let words = format!("a vfio_ap is loaded already, the {name} driver: it is used");
            return (Self::Loaded(ours), Some(words));
        }
        let words = match (facts.rust, facts.modules.contains(release)) {
            _ if !wants_rust => return (Self::Kernels, None),
            (true, true) => return (Self::Ours, None),
            (false, _) => {
                format!("the running kernel, {release}, is built without Rust (CONFIG_RUST)")
            }
            (true, false) => format!(
                "there is no module for the running kernel, {release}, only for {}",
                facts.modules.join(", ")
            ),
        };
        let words = format!("{words}: the C driver (modprobe vfio_ap) is used");
        (Self::Kernels, Some(words))
    }
}

impl Facts {
    fn read(modules: &Path) -> std::io::Result<Self> {
        let release = fs::read_to_string("/proc/sys/kernel/osrelease")?;
        let (mut rust, mut ours) = (false, false);
        for line in BufReader::new(File::open("/proc/kallsyms")?).lines() {
            let line = line?;
            // C functions that the kernel has for its Rust code, and a mangled
            // name of Rust in the module.
            rust |= line.contains(" rust_helper_");
            ours |= line.ends_with("[vfio_ap]") && line.contains(" _R");
        }
        let folders = fs::read_dir(modules).into_iter().flatten().flatten();
        let mut modules: Vec<String> = folders
            .map(|e| e.file_name().to_string_lossy().into_owned())
            .collect();
        modules.sort();
        Ok(Self {
            release: release.trim().to_owned(),
            loaded: Path::new("/sys/module/vfio_ap").exists().then_some(ours),
            rust,
            modules,
        })
    }
}

impl Chosen {
    /// Look at the running kernel; `modules` has a folder for each release.
    ///
    /// # Errors
    /// When it tells nothing.
    pub fn new(modules: &Path, wants_rust: bool) -> std::io::Result<Self> {
        let facts = Facts::read(modules)?;
        let (choice, words) = Choice::of(&facts, wants_rust);
        Ok(Self {
            choice,
            module: modules.join(&facts.release).join("vfio_ap.ko"),
            words,
        })
    }

    /// Whether a driver will have to be loaded.
    pub fn loads(&self) -> bool {
        !matches!(self.choice, Choice::Loaded(_))
    }

    /// Load it. One of ours that the kernel does not take is no error: its own
    /// is used then, and why is told.
    ///
    /// # Errors
    /// The kernel's refusal, in words.
    pub fn load(&self, note: impl Fn(&str)) -> Result<Driver, String> {
        if let Choice::Loaded(rust) = self.choice {
            return Ok(Driver {
                rust,
                loaded: false,
            });
        }
        if self.choice == Choice::Ours {
            match insert(&self.module) {
                Ok(()) => {
                    return Ok(Driver {
                        rust: true,
                        loaded: true,
                    });
                }
                Err(why) => note(&format!(
                    "{}: {why}: the C driver (modprobe vfio_ap) is used",
                    self.module.display()
                )),
            }
        }
        modprobe("vfio_ap")?;
        Ok(Driver {
            rust: false,
            loaded: true,
        })
    }
}

fn modprobe(name: &str) -> Result<(), String> {
    // Ctrl-C is for run-guest, which ends in order.
    let output = Command::new("modprobe").arg(name).process_group(0).output();
    let output = output.map_err(|e| format!("modprobe: {e}"))?;
    if output.status.success() {
        return Ok(());
    }
    let words = String::from_utf8_lossy(&output.stderr);
    Err(format!("modprobe {name}: {}", words.trim()))
}

/// Load a module file, after the modules that it needs.
fn insert(file: &Path) -> Result<(), String> {
    let content = fs::read(file).map_err(|e| e.to_string())?;
    for name in depends(&content) {
        modprobe(&name)?;
    }
    nix::kmod::init_module(&content, c"").map_err(|e| e.to_string())
}

/// Remove the module.
///
/// # Errors
/// The kernel's refusal.
pub fn unload() -> Result<(), String> {
    use nix::kmod::{DeleteModuleFlags, delete_module};
    match delete_module(c"vfio_ap", DeleteModuleFlags::O_NONBLOCK) {
        Ok(()) | Err(nix::errno::Errno::ENOENT) => Ok(()),
        Err(e) => Err(format!("rmmod vfio_ap: {e}")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_driver_fits_the_kernel() {
        let facts = Facts {
            release: "7.2.13-ours".to_owned(),
            loaded: None,
            rust: true,
            modules: vec!["7.2.13-ours".to_owned()],
        };
        assert_eq!(Choice::of(&facts, true), (Choice::Ours, None));
        assert_eq!(Choice::of(&facts, false), (Choice::Kernels, None));
        let words = |facts: &Facts| {
            let (choice, words) = Choice::of(facts, true);
            (choice, words.unwrap())
        };
        let other = Facts {
            release: "6.12".to_owned(),
            ..facts.clone()
        };
        let (choice, why) = words(&other);
        assert_eq!(choice, Choice::Kernels);
        assert!(
            why.contains("no module for the running kernel, 6.12"),
            "{why}"
        );
        let old = Facts {
            rust: false,
            ..other
        };
        let (choice, why) = words(&old);
        assert_eq!(choice, Choice::Kernels);
        assert!(why.contains("6.12, is built without Rust"), "{why}");
        let loaded = Facts {
            loaded: Some(false),
            ..facts
        };
        assert_eq!(words(&loaded).0, Choice::Loaded(false));
    }
}
