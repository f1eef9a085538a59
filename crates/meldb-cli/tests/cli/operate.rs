//! Changes, statistics, backups and erasing: on a directory, and through the server that has it open.

use std::{
    io::{BufRead, BufReader},
    path::Path,
    process::Stdio,
};

use serde_json::{Value, json};

use crate::cli::support::{Running, meldb, run};

fn seed(dir: &str) {
    for (address, text) in [
        ("acme/users/ada", r#"{"name":"Ada","price":1.50}"#),
        ("acme/users/bob", r#"{"name":"Bob"}"#),
        ("acme/bots/hal", r#"{"name":"Hal"}"#),
        ("acme", r#"{"plan":"free"}"#),
        ("other/users/eve", r#"{"name":"Eve"}"#),
    ] {
        run(["put", "--dir", dir, address, text]).expect(0);
    }
    run(["delete", "--dir", dir, "acme/users/bob"]).expect(0);
}

fn lines(text: &str) -> Vec<Value> {
    text.lines().map(|line| serde_json::from_str(line).expect("JSON")).collect()
}

/// Changes are the same from a directory, through its server's socket, and over HTTP.
#[test]
fn changes_read_alike_wherever_the_store_is() {
    let home = tempfile::tempdir().unwrap();
    let dir = home.path().join("store");
    let path = dir.to_str().unwrap();
    seed(path);
    let all = ["changes", "acme", "--documents", "--dir", path];
    let local = run(all).expect(0).stdout;
    let seen = lines(&local);
    assert_eq!(seen.len(), 4);
    assert_eq!(seen[0]["id"], "ada");
    assert!(local.contains(r#""data":{"updated":"#) && local.contains(r#""price":1.50"#));
    assert_eq!((&seen[2]["kind"], seen[2].get("collection")), (&json!("put"), None));
    assert_eq!((&seen[3]["kind"], &seen[3]["id"]), (&json!("deleted"), &json!("bob")));
    let rest = run(["changes", "acme", "--after", "4", "--dir", path]).expect(0);
    assert_eq!(lines(&rest.stdout).len(), 1);

    let key = ["keys", "create", "--dir", path, "--tenant", "acme", "--name", "feed"];
    let key = run(key.into_iter().chain(["--scope", "changes:read", "--json"])).expect(0).json();
    let server = Running::serve(&dir, &[]);
    assert_eq!(run(all).expect(0).stdout, local, "through the socket");
    let secret = key["secret"].as_str().unwrap();
    let remote = ["changes", "acme", "--documents", "--url", &server.url, "--key", secret];
    assert_eq!(lines(&run(remote).expect(0).stdout), seen, "over HTTP");
    for place in
        [["--dir", path, "--after"].as_slice(), &["--url", &server.url, "--key", secret, "--after"]]
    {
        let ahead = run(["changes", "acme"].iter().chain(place).chain(&["99"])).expect(1);
        assert!(
            ahead.stderr.contains("begin again") || ahead.stderr.contains("from the start"),
            "{ahead:?}"
        );
    }
}

/// An operator's backup is the one that is taken where the store is.
#[test]
fn a_backup_over_http_needs_an_operators_key() {
    let home = tempfile::tempdir().unwrap();
    let dir = home.path().join("store");
    let path = dir.to_str().unwrap();
    seed(path);
    let plain = crate::cli::support::make_key(&dir, "acme", "ops", "provisioning:*");
    let operator = ["keys", "create", "--operator", "--name", "ops", "--dir", path, "--json"];
    let operator = run(operator).expect(0).json();
    let admin = operator["secret"].as_str().unwrap().to_owned();
    let server = Running::serve(&dir, &[]);
    let file = home.path().join("all.backup");
    let file = file.to_str().unwrap();
    let backup = |key: &str, more: &[&str]| {
        run(["backup", file, "--url", &server.url, "--key", key].iter().chain(more))
    };
    backup(&plain, &[]).expect(5);
    backup(&admin, &["--json"]).expect(0);
    let restored = home.path().join("restored");
    run(["restore", file, "--dir", restored.to_str().unwrap()]).expect(0);
    let changes =
        |dir: &str| run(["changes", "acme", "--documents", "--dir", dir]).expect(0).stdout;
    assert_eq!(changes(restored.to_str().unwrap()), changes(path));
    let next = home.path().join("next.backup");
    run(["merge", "--dir", path, "acme/users/ada", r#"{"role":"owner"}"#]).expect(0);
    let next =
        ["backup", next.to_str().unwrap(), "--since", file, "--url", &server.url, "--key", &admin];
    assert_eq!(run(next.iter().chain(&["--json"])).expect(0).json()["tenants"], 2);
}

/// What is about the store as a whole is asked of a server with an operator's key.
#[test]
fn an_operators_key_does_over_the_network_what_the_socket_does() {
    let home = tempfile::tempdir().unwrap();
    let dir = home.path().join("store");
    let path = dir.to_str().unwrap();
    seed(path);
    let plain = crate::cli::support::make_key(&dir, "acme", "ops", "provisioning:*");
    let operator = ["keys", "create", "--operator", "--name", "ops", "--dir", path, "--json"];
    let operator = run(operator).expect(0).json()["secret"].as_str().unwrap().to_owned();
    let server = Running::serve(&dir, &[]);
    let with = |key: &str, args: &[&str], code| {
        let place = ["--url", &server.url, "--key", key];
        run(args.iter().chain(&place)).expect(code)
    };
    let stats = with(&operator, &["stats"], 0).stdout;
    assert_eq!(stats, run(["stats", "--dir", path]).expect(0).stdout);
    let set = with(&operator, &["quota", "set", "acme", "--documents", "4"], 0).json();
    assert_eq!(set["quota"], json!({"documents": 4, "bytes": null}));
    let line = r#"{"tenant":"new","revision":1,"collection":"users","id":"ada","kind":"put","updated":5,"updatedBy":"Zoe","data":{}}"#;
    let place = ["import", "-", "--preserve", "--url", &server.url, "--key", &operator];
    crate::cli::support::run_with_input(place, line.as_bytes()).expect(0);
    let erased = with(&operator, &["erase", "acme", "--yes", "--json"], 0).json();
    assert_eq!((&erased["documents"], &erased["keys"]), (&json!(3), &json!(1)));
    let changes = lines(&run(["changes", "acme", "--dir", path]).expect(0).stdout);
    assert_eq!(changes[0]["updatedBy"], "ops");
    with(&plain, &["stats"], 5);
    assert!(with(&operator, &["erase", "acme", "--yes", "--as", "me"], 2).stderr.contains("--as"));
}

#[test]
fn quotas_are_set_and_kept_wherever_the_store_is() {
    let home = tempfile::tempdir().unwrap();
    let dir = home.path().join("store");
    let path = dir.to_str().unwrap();
    seed(path);
    let place = ["--dir", path];
    let quota = |args: &[&str], code| run(["quota"].iter().chain(args).chain(&place)).expect(code);
    let put = |id: &str, code| {
        run(["put", &format!("acme/users/{id}"), "{}"].iter().chain(&place)).expect(code)
    };
    let set = quota(&["set", "acme", "--documents", "4"], 0).json();
    assert_eq!(set["quota"], json!({"documents": 4, "bytes": null}));
    put("one", 0);
    let full = put("two", 6);
    assert!(full.stderr.contains("over its quota of 4"), "{full:?}");
    quota(&["set", "acme"], 2);
    quota(&["set", "acme", "--unlimited", "--bytes", "1"], 2);

    let server = Running::serve(&dir, &["--quota-documents", "2"]);
    put("two", 6);
    quota(&["set", "acme", "--unlimited"], 0);
    put("two", 0);
    let other = |id: &str, code| {
        run(["put", &format!("other/users/{id}"), "{}"].iter().chain(&place)).expect(code)
    };
    other("two", 0);
    other("three", 6);
    let shown = lines(&quota(&["show"], 0).stdout);
    let brief: Vec<_> = shown.iter().map(|tenant| (&tenant["tenant"], &tenant["quota"])).collect();
    let (none, two) =
        (json!({"documents": null, "bytes": null}), json!({"documents": 2, "bytes": null}));
    assert_eq!(brief, [(&json!("acme"), &none), (&json!("other"), &two)]);
    assert_eq!(quota(&["clear", "acme"], 0).json()["quota"], two);
    put("three", 6);
    drop(server);
    put("three", 0);
}

#[test]
fn following_prints_changes_as_they_are_committed() {
    let home = tempfile::tempdir().unwrap();
    let dir = home.path().join("store");
    let path = dir.to_str().unwrap();
    seed(path);
    let _server = Running::serve(&dir, &[]);
    let mut follow = meldb(["changes", "acme", "--follow", "--after", "5", "--dir", path]);
    let mut follow = follow.stdout(Stdio::piped()).spawn().unwrap();
    let mut out = BufReader::new(follow.stdout.take().unwrap()).lines();
    run(["merge", "--dir", path, "acme/users/ada", r#"{"role":"owner"}"#]).expect(0);
    let line: Value = serde_json::from_str(&out.next().unwrap().unwrap()).unwrap();
    assert_eq!((&line["revision"], &line["kind"]), (&json!(6), &json!("merged")));
    follow.kill().unwrap();
    follow.wait().unwrap();
}

/// Who follows through the socket would else keep the server for as long as it drains.
#[test]
fn following_ends_with_the_server() {
    let home = tempfile::tempdir().unwrap();
    let dir = home.path().join("store");
    let path = dir.to_str().unwrap();
    seed(path);
    let server = Running::serve(&dir, &["--drain-timeout-ms", "600000"]);
    let mut follow = meldb(["changes", "acme", "--follow", "--after", "4", "--dir", path]);
    let mut follow = follow.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
    let mut out = BufReader::new(follow.stdout.take().unwrap()).lines();
    out.next().unwrap().unwrap();
    server.stop();
    follow.kill().unwrap();
    follow.wait().unwrap();
}

#[test]
fn statistics_are_told_for_each_tenant() {
    let home = tempfile::tempdir().unwrap();
    let dir = home.path().join("store");
    let path = dir.to_str().unwrap();
    seed(path);
    let check = || {
        let all = lines(&run(["stats", "--dir", path]).expect(0).stdout);
        assert_eq!(all.len(), 2);
        assert_eq!((&all[0]["tenant"], &all[0]["documents"]), (&json!("acme"), &json!(3)));
        assert_eq!(all[0]["revision"], 5);
        let one = run(["stats", "other", "--dir", path]).expect(0).json();
        assert_eq!(one["documents"], 1);
    };
    check();
    let _server = Running::serve(&dir, &[]);
    check();
}

fn restored(files: &[&Path], into: &Path) -> String {
    let mut command = vec!["restore", "--dir", into.to_str().unwrap()];
    command.extend(files.iter().map(|file| file.to_str().unwrap()));
    run(command).expect(0);
    run(["changes", "acme", "--documents", "--dir", into.to_str().unwrap()]).expect(0).stdout
}

#[test]
fn a_backup_of_a_served_store_restores_to_an_equal_one() {
    let home = tempfile::tempdir().unwrap();
    let dir = home.path().join("store");
    let path = dir.to_str().unwrap();
    seed(path);
    let _server = Running::serve(&dir, &[]);
    let [full, later] = ["full", "later"].map(|name| home.path().join(name));
    let taken = run(["backup", full.to_str().unwrap(), "--dir", path, "--json"]).expect(0).json();
    assert_eq!((&taken["tenants"], &taken["entries"]), (&json!(2), &json!(5)));
    run(["merge", "--dir", path, "acme/users/ada", r#"{"role":"owner"}"#]).expect(0);
    let since = ["backup", later.to_str().unwrap(), "--since", full.to_str().unwrap()];
    let taken = run(since.into_iter().chain(["--dir", path, "--json"])).expect(0).json();
    assert_eq!(taken["entries"], 1);

    let now = run(["changes", "acme", "--documents", "--dir", path]).expect(0).stdout;
    let copy = home.path().join("copy");
    assert_eq!(restored(&[&full, &later], &copy), now);

    let again = run(["backup", full.to_str().unwrap(), "--dir", path]).expect(2);
    assert!(again.stderr.contains("exists already"));
    let mut bytes = std::fs::read(&full).unwrap();
    let middle = bytes.len() / 2;
    bytes[middle] ^= 1;
    std::fs::write(&full, bytes).unwrap();
    let target = home.path().join("other");
    let bad = run(["restore", full.to_str().unwrap(), "--dir", target.to_str().unwrap()]).expect(1);
    assert!(bad.stderr.contains("the backup is damaged"), "{bad:?}");
}

#[test]
fn erasing_takes_all_of_a_tenant_and_its_keys() {
    let home = tempfile::tempdir().unwrap();
    let dir = home.path().join("store");
    let path = dir.to_str().unwrap();
    seed(path);
    let key = ["keys", "create", "--dir", path, "--tenant", "acme", "--name", "k"];
    run(key.into_iter().chain(["--scope", "provisioning:*"])).expect(0);
    let unsure = run(["erase", "acme", "--dir", path]).expect(2);
    assert!(unsure.stderr.contains("--yes"));
    let _server = Running::serve(&dir, &[]);
    let erased = run(["erase", "acme", "--yes", "--dir", path, "--json"]).expect(0).json();
    assert_eq!((&erased["documents"], &erased["keys"]), (&json!(3), &json!(1)));
    run(["get", "acme/users/ada", "--dir", path]).expect(3);
    run(["get", "other/users/eve", "--dir", path]).expect(0);
    let left = lines(&run(["changes", "acme", "--dir", path]).expect(0).stdout);
    assert_eq!((left.len(), &left[0]["updatedBy"]), (1, &json!("tester")));
    let keys = run(["keys", "list", "--dir", path, "--json"]).expect(0).stdout;
    assert!(keys.contains("revoked"), "{keys}");
}
