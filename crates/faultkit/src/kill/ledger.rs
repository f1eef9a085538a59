//! What must be in the store, from what the writer has told.

use std::{collections::BTreeMap, time::Duration};

use meldb::{
    Access, ChangeCursor, ChangeKind, Document, Filter, Revision, Sort, Store, asc, engine::Totals,
};
use serde_json::{Map, Value};

use super::work::{self, DOCUMENTS, Intent, Line, OWN, SHARED, State, THREADS, Verb};

/// How long building an index of so few documents takes at most, on the slowest machine.
const INDEXED_WITHIN: Duration = Duration::from_secs(60);

/// A document as it was acknowledged last.
#[derive(Clone, Debug, Default)]
struct Known {
    state: State,
    /// Zero when nothing is known to be there.
    revision: u64,
}

/// The documents as the writer has acknowledged them, and what was under way at its end.
#[derive(Debug, Default)]
pub(crate) struct Ledger {
    own: BTreeMap<(usize, usize), Known>,
    /// By thread, the number that it has merged into the shared document.
    shared: BTreeMap<usize, u64>,
    /// By thread, the writes of which it is not known whether they are made, in their order.
    pending: BTreeMap<usize, Vec<Intent>>,
    /// By tenant, the highest revision that was acknowledged.
    revisions: BTreeMap<String, u64>,
    /// What a power cut may take away, where not every acknowledged write is synced.
    unsynced: Option<Unsynced>,
    acknowledged: u64,
    lost: u64,
    number_max: u64,
}

/// The writes that were acknowledged since the last sync, with their revisions.
#[derive(Debug, Default)]
struct Unsynced {
    writes: Vec<(Intent, u64)>,
    /// How many of them a sync is under way for.
    syncing: usize,
}

impl Ledger {
    /// Returns a ledger of writes that a power cut may take away until they are synced, of each
    /// tenant the last ones.
    pub(crate) fn of_buffered_writes() -> Self {
        Self { unsynced: Some(Unsynced::default()), ..Self::default() }
    }

    /// Returns how many writes were acknowledged, not synced, and are gone.
    pub(crate) fn lost(&self) -> u64 {
        self.lost
    }

    /// Returns how many writes have been acknowledged in all.
    pub(crate) fn acknowledged(&self) -> u64 {
        self.acknowledged
    }

    /// Returns a number that no write has had.
    pub(crate) fn next_number(&self) -> u64 {
        self.number_max + 1
    }

    /// Takes in what the writer has told.
    pub(crate) fn note(&mut self, line: &Line) -> Result<(), String> {
        match line {
            Line::Ready => Ok(()),
            Line::Failed(reason) => Err(format!("the writer gave up: {reason}")),
            Line::Intent(intent) => {
                self.number_max = self.number_max.max(intent.number);
                self.pending.entry(intent.thread).or_default().push(*intent);
                Ok(())
            }
            Line::Acknowledged { thread, number, revision } => {
                let intent = match self.pending.remove(thread).as_deref() {
                    Some([intent]) if intent.number == *number => *intent,
                    other => return Err(format!("{line:?} does not answer {other:?}")),
                };
                self.acknowledged += 1;
                match &mut self.unsynced {
                    None => self.apply(&intent, *revision),
                    Some(unsynced) => unsynced.writes.push((intent, *revision)),
                }
                Ok(())
            }
            Line::Syncing => {
                if let Some(unsynced) = &mut self.unsynced {
                    unsynced.syncing = unsynced.writes.len();
                }
                Ok(())
            }
            Line::Synced => {
                let Some(unsynced) = &mut self.unsynced else { return Ok(()) };
                let synced: Vec<_> = unsynced.writes.drain(..unsynced.syncing).collect();
                unsynced.syncing = 0;
                synced.iter().for_each(|(intent, revision)| self.apply(intent, *revision));
                Ok(())
            }
        }
    }

    /// Takes in what the writer has told after the power was cut: what it began may be there or
    /// not, acknowledged or not, for with the power on a world goes on that has none.
    pub(crate) fn note_late(&mut self, line: &Line) -> Result<(), String> {
        match line {
            Line::Intent(_) => self.note(line),
            Line::Ready
            | Line::Acknowledged { .. }
            | Line::Syncing
            | Line::Synced
            | Line::Failed(_) => Ok(()),
        }
    }

    fn apply(&mut self, intent: &Intent, revision: u64) {
        let shared = intent.verb == Verb::Share;
        let highest = self.revisions.entry(intent.tenant()).or_default();
        *highest = revision.max(*highest);
        if shared {
            self.shared.insert(intent.thread, intent.number);
        }
        // The revisions of a batch are consecutive, and the one that was told is the last.
        for (before_last, document) in intent.documents().into_iter().rev().enumerate() {
            let known = self.own.entry((intent.thread, document)).or_default();
            let revision = revision - before_last as u64;
            *known = Known { state: intent.apply(&known.state), revision };
        }
    }

