//! The change feed: order, tombstones, cursors, waiting.

use std::{task::Poll, thread, time::Duration};

use meldb::{Change, ChangeCursor, ChangeKind, Changes, Error, Revision, Store, Tenant};
use serde_json::json;

use crate::{
    fixture::{Fixture, TENANT, TestClock, users},
    futures::{block_on, poll_once, start},
};

const DAY: Duration = Duration::from_secs(24 * 3600);

fn tenant(store: &Store) -> Tenant {
    store.tenant(TENANT).expect("a tenant id")
}

fn all(feed: &mut Changes) -> Vec<Change> {
    feed.collect::<Result<_, _>>().expect("the feed is read")
}

fn brief(changes: &[Change]) -> Vec<(u64, String, ChangeKind)> {
    let brief = |change: &Change| (change.revision.get(), change.path.to_string(), change.kind);
    changes.iter().map(brief).collect()
}

fn is_expired(error: Option<Result<Change, Error>>) -> bool {
    matches!(error, Some(Err(Error::CursorExpired { .. })))
}

pub fn the_feed_has_the_last_write_of_each_document_in_order(fixture: &Fixture) {
    let store = fixture.open();
    let users = users(&store);
    let bots = tenant(&store).collection("bots").expect("a name");
    users.put("ada", json!({"n": 1})).commit("one").expect("written");
    users.put("bob", json!({"n": 2})).commit("two").expect("written");
    bots.put("hal", json!({})).commit("three").expect("written");
    users.merge("ada", json!({"n": 3})).commit("four").expect("written");
    users.delete("bob").commit("five").expect("written");
    tenant(&store).document().put(json!({"plan": "free"})).commit("six").expect("written");

    let mut feed = tenant(&store).changes(ChangeCursor::START).with_documents();
    let changes = all(&mut feed);
    let expected = [
        (3, "tenant-alpha/bots/hal".to_owned(), ChangeKind::Put),
        (4, "tenant-alpha/users/ada".to_owned(), ChangeKind::Merged),
        (5, "tenant-alpha/users/bob".to_owned(), ChangeKind::Deleted),
        (6, "tenant-alpha".to_owned(), ChangeKind::Put),
    ];
    assert_eq!(brief(&changes), expected);
    let actors: Vec<_> = changes.iter().map(|change| change.updated_by.as_str()).collect();
    assert_eq!(actors, ["three", "four", "five", "six"]);
    let ada = users.get("ada").expect("read").expect("present");
    assert_eq!((changes[1].updated_ms, &changes[1].document), (ada.updated_ms(), &Some(ada)));
    assert_eq!(changes[2].document, None);
    assert_eq!(feed.cursor(), Revision::new(6).into());
    let without = all(&mut tenant(&store).changes(Revision::new(3)));
    assert_eq!(brief(&without), expected[1..]);
    assert!(without.iter().all(|change| change.document.is_none()));
}

pub fn the_feed_can_be_limited_to_a_collection(fixture: &Fixture) {
    let store = fixture.open();
    let bots = tenant(&store).collection("bots").expect("a name");
    for n in 0..2000 {
        bots.put(format!("bot-{n}"), json!({})).commit("a").expect("written");
    }
    users(&store).put("ada", json!({})).commit("a").expect("written");
    let mut feed = tenant(&store).changes(ChangeCursor::START).collection("users").expect("a name");
    assert_eq!(brief(&all(&mut feed)), [(2001, format!("{TENANT}/users/ada"), ChangeKind::Put)]);
    let mut feed = tenant(&store).changes(ChangeCursor::START).collection("none").expect("a name");
    assert_eq!(all(&mut feed), []);
    assert_eq!(feed.cursor(), Revision::new(2001).into(), "what is left out is read over");
    assert!(tenant(&store).changes(ChangeCursor::START).collection("no/name").is_err());
}

pub fn pages_of_changes_join(fixture: &Fixture) {
    let store = fixture.open();
    for n in 0..50 {
        users(&store).put(format!("u{n}"), json!({"n": n})).commit("a").expect("written");
    }
    let expected = brief(&all(&mut tenant(&store).changes(ChangeCursor::START)));
    for limit in [1, 7, 49, 50, 51] {
        let (mut cursor, mut joined) = (ChangeCursor::START, Vec::new());
        loop {
            let page = tenant(&store).changes(cursor).page(limit).expect("read");
            assert!(page.changes.len() <= limit);
            joined.extend(brief(&page.changes));
            // As a client keeps it: in words.
            cursor = page.cursor.to_string().parse().expect("a cursor");
            if !page.more {
                break;
            }
        }
        assert_eq!(joined, expected, "pages of {limit}");
    }
}

