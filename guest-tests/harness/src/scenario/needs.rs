// SPDX-License-Identifier: MIT OR Apache-2.0
//! The files that a scenario names, topology and kernels: that they are there
//! and are such is found out as it is read, not when a machine is up.

use super::file::Scenario;
use super::source::{ScenarioError, Source};
use super::value::Kind;
use ap_device::topology::Topology;
use std::fs::{self, File};
use std::path::{Path, PathBuf};
use toml::Spanned;

/// What takes the place of what scenarios name.
#[derive(Debug, Clone, Default)]
pub struct Instead {
    /// The topology of the machine.
    pub topology: Option<PathBuf>,
    /// What all guests run.
    pub guest: Option<Kind>,
}

impl Instead {
    /// Whether its own files serve.
    ///
    /// # Errors
    /// What is wrong with which.
    pub fn check(&self) -> Result<(), String> {
        if let Some(file) = &self.topology {
            topology(file).map_err(|what| format!("TOPOLOGY: {what}"))?;
        }
        match &self.guest {
            Some(Kind::File(file)) => kernel(file).map_err(|what| format!("GUEST: {what}")),
            _ => Ok(()),
        }
    }
}

impl Scenario {
    /// With what takes the place of its files; those that stay are looked for
    /// beside its own, and must serve.
    pub(super) fn with_files(
        mut self,
        source: &Source<'_>,
        instead: &Instead,
    ) -> Result<Self, ScenarioError> {
        let folder = self.file.parent().unwrap_or(Path::new(""));
        match &instead.topology {
            Some(file) => file.clone_into(self.topology.as_mut()),
            None => resolve(&mut self.topology, source, folder, topology)?,
        }
        for guest in &mut self.guests {
            let span = guest.kind.span();
            match (&instead.guest, guest.kind.as_mut()) {
                (Some(kind), own) => kind.clone_into(own),
                (None, Kind::File(file)) => {
                    let mut named = Spanned::new(span, file.clone());
                    resolve(&mut named, source, folder, kernel)?;
                    *file = named.into_inner();
                }
                _ => {}
            }
        }
        Ok(self)
    }
}

fn resolve(
    named: &mut Spanned<PathBuf>,
    source: &Source<'_>,
    folder: &Path,
    check: fn(&Path) -> Result<(), String>,
) -> Result<(), ScenarioError> {
    let file = folder.join(named.as_ref());
    check(&file).map_err(|what| source.at(&named.span(), what))?;
    *named.as_mut() = file;
    Ok(())
}

fn topology(file: &Path) -> Result<(), String> {
    let name = file.display();
    let text = fs::read_to_string(file).map_err(|e| format!("{name}: {e}"))?;
    let parsed = Topology::parse(&text).map(drop);
    parsed.map_err(|e| format!("{name}: {e}"))
}

/// What is in it, the VMM will see.
fn kernel(file: &Path) -> Result<(), String> {
    let name = file.display();
    let opened = File::open(file).and_then(|f| f.metadata());
    match opened.map_err(|e| format!("{name}: {e}"))? {
        facts if !facts.is_file() => Err(format!("{name}: no file")),
        facts if facts.len() == 0 => Err(format!("{name}: empty")),
        _ => Ok(()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const TEXT: &str = r#"name = "x"
topology = "t.toml"
[[guest]]
id = "g"
[[guest]]
id = "h"
kind = "KIND"
[[step]]
start = "g"
"#;

    struct Folder(tempfile::TempDir);

    impl Folder {
        fn new(files: &[(&str, &str)]) -> Self {
            let folder = tempfile::tempdir().unwrap();
            for (name, text) in files {
                fs::write(folder.path().join(name), text).unwrap();
            }
            Self(folder)
        }

        fn read(&self, kind: &str, instead: &Instead) -> Result<Scenario, String> {
            let file = self.0.path().join("s.toml");
            fs::write(&file, TEXT.replace("KIND", kind)).unwrap();
            let home = format!("{}/", self.0.path().display());
            Scenario::read(&file, instead).map_err(|e| e.to_string().replace(&home, ""))
        }
    }

    const TOPOLOGY: &str =
        "usage-domains = [4]\n[[adapter]]\napid = 5\nmode = \"accelerator\"\ngeneration = 8\n";

    #[test]
    fn files_that_do_not_serve_are_told_with_line_and_key() {
        let own = Instead::default();
        let missing = "No such file or directory (os error 2)";
        let empty = Folder::new(&[]);
        let error = empty.read("probe", &own).unwrap_err();
        assert_eq!(error, format!("s.toml:2: topology: t.toml: {missing}"));

        let bad = Folder::new(&[("t.toml", &TOPOLOGY.replace("= 8", "= 99"))]);
        let error = bad.read("probe", &own).unwrap_err();
        let words = "s.toml:2: topology: t.toml: line 5: generation: 99 is no generation";
        assert!(error.starts_with(words), "{error}");

        let files = [("t.toml", TOPOLOGY), ("kernel", "x"), ("nothing", "")];
        let good = Folder::new(&files);
        for (kind, what) in [
            ("bzImage", missing),
            ("nothing", "empty"),
            (".", "no file"),
            ("kernel/x", "Not a directory (os error 20)"),
        ] {
            let error = good.read(kind, &own).unwrap_err();
            assert_eq!(error, format!("s.toml:7: kind: {kind}: {what}"));
        }
        for kind in ["probe", "linux", "kernel"] {
            let scenario = good.read(kind, &own).unwrap();
            assert_eq!(scenario.topology.as_ref(), &good.0.path().join("t.toml"));
            let expected = match kind {
                "kernel" => Kind::File(good.0.path().join("kernel")),
                word => Kind::from(word),
            };
            assert_eq!(scenario.guests[1].kind.as_ref(), &expected);
        }
    }

    #[test]
    fn what_is_replaced_need_not_be_there() {
        let empty = Folder::new(&[]);
        let kernel = Folder::new(&[("t.toml", TOPOLOGY), ("kernel", "x")]);
        let instead = Instead {
            topology: Some(kernel.0.path().join("t.toml")),
            guest: Some(Kind::File(kernel.0.path().join("kernel"))),
        };
        instead.check().unwrap();
        let scenario = empty.read("no-such", &instead).unwrap();
        assert_eq!(Some(scenario.topology.into_inner()), instead.topology);
        for guest in scenario.guests {
            assert_eq!(Some(guest.kind.into_inner()), instead.guest);
        }

        for (instead, words) in [
            (
                Instead {
                    topology: Some("no/such".into()),
                    guest: None,
                },
                "TOPOLOGY: no/such: No such file",
            ),
            (
                Instead {
                    topology: None,
                    guest: Some("no/such".into()),
                },
                "GUEST: no/such: No such file",
            ),
        ] {
            let error = instead.check().unwrap_err();
            assert!(error.starts_with(words), "{error}");
        }
    }
}
