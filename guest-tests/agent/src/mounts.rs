// SPDX-License-Identifier: MIT OR Apache-2.0
//! The file systems of L1.
//!
//! ```text
//! /mnt/host   what the build made for L1, read-only    9p tag `host`
//! /mnt/root   --root DIR, writes kept in memory only    9p tag `root`
//! ```

use nix::mount::{MsFlags, mount};
use std::fs;
use std::io;
use std::os::unix::fs::symlink;

const NONE: MsFlags = MsFlags::empty();
/// Larger than the default, so that big files do not crawl.
const NINE_P: &str = "trans=virtio,version=9p2000.L,msize=262144,cache=loose";

/// Mount everything; what fails is said on the console and left out, since a
/// machine with a shell is better than none.
pub fn all() {
    fs_on("proc", "/proc", NONE, "");
    fs_on("sysfs", "/sys", NONE, "");
    fs_on("devtmpfs", "/dev", NONE, "");
    fs_on("devpts", "/dev/pts", NONE, "mode=620,ptmxmode=666");
    fs_on("tmpfs", "/dev/shm", NONE, "");
    fs_on("tmpfs", "/run", NONE, "mode=755");
    fs_on("tmpfs", "/tmp", NONE, "mode=1777");
    fs_on("debugfs", "/sys/kernel/debug", NONE, "");
    for (link, to) in [
        ("/dev/fd", "/proc/self/fd"),
        ("/dev/stdin", "fd/0"),
        ("/dev/stdout", "fd/1"),
        ("/dev/stderr", "fd/2"),
    ] {
        said(link, symlink(to, link));
    }
    let tags = nine_p_tags();
    if tags.iter().any(|t| t == "host") {
        fs_from("host", "9p", "/mnt/host", MsFlags::MS_RDONLY, NINE_P);
    }
    if tags.iter().any(|t| t == "root") {
        second_root();
    }
}

/// `--root DIR`: the folder below, a memory file system above it, and the
/// usual kernel file systems, so that a command can run inside.
fn second_root() {
    fs_from("root", "9p", "/run/root/lower", MsFlags::MS_RDONLY, NINE_P);
    fs_on("tmpfs", "/run/root/rw", NONE, "mode=755");
    for dir in ["/run/root/rw/upper", "/run/root/rw/work"] {
        said(dir, fs::create_dir_all(dir));
    }
    let layers = "lowerdir=/run/root/lower,upperdir=/run/root/rw/upper,workdir=/run/root/rw/work";
    fs_on("overlay", "/mnt/root", NONE, layers);
    for dir in ["proc", "sys", "dev", "tmp", "run", "mnt/host"] {
        let inside = format!("/mnt/root/{dir}");
        said(&inside, fs::create_dir_all(&inside));
        let bind = mount(
            Some(format!("/{dir}").as_str()),
            inside.as_str(),
            None::<&str>,
            MsFlags::MS_BIND | MsFlags::MS_REC,
            None::<&str>,
        );
        said(&inside, bind.map_err(io::Error::from));
    }
}

/// The tags of the 9p devices there are.
fn nine_p_tags() -> Vec<String> {
    let Ok(devices) = fs::read_dir("/sys/bus/virtio/drivers/9pnet_virtio") else {
        return Vec::new();
    };
    devices
        .flatten()
        .filter_map(|d| fs::read_to_string(d.path().join("mount_tag")).ok())
        .map(|t| t.trim_matches(['\0', '\n']).to_owned())
        .collect()
}

fn fs_on(kind: &str, on: &str, flags: MsFlags, data: &str) {
    fs_from(kind, kind, on, flags, data);
}

fn fs_from(source: &str, kind: &str, on: &str, flags: MsFlags, data: &str) {
    said(on, fs::create_dir_all(on));
    said(
        on,
        mount(Some(source), on, Some(kind), flags, Some(data)).map_err(io::Error::from),
    );
}

fn said(what: &str, result: io::Result<()>) {
    if let Err(e) = result {
        eprintln!("init: {what}: {e}");
    }
}
