//! What the program says when something is not as it should be: what was done, what is said, what to do
//! next. One table, and what needs more than a command line beside it.

use std::{path::Path, process::Stdio, time::Duration};

use rustix::process::{Pid, Signal, kill_process};

use crate::cli::support::{Running, make_key, meldb, run, run_with_input};

/// A store with a document, in a directory of its own.
struct Home {
    home: tempfile::TempDir,
}

impl Home {
    fn new() -> Self {
        let home = tempfile::tempdir().unwrap();
        let this = Self { home };
        run([
            "put",
            "--dir",
            &this.path("store"),
            "acme/users/ada",
            r#"{"name":"Ada","deep":{"n":1}}"#,
        ])
        .expect(0);
        this
    }

    fn path(&self, name: &str) -> String {
        self.home.path().join(name).to_str().unwrap().to_owned()
    }

    fn write(&self, name: &str, text: impl AsRef<[u8]>) -> String {
        std::fs::write(self.home.path().join(name), text).unwrap();
        self.path(name)
    }
}

#[test]
fn each_mistake_is_told_with_what_to_do() {
    let home = Home::new();
    let dir = home.path("store");
    let bom = home.write("bom.json", "\u{feff}{\"operations\":[]}");
    let bom_key = home.write("bom.key", "\u{feff}meldb_x");
    let no_backup = home.write("notes.txt", "these are notes, and no backup at all");
    let empty = home.write("empty", "");
    let at = |args: &[&str]| args.iter().map(|arg| (*arg).to_owned()).collect::<Vec<_>>();
    let local = |args: &[&str]| [at(args), at(&["--dir", &dir])].concat();
    for (args, code, said) in [
        // Names.
        (
            local(&["put", "acme/users/x", "{}", "--as", ""]),
            2,
            &["\"\" is not an actor: it is empty"][..],
        ),
        (local(&["get", "ünï/users/ada"]), 2, &["only A-Z a-z 0-9 _ - are allowed"]),
        (
            local(&["put", "acme/users/x", "{}", "--idempotency-key", ""]),
            2,
            &["is not an idempotency key"],
        ),
        // How far an address leads.
        (
            local(&["get", "acme/users/ada/name/first"]),
            3,
            &["acme/users/ada/name is a string, and not an object"],
        ),
        (local(&["get", "acme/users/ada/name"]), 3, &["acme/users/ada/name is a string"]),
        (
            local(&["get", "acme/users/ada/deep/x/y"]),
            3,
            &["acme/users/ada/deep has no member \"x\""],
        ),
        (local(&["get", "acme/users/bob/deep"]), 3, &["acme/users/bob/deep does not exist"]),
        (
            local(&["merge", "acme/users/bob", "{}"]),
            3,
            &["acme/users/bob does not exist", "`meldb put` creates"],
        ),
        (local(&["merge", "acme/users/ada/name", "{}"]), 3, &["is a string, and not an object"]),
        // Cursors.
        (
            local(&["changes", "acme", "--after", "99999"]),
            1,
            &["after 99999 are not known", "begin again without --after"],
        ),
        // Times, sizes, lengths of time, addresses.
        (
            local(&["put", "acme/users/x", "{}", "--expire-at", "1798761600"]),
            2,
            &["looks like seconds", "1798761600000"],
        ),
        (
            local(&["put", "acme/users/x", "{}", "--expire-at", "soon"]),
            2,
            &["1h or 90d", "2027-01-01"],
        ),
        (local(&["quota", "set", "acme", "--bytes", "lots"]), 2, &["64MB or 64MiB"]),
        (
            local(&["serve", "--idle-timeout-ms", "5 parsecs", "--print-config"]),
            2,
            &["500ms, 30s or 1h"],
        ),
        (local(&["serve", "--listen", "here", "--print-config"]), 2, &["127.0.0.1:8080", ":8080"]),
        // Texts.
        (
            local(&["put", "acme/users/x", "\u{feff}{}"]),
            1,
            &["byte order mark", "UTF-8 without one"],
        ),
        (local(&["batch", "acme", &bom]), 1, &["byte order mark", "UTF-8 without one"]),
        (local(&["import", &bom, "--no-record"]), 1, &["line 1: ", "byte order mark"]),
        (
            at(&[
                "get",
                "acme/users/ada",
                "--url",
                "http://127.0.0.1:1",
                "--key",
                &format!("@{bom_key}"),
            ]),
            2,
            &["byte order mark", "UTF-8 without one"],
        ),
        (local(&["put", "acme/users/x", "[]"]), 1, &["not a JSON object, such as"]),
        // Options that do not apply.
        (
            local(&["delete", "acme/users/ada", "--skip-unchanged"]),
            2,
            &["leave out --skip-unchanged"],
        ),
        (local(&["reset-clock"]), 2, &["new stamps and revisions", "`date`", "--yes"]),
        // Places.
        (
            at(&["serve", "--store", "mysql://me:secret@db/x"]),
            2,
            &["mysql://", "postgres://USER@HOST/NAME"],
        ),
        (
            at(&["get", "acme/users/ada", "--dir", &no_backup]),
            1,
            &["cannot look into", "may read and enter"],
        ),
        (
            at(&["get", "acme/users/ada", "--url", "http://127.0.0.1:1/api/v1"]),
            2,
            &["goes on with /api/v1 by itself"],
        ),
        // Backups.
        (
            at(&["restore", &no_backup, "--dir", &home.path("new")]),
            2,
            &["does not begin as a backup of MelDB does"],
        ),
        (
            at(&["restore", &empty, "--dir", &home.path("new")]),
            2,
            &["does not begin as a backup of MelDB does"],
        ),
        (at(&["restore", "/nowhere/x", "--dir", &home.path("new")]), 1, &["/nowhere/x"]),
    ] {
        let failed = run(&args).expect(code);
        for piece in said {
            assert!(
                failed.stderr.contains(piece),
                "{args:?}: {piece:?} is not in {}",
                failed.stderr
            );
        }
        assert!(!failed.stderr.contains("secret"), "{args:?}: {}", failed.stderr);
    }
    assert!(!Path::new(&home.path("new")).exists(), "a failed restore leaves nothing");
    let changes = run(["changes", "acme", "--dir", &dir]).expect(0).stdout;
    assert_eq!(changes.lines().count(), 1, "something was written: {changes}");
}

