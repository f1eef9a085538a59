//! A reader that goes on from any text goes on without a gap, or is told that it cannot.

use std::{
    collections::BTreeMap,
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
    time::Duration,
};

use arbitrary::Arbitrary;
use meldb::{ChangeCursor, ChangeKind, Error, Store, Tenant, memory_engine};

/// What is done to a tenant, and where a reader of its changes stands.
#[derive(Arbitrary, Clone, Debug)]
pub struct Followed {
    /// What is done before the reader goes on.
    steps: Vec<Touch>,
    cursor: Kept,
    /// How many changes the reader takes at a time.
    page: u8,
}

/// One thing that is done.
#[derive(Arbitrary, Clone, Debug)]
enum Touch {
    /// A document is put.
    Put(u8),
    /// A document is deleted.
    Delete(u8),
    /// What is remembered of deletes is removed.
    Forget,
}

/// The text that a reader has kept.
#[derive(Arbitrary, Clone, Debug)]
enum Kept {
    /// The text of a reader that began at the start, took some pages, and stopped before some step.
    Own { before: u8, pages: u8 },
    /// A number, or two.
    Numbers(u8, Option<u8>),
    /// Anything.
    Text(String),
}

/// What is known of a tenant: the last write of each document, and the last delete forgotten.
#[derive(Default)]
struct Model {
    last: BTreeMap<u8, (u64, bool)>,
    head: u64,
    horizon: u64,
}

const DOCUMENTS: u8 = 8;
/// So long that nothing is removed but when a step says so, however slow the machine is.
const RETENTION: Duration = Duration::from_secs(3600);

/// Does the steps, goes on from the cursor, and compares what is read with what was done.
pub fn check_cursor(followed: &Followed) {
    let now_ms = Arc::new(AtomicU64::new(1));
    let clock = Arc::clone(&now_ms);
    let store = Store::builder()
        .clock(move || clock.load(Ordering::Relaxed))
        .tombstone_retention(RETENTION)
        .over_engine(memory_engine())
        .expect("opened");
    let tenant = store.tenant("t").expect("an id");
    let page = usize::from(followed.page % 5) + 1;
    let mut model = Model::default();
    let mut kept = match &followed.cursor {
        Kept::Own { .. } => ChangeCursor::START.to_string(),
        Kept::Numbers(after, None) => after.to_string(),
        Kept::Numbers(after, Some(began)) => format!("{after}.{began}"),
        Kept::Text(text) => text.clone(),
    };
    for (position, step) in followed.steps.iter().enumerate() {
        if let Kept::Own { before, pages } = followed.cursor
            && position == usize::from(before)
        {
            kept = read_some(&tenant, page, usize::from(pages));
        }
        let passed =
            if matches!(step, Touch::Forget) { 2 * RETENTION } else { Duration::from_millis(1) };
        now_ms.fetch_add(passed.as_millis() as u64, Ordering::Relaxed);
        model.touch(&store, &tenant, step);
    }
    let cursor = match kept.parse::<ChangeCursor>() {
        Ok(cursor) => cursor,
        Err(_) => return assert!(numbers(&kept).is_none(), "{kept:?} is a cursor"),
    };
    let (after, began) = numbers(&kept).unwrap_or_else(|| panic!("{kept:?} is not a cursor"));
    assert_eq!(cursor.revision().get(), after);
    assert_eq!(cursor.to_string().parse().as_ref(), Ok(&cursor));
    // A reader at the very beginning begins now, and a cursor that has caught up knows no more.
    let known = if (after, began) == (0, 0) { model.head } else { after.max(began) };
    match read_all(&tenant, cursor, page) {
        Ok(read) => {
            assert!(model.horizon <= known, "a removed delete is missed behind {kept}");
            assert_eq!(read, model.behind(after), "behind {kept}");
        }
        Err(Error::CursorExpired { .. }) => {
            assert!(model.horizon > known || known > model.head, "{kept} was refused");
        }
        Err(error) => panic!("an unexpected error: {error:?}"),
    }
}

/// Returns the numbers of a text that is a cursor: digits, and perhaps a dot and more digits.
fn numbers(text: &str) -> Option<(u64, u64)> {
    // `u64` is what reads them, and would take a plus.
    let number = |digits: &str| digits.parse().ok().filter(|_| !digits.starts_with('+'));
    match text.split_once('.') {
        None => Some((number(text)?, 0)),
        Some((after, began)) => Some((number(after)?, number(began)?)),
    }
}

fn read_some(tenant: &Tenant, page: usize, pages: usize) -> String {
    let mut feed = tenant.changes(ChangeCursor::START);
    for _ in 0..pages {
        if !feed.page(page).expect("a new reader misses nothing").more {
            break;
        }
    }
    feed.cursor().to_string()
}

/// Reads page by page, each from the text of the one before.
fn read_all(
    tenant: &Tenant,
    mut cursor: ChangeCursor,
    page: usize,
) -> Result<Vec<(u64, bool)>, Error> {
    let mut read = Vec::new();
    loop {
        let next = tenant.changes(cursor).page(page)?;
        assert!(next.changes.len() <= page);
        let told =
            |change: &meldb::Change| (change.revision.get(), change.kind == ChangeKind::Deleted);
        read.extend(next.changes.iter().map(told));
        // The last page is read once more: where nothing is, nothing comes and nothing is refused.
        if next.changes.is_empty() && !next.more {
            return Ok(read);
        }
        cursor = next.cursor.to_string().parse().expect("its own cursor");
    }
}

impl Model {
    fn touch(&mut self, store: &Store, tenant: &Tenant, step: &Touch) {
        let users = tenant.collection("users").expect("a name");
        let (number, deletes) = match step {
            Touch::Put(number) => (number % DOCUMENTS, false),
            Touch::Delete(number) => (number % DOCUMENTS, true),
            Touch::Forget => return self.forget(store),
        };
        let document = users.document(number.to_string());
        if !deletes {
            let written = document.put(serde_json::json!({})).commit("fuzz").expect("written");
            self.head = written.document.revision().get();
            self.last.insert(number, (self.head, false));
        } else if let Ok(deleted) = document.delete().commit("fuzz") {
            self.head = deleted.revision.get();
            let before = self.last.insert(number, (self.head, true));
            assert!(before.is_some_and(|(_, deleted)| !deleted), "it did not exist");
        }
    }

    /// Removes the tombstones, but for one that is the tenant's last write.
    fn forget(&mut self, store: &Store) {
        store.housekeep().expect("kept");
        let head = self.head;
        let removed = |(revision, deleted): (u64, bool)| deleted && revision < head;
        let last = self.last.values().filter(|last| removed(**last)).map(|last| last.0).max();
        self.horizon = self.horizon.max(last.unwrap_or_default());
        self.last.retain(|_, last| !removed(*last));
    }

    fn behind(&self, after: u64) -> Vec<(u64, bool)> {
        let mut behind: Vec<_> =
            self.last.values().copied().filter(|(revision, _)| *revision > after).collect();
        behind.sort_unstable();
        behind
    }
}
