// SPDX-License-Identifier: MIT OR Apache-2.0
//! A mediated device as sysfs shows it.

use std::ffi::CString;
use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use serde::Serialize;

/// An AP matrix device in sysfs.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Mdev {
    path: PathBuf,
    /// Its UUID, which names the device within its group.
    pub name: CString,
}

/// Why a path is not a usable device.
#[derive(Debug, thiserror::Error)]
pub enum MdevError {
    /// There is no such device.
    #[error("{path} is not a device directory")]
    NotFound {
        /// The path.
        path: PathBuf,
        /// Why not.
        source: io::Error,
    },
    /// The device has no group: the kernel lacks VFIO groups, or the device
    /// no driver.
    #[error("{path} has no IOMMU group")]
    NoGroup {
        /// The path.
        path: PathBuf,
        /// Why not.
        source: io::Error,
    },
    /// The group link points somewhere strange.
    #[error("{path} has an IOMMU group without a number")]
    BadGroup {
        /// The path.
        path: PathBuf,
    },
}

/// Masks as sysfs shows them, one queue (`05.0004`) a line.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub struct Masks {
    /// What is assigned.
    pub matrix: Vec<String>,
    /// What the guest has.
    pub guest_matrix: Vec<String>,
    /// Control domains.
    pub control_domains: Vec<String>,
}

impl Mdev {
    /// The device at a sysfs path.
    pub fn resolve(path: &Path) -> Result<Self, MdevError> {
        let not_found = |source| MdevError::NotFound {
            path: path.into(),
            source,
        };
        let real = path.canonicalize().map_err(not_found)?;
        let name = real
            .file_name()
            .and_then(|name| CString::new(name.as_encoded_bytes()).ok())
            .ok_or_else(|| not_found(io::ErrorKind::InvalidInput.into()))?;
        Ok(Self { path: real, name })
    }

    /// The device's directory, without links.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// Number of its IOMMU group.
    pub fn group(&self) -> Result<u32, MdevError> {
        let path = || self.path.clone();
        let link =
            fs::read_link(self.path.join("iommu_group")).map_err(|source| MdevError::NoGroup {
                path: path(),
                source,
            })?;
        link.file_name()
            .and_then(|number| number.to_str()?.parse().ok())
            .ok_or_else(|| MdevError::BadGroup { path: path() })
    }

    /// What host and guest have now. A mask that cannot be read (the device
    /// may be going away) is empty.
    pub fn masks(&self) -> Masks {
        let lines = |name: &str| {
            let text = fs::read_to_string(self.path.join(name)).unwrap_or_default();
            text.lines().map(str::to_owned).collect()
        };
        Masks {
            matrix: lines("matrix"),
            guest_matrix: lines("guest_matrix"),
            control_domains: lines("control_domains"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::os::unix::fs::symlink;

    struct Tree(PathBuf);

    impl Tree {
        fn new(test: &str) -> Self {
            let name = format!("apvmm-{test}-{}", std::process::id());
            let root = std::env::temp_dir().join(name);
            fs::create_dir_all(root.join("device/uuid")).unwrap();
            Self(root)
        }
    }

    impl Drop for Tree {
        fn drop(&mut self) {
            let _ = fs::remove_dir_all(&self.0);
        }
    }

    #[test]
    fn resolves_links_and_reads_masks() {
        let tree = Tree::new("resolve");
        let device = tree.0.join("device/uuid");
        symlink("../../groups/7", device.join("iommu_group")).unwrap();
        symlink("device/uuid", tree.0.join("link")).unwrap();
        fs::write(device.join("matrix"), "05.0004\n05.0047\n").unwrap();
        fs::write(device.join("guest_matrix"), "05.0004\n").unwrap();

        let mdev = Mdev::resolve(&tree.0.join("link")).unwrap();
        assert_eq!(mdev.group().unwrap(), 7);
        assert_eq!(mdev.name.to_str(), Ok("uuid"));
        let masks = mdev.masks();
        assert_eq!(masks.matrix, ["05.0004", "05.0047"]);
        assert_eq!(masks.guest_matrix, ["05.0004"]);
        assert!(masks.control_domains.is_empty());
    }

    #[test]
    fn says_what_is_missing() {
        let tree = Tree::new("missing");
        let absent = Mdev::resolve(&tree.0.join("absent"));
        assert!(matches!(absent, Err(MdevError::NotFound { .. })));
        let device = tree.0.join("device/uuid");
        let mdev = Mdev::resolve(&device).unwrap();
        let no_group = mdev.group();
        assert!(matches!(no_group, Err(MdevError::NoGroup { .. })));
        symlink("somewhere", device.join("iommu_group")).unwrap();
        let bad_group = mdev.group();
        assert!(matches!(bad_group, Err(MdevError::BadGroup { .. })));
    }
}
