// SPDX-License-Identifier: MIT OR Apache-2.0
//! What the set-up says and leaves behind when something is in its way. Each
//! test runs the scripts in a tree and with a cache of its own.

use harness::config::project_root;
use nix::sys::signal::{Signal, killpg};
use nix::unistd::Pid;
use std::fs;
use std::os::unix::fs::{PermissionsExt, symlink};
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};
use std::time::{Duration, Instant};

/// A copy of what the scripts need, and an empty cache.
struct Tree {
    dir: tempfile::TempDir,
}

impl Tree {
    fn new() -> Self {
        let dir = tempfile::tempdir().unwrap();
        let copied = Command::new("cp")
            .arg("-r")
            .args(["scripts", "versions.mk"].map(|name| project_root().join(name)))
            .arg(dir.path())
            .status()
            .unwrap();
        assert!(copied.success());
        fs::create_dir_all(dir.path().join("cache/downloads")).unwrap();
        // One that was built once is believed to need little room.
        fs::create_dir(dir.path().join("target")).unwrap();
        fs::write(dir.path().join("target/.complete"), "").unwrap();
        Self { dir }
    }

    fn path(&self, name: &str) -> PathBuf {
        self.dir.path().join(name)
    }

    /// `scripts/steps.sh` with these steps.
    fn steps(&self, steps: &[&str]) -> Command {
        // Whoever runs us may ignore Ctrl-C, and children inherit that.
        let mut command = self.command("env");
        command
            .args(["--default-signal=INT", "bash", "scripts/steps.sh"])
            .args(steps);
        command
    }

    /// A program in this tree, with its cache.
    fn command(&self, program: &str) -> Command {
        let mut command = Command::new(program);
        command
            .current_dir(self.dir.path())
            .env("VFIO_AP_RS_CACHE", self.path("cache"))
            .env_remove("CACHE_LOCKED")
            .env_remove("LINUX")
            .env_remove("QEMU")
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped());
        command
    }

    /// An executable script that programs find before the system's.
    fn fake(&self, name: &str, script: &str) -> String {
        let bin = self.path("bin");
        fs::create_dir_all(&bin).unwrap();
        fs::write(bin.join(name), script).unwrap();
        fs::set_permissions(bin.join(name), fs::Permissions::from_mode(0o755)).unwrap();
        format!("{}:{}", bin.display(), std::env::var("PATH").unwrap())
    }
}

fn said(output: &Output) -> String {
    String::from_utf8_lossy(&output.stderr).into_owned()
}

/// Root's rights over mounts, of our own where we have none.
fn mounts_allowed() -> bool {
    let status = Command::new("unshare").args(["-rm", "true"]).status();
    let allowed = status.is_ok_and(|s| s.success());
    if !allowed {
        println!("skipped: no user namespaces here");
    }
    allowed
}

#[test]
fn a_damaged_download_is_named_and_not_used() {
    let tree = Tree::new();
    let version = fs::read_to_string(tree.path("versions.mk")).unwrap();
    let version = version
        .lines()
        .find_map(|l| l.strip_prefix("QEMU_VERSION ?= "))
        .unwrap();
    let tarball = tree.path(&format!("cache/downloads/qemu-{version}.tar.xz"));
    fs::write(&tarball, "half a tarball").unwrap();
    let output = tree
        .steps(&["fetch-qemu=scripts/fetch.sh qemu", "next=touch next"])
        .output()
        .unwrap();
    let said = said(&output);
    assert_eq!(output.status.code(), Some(1), "{said}");
    let wanted = format!("error: checksum mismatch for QEMU {version}: expected ");
    assert!(said.contains(&wanted), "{said}");
    assert!(said.contains(tarball.to_str().unwrap()), "{said}");
    assert!(!tree.path("next").exists());
}

#[test]
fn a_dead_mirror_is_named() {
    let tree = Tree::new();
    // The system's mirror is read from apt: this one tells of a closed port.
    let real = "case $1 in indextargets) echo http://127.0.0.1:9/debian ;; *) exec /usr/bin/apt-get \"$@\" ;; esac";
    let path = tree.fake("apt-get", &format!("#!/bin/sh\n{real}\n"));
    let output = tree
        .steps(&["fetch-qemu=scripts/fetch.sh qemu"])
        .env("PATH", path)
        .output()
        .unwrap();
    let said = said(&output);
    assert_ne!(output.status.code(), Some(0), "{said}");
    let wanted = "error: Debian's mirror http://127.0.0.1:9/debian cannot be read";
    assert!(said.contains(wanted), "{said}");
    let left: Vec<_> = fs::read_dir(tree.path("cache/downloads"))
        .unwrap()
        .collect();
    assert!(left.is_empty(), "{left:?}");
}

