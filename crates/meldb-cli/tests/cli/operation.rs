//! What whoever runs a server sees of it: metrics and logs.

use std::{
    fs,
    io::{Read, Write},
    net::TcpStream,
    process::Stdio,
};

use serde_json::Value;

use crate::cli::support::{Running, make_key, meldb, run};

/// Returns the body of the answer to a GET.
fn fetch(url: &str) -> String {
    let (host, path) = url.strip_prefix("http://").unwrap().split_once('/').unwrap();
    let mut stream = TcpStream::connect(host).unwrap();
    write!(stream, "GET /{path} HTTP/1.0\r\n\r\n").unwrap();
    let mut answer = String::new();
    stream.read_to_string(&mut answer).unwrap();
    let (head, body) = answer.split_once("\r\n\r\n").unwrap();
    assert!(head.starts_with("HTTP/1.0 200"), "{head}");
    body.to_owned()
}

#[test]
fn metrics_are_served_on_a_listener_of_their_own_which_is_named() {
    let dir = tempfile::tempdir().unwrap();
    let key = make_key(dir.path(), "acme", "tester", "provisioning:*");
    let mut server = Running::serve(dir.path(), &["--metrics-listen", "127.0.0.1:0"]);
    let line = server.line();
    let metrics = line.strip_prefix("metrics at ").unwrap_or_else(|| panic!("{line:?}"));
    let remote = ["--url", &server.url, "--key", &key];
    run(["put", "acme/users/ada", "{}"].iter().chain(&remote)).expect(0);
    run(["get", "acme/users/ada"].iter().chain(&remote)).expect(0);
    let text = fetch(metrics);
    let document = "/api/v1/provisioning/tenants/{tenantId}/{collection}/{docId}";
    for line in [
        format!(
            r#"http_server_request_duration_seconds_count{{method="GET",route="{document}",status="200"}} 1"#
        ),
        "http_server_active_requests 0".to_owned(),
        "meldb_store_read_only 0".to_owned(),
        "meldb_rate_limited_total 0".to_owned(),
    ] {
        assert!(text.lines().any(|found| found == line), "{line:?} is not in\n{text}");
    }
    let commits = text.lines().find_map(|line| line.strip_prefix("meldb_commit_writes_sum "));
    let commits: f64 = commits.expect("the writes of commits").parse().unwrap();
    assert!(commits >= 1.0, "{text}");
    assert_eq!(server.stop(), "");
}

#[test]
fn the_audit_log_has_writes_and_refusals_and_no_log_has_a_key() {
    let dir = tempfile::tempdir().unwrap();
    let (store, audit, log) =
        (dir.path().join("store"), dir.path().join("audit"), dir.path().join("log"));
    let key = make_key(&store, "acme", "billing", "provisioning:users.*");
    let mut command =
        meldb(["serve", "--listen", "127.0.0.1:0", "--log", "trace", "--query-token"]);
    command.args(["--log-format", "json", "--audit-log", audit.to_str().unwrap(), "--dir"]);
    command.arg(&store).stderr(Stdio::from(fs::File::create(&log).unwrap()));
    let mut server = Running::start(command);
    let url = server.line().strip_prefix("listening on ").unwrap().to_owned();
    let remote = ["--url", &url, "--key", &key];
    run(["put", "acme/users/ada", "{}"].iter().chain(&remote)).expect(0);
    run(["get", "acme/users/ada"].iter().chain(&remote)).expect(0);
    run(["put", "acme/bots/hal", "{}"].iter().chain(&remote)).expect(5);
    let read = format!("{url}/api/v1/provisioning/tenants/acme/users/ada?bearer_token={key}");
    fetch(&read);
    assert_eq!(server.stop(), "");

    let audit = fs::read_to_string(audit).unwrap();
    let lines: Vec<Value> = audit.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    let told: Vec<_> = lines
        .iter()
        .map(|line| {
            ["actor", "action", "document", "outcome", "revision", "reason"]
                .map(|name| line.get(name).unwrap_or(&Value::Null).to_string())
                .join(" ")
        })
        .collect();
    assert_eq!(
        told,
        [
            r#"null "START" null "done" null null"#,
            r#""billing" "POST" "users/ada" "created" 1 null"#,
            r#""billing" "POST" "bots/hal" "refused" null "no_scope""#,
            r#"null "STOP" null "done" null null"#,
        ]
    );
    let log = fs::read_to_string(log).unwrap();
    assert!(log.contains("meldb::request") && !log.contains("meldb::audit"), "{log}");
    for secret in [&key[6..], "bearer_token"] {
        assert!(!log.contains(secret) && !audit.contains(secret), "{secret} is in a log");
    }
}
