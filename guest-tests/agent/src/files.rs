// SPDX-License-Identifier: MIT OR Apache-2.0
//! Whole files in and out of L1.

use crate::agent::Port;
use l1_protocol::{CHUNK, Event, Id};
use std::collections::HashMap;
use std::fs::{self, File, Permissions};
use std::io::{self, Read, Write};
use std::os::unix::fs::PermissionsExt;

/// Send a file's content, then how that went. Works for sysfs and procfs,
/// whose files do not know their size.
pub fn read(port: &Port, id: Id, path: &str) {
    let result = stream(port, id, path).map_err(|e| format!("{path}: {e}"));
    if let Err(e) = port.send(&Event::FileDone { id, result }) {
        eprintln!("agent: {path}: {e}");
    }
}

fn stream(port: &Port, id: Id, path: &str) -> io::Result<()> {
    let mut file = File::open(path)?;
    let mut chunk = vec![0; CHUNK];
    loop {
        let n = file.read(&mut chunk)?;
        if n == 0 {
            return Ok(());
        }
        port.send(&Event::FileData {
            id,
            data: chunk[..n].to_vec(),
        })
        .map_err(io::Error::other)?;
    }
}

/// Files being written: collected under a temporary name, renamed when whole.
#[derive(Default)]
pub struct Uploads(HashMap<Id, Result<File, String>>);

impl Uploads {
    /// Take one piece; the last one, or none before it having failed, tells
    /// how the whole went.
    pub fn write(
        &mut self,
        id: Id,
        path: &str,
        mode: u32,
        data: &[u8],
        last: bool,
    ) -> Option<Result<(), String>> {
        let part = format!("{path}.part{id}");
        let state = self
            .0
            .entry(id)
            .or_insert_with(|| File::create(&part).map_err(|e| e.to_string()));
        if let Ok(file) = state
            && let Err(e) = file.write_all(data)
        {
            *state = Err(e.to_string());
        }
        if !last {
            return None;
        }
        let result = self.0.remove(&id)?.and_then(|file| {
            file.set_permissions(Permissions::from_mode(mode))
                .and_then(|()| fs::rename(&part, path))
                .map_err(|e| e.to_string())
        });
        if result.is_err() {
            // Nothing else could be done if this failed too.
            let _ = fs::remove_file(&part);
        }
        Some(result.map_err(|e| format!("{path}: {e}")))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_upload_appears_whole_or_not_at_all() {
        let dir = std::env::temp_dir().join(format!("l1-agent-{}", std::process::id()));
        fs::create_dir_all(&dir).unwrap();
        let path = dir.join("file");
        let name = path.to_str().unwrap();
        let mut uploads = Uploads::default();
        assert_eq!(uploads.write(1, name, 0o755, b"one ", false), None);
        assert!(!path.exists());
        assert_eq!(uploads.write(1, name, 0o755, b"two", true), Some(Ok(())));
        assert_eq!(fs::read(&path).unwrap(), b"one two");
        assert_eq!(
            fs::metadata(&path).unwrap().permissions().mode() & 0o777,
            0o755
        );

        let nowhere = dir.join("missing/file");
        let failed = uploads.write(2, nowhere.to_str().unwrap(), 0o644, b"x", true);
        assert!(failed.unwrap().unwrap_err().contains("missing/file"));
        assert_eq!(fs::read_dir(&dir).unwrap().count(), 1);
        fs::remove_dir_all(&dir).unwrap();
    }
}
