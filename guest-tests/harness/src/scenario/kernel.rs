// SPDX-License-Identifier: MIT OR Apache-2.0
//! The kernels that guests run: one of a user's own comes with the modules by
//! which it serves AP queues, if it has them as modules.
//!
//! They are looked for where an installed system, an unpacked package or a
//! built source tree has them, by the release that the image tells:
//!
//! ```text
//! DIR/boot/vmlinuz-RELEASE              DIR/lib/modules/RELEASE, DIR/usr/lib/modules/RELEASE
//! DIR/lib/modules/RELEASE/vmlinuz       the same folder
//! DIR/arch/s390/boot/bzImage            DIR, with include/config/kernel.release
//! ```
//!
//! Source: Linux `arch/s390/include/asm/setup.h` (`struct parmarea`),
//! `arch/s390/boot/version.c`.

use super::file::Scenario;
use super::stage::Stage;
use super::value::Kind;
use super::vmm::{Kernel, ram_disk};
use crate::error::Error;
use l1_protocol::Exit;
use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

/// The driver of the queues; it needs the others.
const DRIVER: &str = "zcrypt_cex4";
/// Where the Linux probe looks for modules.
const FOLDER: &str = "modules";
/// Until a few MiB are copied in L1.
const LIMIT: Duration = Duration::from_secs(60);

/// What the guests of a scenario run, and what there is to say of it.
pub struct Kernels {
    /// By guest.
    pub by_guest: BTreeMap<String, Kernel>,
    /// For the user.
    pub notes: Vec<String>,
}

/// Kernels of the guests; a file of the build machine is brought into L1.
///
/// # Errors
/// When such a file cannot be read, or the machine fails.
pub fn kernels(stage: &mut Stage<'_>, scenario: &Scenario) -> Result<Kernels, Error> {
    let mut brought = BTreeMap::new();
    let mut kernels = Kernels {
        by_guest: BTreeMap::new(),
        notes: Vec::new(),
    };
    for guest in &scenario.guests {
        let kernel = match guest.kind.as_ref() {
            Kind::Probe => Kernel::Probe,
            Kind::Linux => Kernel::Linux,
            Kind::File(file) => match brought.get(file) {
                Some(kernel) => Kernel::clone(kernel),
                None => {
                    let (kernel, note) = bring(stage, file, brought.len())?;
                    kernels.notes.push(note);
                    brought.insert(file, kernel.clone());
                    kernel
                }
            },
        };
        kernels.by_guest.insert(guest.id.to_string(), kernel);
    }
    Ok(kernels)
}

fn bring(stage: &mut Stage<'_>, file: &Path, number: usize) -> Result<(Kernel, String), Error> {
    let image = fs::read(file).map_err(Error::host(file.display().to_string()))?;
    let probe = ram_disk(&stage.machine.folders);
    let path = format!("{}/kernel-{number}", stage.machine.folders.scratch);
    stage.machine.write_file(&path, 0o644, &image)?;
    let name = file.display();
    let Some(release) = release(&image) else {
        let note = format!("{name} tells no release of Linux: no modules are looked for");
        let ram_disk = probe;
        return Ok((Kernel::File { path, ram_disk }, note));
    };
    let modules = match modules_folder(file, &release) {
        Some(folder) => needed(&folder, DRIVER)?,
        None => Vec::new(),
    };
    let names: Vec<&str> = modules.iter().map(|(name, _)| name.as_str()).collect();
    let note = match names[..] {
        [] => format!("{name}: Linux {release}; no module {DRIVER} beside it"),
        _ => format!("{name}: Linux {release}, with {}", names.join(", ")),
    };
    let ram_disk = if modules.is_empty() {
        probe
    } else {
        // An archive that is not compressed comes first, as it is aligned.
        let (own, both) = (format!("{path}-modules"), format!("{path}-ram-disk"));
        stage.machine.write_file(&own, 0o644, &archive(&modules))?;
        let line = "cat \"$1\" \"$2\" >\"$3\" && rm \"$1\"";
        let done = stage.run(&["sh", "-c", line, "sh", &own, &probe, &both], LIMIT)?;
        if done.exit != Exit::Status(0) {
            return Err(Error::Transfer(format!("{both}: {}", done.stderr)));
        }
        both
    };
    Ok((Kernel::File { path, ram_disk }, note))
}

/// The release that an image tells: a bzImage has a pointer to it, the
/// decompressed kernel has it in its banner.
fn release(image: &[u8]) -> Option<String> {
    const MAGIC: usize = 0x1_0008;
    const VERSION: usize = 0x1_0428;
    const BANNER: &[u8] = b"Linux version ";
    let text = if image.get(MAGIC..MAGIC + 6) == Some(b"S390EP") {
        let pointer = image.get(VERSION..VERSION + 8)?.try_into().ok()?;
        image.get(usize::try_from(u64::from_be_bytes(pointer)).ok()?..)?
    } else {
        let at = image.windows(BANNER.len()).position(|w| w == BANNER)?;
        &image[at + BANNER.len()..]
    };
    let end = text.iter().position(|c| *c == b' ')?;
    let release = std::str::from_utf8(&text[..end]).ok()?;
    let plain = |c: char| c.is_ascii_alphanumeric() || "._+~-".contains(c);
    (release.starts_with(|c: char| c.is_ascii_digit()) && release.chars().all(plain))
        .then(|| release.to_owned())
}

