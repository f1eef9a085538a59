//! The audit log of a server: what is in it, and that it cannot be silent.

use std::{
    fs,
    io::{BufRead, BufReader, Read, Write},
    net::TcpStream,
    path::Path,
    process::Stdio,
    time::Instant,
};

use rustix::fs::{CWD, FileType, Mode, mknodat};
use serde_json::Value;

use crate::cli::support::{Running, make_key, meldb, run};

/// Returns the lines of an audit log.
fn lines(path: &Path) -> Vec<Value> {
    let text = fs::read_to_string(path).unwrap();
    text.lines().map(|line| serde_json::from_str(line).unwrap()).collect()
}

/// Returns some of a line's fields, as JSON.
fn told(line: &Value, names: &[&str]) -> String {
    let field = |name: &&str| line.get(name).unwrap_or(&Value::Null).to_string();
    names.iter().map(field).collect::<Vec<_>>().join(" ")
}

#[test]
fn a_log_that_cannot_be_written_keeps_the_server_from_starting() {
    let dir = tempfile::tempdir().unwrap();
    let mut args = vec!["serve", "--listen", "127.0.0.1:0", "--audit-log", "/dev/full", "--dir"];
    args.push(dir.path().to_str().unwrap());
    let refused = run(args).expect(1);
    assert_eq!(refused.stdout, "");
    assert!(refused.stderr.contains("--audit-required=false"), "{}", refused.stderr);

    let key = make_key(dir.path(), "acme", "tester", "provisioning:*");
    let more = ["--audit-log", "/dev/full", "--audit-required=false"];
    let server = Running::serve(dir.path(), &more);
    run(["put", "acme/users/ada", "{}", "--url", &server.url, "--key", &key]).expect(0);
    server.stop();
}

/// The log is a pipe: it can be written as long as somebody has its other end.
#[test]
fn writes_are_refused_while_the_log_cannot_be_written() {
    let dir = tempfile::tempdir().unwrap();
    let pipe = dir.path().join("audit");
    mknodat(CWD, &pipe, FileType::Fifo, Mode::RUSR | Mode::WUSR, 0).unwrap();
    let store = dir.path().join("store");
    let key = make_key(&store, "acme", "tester", "provisioning:*");
    let opened = {
        let pipe = pipe.clone();
        std::thread::spawn(move || BufReader::new(fs::File::open(pipe).unwrap()))
    };
    let server = Running::serve(&store, &["--audit-log", pipe.to_str().unwrap()]);
    let mut reader = opened.join().unwrap();
    let mut next = || {
        let mut line = String::new();
        reader.read_line(&mut line).unwrap();
        serde_json::from_str::<Value>(&line).unwrap()
    };
    let remote = ["--url", &server.url, "--key", &key];
    let put = |id: &str| run(["put", id, "{}"].iter().chain(&remote));
    put("acme/users/first").expect(0);
    assert_eq!(next()["action"], "START");
    assert_eq!(next()["document"], "users/first");

    drop(reader);
    // It has been made when its line fails: to say otherwise would be wrong.
    put("acme/users/second").expect(0);
    let refused = put("acme/users/third").expect(6);
    assert!(refused.stderr.contains("audit log"), "{}", refused.stderr);
    run(["get", "acme/users/second"].iter().chain(&remote)).expect(0);
    run(["get", "acme/users/third"].iter().chain(&remote)).expect(3);

    let mut options = fs::OpenOptions::new();
    let flags = i32::try_from(rustix::fs::OFlags::NONBLOCK.bits()).unwrap();
    std::os::unix::fs::OpenOptionsExt::custom_flags(&mut options, flags);
    let mut reader = BufReader::new(options.read(true).open(&pipe).unwrap());
    put("acme/users/fourth").expect(0);
    let mut told = Vec::new();
    for _ in 0..3 {
        let mut line = String::new();
        reader.read_line(&mut line).unwrap();
        let line: Value = serde_json::from_str(&line).unwrap();
        told.push(format!("{} {}", line["document"], line["outcome"]));
    }
    let expected = [
        r#""users/second" "created""#,
        r#""users/third" "refused""#,
        r#""users/fourth" "created""#,
    ];
    assert_eq!(told, expected);
}

