// SPDX-License-Identifier: MIT OR Apache-2.0
//! What shows that the C driver's defects are there, and are not in ours:
//! `docs/evidence/weaknesses.md` is made of the [`CATALOGUE`] and of what the
//! tests saw, which they leave in `target/evidence/weaknesses.json`.

mod catalogue;
mod named;

pub use catalogue::CATALOGUE;
pub use named::must_exist;

use crate::config::project_root;
use crate::error::Error;
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;
use std::fmt::Write;
use std::fs;
use std::path::PathBuf;

/// A defect of the C driver.
#[derive(Debug)]
pub struct Weakness {
    /// Its number.
    pub number: u8,
    /// How it was found: in a run of the C code, by reading it, or neither.
    pub found: &'static str,
    /// What it is.
    pub defect: &'static str,
    /// What shows it.
    pub proof: Proof,
}

/// How a defect is shown.
#[derive(Debug)]
pub enum Proof {
    /// One test takes both drivers through the same steps.
    Both {
        /// The test.
        test: &'static str,
        /// What the C driver does.
        c: &'static str,
        /// What ours does.
        rust: &'static str,
        /// Tests of ours alone.
        more: &'static [&'static str],
    },
    /// It needs interrupts of AP queues, which L1 does not have.
    Pending {
        /// Tests without hardware.
        tests: &'static [&'static str],
    },
}

/// What was seen of one defect.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Seen {
    /// On the C driver.
    pub c: String,
    /// On ours.
    pub rust: String,
}

/// What was seen, by the defect's number.
pub type Record = BTreeMap<u8, Seen>;

fn record_file() -> PathBuf {
    project_root().join("target/evidence/weaknesses.json")
}

/// Leaves for the table what a test saw.
///
/// # Errors
/// When the file cannot be read or written.
pub fn leave(new: Record) -> Result<(), Error> {
    let path = record_file();
    let fail = || Error::host(path.display().to_string());
    let mut record = recorded().unwrap_or_default();
    record.extend(new);
    let text = serde_json::to_vec_pretty(&record).map_err(|e| fail()(e.into()))?;
    let folder = path.parent().unwrap_or(&path);
    fs::create_dir_all(folder).map_err(fail())?;
    fs::write(&path, text).map_err(fail())
}

/// What the tests left.
///
/// # Errors
/// When they were not run.
pub fn recorded() -> Result<Record, Error> {
    let path = record_file();
    let text = fs::read(&path).map_err(Error::host(path.display().to_string()))?;
    serde_json::from_slice(&text).map_err(|e| Error::host(path.display().to_string())(e.into()))
}

/// What the tests see when they pass: each asserts exactly this.
pub fn expected() -> Record {
    let both = CATALOGUE
        .iter()
        .filter_map(|weakness| match weakness.proof {
            Proof::Both { c, rust, .. } => Some((
                weakness.number,
                Seen {
                    c: c.to_owned(),
                    rust: rust.to_owned(),
                },
            )),
            _ => None,
        });
    both.collect()
}

/// The table, of what was seen.
///
/// # Errors
/// When a defect that can be shown was not looked for, has no test, or has one
/// that does not exist.
pub fn table(record: &Record) -> Result<String, Error> {
    table_of(CATALOGUE, record)
}

fn table_of(catalogue: &[Weakness], record: &Record) -> Result<String, Error> {
    let mut text = String::from(
        "<!-- SPDX-License-Identifier: MIT OR Apache-2.0 -->\n\
         # The C driver's defects\n\n\
         Made by `l1 evidence` from what tests saw; do not edit. *Found*: RUN, in a run of the C\n\
         code with mocked hardware; READ, in its source; UNSURE. Tests: `logic::` are in\n\
         `hostdrv/logic/src/tests/`, `protocol::` in `hostdrv/logic/tests/`, `driver::` in\n\
         `guest-tests/harness/tests/driver/` (these boot L1).\n\n\
         | | Found | Defect | C driver | Ours | Shown by |\n|---|---|---|---|---|---|\n",
    );
    for weakness in catalogue {
        let Weakness {
            number,
            found,
            defect,
            proof,
        } = weakness;
        let (c, rust, tests) = match proof {
            Proof::Both { test, more, .. } => {
                let seen = record.get(number).ok_or_else(|| {
                    Error::Transfer(format!("W{number}: {test} has not been run"))
                })?;
                let tests = [&[*test], *more].concat();
                (seen.c.clone(), seen.rust.clone(), tests)
            }
            Proof::Pending { tests } => (
                "pending: needs AP interrupts in L1".to_owned(),
                "pending in L1".to_owned(),
                tests.to_vec(),
            ),
        };
        if tests.is_empty() {
            return Err(Error::Transfer(format!("W{number} has no test")));
        }
        tests.iter().try_for_each(|test| must_exist(test))?;
        let tests: Vec<String> = tests.iter().map(|test| format!("`{test}`")).collect();
        let tests = tests.join(", ");
        // writing to a string cannot fail
        let _ = writeln!(
            text,
            "| W{number} | {found} | {defect} | {c} | {rust} | {tests} |"
        );
    }
    Ok(text)
}

