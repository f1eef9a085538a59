//! The life of a key.

use std::{
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
    time::Duration,
};

use meldb::{CollectionName, Store, TenantId};
use meldb_http::{Access, Prefix};
use meldb_server::{KeyError, KeyId, KeyKind, Keys, NewKey, Rejection, Settings};
use meldb_testkit::{need::Need, postgres, skip::skip};

use crate::support::{ALPHA, World, request};

struct Clocked {
    store: Store,
    keys: Keys,
    now: Arc<AtomicU64>,
}

fn clocked() -> Clocked {
    let now = Arc::new(AtomicU64::new(1_000));
    let clock = Arc::clone(&now);
    let builder = Store::builder().clock(move || clock.load(Ordering::Relaxed));
    let store = builder.in_memory().expect("a store");
    let clock = Arc::clone(&now);
    let keys = Keys::with_clock(&store, move || clock.load(Ordering::Relaxed));
    Clocked { store, keys, now }
}

fn new_key() -> NewKey {
    let scopes = vec!["provisioning:users.*".parse().expect("a scope")];
    NewKey::new(TenantId::parse("alpha").expect("a name"), "bot".parse().expect("a name"), scopes)
}

#[test]
fn a_key_is_made_found_and_listed_without_its_secret() {
    let Clocked { store, keys, .. } = clocked();
    let (info, secret) = keys.create(new_key()).expect("a key");
    assert_eq!(keys.authenticate(secret.expose()).expect("readable"), Ok(info.clone()));
    assert_eq!(keys.list().expect("the keys"), std::slice::from_ref(&info));
    assert_eq!(info.created_ms, 1_000);
    let users = CollectionName::parse("users").expect("a name");
    assert!(info.allows(Prefix::Provisioning, Some(&users), Access::Write));
    assert!(!info.allows(Prefix::Provisioning, None, Access::Read));
    for document in store.system().collection("keys").expect("a name").list() {
        let document = document.expect("readable");
        let text = document.as_text().expect("text");
        assert!(!text.contains(&secret.expose()[6..49]), "the secret is stored: {text}");
    }
    assert!(!format!("{secret:?} {info:?}").contains(&secret.expose()[6..49]));
}

#[test]
fn a_key_without_scopes_is_not_made() {
    let Clocked { keys, .. } = clocked();
    let mut key = new_key();
    key.kind =
        KeyKind::Tenant { tenant: TenantId::parse("alpha").expect("a name"), scopes: vec![] };
    assert!(matches!(keys.create(key), Err(KeyError::NoScope)));
}

#[test]
fn a_key_expires_on_time() {
    let Clocked { keys, now, .. } = clocked();
    let (_, secret) = keys.create(new_key().expires_ms(2_000)).expect("a key");
    // A clock that goes back revives nothing.
    for (at, good) in [(1_999, true), (2_000, false), (2_001, false), (1_500, false)] {
        now.store(at, Ordering::Relaxed);
        let found = keys.authenticate(secret.expose()).expect("readable");
        assert_eq!(found.is_ok(), good, "at {at}");
        assert!(good || found == Err(Rejection::Expired));
    }
}

/// A process that begins after the clock went back knows the time of the last write.
#[tokio::test]
async fn an_expired_key_stays_so_when_the_clock_goes_back_over_a_restart() {
    let Clocked { store, keys, now } = clocked();
    let (_, secret) = keys.create(new_key().expires_ms(2_000)).expect("a key");
    let begin_again = || {
        let clock = Arc::clone(&now);
        Keys::with_clock(&store, move || clock.load(Ordering::Relaxed))
    };
    let is_good = |keys: &Keys| keys.authenticate(secret.expose()).expect("readable").is_ok();
    now.store(2_500, Ordering::Relaxed);
    assert!(!is_good(&keys));
    // That it was refused leaves a stamp.
    let began = std::time::Instant::now();
    while store.system().last_updated_ms().expect("readable") < 2_000 {
        assert!(began.elapsed() < Duration::from_secs(10), "no stamp");
        tokio::time::sleep(Duration::from_millis(1)).await;
    }
    now.store(1_500, Ordering::Relaxed);
    assert!(!is_good(&begin_again()), "an expired key was revived");
    // Whoever may make keys can still give a new one its time.
    let (_, later) = begin_again().create(new_key().expires_ms(9_000)).expect("a key");
    assert!(begin_again().authenticate(later.expose()).expect("readable").is_ok());
}

