//! `docs/benchmarks.md`: the tables and plots, put between the words that people wrote.

use std::{env::consts::OS, fmt::Write as _, fs, path::Path, process::Command, thread};

use anyhow::{Context, ensure};

use super::{figure::figure, plot, suite::Suite, summary::Row};
use crate::workspace::workspace;

const BEGIN: &str = "<!-- Written by `cargo xtask bench --write-docs`: begin -->\n";
/// Begins the line that names the suites which the page does not have.
const MISSING: &str = "\nNot measured: ";
const END: &str = "<!-- Written by `cargo xtask bench --write-docs`: end -->\n";

/// Writes the plots and the generated part of the page.
pub(crate) fn write(rows: &[Row]) -> anyhow::Result<()> {
    let docs = workspace().join("docs");
    let page = docs.join("benchmarks.md");
    let text =
        fs::read_to_string(&page).with_context(|| format!("cannot read {}", page.display()))?;
    let parts = text.split_once(BEGIN).and_then(|(before, rest)| {
        let (generated, after) = rest.split_once(END)?;
        Some((before, generated, after))
    });
    let (before, old, after) = parts.context("docs/benchmarks.md has lost its two marks")?;
    ensure!(!rows.is_empty(), "the summary is empty");

    let measured = format!("Measured at revision {} on {}.\n", revision()?, machine(&docs));
    let sections = sections(old, rows, &docs.join("benchmarks"))?;
    fs::write(&page, [before, BEGIN, &measured, &sections, END, after].concat())
        .with_context(|| format!("cannot write {}", page.display()))
}

/// Returns the sections of all suites, writing their plots into `plots`.
///
/// A suite that was not run here keeps the section that it has on the page, and without one is named
/// at the end.
fn sections(old: &str, rows: &[Row], plots: &Path) -> anyhow::Result<String> {
    let mut sections = String::new();
    let mut missing = Vec::new();
    for suite in Suite::ALL.map(Suite::name) {
        let rows: Vec<&Row> = rows.iter().filter(|row| row.suite == suite).collect();
        if rows.is_empty() {
            match section(old, suite) {
                Some(section) => sections.push_str(section),
                None => missing.push(format!("`cargo xtask bench --suite {suite}`")),
            }
            continue;
        }
        writeln!(sections, "\n## {}\n", title(suite))?;
        writeln!(sections, "`cargo xtask bench --suite {suite}`\n")?;
        for (file, caption) in plot::write(suite, &rows, plots)? {
            writeln!(sections, "![{caption}](benchmarks/{file})\n")?;
        }
        tables(&mut sections, &rows)?;
    }
    if !missing.is_empty() {
        writeln!(sections, "{MISSING}{}.\n", missing.join(", "))?;
    }
    Ok(sections)
}

/// Returns what the page has of a suite that was not run here, so that it stays.
fn section<'a>(page: &'a str, suite: &str) -> Option<&'a str> {
    let head = format!("\n## {}\n", title(suite));
    let section = &page[page.find(&head)?..];
    let ends = ["\n## ", MISSING].map(|next| section[head.len()..].find(next));
    let end = ends.into_iter().flatten().min().map_or(section.len(), |end| head.len() + end);
    Some(&section[..end])
}

fn title(suite: &str) -> &str {
    match suite {
        "merge" => "Merging, without a store",
        "store" => "The store and the raw engine below it",
        "recovery" => "Opening a store",
        "growth" => "How costs grow",
        "peers" => "What a user would pick instead",
        "postgres" => "On PostgreSQL, which other processes share",
        "http" => "Over HTTP",
        other => other,
    }
}

/// Writes one table for each run of cases that have the same subjects and unit.
fn tables(out: &mut String, rows: &[&Row]) -> anyhow::Result<()> {
    let mut cases: Vec<(&str, Vec<&Row>)> = Vec::new();
    for row in rows.iter().filter(|row| !plot::is_only_plotted(&row.case)) {
        match cases.iter_mut().find(|(case, _)| *case == row.case) {
            Some((_, same)) => same.push(row),
            None => cases.push((&row.case, vec![row])),
        }
    }
    let columns = |rows: &[&Row]| -> Vec<(String, String)> {
        rows.iter().map(|row| (row.subject.clone(), row.unit.clone())).collect()
    };
    for block in cases.chunk_by(|(_, a), (_, b)| columns(a) == columns(b)) {
        let (_, first) = &block[0];
        let mut head = format!("| {} |", first[0].unit);
        let mut rule = String::from("| --- |");
        for row in first {
            write!(head, " {} |", row.subject.replace('|', r"\|"))?;
            rule.push_str(" ---: |");
        }
        writeln!(out, "{head}\n{rule}")?;
        for (case, rows) in block {
            write!(out, "| {case} |")?;
            for row in rows {
                let ratio = row.ratio.map(|ratio| format!(" ({}×)", figure(ratio)));
                write!(out, " {}{} |", figure(row.value), ratio.unwrap_or_default())?;
            }
            out.push('\n');
        }
        let compared = first.iter().filter_map(|row| Some((&row.subject, row.baseline.as_ref()?)));
        let mut compared: Vec<String> =
            compared.filter(|(a, b)| a != b).map(|(_, baseline)| baseline.clone()).collect();
        compared.sort();
        compared.dedup();
        if !compared.is_empty() {
            writeln!(out, "\n× how many times as fast as {}.", compared.join(", or as "))?;
        }
        out.push('\n');
    }
    Ok(())
}

