//! Merges in a database that is shared, beside what one would write by hand for it.
//!
//! All writers are tasks of one runtime of two threads, whatever they write with. By hand each has a
//! connection of its own; MelDB has one committer with a few.

use std::{
    future::Future,
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
    time::{Duration, Instant},
};

use criterion::{BenchmarkId, Criterion};
use meldb::{Collection, JsonText, Store};
use meldb_bench::{documents, measure};
use meldb_testkit::{need::Need, postgres::Cluster};
use tokio::runtime::Runtime;
use tokio_postgres::{Client, NoTls, Statement};

const DOCUMENT_BYTES: usize = 1_000;
const TENANTS: usize = 64;
/// Of each tenant; when there is one tenant, it has all of them.
const DOCUMENTS: u64 = 160;
/// What each writer does at least in a sample.
const TURNS_MIN: u64 = 64;

/// The next turn: no sample writes what one before it has written.
static TURN: AtomicU64 = AtomicU64::new(0);

#[allow(clippy::print_stderr, reason = "a suite that does not run says so")]
fn main() {
    let mut criterion = measure::criterion().measurement_time(Duration::from_secs(2));
    let Some(cluster) = Cluster::start() else {
        eprintln!("SKIPPED: the suite postgres needs PostgreSQL; {}", Need::Postgres.how_to_get());
        return;
    };
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .worker_threads(2)
        .enable_all()
        .build()
        .expect("a runtime");
    let by_hand = ByHand::new(&runtime, &cluster);
    let meldb = MelDb::new(&cluster);
    for tenants in [TENANTS, 1] {
        for writers in [1, 8, 64] {
            let name = match tenants {
                1 => format!("merge, {writers} writers, one tenant"),
                _ => format!("merge, {writers} writers, {TENANTS} tenants"),
            };
            let case = Case { name: &name, writers, tenants };
            case.bench(&mut criterion, &runtime, "MelDB on PostgreSQL", |writer, turn| {
                meldb.merge(case.place(writer, turn), turn)
            });
            case.bench(&mut criterion, &runtime, "SELECT FOR UPDATE, UPDATE", |writer, turn| {
                by_hand.read_and_write(writer, case.place(writer, turn), turn)
            });
            case.bench(&mut criterion, &runtime, "UPDATE jsonb ||", |writer, turn| {
                by_hand.concatenate(writer, case.place(writer, turn), turn)
            });
        }
    }
    criterion.final_summary();
}

struct Case<'a> {
    name: &'a str,
    writers: usize,
    tenants: usize,
}

impl Case<'_> {
    /// Returns the tenant and the document that a writer writes in a turn.
    fn place(&self, writer: usize, turn: u64) -> (usize, u64) {
        let scattered = (turn * 64 + writer as u64).wrapping_mul(0x9E37_79B9_7F4A_7C15) >> 32;
        match self.tenants {
            1 => (0, scattered % (DOCUMENTS * TENANTS as u64)),
            tenants => (writer % tenants, scattered % DOCUMENTS),
        }
    }

    fn bench<F: Future<Output = ()> + Send + 'static>(
        &self,
        criterion: &mut Criterion,
        runtime: &Runtime,
        subject: &str,
        write: impl Fn(usize, u64) -> F + Sync,
    ) {
        let mut group = criterion.benchmark_group("postgres");
        group.bench_function(BenchmarkId::new(subject, self.name), |bencher| {
            bencher.iter_custom(|iterations| {
                let each = iterations.div_ceil(self.writers as u64).max(TURNS_MIN);
                let turn = TURN.fetch_add(each, Ordering::Relaxed);
                let elapsed = self.run(runtime, turn..turn + each, &write);
                elapsed.mul_f64(iterations as f64 / (each * self.writers as u64) as f64)
            });
        });
        group.finish();
    }

    /// Returns how long it takes until every writer has made its turns.
    fn run<F: Future<Output = ()> + Send + 'static>(
        &self,
        runtime: &Runtime,
        turns: std::ops::Range<u64>,
        write: &(impl Fn(usize, u64) -> F + Sync),
    ) -> Duration {
        let start = Instant::now();
        let writers: Vec<_> = (0..self.writers)
            .map(|writer| {
                let writes: Vec<F> = turns.clone().map(|turn| write(writer, turn)).collect();
                runtime.spawn(async move {
                    for write in writes {
                        write.await;
                    }
                })
            })
            .collect();
        for writer in writers {
            runtime.block_on(writer).expect("no panic");
        }
        start.elapsed()
    }
}

/// The store, with the lane and the committer that it has anyway.
struct MelDb {
    tenants: Vec<Collection>,
}

impl MelDb {
    fn new(cluster: &Cluster) -> Self {
        let url = cluster.url(&cluster.new_store());
        let mut builder = Store::builder();
        if let Some(queues) =
            std::env::var("MELDB_BENCH_COMMIT_QUEUES").ok().and_then(|n| n.parse().ok())
        {
            builder = builder.commit_queues(queues);
        }
        let store = builder.postgres(&url).expect("opened");
        let text = documents::document(DOCUMENT_BYTES);
        let tenants: Vec<Collection> = (0..TENANTS)
            .map(|number| {
                let tenant = store.tenant(format!("t{number}")).expect("a tenant id");
                let users = tenant.collection("users").expect("a collection name");
                let count = if number == 0 { DOCUMENTS * TENANTS as u64 } else { DOCUMENTS };
                let numbers: Vec<u64> = (0..count).collect();
                for some in numbers.chunks(500) {
                    let mut batch = tenant.batch();
                    for id in some {
                        batch.push(users.put(format!("d{id}"), JsonText(&*text)));
                    }
                    batch.commit("setup").expect("put");
                }
                users
            })
            .collect();
        Self { tenants }
    }

