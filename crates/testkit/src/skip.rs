//! Saying that a test was skipped, so that nobody takes it for one that has passed.
//!
//! Each test binary is a process of its own, and the test runner keeps no count of what says that it
//! is skipped. So every skipped test is noted in a file of the run, below the target directory; the
//! last test target of the workspace prints how many there were.

use std::{
    collections::{BTreeMap, BTreeSet},
    env,
    fmt::Write as _,
    fs::{self, OpenOptions},
    io::{self, Write},
    os::unix::process::parent_id,
    path::{Path, PathBuf},
    thread,
};

use crate::{need::Need, print_line::print_line};

/// Prints that the test of this thread is skipped and why, also where the test runner keeps the output
/// back, and notes it for the end of the run.
pub fn skip(need: Need) {
    let test = thread::current().name().unwrap_or("a test").to_owned();
    print_line(format_args!("SKIPPED: {test} needs {need}; {}", need.how_to_get()));
    // A directory that cannot be written is no reason to fail: the line above says it all.
    Ledger::of_this_run().and_then(|ledger| ledger.note(&test, need)).ok();
}

/// Returns whether the machine has what the test of this thread needs; says that it is skipped if not.
pub fn has(need: Need) -> bool {
    let is_met = need.is_met();
    if !is_met {
        skip(need);
    }
    is_met
}

/// The tests that were skipped in a run of `cargo test`.
#[derive(Debug)]
pub struct Ledger(PathBuf);

impl Ledger {
    /// Returns that of the run which this process is part of: those of one run have one parent, cargo.
    ///
    /// # Errors
    /// The target directory is not found or cannot be written to.
    pub fn of_this_run() -> io::Result<Self> {
        let program = env::current_exe()?;
        let profile = program.ancestors().nth(2).ok_or(io::ErrorKind::NotFound)?;
        let cargo = parent_id();
        // Process ids are used again: the time when the process started makes it a name of this run.
        let stat = fs::read_to_string(format!("/proc/{cargo}/stat")).unwrap_or_default();
        let after_name = stat.rsplit(')').next().unwrap_or_default();
        let started = after_name.split_whitespace().nth(19).unwrap_or("0");
        Self::in_dir(&profile.join("skipped-tests"), &format!("{cargo}-{started}"))
    }

    fn in_dir(dir: &Path, run: &str) -> io::Result<Self> {
        fs::create_dir_all(dir)?;
        Ok(Self(dir.join(run)))
    }

    fn note(&self, test: &str, need: Need) -> io::Result<()> {
        let program = env::current_exe()?;
        let program = program.file_name().unwrap_or_default().to_string_lossy();
        let line = format!("{program} {test}\t{need}\t{}\n", need.how_to_get());
        // One write to a file that is appended to: lines of several processes do not mix.
        let mut file = OpenOptions::new().create(true).append(true).open(&self.0)?;
        file.write_all(line.as_bytes())
    }

    /// Returns how many tests were skipped, and a text that says so and how to run them; then forgets
    /// them.
    ///
    /// # Errors
    /// The file cannot be read.
    pub fn close(self) -> io::Result<(usize, String)> {
        match fs::read_to_string(&self.0) {
            Ok(noted) => fs::remove_file(&self.0).map(|()| summary(&noted)),
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(summary("")),
            Err(error) => Err(error),
        }
    }
}

fn summary(noted: &str) -> (usize, String) {
    let mut tests = BTreeSet::new();
    let mut by_need: BTreeMap<(&str, &str), BTreeSet<&str>> = BTreeMap::new();
    for line in noted.lines() {
        let mut fields = line.split('\t');
        let [Some(test), Some(need), Some(how)] = [fields.next(), fields.next(), fields.next()]
        else {
            continue;
        };
        tests.insert(test);
        by_need.entry((need, how)).or_default().insert(test);
    }
    let mut text = format!("SKIPPED: {} tests in this run", tests.len());
    for ((need, how), tests) in by_need {
        let _ = write!(text, "\n  {} need {need}; {how}", tests.len());
    }
    (tests.len(), text)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn skipped_tests_of_a_run_are_counted_once_and_those_of_others_are_not() {
        let dir = tempfile::tempdir().expect("a directory");
        let dir = dir.path().join("skipped-tests");
        let run = || Ledger::in_dir(&dir, "1").expect("a ledger");
        for (test, need) in [("a", Need::Postgres), ("a", Need::Postgres), ("b", Need::STRACE)] {
            run().note(test, need).expect("noted");
        }
        Ledger::in_dir(&dir, "2").expect("a ledger").note("c", Need::Postgres).expect("noted");
        let (skipped, text) = run().close().expect("closed");
        assert_eq!(skipped, 2, "{text}");
        assert!(text.contains("SKIPPED: 2 tests"), "{text}");
        assert!(text.contains("1 need PostgreSQL; install postgresql"), "{text}");
        let (skipped, text) = run().close().expect("closed");
        assert_eq!((skipped, text.lines().count()), (0, 1), "{text}");
    }
}