/// With --json the tips are there as well.
#[test]
fn errors_in_json_keep_the_hint() {
    for (args, said) in [
        (&["merge", "a/b/c", "{}", "--if-revison", "1", "--json"][..], "--if-revision"),
        (&["serv", "--json"], "serve"),
        (&["get", "a/b/c", "--dir", "/nowhere", "--json"], "--dir or MELDB_DIR"),
    ] {
        let failed = run(args).expect(2);
        let error: serde_json::Value = serde_json::from_str(&failed.stderr).unwrap();
        let message = error["message"].as_str().unwrap();
        assert!(message.contains(said) && !message.contains('\n'), "{args:?}: {message}");
    }
}

#[test]
fn sizes_and_lengths_of_time_have_units_wherever_they_are_given() {
    let home = Home::new();
    let flags = ["--memory-bytes", "64MiB", "--idle-timeout-ms", "1h", "--listen", ":8080"];
    let shown = run(["serve", "--print-config"].iter().chain(&flags)).expect(0).stdout;
    let lines =
        ["memory_bytes = 67108864", "idle_timeout_ms = 3600000", "listen = \"0.0.0.0:8080\""];
    for line in lines {
        assert!(shown.lines().any(|shown| shown == line), "{line}: {shown}");
    }
    let file = home.write(
        "meldb.toml",
        "memory_bytes = \"64MiB\"\nidle_timeout_ms = \"1h\"\nlisten = \":8080\"\n",
    );
    assert_eq!(run(["serve", "--print-config", "--config", &file]).expect(0).stdout, shown);
    let mut by_environment = meldb(["serve", "--print-config"]);
    by_environment.env("MELDB_MEMORY_BYTES", "64MiB").env("MELDB_IDLE_TIMEOUT_MS", "1h");
    let output = by_environment.env("MELDB_LISTEN", ":8080").output().unwrap();
    assert_eq!(String::from_utf8(output.stdout).unwrap(), shown);
    let bad = home.write("bad.toml", "memory_bytes = \"64 elephants\"\n");
    let refused = run(["serve", "--print-config", "--config", &bad]).expect(2);
    assert!(refused.stderr.contains("memory_bytes: write bytes"), "{refused:?}");

    let dir = home.path("store");
    let quota = run(["quota", "set", "acme", "--bytes", "64MB", "--dir", &dir]).expect(0).json();
    assert_eq!(quota["quota"]["bytes"], 64_000_000);
    for expires in ["1y", "2100-01-01", "4102444800000"] {
        let key =
            ["keys", "create", "--operator", "--name", "k", "--json", "--dir", &dir, "--expires"];
        let key = run(key.iter().chain(&[expires])).expect(0).json();
        assert!(key["expires"].as_u64().unwrap() > 1_700_000_000_000, "{key}");
    }
    run(["put", "--dir", &dir, "acme/users/soon", "{}", "--expire-at", "1h"]).expect(0);
    run(["put", "--dir", &dir, "acme/users/gone", "{}", "--expire-at", "2001-01-01"]).expect(0);
    run(["get", "--dir", &dir, "acme/users/soon"]).expect(0);
    run(["get", "--dir", &dir, "acme/users/gone"]).expect(3);
}

