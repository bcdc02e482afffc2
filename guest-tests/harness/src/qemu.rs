// SPDX-License-Identifier: MIT OR Apache-2.0
//! QEMU's command line, and its start.

use crate::audit::Auditing;
use crate::config::{Config, project_root};
use crate::error::{Error, Tail};
use l1_protocol::PORT;
use std::fs::{self, File};
use std::os::unix::net::{UnixListener, UnixStream};
use std::path::{Path, PathBuf};
use std::process::{self, Child, Stdio};
use std::time::Duration;

/// First on L1's command line; `hpage` lets VMMs ask for guests of huge pages,
/// and does nothing to others.
const BOOT_WORDS: &str = "console=ttysclp0 ignore_loglevel panic=0 kvm.hpage=1";

pub(crate) fn listen(path: &Path) -> Result<UnixListener, Error> {
    let listener = UnixListener::bind(path).map_err(Error::host(path.display().to_string()))?;
    listener
        .set_nonblocking(true)
        .map_err(Error::host("socket"))?;
    Ok(listener)
}

/// Wait for QEMU to connect, or to die of a bad option.
pub(crate) fn accept(
    listener: &UnixListener,
    qemu: &mut Child,
    logs: &Path,
) -> Result<UnixStream, Error> {
    loop {
        match listener.accept() {
            Ok((stream, _)) => {
                stream
                    .set_nonblocking(false)
                    .map_err(Error::host("socket"))?;
                return Ok(stream);
            }
            Err(e) if e.kind() == std::io::ErrorKind::WouldBlock => {}
            Err(e) => return Err(Error::host("a socket for QEMU")(e)),
        }
        if qemu.try_wait().map_err(Error::host("QEMU"))?.is_some() {
            return Err(died(qemu, logs));
        }
        std::thread::park_timeout(Duration::from_millis(5));
    }
}

/// Reap a QEMU that ended by itself, or is of no use any more.
pub(crate) fn died(qemu: &mut Child, logs: &Path) -> Error {
    // The kill changes nothing for one that has ended.
    let _ = qemu.kill();
    let status = qemu
        .wait()
        .map_or_else(|e| e.to_string(), |s| s.to_string());
    Error::QemuDied {
        status,
        tail: Tail::of(logs, "qemu.log"),
    }
}

pub(crate) fn spawn(config: &Config, sockets: &Path, logs: &Path) -> Result<Child, Error> {
    let log = File::create(logs.join("qemu.log")).map_err(Error::host("qemu.log"))?;
    let path = |p: &Path| p.display().to_string();
    let socket = |name: &str| path(&sockets.join(name));
    // QEMU dies with us, however we end.
    let mut qemu = process::Command::new("setpriv");
    qemu.args(["--pdeathsig", "KILL"])
        .arg(config.qemu_binary()?);
    // The firmware is a part of Debian's package, not of QEMU's source there.
    qemu.args([
        "-L",
        "/usr/share/qemu",
        "-nodefaults",
        "-no-user-config",
        "-display",
        "none",
        "-no-reboot",
        // A crashed L1 stays for a look, until we are done with it.
        "-action",
        "panic=pause",
    ]);
    // SIE is an option of our QEMU; another may not know it.
    let cpu = if config.qemu.is_some() {
        "max"
    } else {
        "max,sief2=on,edat=on"
    };
    let mut machine = "s390-ccw-virtio".to_owned();
    if let Some(topology) = &config.topology {
        let file = fs::canonicalize(topology).map_err(Error::host(path(topology)))?;
        machine += &format!(",ap-topology={}", path(&file).replace(',', ",,"));
    }
    qemu.args(["-machine", &machine, "-cpu", cpu]);
    if config.audited() && config.auditing == Auditing::Strict {
        qemu.args(["-global", "ap-bridge.stop-at-violation=on"]);
    }
    if config.audited() && config.audit_stream {
        let file = path(&logs.join("audit.log")).replace(',', ",,");
        qemu.args(["-chardev", &format!("file,id=audit,path={file}")]);
        qemu.args(["-global", "ap-bridge.audit=audit"]);
    }
    qemu.args([
        "-m",
        &format!("{}M", config.memory_mib),
        "-smp",
        &config.smp.to_string(),
    ]);
    if config.icount {
        qemu.args(["-icount", "shift=0,sleep=off"]);
    }
    qemu.args(&config.options);
    if let Some(stream) = &config.incoming {
        qemu.args(["-incoming", &format!("file:{}", path(stream))]);
    }
    qemu.arg("-kernel")
        .arg(config.kernel()?)
        .arg("-initrd")
        .arg(config.initramfs()?);
    let words = format!("{BOOT_WORDS} {}", config.append);
    qemu.args(["-append", words.trim_end()]);
    qemu.args([
        "-chardev",
        &format!("file,id=console,path={}", path(&logs.join("console.log"))),
    ]);
    qemu.args([
        "-device",
        "sclpconsole,chardev=console",
        "-device",
        "virtio-serial-ccw",
    ]);
    qemu.args([
        "-chardev",
        &format!("socket,id=agent,path={}", socket("agent")),
    ]);
    qemu.args([
        "-device",
        &format!("virtserialport,chardev=agent,name={PORT}"),
    ]);
    for name in ["qmp", "events"] {
        qemu.args(["-qmp", &format!("unix:{}", socket(name))]);
    }
    if let Some(root) = &config.root {
        let root = fs::canonicalize(root).map_err(Error::host(path(root)))?;
        share(&mut qemu, "root", &root);
    }
    if let Some(mib) = config.disk_mib {
        let file = empty_disk(logs, mib)?;
        let file = path(&file).replace(',', ",,");
        qemu.args([
            "-drive",
            &format!("file={file},format=raw,if=none,id=disk,cache=unsafe"),
            "-device",
            "virtio-blk-ccw,drive=disk",
        ]);
    }
    let host = project_root().join("target/share");
    if host.is_dir() {
        share(&mut qemu, "host", &host);
    }
    if config.gdb {
        qemu.args(["-gdb", "tcp:localhost:1234", "-S"]);
    }
    let stderr = log.try_clone().map_err(Error::host("qemu.log"))?;
    qemu.stdin(Stdio::null()).stdout(log).stderr(stderr);
    qemu.spawn().map_err(Error::host("starting QEMU"))
}

/// Where the disk of a machine is until QEMU has opened it.
pub(crate) fn disk_file(logs: &Path) -> PathBuf {
    logs.join("disk.img")
}

/// A new file of that many MiB which takes no space yet.
fn empty_disk(logs: &Path, mib: u32) -> Result<PathBuf, Error> {
    let file = disk_file(logs);
    File::create(&file)
        .and_then(|f| f.set_len(u64::from(mib) << 20))
        .map_err(Error::host(file.display().to_string()))?;
    Ok(file)
}

/// A folder of the build machine for L1, read-only; the agent mounts it.
fn share(qemu: &mut process::Command, tag: &str, folder: &Path) {
    let folder = folder.display();
    qemu.args([
        "-fsdev",
        &format!("local,id={tag},path={folder},security_model=none,readonly=on,multidevs=remap"),
    ]);
    qemu.args([
        "-device",
        &format!("virtio-9p-ccw,fsdev={tag},mount_tag={tag}"),
    ]);
}