#[test]
fn a_revoked_key_stays_revoked() {
    let Clocked { keys, now, .. } = clocked();
    let (info, secret) = keys.create(new_key()).expect("a key");
    let (other, other_secret) = keys.create(new_key()).expect("a key");
    assert_eq!(keys.revoke(&info.id).expect("revoked").revoked_ms, Some(1_000));
    now.store(5_000, Ordering::Relaxed);
    assert_eq!(keys.revoke(&info.id).expect("revoked").revoked_ms, Some(1_000));
    let rejected = keys.authenticate(secret.expose()).expect("readable");
    assert_eq!(rejected, Err(Rejection::Revoked));
    assert_eq!(keys.authenticate(other_secret.expose()).expect("readable"), Ok(other));
    assert!(matches!(keys.rotate(&info.id, Duration::ZERO), Err(KeyError::Inactive { .. })));
    let nobody: KeyId = "0123456789abcdef".parse().expect("an id");
    assert!(matches!(keys.revoke(&nobody), Err(KeyError::NotFound { .. })));
    assert!("0123456789ABCDEF".parse::<KeyId>().is_err());
}

#[test]
fn a_rotated_key_works_through_its_grace() {
    let Clocked { keys, now, .. } = clocked();
    let (old, old_secret) = keys.create(new_key()).expect("a key");
    let (new, new_secret) = keys.rotate(&old.id, Duration::from_secs(10)).expect("a successor");
    assert_ne!(old.id, new.id);
    assert_eq!((&old.name, &old.kind), (&new.name, &new.kind));
    for (at, old_works) in [(1_000, true), (10_999, true), (11_000, false)] {
        now.store(at, Ordering::Relaxed);
        assert_eq!(keys.authenticate(old_secret.expose()).expect("readable").is_ok(), old_works);
        assert!(keys.authenticate(new_secret.expose()).expect("readable").is_ok());
    }
}

/// Found by reading: a key was read, revoked by somebody else, and then given a successor, which
/// worked on.
#[test]
fn a_key_that_is_revoked_while_it_is_rotated_gets_no_successor() {
    let Clocked { store, keys, .. } = clocked();
    let (info, _) = keys.create(new_key()).expect("a key");
    let (id, others) = (info.id.clone(), keys.clone());
    // Rotating asks for the time after it has read the key.
    let rotating = Keys::with_clock(&store, move || {
        others.revoke(&id).expect("revoked");
        1_000
    });
    let rotated = rotating.rotate(&info.id, Duration::from_secs(10));
    assert!(matches!(rotated, Err(KeyError::Inactive { .. })), "{rotated:?}");
    let left = keys.list().expect("the keys");
    assert_eq!(left.len(), 1, "the revoked key has a successor: {left:?}");
    assert!(left[0].revoked_ms.is_some());
}

/// A rotation does not fail for a use of the key that is noted meanwhile.
#[test]
fn a_key_that_is_changed_while_it_is_rotated_is_read_again() {
    let Clocked { store, keys, .. } = clocked();
    let (info, secret) = keys.create(new_key()).expect("a key");
    let collection = store.system().collection("keys").expect("a name");
    let found = collection.list().next().expect("a key").expect("readable");
    let doc_id = found.id().expect("an id").clone();
    let times = AtomicU64::new(0);
    let rotating = Keys::with_clock(&store, move || {
        if times.fetch_add(1, Ordering::Relaxed) == 0 {
            let used = collection.merge(&doc_id, serde_json::json!({"lastUsed": 900}));
            used.commit("test").expect("noted");
        }
        1_000
    });
    let (_, successor) = rotating.rotate(&info.id, Duration::ZERO).expect("a successor");
    assert_eq!(keys.authenticate(secret.expose()).expect("readable"), Err(Rejection::Expired));
    assert!(keys.authenticate(successor.expose()).expect("readable").is_ok());
    assert_eq!(keys.list().expect("the keys").len(), 2);
}

#[test]
fn an_operators_key_has_no_tenant_and_keeps_that() {
    let Clocked { keys, .. } = clocked();
    let operator = NewKey::operator("ops".parse().expect("a name"));
    let (info, secret) = keys.create(operator).expect("a key");
    assert_eq!((info.tenant(), info.scopes()), (None, &[][..]));
    assert_eq!(keys.authenticate(secret.expose()).expect("readable"), Ok(info.clone()));
    let (successor, _) = keys.rotate(&info.id, Duration::ZERO).expect("a successor");
    assert_eq!(successor.kind, KeyKind::Operator);
    let shown = serde_json::to_value(&info).expect("JSON");
    assert_eq!((&shown["operator"], shown.get("tenant")), (&true.into(), None));
}

