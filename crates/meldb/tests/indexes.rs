//! Questions that are answered by indexes, against the same questions to the same documents without any.

use std::{
    collections::BTreeSet,
    sync::atomic::{AtomicBool, Ordering},
    thread,
    time::Duration,
};

use meldb::{
    Access, Collection, EngineKind, Error, Expiry, Filter, FindCursor, Index, IndexState, JsonText,
    Scan, Sort, Store, asc, desc, field,
};
use serde_json::json;

const PATIENCE: Duration = Duration::from_secs(30);

/// The same numbers for the same seed.
struct Random(u64);

impl Random {
    fn below(&mut self, end: usize) -> usize {
        self.0 =
            self.0.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        ((self.0 >> 33) as usize) % end
    }

    fn pick<'a>(&mut self, items: &[&'a str]) -> &'a str {
        items[self.below(items.len())]
    }
}

fn collection(store: &Store, name: &str) -> Collection {
    store.tenant("acme").expect("an id").collection(name).expect("a name")
}

/// A value; some are longer than what an index has of them, and begin alike.
fn value(random: &mut Random) -> String {
    let long = "x".repeat(600);
    match random.below(24) {
        0 => format!(r#""{long}a""#),
        1 => format!(r#""{long}b""#),
        2 => format!(r#"["{long}",1]"#),
        3 => format!(r#"["{long}",2]"#),
        other => [
            "null",
            "false",
            "true",
            "-2e3",
            "-1.5",
            "0",
            "-0.0",
            "1.5",
            "15e-1",
            "7",
            "70",
            "1e400",
            "9007199254740993",
            "9007199254740992",
            r#""""#,
            r#""a""#,
            r#""a\n""#,
            r#""\u0061b""#,
            "[]",
            r#"{"a":1}"#,
        ][other - 4]
            .to_owned(),
    }
}

fn document(random: &mut Random) -> String {
    let mut fields = vec![format!(r#""pad":"{}""#, "p".repeat(random.below(40)))];
    if random.below(6) > 0 {
        fields.push(format!(r#""a":{}"#, value(random)));
    }
    if random.below(6) > 0 {
        fields.push(format!(r#""b":{{"c":{}}}"#, value(random)));
    }
    if random.below(2) > 0 {
        fields.push(format!(r#""n":{}"#, random.below(5)));
    }
    format!("{{{}}}", fields.join(","))
}

fn filter(random: &mut Random) -> Filter {
    let mut tests = Vec::new();
    for _ in 0..random.below(4) {
        let path = random.pick(&["a", "b.c", "n", "a", "$id"]);
        let test = match random.below(9) {
            0 | 1 => format!("{path} = {}", value(random)),
            2 => format!("{path} {} {}", random.pick(&["<", "<=", ">", ">="]), value(random)),
            3 => format!("{path} in [{},{},{}]", value(random), value(random), value(random)),
            4 => format!("{path} ^= {}", random.pick(&[r#""""#, r#""a""#, r#""x""#, r#""d1""#])),
            5 => format!("{path} missing"),
            6 => format!("{path} exists"),
            7 => format!("{path} != {}", value(random)),
            _ => format!("({path} = {} or n = {})", value(random), random.below(5)),
        };
        tests.push(test);
    }
    match tests.is_empty() {
        true => Filter::all(),
        false => tests.join(" and ").parse().unwrap_or_else(|error| panic!("{tests:?}: {error}")),
    }
}

fn sort(random: &mut Random) -> Option<Sort> {
    let keys = [
        "a",
        "-a",
        "b.c",
        "-b.c",
        "n",
        "-n",
        "a,b.c",
        "-a,-b.c",
        "a,-b.c",
        "n,a",
        "-n,-a",
        "n,a,b.c",
        "-n,-a,$id",
        "$id",
        "-$id",
        "a,$id",
        "a,-$id",
    ];
    (random.below(3) > 0).then(|| random.pick(&keys).parse().expect("a sort order"))
}

/// Returns the ids and texts of all pages.
fn pages(
    collection: &Collection,
    filter: &Filter,
    sort: Option<&Sort>,
    page: usize,
) -> Vec<(String, String)> {
    let mut find = collection.find(filter.clone());
    if let Some(sort) = sort {
        find = find.sort(sort.clone());
    }
    let mut found = Vec::new();
    loop {
        let got = find.page(page).expect("found");
        for document in got.documents {
            let id = document.id().expect("a member").to_string();
            // Without the stamps, whose time may be another one.
            let text = String::from_utf8_lossy(document.as_bytes()).into_owned();
            let fields = text.lines().filter(|line| !line.starts_with("\"updated"));
            found.push((id, fields.collect::<Vec<_>>().join("\n")));
        }
        match got.next {
            // As text, as a client keeps it.
            Some(next) => {
                let next: FindCursor = next.to_string().parse().expect("read back");
                find = find.after(next);
            }
            None => return found,
        }
    }
}

fn assert_same(random: &mut Random, indexed: &Collection, plain: &Collection, seed: u64) {
    let (filter, sort, page) = (filter(random), sort(random), 1 + random.below(30));
    let what = || {
        let plan = indexed.find(filter.clone());
        let plan = match &sort {
            Some(sort) => plan.sort(sort.clone()),
            None => plan,
        };
        format!("seed {seed}: {filter} sorted {sort:?}, {page} a page, {:?}", plan.explain())
    };
    let (found, expected) =
        (pages(indexed, &filter, sort.as_ref(), page), pages(plain, &filter, sort.as_ref(), page));
    let ids = |found: &[(String, String)]| -> Vec<String> {
        found.iter().map(|(id, _)| id.clone()).collect()
    };
    assert_eq!(ids(&found), ids(&expected), "{}", what());
    assert_eq!(found, expected, "{}", what());
    let count = indexed.find(filter.clone()).count().expect("counted");
    assert_eq!(count, expected.len() as u64, "{}", what());
}

const INDEXES: [(&str, &str); 5] =
    [("a", "a"), ("bc", "b.c"), ("n_a", "n,a"), ("n_a_bc", "n,a,b.c"), ("a_bc", "a,b.c")];

fn write(random: &mut Random, indexed: &Collection, plain: &Collection, number: usize) {
    let id = format!("d{:02}", random.below(90));
    let both = [indexed, plain];
    match random.below(8) {
        0 => both.iter().for_each(|users| drop(users.delete(id.as_str()).commit("me"))),
        1..4 => {
            let text = JsonText(document(random).into_bytes());
            for users in both {
                let put = users.put(id.as_str(), text.clone());
                // Some expire in a hundred years, and some have before they are read.
                let expiry = match number % 5 {
                    0 => Expiry::After(Duration::from_secs(3_000_000_000)),
                    1 => Expiry::At(1_u64.into()),
                    _ => Expiry::Never,
                };
                put.expiry(expiry).commit("me").expect("written");
            }
        }
        _ => {
            let patch = match random.below(4) {
                0 => format!(r#"{{"a":{}}}"#, value(random)),
                1 => format!(r#"{{"b":{{"c":{}}}}}"#, value(random)),
                2 => format!(r#"{{"n":{},"other":{number}}}"#, random.below(5)),
                _ => format!(r#"{{"other":{number},"pad":"{number}"}}"#),
            };
            for users in both {
                match users.merge(id.as_str(), JsonText(patch.clone().into_bytes())).commit("me") {
                    Ok(_) | Err(Error::NotFound { .. }) => {}
                    Err(error) => panic!("{error}"),
                }
            }
        }
    }
}

fn compare(store: &Store, seed: u64, rounds: usize) {
    let mut random = Random(seed);
    let (indexed, plain) = (collection(store, "indexed"), collection(store, "plain"));
    for number in 0..150 {
        write(&mut random, &indexed, &plain, number);
    }
    for round in 0..rounds {
        let (name, fields) = INDEXES[random.below(INDEXES.len())];
        match random.below(6) {
            0 => drop(indexed.drop_index(name).commit("me").expect("dropped")),
            1 | 2 => {
                let index: Index = fields.parse().expect("an index");
                indexed.define_index(name, index).commit("me").expect("defined");
            }
            3 => store.checkpoint().expect("written"),
            4 => assert!(indexed.wait_for_indexes(PATIENCE), "{:?}", indexed.indexes()),
            _ => {}
        }
        for number in 0..random.below(12) {
            write(&mut random, &indexed, &plain, round * 100 + number);
        }
        for _ in 0..4 {
            assert_same(&mut random, &indexed, &plain, seed);
        }
    }
    assert!(indexed.wait_for_indexes(PATIENCE), "{:?}", indexed.indexes());
    store.checkpoint().expect("written");
    verify(store);
}

fn verify(store: &Store) {
    let mut verification = store.verify();
    let problems: Vec<_> = verification.by_ref().filter_map(Result::err).collect();
    assert!(problems.is_empty(), "{problems:?}");
}

#[test]
fn an_index_in_memory_answers_as_a_scan_does() {
    for seed in 0..6 {
        compare(&Store::in_memory().expect("opens"), seed, 40);
    }
}

#[test]
fn an_index_on_disk_answers_as_a_scan_does() {
    for engine in [EngineKind::Fjall, EngineKind::Sled] {
        for seed in 0..3 {
            let dir = tempfile::tempdir().expect("a directory");
            let open =
                || Store::builder().engine(engine).open(dir.path().join("s")).expect("opens");
            compare(&open(), seed, 25);
            // Opened again, with what was left of it in the log.
            compare(&open(), seed + 100, 25);
        }
    }
}
