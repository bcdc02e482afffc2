// SPDX-License-Identifier: MIT OR Apache-2.0
//! Tests that documents name: there must be one, and it must run.

use crate::config::project_root;
use crate::error::Error;
use std::fs;
use std::path::PathBuf;

/// Steps that are no test by themselves, by the beginning of their names, and
/// the test that takes them.
const STEPS: &[(&str, &str)] = &[
    (
        "driver::weaknesses::cases::w",
        "driver::weaknesses::the_c_driver_has_them_and_ours_does_not",
    ),
    (
        "driver::large::a_change_is_told_by_poll_and_uevent",
        "driver::large::everything_works_on_twelve_by_sixteen",
    ),
    (
        "driver::large::a_change_is_told_without_a_guest",
        "driver::large::everything_works_on_twelve_by_sixteen",
    ),
    (
        "driver::large::explain_is_never_truncated",
        "driver::large::everything_works_on_twelve_by_sixteen",
    ),
];

/// The source file of a test named `layer::module::function`, and the function.
fn source(test: &str) -> Option<(PathBuf, &str)> {
    let (path, function) = test.rsplit_once("::")?;
    let (layer, module) = path.split_once("::").unwrap_or((path, path));
    let folder = match layer {
        "logic" => "hostdrv/logic/src/tests",
        "protocol" => "hostdrv/logic/tests",
        "driver" => "guest-tests/harness/tests/driver",
        _ => return None,
    };
    let file = project_root().join(folder).join(module.replace("::", "/"));
    let alone = file.with_extension("rs");
    let found = if alone.exists() {
        alone
    } else {
        file.join("mod.rs")
    };
    Some((found, function))
}

/// Whether there is a test of that name, or a step of one.
///
/// # Errors
/// When there is none, or it is not run.
pub fn must_exist(test: &str) -> Result<(), Error> {
    let (text, function) = match source(test) {
        Some((file, function)) => (fs::read_to_string(file).unwrap_or_default(), function),
        None => (String::new(), test),
    };
    match STEPS.iter().find(|(step, _)| test.starts_with(step)) {
        Some((_, whole)) if is_step(&text, function) => must_exist(whole),
        None if is_test(&text, function) => Ok(()),
        _ => Err(Error::Transfer(format!("{test} is named, and not there"))),
    }
}

/// Whether a function is marked as a test, one of those that are run by `make
/// test` or `make nightly`.
pub(super) fn is_test(text: &str, function: &str) -> bool {
    let Some((before, _)) = text.split_once(&format!("fn {function}(")) else {
        return false;
    };
    let lines = before.lines().rev().map(str::trim);
    let mut marks = lines.skip_while(|line| line.is_empty());
    let marks: Vec<&str> = marks
        .by_ref()
        .take_while(|line| line.starts_with("#["))
        .collect();
    let runs = |mark: &&str| !mark.starts_with("#[ignore") || mark.contains("nightly");
    marks.contains(&"#[test]") && marks.iter().all(runs)
}

/// Whether a function is there, and used.
fn is_step(text: &str, function: &str) -> bool {
    text.contains(&format!("fn {function}(")) && text.matches(function).count() > 1
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_what_is_run_is_a_test() {
        for (text, wanted) in [
            ("#[test]\nfn t() {", true),
            ("    #[test]\n    fn t(a in b) {", true),
            ("#[test]\n#[ignore = \"nightly: long\"]\nfn t() {", true),
            ("#[test]\n#[ignore = \"broken\"]\nfn t() {", false),
            ("#[test]\n#[ignore]\nfn t() {", false),
            ("#[test]\nfn other() {\n}\n\nfn t() {", false),
            ("fn t() {", false),
            ("#[test]\nfn tt() {", false),
        ] {
            assert_eq!(is_test(text, "t"), wanted, "{text}");
        }
    }

    #[test]
    fn a_step_is_used() {
        assert!(is_step("fn s() {}\nfn t() { s() }", "s"));
        assert!(!is_step("fn step() {}\n", "step"));
        assert!(!is_step("step(); step();", "step"));
    }

    #[test]
    fn steps_are_there() {
        for test in [
            "driver::large::explain_is_never_truncated",
            "driver::weaknesses::cases::w05_listings_are_whole",
        ] {
            must_exist(test).unwrap();
        }
        let missing = must_exist("driver::weaknesses::cases::w99_nothing");
        assert!(missing.is_err());
    }
}
