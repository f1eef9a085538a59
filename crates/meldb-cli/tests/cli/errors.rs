//! Errors say what is wrong and what to do.

use crate::cli::support::{run, run_with_input};

#[test]
fn wrong_command_lines_say_what_is_right() {
    for (args, reasons) in [
        (&["merg", "a/b/c", "{}"][..], &["merge"][..]),
        (&["merge", "a/b/c", "{}", "--if-revison", "1"], &["--if-revision"]),
        (&["get"], &["<DOCUMENT>"]),
        (&["get", "a/b"], &["names a collection", "meldb list"]),
        (&["merge", "a/b/c", "{}", "--nulls", "eat"], &["remove", "keep"]),
        (&["get", "a/b/c", "--url", "localhost:80"], &["http://"]),
        (&["get", "a/b/c", "--url", "http://x", "--dir", "y"], &["cannot be used with"]),
        (&["get", "a/b/c", "--dir", "/nowhere"], &["there is no store in /nowhere", "--dir"]),
        (&["import", "--dir", "/nowhere"], &["<FILE>"]),
    ] {
        let refused = run(args).expect(2);
        for reason in reasons {
            assert!(refused.stderr.contains(reason), "{args:?}: {}", refused.stderr);
        }
    }
}

#[test]
fn a_missing_file_is_named() {
    let dir = tempfile::tempdir().unwrap();
    let dir_name = dir.path().to_str().unwrap();
    let body = run(["put", "--dir", dir_name, "a/b/c", "@/nowhere/x.json"]).expect(1);
    assert!(body.stderr.contains("cannot open /nowhere/x.json"), "{}", body.stderr);
    let input = run(["import", "--dir", dir_name, "/nowhere/x.ndjson"]).expect(1);
    assert!(input.stderr.contains("cannot open /nowhere/x.ndjson"), "{}", input.stderr);
    let key =
        run(["get", "--url", "http://127.0.0.1:1", "--key", "@/nowhere/k", "a/b/c"]).expect(1);
    assert!(key.stderr.contains("/nowhere/k"), "{}", key.stderr);
}

#[test]
fn errors_in_json_have_a_code_and_a_message() {
    for (args, code, name) in [
        (&["get", "a/b/c", "--dir", "/nowhere", "--json"][..], 2, "Usage"),
        (&["get", "a/b", "--json"], 2, "Usage"),
        (&["--json", "get", "a/b/c", "--url", "http://127.0.0.1:1"], 6, "Unavailable"),
    ] {
        let failed = run(args).expect(code);
        let error: serde_json::Value = serde_json::from_str(&failed.stderr).unwrap();
        assert_eq!(error["code"], name);
        assert!(error["message"].as_str().unwrap().len() > 10, "{error}");
        assert_eq!(error.as_object().unwrap().len(), 2);
        assert_eq!(failed.stdout, "");
    }
}

#[test]
fn looking_makes_no_store_and_writing_says_that_it_does() {
    let dir = tempfile::tempdir().unwrap();
    let store = dir.path().join("store");
    let name = store.to_str().unwrap();
    run(["get", "--dir", name, "a/b/c"]).expect(2);
    run(["merge", "--dir", name, "a/b/c", "{}"]).expect(2);
    run(["list", "--dir", name, "a/b"]).expect(2);
    run(["keys", "list", "--dir", name]).expect(2);
    for empty in [false, true] {
        if empty {
            std::fs::create_dir(&store).unwrap();
        }
        let backup = dir.path().join("backup");
        let into = dir.path().join("into");
        let [backup, into] = [&backup, &into].map(|path| path.to_str().unwrap());
        for command in [
            &["stats"][..],
            &["verify"],
            &["backup", backup],
            &["export", "a"],
            &["changes", "a"],
            &["erase", "a", "--yes"],
            &["reset-clock", "--yes"],
            &["quota", "show", "a"],
            &["dump-log"],
            &["repair", "--into", into],
        ] {
            let refused = run(command.iter().chain(&["--dir", name])).expect(2);
            assert!(refused.stderr.contains("no store in"), "{command:?}: {refused:?}");
        }
        run(["copy", name, into]).expect(2);
        assert_eq!(store.exists(), empty);
        let made: Vec<_> = std::fs::read_dir(dir.path()).unwrap().collect();
        assert_eq!(made.len(), usize::from(empty), "{made:?}");
        assert!(!empty || std::fs::read_dir(&store).unwrap().next().is_none());
    }
    let made = run(["put", "--dir", name, "a/b/c", "{}"]).expect(0);
    assert_eq!(made.stderr, format!("made a store in {name}\n"));
}

#[test]
fn a_reader_that_has_seen_enough_is_no_error() {
    let dir = tempfile::tempdir().unwrap();
    let name = dir.path().to_str().unwrap();
    let mut input = String::new();
    for number in 0..2000 {
        input.push_str(&format!("{{\"id\":{number},\"pad\":\"{number:0100}\"}}\n"));
    }
    let flags = ["--tenant", "t", "--collection", "c", "--id-member", "id", "--dir", name];
    run_with_input(["import", "-"].iter().chain(&flags), input.as_bytes()).expect(0);
    let program = env!("CARGO_BIN_EXE_meldb");
    let line = format!("{{ '{program}' list --dir '{name}' t/c; echo $? >&2; }} | head -n 1");
    let output = std::process::Command::new("sh").args(["-c", &line]).output().unwrap();
    assert_eq!(String::from_utf8(output.stderr).unwrap(), "0\n");
}

#[test]
fn every_command_has_help_with_examples() {
    let commands: &[&[&str]] = &[
        &[],
        &["serve"],
        &["demo"],
        &["keys", "create"],
        &["keys", "rotate"],
        &["get"],
        &["put"],
        &["merge"],
        &["patch"],
        &["delete"],
        &["list"],
        &["import"],
    ];
    for command in commands {
        let help = run(command.iter().chain(&["--help"])).expect(0).stdout;
        assert!(help.contains("Example"), "{command:?}: {help}");
    }
    let help = run(["--help"]).stdout;
    assert!(help.contains("Exit codes") && help.contains("precondition failed"), "{help}");
}
