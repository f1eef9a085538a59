//! `meldb demo`: what it prints works exactly as printed.

use std::{path::Path, process::Command};

use meldb_testkit::{need::Need, skip::has};
use serde_json::Value;

use crate::cli::support::{Run, Running, meldb, run};

/// A running demo and the lines it printed to try.
struct Demo {
    running: Running,
    first_line: String,
    key: String,
    /// Each `curl` line that ends by itself, with the comment above it.
    tries: Vec<(String, String)>,
    /// The `curl` line that follows the changes.
    follow: String,
    get: String,
    docs: String,
}

fn start(dir: &Path) -> Demo {
    let mut command = meldb(["demo", "--listen", "127.0.0.1:0", "--dir"]);
    command.arg(dir);
    let mut running = Running::start(command);
    let lines = running.lines_to("Ctrl-C ends it");
    let after = |start: &str| {
        let line = lines.iter().find_map(|line| line.strip_prefix(start));
        line.unwrap_or_else(|| panic!("no line {start:?} in {lines:#?}")).to_owned()
    };
    let pairs = lines.windows(2).filter(|pair| pair[1].starts_with("curl "));
    let pairs = pairs.map(|pair| (pair[0].clone(), pair[1].clone()));
    let (mut endless, tries): (Vec<_>, Vec<_>) = pairs.partition(|(_, line)| line.contains(" -N "));
    assert_eq!(endless.len(), 1, "{endless:#?}");
    let follow = endless.remove(0).1;
    running.url = after("url: ");
    let line = |about: &str| lines.iter().find(|line| line.contains(about)).unwrap().clone();
    let (get, docs) = (line(" get --dir "), line("/docs"));
    Demo { key: after("key: "), tries, follow, first_line: lines[0].clone(), running, get, docs }
}

/// Runs a line as a shell does that it is pasted into.
fn paste(line: &str) -> Value {
    let output = Command::new("sh").args(["-c", line]).output().unwrap();
    assert!(output.status.success(), "{line}\n{output:?}");
    serde_json::from_slice(&output.stdout)
        .unwrap_or_else(|error| panic!("{line}\n{error}\n{output:?}"))
}

impl Demo {
    fn try_line(&self, about: &str) -> &str {
        let found = self.tries.iter().find(|(comment, _)| comment.contains(about));
        &found.unwrap_or_else(|| panic!("nothing about {about:?} in {:#?}", self.tries)).1
    }
}