#[test]
fn a_backup_goes_through_a_pipe() {
    let home = Home::new();
    let dir = home.path("store");
    let program = env!("CARGO_BIN_EXE_meldb");
    let copy = home.path("copy");
    let line = format!("'{program}' backup - --dir '{dir}' | '{program}' restore - --dir '{copy}'");
    let output = std::process::Command::new("sh")
        .args(["-c", &line])
        .current_dir(home.home.path())
        .output()
        .unwrap();
    assert!(output.status.success(), "{output:?}");
    assert!(!Path::new(&home.path("-")).exists());
    let get = |dir: &str| run(["get", "--dir", dir, "acme/users/ada"]).expect(0).stdout;
    assert_eq!(get(&copy), get(&dir));
    // Through the server as well, and the same of an export.
    let _server = Running::serve(Path::new(&dir), &[]);
    let again = home.path("again");
    let line =
        format!("'{program}' backup - --dir '{dir}' | '{program}' restore - --dir '{again}'");
    let output = std::process::Command::new("sh").args(["-c", &line]).output().unwrap();
    assert!(output.status.success(), "{output:?}");
    let export = run(["export", "acme", "--out", "-", "--dir", &dir]).expect(0).stdout;
    assert_eq!(export, run(["export", "acme", "--dir", &dir]).expect(0).stdout);
    assert!(export.contains("\"ada\""), "{export}");
}

#[test]
fn backups_in_the_wrong_order_say_so_and_leave_nothing() {
    let home = Home::new();
    let dir = home.path("store");
    let [full, later] = ["full.backup", "later.backup"].map(|name| home.path(name));
    run(["put", "--dir", &dir, "acme/users/eve", "{}", "--idempotency-key", "k"]).expect(0);
    run(["backup", &full, "--dir", &dir]).expect(0);
    run(["put", "--dir", &dir, "acme/users/bob", "{}", "--idempotency-key", "l"]).expect(0);
    run(["backup", &later, "--since", &full, "--dir", &dir]).expect(0);
    let target = home.path("target");
    for files in [&[&later, &full][..], &[&later], &[&full, &full]] {
        let mut args = vec!["restore", "--dir", &target];
        args.extend(files.iter().map(|file| file.as_str()));
        let failed = run(args).expect(2);
        assert!(failed.stderr.contains("in their order"), "{failed:?}");
        assert!(!failed.stderr.contains('$') && !failed.stderr.contains("damaged"), "{failed:?}");
        assert!(!Path::new(&target).exists(), "something is left");
    }
    run(["restore", "--dir", &target, &full, &later]).expect(0);
    run(["get", "--dir", &target, "acme/users/bob"]).expect(0);
}

#[test]
fn a_line_of_a_list_has_what_the_table_has() {
    let home = Home::new();
    let dir = home.path("store");
    let listed = run(["list", "--dir", &dir, "acme/users"]).expect(0).stdout;
    let line: serde_json::Value = serde_json::from_str(&listed).unwrap();
    assert_eq!((&line["id"], &line["revision"]), (&"ada".into(), &1.into()));
    let copy = home.path("copy");
    run_with_input(["import", "-", "--dir", &copy], listed.as_bytes()).expect(0);
    run(["get", "--dir", &copy, "acme/users/ada"]).expect(0);
}

#[test]
fn without_a_user_in_the_environment_the_operating_system_names_him() {
    let home = Home::new();
    let dir = home.path("store");
    let mut put = meldb(["put", "--dir", &dir, "acme/users/bob", "{}"]);
    for name in ["USER", "LOGNAME", "USERNAME"] {
        put.env_remove(name);
    }
    let output = put.output().unwrap();
    let document: serde_json::Value = serde_json::from_slice(&output.stdout).unwrap();
    let expected = std::process::Command::new("id").arg("-un").output().unwrap();
    let expected = String::from_utf8(expected.stdout).unwrap();
    assert_eq!(document["updatedBy"].as_str().unwrap(), expected.trim());
}

