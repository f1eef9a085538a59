//! Bits that flip and files that are cut short, and whether a wrong value is ever served.
//!
//! A store with known documents is closed, and one of its files damaged. Then it is opened and
//! everything in it read. An error that says so is right, and so is every value that is as it was;
//! another value, a document that is gone, or a panic is not.

use std::{
    collections::BTreeMap,
    fs::{self, File},
    io::{self, Write},
    ops::ControlFlow,
    panic::{AssertUnwindSafe, catch_unwind},
    path::{Path, PathBuf},
    time::Duration,
};

use meldb::{EngineKind, Error, Filter, Index, Store, asc, field};
use meldb_testkit::random::Random;

const TENANTS: u64 = 3;
const DOCUMENTS: u64 = 240;
const COLLECTION: &str = "rot";
/// How long building an index of so few documents takes at most.
const INDEXED_WITHIN: Duration = Duration::from_secs(60);
/// How far from the end of a file is near it.
const NEAR_END_BYTES: u64 = 2_000;

/// What came of the mutations.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct RotSummary {
    /// How many there were.
    pub mutations: u64,
    /// How many made the store refuse to open, by name of the damage.
    pub refused: u64,
    /// How many let it open, and some reads answered with an error.
    pub reported: u64,
    /// How many changed nothing that can be read.
    pub harmless: u64,
    /// The mutations after which a wrong answer was given, and which.
    pub failures: Vec<String>,
}

impl RotSummary {
    /// Returns one line of figures, and a line for each failure.
    pub fn report(&self) -> String {
        let mut text = format!(
            "{} mutations: {} refused at opening, {} reported when read, {} harmless, {} wrong",
            self.mutations,
            self.refused,
            self.reported,
            self.harmless,
            self.failures.len(),
        );
        for failure in &self.failures {
            text.push_str("\n  ");
            text.extend(failure.chars().take(300));
        }
        text
    }
}

/// Damages stores of `engine` in `dir`, `mutations` times, or until `progress` ends it.
///
/// # Errors
/// The rounds could not be run, which says nothing of the store.
pub fn run(
    engine: EngineKind,
    dir: &Path,
    mutations: u64,
    seed: u64,
    mut progress: impl FnMut(&RotSummary) -> ControlFlow<()>,
) -> Result<RotSummary, String> {
    let path = dir.join("store");
    let known = make(engine, &path).map_err(|error| format!("no store: {error}"))?;
    let pristine = Files::read(&path).map_err(|error| meldb::with_causes(&error).to_string())?;
    let mut random = Random::new(seed);
    let mut summary = RotSummary::default();
    for _ in 0..mutations {
        let what = pristine
            .write_mutated(&path, &mut random)
            .map_err(|error| meldb::with_causes(&error).to_string())?;
        summary.mutations += 1;
        let read = catch_unwind(AssertUnwindSafe(|| read(&path, &known)));
        match read {
            Ok(Ok(Outcome::Refused)) => summary.refused += 1,
            Ok(Ok(Outcome::Reported)) => summary.reported += 1,
            Ok(Ok(Outcome::Harmless)) => summary.harmless += 1,
            Ok(Err(wrong)) => summary.failures.push(format!("{what}: {wrong}")),
            Err(_) => summary.failures.push(format!("{what}: a panic")),
        }
        if progress(&summary).is_break() {
            break;
        }
    }
    Ok(summary)
}

/// By tenant and id, the revision and the text; `None` where the document was deleted.
type Known = BTreeMap<(String, String), Option<(u64, Vec<u8>)>>;

