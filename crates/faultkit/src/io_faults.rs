//! System calls that fail under a writer: every N-th one, until a run has none left to fail.
//!
//! A writer makes a store and writes a script of documents, with `strace` in between, which lets
//! the N-th call of one kind fail. What must hold, whatever fails: no write is acknowledged of which a
//! sync or a write on the committing thread has failed; a store that has failed takes no more writes, and one that has
//! refused a write has written nothing of it; a failed checkpoint loses nothing; and opening the store again finds
//! every acknowledged document with its entry of history, and no text and no entry that was not sent.

use std::{
    ffi::OsString,
    fs,
    io::{IoSlice, Write},
    ops::ControlFlow,
    path::{Path, PathBuf},
    process::{Command, Stdio},
    time::Duration,
};

use meldb::{Collection, EngineKind, Error, Filter, History, Index, Store, asc};
use serde_json::{Value, json};

/// How long building an index of so few documents takes at most.
const INDEXED_WITHIN: Duration = Duration::from_secs(60);
/// The writes of the script.
const WRITES: u64 = 8;
/// The most calls of one kind that a run is swept over, far above what a run makes.
const CALLS_MAX: u64 = 2_000;

/// What fails.
#[derive(Clone, Debug)]
pub struct IoFault {
    /// The system call, such as `fdatasync`.
    pub call: &'static str,
    /// The error, such as `EIO`.
    pub error: &'static str,
    /// Whether every call fails from the N-th on, and not that one alone.
    pub for_good: bool,
}

/// What came of a sweep.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct IoSummary {
    /// The runs in which a call failed.
    pub runs: u64,
    /// In how many of them the store did not open.
    pub not_opened: u64,
    /// In how many of them a write failed, and the store was read-only from then on.
    pub read_only: u64,
    /// In how many of them a write was refused, and the store went on.
    pub refused: u64,
    /// In how many of them nobody was told and nothing was wrong.
    pub unnoticed: u64,
    /// The runs in which something was wrong, and what.
    pub failures: Vec<String>,
}

/// Returns whether `strace` can let calls fail here.
///
/// # Errors
/// Why it cannot.
pub fn available() -> Result<(), String> {
    let mut command = Command::new("strace");
    command.args(["-f", "-o/dev/null", "-einject=fsync:error=EIO", "true"]);
    let done = command.stdin(Stdio::null()).output();
    let done = done.map_err(|error| format!("strace does not start: {error}"))?;
    match done.status.success() {
        true => Ok(()),
        false => Err(format!("strace: {}", String::from_utf8_lossy(&done.stderr).trim())),
    }
}

/// Sweeps a fault over every call that a run makes, or until `progress` ends it. `program` runs
/// [`writer`].
///
/// # Errors
/// The runs could not be made, which says nothing of the store.
pub fn sweep(
    engine: EngineKind,
    fault: &IoFault,
    program: &[OsString],
    dir: &Path,
    mut progress: impl FnMut(&IoSummary) -> ControlFlow<()>,
) -> Result<IoSummary, String> {
    let mut summary = IoSummary::default();
    for nth in 1..=CALLS_MAX {
        let run = Run::make(engine, fault, nth, program, dir)?;
        if !run.log.contains("(INJECTED)") {
            return Ok(summary);
        }
        summary.runs += 1;
        match run.judge(engine) {
            Ok(Judged::NotOpened) => summary.not_opened += 1,
            Ok(Judged::ReadOnly) => summary.read_only += 1,
            Ok(Judged::Refused) => summary.refused += 1,
            Ok(Judged::Unnoticed) => summary.unnoticed += 1,
            Err(what) => {
                let IoFault { call, error, for_good } = fault;
                let last = if *for_good { " and all behind it" } else { "" };
                summary.failures.push(format!("{call} {nth}{last}, {error}: {what}"));
            }
        }
        if progress(&summary).is_break() {
            return Ok(summary);
        }
    }
    Err(format!("{} never ran out of {}", engine, fault.call))
}

enum Judged {
    NotOpened,
    ReadOnly,
    Refused,
    Unnoticed,
}

/// A run of the writer under `strace`.
struct Run {
    store: PathBuf,
    log: String,
    /// What the writer has told.
    told: Vec<String>,
    stderr: String,
    exit_code: Option<i32>,
}