    /// Compares the store with the ledger, and takes over what had become of the writes that were
    /// under way.
    pub(crate) fn verify(&mut self, store: &Store) -> Result<(), String> {
        self.forget_lost(store)?;
        let pending = std::mem::take(&mut self.pending);
        let pending = |thread: usize| pending.get(&thread).map_or(&[][..], Vec::as_slice);
        for thread in 0..THREADS {
            for document in 0..DOCUMENTS {
                let is_its = |intent: &&Intent| intent.documents().contains(&document);
                let pending: Vec<_> = pending(thread).iter().filter(is_its).collect();
                self.verify_own(store, thread, document, &pending)?;
            }
        }
        for thread in 0..THREADS {
            for (index, intent) in pending(thread).iter().enumerate() {
                if intent.verb == Verb::Batch {
                    self.verify_whole(intent, &pending(thread)[index + 1..])?;
                }
            }
        }
        self.verify_shared(store, pending)?;
        self.verify_tenants(store)?;
        verify_history(store)?;
        verify_indexes(store)?;
        let problem = store.verify().find_map(Result::err);
        problem.map_or(Ok(()), |problem| Err(problem.to_string()))
    }

    /// Of the writes that were not synced, takes in those up to each tenant's last revision, which
    /// must be there, and forgets the others, which must not.
    fn forget_lost(&mut self, store: &Store) -> Result<(), String> {
        let Some(unsynced) = &mut self.unsynced else { return Ok(()) };
        for (intent, revision) in std::mem::take(unsynced).writes {
            let tenant = store
                .tenant(intent.tenant())
                .map_err(|error| meldb::with_causes(&error).to_string())?;
            let last = tenant
                .last_revision()
                .map_err(|error| meldb::with_causes(&error).to_string())?
                .get();
            let first = revision + 1 - intent.revisions();
            if revision <= last {
                self.apply(&intent, revision);
            } else if last < first {
                self.lost += 1;
                // What the thread began after that came later and is gone as well.
                self.pending.remove(&intent.thread);
            } else {
                return Err(format!(
                    "{intent:?} has revisions {first} to {revision}, {last} is last"
                ));
            }
        }
        Ok(())
    }

    fn verify_own(
        &mut self,
        store: &Store,
        thread: usize,
        document: usize,
        pending: &[&Intent],
    ) -> Result<(), String> {
        let found = read(store, &work::tenant(thread), OWN, &work::id(thread, document))?;
        let revision = found.as_ref().map_or(0, |document| document.revision().get());
        let found = found.as_ref().map(members).transpose()?;
        let known = self.own.entry((thread, document)).or_default();
        let is_acknowledged =
            found == known.state && (found.is_none() || revision == known.revision);
        let is_pending = || {
            let mut state = known.state.clone();
            let reached = pending.iter().any(|intent| {
                state = intent.apply(&state);
                state == found
            });
            reached && (found.is_none() || revision > known.revision)
        };
        if !is_acknowledged && !is_pending() {
            return Err(format!(
                "{}: at revision {revision} there is {}, acknowledged at {} was {}, and under way \
                 was {pending:?}",
                work::id(thread, document),
                summary(&found),
                known.revision,
                summary(&known.state),
            ));
        }
        *known = Known { state: found, revision };
        Ok(())
    }

    /// Checks that a batch that was under way is there whole or not at all, as far as what its
    /// thread did `later` shows it.
    fn verify_whole(&self, batch: &Intent, later: &[Intent]) -> Result<(), String> {
        let is_there = |document: &usize| {
            let known = self.own.get(&(batch.thread, *document));
            let number = known.and_then(|known| known.state.as_ref()?.get("n")?.as_u64());
            number == Some(batch.number)
        };
        let is_covered =
            |document: &usize| later.iter().any(|intent| intent.documents().contains(document));
        let mut documents = batch.documents();
        documents.retain(|document| !is_covered(document));
        match documents.iter().filter(|document| is_there(document)).count() {
            0 => Ok(()),
            there if there == documents.len() => Ok(()),
            there => Err(format!("{there} of {} writes of {batch:?} are there", documents.len())),
        }
    }

