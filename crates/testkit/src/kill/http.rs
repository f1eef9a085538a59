//! A document of a client's own behind a server, and what the client knows of it.

use std::io;

use meldb::Store;
use serde_json::Value;

use crate::client::Client;

/// The collection that holds the documents.
pub const COLLECTION: &str = "kill";

/// What a client knows of its own document.
#[derive(Clone, Copy, Debug, Default)]
pub struct Account {
    client: usize,
    /// The number of its last write that was acknowledged.
    acknowledged: u64,
    /// The number of its last write that was sent.
    sent: u64,
    /// The revision of the last acknowledgement.
    revision: u64,
}

impl Account {
    /// Returns the account of the client of this number, who has written nothing yet.
    pub fn new(client: usize) -> Self {
        Self { client, ..Self::default() }
    }

    /// Returns how many writes were acknowledged.
    pub fn acknowledged(&self) -> u64 {
        self.acknowledged
    }

    /// Returns where the document is, behind its tenant.
    pub fn path(&self) -> String {
        format!("{COLLECTION}/client-{}", self.client)
    }

    /// Makes the next write; `root` is the address of the tenant.
    ///
    /// # Errors
    /// The server is gone: the write may or may not have been made.
    ///
    /// # Panics
    /// If the write is refused, or its revision does not come after the last one.
    pub fn write(&mut self, connection: &mut Client, root: &str) -> io::Result<()> {
        // What was under way at the last kill may or may not have been made: it is made anew.
        let number = self.acknowledged + 1;
        let fill = "x".repeat(300);
        let body = format!(r#"{{"n":{number},"m{}":{number},"fill":"{fill}"}}"#, number % 3);
        // Created by its first write, merged by the others.
        let method = if number == 1 { "POST" } else { "PUT" };
        self.sent = number;
        let answer =
            connection.send(method, &format!("{root}/{}", self.path()), body.as_bytes())?;
        assert!(matches!(answer.status, 200 | 201), "{}: {}", answer.status, answer.text());
        let revision = answer.revision().expect("a revision as ETag");
        assert!(revision > self.revision, "revisions go up: {self:?}, then {revision}");
        self.revision = revision;
        self.acknowledged = number;
        Ok(())
    }

    /// Compares the document with what is known, and takes over what had been under way.
    ///
    /// # Panics
    /// If an acknowledged write is not there, or the document is torn.
    pub fn verify(&mut self, store: &Store, tenant: &str) {
        let tenant = store.tenant(tenant).expect("a tenant id");
        let documents = tenant.collection(COLLECTION).expect("a name");
        let id = format!("client-{}", self.client);
        let found = documents.get(id.as_str()).expect("it can be read");
        let members: Option<Value> = found.as_ref().map(|found| found.to().expect("JSON"));
        let number = members.as_ref().map_or(0, |members| members["n"].as_u64().expect("a number"));
        let expected = [self.acknowledged, self.sent];
        assert!(expected.contains(&number), "{number} is there, not {self:?}");
        if let Some(members) = members {
            assert_eq!(members[format!("m{}", number % 3)], number, "torn: {self:?}");
        }
        let revision = found.map_or(0, |found| found.revision().get());
        assert!(revision >= self.revision, "{revision} is before {self:?}");
        self.acknowledged = number;
    }
}
