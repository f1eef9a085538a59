//! How costs grow with the number of documents, and what updates leave on the disk.
//!
//! Not criterion's: a store of a million documents is made once, and space is no time. Prints each
//! figure as a line of JSON, for `cargo xtask bench --suite growth`.

use std::{
    env, fs, io,
    os::unix::fs::MetadataExt,
    path::Path,
    thread,
    time::{Duration, Instant},
};

use meldb::{Collection, JsonText, Store};
use meldb_bench::{
    documents,
    keys::drawn,
    kind::{Kind, id},
    measure::quick,
    subject::Subject,
    subjects::Durability::{Buffered, Durable},
};
use meldb_testkit::fixture::copy_dir;
use serde_json::json;

const KINDS: [Kind; 3] = [Kind::MelDbFjall, Kind::Fjall, Kind::Sqlite];
const DOCUMENT_BYTES: usize = 1_000;
/// What is measured, in the order in which it is printed.
const UNITS: [&str; 7] =
    ["µs/op", "µs/page", "ns/document", "ms", "ms/write", "× live bytes", "bytes/merge"];
const PAGE: usize = 1_000;
/// How many documents a list reads whose cost is compared with that of a list right after merges.
const LIST: usize = 10_000;
/// The log and the memory at which a store of default settings makes a checkpoint.
const LOG_BYTES: u64 = 64 << 20;
const MAP_BYTES: u64 = 60 << 20;
const PAGES: u64 = 50;
/// How often a store is opened, and walked from end to end.
const TIMES: usize = 5;