/// Makes a store whose documents lie in all kinds of files that its engine has.
fn make(engine: EngineKind, path: &Path) -> meldb::Result<Known> {
    let mut known = Known::new();
    let write = |known: &mut Known, numbers: std::ops::Range<u64>| -> meldb::Result<()> {
        let store = Store::builder().engine(engine).open(path)?;
        for tenant in 0..TENANTS {
            let collection = store.tenant(format!("tenant-{tenant}"))?.collection(COLLECTION)?;
            collection.define_index("by_n", Index::on("n")).commit("rot")?;
            collection.wait_for_indexes(INDEXED_WITHIN);
        }
        for n in numbers {
            let (tenant, id) = (format!("tenant-{}", n % TENANTS), format!("id-{:03}", n % 200));
            let document = store.tenant(tenant.as_str())?.collection(COLLECTION)?;
            let document = document.document(id.as_str());
            let entry = match n % 17 {
                0 if document.exists()? => {
                    document.delete().commit("rot")?;
                    None
                }
                _ => {
                    let repeats = match n {
                        DOCUMENTS.. => 25_000,
                        _ if n % 40 == 3 => 4_000,
                        _ => 60,
                    };
                    let fill = format!("{n}-").repeat(repeats);
                    let body = serde_json::json!({"n": n, "fill": fill});
                    let written = document.put(body).commit("rot")?.document;
                    Some((written.revision().get(), written.as_bytes().to_vec()))
                }
            };
            known.insert((tenant, id), entry);
        }
        Ok(())
    };
    write(&mut known, 0..DOCUMENTS)?;
    Store::builder().engine(engine).open(path)?.compact()?;
    // More than is written to tables at close, so that a log has records that opening needs.
    write(&mut known, DOCUMENTS..DOCUMENTS + 60)?;
    Ok(known)
}

enum Outcome {
    Refused,
    Reported,
    Harmless,
}

/// Reads everything; an error is a wrong answer.
fn read(path: &Path, known: &Known) -> Result<Outcome, String> {
    let store = match Store::open(path) {
        Ok(store) => store,
        // A directory that holds nothing any more would be made anew.
        Err(error) => return told(error).map(|()| Outcome::Refused),
    };
    let mut reported = false;
    for ((tenant, id), entry) in known {
        let of_tenant = store
            .tenant(tenant.as_str())
            .map_err(|error| meldb::with_causes(&error).to_string())?;
        let collection = of_tenant
            .collection(COLLECTION)
            .map_err(|error| meldb::with_causes(&error).to_string())?;
        match collection.get(id.as_str()) {
            Ok(found) => {
                let found = found.map(|found| (found.revision().get(), found.as_bytes().to_vec()));
                if found != *entry {
                    let text = |entry: &Option<(u64, Vec<u8>)>| match entry {
                        None => "nothing".to_owned(),
                        Some((revision, _)) => format!("revision {revision}"),
                    };
                    let (found, entry) = (text(&found), text(entry));
                    return Err(format!("{tenant}/{id} is {found} and should be {entry}"));
                }
            }
            Err(error) => {
                told(error)?;
                reported = true;
            }
        }
    }
    for tenant in 0..TENANTS {
        let tenant = format!("tenant-{tenant}");
        let of_tenant = store
            .tenant(tenant.as_str())
            .map_err(|error| meldb::with_causes(&error).to_string())?;
        let documents = known.iter().filter(|((of, _), entry)| *of == tenant && entry.is_some());
        match of_tenant.totals() {
            Ok(totals) if totals.documents != documents.clone().count() as u64 => {
                return Err(format!("{tenant} says that it holds {}", totals.documents));
            }
            Ok(_) => {}
            Err(error) => {
                told(error)?;
                reported = true;
            }
        }
        let collection = of_tenant
            .collection(COLLECTION)
            .map_err(|error| meldb::with_causes(&error).to_string())?;
        let listed: Result<Vec<_>, Error> =
            collection.list().map(|document| Ok(document?.revision().get())).collect();
        match listed {
            Ok(listed) => {
                let expected = documents.clone().filter_map(|(_, entry)| entry.as_ref());
                if !listed.into_iter().eq(expected.map(|(revision, _)| *revision)) {
                    return Err(format!("the list of {tenant} is not what it was"));
                }
            }
            Err(error) => {
                told(error)?;
                reported = true;
            }
        }
        let counted = collection.find(field("n").ge(0)).count();
        match collection.find(Filter::all()).sort(asc("n")).page(usize::MAX) {
            Ok(page) => {
                let sorted = page.documents.iter().map(|document| document.revision().get());
                let mut expected: Vec<_> =
                    documents.filter_map(|(_, entry)| entry.as_ref()).collect();
                expected.sort_by_key(|(_, text)| number_of(text));
                let expected = expected.into_iter().map(|(revision, _)| *revision);
                let count = expected.len() as u64;
                if !sorted.eq(expected) || counted.is_ok_and(|counted| counted != count) {
                    return Err(format!("the index of {tenant} does not find what it did"));
                }
            }
            Err(error) => {
                told(error)?;
                reported = true;
            }
        }
    }
    let problems = store.verify().filter(Result::is_err).count();
    if reported && problems == 0 {
        return Err("a read failed, and a check of the store finds nothing".to_owned());
    }
    Ok(if reported || problems > 0 { Outcome::Reported } else { Outcome::Harmless })
}