pub fn a_feed_goes_on_where_it_stopped(fixture: &Fixture) {
    let store = fixture.open();
    for id in ["a", "b", "c"] {
        users(&store).put(id, json!({})).commit("a").expect("written");
    }
    let mut feed = tenant(&store).changes(ChangeCursor::START);
    let first = feed.next().expect("a change").expect("read");
    assert_eq!((first.revision, feed.cursor().revision()), (Revision::new(1), Revision::new(1)));
    let cursor = feed.cursor();
    drop((feed, store));
    let store = fixture.open();
    let rest = all(&mut tenant(&store).changes(cursor));
    assert_eq!(rest.iter().map(|change| change.revision.get()).collect::<Vec<_>>(), [2, 3]);
}

pub fn a_feed_that_has_ended_goes_on_after_the_next_write(fixture: &Fixture) {
    let store = fixture.open();
    let mut feed = tenant(&store).changes(ChangeCursor::START);
    assert!(feed.next().is_none());
    users(&store).put("a", json!({})).commit("a").expect("written");
    assert!(feed.next().is_some());
    assert!(feed.next().is_none());
}

pub fn waiting_ends_with_the_next_commit(fixture: &Fixture) {
    let store = fixture.open();
    users(&store).put("a", json!({})).commit("a").expect("written");
    let mut feed = tenant(&store).changes(Revision::new(1));
    assert_eq!(feed.wait_timeout(Duration::from_millis(1)).expect("read"), None);
    let mut asked = tenant(&store).changes(Revision::new(1));
    let waiting = thread::spawn(move || block_on(asked.wait_async()));
    let mut other = tenant(&store).changes(Revision::new(1));
    let blocked = thread::spawn(move || other.wait_timeout(Duration::from_secs(60)));
    let mut unlimited = tenant(&store).changes(Revision::new(1));
    let unlimited = thread::spawn(move || unlimited.wait_timeout(Duration::MAX));
    thread::sleep(Duration::from_millis(20));
    users(&store).put("b", json!({})).commit("a").expect("written");
    let waiting = waiting.join().expect("no panic").map(Some);
    for change in [waiting, blocked.join().expect("no panic"), unlimited.join().expect("no panic")]
    {
        let change = change.expect("read").expect("a change");
        assert_eq!(change.path.to_string(), format!("{TENANT}/users/b"));
    }
}

pub fn a_wait_that_is_given_up_loses_nothing(fixture: &Fixture) {
    let store = fixture.open();
    let mut feed = tenant(&store).changes(ChangeCursor::START);
    drop(start(feed.wait_async()));
    let mut seen = Vec::new();
    for n in 1..=20 {
        users(&store).put(format!("u{n}"), json!({})).commit("a").expect("written");
        // It is ready at once only if the thread that reads was quicker than this one.
        if let Poll::Ready(change) = poll_once(feed.wait_async()) {
            seen.push(change.expect("read").revision.get());
        }
    }
    seen.extend(all(&mut feed).iter().map(|change| change.revision.get()));
    assert_eq!(seen, (1..=20).collect::<Vec<_>>());
}

pub fn a_tombstone_is_kept_for_its_time_and_then_removed(fixture: &Fixture) {
    let clock = TestClock::at(1_000);
    let options = |clock: TestClock| {
        move |builder: meldb::Builder| builder.clock(clock).tombstone_retention(DAY)
    };
    let store = fixture.open_with(options(clock.clone()));
    for id in ["a", "b", "c"] {
        users(&store).put(id, json!({})).commit("a").expect("written");
    }
    users(&store).delete("a").commit("a").expect("deleted");
    users(&store).delete("b").commit("a").expect("deleted");
    users(&store).put("b", json!({"again": true})).commit("a").expect("written");

    clock.set(1_000 + DAY.as_millis() as u64);
    assert_eq!(store.housekeep().expect("done").tombstones, 0, "it is a day old and not older");
    let seen = all(&mut tenant(&store).changes(Revision::new(3)));
    assert_eq!(seen.len(), 2, "the delete of a and the new b");

    clock.set(1_001 + DAY.as_millis() as u64);
    assert_eq!(store.housekeep().expect("done").tombstones, 1, "b exists again");
    assert_eq!(store.housekeep().expect("done").tombstones, 0);
    let expired =
        |after: u64, store: &Store| is_expired(tenant(store).changes(Revision::new(after)).next());
    assert!(expired(3, &store), "the delete of a, at 4, is a gap for this reader");
    assert!(!expired(4, &store));
    drop(store);
    let store = fixture.open_with(options(clock.clone()));
    assert!(expired(3, &store), "the horizon is durable");
    let totals = tenant(&store).totals().expect("read");
    assert_eq!(totals.documents, 2);
    users(&store).insert("a", json!({})).commit("a").expect("it can be created again");
    assert_eq!(tenant(&store).last_revision().expect("read"), Revision::new(7));
}