/// What is measured: a name by which it can be asked for, and how.
/// Its name in the figures, and what measures it.
type Part = (&'static str, fn(&mut Figures));

const PARTS: [Part; 5] = [
    ("size", |figures| {
        let sizes: &[usize] =
            if quick() { &[10_000, 100_000] } else { &[10_000, 100_000, 1_000_000] };
        for documents in sizes {
            KINDS.into_iter().for_each(|kind| grow(figures, kind, *documents));
        }
    }),
    ("space", |figures| {
        // What SQLite takes does not change, and its updates would be half of a quick run.
        let kinds = if quick() { &KINDS[..2] } else { &KINDS[..] };
        kinds.iter().for_each(|kind| fill(figures, *kind));
    }),
    ("crash", open_after_a_crash),
    ("log", log),
    ("stalls", |figures| {
        [Kind::MelDbFjall, Kind::Sqlite].into_iter().for_each(|kind| stalls(figures, kind));
    }),
];

/// Measures everything, or the parts that are named as arguments.
fn main() {
    let named: Vec<String> = env::args().skip(1).filter(|name| !name.starts_with('-')).collect();
    let mut figures = Figures::default();
    for (name, measure) in PARTS {
        if named.is_empty() || named.iter().any(|other| other == name) {
            measure(&mut figures);
        }
    }
    figures.print();
}

/// Measures what each verb costs in a store of this size.
fn grow(figures: &mut Figures, kind: Kind, documents: usize) {
    tell(&format!("{}, {documents} documents", kind.name()));
    let parent = tempfile::tempdir_in(env!("CARGO_TARGET_TMPDIR")).expect("a directory is made");
    let dir = parent.path().join("store");
    create(kind, &dir, documents);
    let mut add = |verb, value: f64, unit| {
        figures.add(format!("{verb}, {documents} documents"), kind, value, unit);
    };

    add("open", median(TIMES, || open(kind, &dir)) * 1e3, "ms");
    let store = kind.open(&dir, Buffered);
    let list = || seconds(|| assert_eq!(read(&*store, "", documents), documents));
    add("list all", median(TIMES, list) * 1e9 / documents as f64, "ns/document");
    let pages = seconds(|| {
        for turn in 0..PAGES {
            let after = id(drawn(turn, documents - PAGE));
            assert_eq!(read(&*store, &after, PAGE), PAGE);
        }
    });
    add("list 1,000", pages * 1e6 / PAGES as f64, "µs/page");
    let get = |turn| store.get(&id(drawn(turn, documents)), &mut |text| drop(text.to_vec()));
    let gets = if quick() { 20_000 } else { 200_000 };
    add("get", seconds(|| (0..gets).for_each(get)) * 1e6 / gets as f64, "µs/op");
    let list = || seconds(|| assert_eq!(read(&*store, "", LIST), LIST));
    add("list 10,000 at rest", median(TIMES, list) * 1e9 / LIST as f64, "ns/document");
    let merges = if quick() { 20_000 } else { 200_000 };
    let merged = seconds(|| merge(&*store, documents, 0..merges));
    add("merge", merged * 1e6 / merges as f64, "µs/op");
    merge(&*store, documents, merges..merges + 100_000);
    let nanoseconds = median(TIMES, list) * 1e9 / LIST as f64;
    add("list 10,000 after 100,000 merges", nanoseconds, "ns/document");
}

/// Measures how long a store with a full log takes to open when its process was killed.
fn open_after_a_crash(figures: &mut Figures) {
    let documents = if quick() { 20_000 } else { 1_000_000 };
    tell(&format!("a crash with {documents} documents"));
    let parent = tempfile::tempdir_in(env!("CARGO_TARGET_TMPDIR")).expect("a directory is made");
    let dir = parent.path().join("store");
    create(Kind::MelDbFjall, &dir, documents);
    let (mut milliseconds, mut logged) = (Vec::new(), 0);
    for round in 0..TIMES {
        let crashed = parent.path().join("crashed");
        let store = Store::open(&dir).expect("the store opens");
        let users = users(&store);
        // Until the next merge would have a checkpoint made.
        let (mut turn, mut before) = (round as u64 * 10_000_000, 0);
        loop {
            let stats = store.stats();
            let step = stats.log_bytes.saturating_sub(before);
            if stats.log_bytes + 2 * step > LOG_BYTES || stats.recent_bytes > MAP_BYTES {
                break;
            }
            before = stats.log_bytes;
            for _ in 0..1_000 {
                let patch = documents::one_member(turn);
                let write = users.merge(id(drawn(turn, documents)), JsonText(patch));
                write.commit("bench").expect("the store writes");
                turn += 1;
            }
        }
        logged = store.stats().log_bytes;
        // What a killed process leaves behind: the files as they are under an open store.
        copy_dir(&dir, &crashed).expect("the files can be copied");
        drop(store);
        milliseconds.push(open(Kind::MelDbFjall, &crashed) * 1e3);
        fs::remove_dir_all(&crashed).expect("the copy can be removed");
    }
    milliseconds.sort_by(f64::total_cmp);
    tell(&format!("the log held {logged} bytes"));
    let case = format!("open after a crash, {documents} documents");
    figures.add(case, Kind::MelDbFjall, milliseconds[TIMES / 2], "ms");
}

/// Measures what a merge of one field adds to the log, by the size of its document.
fn log(figures: &mut Figures) {
    const MERGES: u64 = 1_000;
    for (name, bytes) in documents::SIZES {
        let dir = tempfile::tempdir_in(env!("CARGO_TARGET_TMPDIR")).expect("a directory is made");
        let store = Store::open(dir.path().join("store")).expect("the store opens");
        let users = users(&store);
        let put = users.put("ada", JsonText(documents::document(bytes)));
        put.commit("bench").expect("the store writes");
        store.checkpoint().expect("the store makes a checkpoint");
        let before = store.stats().log_bytes;
        for turn in 0..MERGES {
            let merge = users.merge("ada", JsonText(documents::one_member(turn)));
            merge.commit("bench").expect("the store writes");
        }
        let merged = (store.stats().log_bytes - before) as f64 / MERGES as f64;
        figures.add(format!("log, {name}"), Kind::MelDbFjall, merged, "bytes/merge");
    }
}

fn users(store: &Store) -> Collection {
    let users = store.tenant("tenant-0").and_then(|tenant| tenant.collection("users"));
    users.expect("the names are good")
}

/// Measures how long durable merges take, one after the other, while checkpoints and compactions go on.
fn stalls(figures: &mut Figures, kind: Kind) {
    let (documents, time) = if quick() { (20_000, 2) } else { (1_000_000, 60) };
    tell(&format!("{}, {time} s of durable merges into {documents} documents", kind.name()));
    let parent = tempfile::tempdir_in(env!("CARGO_TARGET_TMPDIR")).expect("a directory is made");
    let dir = parent.path().join("store");
    create(kind, &dir, documents);
    let store = kind.open(&dir, Durable);
    let (mut all, mut slowest) = (Vec::new(), vec![0.0_f64; time]);
    let start = Instant::now();
    let mut turn = 0;
    loop {
        let second = start.elapsed().as_secs() as usize;
        if second >= time {
            break;
        }
        let took = seconds(|| merge(&*store, documents, turn..turn + 1)) * 1e3;
        turn += 1;
        all.push(took);
        slowest[second] = slowest[second].max(took);
    }
    all.sort_by(f64::total_cmp);
    let at = |share: f64| all[((all.len() - 1) as f64 * share) as usize];
    for (name, share) in [("p50", 0.5), ("p99", 0.99), ("p99.9", 0.999), ("slowest", 1.0)] {
        figures.add(format!("stalls, {name}"), kind, at(share), "ms/write");
    }
    for (second, slowest) in slowest.into_iter().enumerate() {
        figures.add(format!("stalls, second {}", second + 1), kind, slowest, "ms/write");
    }
}

/// Measures the disk that a store of one size takes while its documents are updated again and again.
fn fill(figures: &mut Figures, kind: Kind) {
    let documents: usize = if quick() { 20_000 } else { 100_000 };
    tell(&format!("{}, updates of {documents} documents", kind.name()));
    let parent = tempfile::tempdir_in(env!("CARGO_TARGET_TMPDIR")).expect("a directory is made");
    let dir = parent.path().join("store");
    create(kind, &dir, documents);
    let live = (0..documents).map(|number| body(number).len() as u64).sum::<u64>();
    let mut add = |case: &str, bytes: u64| {
        let case = format!("{documents} documents, {case}");
        figures.add(case, kind, bytes as f64 / live as f64, "× live bytes");
    };

    let store = kind.open(&dir, Buffered);
    let mut done = 0;
    for times in [1, 2, 5, 10] {
        let updates = (documents * times) as u64;
        merge(&*store, documents, done..updates);
        done = updates;
        add(&format!("{updates} updates"), disk_bytes(&dir).expect("the files can be counted"));
    }
    add("at rest after them", rest(&dir));
    store.compact();
    add("compacted", rest(&dir));
}

fn create(kind: Kind, dir: &Path, documents: usize) {
    kind.create_from(dir, &mut (0..documents).map(|number| (id(number), body(number))));
}

fn body(number: usize) -> Vec<u8> {
    documents::incompressible(DOCUMENT_BYTES, number).into_bytes()
}

/// Returns how long the store takes to open and to find a document, in seconds.
fn open(kind: Kind, dir: &Path) -> f64 {
    let mut opened = None;
    let seconds = seconds(|| {
        let store = opened.insert(kind.open(dir, Buffered));
        store.get(&id(0), &mut |text: &[u8]| assert!(!text.is_empty()));
    });
    drop(opened);
    seconds
}

/// Copies the documents out as a server does, and returns how many there were.
fn read(store: &dyn Subject, after: &str, documents_max: usize) -> usize {
    let mut out = Vec::with_capacity(2 * DOCUMENT_BYTES);
    let mut documents = 0;
    store.list(after, documents_max, &mut |text| {
        out.clear();
        out.extend_from_slice(text);
        documents += 1;
    });
    documents
}

fn merge(store: &dyn Subject, documents: usize, turns: std::ops::Range<u64>) {
    for turn in turns {
        let patch = documents::one_member(turn);
        store.merge(&id(drawn(turn, documents)), patch.as_bytes());
    }
}

fn seconds(work: impl FnOnce()) -> f64 {
    let start = Instant::now();
    work();
    start.elapsed().as_secs_f64()
}

fn median(times: usize, measure: impl Fn() -> f64) -> f64 {
    let mut values: Vec<f64> = (0..times).map(|_| measure()).collect();
    values.sort_by(f64::total_cmp);
    values[times / 2]
}

/// Returns what the disk holds when it has not changed for some time: what goes on in the background
/// has ended.
fn rest(dir: &Path) -> u64 {
    // Longer than the store waits to see that nobody writes.
    let some_time = Duration::from_secs(6);
    let mut bytes = disk_bytes(dir).expect("the files can be counted");
    loop {
        thread::sleep(some_time);
        let before = bytes;
        bytes = disk_bytes(dir).expect("the files can be counted");
        if bytes == before {
            return bytes;
        }
    }
}

/// Returns the bytes of all blocks that the files below `dir` have on the disk.
fn disk_bytes(dir: &Path) -> io::Result<u64> {
    let mut bytes = 0;
    for entry in fs::read_dir(dir)? {
        let entry = entry?;
        bytes += match entry.metadata() {
            Ok(metadata) if metadata.is_dir() => disk_bytes(&entry.path())?,
            Ok(metadata) => metadata.blocks() * 512,
            // Compaction may remove a file that has just been named.
            Err(error) if error.kind() == io::ErrorKind::NotFound => 0,
            Err(error) => return Err(error),
        };
    }
    Ok(bytes)
}

/// What has been measured: case, subject, value and unit.
#[derive(Default)]
struct Figures(Vec<(String, Kind, f64, &'static str)>);

impl Figures {
    fn add(&mut self, case: String, kind: Kind, value: f64, unit: &'static str) {
        self.0.push((case, kind, value, unit));
    }

    /// Prints all figures, those of one unit together.
    #[allow(clippy::print_stdout, reason = "that is what it is for")]
    fn print(mut self) {
        self.0.sort_by_key(|(.., unit)| UNITS.iter().position(|other| other == unit));
        for (case, kind, value, unit) in self.0 {
            let subject = kind.name();
            println!("{}", json!({"case": case, "subject": subject, "value": value, "unit": unit}));
        }
    }
}

#[allow(clippy::print_stderr, reason = "it takes minutes, and says how far it has come")]
fn tell(what: &str) {
    eprintln!("{what}");
}
