//! Moving documents out of a sled database: keys `tenant/collection/id` with values of JSON.
//!
//! It can be stopped and run again: `insert` leaves alone what has been moved, and what services have written since.

#![allow(clippy::print_stdout, reason = "it shows what it does")]

use std::{error::Error, path::Path};

use meldb::{JsonText, Store};

/// Moves everything and returns how many documents were moved, were there already, and were no documents.
fn migrate(from: &sled::Db, to: &Store) -> Result<(usize, usize, usize), Box<dyn Error>> {
    let (mut moved, mut present, mut skipped) = (0, 0, 0);
    for entry in from.iter() {
        let (key, value) = entry?;
        let (Ok(key), Ok(text)) = (std::str::from_utf8(&key), std::str::from_utf8(&value)) else {
            skipped += 1;
            continue;
        };
        let mut names = key.splitn(3, '/');
        let (Some(tenant), Some(collection), Some(id)) = (names.next(), names.next(), names.next())
        else {
            skipped += 1;
            continue;
        };
        // Text goes in unparsed by the caller: digits and order stay as they were.
        let write = to
            .tenant(tenant)?
            .collection(collection)?
            .insert(id, JsonText(text))
            .commit("migration");
        match write {
            Ok(_) => moved += 1,
            Err(meldb::Error::AlreadyExists { .. }) => present += 1,
            Err(error @ (meldb::Error::InvalidName(_) | meldb::Error::InvalidText(_))) => {
                println!("{key}: {error}");
                skipped += 1;
            }
            Err(error) => return Err(error.into()),
        }
    }
    Ok((moved, present, skipped))
}

fn main() -> Result<(), Box<dyn Error>> {
    let dir = std::env::args().nth(1).unwrap_or_else(|| "from-sled".to_owned());
    let old = sled::open(Path::new(&dir).join("old"))?;
    old.insert("acme/users/ada", r#"{"name":"Ada","balance":1.50}"#)?;
    old.insert("acme/users/bob", r#"{"name":"Bob"}"#)?;
    old.insert("acme/users/eve", "no JSON")?;

    let store = Store::open(Path::new(&dir).join("new"))?;
    println!("{:?}", migrate(&old, &store)?);
    println!("{:?}", migrate(&old, &store)?);
    let ada = store.tenant("acme")?.collection("users")?.get("ada")?.expect("she was moved");
    assert!(ada.as_text()?.contains("1.50"));
    Ok(store.close()?)
}