/// Returns the revision of the code that is measured, and whether it was changed since.
fn revision() -> anyhow::Result<String> {
    let output = Command::new("git")
        .current_dir(workspace())
        .args(["describe", "--always", "--dirty", "--exclude=*"])
        .output()
        .context("cannot run git")?;
    ensure!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    Ok(String::from_utf8(output.stdout)?.trim().to_owned())
}

/// Returns the machine in words: its cores, its memory, its system and its disk.
fn machine(dir: &Path) -> String {
    let cores = thread::available_parallelism().map_or(1, usize::from);
    let field = |file: &str, name: &str| {
        let text = fs::read_to_string(file).unwrap_or_default();
        let line = text.lines().find(|line| line.starts_with(name))?;
        line.split_once(':').map(|(_, value)| value.trim().to_owned())
    };
    let processor = field("/proc/cpuinfo", "model name").unwrap_or("unknown processor".into());
    let memory = field("/proc/meminfo", "MemTotal").unwrap_or_default();
    let kilobytes: f64 = memory.split(' ').next().and_then(|kb| kb.parse().ok()).unwrap_or(0.0);
    let system = if OS == "linux" { "Linux" } else { OS };
    let disk = disk(dir).unwrap_or("an unknown disk".to_owned());
    let memory = (kilobytes / 1024.0 / 1024.0).round();
    format!("{cores} cores of {processor}, {memory} GiB of memory, {system}, {disk}")
}

/// Returns the file system that holds `dir`, and the kind of disk below it.
fn disk(dir: &Path) -> Option<String> {
    let dir = dir.canonicalize().ok()?;
    let mounts = fs::read_to_string("/proc/mounts").ok()?;
    let mounts = mounts.lines().filter_map(|line| {
        let mut fields = line.split(' ');
        Some((fields.next()?, fields.next()?, fields.next()?))
    });
    let here = mounts.filter(|(_, point, _)| dir.starts_with(point));
    let (device, _, system) = here.max_by_key(|(_, point, _)| point.len())?;
    let name = device.rsplit('/').next()?;
    let kind = match name {
        _ if name.starts_with("vd") || name.starts_with("xvd") => "a virtual disk",
        _ if name.starts_with("nvme") => "an NVMe disk",
        _ if name.starts_with("sd") => "a SATA or SCSI disk",
        _ => "a disk of unknown kind",
    };
    Some(format!("{system} on {kind}"))
}

#[cfg(test)]
mod tests {
    use std::fs;

    use super::{MISSING, section, sections, title};
    use crate::bench::summary::Row;

    fn row(suite: &str, case: &str, unit: &str) -> Row {
        Row {
            suite: suite.to_owned(),
            case: case.to_owned(),
            subject: "MelDB on fjall".to_owned(),
            value: 12.0,
            unit: unit.to_owned(),
            baseline: None,
            ratio: None,
        }
    }

    #[test]
    fn a_suite_that_was_not_run_keeps_its_section() {
        let [first, second] =
            ["merge", "peers"].map(|suite| format!("\n## {}\n\nx\n", title(suite)));
        let page = format!("Measured.\n{first}{second}");
        assert_eq!(section(&page, "merge"), Some(&*first));
        assert_eq!(section(&page, "peers"), Some(&*second));
        assert_eq!(section(&page, "http"), None);
        let page = format!("{page}{MISSING}http.\n");
        assert_eq!(section(&page, "peers"), Some(&*second));
    }

    #[test]
    fn a_page_has_the_tables_and_plots_of_what_was_run_and_names_the_rest() {
        let dir = tempfile::tempdir().expect("a directory");
        let rows = [
            row("growth", "merge, 10000 documents", "µs/op"),
            row("growth", "merge, 1000000 documents", "µs/op"),
            row("growth", "1000 documents, 1000 updates", "× live bytes"),
            row("growth", "1000 documents, 2000 updates", "× live bytes"),
            row("growth", "1000 documents, compacted", "× live bytes"),
            row("growth", "stalls, slowest", "ms/write"),
            row("growth", "stalls, second 1", "ms/write"),
            row("growth", "stalls, second 2", "ms/write"),
        ];
        let old = format!("\n## {}\n\nold\n", title("merge"));
        let page = sections(&old, &rows, dir.path()).expect("the page is made");
        assert!(page.starts_with(&old));
        for expected in ["## How costs grow", "| merge, 10000 documents | 12.0 |", "compacted |"] {
            assert!(page.contains(expected), "{expected} in {page}");
        }
        for (file, unit) in [("growth-merge.svg", "µs/op"), ("growth-space.svg", "× live bytes")]
        {
            assert!(page.contains(&format!("(benchmarks/{file})")), "{page}");
            let plot = fs::read_to_string(dir.path().join(file)).expect("the plot is written");
            assert!(plot.contains("<svg") && plot.contains(unit), "{plot}");
        }
        assert!(!page.contains("growth-open.svg"));
        assert!(page.contains("growth-stalls.svg") && !page.contains("stalls, second"), "{page}");
        let missing = page.split_once(MISSING).expect("some suites have not been run").1;
        assert!(missing.contains("--suite postgres`") && !missing.contains("--suite merge`"));

        let again = sections(&page, &rows[..2], dir.path()).expect("the page is made");
        assert_eq!(again.matches(MISSING).count(), 1);
        assert!(again.starts_with(&old));
    }
}
