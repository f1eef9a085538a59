//! Random operations, checkpoints, crashes and reopenings, compared with an engine in memory that has none of them.

use proptest::prelude::*;
use tempfile::TempDir;

use super::support::{
    Contents, DOCUMENTS, TestTables, actor, commit_all, contents, document, kill, open, tenant,
    write,
};
use crate::{
    engine::{ChangeKind, CommitError, Engine, Entry, EraseStep, Held, Row, local::LocalEngine},
    types::{DocumentKey, Revision},
};

#[derive(Clone, Debug)]
enum Step {
    /// A commit of writes of one tenant; of a document, the second is made from the first.
    Commit {
        tenant: usize,
        writes: Vec<(usize, u8, bool)>,
    },
    Purge {
        after_ms: u64,
    },
    Erase {
        tenant: usize,
        entries_max: usize,
    },
    Restore {
        tenant: usize,
        document: usize,
    },
    Checkpoint,
    /// A checkpoint that fails after so many entries, with nothing written, or at its end.
    Interrupted {
        entries: usize,
    },
    Kill,
    Reopen,
}

fn step() -> impl Strategy<Value = Step> {
    let write = (0..DOCUMENTS, 0..8_u8, any::<bool>());
    prop_oneof![
        8 => (0..2_usize, prop::collection::vec(write, 1..4))
            .prop_map(|(tenant, writes)| Step::Commit { tenant, writes }),
        1 => (0..20_u64).prop_map(|after_ms| Step::Purge { after_ms }),
        1 => (0..2_usize, 1..5_usize).prop_map(|(tenant, entries_max)| Step::Erase { tenant, entries_max }),
        1 => (0..2_usize, 0..DOCUMENTS).prop_map(|(tenant, document)| Step::Restore { tenant, document }),
        2 => Just(Step::Checkpoint),
        1 => (0..30_usize).prop_map(|entries| Step::Interrupted { entries }),
        2 => Just(Step::Kill),
        1 => Just(Step::Reopen),
    ]
}

/// An engine on tables, and one in memory that gets the same operations.
pub(super) struct Pair {
    dir: TempDir,
    pub(super) tables: TestTables,
    pub(super) engine: Option<LocalEngine>,
    plain: LocalEngine,
    now_ms: u64,
}

impl Pair {
    pub(super) fn new() -> Self {
        let dir = tempfile::tempdir().expect("a directory");
        let tables = TestTables::default();
        let engine = Some(open(dir.path(), &tables).expect("opened"));
        Self { dir, tables, engine, plain: LocalEngine::in_memory(), now_ms: 1_000 }
    }

    pub(super) fn path(&self) -> &std::path::Path {
        self.dir.path()
    }

    pub(super) fn engine(&self) -> &LocalEngine {
        self.engine.as_ref().expect("open between steps")
    }

    pub(super) fn expected(&self) -> Contents {
        contents(&self.plain)
    }

    fn reopen(&mut self) {
        self.engine = Some(open(self.dir.path(), &self.tables).expect("opened"));
    }

    pub(super) fn commit(&mut self, number: usize, writes: &[(usize, u8, bool)]) {
        self.now_ms += 1;
        let (tenant, now_ms) = (tenant(number), self.now_ms);
        for engine in [self.engine(), &self.plain] {
            let mut made: Vec<crate::engine::RowWrite> = Vec::new();
            for &(number, value, expires) in writes {
                let key = document(number);
                let kind = match value % 4 {
                    0 => ChangeKind::Put,
                    1 => ChangeKind::Deleted,
                    _ => ChangeKind::Merged,
                };
                let stored = engine.get(&tenant, &key).expect("read");
                let earlier = made.iter().rfind(|write| write.key == key).map(|write| Row {
                    revision: Revision::ZERO,
                    updated_ms: now_ms,
                    body: write.body.clone(),
                    expires_ms: write.expires_ms,
                });
                let found = earlier.as_ref().or(stored.as_ref());
                let expires_ms = expires.then_some(now_ms + 10);
                made.push(write(key, kind, found, now_ms, value, expires_ms));
            }
            commit_all(engine, &tenant, now_ms, made);
        }
    }

    /// Applies an operation to both engines and returns both results.
    fn both<T>(&self, act: impl Fn(&LocalEngine) -> Result<T, CommitError>) -> [T; 2] {
        [self.engine(), &self.plain].map(|engine| act(engine).expect("made"))
    }

    fn restore(&mut self, number: usize, key: DocumentKey) {
        self.now_ms += 1;
        let tenant = tenant(number);
        let head = self.plain.head(&tenant).expect("read");
        let before = self.plain.get(&tenant, &key).expect("read");
        let body = super::support::text(self.now_ms, 9);
        let former =
            before.map_or(Held::Nothing, |row| Held::row(row.body.map(|body| body.len() as u64)));
        let change = crate::engine::Change {
            key,
            kind: ChangeKind::Put,
            updated_ms: self.now_ms,
            updated_by: actor(),
            totals: head.totals.with(former, Held::Document(body.len() as u64)),
        };
        let revision = Revision::new(head.revision.get() + 3);
        let entry = Entry {
            revision,
            change,
            body: Some(body),
            expires_ms: Some(self.now_ms + 5),
            history: None,
        };
        self.both(|engine| engine.restore(&tenant, std::slice::from_ref(&entry), head.revision));
    }

    fn apply(&mut self, step: &Step) {
        match *step {
            Step::Commit { tenant, ref writes } => self.commit(tenant, writes),
            Step::Purge { after_ms } => {
                let before_ms = self.now_ms.saturating_sub(after_ms);
                let [one, other] = self.both(|engine| {
                    let mut done = (0, None);
                    loop {
                        let purged = engine.purge(before_ms, done.1, 3)?;
                        done = (done.0 + purged.tombstones, purged.next);
                        if done.1.is_none() {
                            return Ok(done.0);
                        }
                    }
                });
                assert_eq!(one, other);
            }
            Step::Erase { tenant: number, entries_max } => {
                self.now_ms += 1;
                let (now_ms, until) = (self.now_ms, None);
                let step = EraseStep { now_ms, actor: actor(), entries_max, until };
                let [one, other] = self.both(|engine| engine.erase(&tenant(number), &step));
                assert_eq!(one, other);
            }
            Step::Restore { tenant, document: number } => self.restore(tenant, document(number)),
            Step::Checkpoint => self.engine().checkpoint().expect("written"),
            Step::Interrupted { entries } => {
                self.tables.fail_after(Some(entries));
                self.engine().checkpoint().ok();
                self.tables.fail_after(None);
            }
            Step::Kill => {
                kill(self.engine.take().expect("open between steps"));
                self.reopen();
            }
            Step::Reopen => {
                self.engine = None;
                self.reopen();
            }
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 80, max_shrink_iters: 2_000, ..ProptestConfig::default() })]

    #[test]
    fn an_engine_with_tables_says_what_one_in_memory_does(steps in prop::collection::vec(step(), 1..60)) {
        let mut pair = Pair::new();
        for step in &steps {
            pair.apply(step);
            prop_assert_eq!(contents(pair.engine()), pair.expected(), "after {:?}", step);
        }
        let records = pair.engine().records().map(|record| record.expect("read"));
        let rows = records.filter(|record| matches!(record, crate::engine::Record::Row { .. })).count();
        let plain = pair.plain.records().map(|record| record.expect("read"));
        let expected = plain.filter(|record| matches!(record, crate::engine::Record::Row { .. })).count();
        prop_assert_eq!(rows, expected);
    }
}