#[test]
fn the_first_printed_line_merges_and_keeps_every_other_member() {
    if !has(Need::CURL) {
        return;
    }
    let dir = tempfile::tempdir().unwrap();
    let demo = start(&dir.path().join("demo"));
    let before = paste(demo.try_line("read it back"));
    assert_eq!(before["role"], "member");

    let after = paste(&demo.tries[0].1);

    assert!(demo.tries[0].1.contains(r#"-d '{"role":"owner"}'"#), "{}", demo.tries[0].1);
    assert_eq!((&after["role"], &after["updatedBy"]), (&"owner".into(), &"demo".into()));
    assert!(after["updated"].as_u64().unwrap() >= before["updated"].as_u64().unwrap());
    let untouched = |document: &Value| {
        let mut document = document.clone();
        for name in ["role", "updated", "updatedBy"] {
            document.as_object_mut().unwrap().remove(name).unwrap();
        }
        document
    };
    assert_eq!(untouched(&before), untouched(&after));
    assert_eq!(paste(demo.try_line("read it back")), after);
}

#[test]
fn every_printed_line_does_what_its_comment_says() {
    if !has(Need::CURL) {
        return;
    }
    let dir = tempfile::tempdir().unwrap();
    let demo = start(&dir.path().join("the demo's directory"));
    let answers: Vec<_> = demo.tries.iter().map(|(_, line)| paste(line)).collect();
    let answer = |about: &str| {
        let position = demo.tries.iter().position(|(comment, _)| comment.contains(about));
        answers[position.unwrap_or_else(|| panic!("{about}"))].clone()
    };
    let users = answer("list the users");
    let ids: Vec<_> = users.as_array().unwrap().iter().map(|user| user["id"].clone()).collect();
    assert_eq!(ids, ["user-123", "user-124", "user-125"]);
    assert_eq!(answer("answers 404")["code"], "NotFound");
    assert_eq!(answer("read the current version")["model"], "m1");
    assert_eq!(answer("one member of that version")["temperature"], 0.35);
    let removed = answer("null removes");
    assert_eq!(
        (&removed["address"]["street"], &removed["address"]["city"]),
        (&Value::Null, &"Umeå".into())
    );
    assert_eq!(answer("create a job")["state"], "queued");
    assert_eq!(answer("answers 412")["code"], "PreconditionFailed");
    assert_eq!(answer("the status is 204"), 204);
    assert_eq!(answer("own document")["name"], "Alpha Robotics");
    let reported = answer("a report");
    assert_eq!((&reported["total"], &reported["data"][2]["ID"]), (&3.into(), &"user-123".into()));
    let blamed = answer("who has set each field");
    let fields = blamed["fields"].as_array().unwrap();
    let role = fields.iter().find(|field| field["pointer"] == "/role").unwrap();
    assert_eq!((&role["revision"], &role["updatedBy"]), (&9.into(), &"demo".into()));
    assert_eq!(answer("make the user again")["role"], "member");

    // The refused merge has made nothing, and the line for the program works as well.
    let missing = demo.try_line("answers 404").replace("-X PUT", "-X GET");
    assert_eq!(paste(&missing)["code"], "NotFound");
    assert_eq!(paste(&demo.get)["role"], "member");
    assert_eq!(demo.docs, format!("{}/docs", demo.running.url));
    let page = format!("curl -sSL -o /dev/null -w '%{{http_code}}' {}", demo.docs);
    assert_eq!(paste(&page), 200);
}

#[test]
fn the_line_that_follows_shows_what_is_written_meanwhile() {
    if !has(Need::CURL) {
        return;
    }
    let dir = tempfile::tempdir().unwrap();
    let demo = start(dir.path());
    let mut shell = Command::new("sh");
    // `exec`, so that curl is the process that is ended.
    shell.args(["-c", &format!("exec {}", demo.follow)]);
    let mut following = Running::start(shell);
    // The demo's documents first, each with its last write.
    following.lines_to("id: 8");

    paste(&demo.tries[0].1);

    following.lines_to("id: 9");
    assert_eq!(following.line(), "event: merged");
    let data = following.line();
    assert!(data.starts_with("data: {") && data.contains("user-123"), "{data}");
}

#[test]
fn a_second_start_keeps_the_data_and_gives_a_fresh_key() {
    if !has(Need::CURL) {
        return;
    }
    let dir = tempfile::tempdir().unwrap();
    let first = start(dir.path());
    assert!(first.first_line.starts_with("made a store in"), "{}", first.first_line);
    paste(&first.tries[0].1);
    let old_key = first.key.clone();
    first.running.stop();

    let second = start(dir.path());

    assert!(second.first_line.starts_with("using the store in"), "{}", second.first_line);
    let line = second.try_line("read it back");
    assert_eq!(paste(line)["role"], "owner");
    assert_ne!(second.key, old_key);
    assert_eq!(paste(&line.replace(&second.key, &old_key))["code"], "Unauthenticated");
}

#[test]
fn a_store_in_use_and_a_port_in_use_are_said_to_be_so() {
    let dir = tempfile::tempdir().unwrap();
    let demo = start(&dir.path().join("one"));
    let listen = demo.running.url.strip_prefix("http://").unwrap();
    let again = |dir: &Path| -> Run {
        run(["demo", "--listen", listen, "--dir", dir.to_str().unwrap()]).expect(6)
    };
    let in_use = again(&dir.path().join("one"));
    assert!(in_use.stderr.contains("another meldb is running on it"), "{}", in_use.stderr);
    assert!(in_use.stderr.contains("--dir"), "{}", in_use.stderr);

    let other = dir.path().join("two");
    let taken = again(&other);
    assert!(taken.stderr.contains(&format!("{listen} is taken")), "{}", taken.stderr);
    assert!(taken.stderr.contains("--listen 127.0.0.1:"), "{}", taken.stderr);
    assert!(!other.exists(), "nothing is left behind");
}
