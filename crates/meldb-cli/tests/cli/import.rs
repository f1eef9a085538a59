//! `meldb import`: what is loaded, what is left out, and how it goes on after an interruption.

use std::{
    fmt::Write as _,
    fs,
    path::Path,
    process::Stdio,
    time::{Duration, Instant},
};

use crate::cli::support::{Running, make_key, meldb, run, run_with_input};

#[test]
fn bad_lines_are_told_by_number_and_the_rest_is_imported() {
    let dir = tempfile::tempdir().unwrap();
    let dir_name = dir.path().to_str().unwrap();
    let mut input = Vec::new();
    input.extend_from_slice(br#"{"tenant":"t","collection":"c","id":"one","data":{"n":1.50}}"#);
    input.extend_from_slice(b"\nnonsense\n\n");
    input.extend_from_slice(
        b"{\"tenant\":\"t\",\"collection\":\"c\",\"id\":\"x\",\"data\":{\"s\":\"\xff\"}}\r\n",
    );
    input.extend_from_slice(br#"{"tenant":"t","collection":"c","id":"x","data":[1]}"#);
    input.extend_from_slice(b"\n");
    input.extend_from_slice(br#"{"tenant":"t","collection":"c","id":"../x","data":{}}"#);
    input.extend_from_slice(b"\n");
    let huge = "h".repeat(2 << 20);
    input.extend_from_slice(
        format!(r#"{{"tenant":"t","collection":"c","id":"huge","data":{{"h":"{huge}"}}}}"#)
            .as_bytes(),
    );
    input.extend_from_slice(b"\r\n");
    input.extend_from_slice(br#"{"tenant":"t","collection":"c","id":"one","data":{"n":2}}"#);

    let done = run_with_input(["import", "-", "--dir", dir_name], &input).expect(1);

    let expected = [
        ("line 2: ", "not a JSON object"),
        ("line 4: ", "not UTF-8"),
        ("line 5: ", "not a JSON object"),
        ("line 6: ", "is not a document id"),
        ("line 7: ", "over the limit"),
    ];
    let told: Vec<_> = done.stderr.lines().filter(|line| line.starts_with("line ")).collect();
    assert_eq!(told.len(), expected.len(), "{told:#?}");
    for (line, (start, reason)) in told.iter().zip(expected) {
        assert!(line.starts_with(start) && line.contains(reason), "{line}");
    }
    assert!(done.stdout.contains("imported 2 documents"), "{}", done.stdout);
    assert!(done.stdout.contains("5 bad lines were left out"), "{}", done.stdout);
    let list = run(["list", "--dir", dir_name, "t/c"]).expect(0).stdout;
    assert_eq!(list.lines().count(), 1);
    assert!(list.contains("\"n\":2"), "the later line of a document wins: {list}");
}

#[test]
fn the_later_line_wins_however_many_are_in_flight() {
    let dir = tempfile::tempdir().unwrap();
    let dir_name = dir.path().to_str().unwrap();
    let mut input = String::new();
    for number in 0..2000 {
        let id = number % 7;
        writeln!(input, r#"{{"id":{id},"last":{number},"m{number}":true}}"#).unwrap();
    }
    let flags = ["--tenant", "t", "--collection", "c", "--id-member", "id", "--dir", dir_name];
    run_with_input(["import", "-"].iter().chain(&flags), input.as_bytes()).expect(0);
    let check = |members: usize| {
        for id in 0..7 {
            let document = run(["get", "--dir", dir_name, &format!("t/c/{id}")]).expect(0).json();
            let last = (0..2000).filter(|number| number % 7 == id).max();
            assert_eq!(document["last"].as_i64(), last);
            let count = document.as_object().unwrap().keys().filter(|name| name.starts_with('m'));
            assert!(count.count() >= members);
        }
    };
    check(1);
    let merge = ["import", "-", "--merge", "--as", "merger"];
    let merged = run_with_input(merge.iter().chain(&flags), input.as_bytes()).expect(0);
    assert!(merged.stdout.contains("2,000 merged"), "{}", merged.stdout);
    check(285);
}

#[test]
fn a_merge_creates_nothing_and_tells_which_lines_had_no_document() {
    let dir = tempfile::tempdir().unwrap();
    let dir_name = dir.path().to_str().unwrap();
    run(["put", "--dir", dir_name, "t/c/a", r#"{"kept":1}"#]).expect(0);
    let input = "{\"id\":\"b\",\"data\":{\"x\":1}}\n{\"id\":\"a\",\"data\":{\"x\":1}}\n";
    let flags = ["import", "-", "--merge", "--tenant", "t", "--collection", "c", "--json"];
    let done = run_with_input(flags.iter().chain(&["--dir", dir_name]), input.as_bytes()).expect(1);
    let told: serde_json::Value = serde_json::from_str(done.stderr.trim()).unwrap();
    assert_eq!((&told["line"], &told["code"]), (&1.into(), &"NotFound".into()));
    let summary = done.json();
    assert_eq!((&summary["merged"], &summary["bad"]), (&1.into(), &1.into()));
    let document = run(["get", "--dir", dir_name, "t/c/a"]).json();
    assert_eq!((&document["kept"], &document["x"]), (&1.into(), &1.into()));
    run(["get", "--dir", dir_name, "t/c/b"]).expect(3);
}

const LINES: usize = 40_000;

/// Writes a file that takes a while to import, with one bad line near its start.
fn big_file(path: &Path) {
    let mut text = String::new();
    for number in 0..LINES {
        if number == 10 {
            text.push_str("bad\n");
        } else {
            writeln!(text, r#"{{"id":"d{number:06}","n":{number},"pad":"{number:0100}"}}"#)
                .unwrap();
        }
    }
    fs::write(path, text).unwrap();
}

/// Starts an import, kills it once it has recorded how far it came, and returns the record.
fn import_and_kill(args: &[&str], record: &Path) -> serde_json::Value {
    let mut child = meldb(args).stdout(Stdio::null()).stderr(Stdio::null()).spawn().unwrap();
    let deadline = Instant::now() + Duration::from_secs(60);
    while !record.exists() {
        assert!(child.try_wait().unwrap().is_none(), "it was done before it could be killed");
        assert!(Instant::now() < deadline, "no record was written");
        std::thread::sleep(Duration::from_millis(2));
    }
    child.kill().unwrap();
    child.wait().unwrap();
    serde_json::from_slice(&fs::read(record).unwrap()).unwrap()
}

#[test]
fn an_import_that_was_killed_goes_on_where_it_stopped() {
    let home = tempfile::tempdir().unwrap();
    let (file, dir) = (home.path().join("in.ndjson"), home.path().join("store"));
    let record = home.path().join("in.ndjson.meldb-import");
    big_file(&file);
    let args = [
        "import",
        file.to_str().unwrap(),
        "--dir",
        dir.to_str().unwrap(),
        "--tenant",
        "t",
        "--collection",
        "c",
        "--id-member",
        "id",
    ];

    let recorded = import_and_kill(&args, &record);

    let reached = usize::try_from(recorded["line"].as_u64().unwrap()).unwrap();
    assert!(reached > 0 && reached < LINES, "{recorded}");
    let stored = run(["list", "--dir", args[3], "t/c"]).expect(0).stdout.lines().count();
    assert!(stored + 1 >= reached, "what is recorded as done is stored: {stored} of {reached}");

    let done = run(args.iter().chain(&["--json"])).expect(1).json();
    assert_eq!(done["continuedBehindLine"].as_u64(), recorded["line"].as_u64());
    assert_eq!(done["documents"].as_u64(), Some(LINES as u64 - 1));
    assert_eq!(done["bad"], 1, "the bad line of the first run counts");
    let list = run(["list", "--dir", args[3], "t/c"]).expect(0).stdout;
    assert_eq!(list.lines().count(), LINES - 1);
    assert!(!record.exists(), "the record goes when the import is done");

    let again = run(args.iter().chain(&["--json"])).expect(1).json();
    assert_eq!(again["replaced"].as_u64(), Some(LINES as u64 - 1), "it starts over");
}

#[test]
fn an_input_that_has_changed_and_restart_start_over() {
    let home = tempfile::tempdir().unwrap();
    let (file, dir) = (home.path().join("in.ndjson"), home.path().join("store"));
    let record = home.path().join("in.ndjson.meldb-import");
    big_file(&file);
    let args = [
        "import",
        file.to_str().unwrap(),
        "--dir",
        dir.to_str().unwrap(),
        "--tenant",
        "t",
        "--collection",
        "c",
        "--id-member",
        "id",
    ];
    import_and_kill(&args, &record);
    let mut text = fs::read(&file).unwrap();
    text[3] = b'D';
    text.truncate(100_000);
    let cut = text.iter().rposition(|byte| *byte == b'\n').unwrap();
    fs::write(&file, &text[..=cut]).unwrap();
    let kept = fs::read(&record).unwrap();

    let changed = run(args).code;
    assert_eq!(changed, 1);
    assert!(!record.exists());

    fs::write(&record, kept).unwrap();
    let restarted = run(args.iter().chain(&["--restart", "--json"])).expect(1).json();
    assert_eq!(restarted["continuedBehindLine"], serde_json::Value::Null);
}

#[test]
fn a_server_and_its_socket_take_imports_too() {
    let home = tempfile::tempdir().unwrap();
    let dir = home.path().join("store");
    let key = make_key(&dir, "acme", "loader", "provisioning:*");
    let server = Running::serve(&dir, &[]);
    let mut input = String::new();
    for number in 0..500 {
        let line = format!(
            r#"{{"tenant":"acme","collection":"c","id":"{number}","data":{{"n":{number}}}}}"#
        );
        input.push_str(&line);
        input.push('\n');
    }
    input.push_str("{}\n");
    let places = [&["--url", &server.url, "--key", &key][..], &["--dir", dir.to_str().unwrap()]];
    for (place, effect) in places.iter().zip(["created", "replaced"]) {
        let args = ["import", "-", "--json"];
        let done = run_with_input(args.iter().chain(*place), input.as_bytes()).expect(1).json();
        assert_eq!((&done[effect], &done["bad"]), (&500.into(), &1.into()), "{done}");
    }
    let foreign = r#"{"tenant":"other","collection":"c","id":"1","data":{}}"#;
    let url = server.url.clone();
    let args = ["import", "-", "--url", &url, "--key", &key];
    let refused = run_with_input(args, foreign.as_bytes()).expect(5);
    assert!(refused.stderr.contains("line 1"), "{}", refused.stderr);
    server.stop();
    let gone = run_with_input(args, foreign.as_bytes()).expect(6);
    assert!(gone.stderr.contains("cannot reach"), "{}", gone.stderr);
}
