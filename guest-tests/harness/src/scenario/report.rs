// SPDX-License-Identifier: MIT OR Apache-2.0
//! What a run of scenarios has shown, as KTAP while it runs and as JSON
//! afterwards.

use super::check::Finding;
use super::file::Scenario;
use crate::ktap::Ktap;
use serde::Serialize;
use std::path::{Path, PathBuf};

/// A whole run.
#[derive(Debug, Serialize)]
pub struct Report {
    /// Which driver L1 had.
    pub driver: &'static str,
    /// L1's kernel.
    pub kernel: String,
    /// The scenarios, in order.
    pub scenarios: Vec<ScenarioReport>,
    /// Whether all is as it should be.
    pub passed: bool,
}

/// A scenario.
#[derive(Debug, Serialize)]
pub struct ScenarioReport {
    /// Its file.
    pub file: PathBuf,
    /// Its name.
    pub name: String,
    /// The steps that were done.
    pub steps: Vec<StepReport>,
    /// Whether all steps were done, each as it should be.
    pub passed: bool,
    /// Why it was left out, if it was.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub skipped: Option<String>,
}

/// A step.
#[derive(Debug, Serialize)]
pub struct StepReport {
    /// Where it begins in the file.
    pub line: usize,
    /// What was done.
    pub action: String,
    /// What was expected, and seen.
    pub findings: Vec<Finding>,
    /// What else went wrong.
    pub failures: Vec<String>,
    /// Milliseconds from its beginning until all held, or time was over.
    pub milliseconds: u64,
    /// Why it was left out, if it was.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub skipped: Option<String>,
}

/// What a line of the output says of a step.
#[derive(Debug, PartialEq, Eq)]
enum Verdict {
    Pass,
    Fail,
    /// It was left out, or something of it could not be looked at.
    Skip(String),
}

impl StepReport {
    /// Whether all is as it should be.
    pub fn passed(&self) -> bool {
        self.failures.is_empty() && self.findings.iter().all(|f| f.holds)
    }

    /// Print it.
    pub fn print(&self, ktap: &mut Ktap) {
        for f in &self.findings {
            let after = f
                .told_after
                .map_or_else(String::new, |ms| format!(" after {ms} ms"));
            if f.holds {
                ktap.note(&format!("{}: {}{after}", f.what, f.seen));
            } else {
                ktap.note(&format!("{}: wanted {}", f.what, f.wanted));
                ktap.note(&format!("{}: seen   {}{after}", f.what, f.seen));
            }
        }
        for failure in &self.failures {
            ktap.note(failure);
        }
        match self.verdict() {
            Verdict::Skip(why) => ktap.skip(&self.action, &why),
            verdict => ktap.result(verdict == Verdict::Pass, &self.action),
        }
    }

    fn verdict(&self) -> Verdict {
        if !self.passed() {
            return Verdict::Fail;
        }
        let open = self.findings.iter().find(|f| f.not_checked);
        let open = open.map(|f| format!("{} {}", f.what, f.seen));
        let skip = self.skipped.clone().or(open);
        skip.map_or(Verdict::Pass, Verdict::Skip)
    }
}

impl ScenarioReport {
    /// Before its first step.
    pub fn of(scenario: &Scenario) -> Self {
        Self {
            file: scenario.file.clone(),
            name: scenario.name.clone(),
            steps: Vec::new(),
            passed: true,
            skipped: None,
        }
    }

    /// After its last step: one of which no step was done was left out.
    pub fn conclude(&mut self) {
        if self.steps.iter().all(|s| s.skipped.is_some()) {
            self.skipped = Some("none of its steps is for this run".to_owned());
        }
    }

    /// Print it, after its steps.
    pub fn print(&self, ktap: &mut Ktap) {
        match &self.skipped {
            Some(why) => ktap.skip(&self.name, why),
            None => ktap.result(self.passed, &self.name),
        }
    }
}

impl Report {
    /// After the last scenario: it passed if all did that were not left out. That
    /// nothing was run is no success.
    pub fn conclude(&mut self) {
        let all = &self.scenarios;
        self.passed = all.iter().all(|s| s.passed) && all.iter().any(|s| s.skipped.is_none());
    }

    /// Write it as JSON; the file is whole or not there.
    ///
    /// # Errors
    /// What the system refuses.
    pub fn write(&self, path: &Path) -> std::io::Result<()> {
        if let Some(folder) = path.parent() {
            std::fs::create_dir_all(folder)?;
        }
        let part = path.with_extension("part");
        std::fs::write(&part, serde_json::to_vec_pretty(self)?)?;
        std::fs::rename(&part, path)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn step(findings: Vec<Finding>, skipped: Option<&str>) -> StepReport {
        StepReport {
            line: 1,
            action: "start guest g".to_owned(),
            findings,
            failures: Vec::new(),
            milliseconds: 0,
            skipped: skipped.map(str::to_owned),
        }
    }

    #[test]
    fn what_was_left_out_is_no_success_of_its_own() {
        let scenario = |steps| {
            let mut scenario = ScenarioReport {
                file: PathBuf::new(),
                name: String::new(),
                steps,
                passed: true,
                skipped: None,
            };
            scenario.conclude();
            scenario
        };
        let left_out = || scenario(vec![step(Vec::new(), Some("only for Linux guests"))]);
        let done = scenario(vec![
            step(Vec::new(), Some("only for Linux guests")),
            step(Vec::new(), None),
        ]);
        assert!(left_out().skipped.is_some() && done.skipped.is_none());
        let passed = |scenarios| {
            let mut report = Report {
                driver: "rust",
                kernel: String::new(),
                scenarios,
                passed: false,
            };
            report.conclude();
            report.passed
        };
        assert!(!passed(vec![left_out()]));
        assert!(passed(vec![left_out(), done]));
    }

    #[test]
    fn what_could_not_be_looked_at_is_no_success_of_its_own() {
        let finding = |holds, not_checked| Finding {
            what: "crypto-ok".to_owned(),
            wanted: "3".to_owned(),
            seen: "no zcrypt".to_owned(),
            holds,
            told_after: None,
            not_checked,
        };
        let verdict = |findings| step(findings, None).verdict();
        let skip = Verdict::Skip("crypto-ok no zcrypt".to_owned());
        assert_eq!(verdict(vec![finding(true, false)]), Verdict::Pass);
        assert_eq!(
            verdict(vec![finding(true, true), finding(true, false)]),
            skip
        );
        assert_eq!(
            verdict(vec![finding(true, true), finding(false, false)]),
            Verdict::Fail
        );
    }
}
