//! A small store with something of everything, to be kept for as long as its format is read.
//!
//! `cargo xtask fixture` makes one; the stores in `fixtures/` are of released formats and are never
//! made anew.

use std::path::Path;

use meldb::{
    Collection, Document, EngineKind, Expiry, History, IdempotencyKey, JsonText, Quota, Store,
    WriteResult,
};
use serde_json::json;

/// When everything in the store is written, in epoch milliseconds.
const NOW_MS: u64 = 1_764_000_000_000;
/// When what expires does, in epoch milliseconds.
const FAR_MS: u64 = 9_000_000_000_000;
/// The quota of a tenant.
const QUOTA: Quota = Quota { documents: Some(10), bytes: None };

fn open(engine: EngineKind, dir: &Path) -> meldb::Result<Store> {
    Store::builder().engine(engine).clock(|| NOW_MS).open(dir)
}

fn long() -> String {
    "0123456789".repeat(2_000)
}

/// Makes the store in `dir`.
///
/// # Errors
/// It cannot be made.
pub fn make(engine: EngineKind, dir: &Path) -> meldb::Result<()> {
    write(&open(engine, dir)?)?;
    // Closed and opened, so that there is something in every kind of file.
    let store = open(engine, dir)?;
    store.tenant("tenant-beta")?.collection("jobs")?.put("one", json!({"n": 1})).commit("x")?;
    Ok(())
}

fn write(store: &Store) -> meldb::Result<()> {
    let alpha = store.tenant("tenant-alpha")?;
    let users = alpha.collection("users")?;
    users.set_history(History::forever(), "operator")?;
    alpha.document().put(json!({"plan": "gold"})).commit("setup")?;
    users.put("ada", JsonText(ADA)).commit("setup")?;
    users.merge("ada", json!({"role": "owner", "seats": null})).commit("billing")?;
    users.put("bob", json!({"name": "Bob"})).commit("setup")?;
    users.delete("bob").commit("support")?;
    users.put("cyd", json!({"fill": long()})).commit("setup")?;
    users.document("ada").at(["address"]).merge(json!({"town": "Bath"})).commit("post")?;
    let beta = store.tenant("tenant-beta")?;
    beta.set_quota(Some(QUOTA), "operator")?;
    let jobs = beta.collection("jobs")?;
    put_once(&jobs)?;
    jobs.put("late", json!({})).expiry(Expiry::At(FAR_MS)).commit("setup")?;
    Ok(())
}

/// Makes a write that is made once, however often it is sent.
fn put_once(jobs: &Collection) -> meldb::Result<WriteResult> {
    jobs.put("!~", json!({})).idempotency_key(IdempotencyKey::parse("job-1")?).commit("setup")
}

/// Digits, escapes and an order that a merge has to leave alone.
const ADA: &str = r#"{"seats":3,"name":"Ad\u0061 L","price":1.50,"big":12345678901234567890123,
    "address":{"town":"London","zip":"E1"},"größe":"ß","tags":["a",{"b":null}]}"#;

/// Opens the store in `dir` and returns what in it is not as [`make`] left it; writes to it too.
///
/// # Errors
/// It cannot be opened, read or written.
pub fn differences(engine: EngineKind, dir: &Path) -> meldb::Result<Vec<String>> {
    let mut differences = read(&open(engine, dir)?)?;
    let store = open(engine, dir)?;
    let ada = store.tenant("tenant-alpha")?.collection("users")?.get("ada")?;
    compare(&mut differences, "ada after a merge", &text(ada), &ada_after());
    differences.extend(store.verify().filter_map(|record| Some(record.err()?.to_string())));
    Ok(differences)
}

/// Compares everything with what it should be, and merges once.
fn read(store: &Store) -> meldb::Result<Vec<String>> {
    let mut differences = Vec::new();
    let mut compare = |what, found: String, expected: &str| {
        compare(&mut differences, what, &found, expected);
    };
    let alpha = store.tenant("tenant-alpha")?;
    let users = alpha.collection("users")?;
    let jobs = store.tenant("tenant-beta")?.collection("jobs")?;
    let own = format!("1 {{{},\"plan\":\"gold\"}}", stamp("setup"));
    compare("the tenant's own document", text(alpha.document().get()?), &own);
    let ada = format!(
        "7 {{{},\"name\":\"Ad\\u0061 L\",\"price\":1.50,\"big\":12345678901234567890123,\
         \"address\":{{{},\"town\":\"Bath\",\"zip\":\"E1\"}},\"größe\":\"ß\",\
         \"tags\":[\"a\",{{\"b\":null}}],\"role\":\"owner\"}}",
        stamp("post"),
        stamp("post"),
    );
    compare("ada", text(users.get("ada")?), &ada);
    compare("bob", text(users.get("bob")?), "nothing");
    let cyd = format!("6 {{{},\"fill\":\"{}\"}}", stamp("setup"), long());
    compare("cyd", text(users.get("cyd")?), &cyd);
    compare("!~", text(jobs.get("!~")?), &format!("1 {{{}}}", stamp("setup")));
    compare("one", text(jobs.get("one")?), &format!("3 {{{},\"n\":1}}", stamp("x")));
    let expires_ms = jobs.get("late")?.and_then(|late| late.expires_ms());
    compare("when a document expires", format!("{expires_ms:?}"), &format!("{:?}", Some(FAR_MS)));
    let repeated = put_once(&jobs)?;
    compare(
        "an idempotent retry",
        format!("{} {}", repeated.repeated, repeated.revision()),
        "true 1",
    );
    let quota = store.tenant("tenant-beta")?.quota();
    compare("a quota", format!("{quota:?}"), &format!("{QUOTA:?}"));
    let versions: meldb::Result<Vec<_>> =
        users.document("ada").history().map(|version| Ok(version?.revision.to_string())).collect();
    compare("the history of ada", versions?.join(" "), "7 3 2");
    compare("the last revision", alpha.last_revision()?.to_string(), "7");
    compare("the number of documents", alpha.totals()?.documents.to_string(), "3");

    let merged = users.merge("ada", json!({"role": null})).commit("later")?;
    compare("the next revision", merged.document.revision().to_string(), "8");
    Ok(differences)
}

fn compare(differences: &mut Vec<String>, what: &str, found: &str, expected: &str) {
    if found != expected {
        differences.push(format!("{what} is {found:?} and should be {expected:?}"));
    }
}

/// Returns a document's revision and its text on one line.
fn text(document: Option<Document>) -> String {
    let Some(document) = document else { return "nothing".to_owned() };
    let text = String::from_utf8_lossy(document.as_bytes()).replace('\n', "");
    format!("{} {text}", document.revision())
}

fn stamp(by: &str) -> String {
    format!(r#""updated":{NOW_MS},"updatedBy":"{by}""#)
}

fn ada_after() -> String {
    let (stamp, inner) = (stamp("later"), stamp("post"));
    format!(
        "8 {{{stamp},\"name\":\"Ad\\u0061 L\",\"price\":1.50,\"big\":12345678901234567890123,\
         \"address\":{{{inner},\"town\":\"Bath\",\"zip\":\"E1\"}},\"größe\":\"ß\",\
         \"tags\":[\"a\",{{\"b\":null}}]}}"
    )
}
