//! The store under test, and how it is compared with the reference.

use meldb::{
    Batch, Builder, Collection, Condition, Document, DocumentRef, Durability, Effect, Error,
    Revision, Store, WriteResult,
};
use meldb_testkit::{
    fixture::{Fixture, TestClock, TestEngine, collection},
    futures::block_on,
};
use proptest_state_machine::StateMachineTest;
use serde_json::Value;

use super::{
    reference::{ACTOR, Entry, Model, NOW_MS, Outcome, Reference, without_stamps},
    steps::{COLLECTIONS, Change, IDS, SUB, Step, TENANTS, Target, Verb, When},
};

/// A store on `TestEngine::ALL[ENGINE]`.
pub struct System<const ENGINE: usize> {
    fixture: Fixture,
    /// `None` only between closing and opening.
    store: Option<Store>,
    /// Counts steps, so that every other write is awaited.
    steps: usize,
}

impl<const ENGINE: usize> StateMachineTest for System<ENGINE> {
    type SystemUnderTest = Self;
    type Reference = Reference;

    fn init_test(_: &Model) -> Self {
        let fixture = Fixture::new(TestEngine::ALL[ENGINE]);
        let store = Some(fixture.open_with(options));
        Self { fixture, store, steps: 0 }
    }

    fn apply(mut system: Self, model: &Model, step: Step) -> Self {
        system.steps += 1;
        match step {
            Step::Write(change) => {
                let target = change.target;
                assert_eq!(system.write(change), model.outcome);
                system.check(model, target);
            }
            Step::Batch { tenant, changes } => {
                let targets: Vec<_> = changes.iter().map(|change| change.target).collect();
                assert_eq!(system.batch(tenant, changes), model.outcome);
                targets.into_iter().for_each(|target| system.check(model, target));
            }
            Step::List { tenant, collection, after, count } => {
                assert_eq!(system.list(tenant, collection, after, count), model.outcome);
            }
            Step::Sync => system.store().sync().expect("synced"),
            Step::Reopen => {
                system.store = None;
                system.store = Some(system.fixture.open_with(options));
                system.check_everything(model);
            }
        }
        system
    }

    fn teardown(system: Self, model: Model) {
        system.check_everything(&model);
    }
}

/// Buffered, so that there can be many steps; what synced means is tested elsewhere.
fn options(builder: Builder) -> Builder {
    builder.durability(Durability::Buffered).clock(TestClock::at(NOW_MS))
}

impl<const ENGINE: usize> System<ENGINE> {
    fn store(&self) -> &Store {
        self.store.as_ref().expect("open between steps")
    }

    fn collection(&self, tenant: usize, name: usize) -> Collection {
        collection(self.store(), TENANTS[tenant], COLLECTIONS[name])
    }

    fn document(&self, target: Target) -> DocumentRef {
        match target.member {
            None => self.store().tenant(TENANTS[target.tenant]).expect("a tenant id").document(),
            Some((name, id)) => self.collection(target.tenant, name).document(IDS[id]),
        }
    }

    /// Returns the document of a change, and the condition in the store's terms.
    fn place(&self, change: &Change) -> (DocumentRef, Condition) {
        let document = self.document(change.target);
        // Unlikely to be the revision of anything, where there is none.
        let current =
            document.get().expect("reading works").map_or(1 << 40, |d| d.revision().get());
        let condition = match change.when {
            When::Any => Condition::Any,
            When::Absent => Condition::Absent,
            When::Present => Condition::Present,
            When::Current => Condition::Matches(Revision::new(current)),
            When::Stale => Condition::Matches(Revision::new(current - 1)),
        };
        (if change.sub { document.at(SUB) } else { document }, condition)
    }

    fn write(&self, change: Change) -> Outcome {
        let (document, condition) = self.place(&change);
        match make(&document, change.verb, condition, self.steps.is_multiple_of(2)) {
            Ok(Made::Deleted(revision)) => Outcome::Written(Effect::Deleted, revision.get(), None),
            Ok(Made::Written(WriteResult { effect, document, .. })) => {
                let entry = entry(&document);
                Outcome::Written(effect, entry.revision, Some(entry.value))
            }
            Err(error) => refused(error),
        }
    }

    fn batch(&self, tenant: usize, changes: Vec<Change>) -> Outcome {
        let mut batch = self.store().tenant(TENANTS[tenant]).expect("a tenant id").batch();
        for change in changes {
            let (document, condition) = self.place(&change);
            push(&mut batch, &document, change.verb, condition);
        }
        let made = match self.steps.is_multiple_of(2) {
            true => block_on(batch.commit_async(ACTOR)),
            false => batch.commit(ACTOR),
        };
        match made {
            Ok(made) => Outcome::Made(made.outcomes.into_iter().map(written).collect()),
            Err(Error::OperationFailed { index, source, .. }) => {
                Outcome::Undone(index, Box::new(refused((*source).clone())))
            }
            Err(error) => panic!("{error}"),
        }
    }

