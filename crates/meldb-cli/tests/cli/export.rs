//! `meldb export`, and `meldb import --preserve`: a tenant as NDJSON, there and back.

use std::{
    fs,
    path::Path,
    sync::atomic::{AtomicBool, Ordering::SeqCst},
    thread,
};

use serde_json::Value;

use crate::cli::support::{Run, Running, make_key, run, run_with_input};

fn seed(dir: &str) {
    for (address, text) in [
        ("acme/users/ada", r#"{"name":"Ada","price":1.50,"e":"\u00e9"}"#),
        ("acme/users/bob", r#"{"name":"Bob"}"#),
        ("acme/bots/hal", r#"{"name":"Hal"}"#),
        ("acme", r#"{"plan":"free"}"#),
        ("other/users/eve", r#"{"name":"Eve"}"#),
    ] {
        run(["put", "--dir", dir, address, text, "--as", "seed"]).expect(0);
    }
    run(["merge", "--dir", dir, "acme/users/ada", r#"{"role":"owner"}"#, "--as", "billing"])
        .expect(0);
    run(["delete", "--dir", dir, "acme/users/bob", "--as", "admin"]).expect(0);
}

fn changes(dir: &str) -> String {
    run(["changes", "acme", "--documents", "--dir", dir]).expect(0).stdout
}

fn lines(text: &str) -> Vec<Value> {
    text.lines().map(|line| serde_json::from_str(line).expect("JSON")).collect()
}

fn path(home: &Path, name: &str) -> String {
    home.join(name).to_str().unwrap().to_owned()
}

#[test]
fn an_export_is_the_same_wherever_the_store_is() {
    let home = tempfile::tempdir().unwrap();
    let dir = path(home.path(), "store");
    seed(&dir);
    let export = ["export", "acme", "--dir", &dir];
    let local = run(export).expect(0).stdout;
    let all = lines(&local);
    let brief: Vec<_> =
        all.iter().map(|line| (&line["revision"], &line["kind"], &line["id"])).collect();
    let expected = serde_json::json!([
        [3, "put", "hal"],
        [4, "put", null],
        [5, "merged", "ada"],
        [6, "deleted", "bob"]
    ]);
    assert_eq!(serde_json::json!(brief), expected);
    assert!(
        local.contains(r#""price":1.50,"e":"\u00e9","role":"owner""#),
        "bytes are kept: {local}"
    );
    assert!(all.iter().all(|line| line["tenant"] == "acme"));
    assert_eq!(all[3].get("data"), None);
    let users = run(export.iter().chain(&["--collection", "users", "--after", "5"])).expect(0);
    assert_eq!(lines(&users.stdout), all[3..]);

    let key = make_key(Path::new(&dir), "acme", "feed", "changes:read");
    let server = Running::serve(Path::new(&dir), &[]);
    assert_eq!(run(export).expect(0).stdout, local, "through the socket");
    let remote = run(["export", "acme", "--url", &server.url, "--key", &key]).expect(0);
    assert_eq!(lines(&remote.stdout), all, "over HTTP");
    let file = path(home.path(), "remote.ndjson");
    let done =
        run(["export", "acme", "--url", &server.url, "--key", &key, "--out", &file, "--json"]);
    assert_eq!(done.expect(0).json()["revision"], 6);
    assert_eq!(lines(&fs::read_to_string(file).unwrap()), all);
}

#[test]
fn preserved_lines_are_the_writes_that_they_were() {
    let home = tempfile::tempdir().unwrap();
    let [here, there, file] = ["here", "there", "acme.ndjson"].map(|name| path(home.path(), name));
    seed(&here);
    let done = run(["export", "acme", "--dir", &here, "--out", &file]).expect(0);
    assert!(done.stdout.contains("exported 3 documents and 1 deletes"), "{done:?}");
    assert!(done.stdout.contains("as of revision 6"), "{done:?}");
    let done = run(["import", &file, "--preserve", "--dir", &there]).expect(0);
    assert!(
        done.stdout.contains("imported 4 documents") && done.stdout.contains("4 created"),
        "{done:?}"
    );
    assert_eq!(changes(&there), changes(&here));
    run(["verify", "--dir", &there]).expect(0);

    // Again, also through a server: nothing is new. Then the rest, when there is more.
    let server = Running::serve(Path::new(&there), &[]);
    let again = run(["import", &file, "--preserve", "--dir", &there, "--json"]).expect(0).json();
    assert_eq!((&again["created"], &again["unchanged"]), (&0.into(), &4.into()));
    run(["put", "--dir", &here, "acme/users/new", r#"{"n":1}"#]).expect(0);
    let resumed = run(["export", "acme", "--dir", &here, "--out", &file, "--resume", "--json"]);
    assert_eq!(resumed.expect(0).json()["documents"], 1);
    let rest = run(["import", &file, "--preserve", "--dir", &there, "--json"]).expect(0).json();
    assert_eq!((&rest["created"], &rest["unchanged"]), (&1.into(), &4.into()));
    assert_eq!(changes(&there), changes(&here));
    drop(server);

    // A tenant that has gone on by itself is left as it is.
    run(["put", "--dir", &there, "acme/users/own", "{}"]).expect(0);
    run(["put", "--dir", &here, "acme/users/other", "{}"]).expect(0);
    run(["export", "acme", "--dir", &here, "--out", &file, "--resume"]).expect(0);
    let refused = run(["import", &file, "--preserve", "--dir", &there]).expect(1);
    assert!(
        refused
            .stderr
            .contains("line 6: the tenant acme holds another write at revision 8 already"),
        "{refused:?}"
    );
    let renamed =
        run(["import", &file, "--preserve", "--tenant", "copy", "--dir", &there]).expect(0);
    assert!(renamed.stdout.contains("6 created"), "{renamed:?}");
}

#[test]
fn what_cannot_be_preserved_is_told_by_line() {
    let home = tempfile::tempdir().unwrap();
    let dir = path(home.path(), "store");
    let good = r#"{"tenant":"a","revision":1,"collection":"c","id":"x","kind":"put","updated":5,"updatedBy":"me","data":{"n":1.50}}"#;
    for (bad, reason) in [
        ("nonsense", "line 2: the text is not a JSON object"),
        (
            r#"{"tenant":"a","collection":"c","id":"y","data":{}}"#,
            "line 2: the member \"kind\" is missing",
        ),
        (&good.replace("\"updated\":5,", "").replace(":1,", ":2,"), "\"updated\" is missing"),
        (&good.replace("\"x\"", "\"y\""), "cannot be stored at revision 1"),
        (&good.replace(":1,", ":2,").replace("\"put\"", "\"moved\""), "\"moved\" is no kind"),
        (&good.replace(":1,", ":2,").replace("{\"n\":1.50}", "[]"), "line 2: "),
    ] {
        let input = format!("{good}\n{bad}\n");
        let refused =
            run_with_input(["import", "-", "--preserve", "--dir", &dir], input.as_bytes());
        assert!(refused.code == 1 && refused.stderr.contains(reason), "{bad}: {refused:?}");
    }
    assert_eq!(run(["get", "a/c/y", "--dir", &dir]).code, 3, "nothing of it was stored");
    let remote = ["import", "/dev/null", "--preserve", "--url", "http://127.0.0.1:1", "--key", "x"];
    run(remote).expect(0);
    run(["import", "-", "--preserve", "--merge", "--dir", &dir]).expect(2);
}

#[test]
fn without_preserving_a_delete_deletes() {
    let home = tempfile::tempdir().unwrap();
    let [here, there] = ["here", "there"].map(|name| path(home.path(), name));
    seed(&here);
    run(["put", "--dir", &there, "acme/users/bob", r#"{"name":"Old Bob"}"#]).expect(0);
    let exported = run(["export", "acme", "--dir", &here]).expect(0).stdout;
    let import = || run_with_input(["import", "-", "--dir", &there, "--json"], exported.as_bytes());
    let done = import().expect(0).json();
    assert_eq!((&done["created"], &done["deleted"]), (&3.into(), &1.into()));
    assert_eq!(run(["get", "acme/users/bob", "--dir", &there]).code, 3);
    assert_eq!(import().expect(0).json()["unchanged"], 1, "it is gone already");
}

#[test]
fn an_export_goes_on_behind_its_last_whole_line() {
    let home = tempfile::tempdir().unwrap();
    let [dir, file] = ["store", "acme.ndjson"].map(|name| path(home.path(), name));
    seed(&dir);
    let export = |more: &[&str]| -> Run {
        run(["export", "acme", "--dir", &dir, "--out", &file].iter().chain(more))
    };
    export(&[]).expect(0);
    let whole = fs::read_to_string(&file).unwrap();
    let refused = export(&[]).expect(2);
    assert!(refused.stderr.contains("--resume"), "{refused:?}");
    for cut in [0, 1, whole.len() / 2, whole.len() - 1, whole.len()] {
        fs::write(&file, &whole[..cut]).unwrap();
        export(&["--resume"]).expect(0);
        assert_eq!(fs::read_to_string(&file).unwrap(), whole, "cut at {cut}");
    }
    fs::write(&file, "{\"name\":\"of somebody else\"}\n").unwrap();
    let refused = export(&["--resume"]).expect(2);
    assert!(refused.stderr.contains("is no export of acme"), "{refused:?}");
    assert_eq!(fs::read_to_string(&file).unwrap().len(), 28, "it is as it was");
}

/// Every line of a document but its last is superseded, and the last ones are one state.
#[test]
fn an_export_beside_writers_is_of_one_revision() {
    let home = tempfile::tempdir().unwrap();
    let [dir, file, copy] = ["store", "acme.ndjson", "copy"].map(|name| path(home.path(), name));
    seed(&dir);
    let many: String = (0..3000)
        .map(|n| {
            format!(
                "{{\"tenant\":\"acme\",\"collection\":\"many\",\"id\":\"d{n}\",\"data\":{{}}}}\n"
            )
        })
        .collect();
    run_with_input(["import", "-", "--dir", &dir], many.as_bytes()).expect(0);
    let _server = Running::serve(Path::new(&dir), &[]);
    let stop = AtomicBool::new(false);
    thread::scope(|scope| {
        let writer = scope.spawn(|| {
            let mut n = 0;
            while !stop.load(SeqCst) {
                let id = format!("acme/many/d{}", n % 3000);
                run(["merge", &id, &format!("{{\"n\":{n}}}"), "--dir", &dir]).expect(0);
                n += 7;
            }
        });
        let done =
            run(["export", "acme", "--dir", &dir, "--out", &file, "--json"]).expect(0).json();
        stop.store(true, SeqCst);
        writer.join().unwrap();
        assert_eq!(done["isOfOneMoment"], true);
        run(["import", &file, "--preserve", "--dir", &copy]).expect(0);
        let held = run(["stats", "acme", "--dir", &copy, "--json"]).expect(0).json();
        assert_eq!((&held["revision"], &held["documents"]), (&done["revision"], &3003.into()));
    });
    run(["verify", "--dir", &copy]).expect(0);
}