/// A record that an earlier version made, or somebody changed: what is no scope allows nothing, and
/// what is neither a tenant's nor an operator's is no key.
#[test]
fn a_record_is_never_read_as_more_than_it_says() {
    let Clocked { store, keys, .. } = clocked();
    let (info, secret) = keys.create(new_key()).expect("a key");
    let collection = store.system().collection("keys").expect("a name");
    let found = collection.list().next().expect("a key").expect("readable");
    let doc_id = found.id().expect("an id").clone();
    let change = |patch: serde_json::Value| {
        collection.merge(&doc_id, patch).commit("test").expect("changed");
    };
    change(serde_json::json!({"scopes": ["admin:read", "users:read", "provisioning:users.read"]}));
    let read = keys.authenticate(secret.expose()).expect("readable").expect("a key");
    assert_eq!(read.scopes().len(), 1);
    assert_eq!((read.tenant(), &read.id), (info.tenant(), &info.id));
    for broken in [
        serde_json::json!({"operator": true}),
        serde_json::json!({"operator": null, "tenant": null}),
        serde_json::json!({"operator": true, "tenant": null}),
    ] {
        change(broken);
        keys.authenticate(secret.expose()).expect_err("a key of both, or of neither");
    }
}

#[test]
fn other_texts_are_malformed_or_unknown() {
    let Clocked { keys, .. } = clocked();
    let (_, foreign) = clocked().keys.create(new_key()).expect("a key");
    let unknown = keys.authenticate(foreign.expose()).expect("readable");
    assert_eq!(unknown, Err(Rejection::Unknown));
    for text in
        ["", "meldb_", "Bearer x", "meldb_aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa"]
    {
        let found = keys.authenticate(text).expect("readable");
        assert_eq!(found, Err(Rejection::Malformed), "{text:?}");
    }
}

#[tokio::test]
async fn the_last_use_is_noted_in_the_background_and_not_at_every_use() {
    let world = World::new();
    let key = world.key(&["provisioning:*"]);
    let uri = format!("{ALPHA}/users/user-123");
    let before = world.store.system().last_revision().expect("readable");
    for _ in 0..50 {
        assert_eq!(world.send(request("GET", &uri, &key, "")).await.status(), 200);
        tokio::task::yield_now().await;
    }
    tokio::time::sleep(Duration::from_millis(50)).await;
    let info = &world.keys.list().expect("the keys")[0];
    assert!(info.last_used_ms.is_some());
    let after = world.store.system().last_revision().expect("readable");
    assert_eq!(after.get() - before.get(), 1, "uses were written more than once");
}

/// All keys are documents of one tenant, whose server others can do without.
#[tokio::test(flavor = "multi_thread")]
async fn a_known_key_works_on_while_the_server_with_the_keys_is_away() {
    let Some(cluster) = postgres::shared() else { return skip(Need::Postgres) };
    let database = cluster.new_distributed_store();
    let proxy = cluster.proxy();
    let url = cluster.proxied_url(&proxy, &database);
    let mark = if url.contains('?') { '&' } else { '?' };
    let url = format!("{url}{mark}statement_timeout=400");
    let store = tokio::task::spawn_blocking(move || Store::builder().postgres(&url));
    let store = store.await.expect("no panic").expect("opened");
    let world = tokio::task::spawn_blocking(|| World::over(store, Settings::default()));
    let world = world.await.expect("no panic");
    let known = world.key(&["provisioning:*"]);
    let never_used = world.key(&["provisioning:*"]);
    let get = |key: &str| request("GET", &format!("{ALPHA}/users/user-123"), key, "");
    assert_eq!(world.send(get(&known)).await.status(), 200);
    proxy.freeze("$system");
    tokio::time::sleep(Duration::from_millis(300)).await;
    for _ in 0..3 {
        assert_eq!(world.send(get(&known)).await.status(), 200);
    }
    assert_eq!(world.send(get(&never_used)).await.status(), 503);
    proxy.thaw();
    drop(world);
    cluster.drop_store(&database);
}

#[tokio::test]
async fn a_key_is_told_what_it_may_do_and_nothing_secret() {
    let world = World::new();
    let ask =
        |key: String| async { (world.send(request("GET", "/api/v1/whoami", &key, "")).await, key) };
    let (answer, key) = ask(world.key(&["provisioning:users.read", "changes:read"])).await;
    let told: serde_json::Value = serde_json::from_slice(answer.body()).expect("JSON");
    assert_eq!(told["tenant"], "alpha");
    assert_eq!(told["scopes"], serde_json::json!(["provisioning:users.read", "changes:read"]));
    let names: Vec<_> = told.as_object().expect("an object").keys().map(String::as_str).collect();
    assert_eq!(names, ["created", "expires", "id", "name", "scopes", "tenant"]);
    let text = String::from_utf8_lossy(answer.body());
    assert!(!text.contains(&key[6..20]), "{text}");

    let (answer, _) = ask(world.operator_key()).await;
    let told: serde_json::Value = serde_json::from_slice(answer.body()).expect("JSON");
    assert_eq!((&told["operator"], told.get("tenant")), (&serde_json::json!(true), None));
    let (answer, _) = ask(String::new()).await;
    assert_eq!(answer.status(), 401);
}