impl Run {
    fn make(
        engine: EngineKind,
        fault: &IoFault,
        nth: u64,
        program: &[OsString],
        dir: &Path,
    ) -> Result<Self, String> {
        let (store, log) = (dir.join("store"), dir.join("strace.log"));
        if store.exists() {
            fs::remove_dir_all(&store).map_err(|error| error.to_string())?;
        }
        let IoFault { call, error, for_good } = fault;
        let when = if *for_good { format!("{nth}+") } else { nth.to_string() };
        let mut command = Command::new("strace");
        command.args(["-f", "-qq", "-s80", "-o"]).arg(&log);
        // The writer tells with `writev`, so that no fault hits it.
        command.arg(format!("-etrace={call},writev"));
        command.arg(format!("-einject={call}:error={error}:when={when}"));
        command.args(program).arg(&store).arg(engine.name());
        let done = command.stdin(Stdio::null()).output().map_err(|error| error.to_string())?;
        Ok(Self {
            store,
            log: fs::read_to_string(&log).map_err(|error| error.to_string())?,
            told: String::from_utf8_lossy(&done.stdout).lines().map(str::to_owned).collect(),
            stderr: String::from_utf8_lossy(&done.stderr).into_owned(),
            exit_code: done.status.code(),
        })
    }

    fn judge(&self, engine: EngineKind) -> Result<Judged, String> {
        if self.exit_code != Some(0) {
            return Err(format!("the writer ended with {:?}: {}", self.exit_code, self.stderr));
        }
        if let Some(line) = self.acknowledged_after_a_fault() {
            return Err(format!("acknowledged after a failure: {line}"));
        }
        if let Some(wrong) = self.told.iter().find(|line| line.starts_with("wrong")) {
            return Err(wrong.clone());
        }
        self.verify(engine)?;
        let tells = |what: &str| self.told.iter().any(|line| line.starts_with(what));
        Ok(match () {
            () if tells("unopened") => Judged::NotOpened,
            () if tells("failed") => Judged::ReadOnly,
            () if tells("refused") => Judged::Refused,
            () => Judged::Unnoticed,
        })
    }

    /// Returns the first acknowledgement that is the next thing told after a failure on the committing thread.
    ///
    /// While a store is made or opened, an engine may try again what has failed, or leave it to its
    /// next opening; what matters then is what is found at the end.
    fn acknowledged_after_a_fault(&self) -> Option<&str> {
        let mut lines = self.log.lines();
        let teller = thread_of(lines.find(|line| line.contains("\"opened"))?);
        let mut has_failed = false;
        for line in lines.filter(|line| thread_of(line) == teller) {
            let is_write = ["sync", "write(", "write64("].iter().any(|call| line.contains(call));
            if line.contains("(INJECTED)") && is_write {
                has_failed = true;
            } else if line.contains("writev(") {
                if has_failed && line.contains("\"acknowledged") {
                    return Some(line);
                }
                has_failed = false;
            }
        }
        None
    }

    /// Opens the store without faults and compares it with what was told.
    fn verify(&self, engine: EngineKind) -> Result<(), String> {
        let store = Store::builder().engine(engine).open(&self.store);
        let store = store.map_err(|error| format!("it does not open again: {error}"))?;
        let users = store.tenant("t").and_then(|tenant| tenant.collection("users"));
        let users = users.map_err(|error| meldb::with_causes(&error).to_string())?;
        for n in 0..WRITES {
            let found = users
                .get_as::<Value>(id(n).as_str())
                .map_err(|error| meldb::with_causes(&error).to_string())?;
            let is_told = |what: &str| self.told.iter().any(|line| *line == format!("{what} {n}"));
            match found {
                None if is_told("acknowledged") => return Err(format!("write {n} is lost")),
                Some(_) if is_told("refused") || is_told("read-only") => {
                    return Err(format!("write {n} was refused and is there"));
                }
                Some(found) if found["fill"] != body(n)["fill"] => {
                    return Err(format!("write {n} is another one"));
                }
                _ => {}
            }
            verify_history(&users, n)?;
        }
        verify_index(&store, &users).map_err(|error| format!("the index: {error}"))?;
        store.verify().find_map(Result::err).map_or(Ok(()), |problem| Err(problem.to_string()))
    }
}

