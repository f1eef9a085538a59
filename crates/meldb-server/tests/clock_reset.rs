//! A clock that was once far ahead, and the way back: `POST /api/v1/admin/clock:reset`.

use std::sync::{
    Arc,
    atomic::{AtomicU64, Ordering::SeqCst},
};

use meldb::{Condition, Expiry, Store};
use meldb_server::{Keys, NewKey, Rejection, Settings};
use serde_json::json;

use crate::support::{ALPHA, NOW_MS, World, assert_error, json_of, request};

const RESET: &str = "/api/v1/admin/clock:reset";
/// 1 January 2100.
const FAR_MS: u64 = 4_102_444_800_000;
const DAY_MS: u64 = 86_400_000;

struct Clocked {
    world: World,
    clock: Arc<AtomicU64>,
    operator: String,
}

fn clocked() -> Clocked {
    let clock = Arc::new(AtomicU64::new(NOW_MS));
    let time = Arc::clone(&clock);
    let store = Store::builder().clock(move || time.load(SeqCst)).in_memory().expect("a store");
    let world = World::over(store, Settings::default());
    let operator = world.operator_key();
    Clocked { world, clock, operator }
}

#[tokio::test]
async fn a_tenant_whose_clock_was_in_2100_comes_back() {
    let Clocked { world, clock, operator } = clocked();
    let alpha = world.store.tenant("alpha").expect("a name");
    let users = alpha.collection("users").expect("a name");
    let soon = Expiry::At(NOW_MS + 3 * DAY_MS);
    users.put("session", json!({"n": 1})).expiry(soon).commit("app").expect("written");
    clock.store(FAR_MS, SeqCst);
    users.merge("user-123", json!({"role": "owner"})).commit("app").expect("written");
    users.delete("user-2").commit("app").expect("deleted");
    clock.store(NOW_MS + DAY_MS, SeqCst);
    let late = users.merge("user-123", json!({"seats": 1})).commit("app").expect("written");
    assert_eq!(late.document.updated_ms(), FAR_MS, "the fault that is mended here");
    assert_eq!(users.get("session").expect("readable"), None, "it has expired by that time");

    let done = json_of(
        &world.send(request("POST", &format!("{RESET}?tenant=alpha"), &operator, "")).await,
    );
    let now_ms = NOW_MS + DAY_MS;
    let expected = json!({"now": done["now"], "keys": null, "tenants": [
        {"tenant": "alpha", "from": FAR_MS, "to": now_ms, "documents": 1, "deleted": 1},
    ]});
    assert_eq!(done, expected);
    let ada = users.get("user-123").expect("readable").expect("it is there");
    assert_eq!(ada.updated_ms(), now_ms);
    let text = ada.as_text().expect("text");
    assert!(text.contains(&format!("\"updated\":{now_ms}")), "{text}");
    assert!(text.contains(r#""updatedBy":"app""#) && text.contains(r#""price":1.50"#), "{text}");
    // It has not been removed yet, and expires when it was to.
    assert!(users.get("session").expect("readable").is_some());
    clock.fetch_add(3 * DAY_MS, SeqCst);
    assert_eq!(users.get("session").expect("readable"), None);
    // Others go on from now, reports find what was stamped anew, and all of it is sound.
    let next = users.put("next", json!({})).commit("app").expect("written").document;
    assert_eq!(next.updated_ms(), now_ms + 3 * DAY_MS);
    let written = users.updated(now_ms..now_ms + 1).page(10).expect("readable").documents;
    let ids: Vec<_> = written.iter().filter_map(|found| found.id()).map(|id| id.as_str()).collect();
    assert_eq!(ids, ["user-123"]);
    let problems: Vec<_> = world.store.verify().filter_map(Result::err).collect();
    assert!(problems.is_empty(), "{problems:?}");
    // The tombstone goes when its time is over, and not in 2100.
    clock.fetch_add(40 * DAY_MS, SeqCst);
    assert_eq!(world.store.housekeep().expect("done").tombstones, 1);
}

/// A condition on the revision of before is refused once: the stamps are part of the document.
#[tokio::test]
async fn what_is_stamped_anew_has_a_new_revision_and_the_rest_none() {
    let Clocked { world, clock, operator } = clocked();
    let alpha = world.store.tenant("alpha").expect("a name");
    let users = alpha.collection("users").expect("a name");
    clock.store(FAR_MS, SeqCst);
    let far = users.put("far", json!({})).commit("app").expect("written").document.revision();
    clock.store(NOW_MS, SeqCst);
    let near = users.get("user-123").expect("readable").expect("it is there").revision();
    assert_eq!(world.send(request("POST", RESET, &operator, "")).await.status(), 200);
    let late = users.merge("far", json!({})).condition(Condition::Matches(far)).commit("app");
    assert!(matches!(late, Err(meldb::Error::RevisionMismatch { .. })), "{late:?}");
    users
        .merge("user-123", json!({}))
        .condition(Condition::Matches(near))
        .commit("app")
        .expect("as it was");
    // Again is nothing to do.
    let again = json_of(&world.send(request("POST", RESET, &operator, "")).await);
    assert_eq!((&again["tenants"], &again["keys"]), (&json!([]), &json!(null)));
}

#[tokio::test]
async fn keys_that_expired_by_a_wrong_clock_work_again() {
    let clock = Arc::new(AtomicU64::new(NOW_MS));
    let [time, keys_time] = [Arc::clone(&clock), Arc::clone(&clock)];
    let store = Store::builder().clock(move || time.load(SeqCst)).in_memory().expect("a store");
    let keys = Keys::with_clock(&store, move || keys_time.load(SeqCst));
    let scopes = vec!["provisioning:*".parse().expect("a scope")];
    let tenant = meldb::TenantId::parse("alpha").expect("a name");
    let key = NewKey::new(tenant, "app".parse().expect("a name"), scopes);
    let (_, secret) = keys.create(key.expires_ms(NOW_MS + DAY_MS)).expect("a key");
    clock.store(FAR_MS, SeqCst);
    // Any write to the keys leaves the time.
    let other = NewKey::operator("other".parse().expect("a name"));
    keys.create(other).expect("a key");
    assert_eq!(keys.authenticate(secret.expose()).expect("readable"), Err(Rejection::Expired));
    clock.store(NOW_MS, SeqCst);
    assert_eq!(
        keys.authenticate(secret.expose()).expect("readable"),
        Err(Rejection::Expired),
        "the fault that is mended here"
    );
    let reset = keys.reset_time().expect("done");
    assert_eq!((reset.from, reset.to), (FAR_MS, NOW_MS));
    assert!(keys.authenticate(secret.expose()).expect("readable").is_ok());
    // And it expires when it was to.
    clock.store(NOW_MS + DAY_MS, SeqCst);
    assert_eq!(keys.authenticate(secret.expose()).expect("readable"), Err(Rejection::Expired));
}

#[tokio::test]
async fn it_is_for_operators_alone() {
    let Clocked { world, .. } = clocked();
    let key = world.key(&["provisioning:*"]);
    assert_error(&world.send(request("POST", RESET, &key, "")).await, 403, "PermissionDenied");
    assert_error(&world.send(request("POST", RESET, "", "")).await, 401, "Unauthenticated");
    let operator = world.operator_key();
    let bad = format!("{RESET}?tenant=a%20b");
    assert_error(&world.send(request("POST", &bad, &operator, "")).await, 400, "BadRequest");
    assert_error(&world.send(request("GET", RESET, &operator, "")).await, 405, "MethodNotAllowed");
    assert_eq!(world.send(request("GET", ALPHA, &key, "")).await.status(), 200);
}
