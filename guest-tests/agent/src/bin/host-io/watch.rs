// SPDX-License-Identifier: MIT OR Apache-2.0
//! Watches files: sysfs attributes whose driver tells of changes are read when
//! it does, all others, and links, every few milliseconds.

use crate::{Line, Order, print};
use nix::poll::{PollFd, PollFlags, PollTimeout, poll};
use std::collections::BTreeMap;
use std::fs::{self, File};
use std::io::{self, Read, Seek};
use std::os::fd::AsFd;
use std::os::unix::net::UnixStream;
use std::sync::mpsc::{Receiver, TryRecvError};

/// How often what tells nothing by itself is read.
const LOOK_MS: u8 = 20;

/// A watched path.
#[derive(Default)]
struct Watched {
    /// Kept open, since only an open file can be waited for.
    file: Option<File>,
    /// What was told of it last; at first nothing.
    told: Option<Option<String>>,
}

/// All watched paths.
pub struct Watcher {
    paths: BTreeMap<String, Watched>,
    woken: UnixStream,
}

impl Watcher {
    /// None yet; a byte on `woken` says that there is an order.
    pub fn new(woken: UnixStream) -> Self {
        Self {
            paths: BTreeMap::new(),
            woken,
        }
    }

    /// Watches, and carries out orders, until there will be no more of them.
    ///
    /// # Errors
    /// That waiting fails.
    pub fn run(mut self, orders: &Receiver<Order>) -> io::Result<()> {
        loop {
            // Orders first: what they ask to be told must be read after them.
            let order = orders.try_recv();
            if let Ok(Order::Watch(_, paths)) = &order {
                for path in paths {
                    self.paths.entry(path.clone()).or_default();
                }
            }
            for (path, watched) in &mut self.paths {
                watched.look(path);
            }
            match order {
                Ok(Order::Watch(id, _) | Order::Sync(id)) => print(&Line::Done { id }),
                Err(TryRecvError::Empty) => self.wait()?,
                Err(TryRecvError::Disconnected) => return Ok(()),
            }
        }
    }

    fn wait(&mut self) -> io::Result<()> {
        let limit = if self.paths.is_empty() {
            PollTimeout::NONE
        } else {
            PollTimeout::from(LOOK_MS)
        };
        {
            // Attributes say nothing but "look": which one it is does not matter.
            let files = self.paths.values().filter_map(|w| w.file.as_ref());
            let attribute = |f| PollFd::new(File::as_fd(f), PollFlags::POLLPRI);
            let mut fds = vec![PollFd::new(self.woken.as_fd(), PollFlags::POLLIN)];
            fds.extend(files.map(attribute));
            poll(&mut fds, limit)?;
        }
        while self.woken.read(&mut [0; 64]).is_ok_and(|n| n > 0) {}
        Ok(())
    }
}

impl Watched {
    /// Reads it and tells if it is not what it was.
    fn look(&mut self, path: &str) {
        let text = self.text(path);
        if self.told.as_ref() != Some(&text) {
            print(&Line::Changed {
                path: path.to_owned(),
                text: text.clone(),
            });
            self.told = Some(text);
        }
    }

    fn text(&mut self, path: &str) -> Option<String> {
        if let Ok(link) = fs::read_link(path) {
            return Some(link.file_name()?.to_string_lossy().into_owned());
        }
        // One that has gone may be there again, as another.
        let again = self.file.as_mut().and_then(whole);
        if again.is_none() {
            self.file = File::open(path).ok();
            return self.file.as_mut().and_then(whole);
        }
        again
    }
}

fn whole(file: &mut File) -> Option<String> {
    let mut bytes = Vec::new();
    file.rewind().ok()?;
    file.read_to_end(&mut bytes).ok()?;
    Some(String::from_utf8_lossy(&bytes).into_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn files_and_links_are_read_again() {
        let folder = std::env::temp_dir().join(format!("host-io-{}", std::process::id()));
        fs::create_dir_all(&folder).unwrap();
        let (file, link) = (folder.join("file"), folder.join("link"));
        let (name, pointer) = (file.to_str().unwrap(), link.to_str().unwrap());
        let mut watched = Watched::default();
        assert_eq!(watched.text(name), None);
        fs::write(&file, "one").unwrap();
        assert_eq!(watched.text(name).as_deref(), Some("one"));
        fs::write(&file, "two").unwrap();
        assert_eq!(watched.text(name).as_deref(), Some("two"));
        std::os::unix::fs::symlink("../drivers/vfio_ap", &link).unwrap();
        assert_eq!(Watched::default().text(pointer).as_deref(), Some("vfio_ap"));
        fs::remove_dir_all(&folder).unwrap();
    }
}
