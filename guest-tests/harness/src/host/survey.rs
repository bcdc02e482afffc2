// SPDX-License-Identifier: MIT OR Apache-2.0
//! What a host has: its AP queues, who has them, masks and mdevs. Reads sysfs
//! and procfs, and changes nothing.

use crate::guest::mask_bytes;
use ap_arch::{Adm, Apid, Apm, Apqn, Aqm};
use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};

/// A host's AP resources at one moment.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Survey {
    /// Its queues.
    pub queues: BTreeMap<Apqn, Queue>,
    /// Adapters of zcrypt's drivers.
    pub apmask: Apm,
    /// Domains of zcrypt's drivers.
    pub aqmask: Aqm,
    /// Whether the bus looks for a driver for a device that comes, and for
    /// devices for a driver that comes.
    pub autoprobe: bool,
    /// Control domains.
    pub control: Adm,
    /// What cards are, such as `CEX8A`.
    pub cards: BTreeMap<Apid, String>,
    /// By UUID, the queues that are assigned to each mdev.
    pub mdevs: BTreeMap<String, Vec<Apqn>>,
    /// Processes that have one of zcrypt's nodes open.
    pub users: Vec<String>,
}

/// A queue.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Queue {
    /// Its driver.
    pub driver: Option<String>,
    /// The driver that alone may have it; empty without one. None if the
    /// kernel knows no such thing, which came with Linux 7.
    pub only: Option<String>,
    /// Whether zcrypt may use it; none if it is not zcrypt's.
    pub online: Option<bool>,
    /// Whether its adapter is configured.
    pub config: bool,
    /// Whether its adapter has failed.
    pub checkstop: bool,
    /// Requests in it.
    pub requests: u32,
}

impl Survey {
    /// Look at the host whose root folder this is.
    ///
    /// # Errors
    /// That it has no AP bus.
    pub fn of(root: &Path) -> std::io::Result<Self> {
        let bus = root.join("sys/bus/ap");
        let mut survey = Self::default();
        for entry in fs::read_dir(bus.join("devices"))?.flatten() {
            let name = entry.file_name().to_string_lossy().into_owned();
            if let Ok(apqn) = name.parse() {
                survey.queues.insert(apqn, queue(&entry.path()));
            } else if let Some(apid) = name.strip_prefix("card")
                && let Ok(apid) = u8::from_str_radix(apid, 16)
            {
                let kind = text(&entry.path().join("type")).unwrap_or_default();
                survey.cards.insert(Apid::new(apid), kind);
            }
        }
        let mask = |name: &str| mask_bytes(&text(&bus.join(name))?);
        // Without such a file everything is zcrypt's.
        survey.apmask = mask("apmask").map_or(Apm::FULL, Apm::from_bytes);
        survey.aqmask = mask("aqmask").map_or(Aqm::FULL, Aqm::from_bytes);
        survey.autoprobe = text(&bus.join("drivers_autoprobe")).as_deref() != Some("0");
        survey.control = mask("ap_control_domain_mask").map_or(Adm::EMPTY, Adm::from_bytes);
        let matrix = root.join("sys/devices/vfio_ap/matrix");
        for entry in fs::read_dir(matrix).into_iter().flatten().flatten() {
            if let Some(lines) = text(&entry.path().join("matrix")) {
                let uuid = entry.file_name().to_string_lossy().into_owned();
                let queues = lines.lines().filter_map(|l| l.parse().ok());
                survey.mdevs.insert(uuid, queues.collect());
            }
        }
        survey.users = users(root);
        Ok(survey)
    }

    /// Adapters of one mode: `A`ccelerators, `C`CA coprocessors, E`P`11 ones.
    pub fn mode(&self, letter: char) -> Apm {
        let is = |kind: &str| kind.starts_with("CEX") && kind.ends_with(letter);
        let those = self.cards.iter().filter(|(_, kind)| is(kind));
        those.map(|(apid, _)| *apid).collect()
    }

    /// Whether queues may be given to a driver one by one.
    pub fn has_overrides(&self) -> bool {
        self.queues.values().any(|q| q.only.is_some())
    }
}

fn text(path: &Path) -> Option<String> {
    fs::read_to_string(path).ok().map(|t| t.trim().to_owned())
}

fn queue(folder: &Path) -> Queue {
    let number = |name: &str| text(&folder.join(name))?.parse::<u32>().ok();
    let driver = fs::read_link(folder.join("driver")).ok();
    Queue {
        driver: driver.and_then(|d| Some(d.file_name()?.to_string_lossy().into_owned())),
        // Kernels print a missing name in more than one way.
        only: text(&folder.join("driver_override")).map(|t| t.replace("(null)", "")),
        online: number("online").map(|n| n != 0),
        config: number("config") != Some(0),
        checkstop: number("chkstop") == Some(1),
        requests: number("requestq_count").unwrap_or(0) + number("pendingq_count").unwrap_or(0),
    }
}