#[test]
fn a_full_disk_is_told_before_and_during_a_build() {
    if !mounts_allowed() {
        return;
    }
    let tree = Tree::new();
    fs::write(tree.path("big"), vec![0; 4 << 20]).unwrap();
    let run = || {
        let script = "mount -t tmpfs -o size=2m none cache && exec bash scripts/steps.sh 'big=cp big cache/'";
        let output = tree
            .command("unshare")
            .args(["-rm", "sh", "-c", script])
            .output()
            .unwrap();
        assert_eq!(output.status.code(), Some(1), "{}", said(&output));
        said(&output)
    };
    fs::remove_file(tree.path("target/.complete")).unwrap();
    let before = run();
    let wanted = "error: a first build needs 14 GB free in";
    assert!(before.contains(wanted), "{before}");

    fs::write(tree.path("target/.complete"), "").unwrap();
    let during = run();
    let wanted = "error: the disk is full: 0 GB free in";
    assert!(during.contains(wanted), "{during}");
}

#[test]
fn another_distribution_gets_a_list_before_anything_is_built() {
    if !mounts_allowed() {
        return;
    }
    let tree = Tree::new();
    fs::write(tree.path("os-release"), "ID=fedora\nVERSION_ID=44\n").unwrap();
    // Everything but the cross compiler and shellcheck.
    let bin = tree.path("bin");
    fs::create_dir_all(&bin).unwrap();
    for entry in fs::read_dir("/usr/bin").unwrap() {
        let entry = entry.unwrap();
        let name = entry.file_name();
        if name != "s390x-linux-gnu-gcc" && name != "shellcheck" {
            symlink(entry.path(), bin.join(name)).unwrap();
        }
    }
    let script = "mount --bind os-release /etc/os-release && exec bash scripts/steps.sh setup=scripts/setup.sh 'next=touch next'";
    let output = tree
        .command("unshare")
        .args(["-rm", "sh", "-c", script])
        .env("PATH", format!("{}:/usr/sbin:/sbin", bin.display()))
        .output()
        .unwrap();
    let said = said(&output);
    assert_eq!(output.status.code(), Some(2), "{said}");
    let wanted =
        "error: this is not Debian 12 or 13, and these are missing: shellcheck s390x-linux-gnu-gcc";
    assert!(said.contains(wanted), "{said}");
    assert!(!tree.path("next").exists());
}

/// `uname` of a mainframe, first on this PATH.
fn mainframe(tree: &Tree) -> String {
    let script = "case $1 in -m) echo s390x ;; *) exec /usr/bin/uname \"$@\" ;; esac";
    tree.fake("uname", &format!("#!/bin/sh\n{script}\n"))
}

#[test]
fn on_a_mainframe_run_guest_builds_for_that_very_system() {
    let tree = Tree::new();
    let steps_of = |path: &str, target: &str| {
        let mut make = Command::new("make");
        make.args(["-n", "-C", project_root().to_str().unwrap(), target]);
        let output = make.env("PATH", path).output().unwrap();
        assert!(output.status.success(), "{}", said(&output));
        let text = String::from_utf8_lossy(&output.stdout).into_owned();
        let line = text.lines().find(|l| l.contains("scripts/steps.sh"));
        let words = line.unwrap_or_else(|| panic!("{text}")).split_whitespace();
        let steps = words.clone().filter_map(|w| w.split_once('='));
        let steps: Vec<String> = steps.map(|(name, _)| name.to_owned()).collect();
        (steps, words.last().unwrap().to_owned())
    };
    let (steps, program) = steps_of(&mainframe(&tree), "run-guest");
    // neither QEMU nor an L1, nor a kernel but the guests'
    let expected = [
        "setup",
        "fetch-linux",
        "kernel",
        "module",
        "s390x",
        "busybox",
        "kernel-guest",
        "guest",
        "dist",
    ];
    assert_eq!(steps, expected);
    assert_eq!(program, "target/dist/current/run-guest");
    let (steps, program) = steps_of(&std::env::var("PATH").unwrap(), "run-guest");
    assert!(steps.contains(&"initramfs".to_owned()), "{steps:?}");
    assert_eq!(program, "target/debug/run-guest");
}

