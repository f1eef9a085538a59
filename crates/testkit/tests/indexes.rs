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
use meldb_testkit::random::Random;
use serde_json::json;

const PATIENCE: Duration = Duration::from_secs(30);

fn collection(store: &Store, name: &str) -> Collection {
    store.tenant("acme").expect("an id").collection(name).expect("a name")
}

/// A value; some are longer than what an index has of them, and begin alike.
fn value(random: &mut Random) -> String {
    let long = "x".repeat(600);
    match random.below(24) as usize {
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
    let mut fields = vec![format!(r#""pad":"{}""#, "p".repeat(random.below(40) as usize))];
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
    let (filter, sort, page) = (filter(random), sort(random), 1 + random.below(30) as usize);
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

fn write(random: &mut Random, indexed: &Collection, plain: &Collection, number: u64) {
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
                    1 => Expiry::At(1),
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

fn compare(store: &Store, seed: u64, rounds: u64) {
    let mut random = Random::new(seed);
    let (indexed, plain) = (collection(store, "indexed"), collection(store, "plain"));
    for number in 0..150 {
        write(&mut random, &indexed, &plain, number);
    }
    for round in 0..rounds {
        let (name, fields) = *random.pick(&INDEXES);
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

/// Returns the ids of the first page, and by what they were found.
fn found(find: &mut meldb::Find) -> (Vec<String>, String) {
    let plan = find.explain().expect("explained").to_string();
    let page = find.page(100).expect("found");
    (page.documents.iter().filter_map(|one| Some(one.id()?.to_string())).collect(), plan)
}

#[test]
fn the_index_that_leaves_out_most_is_taken_and_one_in_the_order_before_others() {
    let store = Store::in_memory().expect("opens");
    let users = collection(&store, "users");
    for (id, role, seats) in
        [("a", "owner", 3), ("b", "field", 9), ("c", "owner", 7), ("d", "owner", 7)]
    {
        users.put(id, json!({"role": role, "seats": seats})).commit("me").expect("written");
    }
    let define = |name: &str, index| users.define_index(name, index).commit("me").expect("defined");
    define("by_role", Index::on("role"));
    define("by_role_and_seats", Index::on("role").then("seats"));
    define("by_seats", Index::on("seats"));

    let owners = || users.find(field("role").eq("owner"));
    let of = |index: &str, sort: &str| format!("access=index, index={index}, sort={sort}");
    let ids = |ids: &[&str]| ids.iter().map(|id| (*id).to_owned()).collect::<Vec<_>>();
    // All entries have the same values: they are in the order of the ids.
    assert_eq!(found(&mut owners()), (ids(&["a", "c", "d"]), of("by_role", "index")));
    assert_eq!(
        found(&mut owners().sort(asc("seats"))),
        (ids(&["a", "c", "d"]), of("by_role_and_seats", "index"))
    );
    // Where the order is the other way round, equals are in the order of their ids all the same.
    assert_eq!(
        found(&mut owners().sort(desc("seats"))),
        (ids(&["c", "d", "a"]), of("by_role_and_seats", "index"))
    );
    let some = || users.find(field("role").eq("owner").and(field("seats").gt(3)));
    assert_eq!(found(&mut some()), (ids(&["c", "d"]), of("by_role_and_seats", "memory")));
    let all = || users.find(Filter::all());
    assert_eq!(
        found(&mut all().sort(desc("seats"))),
        (ids(&["b", "c", "d", "a"]), of("by_seats", "index"))
    );
    let none: (Vec<String>, String) =
        (ids(&["a", "b", "c", "d"]), "access=collection, sort=id".to_owned());
    assert_eq!(found(&mut all()), none);
    // One document is found without an index.
    let one = users.find(field("$id").eq("c").and(field("role").eq("owner"))).explain();
    assert!(matches!(one.expect("explained").access, Access::Ids { .. }));
    let either = users.find(field("role").eq("owner").or(field("seats").gt(1))).explain();
    assert_eq!(either.expect("explained").access, Access::Collection);

    // What an index answers looks at nothing else.
    let page = some().scan(Scan::Refuse).page(1).expect("found");
    assert_eq!((page.documents.len(), page.examined), (1, 1));
    assert_eq!(owners().count_page().expect("counted").bytes, None);
    let refused = all().sort(asc("name")).scan(Scan::Refuse).page(1);
    assert!(matches!(refused, Err(Error::ScanRefused { .. })), "{refused:?}");
}

#[test]
fn an_index_is_defined_listed_and_dropped_by_name() {
    let dir = tempfile::tempdir().expect("a directory");
    let open = || Store::open(dir.path().join("s")).expect("opens");
    let store = open();
    let users = collection(&store, "users");
    users.put("ada", json!({"role": "owner"})).commit("me").expect("written");
    let define = |users: &Collection, fields: &str| {
        users.define_index("by_role", fields.parse().expect("an index")).commit("me")
    };
    assert!(define(&users, "role").expect("defined"));
    assert!(!define(&users, "role").expect("there already"));
    let other = define(&users, "role,seats");
    assert!(
        matches!(&other, Err(Error::IndexExists { fields, .. }) if fields == "role"),
        "{other:?}"
    );
    for name in ["", "by role", "bä", &"x".repeat(65)] {
        let named = users.define_index(name, Index::on("role")).commit("me");
        assert!(matches!(named, Err(Error::InvalidQuery(_))), "{name}: {named:?}");
    }
    for index in [Index::on("a b"), Index::on("$id"), Index::on("a").then("a"), Index::on("")] {
        let over = users.define_index("other", index.clone()).commit("me");
        assert!(matches!(over, Err(Error::InvalidQuery(_))), "{index:?}: {over:?}");
    }
    assert!(users.wait_for_indexes(PATIENCE));
    store.close().expect("closed");
    drop(users);

    let store = open();
    let users = collection(&store, "users");
    let listed = users.indexes();
    assert_eq!(listed.len(), 1);
    assert_eq!((&listed[0].name[..], &listed[0].index), ("by_role", &Index::on("role")));
    assert_eq!(listed[0].state, IndexState::Ready);
    assert_eq!(collection(&store, "others").indexes(), []);
    assert!(users.drop_index("by_role").commit("me").expect("dropped"));
    assert!(!users.drop_index("by_role").commit("me").expect("there is none"));
    assert_eq!(users.indexes(), []);
    // Over other fields: nothing of the former one is in it.
    assert!(define(&users, "seats,role").expect("defined"));
    assert!(users.wait_for_indexes(PATIENCE));
    let (ids, plan) = found(&mut users.find(field("seats").missing()));
    assert_eq!((ids.len(), &plan[..]), (1, "access=index, index=by_role, sort=memory"));
    store.checkpoint().expect("written");
    verify(&store);
}

#[test]
fn an_index_is_built_beside_writers_and_no_document_is_missed() {
    let dir = tempfile::tempdir().expect("a directory");
    let store = Store::builder()
        .memory_bytes(1 << 20)
        .durability(meldb::Durability::Buffered)
        .open(dir.path().join("s"))
        .expect("opens");
    let users = collection(&store, "users");
    let id = |number: u64| format!("d{number:04}");
    let fill = "f".repeat(200);
    for number in 0..3000 {
        let body = json!({"rank": number % 10, "moves": 0, "fill": fill});
        users.put(id(number), body).commit("me").expect("written");
    }
    let stop = AtomicBool::new(false);
    thread::scope(|scope| {
        for writer in 0..2 {
            let (users, stop) = (&users, &stop);
            scope.spawn(move || {
                let mut random = Random::new(writer);
                while !stop.load(Ordering::Relaxed) {
                    // The rank stays: an answer is always the same.
                    let patch = json!({"moves": random.below(1000)});
                    users.merge(id(random.below(3000)), patch).commit("me").expect("merged");
                }
            });
        }
        users.define_index("by_rank", Index::on("rank")).commit("me").expect("defined");
        users
            .define_index("by_moves", Index::on("moves").then("rank"))
            .commit("me")
            .expect("defined");
        for round in 0..12 {
            let rank = round % 10;
            let mut find = users.find(field("rank").eq(rank));
            let mut seen = BTreeSet::new();
            loop {
                let page = find.page(37).expect("found");
                for document in &page.documents {
                    assert!(seen.insert(document.id().expect("an id").to_string()), "seen twice");
                }
                if page.next.is_none() {
                    break;
                }
            }
            assert_eq!(seen.len(), 300, "of rank {rank} in round {round}");
            assert_eq!(users.find(field("rank").eq(rank)).count().expect("counted"), 300);
            // Of what moves, nothing is certain but that it is found once at most.
            let moving =
                users.find(field("moves").ge(0)).sort(desc("moves")).page(500).expect("found");
            let ids: BTreeSet<_> = moving.documents.iter().map(|one| one.id().cloned()).collect();
            assert_eq!(ids.len(), 500);
            if round == 6 {
                assert!(users.wait_for_indexes(PATIENCE), "{:?}", users.indexes());
            }
        }
        stop.store(true, Ordering::Relaxed);
    });
    store.checkpoint().expect("written");
    verify(&store);
}

#[test]
fn what_is_erased_and_copied_is_in_the_index_as_well() {
    let dir = tempfile::tempdir().expect("a directory");
    let store = Store::open(dir.path().join("s")).expect("opens");
    let users = collection(&store, "users");
    users.define_index("by_n", Index::on("n")).commit("me").expect("defined");
    for number in 0..600 {
        users.put(format!("d{number}"), json!({"n": number % 7})).commit("me").expect("written");
    }
    store.checkpoint().expect("written");
    let count = |store: &Store| {
        let users = collection(store, "users");
        assert!(users.wait_for_indexes(PATIENCE), "{:?}", users.indexes());
        let find = users.find(field("n").eq(3)).sort(asc("n"));
        assert!(matches!(find.explain().expect("explained").access, Access::Index { .. }));
        find.clone().page(1000).expect("found").documents.len() as u64
            + find.count().expect("counted")
    };
    assert_eq!(count(&store), 2 * 86);
    // A copy has the definition, and builds what it says.
    let mut backup = Vec::new();
    store.backup_to(&mut backup, None).expect("backed up");
    let restored = Store::builder().restore(dir.path().join("r"), [&backup[..]]);
    let restored = restored.expect("restored");
    assert_eq!(count(&restored), 2 * 86);
    restored.checkpoint().expect("written");
    verify(&restored);

    store.tenant("acme").expect("an id").erase("me").expect("erased");
    assert_eq!(count(&store), 0);
    store.checkpoint().expect("written");
    assert_eq!(count(&store), 0);
    verify(&store);
}

#[test]
fn a_unique_index_keeps_documents_apart_in_the_order_of_commits() {
    let store = Store::in_memory().expect("opens");
    let tenant = store.tenant("acme").expect("an id");
    let users = tenant.collection("users").expect("a name");
    let email = || users.define_index("by_email", Index::on("email").unique());
    let put = |id: &str, body: serde_json::Value| users.put(id, body).commit("me");
    put("ada", json!({"email": "a@b", "n": 1})).expect("written");
    put("bob", json!({"email": "a\u{0040}b", "n": 1})).expect("written");
    let refused = email().commit("me");
    assert!(matches!(refused, Err(Error::NotUnique { .. })), "{refused:?}");
    assert_eq!(users.indexes(), [], "what cannot be unique is not kept");
    put("bob", json!({"n": 1})).expect("written");
    put("cyd", json!({"n": 1})).expect("written, and it has none either");
    assert!(email().commit("me").expect("defined"));
    assert!(!email().commit("me").expect("it is there"));
    assert!(users.indexes()[0].index.is_unique());
    let plain = users.define_index("by_email", Index::on("email")).commit("me");
    assert!(matches!(plain, Err(Error::IndexExists { .. })), "{plain:?}");

    let is_refused = |result: Result<_, Error>, id: &str| match result {
        Err(Error::NotUnique { path, index, .. }) => {
            assert_eq!((path.to_string(), &index[..]), (format!("acme/users/{id}"), "by_email"));
        }
        other => panic!("{other:?}"),
    };
    is_refused(put("dan", json!({"email": "a@b"})).map(drop), "dan");
    is_refused(users.merge("bob", json!({"email": "a@b"})).commit("me").map(drop), "bob");
    // Other fields, the same value of the same document, and null are no matter.
    users.merge("ada", json!({"email": "a@b", "n": 2})).commit("me").expect("merged");
    put("nil", json!({"email": null})).expect("written");
    is_refused(put("nul", json!({"email": null})).map(drop), "nul");

    // A batch may swap two values, and may not give one to two.
    users.merge("bob", json!({"email": "b@b"})).commit("me").expect("merged");
    let mut swap = tenant.batch();
    swap.push(users.merge("ada", json!({"email": "b@b"})));
    swap.push(users.merge("bob", json!({"email": "a@b"})));
    swap.commit("me").expect("swapped");
    let mut both = tenant.batch();
    both.push(users.put("eve", json!({"email": "e@b"})));
    both.push(users.put("fay", json!({"email": "e@b"})));
    let refused = both.commit("me");
    assert!(
        matches!(&refused, Err(Error::OperationFailed { source, .. }) if matches!(**source, Error::NotUnique { .. })),
        "{refused:?}"
    );
    assert!(!users.exists("eve").expect("read"));
    // What was deleted, or has expired, holds nothing.
    users.delete("bob").commit("me").expect("deleted");
    put("gil", json!({"email": "a@b"})).expect("written");
    let long = |end: &str| json!({"email": format!("{}{end}", "x".repeat(2000))});
    put("one", long("1")).expect("written");
    put("two", long("2")).expect("longer than what an index has, and not the same");
    is_refused(put("six", long("2")).map(drop), "six");
    assert!(users.drop_index("by_email").commit("me").expect("dropped"));
    put("dan", json!({"email": "a@b"})).expect("written");
}

#[test]
fn of_sixteen_threads_one_takes_each_value() {
    for engine in [EngineKind::Fjall, EngineKind::Sled] {
        let dir = tempfile::tempdir().expect("a directory");
        let builder = Store::builder().engine(engine).durability(meldb::Durability::Buffered);
        let store = builder.memory_bytes(1 << 20).open(dir.path().join("s")).expect("opens");
        let users = collection(&store, "users");
        users.define_index("by_email", Index::on("email").unique()).commit("me").expect("defined");
        let taken = std::sync::atomic::AtomicUsize::new(0);
        thread::scope(|scope| {
            for writer in 0..16 {
                let (users, taken) = (&users, &taken);
                scope.spawn(move || {
                    for number in 0..60 {
                        let body = json!({"email": format!("{number}@b"), "fill": "f".repeat(300)});
                        match users.put(format!("{number}-{writer}"), body).commit("me") {
                            Ok(_) => drop(taken.fetch_add(1, Ordering::Relaxed)),
                            Err(Error::NotUnique { .. }) => {}
                            Err(error) => panic!("{error}"),
                        }
                    }
                });
            }
        });
        assert_eq!((taken.into_inner(), users.list().count()), (60, 60));
        store.checkpoint().expect("written");
        verify(&store);
    }
}