    fn list(&self, tenant: usize, name: usize, after: Option<usize>, count: usize) -> Outcome {
        let listing = || {
            let listing = self.collection(tenant, name).list();
            match after {
                Some(after) => listing.after(IDS[after]).expect("a good id"),
                None => listing,
            }
        };
        let page = listing().page(count).expect("reading works");
        let id = |document: &Document| document.id().expect("an id").to_string();
        let found: Vec<_> = page.documents.iter().map(|d| (id(d), entry(d))).collect();
        let walked = listing().take(count).map(|document| document.expect("reading works"));
        let walked: Vec<_> = walked.map(|document| (id(&document), entry(&document))).collect();
        assert_eq!(walked, found);
        Outcome::Listed(found, page.more)
    }

    /// Compares one document, and where its tenant stands.
    fn check(&self, model: &Model, target: Target) {
        let found = self.document(target).get().expect("reading works");
        assert_eq!(found.as_ref().map(entry).as_ref(), model.documents.get(&target), "{target:?}");
        let tenant = self.store().tenant(TENANTS[target.tenant]).expect("a tenant id");
        let last = model.last_revisions.get(&target.tenant).copied().unwrap_or_default();
        assert_eq!(tenant.last_revision().expect("reading works"), Revision::new(last));
    }

    fn check_everything(&self, model: &Model) {
        for (tenant, tenant_name) in TENANTS.into_iter().enumerate() {
            let mut documents = 0;
            for name in 0..COLLECTIONS.len() {
                for id in 0..IDS.len() {
                    self.check(model, Target { tenant, member: Some((name, id)) });
                }
                documents += self.collection(tenant, name).list().count() as u64;
            }
            let own = Target { tenant, member: None };
            self.check(model, own);
            documents += u64::from(model.documents.contains_key(&own));
            let tenant_handle = self.store().tenant(tenant_name).expect("a tenant id");
            let expected = model.documents.keys().filter(|key| key.tenant == tenant).count() as u64;
            assert_eq!(documents, expected);
            assert_eq!(tenant_handle.totals().expect("reading works").documents, expected);
        }
    }
}

enum Made {
    Written(WriteResult),
    Deleted(Revision),
}

fn refused(error: Error) -> Outcome {
    match error {
        Error::NotFound { .. } => Outcome::NotFound,
        Error::AlreadyExists { .. } => Outcome::AlreadyExists,
        Error::RevisionMismatch { found, .. } => Outcome::Mismatch(found.map(Revision::get)),
        Error::PatchConflict { .. } => Outcome::Conflict,
        error => panic!("{error}"),
    }
}

fn written(outcome: meldb::Outcome) -> Outcome {
    let value = outcome.document.as_ref().map(|document| entry(document).value);
    Outcome::Written(outcome.effect, outcome.revision.get(), value)
}

fn push(batch: &mut Batch, document: &DocumentRef, verb: Verb, condition: Condition) {
    let skips = verb.skips_unchanged(document.path().is_ok_and(|path| !path.members().is_empty()));
    match verb {
        Verb::Put(value) => batch.push(document.put(value).condition(condition)),
        Verb::Merge { patch, nulls, depth, .. } => {
            let merge = document.merge(patch).nulls(nulls).depth(depth).condition(condition);
            batch.push(if skips { merge.skip_unchanged() } else { merge });
        }
        Verb::Patch(operations) => batch.push(document.patch(operations).condition(condition)),
        Verb::Delete => batch.push(document.delete().condition(condition)),
    }
}

fn make(
    document: &DocumentRef,
    verb: Verb,
    condition: Condition,
    awaited: bool,
) -> meldb::Result<Made> {
    macro_rules! commit {
        ($write:expr) => {{
            let write = $write.condition(condition);
            if awaited { block_on(write.commit_async(ACTOR)) } else { write.commit(ACTOR) }
        }};
    }
    let skips = verb.skips_unchanged(document.path().is_ok_and(|path| !path.members().is_empty()));
    match verb {
        Verb::Put(value) => commit!(document.put(value)).map(Made::Written),
        Verb::Merge { patch, nulls, depth, .. } => {
            let merge = document.merge(patch).nulls(nulls).depth(depth);
            commit!(if skips { merge.skip_unchanged() } else { merge }).map(Made::Written)
        }
        Verb::Patch(operations) => commit!(document.patch(operations)).map(Made::Written),
        Verb::Delete => commit!(document.delete()).map(|deleted| Made::Deleted(deleted.revision)),
    }
}

fn entry(document: &Document) -> Entry {
    let whole: Value = document.to().expect("JSON");
    assert_eq!(whole["updated"], NOW_MS);
    assert_eq!(whole["updatedBy"], ACTOR);
    Entry { value: without_stamps(&whole), revision: document.revision().get() }
}