#[test]
fn a_mainframe_needs_no_cross_compiler() {
    if !fs::read_to_string("/etc/os-release")
        .unwrap()
        .contains("ID=debian")
    {
        println!("skipped: this is not Debian");
        return;
    }
    let tree = Tree::new();
    let path = mainframe(&tree);
    tree.fake("dpkg-query", "#!/bin/sh\nexit 1\n");
    tree.fake("apt-get", "#!/bin/sh\nexit 1\n");
    tree.fake("sudo", "#!/bin/sh\nexec \"$@\"\n");
    let wanted = |path: &str| -> Vec<String> {
        let mut setup = tree.command("bash");
        let output = setup.arg("scripts/setup.sh").env("PATH", path).output();
        let said = said(&output.unwrap());
        let list = said.split_once("apt-get could not install: ");
        let (_, list) = list.unwrap_or_else(|| panic!("{said}"));
        list.split_whitespace().map(str::to_owned).collect()
    };
    let here = wanted(&path);
    fs::remove_file(tree.path("bin/uname")).unwrap();
    let elsewhere = wanted(&path);
    let cross = ["gcc-s390x-linux-gnu", "libc6-dev-s390x-cross"].map(str::to_owned);
    if cfg!(not(target_arch = "s390x")) {
        let rest: Vec<String> = elsewhere
            .into_iter()
            .filter(|p| !cross.contains(p))
            .collect();
        assert_eq!(here.len(), rest.len());
    }
    assert!(!here.iter().any(|p| cross.contains(p)), "{here:?}");
    for package in ["gcc", "libc6-dev", "libclang-19-dev"] {
        assert!(here.iter().any(|p| p == package), "{here:?}");
    }
}

#[test]
fn a_module_is_built_for_a_running_kernel_that_has_rust() {
    let tree = Tree::new();
    let build = tree.path("build");
    fs::create_dir(&build).unwrap();
    let run = |script: &str| {
        let mut command = tree.command("bash");
        command.args(script.split(' ')).env("KERNEL_BUILD", &build);
        let output = command.output().unwrap();
        assert!(output.status.success(), "{}", said(&output));
        said(&output)
    };
    let link = tree.path("target/kernels/running");
    let module = tree.path("target/hostdrv/running");
    fs::create_dir_all(&module).unwrap();
    for config in [None, Some("# CONFIG_RUST is not set\n")] {
        if let Some(text) = config {
            fs::write(build.join(".config"), text).unwrap();
        }
        let said = run("scripts/running-kernel.sh");
        assert!(said.contains("no kernel with Rust in"), "{said}");
        assert!(!link.exists());
        let said = run("scripts/module.sh running");
        assert!(said.contains("no module for the running kernel"), "{said}");
        // also not an older one
        assert!(!module.exists());
    }
    fs::write(build.join(".config"), "CONFIG_RUST=y\n").unwrap();
    run("scripts/running-kernel.sh");
    assert_eq!(
        fs::canonicalize(&link).unwrap(),
        fs::canonicalize(&build).unwrap()
    );
    fs::remove_file(build.join(".config")).unwrap();
    run("scripts/running-kernel.sh");
    assert!(!link.exists());
}

#[test]
fn two_builds_at_once_take_turns() {
    let tree = Tree::new();
    let script = "echo begin >>turns; until [ -e go ]; do sleep 0.1; done; echo end >>turns";
    fs::write(tree.path("turn.sh"), script).unwrap();
    let step = "turn=sh turn.sh";
    let first = tree.steps(&[step]).spawn().unwrap();
    wait_for(&tree.path("turns"));
    let second = tree.steps(&[step]).spawn().unwrap();
    // Either order of what follows is right; together they would show.
    std::thread::sleep(Duration::from_secs(1));
    fs::write(tree.path("go"), "").unwrap();
    let outputs = [first, second].map(|child| child.wait_with_output().unwrap());
    for output in &outputs {
        assert!(output.status.success(), "{}", said(output));
    }
    assert!(
        said(&outputs[1]).contains("another build holds"),
        "{}",
        said(&outputs[1])
    );
    let turns = fs::read_to_string(tree.path("turns")).unwrap();
    assert_eq!(turns, "begin\nend\nbegin\nend\n");
}

#[test]
fn an_interrupted_build_says_where_and_goes_on_later() {
    let tree = Tree::new();
    fs::remove_file(tree.path("target/.complete")).unwrap();
    fs::write(tree.path("slow.sh"), "touch begun; sleep 100").unwrap();
    let child = tree
        .steps(&["first=touch first", "slow=sh slow.sh"])
        .process_group(0)
        .spawn()
        .unwrap();
    wait_for(&tree.path("begun"));
    // What a terminal sends for Ctrl-C: to everyone.
    let group = Pid::from_raw(i32::try_from(child.id()).unwrap());
    killpg(group, Signal::SIGINT).unwrap();
    let output = child.wait_with_output().unwrap();
    assert_eq!(output.status.code(), Some(130), "{}", said(&output));
    assert!(
        said(&output).contains("interrupted in step slow"),
        "{}",
        said(&output)
    );
    assert!(!tree.path("target/.complete").exists());
    let again = tree.steps(&["slow=touch done"]).output().unwrap();
    assert!(again.status.success(), "{}", said(&again));
}

fn wait_for(file: &Path) {
    let end = Instant::now() + Duration::from_secs(20);
    while !file.exists() {
        assert!(Instant::now() < end, "no {}", file.display());
        std::thread::sleep(Duration::from_millis(20));
    }
}