/// Processes that have a node of zcrypt open: `PID NAME`.
fn users(root: &Path) -> Vec<String> {
    // Beside z90crypt there are nodes that an administrator has named.
    let names = fs::read_dir(root.join("sys/class/zcrypt"));
    let mut nodes: Vec<PathBuf> = names
        .into_iter()
        .flatten()
        .flatten()
        .map(|node| Path::new("/dev").join(node.file_name()))
        .collect();
    nodes.push("/dev/z90crypt".into());
    let is_zcrypt = |to: PathBuf| nodes.contains(&to) || to.starts_with("/dev/zcrypt");
    let mut found = Vec::new();
    for entry in fs::read_dir(root.join("proc"))
        .into_iter()
        .flatten()
        .flatten()
    {
        let pid = entry.file_name().to_string_lossy().into_owned();
        if !pid.bytes().all(|b| b.is_ascii_digit()) {
            continue;
        }
        let fds = fs::read_dir(entry.path().join("fd"));
        let mut fds = fds.into_iter().flatten().flatten();
        if fds.any(|fd| fs::read_link(fd.path()).is_ok_and(is_zcrypt)) {
            let name = text(&entry.path().join("comm")).unwrap_or_default();
            found.push(format!("{pid} {name}"));
        }
    }
    found.sort();
    found
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::os::unix::fs::symlink;

    #[test]
    fn a_host_is_read() {
        let root = tempfile::tempdir().unwrap();
        let write = |path: &str, text: &str| {
            let path = root.path().join(path);
            fs::create_dir_all(path.parent().unwrap()).unwrap();
            fs::write(path, text).unwrap();
        };
        let link = |path: &str, to: &str| {
            let path = root.path().join(path);
            fs::create_dir_all(path.parent().unwrap()).unwrap();
            symlink(to, path).unwrap();
        };
        assert!(Survey::of(root.path()).is_err());
        let full = "f".repeat(64);
        write("sys/bus/ap/apmask", &format!("0x{full}\n"));
        write("sys/bus/ap/aqmask", &format!("0x7{}\n", &full[1..]));
        let devices = "sys/bus/ap/devices";
        write(&format!("{devices}/card05/type"), "CEX7C\n");
        write(&format!("{devices}/card06/type"), "CEX7P\n");
        write(&format!("{devices}/05.0004/online"), "1\n");
        write(&format!("{devices}/05.0004/requestq_count"), "2\n");
        write(&format!("{devices}/05.0004/pendingq_count"), "1\n");
        write(&format!("{devices}/05.0004/driver_override"), "\n");
        link(
            &format!("{devices}/05.0004/driver"),
            "../../drivers/cex4queue",
        );
        write(&format!("{devices}/06.0004/config"), "0\n");
        write(&format!("{devices}/06.0004/chkstop"), "1\n");
        write(
            "sys/devices/vfio_ap/matrix/some-uuid/matrix",
            "06.0004\n07.\n",
        );
        write("proc/12/comm", "server\n");
        link("proc/12/fd/3", "/dev/z90crypt");
        write("sys/class/zcrypt/mine/ioctlmask", "0x0\n");
        write("proc/14/comm", "tool\n");
        link("proc/14/fd/5", "/dev/mine");
        write("proc/13/comm", "other\n");
        link("proc/13/fd/3", "/dev/null");

        let survey = Survey::of(root.path()).unwrap();
        let [first, second] = ["05.0004", "06.0004"].map(|q| q.parse::<Apqn>().unwrap());
        let expected = Queue {
            driver: Some("cex4queue".to_owned()),
            only: Some(String::new()),
            online: Some(true),
            config: true,
            checkstop: false,
            requests: 3,
        };
        assert_eq!(survey.queues[&first], expected);
        let gone = Queue {
            checkstop: true,
            ..Queue::default()
        };
        assert_eq!(survey.queues[&second], gone);
        assert!(survey.apmask == Apm::FULL && survey.aqmask.count() == 255);
        assert_eq!(survey.mode('C'), Apm::of(Apid::new(5)));
        assert!(survey.mode('A').is_empty());
        assert_eq!(survey.mdevs["some-uuid"], [second]);
        assert_eq!(survey.users, ["12 server", "14 tool"]);
        assert!(survey.has_overrides() && survey.autoprobe);
        write("sys/bus/ap/drivers_autoprobe", "0\n");
        assert!(!Survey::of(root.path()).unwrap().autoprobe);
    }
}
