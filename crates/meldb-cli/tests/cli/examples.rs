//! The examples that are no Rust: clients in other languages, and scheduled backups.

use std::{
    fs,
    path::{Path, PathBuf},
    process::{Command, Output},
};

use meldb_testkit::{need::Need, skip::has};

use crate::cli::support::{Running, run};

fn example(path: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../../examples").join(path)
}

/// Runs a client against a server, and returns what it prints.
fn client(interpreter: &str, file: &str) -> String {
    let dir = tempfile::tempdir().unwrap();
    let server = Running::serve(dir.path(), &[]);
    let scopes = ["--scope", "provisioning:*", "--scope", "changes:read", "--json"];
    let create = ["keys", "create", "--tenant", "acme", "--name", "client", "--dir"];
    let key = run(create.iter().chain(&[dir.path().to_str().unwrap()]).chain(&scopes)).expect(0);
    let output = Command::new(interpreter)
        .arg(example(file))
        .env("MELDB_URL", &server.url)
        .env("MELDB_KEY", key.json()["secret"].as_str().unwrap())
        .output()
        .unwrap();
    printed(&output)
}

#[track_caller]
fn printed(output: &Output) -> String {
    let (stdout, stderr) =
        (String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr));
    assert!(output.status.success(), "{stdout}{stderr}");
    stdout.into_owned()
}

#[test]
fn the_client_in_curl_works() {
    if has(Need::CURL) {
        let expected = "the second one with the same tag: 412\n\"kind\":\"merged\"\n";
        assert_eq!(client("sh", "clients/curl.sh"), expected);
    }
}

#[test]
fn the_client_in_python_works() {
    if has(Need::PYTHON) {
        let expected = "5 seats\n404 NotFound: acme/users/nobody does not exist";
        let printed = client("python3", "clients/python.py");
        assert!(printed.starts_with(expected) && printed.ends_with("['bob']\n"), "{printed}");
    }
}

#[test]
fn the_client_in_javascript_works() {
    if has(Need::NODE) {
        let printed = client("node", "clients/javascript.mjs");
        assert!(printed.starts_with("Cyd is an owner\nmerged by client\n"), "{printed}");
    }
}

#[test]
fn scheduled_backups_can_be_restored() {
    let place = tempfile::tempdir().unwrap();
    let (store, backups) = (place.path().join("store"), place.path().join("backups"));
    for week in ["2020-01", "2020-02", "2020-03", "2020-04"] {
        fs::create_dir_all(backups.join(week)).unwrap();
    }
    let program = Path::new(env!("CARGO_BIN_EXE_meldb")).parent().unwrap();
    let path = format!("{}:{}", program.display(), std::env::var("PATH").unwrap());
    for night in 0..3 {
        let document = format!("acme/users/user-{night}");
        run(["put", &document, "{}", "--dir", store.to_str().unwrap()]).expect(0);
        let mut nightly = Command::new(example("backups/nightly"));
        let output = nightly.args([&store, &backups]).env("PATH", &path).output().unwrap();
        let restored = format!("restored {} documents", night + 1);
        assert!(printed(&output).contains(&restored), "{output:?}");
    }
    let mut weeks: Vec<_> =
        fs::read_dir(&backups).unwrap().map(|week| week.unwrap().file_name()).collect();
    weeks.sort();
    assert_eq!((weeks.len(), weeks[0].to_str()), (4, Some("2020-02")), "{weeks:?}");
}