/// Where the table is kept.
pub fn table_file() -> PathBuf {
    project_root().join("docs/evidence/weaknesses.md")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_defect_is_there_once() {
        let numbers: Vec<u8> = CATALOGUE.iter().map(|weakness| weakness.number).collect();
        assert_eq!(numbers, (1..=25).collect::<Vec<u8>>());
    }

    #[test]
    fn a_table_names_tests_that_exist() {
        let refused = |tests: &'static [&'static str]| {
            let weakness = Weakness {
                number: 1,
                found: "RUN",
                defect: "it is made up",
                proof: Proof::Pending { tests },
            };
            let table = table_of(&[weakness], &Record::new());
            table.err().map(|error| error.to_string())
        };
        assert_eq!(
            refused(&["logic::log::a_format_takes_numbers_and_no_pointers"]),
            None
        );
        for (tests, words) in [
            (&[][..], "W1 has no test"),
            (&["logic::log::nothing"], "logic::log::nothing is named"),
            (
                &["logic::nothing::at_all"],
                "logic::nothing::at_all is named",
            ),
            (&["nowhere::log::nothing"], "nowhere::log::nothing is named"),
        ] {
            assert!(refused(tests).unwrap().contains(words), "{tests:?}");
        }
    }

    #[test]
    fn both_drivers_differ_in_what_shows_a_defect() {
        for (number, seen) in expected() {
            assert_ne!(seen.c, seen.rust, "W{number}");
        }
    }

    #[test]
    fn the_table_in_docs_is_what_passing_tests_make() {
        let text = fs::read_to_string(table_file()).unwrap();
        assert_eq!(text, table(&expected()).unwrap(), "run `l1 evidence`");
    }

    #[test]
    fn the_tests_that_differences_names_exist() {
        let text = fs::read_to_string(project_root().join("docs/differences.md")).unwrap();
        let mut count = 0;
        for word in text.split(|c: char| !(c.is_ascii_alphanumeric() || c == '_' || c == ':')) {
            if let Some((module, _)) = word.split_once("::") {
                let module: &str = module;
                let known = ["logic", "driver", "protocol"].contains(&module);
                let name = if known {
                    word.to_owned()
                } else {
                    format!("logic::{word}")
                };
                must_exist(&name).unwrap();
                count += 1;
            }
        }
        assert!(count > 20, "only {count} tests are named");
    }

    #[test]
    fn the_tests_that_promises_name_exist() {
        let text = fs::read_to_string(project_root().join("docs/evidence/run-guest.md")).unwrap();
        let quoted = text.split('`').skip(1).step_by(2);
        let mut count = 0;
        for (file, function) in quoted.filter_map(|q| q.rsplit_once("::")) {
            let path = project_root().join(format!("guest-tests/harness/tests/{file}"));
            let folder = fs::read_dir(&path).into_iter().flatten();
            let parts = folder.map(|entry| entry.unwrap().path());
            let mut files = parts.chain([path.with_extension("rs")]);
            let is_unit = file.starts_with("scenario");
            let has = |f| fs::read_to_string(f).is_ok_and(|text| named::is_test(&text, function));
            assert!(
                is_unit || files.any(has),
                "{file}::{function} is named, and not there"
            );
            count += 1;
        }
        assert!(count > 30, "only {count} tests are named");
    }
}
