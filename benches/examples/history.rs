//! Prints what history costs, as ratios of one run, and what is read from it.
//!
//! ```text
//! cargo run --release -p meldb-bench --features peers --example history
//! ```
//!
//! - The rate of buffered one-field merges into one document, with history and without, in turns.
//! - The bytes of the log and of history for a merge, by the length of the document.
//! - `blame` of a document with 1,000 writes, and the document as it was 50 writes ago.
//! - The same kept by SQLite in a trigger that stores the old and the new text: writes and bytes on disk.

#![allow(clippy::print_stdout, reason = "that is what it is for")]

#[cfg(feature = "peers")]
use std::fs;
use std::{error::Error, path::Path, time::Instant};

use meldb::{Collection, Durability, History, JsonText, Revision, Store};
#[cfg(feature = "peers")]
use rusqlite::Connection;

type Done<T = ()> = Result<T, Box<dyn Error>>;

const ROUNDS: usize = 21;
const KB: usize = 1 << 10;

/// Returns a document of about so many bytes, in fields that compressing would not shorten much.
fn text(bytes: usize) -> String {
    let mut state = 0x9e37_79b9_7f4a_7c15_u64;
    let mut fields = String::from(r#"{"role":"member","seats":1"#);
    let mut number = 0;
    while fields.len() < bytes {
        fields.push_str(&format!(r#","field{number}":""#));
        for _ in 0..64.min(bytes - fields.len().min(bytes)) {
            state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1);
            fields.push(char::from(b'a' + (state >> 59) as u8 % 26));
        }
        fields.push('"');
        number += 1;
    }
    fields.push('}');
    fields
}

fn patch(n: u64) -> String {
    format!(r#"{{"role":"owner-{:06}"}}"#, n % 1_000_000)
}

fn open(dir: &Path, history: bool) -> Done<(Store, Collection)> {
    let store = Store::builder().durability(Durability::Buffered).open(dir)?;
    let users = store.tenant("acme")?.collection("users")?;
    if history {
        users.set_history(History::forever(), "bench")?;
    }
    Ok((store, users))
}

fn merges(users: &Collection, from: u64, count: u64) -> Done<f64> {
    let began = Instant::now();
    for n in from..from + count {
        users.merge("ada", JsonText(patch(n))).commit("bench")?;
    }
    Ok(began.elapsed().as_secs_f64() * 1e6 / count as f64)
}

fn median(mut values: Vec<f64>) -> f64 {
    values.sort_by(f64::total_cmp);
    values[values.len() / 2]
}

/// The rate with history, as a part of the rate without.
fn rates(dir: &Path) -> Done {
    for (kb, count) in [(1, 4_000), (100, 1_000)] {
        let (plain, without) = open(&dir.join(format!("plain-{kb}")), false)?;
        let (kept, with) = open(&dir.join(format!("kept-{kb}")), true)?;
        for users in [&without, &with] {
            users.put("ada", JsonText(text(kb * KB))).commit("bench")?;
            merges(users, 0, count)?;
        }
        let (mut ratios, mut each) = (Vec::new(), Vec::new());
        for round in 0..ROUNDS {
            let from = round as u64 * count;
            let first = round % 2 == 0;
            let one = merges(if first { &without } else { &with }, from, count)?;
            let other = merges(if first { &with } else { &without }, from, count)?;
            let (off, on) = if first { (one, other) } else { (other, one) };
            ratios.push(off / on);
            each.push(on);
        }
        println!(
            "merge of one field into {kb} KB with history: {:.2} of the rate without, {:.1} µs",
            median(ratios),
            median(each)
        );
        drop((plain, kept));
    }
    Ok(())
}

/// What a merge leaves, by the length of the document.
fn bytes(dir: &Path) -> Done {
    const MERGES: u64 = 200;
    for (name, kb) in [("1 KB", 1), ("10 KB", 10), ("100 KB", 100), ("1 MB", 1000)] {
        let (store, users) = open(&dir.join(format!("bytes-{kb}")), true)?;
        users.put("ada", JsonText(text(kb * KB))).commit("bench")?;
        merges(&users, 0, 1)?;
        store.checkpoint()?;
        let tenant = store.tenant("acme")?;
        let (log, kept) = (store.stats().log_bytes, tenant.totals()?.history_bytes);
        merges(&users, 1, MERGES)?;
        let log = (store.stats().log_bytes - log) / MERGES;
        let kept = (tenant.totals()?.history_bytes - kept) / MERGES;
        println!("a merge of one field into {name}: {log} bytes of log, {kept} of history");
    }
    Ok(())
}

/// What is read from history.
fn reads(dir: &Path) -> Done {
    let (store, users) = open(&dir.join("reads"), true)?;
    users.put("ada", JsonText(text(KB))).commit("bench")?;
    merges(&users, 0, 999)?;
    let ada = users.document("ada");
    for moment in ["in memory", "in the tables"] {
        let last = store.tenant("acme")?.last_revision()?;
        let then = Revision::new(last.get() - 50);
        let (mut blames, mut versions) = (Vec::new(), Vec::new());
        for _ in 0..ROUNDS {
            let began = Instant::now();
            let blame = ada.blame()?.ok_or("it is there")?;
            blames.push(began.elapsed().as_secs_f64() * 1e3);
            assert!(blame.fields.iter().all(|field| field.set_by.is_some()));
            let began = Instant::now();
            ada.at_revision(then)?.ok_or("it was there")?;
            versions.push(began.elapsed().as_secs_f64() * 1e3);
        }
        println!(
            "{moment}: blame of 1 KB with 1,000 writes {:.2} ms, 50 writes ago {:.3} ms",
            median(blames),
            median(versions)
        );
        store.checkpoint()?;
    }
    Ok(())
}

/// The bytes of all files below a directory.
#[cfg(feature = "peers")]
fn size(dir: &Path) -> Done<u64> {
    let mut bytes = 0;
    for entry in fs::read_dir(dir)? {
        let entry = entry?;
        let metadata = entry.metadata()?;
        bytes += if metadata.is_dir() { size(&entry.path())? } else { metadata.len() };
    }
    Ok(bytes)
}

/// The same kept by a trigger in SQLite.
#[cfg(feature = "peers")]
fn sqlite(dir: &Path) -> Done {
    const MERGES: u64 = 20_000;
    const DOCUMENTS: u64 = 100;
    for kb in [1, 10] {
        let own = dir.join(format!("own-{kb}"));
        let (store, users) = open(&own, true)?;
        let db = dir.join(format!("sqlite-{kb}"));
        fs::create_dir(&db)?;
        let peer = Connection::open(db.join("db"))?;
        peer.execute_batch(
            "PRAGMA journal_mode = WAL; PRAGMA synchronous = NORMAL; PRAGMA cache_size = -65536;
             CREATE TABLE documents (id TEXT PRIMARY KEY, body TEXT NOT NULL) WITHOUT ROWID;
             CREATE TABLE history (seq INTEGER PRIMARY KEY, id TEXT, old TEXT, new TEXT);
             CREATE TRIGGER kept AFTER UPDATE ON documents BEGIN
               INSERT INTO history (id, old, new) VALUES (old.id, old.body, new.body);
             END;",
        )?;
        let id = |n: u64| format!("user-{}", n * 7 % DOCUMENTS);
        for n in 0..DOCUMENTS {
            users.put(id(n), JsonText(text(kb * KB))).commit("bench")?;
            peer.execute("INSERT INTO documents VALUES (?1, ?2)", (id(n), text(kb * KB)))?;
        }
        let began = Instant::now();
        for n in 0..MERGES {
            users.merge(id(n), JsonText(patch(n))).commit("bench")?;
        }
        let ours = began.elapsed();
        let update = "UPDATE documents SET body = json_patch(body, ?2) WHERE id = ?1";
        let mut update = peer.prepare(update)?;
        let began = Instant::now();
        for n in 0..MERGES {
            // As ours: the stamp changes with each write.
            let patch = format!(r#"{{"role":"owner-{n:06}","updated":{n},"updatedBy":"bench"}}"#);
            update.execute((id(n), patch))?;
        }
        let theirs = began.elapsed();
        drop(update);
        store.checkpoint()?;
        store.compact()?;
        peer.execute_batch("PRAGMA wal_checkpoint(TRUNCATE)")?;
        println!(
            "{kb} KB beside a trigger in SQLite: {:.1} times the writes, {:.3} of the bytes on disk",
            theirs.as_secs_f64() / ours.as_secs_f64(),
            size(&own)? as f64 / size(&db)? as f64
        );
    }
    Ok(())
}

fn main() -> Done {
    let dir = tempfile::tempdir()?;
    rates(dir.path())?;
    bytes(dir.path())?;
    reads(dir.path())?;
    #[cfg(feature = "peers")]
    sqlite(dir.path())?;
    Ok(())
}
