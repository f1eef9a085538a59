//! The table at the end, and the same as JSON.

use std::{collections::BTreeMap, fmt::Write, time::Duration};

use meldb_testkit::need::Need;
use serde_json::{Value, json};

use super::{
    check::{Done, Tally, Verdict},
    part::Part,
};

/// What came of all checks.
pub(super) struct Report {
    factor: u64,
    checks: Vec<(Part, &'static str, Done)>,
}

/// A line of the table.
struct Row {
    checks: usize,
    tally: Tally,
    result: String,
    took: Duration,
}

impl Report {
    pub(super) fn new(factor: u64) -> Self {
        Self { factor, checks: Vec::new() }
    }

    pub(super) fn add(&mut self, part: Part, name: &'static str, done: Done) {
        self.checks.push((part, name, done));
    }

    /// Returns the names of the checks whose verdict is such a one.
    pub(super) fn names(&self, is_named: impl Fn(&Verdict) -> bool) -> Vec<&'static str> {
        let named = self.checks.iter().filter(|(_, _, done)| is_named(&done.verdict));
        named.map(|(_, name, _)| *name).collect()
    }

    /// Returns a line for each part, and below it one for each check that has not passed.
    pub(super) fn to_table(&self) -> String {
        let mut text = format!(
            "{:<12} {:>6} {:>8} {:>8} {:>8}  result\n",
            "part", "checks", "rounds", "faults", "seconds"
        );
        let mut line = |name: &str, row: Row| {
            let Tally { rounds, faults } = row.tally;
            let seconds = row.took.as_secs_f64();
            let _ = writeln!(
                text,
                "{name:<12} {:>6} {rounds:>8} {faults:>8} {seconds:>8.0}  {}",
                row.checks, row.result
            );
        };
        for (part, row) in self.rows() {
            line(part.name(), row);
        }
        line("all", Row::of(self.checks.iter().map(|(_, _, done)| done)));
        for (part, name, done) in &self.checks {
            if let Some(what) = trouble(&done.verdict) {
                let _ = writeln!(text, "{}: {name}: {what}", part.name());
            }
        }
        text
    }

    /// Returns the parts, the checks, and what is missing, as one document.
    pub(super) fn to_json(&self, missing: &BTreeMap<Need, usize>) -> Value {
        let rows = self.rows();
        let parts: Vec<_> = rows.iter().map(|(part, row)| row.to_json(part.name())).collect();
        let checks: Vec<_> = self
            .checks
            .iter()
            .map(|(part, name, done)| {
                let mut check = Row::of([done].into_iter()).to_json(part.name());
                check["check"] = json!(name);
                check["reason"] = json!(reason(&done.verdict));
                check
            })
            .collect();
        let missing: Vec<_> = missing
            .iter()
            .map(|(need, checks)| {
                json!({"need": need.to_string(), "install": need.how_to_get(), "checks": checks})
            })
            .collect();
        json!({"factor": self.factor, "parts": parts, "checks": checks, "missing": missing})
    }

    fn rows(&self) -> BTreeMap<Part, Row> {
        let mut parts: BTreeMap<Part, Vec<&Done>> = BTreeMap::new();
        for (part, _, done) in &self.checks {
            parts.entry(*part).or_default().push(done);
        }
        parts.into_iter().map(|(part, done)| (part, Row::of(done.into_iter()))).collect()
    }
}

impl Row {
    fn of<'a>(checks: impl Iterator<Item = &'a Done>) -> Self {
        let mut row = Self {
            checks: 0,
            tally: Tally::default(),
            result: String::new(),
            took: Duration::ZERO,
        };
        let (mut failed, mut missing, mut interrupted) = (0, 0, 0);
        for done in checks {
            let Tally { rounds, faults } = done.verdict.tally();
            row.checks += 1;
            row.tally.rounds += rounds;
            row.tally.faults += faults;
            row.took += done.took;
            match done.verdict {
                Verdict::Passed(_) => {}
                Verdict::Failed(_) => failed += 1,
                Verdict::Missing(_) => missing += 1,
                Verdict::Interrupted => interrupted += 1,
            }
        }
        let troubles = [(failed, "FAILED"), (missing, "missing"), (interrupted, "interrupted")];
        let troubles = troubles.into_iter().filter(|(count, _)| *count > 0);
        let troubles: Vec<_> = troubles.map(|(count, name)| format!("{count} {name}")).collect();
        row.result = if troubles.is_empty() { "passed".to_owned() } else { troubles.join(", ") };
        row
    }

    fn to_json(&self, part: &str) -> Value {
        json!({
            "part": part,
            "number_of_checks": self.checks,
            "rounds": self.tally.rounds,
            "faults": self.tally.faults,
            "result": self.result,
            "seconds": self.took.as_secs_f64(),
        })
    }
}

fn reason(verdict: &Verdict) -> Option<&str> {
    match verdict {
        Verdict::Failed(why) | Verdict::Missing(why) => Some(why),
        Verdict::Passed(_) | Verdict::Interrupted => None,
    }
}

fn trouble(verdict: &Verdict) -> Option<String> {
    let name = if verdict.is_failure() { "FAILED" } else { "missing" };
    reason(verdict).map(|why| format!("{name}: {why}"))
}
