//! A store in a database, from the command line.

use meldb_testkit::{need::Need, postgres::shared, skip::skip};
use serde_json::Value;

use crate::cli::support::run;

fn json(text: &str) -> Value {
    serde_json::from_str(text).unwrap()
}

#[test]
fn a_database_is_prepared_used_and_copied() {
    let Some(cluster) = shared() else { return skip(Need::Postgres) };
    let url = cluster.url(&cluster.new_database());
    let store = ["--store", &url];

    let early = run([["get", "acme/users/ada"], store].concat());
    assert_eq!(early.code, 2);
    assert!(early.stderr.contains("meldb migrate"), "{early:?}");
    for _ in 0..2 {
        let migrated = run(["migrate", &url]);
        assert_eq!(migrated.code, 0, "{migrated:?}");
        assert!(!migrated.stdout.contains("meldb@"), "{migrated:?}");
    }

    // What it says is what the store is, and not what was asked for.
    let migrated = run(["--json", "migrate", "--citus", &url]);
    assert_eq!((migrated.code, &json(&migrated.stdout)["citus"]), (0, &Value::Bool(false)));

    let put = run([&["put", "acme/users/ada", r#"{"n":1.50}"#][..], &store].concat());
    assert_eq!(put.code, 0, "{put:?}");
    let merged = run([&["merge", "acme/users/ada", r#"{"m":2}"#][..], &store].concat());
    assert_eq!(merged.code, 0, "{merged:?}");
    let got = run([&["get", "acme/users/ada"][..], &store].concat());
    assert!(got.stdout.contains("1.50") && json(&got.stdout)["updatedBy"] == "tester", "{got:?}");
    let missing = run([&["get", "acme/users/nobody"][..], &store].concat());
    assert_eq!(missing.code, 3, "{missing:?}");
    let key = ["keys", "create", "--tenant", "acme", "--name", "k", "--scope", "provisioning:*"];
    assert_eq!(run([&key[..], &store].concat()).code, 0);
    let kept = run([&["history", "acme/users", "--days", "90"][..], &store].concat());
    assert_eq!(kept.code, 0, "{kept:?}");
    for (actor, role) in [("ann", "member"), ("ben", "owner")] {
        let patch = format!(r#"{{"role":"{role}"}}"#);
        let merge = ["merge", "acme/users/ada", &patch, "--as", actor];
        assert_eq!(run([&merge[..], &store].concat()).code, 0);
    }
    let log = run([&["--json", "log", "acme/users/ada"][..], &store].concat());
    assert!(log.stdout.contains("ann") && log.stdout.contains("/role"), "{log:?}");
    let blame = run([&["blame", "acme/users/ada"][..], &store].concat());
    assert!(blame.stdout.contains("ben"), "{blame:?}");
    let undone = run([&["undo", "acme/users/ada@4"][..], &store].concat());
    assert_eq!(undone.code, 0, "{undone:?}");
    let got = run([&["get", "acme/users/ada"][..], &store].concat());
    assert_eq!(json(&got.stdout)["role"], "member");
    let shown = run([&["show", "acme/users/ada@4"][..], &store].concat());
    assert_eq!(json(&shown.stdout)["role"], "owner");
    let verified = run([&["verify"][..], &store].concat());
    assert_eq!(verified.code, 0, "{verified:?}");

    let dir = tempfile::tempdir().unwrap();
    let into = dir.path().join("store");
    let into = into.to_str().unwrap();
    let copied = run(["--json", "copy", &url, into]);
    assert_eq!(copied.code, 0, "{copied:?}");
    assert_eq!(json(&copied.stdout)["copied"], 3);
    let again = run(["--json", "copy", &url, into]);
    assert_eq!((again.code, &json(&again.stdout)["copied"]), (0, &Value::from(0)), "{again:?}");
    let there = run(["get", "acme/users/ada", "--dir", into]);
    assert_eq!(there.stdout, got.stdout);
    let keys = run(["--json", "keys", "list", "--dir", into]);
    assert!(keys.stdout.contains("\"k\""), "{keys:?}");
}

#[test]
fn a_database_that_cannot_be_reached_is_a_failure_that_passes() {
    let url = "postgres://meldb:secret@127.0.0.1:1/x?sslmode=disable";
    let refused = run(["get", "acme/users/ada", "--store", url]);
    assert_eq!(refused.code, 6, "{refused:?}");
    assert!(!refused.stderr.contains("secret"), "{refused:?}");
    let both = run(["get", "acme/users/ada", "--store", url, "--dir", "x"]);
    assert_eq!(both.code, 2, "{both:?}");
}
