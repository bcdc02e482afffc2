// SPDX-License-Identifier: MIT OR Apache-2.0
//! What an init program does: file systems, the console, uevents, the end.

use crate::report::Report;
use nix::kmod::init_module;
use nix::mount::{MsFlags, mount};
use nix::sys::reboot::{RebootMode, reboot};
use nix::sys::socket::{
    AddressFamily, MsgFlags, NetlinkAddr, SockFlag, SockProtocol, SockType, bind, recv, socket,
};
use nix::sys::termios::{SetArg, cfmakeraw, tcgetattr, tcsetattr};
use std::fs;
use std::io;
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, OwnedFd};

/// Mounts what everything else reads.
///
/// # Errors
/// The kernel's refusal.
pub fn mount_all() -> io::Result<()> {
    for (kind, target) in [("proc", "/proc"), ("sysfs", "/sys"), ("devtmpfs", "/dev")] {
        let mounted = mount(
            Some(kind),
            target,
            Some(kind),
            MsFlags::empty(),
            None::<&str>,
        );
        // A kernel may have mounted devtmpfs itself.
        if let Err(e) = mounted
            && e != nix::errno::Errno::EBUSY
        {
            return Err(io::Error::other(format!("mounting {target}: {e}")));
        }
    }
    Ok(())
}

/// Loads the modules that the RAM disk has, in the order of their names.
///
/// # Errors
/// Which one the kernel refuses.
pub fn load_modules() -> io::Result<()> {
    const FOLDER: &str = "/modules";
    let mut files = match fs::read_dir(FOLDER) {
        Ok(entries) => entries
            .map(|entry| Ok(entry?.path()))
            .collect::<io::Result<Vec<_>>>()?,
        // A kernel that has all built in brings none.
        Err(e) if e.kind() == io::ErrorKind::NotFound => return Ok(()),
        Err(e) => return Err(e),
    };
    files.sort();
    for file in files {
        let refused = |e: io::Error| io::Error::other(format!("module {}: {e}", file.display()));
        let module = fs::read(&file).map_err(refused)?;
        init_module(&module, c"").map_err(|e| refused(e.into()))?;
    }
    Ok(())
}

/// Lines pass the console as they are: no echo, no editing.
pub fn raw_console() {
    let stdin = io::stdin();
    // One that is no terminal has nothing to be turned off.
    if let Ok(mut settings) = tcgetattr(&stdin) {
        cfmakeraw(&mut settings);
        let _ = tcsetattr(&stdin, SetArg::TCSANOW, &settings);
    }
}

/// Ends the machine, once its console has said all.
pub fn power_off() {
    let _ = nix::sys::termios::tcdrain(io::stdout());
    // Comes back only when it failed.
    let Err(e) = reboot(RebootMode::RB_POWER_OFF);
    println!("power off: {e}");
}

/// The kernel's uevents.
pub struct Uevents(OwnedFd);

impl Uevents {
    /// Listens from now on.
    ///
    /// # Errors
    /// The kernel's refusal.
    pub fn open() -> io::Result<Self> {
        let flags = SockFlag::SOCK_CLOEXEC | SockFlag::SOCK_NONBLOCK;
        let fd = socket(
            AddressFamily::Netlink,
            SockType::Datagram,
            flags,
            SockProtocol::NetlinkKObjectUEvent,
        )?;
        bind(fd.as_raw_fd(), &NetlinkAddr::new(0, 1))?;
        Ok(Self(fd))
    }

    /// Reports all that came of the AP bus.
    ///
    /// # Errors
    /// That the socket fails.
    pub fn tell(&mut self, report: &Report) -> io::Result<()> {
        let mut buffer = [0; 8192];
        loop {
            match recv(self.0.as_raw_fd(), &mut buffer, MsgFlags::empty()) {
                Ok(count) => tell(report, &String::from_utf8_lossy(&buffer[..count])),
                Err(nix::errno::Errno::EAGAIN) => return Ok(()),
                // Events were lost; the masks are looked at in any case.
                Err(nix::errno::Errno::ENOBUFS) => {}
                Err(e) => return Err(e.into()),
            }
        }
    }
}

impl AsFd for Uevents {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.0.as_fd()
    }
}

/// Reports an event of the AP bus: its variables are `NAME=value` with a NUL
/// behind each.
fn tell(report: &Report, event: &str) {
    let value = |name: &str| {
        let variable = |word: &str| {
            word.strip_prefix(name)?
                .strip_prefix('=')
                .map(str::to_owned)
        };
        event.split('\0').find_map(variable)
    };
    let path = value("DEVPATH").unwrap_or_default();
    if !path.starts_with("/devices/ap") && value("SUBSYSTEM").as_deref() != Some("ap") {
        return;
    }
    report.json("uevent", |o| {
        o.string("action", value("ACTION").unwrap_or_default())?;
        o.string("path", path)
    });
}
