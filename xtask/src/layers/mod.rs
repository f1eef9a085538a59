//! Checks that modules depend on each other in one direction.
//!
//! Two rules: no module of a crate depends on itself by way of others, and in a crate whose layers
//! `ARCHITECTURE.md` lists, a layer uses only those below it. A module is a file. Tests are left out.

mod cycles;
mod modules;
mod table;
mod tokens;

#[cfg(test)]
mod tests;

use std::{fs, path::Path};

use anyhow::{Context, bail};

use modules::Modules;
use table::Table;

/// The packages that are checked.
const PACKAGES: [&str; 10] = [
    "crates/meldb",
    "crates/meldb-http",
    "crates/meldb-server",
    "crates/meldb-cli",
    "crates/testkit",
    "crates/faultkit",
    "benches",
    "fuzz",
    "fuzz-http",
    "xtask",
];

/// Checks every package and fails if a rule is broken.
pub(crate) fn run(workspace: &Path) -> anyhow::Result<()> {
    let map = fs::read_to_string(workspace.join("ARCHITECTURE.md"))?;
    let mut problems = Vec::new();
    for package in PACKAGES {
        let src = workspace.join(package).join("src");
        let modules = Modules::read(&src).with_context(|| format!("reading {package}"))?;
        problems.extend(problems_of(package, &modules, Table::find(&map, package).as_ref()));
    }
    match &problems[..] {
        [] => Ok(()),
        problems => bail!("modules depend on each other:\n{}", problems.join("\n")),
    }
}

/// Returns one line for each broken rule.
fn problems_of(package: &str, modules: &Modules, table: Option<&Table>) -> Vec<String> {
    let mut problems = Vec::new();
    for cycle in cycles::cycles(&modules.uses()) {
        let names: Vec<_> = cycle.iter().map(|module| modules.name(*module)).collect();
        problems.push(format!("{package}: a cycle of {}", names.join(", ")));
    }
    if let Some(table) = table {
        problems.extend(table.problems(modules).iter().map(|line| format!("{package}: {line}")));
    }
    problems
}
