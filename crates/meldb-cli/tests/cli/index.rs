//! Defining, listing and dropping indexes: on a directory, through its server's socket, and over HTTP.

use std::path::Path;

use serde_json::{Value, json};

use crate::cli::support::{Run, Running, run};

fn seed(dir: &str) {
    for (id, role, seats) in [("ada", "owner", 3), ("bob", "guest", 9), ("cyd", "owner", 7)] {
        let text = json!({"role": role, "seats": seats, "email": format!("{id}@acme.example")});
        run(["put", "--dir", dir, &format!("acme/users/{id}"), &text.to_string()]).expect(0);
    }
}

/// Run in this order.
const CASES: &[(&[&str], i32)] = &[
    (&["index", "list", "acme"], 0),
    (&["index", "add", "acme/users", "by_role", "role,seats", "--wait"], 0),
    (&["index", "add", "acme/users", "by_role", "role,seats", "--wait", "--json"], 0),
    (&["index", "add", "acme/users", "by_email", "email", "--unique"], 0),
    (&["index", "add", "acme/users", "by_role", "role"], 1),
    (&["index", "add", "acme/users", "one_role", "role", "--unique"], 1),
    (&["index", "add", "acme/users", "by name", "role"], 1),
    (&["index", "add", "acme/users", "by_id", "$id"], 2),
    (&["index", "add", "acme/users", "by_role", "role seats"], 2),
    (&["index", "add", "acme", "by_role", "role"], 2),
    (&["index", "add", "acme/orders", "by_total", "total", "--wait"], 0),
    (&["index", "list", "acme"], 0),
    (&["index", "list", "acme/users", "--json"], 0),
    (&["index", "list", "acme/nothing"], 0),
    (&["index", "drop", "acme/users", "by_name"], 3),
    (&["index", "drop", "acme/orders", "by_total"], 0),
    (&["index", "list", "acme", "--json"], 0),
];

fn run_all(place: &[&str]) -> Vec<Run> {
    CASES.iter().map(|(args, code)| run(args.iter().chain(place)).expect(*code)).collect()
}

#[test]
fn indexes_are_defined_and_dropped_alike_wherever_the_store_is() {
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
    let operator = ["keys", "create", "--operator", "--name", "ops", "--json", "--dir"];
    let operator = run(operator.into_iter().chain([&*text(&remote)])).expect(0).json();
    let server = Running::serve(&remote, &[]);
    let on_server = run_all(&["--url", &server.url, "--key", operator["secret"].as_str().unwrap()]);
    for (index, (args, _)) in CASES.iter().enumerate() {
        let of = |runs: &[Run]| (runs[index].code, runs[index].stdout.clone());
        assert_eq!(of(&on_directory), of(&on_socket), "the socket, {args:?}");
        assert_eq!(of(&on_directory), of(&on_server), "the server, {args:?}");
    }
    let at = |wanted: &[&str]| CASES.iter().position(|(args, _)| *args == wanted).unwrap();
    let listed = &on_directory[at(&["index", "list", "acme"]) + 11].stdout;
    let rows: Vec<Vec<&str>> =
        listed.lines().map(|line| line.split_whitespace().collect()).collect();
    assert_eq!(rows[0], ["COLLECTION", "NAME", "FIELDS", "STATE"]);
    assert_eq!(rows[1], ["acme/orders", "by_total", "total", "ready"]);
    assert_eq!(rows[2], ["acme/users", "by_email", "email", "(unique)", "ready"]);
    let lines = &on_directory[at(&["index", "list", "acme/users", "--json"])].stdout;
    let lines: Vec<Value> = lines.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    assert_eq!(
        lines[0],
        json!({"collection": "users", "name": "by_email", "fields": "email", "unique": true, "state": "ready"})
    );
    drop(server);

    let here = ["--dir", &text(&local)];
    let with = |args: &[&str], code| run(args.iter().chain(&here)).expect(code);
    let filter = "role = \"owner\" and seats >= 3";
    let explained = with(&["find", "acme/users", filter, "--sort", "-seats", "--explain"], 0);
    assert!(explained.stdout.contains("access=index, index=by_role, sort=index"), "{explained:?}");
    let found = with(&["find", "acme/users", filter, "--sort", "-seats"], 0).stdout;
    let ids: Vec<Value> = found
        .lines()
        .map(|line| serde_json::from_str::<Value>(line).unwrap()["id"].clone())
        .collect();
    assert_eq!(ids, ["cyd", "ada"]);
    let taken = with(&["put", "acme/users/dan", r#"{"email":"ada@acme.example"}"#], 1);
    assert!(taken.stderr.contains("the unique index by_email"), "{taken:?}");
    assert_eq!(with(&["verify", "--json"], 0).json()["indexes"], 2);
}