/// Returns the number in a document's text.
fn number_of(text: &[u8]) -> u64 {
    let document: serde_json::Value = serde_json::from_slice(text).expect("it was stored");
    document["n"].as_u64().expect("a number")
}

/// Whether an error says that something is damaged.
fn told(error: Error) -> Result<(), String> {
    match error {
        Error::Damaged { .. }
        | Error::OpenFailed { .. }
        | Error::NotAStore { .. }
        | Error::UnsupportedFormat { .. }
        | Error::ReadFailed { .. } => Ok(()),
        other => Err(format!("the error does not speak of damage: {other}")),
    }
}

/// The files of a closed store.
struct Files(Vec<(PathBuf, FileImage)>);

/// A file without the zeros that it ends in.
struct FileImage {
    bytes: Vec<u8>,
    length: u64,
}

impl FileImage {
    fn write(&self, path: &Path) -> io::Result<()> {
        let mut file = File::create(path)?;
        file.write_all(&self.bytes)?;
        file.set_len(self.length)
    }
}

impl Files {
    fn read(dir: &Path) -> io::Result<Self> {
        let mut files = Vec::new();
        let mut dirs = vec![dir.to_owned()];
        while let Some(dir) = dirs.pop() {
            for entry in fs::read_dir(dir)? {
                let path = entry?.path();
                if path.is_dir() {
                    dirs.push(path);
                    continue;
                }
                let mut bytes = fs::read(&path)?;
                let length = bytes.len() as u64;
                let end = bytes.iter().rposition(|byte| *byte != 0).map_or(0, |last| last + 1);
                bytes.truncate(end);
                files.push((path, FileImage { bytes, length }));
            }
        }
        files.sort_by(|(a, _), (b, _)| a.cmp(b));
        Ok(Self(files))
    }

    /// Writes the files anew, one of them damaged, and returns what was done to it.
    fn write_mutated(&self, dir: &Path, random: &mut Random) -> io::Result<String> {
        fs::remove_dir_all(dir)?;
        for (path, image) in &self.0 {
            fs::create_dir_all(path.parent().unwrap_or(dir))?;
            image.write(path)?;
        }
        let (path, image) = loop {
            let (path, image) = random.pick(&self.0);
            // An empty file has no bits; the lock is one.
            if !image.bytes.is_empty() {
                break (path, image);
            }
        };
        let mut mutated = FileImage { bytes: image.bytes.clone(), length: image.length };
        // One in three is near the end, where a log's last records are, and what lies behind them.
        let length = image.bytes.len() as u64;
        let at = match random.one_in(3) {
            true => length - 1 - random.below(length.min(NEAR_END_BYTES)),
            false => random.below(length),
        };
        let index = at as usize;
        let done = match random.below(4) {
            0 => {
                mutated.bytes.truncate(index);
                mutated.length = at;
                format!("cut at {at}")
            }
            1 => {
                let end = (index + 512).min(mutated.bytes.len());
                mutated.bytes[index..end].fill(0);
                format!("zeros from {at} to {end}")
            }
            _ => {
                let bit = random.below(8);
                mutated.bytes[index] ^= 1 << bit;
                format!("bit {bit} of byte {at}")
            }
        };
        mutated.write(path)?;
        let name = path.strip_prefix(dir).unwrap_or(path).display();
        Ok(format!("{name} of {} bytes, {done}", image.length))
    }
}
