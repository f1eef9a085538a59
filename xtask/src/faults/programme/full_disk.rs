//! A disk that others fill under a store, and make room on again, while it stays open.

use std::{
    fs::{self, File},
    io::{self, Write},
    path::Path,
    thread,
    time::{Duration, Instant},
};

use anyhow::{Context, bail, ensure};
use meldb::{EngineKind, Error, Store};
use meldb_faultkit::power_cut::{Disk, DiskKind, FileSystem};
use serde_json::{Value, json};

use super::check::{Run, Tally, Unavailable};

/// How many documents are deleted in a round, and put again.
const DELETES: u64 = 5;
/// How long a store may take to notice that there is space, a checkpoint included.
const PATIENCE: Duration = Duration::from_secs(20);

/// Fills the disk, in turn to less than the reserve and to the last byte: what makes the store larger is refused,
/// reads and deletes go on, and it is over when there is space, while the store stays open.
pub(super) fn is_survived(run: &Run<'_>, engine: EngineKind) -> anyhow::Result<Tally> {
    let disk = Disk::new(run.dir(), DiskKind::Shutdown, FileSystem::Ext4, 128 << 20);
    let disk = disk.map_err(Unavailable)?;
    let path = disk.path().join("store");
    let open = || Store::builder().engine(engine).memory_bytes(16 << 20).open(&path);
    let store = open()?;
    let mut acknowledged = 0;
    for _ in 0..20 {
        put(&store, acknowledged)?;
        acknowledged += 1;
    }
    let mut deleted = 0;
    for round in 0..run.rounds(3) {
        // Others leave less than the reserve.
        let ballast = disk.path().join("ballast");
        let left = if round % 2 == 0 { 6 << 20 } else { 0 };
        fill(&ballast, left).context("there should be room")?;
        let full = loop {
            match put(&store, acknowledged) {
                Ok(()) => acknowledged += 1,
                Err(error) => break error,
            }
        };
        ensure!(matches!(full, Error::StorageFull { .. }), "{full:?}");
        let again = put(&store, acknowledged);
        ensure!(
            matches!(again, Err(Error::StorageFull { .. })),
            "it is refused, not latched: {again:?}"
        );
        ensure!(store.failure().is_none(), "{:?}", store.failure());
        verify(&store, deleted, acknowledged)?;
        for _ in 0..DELETES {
            let users = store.tenant("t")?.collection("users")?;
            let delete = users.delete(format!("user-{deleted}").as_str()).commit("writer");
            delete.context("deletes have a reserve")?;
            deleted += 1;
        }
        store.tenant("other")?.erase("officer").context("erasing has a reserve")?;
        store.housekeep().context("housekeeping has a reserve")?;
        verify(&store, deleted, acknowledged)?;

        fs::remove_file(&ballast)?;
        let started = Instant::now();
        while let Err(error) = put(&store, acknowledged) {
            ensure!(started.elapsed() < PATIENCE, "it does not go on when there is room: {error}");
            thread::sleep(Duration::from_millis(50));
        }
        acknowledged += 1;
        for _ in 0..DELETES {
            put(&store, acknowledged).context("there is room")?;
            acknowledged += 1;
        }
        verify(&store, deleted, acknowledged)?;
        if run.tell(round, run.rounds(3)).is_break() {
            break;
        }
    }
    store.checkpoint().context("the tables take a checkpoint")?;
    drop(store);
    verify(&open()?, deleted, acknowledged)?;
    Ok(Tally { rounds: run.rounds(3), faults: run.rounds(3) })
}

/// Writes a file until `left` bytes are free.
fn fill(path: &Path, left: u64) -> anyhow::Result<()> {
    let mut file = File::create(path)?;
    let piece = vec![7; 64 << 10];
    loop {
        match file.write_all(&piece).and_then(|()| file.sync_data()) {
            Ok(()) => {}
            Err(error) if error.kind() == io::ErrorKind::StorageFull => break,
            Err(error) => return Err(error.into()),
        }
    }
    let length = file.metadata()?.len();
    if length < left {
        bail!("only {length} bytes were free");
    }
    file.set_len(length - left)?;
    Ok(file.sync_all()?)
}

fn put(store: &Store, n: u64) -> meldb::Result<()> {
    let users = store.tenant("t")?.collection("users")?;
    let body = json!({"n": n, "fill": "x".repeat(100_000)});
    users.put(format!("user-{n}").as_str(), body).commit("writer").map(drop)
}

/// Checks that of all that were acknowledged those are there that were not deleted, which were the first.
fn verify(store: &Store, deleted: u64, acknowledged: u64) -> anyhow::Result<()> {
    let users = store.tenant("t")?.collection("users")?;
    for n in 0..acknowledged {
        let user: Option<Value> = users.get_as(format!("user-{n}").as_str())?;
        let is_right = match n < deleted {
            true => user.is_none(),
            false => user.is_some_and(|user| user["n"] == n),
        };
        ensure!(is_right, "user-{n} is not as it was written or deleted");
    }
    let problems: Vec<_> = store.verify().filter_map(Result::err).collect();
    ensure!(problems.is_empty(), "{problems:?}");
    Ok(())
}
