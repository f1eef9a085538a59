//! A mirror that follows the change feed and saves its cursor, so that it goes on where it stopped.
//!
//! It acts first and saves then: after a crash in between it sees a change again, which does no harm here, because
//! what it does twice is the same as what it does once.

#![allow(clippy::print_stdout, reason = "it shows what it does")]

use std::{collections::BTreeMap, fs, io, path::Path};

use meldb::{ChangeCursor, ChangeKind, Error, Store, Tenant};
use serde_json::json;

/// What is mirrored: ids with texts. A search index or another database would stand here.
type Mirror = BTreeMap<String, String>;

fn load(path: &Path) -> io::Result<ChangeCursor> {
    match fs::read_to_string(path) {
        Ok(text) => text.trim().parse().map_err(io::Error::other),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(ChangeCursor::START),
        Err(error) => Err(error),
    }
}

/// Replaces the file in one step, so that it never holds half a cursor.
fn save(path: &Path, cursor: &ChangeCursor) -> io::Result<()> {
    let new = path.with_extension("new");
    fs::write(&new, cursor.to_string())?;
    fs::rename(new, path)
}

/// Applies what is new and returns how many changes there were.
fn catch_up(
    tenant: &Tenant,
    mirror: &mut Mirror,
    path: &Path,
) -> Result<usize, Box<dyn std::error::Error>> {
    let mut feed = tenant.changes(load(path)?).with_documents();
    let mut count = 0;
    for change in feed.by_ref() {
        let change = match change {
            Ok(change) => change,
            Err(Error::CursorExpired { .. }) => {
                // Away for longer than deletes are remembered: begin anew.
                mirror.clear();
                fs::remove_file(path)?;
                return catch_up(tenant, mirror, path);
            }
            Err(error) => return Err(error.into()),
        };
        let name = change.path.to_string();
        match (change.kind, change.document) {
            (ChangeKind::Deleted, _) | (_, None) => mirror.remove(&name),
            (_, Some(document)) => mirror.insert(name, document.as_text()?.to_owned()),
        };
        count += 1;
    }
    save(path, &feed.cursor())?;
    Ok(count)
}

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let dir = std::env::args().nth(1).unwrap_or_else(|| ".".to_owned());
    let path = Path::new(&dir).join("mirror.cursor");
    let store = Store::in_memory()?;
    let tenant = store.tenant("acme")?;
    let users = tenant.collection("users")?;
    let mut mirror = Mirror::new();

    users.put("ada", json!({"name": "Ada"})).commit("signup")?;
    users.put("bob", json!({"name": "Bob"})).commit("signup")?;
    println!("{} changes, {} documents", catch_up(&tenant, &mut mirror, &path)?, mirror.len());

    users.delete("bob").commit("support")?;
    users.merge("ada", json!({"role": "owner"})).commit("billing")?;
    users.merge("ada", json!({"seats": 5})).commit("billing")?;
    // Two, not three: each document comes once, with its last write.
    println!("{} changes, {} documents", catch_up(&tenant, &mut mirror, &path)?, mirror.len());
    println!("{} changes", catch_up(&tenant, &mut mirror, &path)?);
    Ok(())
}
