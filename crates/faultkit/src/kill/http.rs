//! Documents of a client's own behind a server, and what the client knows of them.

use std::io;

use meldb::Store;
use meldb_testkit::client::{Answer, Client};
use serde_json::{Value, json};

/// The collection that holds the documents.
pub const COLLECTION: &str = "kill";
/// How many documents a client writes in its batches.
const PARTS: u64 = 3;
/// Every so many writes one is a batch.
const BATCH_EVERY: u64 = 3;

/// What a client knows of its own documents: one that it writes alone, and some that it writes
/// together, in batches.
#[derive(Clone, Copy, Debug, Default)]
pub struct Account {
    client: usize,
    alone: Progress,
    together: Progress,
}

/// How far the writes have come of what is always written as a whole.
#[derive(Clone, Copy, Debug, Default)]
struct Progress {
    /// How many writes were acknowledged.
    acknowledged: u64,
    /// The number of the last write that is known to be made.
    made: u64,
    /// The number of the last write that was sent.
    sent: u64,
    /// The highest revision that the last made write has left.
    revision: u64,
}

impl Progress {
    /// Begins the next write, and returns its number.
    fn send_next(&mut self) -> u64 {
        // What was under way at the last kill may or may not have been made: it is made anew.
        self.sent = self.made + 1;
        self.sent
    }

    /// Notes that the write that was sent is acknowledged.
    fn acknowledge(&mut self, revision: u64) {
        assert!(revision > self.revision, "revisions go up: {self:?}, then {revision}");
        *self = Self { acknowledged: self.acknowledged + 1, made: self.sent, revision, ..*self };
    }

    /// Compares what is there with what is known, and takes over what had been under way.
    fn verify(&mut self, number: u64, revision: u64) {
        assert!([self.made, self.sent].contains(&number), "{number} is there, not {self:?}");
        if number == self.made {
            assert_eq!(revision, self.revision, "{number} is at another revision: {self:?}");
        } else {
            assert!(revision > self.revision, "{revision} is not after {self:?}");
        }
        *self = Self { made: number, revision, ..*self };
    }
}

impl Account {
    /// Returns the account of the client of this number, who has written nothing yet.
    pub fn new(client: usize) -> Self {
        Self { client, ..Self::default() }
    }

    /// Returns how many writes were acknowledged, a batch being one.
    pub fn acknowledged(&self) -> u64 {
        self.alone.acknowledged + self.together.acknowledged
    }

    /// Returns how many batches were acknowledged.
    pub fn acknowledged_batches(&self) -> u64 {
        self.together.acknowledged
    }

    /// Returns where the document is that is written alone, behind its tenant.
    pub fn path(&self) -> String {
        format!("{COLLECTION}/client-{}", self.client)
    }

    fn part(&self, part: u64) -> String {
        format!("client-{}-part-{part}", self.client)
    }

    /// Makes the next write; `root` is the address of the tenant.
    ///
    /// # Errors
    /// The server is gone: the write may or may not have been made.
    ///
    /// # Panics
    /// If the write is refused, or its revision does not come after the last one.
    pub fn write(&mut self, connection: &mut Client, root: &str) -> io::Result<()> {
        match (self.alone.sent + self.together.sent) % BATCH_EVERY {
            2 => self.write_together(connection, root),
            _ => self.write_alone(connection, root),
        }
    }

    fn write_alone(&mut self, connection: &mut Client, root: &str) -> io::Result<()> {
        let number = self.alone.send_next();
        // Created by its first write, merged by the others.
        let method = if number == 1 { "POST" } else { "PUT" };
        let (path, body) = (format!("{root}/{}", self.path()), body(number).to_string());
        let answer = accepted(connection.send(method, &path, body.as_bytes())?);
        self.alone.acknowledge(answer.revision().expect("a revision as ETag"));
        Ok(())
    }

    fn write_together(&mut self, connection: &mut Client, root: &str) -> io::Result<()> {
        let number = self.together.send_next();
        let operations: Vec<_> = (0..PARTS).filter_map(|part| self.operation(part)).collect();
        let body = json!({ "operations": operations }).to_string();
        let answer =
            accepted(connection.send("POST", &format!("{root}:batch"), body.as_bytes())?);
        let told: Value = serde_json::from_slice(&answer.body).expect("JSON");
        let results = told["results"].as_array().expect("results");
        assert_eq!(results.len(), operations.len(), "batch {number}: {told}");
        let left = results.iter().filter(|result| result["effect"] != "deleted");
        let revisions = left.map(|result| result["revision"].as_u64().expect("a revision"));
        self.together.acknowledge(revisions.max().expect("a batch leaves something"));
        Ok(())
    }

    /// Returns what the batch that was sent last does to a part.
    fn operation(&self, part: u64) -> Option<Value> {
        let Progress { made, sent, .. } = self.together;
        let path = format!("{COLLECTION}/{}", self.part(part));
        let op = match (is_there(part, made), is_there(part, sent)) {
            (false, false) => return None,
            (true, false) => return Some(json!({ "op": "delete", "path": path })),
            (false, true) => "insert",
            (true, true) => "merge",
        };
        Some(json!({ "op": op, "path": path, "data": body(sent) }))
    }

    /// Compares the documents with what is known, and takes over what had been under way.
    ///
    /// # Panics
    /// If an acknowledged write is not there, a document is torn, or a batch is.
    pub fn verify(&mut self, store: &Store, tenant: &str) {
        let read = |id: &str| read(store, tenant, id);
        let (number, revision) = read(&format!("client-{}", self.client)).unwrap_or_default();
        self.alone.verify(number, revision);
        let parts: Vec<_> = (0..PARTS).map(|part| read(&self.part(part))).collect();
        let (number, revision) = parts.iter().flatten().max().copied().unwrap_or_default();
        for (part, found) in (0..).zip(&parts) {
            let expected = is_there(part, number).then_some(number);
            let found = found.map(|(number, _)| number);
            assert_eq!(found, expected, "batch {number} is there in part: {parts:?}, {self:?}");
        }
        self.together.verify(number, revision);
    }
}

/// Returns whether a part is there after the batch of this number; each part is missing now and
/// then.
fn is_there(part: u64, number: u64) -> bool {
    number > 0 && number % (PARTS + 1) != part
}

fn body(number: u64) -> Value {
    json!({ "n": number, (format!("m{}", number % 3)): number, "fill": "x".repeat(300) })
}

fn accepted(answer: Answer) -> Answer {
    assert!(matches!(answer.status, 200 | 201), "{}: {}", answer.status, answer.text());
    answer
}

/// Returns the number and the revision of a document, if it is there.
fn read(store: &Store, tenant: &str, id: &str) -> Option<(u64, u64)> {
    let tenant = store.tenant(tenant).expect("a tenant id");
    let documents = tenant.collection(COLLECTION).expect("a name");
    let found = documents.get(id).expect("it can be read")?;
    let members: Value = found.to().expect("JSON");
    let number = members["n"].as_u64().expect("a number");
    assert_eq!(members[format!("m{}", number % 3)], number, "{id} is torn: {members}");
    Some((number, found.revision().get()))
}
