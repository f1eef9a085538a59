//! How large a batch may be, and a large one.

use meldb::{
    Batch, Error, JsonText, Store,
    limits::{BATCH_BYTES_MAX, BATCH_OPERATIONS_MAX},
};
use serde_json::json;

use super::{assert_refused, batches::batch, put, put_ada, read};
use crate::fixture::{Fixture, users};

fn of_operations(store: &Store, count: usize) -> Batch {
    let users = users(store);
    let mut batch = batch(store);
    (0..count).for_each(|n| batch.push(users.put(format!("user-{n:05}").as_str(), json!({}))));
    batch
}

pub fn a_batch_is_bounded_in_operations(fixture: &Fixture) {
    let store = fixture.open();
    let over = of_operations(&store, BATCH_OPERATIONS_MAX + 1).commit("a");
    assert_refused(over, "one too many", |error| {
        matches!(error, Error::BatchTooLarge { found, max, .. }
            if *found == BATCH_OPERATIONS_MAX + 1 && *max == BATCH_OPERATIONS_MAX)
    });
    assert_eq!(users(&store).list().count(), 0);
    of_operations(&store, BATCH_OPERATIONS_MAX - 1).commit("a").expect("below");
    of_operations(&store, BATCH_OPERATIONS_MAX).commit("a").expect("at the limit");
    assert_eq!(users(&store).list().count(), BATCH_OPERATIONS_MAX);
}

pub fn a_batch_is_bounded_in_bytes_sent(fixture: &Fixture) {
    let store = fixture.open();
    let users = users(&store);
    put_ada(&users);
    // White space is sent and not stored.
    let of_bytes = |bytes: usize| {
        let mut batch = batch(&store);
        let mut left = bytes;
        while left > 0 {
            let text = format!("{{}}{}", " ".repeat(left.min(1 << 20) - 2));
            left -= text.len();
            batch.push(users.merge("ada", JsonText(text)));
        }
        batch.commit("a")
    };
    of_bytes(BATCH_BYTES_MAX - 3).expect("below");
    of_bytes(BATCH_BYTES_MAX).expect("at the limit");
    assert_refused(
        of_bytes(BATCH_BYTES_MAX + 3),
        "over",
        |error| matches!(error, Error::BatchTooLarge { found, .. } if *found == BATCH_BYTES_MAX + 3),
    );
}

pub fn a_batch_is_bounded_in_bytes_to_store(fixture: &Fixture) {
    let store = fixture.open();
    let users = users(&store);
    let large = "x".repeat((1 << 20) - 200);
    let ids: Vec<_> = (0..9).map(|n| format!("large-{n}")).collect();
    ids.iter().for_each(|id| drop(put(&users, id, json!({"large": large}))));
    let merge_all = |ids: &[String]| {
        let mut batch = batch(&store);
        ids.iter().for_each(|id| batch.push(users.merge(id, json!({"n": 1}))));
        batch.commit("a")
    };
    merge_all(&ids[..8]).expect("below");
    let before = read(&users, "large-0");
    assert_refused(
        merge_all(&ids),
        "over",
        |error| matches!(error, Error::BatchTooLarge { found, .. } if *found > BATCH_BYTES_MAX),
    );
    assert_eq!(read(&users, "large-0"), before);
}

pub fn a_batch_is_there_after_reopening(fixture: &Fixture) {
    let store = fixture.open();
    let mut batch = of_operations(&store, 100);
    batch.push(users(&store).delete("user-00050"));
    batch.commit("a").expect("made");
    drop(store);
    let users = users(&fixture.open());
    assert_eq!(users.list().count(), 99);
    assert!(!users.exists("user-00050").expect("reads"));
}
