//! Questions to a collection, against the plain evaluation of a model.

use std::{
    collections::{BTreeMap, BTreeSet},
    sync::atomic::{AtomicBool, Ordering},
};

use meldb::{
    Access, ChangeCursor, ChangeKind, Collection, Effect, Error, Filter, FindCursor, History,
    JsonText, Nulls, Scan, Sort, Store, desc, field,
};
use meldb_testkit::random::Random;
use serde_json::json;

fn users(store: &Store) -> Collection {
    store.tenant("acme").expect("an id").collection("users").expect("a name")
}

fn in_memory() -> Collection {
    users(&Store::in_memory().expect("opens"))
}

/// Values with neighbours in the order of values, in that order; some are equal to the one before.
const VALUES: [(&str, usize); 17] = [
    ("null", 1),
    ("false", 2),
    ("true", 3),
    ("-2e3", 4),
    ("-0", 5),
    ("0.00", 5),
    ("1.5", 6),
    ("15e-1", 6),
    ("9007199254740993", 7),
    ("9007199254740994", 8),
    (r#""""#, 9),
    (r#""B""#, 10),
    (r#""a\n""#, 11),
    (r#""\u0061b""#, 12),
    ("[]", 13),
    ("[1]", 14),
    (r#"{"a":1}"#, 15),
];

/// A document of the model: the ranks of `a` and `b.c`, 0 where they are missing.
type Ranks = [usize; 2];

fn text(random: &mut Random) -> (String, Ranks) {
    let mut ranks = [0; 2];
    let mut fields = vec![format!(r#""pad":"{}""#, "x".repeat(random.below(40) as usize))];
    for (index, rank) in ranks.iter_mut().enumerate() {
        if random.below(5) == 0 {
            continue;
        }
        let (value, its) = *random.pick(&VALUES);
        *rank = its;
        fields.push(if index == 0 {
            format!(r#""a":{value}"#)
        } else {
            format!(r#""b":{{"c":{value}}}"#)
        });
    }
    (format!("{{{}}}", fields.join(",")), ranks)
}

/// Whether a document with this id and these ranks passes.
type Passes = Box<dyn Fn(&str, Ranks) -> bool>;

/// A filter on ranks, and as text.
fn question(random: &mut Random) -> (String, Passes) {
    let index = random.below(2) as usize;
    let path = ["a", "b.c"][index];
    let (value, rank) = *random.pick(&VALUES);
    let kind = |rank: usize| match rank {
        0 => 0,
        1 => 1,
        2 | 3 => 2,
        4..=8 => 3,
        9..=12 => 4,
        13 | 14 => 5,
        _ => 6,
    };
    let prefix = random.pick(&["d0", "d00", "d1", "d"]);
    match random.below(7) {
        0 => (format!("{path} = {value}"), Box::new(move |_, ranks| ranks[index] == rank)),
        1 => (format!("{path} != {value}"), Box::new(move |_, ranks| ranks[index] != rank)),
        2 => (
            format!("{path} >= {value}"),
            Box::new(move |_, ranks| kind(ranks[index]) == kind(rank) && ranks[index] >= rank),
        ),
        3 => (format!("{path} missing"), Box::new(move |_, ranks| ranks[index] == 0)),
        4 => (
            format!("$id ^= \"{prefix}\" and {path} exists"),
            Box::new(move |id, ranks| id.starts_with(prefix) && ranks[index] != 0),
        ),
        5 => (
            format!("$id < \"{prefix}5\" and ({path} = {value} or {path} missing)"),
            Box::new(move |id, ranks| {
                *id < *format!("{prefix}5") && (ranks[index] == rank || ranks[index] == 0)
            }),
        ),
        _ => ("$id exists".to_owned(), Box::new(|_, _| true)),
    }
}

/// Returns the ids of all pages, each from the text of the cursor before; `between` is called after each page.
fn all(
    users: &Collection,
    filter: &Filter,
    sort: &str,
    page: usize,
    budget: usize,
    mut between: impl FnMut(),
) -> Vec<String> {
    let (mut ids, mut cursor) = (Vec::new(), None::<FindCursor>);
    loop {
        let mut find = users.find(filter.clone()).budget(budget, usize::MAX);
        if !sort.is_empty() {
            find = find.sort(sort.parse::<Sort>().expect("a sort order"));
        }
        if let Some(cursor) = &cursor {
            find = find.after(cursor.clone());
        }
        let found = find.page(page).expect("found");
        assert!(found.documents.len() <= page && found.examined <= budget);
        ids.extend(found.documents.iter().map(|found| found.id().expect("an id").to_string()));
        match found.next {
            Some(next) => cursor = Some(next.to_string().parse().expect("its own cursor")),
            None => return ids,
        }
        between();
    }
}

#[test]
fn any_question_has_the_answer_of_the_model() {
    let dir = tempfile::tempdir().expect("a directory");
    let store = Store::open(dir.path().join("store")).expect("opens");
    let users = users(&store);
    let mut random = Random::new(1);
    let mut model: BTreeMap<String, Ranks> = BTreeMap::new();
    for number in 0..150 {
        let (text, ranks) = text(&mut random);
        let id = format!("d{number:03}");
        users.put(&*id, JsonText(&text)).commit("me").expect("written");
        model.insert(id, ranks);
        if number == 100 {
            store.checkpoint().expect("written");
        }
    }
    for case in 0..300 {
        let (text, holds) = question(&mut random);
        let filter: Filter = text.parse().expect("a filter");
        let sort =
            random.pick(&["", "a", "-a", "b.c,-a", "-b.c,a,$id", "a,-$id", "$id", "-$id", "zzz"]);
        let mut expected: Vec<_> = model.iter().filter(|(id, ranks)| holds(id, **ranks)).collect();
        let key = |ranks: &Ranks, name: &str| ranks[usize::from(name == "b.c")];
        expected.sort_by(|(id, ranks), (other, others)| {
            for part in sort.split(',').filter(|part| !part.is_empty()) {
                let (name, descends) = (part.trim_start_matches('-'), part.starts_with('-'));
                let order = match name {
                    "$id" => id.cmp(other),
                    "zzz" => std::cmp::Ordering::Equal,
                    name => key(ranks, name).cmp(&key(others, name)),
                };
                let order = if descends { order.reverse() } else { order };
                if order.is_ne() {
                    return order;
                }
            }
            id.cmp(other)
        });
        let expected: Vec<_> = expected.into_iter().map(|(id, _)| id.clone()).collect();
        let page = *random.pick(&[1, 7, 1000]);
        let is_by_id = sort.is_empty() || sort.contains("$id") && !sort.contains(',');
        let budget = if is_by_id { *random.pick(&[1, 10, 1000]) } else { 1000 };
        let found = all(&users, &filter, sort, page, budget, || {});
        assert_eq!(
            found, expected,
            "case {case}: {text}, {sort:?}, pages of {page}, budget {budget}"
        );
        assert_eq!(
            users.find(filter.clone()).budget(budget, 100).count().expect("counted"),
            expected.len() as u64
        );
    }
}

/// A document that is there throughout and is not written is seen once, whatever happens around it.
#[test]
fn writes_between_pages_hide_and_repeat_nothing() {
    for sort in ["", "-$id", "n", "-n"] {
        let users = in_memory();
        let put = |id: &str, n: u64, quiet: bool| {
            users.put(id, json!({"n": n, "quiet": quiet})).commit("me").expect("written");
        };
        for number in 0..60 {
            put(&format!("q{number:02}"), number % 7, true);
            put(&format!("r{number:02}"), number % 5, false);
        }
        let mut random = Random::new(2);
        let found = all(&users, &Filter::all(), sort, 4, 1000, || {
            for _ in 0..6 {
                let id = format!("r{:02}", random.below(60));
                match random.below(3) {
                    0 => drop(users.delete(&*id).commit("me")),
                    _ => put(&id, random.below(9), false),
                }
                put(&format!("q{:02}x", random.below(60)), random.below(9), false);
            }
        });
        let quiet: Vec<_> =
            found.iter().filter(|id| id.starts_with('q') && id.len() == 3).collect();
        assert_eq!(quiet.len(), 60, "{sort:?}");
        assert_eq!(quiet.iter().collect::<BTreeSet<_>>().len(), 60, "{sort:?}");
    }
}

#[test]
fn a_page_ends_with_its_bytes_and_has_a_document_at_least() {
    let users = in_memory();
    for number in 0..20 {
        users
            .put(format!("d{number:02}"), json!({"n": number, "pad": "x".repeat(1000)}))
            .commit("me")
            .expect("written");
    }
    for sort in [None, Some(desc("n"))] {
        let mut find = users.find(Filter::all());
        if let Some(sort) = sort {
            find = find.sort(sort);
        }
        assert_eq!(find.clone().bytes_max(1).page(10).expect("found").documents.len(), 1);
        let page = find.bytes_max(3000).page(10).expect("found");
        assert_eq!(page.documents.len(), 3);
        assert!(page.next.is_some());
    }
}

#[test]
fn a_sort_that_needs_more_than_its_budget_is_refused_and_a_scan_on_demand() {
    let users = in_memory();
    for number in 0..20 {
        users.put(format!("d{number:02}"), json!({"n": number})).commit("me").expect("written");
    }
    let sorted = users.find(Filter::all()).sort(desc("n"));
    let error = sorted.clone().budget(19, usize::MAX).page(1).expect_err("too many");
    assert!(matches!(error, Error::SortTooLarge { examined_max: 19, .. }), "{error}");
    assert_eq!(sorted.clone().budget(20, usize::MAX).page(1).expect("found").documents.len(), 1);
    let error = sorted.clone().budget(20, 100).page(1).expect_err("too much");
    assert!(matches!(error, Error::SortTooLarge { .. }), "{error}");

    let error = sorted.clone().scan(Scan::Refuse).page(1).expect_err("a scan");
    assert!(matches!(error, Error::ScanRefused { .. }), "{error}");
    assert!(matches!(sorted.scan(Scan::Refuse).count(), Err(Error::ScanRefused { .. })));
    let mut few =
        users.find(field("$id").starts_with("d1").and(field("n").lt(12))).scan(Scan::Refuse);
    let page = few.page(10).expect("found");
    assert_eq!((page.documents.len(), page.examined), (2, 10));
}

#[test]
fn a_question_goes_on_behind_its_pages_and_ends() {
    let users = in_memory();
    for number in 0..5 {
        users.put(format!("d{number}"), json!({"n": number})).commit("me").expect("written");
    }
    for mut find in [users.find(Filter::all()), users.find(Filter::all()).sort(desc("n"))] {
        let counts: Vec<_> = (0..5).map(|_| find.page(2).expect("found").documents.len()).collect();
        assert_eq!(counts, [2, 2, 1, 0, 0]);
    }
}

#[test]
fn a_plan_says_what_is_looked_at() {
    let users = in_memory();
    let plan = users.find(field("n").eq(1)).explain().expect("explained");
    assert_eq!((&plan.access, plan.sorts), (&Access::Collection, false));
    assert_eq!(plan.to_string(), "access=collection, sort=id");
    let plan = users
        .find(field("$id").ge("b").and(field("n").eq(1)))
        .sort(desc("n"))
        .explain()
        .expect("explained");
    assert_eq!(plan.to_string(), "access=ids, sort=memory");
    let either = field("$id").eq("b").or(field("n").eq(1));
    assert_eq!(users.find(either).explain().expect("explained").access, Access::Collection);
    assert!(matches!(users.find(field("a b").exists()).explain(), Err(Error::InvalidQuery(_))));
}

#[test]
fn a_cursor_of_another_order_is_refused() {
    let users = in_memory();
    users.put("ada", json!({"n": 1})).commit("me").expect("written");
    for cursor in ["[\"ada\"]", "[\"ada\",[1],[2]]"] {
        let mut find =
            users.find(Filter::all()).sort(desc("n")).after(cursor.parse().expect("a cursor"));
        assert!(matches!(find.page(1), Err(Error::InvalidQuery(_))), "{cursor}");
    }
    for text in
        ["", "ada", "[]", "[1]", "[\"a b\"]", "[\"ada\",1]", "[\"ada\",[1,2]]", "[\"ada\"] "]
    {
        assert_eq!(text.parse::<FindCursor>().is_ok(), text == "[\"ada\"] ", "{text:?}");
    }
}

#[test]
fn a_merge_into_many_writes_those_that_pass_and_no_others() {
    let users = in_memory();
    for number in 0..700 {
        users
            .put(format!("d{number:03}"), json!({"n": number % 3, "old": true}))
            .commit("me")
            .expect("written");
    }
    let ones = users.find(field("n").eq(1));
    let merge = ones.clone().merge(json!({"n": 2, "old": null}));
    let would = merge.clone().dry_run().commit("bulk").expect("a dry run");
    assert_eq!((would.matched, would.merged, ones.count().expect("counted")), (233, 233, 233));
    let done = merge.commit("bulk").expect("merged");
    assert_eq!((done.matched, done.merged, done.unchanged, done.examined), (233, 233, 0, 700));
    assert!(done.next.is_none());
    assert_eq!(ones.count().expect("counted"), 0);
    let written = users.find(field("updatedBy").eq("bulk").and(field("old").missing()));
    assert_eq!(written.count().expect("counted"), 233);
    let again = users
        .find(field("n").eq(2))
        .merge(json!({"n": 2}))
        .skip_unchanged()
        .commit("again")
        .expect("merged");
    assert_eq!((again.matched, again.merged, again.unchanged), (466, 0, 466));
    let kept = users.find(field("$id").eq("d000")).merge(json!({"x": null})).nulls(Nulls::Keep);
    assert_eq!(kept.commit("bulk").expect("merged").merged, 1);
    assert!(
        users
            .get("d000")
            .expect("read")
            .expect("there")
            .as_text()
            .expect("UTF-8")
            .ends_with("\"x\":null}")
    );
}

/// A document that no longer passes when it comes to the write is not written, as its history shows.
#[test]
fn a_merge_into_many_writes_nothing_that_no_longer_passes() {
    let store = Store::builder().history(History::forever()).in_memory().expect("opens");
    let users = users(&store);
    let ids: Vec<_> = (0..20).map(|number| format!("d{number:02}")).collect();
    for id in &ids {
        users.put(id, json!({"state": "open"})).commit("me").expect("written");
    }
    let is_over = AtomicBool::new(false);
    std::thread::scope(|scope| {
        scope.spawn(|| {
            for state in ["closed", "open"].iter().cycle() {
                if is_over.load(Ordering::Relaxed) {
                    return;
                }
                for id in &ids {
                    users.merge(id, json!({"state": state})).commit("other").expect("merged");
                }
            }
        });
        let seen = users.find(field("state").eq("open")).merge(json!({"seen": true}));
        for _ in 0..200 {
            match seen.clone().commit("bulk") {
                Ok(_) | Err(Error::Overtaken { .. }) => {}
                Err(error) => panic!("{error}"),
            }
        }
        is_over.store(true, Ordering::Relaxed);
    });
    let mut written = 0;
    for id in &ids {
        let document = users.document(id);
        let versions = document.history().map(|version| version.expect("read"));
        for version in versions.filter(|version| version.updated_by.as_str() == "bulk") {
            let then = document.at_revision(version.revision).expect("kept").expect("there");
            assert!(then.as_text().expect("UTF-8").contains("\"open\""), "{id}: {version:?}");
            written += 1;
        }
    }
    assert!(written > 0, "nothing was merged");
}

/// Steps go on behind their cursor, and what cannot be written names its document and leaves its step alone.
#[test]
fn a_merge_in_steps_goes_on_and_fails_as_a_whole() {
    let users = in_memory();
    for number in 0..300 {
        users.put(format!("d{number:03}"), json!({"n": 1})).commit("me").expect("written");
    }
    let merge = users.find(field("n").eq(1)).merge(json!({"n": 2}));
    let first = merge.step("bulk").expect("merged");
    assert_eq!(first.merged, 250);
    let rest =
        merge.clone().after(first.next.expect("there are more")).commit("bulk").expect("merged");
    assert_eq!(rest.merged, 50);

    let large = "x".repeat(1 << 20);
    users
        .put("d100", json!({"n": 3, "pad": &large[..(1 << 20) - 200]}))
        .commit("me")
        .expect("written");
    users.put("d099", json!({"n": 3})).commit("me").expect("written");
    let grown = users.find(field("n").eq(3)).merge(json!({"more": &large[..500]})).commit("bulk");
    let Err(Error::OperationFailed { path: Some(path), source, .. }) = grown else {
        panic!("{grown:?}")
    };
    assert_eq!(path.to_string(), "acme/users/d100");
    assert!(matches!(*source, Error::DocumentTooLarge { .. }));
    assert_eq!(users.find(field("more").exists()).count().expect("counted"), 0);
    let nonsense = users.find(Filter::all()).merge(JsonText("{")).commit("bulk");
    assert!(nonsense.is_err());
}

#[test]
fn a_collection_is_listed_counted_and_deleted() {
    let dir = tempfile::tempdir().expect("a directory");
    let store = Store::open(dir.path().join("store")).expect("opens");
    let tenant = store.tenant("acme").expect("an id");
    tenant.document().put(json!({"own": true})).commit("me").expect("written");
    let other = store.tenant("acme2").expect("an id").collection("zoo").expect("a name");
    other.put("z", json!({})).commit("me").expect("written");
    let names = || -> Vec<String> {
        tenant.collections().map(|found| found.expect("read").name().to_string()).collect()
    };
    assert!(names().is_empty());
    for name in (0..150).map(|number| format!("c{number:03}")) {
        let collection = tenant.collection(&*name).expect("a name");
        collection.put("a", json!({})).commit("me").expect("written");
        if name == "c070" {
            store.checkpoint().expect("written");
        }
    }
    let expected: Vec<_> = (0..150).map(|number| format!("c{number:03}")).collect();
    assert_eq!(names(), expected);
    let behind = tenant.collections().after("c148".try_into().expect("a name"));
    assert_eq!(behind.count(), 1);

    let users = users(&store);
    let mut bytes = 0;
    for number in 0..600 {
        let written =
            users.put(format!("d{number:03}"), json!({"n": number})).commit("me").expect("written");
        bytes += written.document.as_bytes().len() as u64;
    }
    let totals = users.totals().expect("counted");
    assert_eq!((totals.documents, totals.bytes), (600, bytes));
    let step = users.delete_some("cleaner").expect("deleted");
    assert_eq!((step.writes.len(), step.more), (250, true));
    assert!(step.writes.iter().all(|write| write.effect == Effect::Deleted));
    assert_eq!(users.delete_all("cleaner").expect("deleted"), 350);
    assert_eq!(users.delete_all("cleaner").expect("deleted"), 0);
    assert_eq!(users.totals().expect("counted").documents, 0);
    assert_eq!(names(), expected);
    let emptied = tenant.collection("c000").expect("a name");
    let gone = emptied.delete("a").outcome("me").expect("deleted");
    assert_eq!((gone.effect, names().len()), (Effect::Deleted, 149));
}

#[test]
fn a_list_has_a_part_of_the_ids_from_either_end() {
    let users = in_memory();
    for id in ["a", "ab", "abc", "b", "ba", "~"] {
        users.put(id, json!({})).commit("me").expect("written");
    }
    let ids = |list: meldb::Listing| -> Vec<String> {
        list.map(|found| found.expect("read").id().expect("an id").to_string()).collect()
    };
    assert_eq!(ids(users.list().prefix("ab")), ["ab", "abc"]);
    assert_eq!(ids(users.list().prefix("a").reversed()), ["abc", "ab", "a"]);
    assert_eq!(ids(users.list().range("ab".."b")), ["ab", "abc"]);
    assert_eq!(ids(users.list().range("ab"..="b").reversed()), ["b", "abc", "ab"]);
    assert_eq!(ids(users.list().range(.."ab")), ["a"]);
    assert_eq!(ids(users.list().reversed().after("b").expect("an id")), ["abc", "ab", "a"]);
    assert_eq!(ids(users.list().prefix("a").after("ab").expect("an id")), ["abc"]);
    assert!(ids(users.list().range("b".."a")).is_empty());
    let page = users.list().reversed().page(2).expect("read");
    assert_eq!((page.documents.len(), page.more), (2, true));
}

/// The feed with a filter has the documents that pass now, and every delete, and its pages end before they have read too
/// much.
#[test]
fn a_feed_is_filtered_in_bounded_pages() {
    let store = Store::in_memory().expect("a store");
    let tenant = store.tenant("acme").expect("an id");
    let users = tenant.collection("users").expect("a name");
    let text = "x".repeat(1_000_000);
    for number in 0..40 {
        users
            .put(format!("d{number:02}"), json!({"n": number, "text": text}))
            .commit("me")
            .expect("written");
    }
    users.delete("d20").commit("me").expect("deleted");
    let filter = |text: &str| text.parse::<Filter>().expect("a filter");
    let feed = || tenant.changes(ChangeCursor::START).collection("users").expect("a name");
    let mut none = feed().matching(filter("n = 77")).expect("a filter");
    let (mut pages, mut changes) = (0, Vec::new());
    loop {
        let page = none.page(1000).expect("read");
        pages += 1;
        changes.extend(page.changes);
        if !page.more {
            break;
        }
    }
    assert!((3..=4).contains(&pages), "{pages} pages");
    assert_eq!(changes.len(), 1);
    assert_eq!((changes[0].kind, changes[0].document.is_none()), (ChangeKind::Deleted, true));

    let mut some = feed().matching(filter("n < 2")).expect("a filter");
    let seen: Vec<_> = some.by_ref().map(|change| change.expect("read").path.to_string()).collect();
    assert_eq!(seen, ["acme/users/d00", "acme/users/d01", "acme/users/d20"]);
    users.merge("d00", json!({"n": 5})).commit("me").expect("merged");
    users.merge("d30", json!({"n": 1})).commit("me").expect("merged");
    let seen: Vec<_> = some.map(|change| change.expect("read").path.to_string()).collect();
    assert_eq!(seen, ["acme/users/d30"]);
    let broken = field("").eq(1);
    assert!(feed().matching(broken).is_err());
}

/// Conditions that read whole arrays count towards the budget of a page: many of them look at fewer documents.
#[test]
fn thorough_conditions_use_up_the_budget_sooner() {
    let users = in_memory();
    let tags: Vec<String> = (0..100).map(|tag| format!("tag-{tag}")).collect();
    for number in 0..1000 {
        users.put(format!("d{number:04}"), json!({"tags": tags})).commit("me").expect("written");
    }
    let examined = |tests: usize| {
        let test = |number: usize| field("tags").has(format!("none-{number}"));
        let filter = (1..tests).fold(test(0), |filter, number| filter.or(test(number)));
        users.find(filter).budget(1000, 400_000).page(10).expect("read").examined
    };
    let (few, many) = (examined(3), examined(96));
    assert!(many * 3 < few, "{few} documents for 3 conditions, {many} for 96");
}