/// Where the modules of a kernel are.
fn modules_folder(kernel: &Path, release: &str) -> Option<PathBuf> {
    let kernel = kernel.canonicalize().ok()?;
    let is_tree = |folder: &Path| {
        fs::read_to_string(folder.join("include/config/kernel.release"))
            .is_ok_and(|text| text.trim() == release)
    };
    kernel.ancestors().skip(1).find_map(|folder| {
        if folder.ends_with(release) || is_tree(folder) {
            return Some(folder.to_owned());
        }
        let installed = ["lib/modules", "usr/lib/modules"];
        let mut installed = installed
            .map(|under| folder.join(under).join(release))
            .into_iter();
        installed.find(|folder| folder.is_dir())
    })
}

/// A module and those it needs, in the order of their loading: names and
/// contents. None, if there is no such module.
fn needed(folder: &Path, name: &str) -> Result<Vec<(String, Vec<u8>)>, Error> {
    let mut files = BTreeMap::new();
    list(folder, &mut files);
    let mut all = Vec::new();
    if files.contains_key(name) {
        load(&files, name, &mut all)?;
    }
    Ok(all)
}

fn load(
    files: &BTreeMap<String, PathBuf>,
    name: &str,
    all: &mut Vec<(String, Vec<u8>)>,
) -> Result<(), Error> {
    // What is not there is built in, or the guest's kernel will tell.
    let (false, Some(file)) = (all.iter().any(|(n, _)| n == name), files.get(name)) else {
        return Ok(());
    };
    let module = content(file)?;
    for other in depends(&module) {
        load(files, &other, all)?;
    }
    all.push((name.to_owned(), module));
    Ok(())
}

/// All modules under a folder, by name.
fn list(folder: &Path, files: &mut BTreeMap<String, PathBuf>) {
    for entry in fs::read_dir(folder).into_iter().flatten().flatten() {
        let path = entry.path();
        let name = entry.file_name().to_string_lossy().into_owned();
        if entry.file_type().is_ok_and(|kind| kind.is_dir()) {
            list(&path, files);
        } else if let Some((name, "" | ".xz" | ".gz" | ".zst")) = name.split_once(".ko") {
            files.insert(name.replace('-', "_"), path);
        }
    }
}

/// A module, decompressed.
fn content(file: &Path) -> Result<Vec<u8>, Error> {
    let name = || file.display().to_string();
    let tool = match file.extension().and_then(|e| e.to_str()) {
        Some("xz") => "xz",
        Some("gz") => "gzip",
        Some("zst") => "zstd",
        _ => return fs::read(file).map_err(Error::host(name())),
    };
    let output = Command::new(tool).arg("-dc").arg(file).output();
    let output = output.map_err(Error::host(format!("{tool} -dc {}", name())))?;
    if output.status.success() {
        return Ok(output.stdout);
    }
    let words = String::from_utf8_lossy(&output.stderr).into_owned();
    Err(Error::Transfer(format!("{tool} -dc {}: {words}", name())))
}

/// The modules that one needs, from its `.modinfo`: variables, a NUL behind each.
pub(crate) fn depends(module: &[u8]) -> Vec<String> {
    const KEY: &[u8] = b"\0depends=";
    let at = module.windows(KEY.len()).position(|w| w == KEY);
    let value = at.map_or(&[][..], |at| &module[at + KEY.len()..]);
    let value = value.split(|c| *c == 0).next().unwrap_or_default();
    let names = String::from_utf8_lossy(value);
    let names = names.split(',').filter(|n| !n.is_empty());
    names.map(|n| n.replace('-', "_")).collect()
}

/// A RAM disk's archive with modules, named so that they sort as they load.
///
/// Source: Linux `Documentation/driver-api/early-userspace/buffer-format.rst`.
fn archive(modules: &[(String, Vec<u8>)]) -> Vec<u8> {
    const DIRECTORY: u32 = 0o40_755;
    const FILE: u32 = 0o100_644;
    let mut all = Vec::new();
    let mut add = |name: &str, mode: u32, content: &[u8]| {
        let (size, length) = (content.len(), name.len() + 1);
        let links = 1;
        let head = [
            0,
            mode as usize,
            0,
            0,
            links,
            0,
            size,
            0,
            0,
            0,
            0,
            length,
            0,
        ];
        all.extend_from_slice(b"070701");
        all.extend(
            head.iter()
                .flat_map(|field| format!("{field:08x}").into_bytes()),
        );
        all.extend_from_slice(name.as_bytes());
        all.push(0);
        all.resize(all.len().next_multiple_of(4), 0);
        all.extend_from_slice(content);
        all.resize(all.len().next_multiple_of(4), 0);
    };
    add(FOLDER, DIRECTORY, &[]);
    for (number, (name, content)) in modules.iter().enumerate() {
        add(&format!("{FOLDER}/{number:02}-{name}.ko"), FILE, content);
    }
    add("TRAILER!!!", 0, &[]);
    all
}