#[test]
fn reads_are_audited_by_setting() {
    let dir = tempfile::tempdir().unwrap();
    let (store, audit) = (dir.path().join("store"), dir.path().join("audit"));
    let key = make_key(&store, "acme", "tester", "provisioning:*");
    for more in [&[][..], &["--audit-reads"]] {
        let log = ["--audit-log", audit.to_str().unwrap()];
        let server = Running::serve(&store, &[&log, more].concat());
        let remote = ["--url", &server.url, "--key", &key];
        run(["get", "acme/users/ada"].iter().chain(&remote)).expect(3);
        run(["list", "acme/users"].iter().chain(&remote)).expect(0);
        server.stop();
    }
    let told: Vec<_> = lines(&audit)
        .iter()
        .map(|line| told(line, &["action", "document", "outcome", "status"]))
        .collect();
    let (start, stop) = (r#""START" null "done" null"#, r#""STOP" null "done" null"#);
    let read = r#""GET" "users/ada" "failed" 404"#;
    assert_eq!(told, [start, stop, start, read, r#""GET" "users" "read" 200"#, stop]);
}

#[test]
fn repeated_refusals_are_counted_in_one_line() {
    let dir = tempfile::tempdir().unwrap();
    let (store, audit, log) =
        (dir.path().join("store"), dir.path().join("audit"), dir.path().join("log"));
    let mut command = meldb(["serve", "--listen", "127.0.0.1:0", "--audit-log"]);
    command.env("MELDB_UNAUTHENTICATED_BURST", "1000");
    command.arg(&audit).arg("--dir").arg(&store);
    command.stderr(Stdio::from(fs::File::create(&log).unwrap()));
    let mut server = Running::start(command);
    let url = server.line().strip_prefix("listening on http://").unwrap().to_owned();
    let mut stream = TcpStream::connect(&url).unwrap();
    let path = "/api/v1/provisioning/tenants/acme/users/ada";
    // In one piece: small ones wait for each other's acknowledgement.
    let request = format!("GET {path} HTTP/1.1\r\nHost: localhost\r\n\r\n");
    let began = Instant::now();
    for _ in 0..200 {
        stream.write_all(request.as_bytes()).unwrap();
        let mut answer = [0; 4096];
        let length = stream.read(&mut answer).unwrap();
        assert!(answer[..length].starts_with(b"HTTP/1.1 401"));
    }
    // The first one is a line, and so is the count of the next ten seconds.
    let lines_max = 2 * (began.elapsed().as_secs() / 10 + 1) + 1;
    drop(stream);
    server.stop();
    let lines = lines(&audit);
    let refused: Vec<_> = lines.iter().filter(|line| line["outcome"] == "refused").collect();
    assert!(refused.len() as u64 <= lines_max, "{refused:#?}");
    let counted: u64 = refused.iter().map(|line| line["count"].as_u64().unwrap_or(1)).sum();
    assert_eq!(counted, 200);
    let log = fs::read_to_string(log).unwrap();
    assert!(log.lines().count() < 20, "{log}");
}

#[test]
fn what_is_done_over_the_socket_is_audited_with_who_did_it() {
    let dir = tempfile::tempdir().unwrap();
    let (store, audit) = (dir.path().join("store"), dir.path().join("audit"));
    let server = Running::serve(&store, &["--audit-log", audit.to_str().unwrap()]);
    let here = ["--dir", store.to_str().unwrap()];
    let backup = dir.path().join("all.backup");
    let key = make_key(&store, "acme", "billing", "provisioning:*");
    for args in [
        &["put", "acme/users/ada", "{}", "--as", "Zoë"][..],
        &["get", "acme/users/ada"],
        &["quota", "set", "acme", "--documents", "5"],
        &["backup", backup.to_str().unwrap()],
        &["erase", "acme", "--yes", "--as", "officer"],
    ] {
        run(args.iter().chain(&here)).expect(0);
    }
    run(["merge", "acme/users/ada", "{}"].iter().chain(&here)).expect(3);
    server.stop();
    let lines = lines(&audit);
    let fields = ["action", "actor", "tenant", "document", "outcome", "revision"];
    let mut told: Vec<_> = lines.iter().map(|line| told(line, &fields)).collect();
    // The id of a key is a random one.
    assert!(told[1].starts_with(r#""POST" null null "keys/"#), "{}", told[1]);
    told.remove(1);
    let expected = [
        r#""START" null null null "done" null"#,
        r#""POST" "Zoë" "acme" "users/ada" "created" 1"#,
        r#""PUT" "tester" "acme" "quota" "done" null"#,
        r#""GET" null null "backup" "read" null"#,
        r#""DELETE" "officer" "acme" "tenant" "done" 2"#,
        r#""PUT" "tester" "acme" "users/ada" "failed" null"#,
        r#""STOP" null null null "done" null"#,
    ];
    assert_eq!(told, expected);
    let own = format!("uid={},pid=", rustix::process::geteuid().as_raw());
    for line in &lines[1..lines.len() - 1] {
        let peer = line["peer"].as_str().unwrap_or_default();
        assert!(peer.starts_with(&own), "{line}");
    }
    let audit = fs::read_to_string(audit).unwrap();
    assert!(!audit.contains(&key[6..]), "a key is in the log");
}