#[test]
fn an_interrupted_import_exits_as_shells_expect() {
    let home = Home::new();
    let dir = home.path("store");
    let mut import = meldb(["import", "-", "--dir", &dir]);
    let mut import = import.stdin(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
    // It waits for its input, once it has opened the store.
    std::thread::sleep(Duration::from_secs(2));
    let id = i32::try_from(import.id()).ok().and_then(Pid::from_raw).unwrap();
    kill_process(id, Signal::INT).unwrap();
    let stdin = import.stdin.take();
    let output = import.wait_with_output().unwrap();
    drop(stdin);
    assert_eq!(output.status.code(), Some(130), "{output:?}");
    assert!(
        String::from_utf8_lossy(&output.stderr).contains("run the command again"),
        "{output:?}"
    );
}

/// A body that is refused before it is read gets its answer, however long it is.
#[test]
fn a_long_body_to_the_wrong_tenant_is_told_why() {
    let home = Home::new();
    let dir = home.path("store");
    let key = make_key(Path::new(&dir), "acme", "app", "provisioning:*");
    let server = Running::serve(Path::new(&dir), &[]);
    let long = home.write("long.json", format!(r#"{{"text":"{}"}}"#, "x".repeat(12 << 20)));
    let file = format!("@{long}");
    for (address, said) in
        [("other/users/x", "belongs to another tenant"), ("acme/users/x", "over the limit")]
    {
        let put = ["put", address, &file, "--url", &server.url, "--key", &key];
        let failed = run(put);
        assert!(failed.stderr.contains(said), "{address}: {failed:?}");
    }
}

/// An address that the server does not know is no document that does not exist.
#[test]
fn a_server_elsewhere_is_not_a_missing_document() {
    let home = Home::new();
    let dir = home.path("store");
    let key = make_key(Path::new(&dir), "acme", "app", "provisioning:*");
    let server = Running::serve(Path::new(&dir), &[]);
    let url = format!("{}/elsewhere", server.url);
    let failed = run(["get", "acme/users/ada", "--url", &url, "--key", &key]).expect(2);
    assert!(failed.stderr.contains("--url"), "{failed:?}");
    let missing = run(["get", "acme/users/bob", "--url", &server.url, "--key", &key]).expect(3);
    assert!(missing.stderr.contains("acme/users/bob does not exist"), "{missing:?}");
    let full = run(["quota", "set", "acme", "--documents", "1", "--dir", &dir]);
    full.expect(0);
    let full = run(["put", "acme/users/bob", "{}", "--url", &server.url, "--key", &key]).expect(6);
    assert!(full.stderr.contains("raise the quota"), "{full:?}");
}

/// The clock of this machine is right, so there is nothing to take back; the tests of the HTTP routes
/// have one that is not.
#[test]
fn the_clock_is_reset_wherever_the_store_is() {
    let home = Home::new();
    let dir = home.path("store");
    let check = || {
        let reset = ["reset-clock", "--yes", "--dir", &dir];
        let done = run(reset).expect(0);
        assert!(done.stdout.contains("nothing is ahead of the clock"), "{done:?}");
        let done = run(reset.iter().chain(&["--json"])).expect(0).json();
        assert_eq!(
            (&done["tenants"], &done["keys"]),
            (&serde_json::json!([]), &serde_json::Value::Null)
        );
        run(["reset-clock", "acme", "--yes", "--dir", &dir]).expect(0);
    };
    check();
    // A line of an export keeps its stamp, be it of 2100.
    let line = r#"{"tenant":"late","revision":1,"collection":"c","id":"x","kind":"put","updated":4102444800000,"updatedBy":"me","data":{}}"#;
    run_with_input(["import", "-", "--preserve", "--dir", &dir], line.as_bytes()).expect(0);
    let _server = Running::serve(Path::new(&dir), &[]);
    let done = run(["reset-clock", "--yes", "--dir", &dir]).expect(0).stdout;
    assert!(done.starts_with("late: from 2100-01-01 00:00:00Z back to 20"), "{done}");
    check();
    let got = run(["get", "late/c/x", "--dir", &dir]).expect(0).stdout;
    assert!(!got.contains("4102444800000") && got.contains("\"me\""), "{got}");
}

#[test]
fn changes_can_start_now() {
    let home = Home::new();
    let dir = home.path("store");
    let key = make_key(Path::new(&dir), "acme", "feed", "changes:read");
    let now = ["changes", "acme", "--after", "now"];
    assert_eq!(run(now.iter().chain(&["--dir", &dir])).expect(0).stdout, "");
    let odd = run(["changes", "acme", "--after", "then", "--dir", &dir]).expect(2);
    assert!(odd.stderr.contains("or now"), "{odd:?}");
    let server = Running::serve(Path::new(&dir), &[]);
    let place = ["--url", &server.url, "--key", &key];
    assert_eq!(run(now.iter().chain(&place)).expect(0).stdout, "");
    let mut follow = meldb(now.iter().chain(&["--follow"]).chain(&place));
    let mut follow = follow.stdout(Stdio::piped()).spawn().unwrap();
    std::thread::sleep(Duration::from_secs(1));
    run(["merge", "--dir", &dir, "acme/users/ada", "{}"]).expect(0);
    let mut line = String::new();
    let mut out = std::io::BufReader::new(follow.stdout.take().unwrap());
    std::io::BufRead::read_line(&mut out, &mut line).unwrap();
    assert!(line.starts_with("{\"revision\":2,"), "{line}");
    follow.kill().unwrap();
    follow.wait().unwrap();
}