    fn verify_shared<'a>(
        &mut self,
        store: &Store,
        pending: impl Fn(usize) -> &'a [Intent],
    ) -> Result<(), String> {
        let found = read(store, &work::tenant(0), SHARED, SHARED)?;
        let found = found.as_ref().map(members).transpose()?.unwrap_or_default();
        for thread in 0..THREADS {
            let number = found.get(&format!("t{thread}")).and_then(Value::as_u64);
            let acknowledged = self.shared.get(&thread).copied();
            let share = pending(thread).iter().filter(|intent| intent.verb == Verb::Share);
            let share: Vec<_> = share.map(|intent| intent.number).collect();
            if number != acknowledged && !number.is_some_and(|number| share.contains(&number)) {
                return Err(format!(
                    "the shared document has {number:?} of thread {thread}, acknowledged was \
                     {acknowledged:?}, and under way was {share:?}"
                ));
            }
            if let Some(number) = number {
                self.shared.insert(thread, number);
            }
        }
        Ok(())
    }

    /// Checks what a tenant says of itself against what can be read of it.
    fn verify_tenants(&self, store: &Store) -> Result<(), String> {
        for (name, acknowledged) in &self.revisions {
            let tenant = store
                .tenant(name.as_str())
                .map_err(|error| meldb::with_causes(&error).to_string())?;
            let last =
                tenant.last_revision().map_err(|error| meldb::with_causes(&error).to_string())?;
            if last < Revision::new(*acknowledged) {
                return Err(format!("{name} is at {last}, and {acknowledged} was acknowledged"));
            }
            let mut counted = Totals::default();
            for collection in [OWN, SHARED] {
                let collection = tenant
                    .collection(collection)
                    .map_err(|error| meldb::with_causes(&error).to_string())?;
                for document in collection.list() {
                    counted.documents += 1;
                    let document =
                        document.map_err(|error| meldb::with_causes(&error).to_string())?;
                    counted.bytes += document.as_bytes().len() as u64;
                }
            }
            for change in tenant.changes(ChangeCursor::START) {
                let change = change.map_err(|error| meldb::with_causes(&error).to_string())?;
                counted.tombstones += u64::from(change.kind == ChangeKind::Deleted);
            }
            let totals = tenant.totals().map_err(|error| meldb::with_causes(&error).to_string())?;
            // Which the check of the whole store has counted.
            counted.history_bytes = totals.history_bytes;
            if totals != counted {
                return Err(format!("{name} holds {counted:?} and says {totals:?}"));
            }
        }
        Ok(())
    }
}

/// Checks that every write of a tenant with history has its entry: its revisions are all there. Where one is kept for some
/// tenants, it is for all that should have one.
fn verify_history(store: &Store) -> Result<(), String> {
    let failed = |error: meldb::Error| meldb::with_causes(&error).to_string();
    for name in work::tenants_with_history() {
        let tenant = store.tenant(name.as_str()).map_err(failed)?;
        if tenant.collection(OWN).map_err(failed)?.history_setting().is_none() {
            continue;
        }
        let last = tenant.last_revision().map_err(failed)?;
        let mut expected = Revision::ZERO;
        for write in tenant.writes(Revision::ZERO) {
            let found = write.map_err(failed)?.revision;
            expected = Revision::new(expected.get() + 1);
            if found != expected {
                return Err(format!(
                    "{name}: the history has no write at {expected}, but at {found}"
                ));
            }
        }
        if expected != last {
            return Err(format!(
                "{name}: the history ends at {expected}, and the tenant at {last}"
            ));
        }
    }
    Ok(())
}

/// Checks that the indexes are built, that each finds every document of its collection in its order, and that they are so
/// on disk, which the check of the store compares next.
fn verify_indexes(store: &Store) -> Result<(), String> {
    let failed = |error: meldb::Error| meldb::with_causes(&error).to_string();
    for number in 0..work::TENANTS {
        let name = work::tenant(number);
        let own = store.tenant(name.as_str()).map_err(failed)?.collection(OWN).map_err(failed)?;
        if own.indexes().is_empty() {
            continue;
        }
        if !own.wait_for_indexes(INDEXED_WITHIN) {
            return Err(format!("{name}: an index is not built: {:?}", own.indexes()));
        }
        let order = Sort::from([asc("n"), asc("fill")]);
        let (mut find, mut found) = (own.find(Filter::all()).sort(order), Vec::new());
        if !matches!(find.explain().map_err(failed)?.access, Access::Index { .. }) {
            return Err(format!("{name}: the index is not used"));
        }
        loop {
            let page = find.page(7).map_err(failed)?;
            found.extend(page.documents.iter().map(|one| one.revision()));
            if page.next.is_none() {
                break;
            }
        }
        let listed = own.list().map(|one| Ok(one?.revision()));
        let mut listed = listed.collect::<Result<Vec<_>, _>>().map_err(failed)?;
        // No two writes of a tenant have the same.
        found.sort_unstable();
        listed.sort_unstable();
        if found != listed {
            return Err(format!("{name}: the index finds other documents than the list"));
        }
    }
    store.checkpoint().map_err(failed)
}

fn read(
    store: &Store,
    tenant: &str,
    collection: &str,
    id: &str,
) -> Result<Option<Document>, String> {
    let tenant = store.tenant(tenant).map_err(|error| meldb::with_causes(&error).to_string())?;
    let collection =
        tenant.collection(collection).map_err(|error| meldb::with_causes(&error).to_string())?;
    collection.get(id).map_err(|error| meldb::with_causes(&error).to_string())
}

fn members(document: &Document) -> Result<Map<String, Value>, String> {
    let mut members: Map<String, Value> =
        document.to().map_err(|error| meldb::with_causes(&error).to_string())?;
    members.remove("updated");
    members.remove("updatedBy");
    Ok(members)
}

fn summary(state: &State) -> String {
    let Some(members) = state else { return "nothing".to_owned() };
    let short = |(name, value): (&String, &Value)| match value.as_str() {
        Some(text) => format!("{name}: {} bytes", text.len()),
        None => format!("{name}: {value}"),
    };
    members.iter().map(short).collect::<Vec<_>>().join(", ")
}