pub fn a_reader_from_the_start_is_not_expired_by_older_tombstones(fixture: &Fixture) {
    let clock = TestClock::at(1_000);
    let store = fixture.open_with({
        let clock = clock.clone();
        |builder| builder.clock(clock).tombstone_retention(DAY)
    });
    for id in ["a", "b", "c", "d"] {
        users(&store).put(id, json!({})).commit("a").expect("written");
    }
    users(&store).delete("d").commit("a").expect("deleted");
    users(&store).put("e", json!({})).commit("a").expect("written");
    clock.set(2_000 + DAY.as_millis() as u64);
    assert_eq!(store.housekeep().expect("done").tombstones, 1);

    let page = tenant(&store).changes(ChangeCursor::START).page(1).expect("read");
    assert_eq!(page.cursor.to_string(), "1.6", "on its way to where it began");
    let cursor: ChangeCursor = page.cursor.to_string().parse().expect("a cursor");
    assert_eq!(all(&mut tenant(&store).changes(cursor)).len(), 3);
    assert!(is_expired(tenant(&store).changes(Revision::new(1)).next()), "this one knew of d");

    // A delete after it began is a gap for it as well, once it is removed.
    users(&store).delete("a").commit("a").expect("deleted");
    users(&store).put("f", json!({})).commit("a").expect("written");
    clock.set(3_000 + 2 * DAY.as_millis() as u64);
    assert_eq!(store.housekeep().expect("done").tombstones, 1);
    assert!(is_expired(tenant(&store).changes(cursor).next()));
}

pub fn a_tenants_last_change_is_never_removed(fixture: &Fixture) {
    let clock = TestClock::at(1_000);
    let store = fixture.open_with({
        let clock = clock.clone();
        |builder| builder.clock(clock).tombstone_retention(Duration::ZERO)
    });
    users(&store).put("a", json!({})).commit("a").expect("written");
    users(&store).delete("a").commit("a").expect("deleted");
    clock.set(2_000);
    assert_eq!(store.housekeep().expect("done").tombstones, 0);
    assert_eq!(tenant(&store).last_revision().expect("read"), Revision::new(2));
    users(&store).put("b", json!({})).commit("a").expect("written");
    assert_eq!(store.housekeep().expect("done").tombstones, 1, "its turn has come");
    assert_eq!(tenant(&store).totals().expect("read").documents, 1);
}

pub fn many_tombstones_are_removed_in_steps(fixture: &Fixture) {
    let clock = TestClock::at(1_000);
    let store = fixture.open_with({
        let clock = clock.clone();
        |builder| builder.clock(clock).durability(meldb::Durability::Buffered)
    });
    for n in 0..600 {
        let users = users(&store);
        users.put(format!("u{n}"), json!({})).commit("a").expect("written");
        users.delete(format!("u{n}")).commit("a").expect("deleted");
    }
    users(&store).put("last", json!({})).commit("a").expect("written");
    clock.set(1_001 + 30 * DAY.as_millis() as u64);
    assert_eq!(store.housekeep().expect("done").tombstones, 600);
    assert_eq!(all(&mut tenant(&store).changes(ChangeCursor::START)).len(), 1);
}

pub fn a_cursor_from_the_future_is_refused(fixture: &Fixture) {
    let store = fixture.open();
    users(&store).put("a", json!({})).commit("a").expect("written");
    assert!(tenant(&store).changes(Revision::new(1)).next().is_none());
    assert!(is_expired(tenant(&store).changes(Revision::new(2)).next()));
}