    fn merge(
        &self,
        (tenant, document): (usize, u64),
        turn: u64,
    ) -> impl Future<Output = ()> + Send + 'static {
        let patch = documents::one_member(turn);
        let write = self.tenants[tenant].merge(format!("d{document}"), JsonText(&*patch));
        async move { drop(write.commit_async("bench").await.expect("merged")) }
    }
}

/// A table with a document a row, and a connection for each writer.
struct ByHand {
    writers: Vec<Arc<Writer>>,
}

struct Writer {
    client: tokio::sync::Mutex<Client>,
    select: Statement,
    update: Statement,
    concatenate: Statement,
}

impl ByHand {
    fn new(runtime: &Runtime, cluster: &Cluster) -> Self {
        let database = cluster.new_database();
        cluster.run_sql(
            &database,
            "CREATE TABLE doc (tenant text, id text, body text, PRIMARY KEY (tenant, id)); \
             CREATE TABLE doc_jsonb (tenant text, id text, body jsonb, PRIMARY KEY (tenant, id))",
        );
        let text = documents::document(DOCUMENT_BYTES).replace('\'', "''");
        for table in ["doc", "doc_jsonb"] {
            let kind = if table == "doc" { "text" } else { "jsonb" };
            cluster.run_sql(
                &database,
                &format!(
                    "INSERT INTO {table} SELECT 't' || t, 'd' || d, '{text}'::{kind} \
                     FROM generate_series(0, {}) AS t, generate_series(0, {}) AS d \
                     WHERE t = 0 OR d < {DOCUMENTS}; ANALYZE {table}",
                    TENANTS - 1,
                    DOCUMENTS * TENANTS as u64 - 1
                ),
            );
        }
        let url = cluster.url(&database);
        let writers = (0..64).map(|_| Arc::new(runtime.block_on(Writer::new(&url)))).collect();
        Self { writers }
    }

    fn read_and_write(
        &self,
        writer: usize,
        place: (usize, u64),
        turn: u64,
    ) -> impl Future<Output = ()> + Send + 'static {
        let writer = Arc::clone(&self.writers[writer]);
        async move { writer.read_and_write(place, turn).await.expect("written") }
    }

    fn concatenate(
        &self,
        writer: usize,
        place: (usize, u64),
        turn: u64,
    ) -> impl Future<Output = ()> + Send + 'static {
        let writer = Arc::clone(&self.writers[writer]);
        async move { writer.concatenate(place, turn).await.expect("written") }
    }
}

impl Writer {
    async fn new(url: &str) -> Self {
        let (client, connection) = tokio_postgres::connect(url, NoTls).await.expect("connected");
        tokio::spawn(connection);
        let select = "SELECT body FROM doc WHERE tenant = $1 AND id = $2 FOR UPDATE";
        let select = client.prepare(select).await.expect("prepared");
        let update = "UPDATE doc SET body = $3 WHERE tenant = $1 AND id = $2";
        let update = client.prepare(update).await.expect("prepared");
        let concatenate =
            "UPDATE doc_jsonb SET body = body || $3::text::jsonb WHERE tenant = $1 AND id = $2";
        let concatenate = client.prepare(concatenate).await.expect("prepared");
        Self { client: client.into(), select, update, concatenate }
    }

    async fn read_and_write(
        &self,
        (tenant, document): (usize, u64),
        turn: u64,
    ) -> Result<(), tokio_postgres::Error> {
        let (tenant, id) = (format!("t{tenant}"), format!("d{document}"));
        let mut client = self.client.lock().await;
        let transaction = client.transaction().await?;
        let row = transaction.query_one(&self.select, &[&tenant, &id]).await?;
        let text: &str = row.get(0);
        let mut body: serde_json::Value = serde_json::from_str(text).expect("JSON");
        let patch = serde_json::from_str(&documents::one_member(turn)).expect("JSON");
        json_patch::merge(&mut body, &patch);
        body["updated"] = turn.into();
        body["updatedBy"] = "bench".into();
        let text = body.to_string();
        transaction.execute(&self.update, &[&tenant, &id, &text]).await?;
        transaction.commit().await
    }

    async fn concatenate(
        &self,
        (tenant, document): (usize, u64),
        turn: u64,
    ) -> Result<(), tokio_postgres::Error> {
        let (tenant, id) = (format!("t{tenant}"), format!("d{document}"));
        let patch = documents::one_member(turn);
        let patch =
            format!(r#"{{"updated":{turn},"updatedBy":"bench",{}"#, patch.trim_start_matches('{'));
        let client = self.client.lock().await;
        client.execute(&self.concatenate, &[&tenant, &id, &patch]).await?;
        Ok(())
    }
}