#[cfg(test)]
mod tests {
    use super::*;

    fn module(needs: &str) -> Vec<u8> {
        format!("\x7fELF\0license=GPL\0depends={needs}\0name=x\0").into_bytes()
    }

    #[test]
    fn a_release_is_told_by_the_image() {
        let mut image = vec![0; 0x1_0500];
        image[0x1_0008..0x1_000e].copy_from_slice(b"S390EP");
        image[0x1_0428..0x1_0430].copy_from_slice(&0x1_0480_u64.to_be_bytes());
        assert_eq!(release(&image), None);
        let version = b"6.12.1+deb13-s390x (builder@host) #1\0";
        image[0x1_0480..0x1_0480 + version.len()].copy_from_slice(version);
        assert_eq!(release(&image).as_deref(), Some("6.12.1+deb13-s390x"));
        image[0x1_0428] = 0xff;
        assert_eq!(release(&image), None);
        let elf = b"\x7fELF...\0Linux version 7.2.1 (builder@host)";
        assert_eq!(release(elf).as_deref(), Some("7.2.1"));
        assert_eq!(release(b"Linux version ../../etc (x)"), None);
        assert_eq!(release(b"\x7fELF"), None);
    }

    #[test]
    fn modules_are_found_as_systems_packages_and_trees_have_them() {
        let top = tempfile::tempdir().unwrap();
        let top = top.path().canonicalize().unwrap();
        let kernel = |path: &str| {
            let file = top.join(path);
            fs::create_dir_all(file.parent().unwrap()).unwrap();
            fs::write(&file, "").unwrap();
            file
        };
        let installed = kernel("system/boot/vmlinuz-7.2.1");
        let folder = top.join("system/usr/lib/modules/7.2.1");
        assert_eq!(modules_folder(&installed, "7.2.1"), None);
        fs::create_dir_all(&folder).unwrap();
        assert_eq!(modules_folder(&installed, "7.2.1"), Some(folder));
        assert_eq!(modules_folder(&installed, "7.2.2"), None);
        let beside = kernel("system/lib/modules/7.2.3/vmlinuz");
        let folder = top.join("system/lib/modules/7.2.3");
        assert_eq!(modules_folder(&beside, "7.2.3"), Some(folder));
        let built = kernel("tree/arch/s390/boot/bzImage");
        kernel("tree/include/config/kernel.release");
        assert_eq!(modules_folder(&built, "7.2.4"), None);
        fs::write(top.join("tree/include/config/kernel.release"), "7.2.4\n").unwrap();
        assert_eq!(modules_folder(&built, "7.2.4"), Some(top.join("tree")));
    }

    #[test]
    fn what_a_module_needs_is_loaded_before_it() {
        let top = tempfile::tempdir().unwrap();
        let put = |name: &str, needs: &str| {
            let file = top.path().join("kernel/crypto").join(name);
            fs::create_dir_all(file.parent().unwrap()).unwrap();
            fs::write(file, module(needs)).unwrap();
        };
        assert_eq!(needed(top.path(), "zcrypt_cex4").unwrap(), []);
        put("zcrypt_cex4.ko", "zcrypt,built_in");
        put("zcrypt.ko", "rng-core");
        put("rng-core.ko", "");
        put("other.ko", "");
        let all = needed(top.path(), "zcrypt_cex4").unwrap();
        let names: Vec<&str> = all.iter().map(|(name, _)| name.as_str()).collect();
        assert_eq!(names, ["rng_core", "zcrypt", "zcrypt_cex4"]);

        put("zcrypt.ko.xz", "");
        fs::remove_file(top.path().join("kernel/crypto/zcrypt.ko")).unwrap();
        let error = needed(top.path(), "zcrypt_cex4").unwrap_err().to_string();
        assert!(error.contains("zcrypt.ko.xz"), "{error}");
    }

    #[test]
    fn an_archive_is_what_cpio_takes() {
        let modules = [("a".to_owned(), b"12345".to_vec())];
        let all = archive(&modules);
        assert!(all.len().is_multiple_of(4));
        assert_eq!(&all[..6], b"070701");
        // name and content each end at a word
        let name = 110 + "modules".len() + 1 + 2;
        assert_eq!(&all[name..name + 6], b"070701");
        assert_eq!(&all[name + 6 * 8 + 6..name + 7 * 8 + 6], b"00000005");
        let name = all.windows(8).position(|w| w == b"00-a.ko\0").unwrap();
        assert_eq!(&all[name + 8..name + 15], b"\0\x0012345");
        assert!(all.ends_with(b"TRAILER!!!\0\0\0\0"));
    }
}
