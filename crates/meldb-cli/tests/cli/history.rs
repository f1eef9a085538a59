//! Who changed what, and taking it back: on a directory, through its server's socket, and over HTTP.

use std::path::Path;

use serde_json::{Value, json};

use crate::cli::support::{Run, Running, run, without_times};

/// A store whose collection keeps every write: Ada's document is put at revision 2, becomes an owner at 3, moves at
/// 4 and is a guest at 5.
fn seed(dir: &str) {
    run(["put", "--dir", dir, "acme/other/x", "{}"]).expect(0);
    run(["history", "acme/users", "--days", "90", "--dir", dir]).expect(0);
    run(["history", "acme", "--forever", "--dir", dir]).expect(0);
    for (verb, address, text, actor) in [
        ("put", "acme/users/ada", r#"{"name":"Ada","role":"member"}"#, "signup"),
        ("merge", "acme/users/ada", r#"{"role":"owner"}"#, "billing"),
        ("merge", "acme/users/ada", r#"{"address":{"city":"Delft"}}"#, "support"),
        ("merge", "acme/users/ada", r#"{"role":"guest"}"#, "importer"),
        ("put", "acme", r#"{"plan":"free"}"#, "signup"),
    ] {
        run([verb, "--dir", dir, address, text, "--as", actor]).expect(0);
    }
}

/// Run in this order; what they write is at 7 and so on.
const CASES: &[(&[&str], i32)] = &[
    (&["log", "acme/users/ada"], 0),
    (&["log", "acme/users/ada", "--json"], 0),
    (&["log", "acme/users/ada", "--diff", "--limit", "2"], 0),
    (&["log", "acme/users/ada", "--diff", "--json", "--before", "4"], 0),
    (&["log", "acme/users/ada/address", "--json"], 0),
    (&["log", "acme"], 0),
    (&["log", "acme/users/nobody"], 3),
    (&["show", "acme/users/ada@3"], 0),
    (&["show", "acme/users/ada@3", "--json"], 0),
    (&["show", "acme/users/ada@2090-01-01T00:00:00Z"], 0),
    (&["get", "acme/users/ada", "--at", "4", "--json"], 0),
    (&["get", "acme/users/ada/address", "--at", "4"], 0),
    (&["show", "acme/users/ada@2001-01-01T00:00:00Z"], 3),
    (&["show", "acme/users/ada@1"], 3),
    (&["show", "acme/users/ada"], 2),
    (&["blame", "acme/users/ada"], 0),
    (&["blame", "acme/users/ada", "--json"], 0),
    (&["blame", "acme/users/nobody"], 3),
    (&["log", "acme", "--all"], 0),
    (&["log", "acme", "--all", "--json", "--after", "2", "--collection", "users"], 0),
    (&["log", "acme", "--all", "--after", "99"], 0),
    (&["log", "acme/users/ada", "--all"], 2),
    (&["log", "acme", "--follow"], 2),
    (&["export", "acme", "--history"], 0),
    (&["export", "acme", "--history", "--collection", "users", "--after", "3"], 0),
    (&["undo", "acme/users/ada@5", "--dry-run"], 0),
    (&["undo", "acme/users/ada@5", "--dry-run", "--diff", "--json"], 0),
    (&["undo", "acme/users/ada@3"], 1),
    (&["undo", "acme/users/ada@6"], 3),
    (&["undo", "acme/users/ada@2090-01-01"], 2),
    (&["undo", "acme/users/ada@5", "--if-revision", "4"], 4),
    (&["undo", "acme/users/ada@5", "--idempotency-key", "k", "--if-revision", "5", "--json"], 0),
    (&["undo", "acme/users/ada@5", "--idempotency-key", "k", "--if-revision", "5", "--json"], 0),
    (&["revert", "acme/users/ada@2", "--dry-run", "--json"], 0),
    (&["revert", "acme/users/ada@2", "--json"], 0),
    (&["get", "acme/users/ada", "--json"], 0),
    (&["undo-by", "billing", "acme", "--since", "2", "--dry-run", "--json"], 0),
    (&["undo-by", "nobody", "acme", "--since", "2"], 0),
    (&["undo-by", "billing", "acme"], 2),
    (&["undo-by", "billing", "acme", "--since", "soon"], 2),
];

fn run_all(place: &[&str]) -> Vec<Run> {
    let run_one = |(args, code): &(&[&str], i32)| {
        let run = run(args.iter().chain(place)).expect(*code);
        Run { stdout: undated(&run.stdout), ..run }
    };
    CASES.iter().map(run_one).collect()
}

/// Returns text without times, whether of people or of JSON.
fn undated(text: &str) -> String {
    let is_time = |word: &str| word.ends_with('Z') && word.matches(':').count() == 2;
    let is_date = |word: &str| word.len() == 10 && word.matches('-').count() == 2;
    let line = |line: &str| {
        let words = line.split(' ').filter(|word| !is_time(word) && !is_date(word));
        words.collect::<Vec<_>>().join(" ")
    };
    let text = text.replace("\"updated\": ", "\"updated\":");
    without_times(&text.lines().map(line).collect::<Vec<_>>().join("\n"))
}

#[test]
fn history_reads_and_is_undone_alike_wherever_the_store_is() {
    let homes = [(); 3].map(|()| tempfile::tempdir().unwrap());
    let [local, socket, remote] = homes.each_ref().map(|dir| dir.path().join("store"));
    let text = |path: &Path| path.to_str().unwrap().to_owned();
    for dir in [&local, &socket, &remote] {
        seed(&text(dir));
    }
    let on_directory = run_all(&["--dir", &text(&local)]);
    let server = Running::serve(&socket, &[]);
    let on_socket = run_all(&["--dir", &text(&socket)]);
    drop(server);
    let create = ["keys", "create", "--tenant", "acme", "--name", "tester", "--json", "--dir"];
    let scopes = ["--scope", "provisioning:*", "--scope", "history:read"];
    let key = run(create.into_iter().chain([&*text(&remote)]).chain(scopes)).expect(0).json();
    let server = Running::serve(&remote, &[]);
    let on_server = run_all(&["--url", &server.url, "--key", key["secret"].as_str().unwrap()]);
    for (index, (args, _)) in CASES.iter().enumerate() {
        let of = |runs: &[Run]| (runs[index].code, runs[index].stdout.clone());
        assert_eq!(of(&on_directory), of(&on_socket), "the socket, {args:?}");
        assert_eq!(of(&on_directory), of(&on_server), "the server, {args:?}");
    }
    let said = |index: usize| &on_directory[index].stdout;
    assert!(said(0).starts_with("revision 5  merged"), "{}", said(0));
    assert!(said(2).contains("- /role: \"owner\"\n    + /role: \"guest\""), "{}", said(2));
    let undone = CASES.iter().position(|(args, _)| args.contains(&"k")).unwrap();
    assert_eq!(said(undone), said(undone + 1), "a repetition is given the first answer");
    let value: Value = serde_json::from_str(said(undone)).unwrap();
    assert_eq!((&value["revision"], &value["data"]["role"]), (&json!(7), &json!("owner")));
}

#[test]
fn an_operator_sets_forgets_and_redacts_wherever_the_store_is() {
    let home = tempfile::tempdir().unwrap();
    let dir = home.path().join("store");
    let path = dir.to_str().unwrap().to_owned();
    seed(&path);
    let create = ["keys", "create", "--operator", "--name", "ops", "--json", "--dir", &path];
    let key = run(create).expect(0).json()["secret"].as_str().unwrap().to_owned();
    let with = |args: &[&str], place: &[&str], code| run(args.iter().chain(place)).expect(code);
    let here = ["--dir", path.as_str()];
    let shown = with(&["history", "acme/users", "--json"], &here, 0).json();
    let ninety = 90_u64 * 86_400_000;
    assert_eq!(shown, json!({"tenant": "acme", "collection": "users", "keepMs": ninety}));
    for (args, said) in [
        (&["history", "acme"][..], "acme's own document: every write is kept for ever\n"),
        (&["history", "acme/none"], "acme/none: no writes are kept\n"),
        (
            &["history", "acme/some", "--for", "36h"],
            "acme/some: every write is kept for 1day 12h\n",
        ),
        (&["history", "acme/some", "--default"], "acme/some: no writes are kept\n"),
    ] {
        assert_eq!(with(args, &here, 0).stdout, said);
    }
    with(&["history", "acme/users", "--days", "1", "--off"], &here, 2);
    for command in [&["forget", "acme/users/ada"][..], &["redact", "acme/users/ada", "/role"]] {
        assert!(with(command, &here, 2).stderr.contains("--yes"));
    }
    with(&["redact", "acme/users/ada", "role", "--yes"], &here, 2);

    let server = Running::serve(&dir, &["--history", "30"]);
    let there = ["--url", server.url.as_str(), "--key", key.as_str()];
    let default = with(&["history", "acme/none"], &there, 0).stdout;
    assert_eq!(default, "acme/none: every write is kept for 30 days\n");
    let redact = ["redact", "acme/users/ada", "/address/city", "--yes", "--json"];
    assert_eq!(with(&redact, &there, 0).json(), json!({"document": true, "versions": 2}));
    assert!(!with(&["log", "acme/users/ada", "--diff"], &here, 0).stdout.contains("Delft"));
    let forgotten = with(&["forget", "acme/users/ada", "--yes"], &here, 0).stdout;
    assert!(forgotten.starts_with("acme/users/ada was deleted; "), "{forgotten}");
    let gone = with(&["show", "acme/users/ada@5"], &here, 1);
    assert!(gone.stderr.contains("hint: `meldb log` lists what is kept"), "{}", gone.stderr);
    let off = ["history", "acme/users", "--off", "--as", "ops"];
    assert_eq!(with(&off, &here, 0).stdout, "acme/users: no writes are kept\n");
}