/// Checks that a document has an entry of history if it is there, and none otherwise.
fn verify_history(users: &Collection, n: u64) -> Result<(), String> {
    let document = users.document(id(n).as_str());
    let failed = |error: Error| meldb::with_causes(&error).to_string();
    let written = document.get().map_err(failed)?.map(|found| found.revision());
    let versions = document.history().map(|version| Ok(version?.revision));
    let versions = versions.collect::<Result<Vec<_>, _>>().map_err(failed)?;
    match versions.iter().eq(written.iter()) {
        true => Ok(()),
        false => Err(format!("write {n} is at {written:?}, and its history has {versions:?}")),
    }
}

/// Checks that the index finds every document, and that it is so on disk, which the check of the store compares next.
fn verify_index(store: &Store, users: &Collection) -> Result<(), String> {
    let failed = |error: Error| meldb::with_causes(&error).to_string();
    if !users.wait_for_indexes(INDEXED_WITHIN) {
        return Err(format!("it is not built: {:?}", users.indexes()));
    }
    store.checkpoint().map_err(failed)?;
    let listed = users.list().map(|document| Ok(document?.revision()));
    let mut listed = listed.collect::<Result<Vec<_>, _>>().map_err(failed)?;
    let page = users.find(Filter::all()).sort(asc("n")).page(usize::MAX).map_err(failed)?;
    // The script writes in the order of the numbers.
    listed.sort_unstable();
    let found = page.documents.iter().map(|document| document.revision());
    if found.eq(listed) { Ok(()) } else { Err("it finds other documents than the list".to_owned()) }
}

/// Returns the id of the thread that made a call, with which strace begins its line.
fn thread_of(line: &str) -> &str {
    line.split_whitespace().next().unwrap_or_default()
}

fn id(n: u64) -> String {
    format!("user-{n}")
}

fn body(n: u64) -> Value {
    json!({"n": n, "fill": format!("{n}").repeat(if n == 5 { 60_000 } else { 50 })})
}

/// Writes the script into the store in the first argument, on the engine in the second, and tells
/// what becomes of each write.
///
/// # Panics
/// If the arguments are others.
pub fn writer(args: impl IntoIterator<Item = String>) {
    let mut args = args.into_iter();
    let dir = args.next().expect("a directory");
    let engine: EngineKind = args.next().expect("an engine").parse().expect("an engine");
    let store = match Store::builder().engine(engine).history(History::forever()).open(dir) {
        Ok(store) => store,
        Err(error) => return tell(&format!("unopened {error}")),
    };
    let users = store.tenant("t").and_then(|tenant| tenant.collection("users")).expect("names");
    tell("opened");
    let mut has_failed = false;
    match users.define_index("by_n", Index::on("n")).commit("writer") {
        Ok(_) => tell("an index was defined"),
        Err(error) => {
            has_failed = store.failure().is_some();
            tell(&format!("{}: no index: {error}", if has_failed { "failed" } else { "refused" }));
        }
    }
    for n in 0..WRITES {
        let written = users.put(id(n).as_str(), body(n)).commit("writer");
        let fails = store.failure().is_some();
        match written {
            Ok(_) if has_failed => tell(&format!("wrong: write {n} was made after a failure")),
            Ok(_) => tell(&format!("acknowledged {n}")),
            Err(Error::ReadOnly { .. }) if has_failed => tell(&format!("read-only {n}")),
            Err(Error::CommitFailed { .. } | Error::StorageFull { .. }) if fails && !has_failed => {
                has_failed = true;
                tell(&format!("failed {n}"));
            }
            // Nothing was written, and the store goes on.
            Err(Error::StorageFull { .. } | Error::Unavailable { .. }) if !fails => {
                tell(&format!("refused {n}"));
            }
            Err(Error::ReadFailed { .. }) => tell(&format!("refused {n}")),
            Err(error) => tell(&format!("wrong: write {n} ended with {error}")),
        }
        if n % 3 == 2 {
            match store.checkpoint() {
                Ok(()) => tell("a checkpoint was made"),
                Err(error) => tell(&format!("no checkpoint was made: {error}")),
            }
        }
    }
}

/// Tells a line with `writev`, which nothing else of the writer calls.
fn tell(line: &str) {
    let line = format!("{}\n", line.replace('\n', " "));
    let mut stdout = fs::OpenOptions::new().append(true).open("/proc/self/fd/1");
    let told = stdout.as_mut().map(|out| out.write_vectored(&[IoSlice::new(line.as_bytes())]));
    assert!(matches!(told, Ok(Ok(written)) if written == line.len()), "nobody listens");
}
