//! A command answers the same on a directory, through the socket of a server on it, and on a
//! server's URL.

use std::path::Path;

use crate::cli::support::{Run, Running, make_key, run, run_with_input, without_times};

/// A command without the flags that say where, and its exit code.
struct Case {
    args: &'static [&'static str],
    input: &'static str,
    code: i32,
}

const fn case(args: &'static [&'static str], code: i32) -> Case {
    Case { args, input: "", code }
}

/// Run in this order; revisions count on.
const CASES: &[Case] = &[
    case(&["put", "acme/users/ada", r#"{"name":"Ada","n":1.50,"e":"\u00e9\/"}"#], 0),
    case(&["get", "acme/users/ada"], 0),
    case(&["get", "acme/users/ada", "--json"], 0),
    case(&["put", "acme/users/ada", r#"{"z":1,"a":{"b":[1,{"c":null}]}}"#, "--json"], 0),
    case(&["merge", "acme/users/ada", r#"{"a":{"d":2}}"#, "--json"], 0),
    case(&["merge", "acme/users/ada", r#"{"a":{"d":null,"e":null}}"#], 0),
    case(&["merge", "acme/users/ada", r#"{"kept":null}"#, "--nulls", "keep"], 0),
    case(&["merge", "acme/users/ada", r#"{"a":{"only":1}}"#, "--depth", "shallow"], 0),
    case(&["merge", "acme/users/ada", r#"{"q":{"r":null}}"#, "--nulls=keep", "--depth=shallow"], 0),
    case(&["merge", "acme/users/ada", r#"{"quiet":true}"#, "--quiet"], 0),
    case(&["merge", "acme/users/ada", r#"{"quiet":false}"#, "--quiet", "--json"], 0),
    Case { args: &["merge", "acme/users/ada", "-"], input: r#"{"from":"stdin"}"#, code: 0 },
    case(&["get", "acme/users/ada"], 0),
    // Conditions.
    case(&["put", "acme/users/ada", "{}", "--if-absent"], 4),
    case(&["insert", "acme/users/ada", "{}"], 4),
    case(&["insert", "acme/users/bob", r#"{"name":"Bob"}"#, "--json"], 0),
    case(&["merge", "acme/users/bob", r#"{"n":1}"#, "--if-revision", "1"], 4),
    case(&["merge", "acme/users/bob", r#"{"n":1}"#, "--if-revision", "11", "--json"], 0),
    case(&["delete", "acme/users/bob", "--if-revision", "11"], 4),
    case(&["merge", "acme/users/bob", r#"{"n":2}"#, "--if-revision", "12", "--json"], 0),
    // What is not there.
    case(&["get", "acme/users/nobody"], 3),
    case(&["get", "acme/users/nobody", "--json"], 3),
    case(&["merge", "acme/users/nobody", "{}"], 3),
    case(&["patch", "acme/users/nobody", "[]"], 3),
    case(&["delete", "acme/users/nobody"], 3),
    case(&["delete", "acme/users/nobody", "--json"], 3),
    // What is not acceptable.
    case(&["put", "acme/users/bad", "nonsense"], 1),
    case(&["put", "acme/users/bad", "[1]"], 1),
    case(&["put", "acme/users/bad", ""], 1),
    case(&["put", "acme/users/bad", r#"{"a":1,"a":2}"#, "--json"], 1),
    case(&["merge", "acme/users/ada", r#"{"a":01}"#], 1),
    case(&["patch", "acme/users/ada", r#"[{"op":"none","path":"/a"}]"#], 1),
    case(&["patch", "acme/users/ada", r#"[{"op":"test","path":"/z","value":2}]"#], 1),
    case(&["get", "acme/users/bad"], 3),
    // Patches, and names with every letter that they may have.
    case(
        &["patch", "acme/users/ada", r#"[{"op":"replace","path":"/z","value":7.0}]"#, "--json"],
        0,
    ),
    case(&["put", "acme/users/A~b@c:d+e=f,g!h$i-.j_", r#"{"odd":true}"#], 0),
    case(&["get", "acme/users/A~b@c:d+e=f,g!h$i-.j_"], 0),
    case(&["put", "acme/users/...", r#"{"dots":3}"#], 0),
    case(&["get", "acme/users/..."], 0),
    // Lists.
    case(&["list", "acme/users"], 0),
    case(&["list", "acme/users", "--limit", "2"], 0),
    case(&["list", "acme/users", "--limit", "0"], 0),
    case(&["list", "acme/users", "--after", "A", "--limit", "1", "--json"], 0),
    case(&["list", "acme/users", "--after", "zzz"], 0),
    case(&["list", "acme/nothing"], 0),
    // A document in a document, and the tenant's own.
    case(&["get", "acme/bots/hal/versions/current"], 3),
    case(&["merge", "acme/bots/hal/versions/current", "{}"], 3),
    case(&["put", "acme/bots/hal/versions/current", r#"{"model":"m1","t":0.20}"#], 0),
    case(&["merge", "acme/bots/hal/versions/current", r#"{"model":"m2"}"#, "--json"], 0),
    case(&["get", "acme/bots/hal/versions/current"], 0),
    case(&["get", "acme/bots/hal", "--json"], 0),
    case(&["get", "acme"], 3),
    case(&["merge", "acme", "{}"], 3),
    case(&["put", "acme", r#"{"plan":"team"}"#, "--json"], 0),
    case(&["merge", "acme", r#"{"seats":5}"#], 0),
    case(&["get", "acme"], 0),
    // Wrong commands.
    case(&["get", "acme/users"], 2),
    case(&["get", "acme/us ers/x"], 2),
    case(&["list", "acme", "--limit", "1"], 2),
    case(&["insert", "acme/users/x", "{}", "--if-revision", "1"], 2),
    case(&["put", "acme/users/x", "{}", "--if-revision", "1", "--if-absent"], 2),
    case(&["delete", "acme/users/bob", "--quiet"], 0),
    case(&["get", "acme/users/bob"], 3),
    // What a write tells, and what it would.
    case(&["put", "acme/edits/doc", r#"{"a":1.50,"b":{"x":1}}"#, "--json"], 0),
    case(&["merge", "acme/edits/doc", r#"{"a":1.50}"#, "--skip-unchanged", "--json"], 0),
    case(&["merge", "acme/edits/doc", r#"{"a":2}"#, "--dry-run", "--json"], 0),
    case(&["merge", "acme/edits/doc", r#"{"a":2}"#, "--dry-run", "--diff"], 0),
    case(&["merge", "acme/edits/doc", r#"{"a":2,"c":3}"#, "--diff", "--json"], 0),
    case(&["put", "acme/edits/new", "{}", "--dry-run", "--json"], 0),
    case(&["delete", "acme/edits/doc", "--dry-run", "--json"], 0),
    case(&["merge", "acme/edits/none", "{}", "--dry-run"], 3),
    case(&["get", "acme/edits/new"], 3),
    case(&["put", "acme/edits/doc", "{}", "--if-unchanged-since", "1"], 4),
    case(&["merge", "acme/edits/doc", "{}", "--if-unchanged-since", "23"], 0),
    case(&["insert", "acme/edits/x", "{}", "--if-unchanged-since", "22"], 2),
    // Documents that are gone by themselves.
    case(&["put", "acme/brief/a", r#"{"n":1}"#, "--expire-at", "9000000000000"], 0),
    case(&["merge", "acme/brief/a", r#"{"n":2}"#, "--json"], 0),
    case(&["merge", "acme/brief/a", "{}", "--expire-at", "never"], 0),
    case(&["patch", "acme/brief/a", "[]", "--expire-at", "2001-01-01"], 0),
    case(&["get", "acme/brief/a"], 3),
    case(&["merge", "acme/brief/a", "{}"], 3),
    case(&["insert", "acme/brief/a", "{}"], 0),
    case(&["put", "acme/brief/a", "{}", "--expire-at", "soon"], 2),
    // Writes that may be sent again.
    case(&["put", "acme/once/a", r#"{"n":1}"#, "--idempotency-key", "k1", "--json"], 0),
    case(&["put", "acme/once/a", r#"{"n":1}"#, "--idempotency-key", "k1", "--json"], 0),
    case(&["put", "acme/once/a", r#"{"n":2}"#, "--idempotency-key", "k1"], 1),
    case(&["get", "acme/once/a", "--json"], 0),
    case(&["delete", "acme/once/a", "--idempotency-key", "k 2"], 0),
    case(&["delete", "acme/once/a", "--idempotency-key", "k 2"], 0),
    Case { args: &["batch", "acme", "-", "--idempotency-key", "k3"], input: LINES, code: 0 },
    Case { args: &["batch", "acme", "-", "--idempotency-key", "k3"], input: LINES, code: 0 },
    // Batches.
    Case { args: &["batch", "acme", "-"], input: LINES, code: 0 },
    Case { args: &["batch", "acme", "-", "--json"], input: OBJECT, code: 0 },
    Case { args: &["batch", "acme", "-", "--quiet"], input: LINES, code: 0 },
    Case { args: &["batch", "acme", "-", "--dry-run"], input: LINES, code: 0 },
    Case { args: &["batch", "acme", "-"], input: FAILING, code: 3 },
    Case { args: &["batch", "acme", "-", "--json"], input: FAILING, code: 3 },
    Case { args: &["batch", "acme", "-"], input: "nonsense", code: 1 },
    Case { args: &["batch", "acme", "-"], input: r#"{"op":"rename","path":"a/b"}"#, code: 1 },
    case(&["get", "acme/moves/a"], 0),
    case(&["get", "acme/moves/never"], 3),
    case(&["batch", "acme/moves", "-"], 2),
    // Questions.
    case(&["put", "acme/jobs/a", r#"{"kind":"red","n":2,"at":{"city":"Oslo"}}"#], 0),
    case(&["put", "acme/jobs/b", r#"{"kind":"blue","n":10}"#], 0),
    case(&["put", "acme/jobs/c", r#"{"kind":"red","n":"10"}"#], 0),
    case(&["find", "acme/jobs"], 0),
    case(&["find", "acme/jobs", "kind = \"red\"", "--sort", "-n"], 0),
    case(&["find", "acme/jobs", "n >= 2 and at missing", "--fields", "n", "--json"], 0),
    case(&["find", "acme/jobs", "$id > \"a\"", "--limit", "1"], 0),
    case(&["find", "acme/jobs", "--sort=-n,kind", "--limit", "2"], 0),
    case(&["find", "acme/jobs", "n > 1000"], 0),
    case(&["find", "acme/jobs", "n > 1", "--sort", "n", "--explain"], 0),
    case(&["find", "acme/jobs", "$id = \"a\"", "--explain"], 0),
    case(&["find", "acme/jobs", "kind = red"], 1),
    case(&["find", "acme/jobs", "kind = 1", "--sort", "-"], 1),
    case(&["find", "acme/jobs", "--fields", "a,"], 1),
    case(&["find", "acme/nothing", "a = 1"], 0),
    case(&["count", "acme/jobs"], 0),
    case(&["count", "acme/jobs", "kind = \"red\"", "--json"], 0),
    case(&["count", "acme/nothing", "n = 1"], 0),
    case(&["count", "acme/jobs", "n ="], 1),
    // Many documents.
    case(&["merge", "acme/jobs", r#"{"n":1.50}"#, "--where", "kind = \"red\"", "--dry-run"], 0),
    case(
        &["merge", "acme/jobs", r#"{"n":1.50}"#, "--where=kind = \"red\"", "--dry-run", "--json"],
        0,
    ),
    case(&["merge", "acme/jobs", r#"{"n":1.50}"#, "--where", "kind = \"red\""], 0),
    case(
        &[
            "merge",
            "acme/jobs",
            r#"{"n":1.50}"#,
            "--where",
            "$id exists",
            "--skip-unchanged",
            "--json",
        ],
        0,
    ),
    case(&["merge", "acme/jobs", r#"{"n":null}"#, "--where", "$id = \"a\"", "--nulls=keep"], 0),
    case(
        &[
            "merge",
            "acme/jobs",
            r#"{"at":{"zip":1}}"#,
            "--where",
            "n = null",
            "--depth=shallow",
            "-q",
        ],
        0,
    ),
    case(&["merge", "acme/jobs", "{}", "--where", "n = 7", "--json"], 0),
    case(&["merge", "acme/jobs", "{}", "--where", "n ="], 1),
    case(&["merge", "acme/jobs", "[1]", "--where", "$id exists"], 1),
    case(&["merge", "acme/jobs", "nonsense", "--where", "$id exists"], 1),
    case(&["merge", "acme/jobs", "{}"], 2),
    case(&["merge", "acme/jobs/a", "{}", "--where", "n = 1"], 2),
    case(&["merge", "acme/jobs", "{}", "--where", "n = 1", "--diff"], 2),
    case(&["merge", "acme/jobs", "{}", "--where", "n = 1", "--if-revision", "1"], 2),
    case(&["merge", "acme/jobs", "{}", "--where", "n = 1", "--expire-at", "1h"], 2),
    case(&["merge", "acme/jobs/a", "{}", "--after", "x"], 2),
    case(&["find", "acme/jobs"], 0),
    case(&["delete", "acme/jobs"], 2),
    case(&["delete", "acme/jobs", "--all"], 2),
    case(&["delete", "acme/jobs/a", "--all"], 2),
    case(&["delete", "acme/jobs", "--all", "--dry-run"], 0),
    case(&["delete", "acme/jobs", "--all", "--yes", "--json"], 0),
    case(&["delete", "acme/jobs", "--all", "--yes"], 0),
    case(&["find", "acme/jobs"], 0),
    case(&["list", "acme"], 0),
];

const LINES: &str = r#"{"op":"put","path":"moves/a","data":{"n":1.50}}
{"op":"merge","path":"moves/a","data":{"m":2}}

{"op":"put","path":"","data":{"plan":"pro"}}
"#;

const OBJECT: &str = r#"{"operations":[
    {"op":"insert","path":"moves/b","data":{"n":1}},
    {"op":"patch","path":"moves/a","data":[{"op":"remove","path":"/m"}]},
    {"op":"delete","path":"moves/b"}]}"#;

const FAILING: &str = r#"{"op":"put","path":"moves/never","data":{}}
{"op":"merge","path":"moves/nobody","data":{}}
"#;

fn run_all(place: &[&str]) -> Vec<Run> {
    let run_one = |case: &Case| {
        let args = case.args.iter().chain(place);
        let run = match case.input {
            "" => run(args),
            input => run_with_input(args, input.as_bytes()),
        };
        let run = run.expect(case.code);
        Run { stdout: without_times(&run.stdout), ..run }
    };
    CASES.iter().map(run_one).collect()
}

fn prepared(dir: &Path) -> String {
    make_key(dir, "acme", "tester", "provisioning:*")
}

#[test]
fn every_command_answers_the_same_wherever_it_works() {
    let homes = [(); 3].map(|()| tempfile::tempdir().unwrap());
    let [local, socket, remote] = homes.each_ref().map(|dir| dir.path().to_str().unwrap());
    prepared(homes[0].path());
    let on_directory = run_all(&["--dir", local]);

    prepared(homes[1].path());
    let server = Running::serve(homes[1].path(), &[]);
    let on_socket = run_all(&["--dir", socket]);
    drop(server);

    let key = prepared(Path::new(remote));
    let server = Running::serve(homes[2].path(), &[]);
    let on_server = run_all(&["--url", &server.url, "--key", &key]);

    for (index, case) in CASES.iter().enumerate() {
        assert_eq!(on_directory[index], on_socket[index], "the socket, {:?}", case.args);
        assert_eq!(
            (on_directory[index].code, &on_directory[index].stdout),
            (on_server[index].code, &on_server[index].stdout),
            "the server, {:?}: {} / {}",
            case.args,
            on_directory[index].stderr,
            on_server[index].stderr,
        );
    }
}

#[test]
fn what_a_server_cannot_do_is_said_before_anything_is_sent() {
    let remote = ["--url", "http://127.0.0.1:1", "--key", "x"];
    for (args, reason) in [
        (&["merge", "a/b/c", "{}", "--as", "me"][..], "--as"),
        (&["batch", "a", "/dev/null", "--as", "me"], "--as"),
        (&["get", "a/b/c/other/member"], "versions/current"),
    ] {
        let refused = run(args.iter().chain(&remote)).expect(2);
        assert!(refused.stderr.contains(reason), "{}", refused.stderr);
    }
}

/// A merge into many that fails goes on behind what it has done, once the reason is gone.
#[test]
fn a_merge_into_many_goes_on_where_it_failed() {
    let dir = tempfile::tempdir().unwrap();
    let dir_text = dir.path().to_str().unwrap();
    let key = make_key(dir.path(), "acme", "tester", "provisioning:*");
    let small = (0..600).map(|number| {
        format!("{{\"op\":\"put\",\"path\":\"jobs/j{number:04}\",\"data\":{{\"n\":{number}}}}}\n")
    });
    let large = format!(
        "{{\"op\":\"put\",\"path\":\"jobs/j0599x\",\"data\":{{\"n\":600,\"x\":\"{}\"}}}}\n",
        "x".repeat(1_048_000)
    );
    let lines: String = small.chain([large]).collect();
    run_with_input(["batch", "acme", "-", "--dir", dir_text, "-q"], lines.as_bytes()).expect(0);
    let long = format!("{{\"long\":\"{}\"}}", "y".repeat(1000));
    let server = Running::serve(dir.path(), &[]);
    let url = ["--url", &server.url, "--key", &key];
    for (place, field) in [(&["--dir", dir_text][..], "n"), (&url, "$id")] {
        let filter = format!("{field} exists and long missing");
        let merge = ["merge", "acme/jobs", &long, "--where", &filter];
        let failed = run(merge.iter().chain(&["--json"]).chain(place)).expect(1);
        assert!(failed.stderr.contains("500 were merged before"), "{}", failed.stderr);
        let report: serde_json::Value = serde_json::from_str(&failed.stdout).unwrap();
        assert_eq!((&report["merged"], &report["complete"]), (&500.into(), &false.into()));
        let after = report["after"].as_str().unwrap();
        assert!(failed.stderr.contains(after), "{}", failed.stderr);

        let shrink = ["merge", "acme/jobs/j0599x", "{\"x\":null}", "-q"];
        run(shrink.iter().chain(place)).expect(0);
        let rest = run(merge.iter().chain(&["--after", after]).chain(place)).expect(0);
        assert_eq!(rest.stdout, "merged into 101 of 101 documents that pass\n");
        let count = run(["count", "acme/jobs", "long exists"].iter().chain(place)).expect(0);
        assert_eq!(count.stdout, "601\n");
        // As before, for the other one.
        let back = ["merge", "acme/jobs", "{\"long\":null}", "--where", "long exists"];
        run(back.iter().chain(place)).expect(0);
        let text = format!("{{\"x\":\"{}\"}}", "x".repeat(1_048_000));
        let grow = ["merge", "acme/jobs/j0599x", "-", "-q"];
        run_with_input(grow.iter().chain(place), text.as_bytes()).expect(0);
    }
}

#[test]
fn changes_are_filtered_the_same_wherever_they_are_read() {
    let dir = tempfile::tempdir().unwrap();
    let dir_text = dir.path().to_str().unwrap();
    let key = make_key(dir.path(), "acme", "mirror", "changes:read");
    for (id, n) in [("a", "1"), ("b", "2"), ("c", "\"1\"")] {
        let (path, text) = (format!("acme/jobs/{id}"), format!("{{\"n\":{n}}}"));
        run(["put", &path, &text, "--dir", dir_text, "-q"]).expect(0);
    }
    run(["delete", "acme/jobs/b", "--dir", dir_text]).expect(0);
    let server = Running::serve(dir.path(), &[]);
    let args = ["changes", "acme", "--collection", "jobs", "--documents", "--where", "n = 1"];
    let url = ["--url", &server.url, "--key", &key];
    for place in [&["--dir", dir_text][..], &url] {
        let lines = run(args.iter().chain(place)).expect(0).stdout;
        let ids: Vec<_> = lines
            .lines()
            .map(|line| serde_json::from_str::<serde_json::Value>(line).unwrap()["id"].clone())
            .collect();
        assert_eq!(ids, ["a", "b"], "{lines}");
    }
    drop(server);
    let local = run(args.iter().chain(&["--dir", dir_text])).expect(0);
    assert_eq!(local.stdout.lines().count(), 2);
    let refused = run(["changes", "acme", "--where", "n = 1", "--dir", dir_text]).expect(2);
    assert!(refused.stderr.contains("--collection"), "{}", refused.stderr);
}

#[test]
fn a_list_can_be_imported_elsewhere_and_is_the_same_there() {
    let dir = tempfile::tempdir().unwrap();
    let (here, there) = (dir.path().join("here"), dir.path().join("there"));
    let (here, there) = (here.to_str().unwrap(), there.to_str().unwrap());
    for number in 0..50 {
        let id = format!("acme/users/u{number}");
        let text = format!(r#"{{"n":{number}.50,"text":"\n\"\u0041ü"}}"#);
        run(["put", "--dir", here, &id, &text, "--quiet"]).expect(0);
    }
    let list = run(["list", "--dir", here, "acme/users"]).expect(0).stdout;
    run_with_input(["import", "-", "--dir", there], list.as_bytes()).expect(0);
    let copy = run(["list", "--dir", there, "acme/users"]).expect(0).stdout;
    // The copy has revisions of its own.
    let documents = |list: &str| -> Vec<String> {
        let parts = list.lines().map(|line| line.split("\"revision\":").map(str::to_owned));
        let rest = |part: String| part.trim_start_matches(|c: char| c.is_ascii_digit()).to_owned();
        parts.map(|line| line.map(rest).collect()).collect()
    };
    assert_eq!(documents(&without_times(&copy)), documents(&without_times(&list)));
    assert_eq!(copy.lines().count(), 50);
}
