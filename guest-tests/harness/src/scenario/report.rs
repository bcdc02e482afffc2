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

impl StepReport {
    /// Whether all is as it should be.
    pub fn passed(&self) -> bool {
        self.failures.is_empty() && self.findings.iter().all(|f| f.holds)
    }

    /// Print it.
    pub fn print(&self, ktap: &mut Ktap) {
        if let Some(why) = &self.skipped {
            ktap.skip(&self.action, why);
            return;
        }
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
        ktap.result(self.passed(), &self.action);
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
}

impl Report {
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
