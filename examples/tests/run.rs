//! Every example is run, and prints what it should.
#![allow(clippy::unwrap_used, reason = "a test that fails may panic")]

use std::{
    fs,
    io::{BufRead, BufReader, Read, Write},
    net::TcpStream,
    path::Path,
    process::{Command, Stdio},
};

/// Runs an example in an empty directory, with the directory as its argument, and returns what it prints.
fn run(program: &str) -> String {
    let dir = tempfile::tempdir().unwrap();
    let output = Command::new(program).arg(dir.path()).current_dir(dir.path()).output().unwrap();
    assert!(output.status.success(), "{output:?}");
    String::from_utf8(output.stdout).unwrap()
}

#[test]
fn quickstart() {
    let printed = run(env!("CARGO_BIN_EXE_quickstart"));
    assert!(printed.starts_with("ada is at revision 3\n"), "{printed}");
    assert_eq!(printed.matches(r#""updatedBy":"#).count(), 2, "{printed}");
}

#[test]
fn compare_and_set() {
    assert_eq!(run(env!("CARGO_BIN_EXE_compare_and_set")), "8 threads took 100 of 100 seats\n");
}

#[test]
fn feed_consumer() {
    let printed = run(env!("CARGO_BIN_EXE_feed_consumer"));
    assert_eq!(printed, "2 changes, 2 documents\n2 changes, 1 documents\n0 changes\n");
}

#[test]
fn quotas() {
    let printed = run(env!("CARGO_BIN_EXE_quotas"));
    let expected = "trying: full, 4 would be more than 3\n\
                    trying: wrote 3, holds 3 documents\n\
                    paying: wrote 10, holds 10 documents\n";
    assert_eq!(printed, expected);
}

#[test]
fn queries() {
    let printed = run(env!("CARGO_BIN_EXE_queries"));
    assert_eq!(printed, "bob has 12 seats\nada has 3 seats\n2 documents were merged\n");
}

#[test]
fn support() {
    let printed = run(env!("CARGO_BIN_EXE_support"));
    let expected = "3 billing /seats\n2 import-17 /role\n1 signup \nrole \"owner\" seats 5\n";
    assert_eq!(printed, expected);
}

#[test]
fn from_sled() {
    let printed = run(env!("CARGO_BIN_EXE_from_sled"));
    let counts: Vec<_> = printed.lines().filter(|line| line.starts_with('(')).collect();
    assert_eq!(counts, ["(2, 0, 1)", "(0, 2, 1)"]);
    assert!(printed.contains("acme/users/eve: "), "{printed}");
}

/// Sends a request and returns the whole answer. `head` is the request line without the version, and headers.
fn answer(address: &str, head: [&str; 2]) -> String {
    let [line, header] = head;
    let mut stream = TcpStream::connect(address).unwrap();
    let rest = "Connection: close\r\nContent-Length: 0\r\n\r\n";
    write!(stream, "{line} HTTP/1.1\r\nHost: {address}\r\n{header}\r\n{rest}").unwrap();
    let mut answer = String::new();
    stream.read_to_string(&mut answer).unwrap();
    answer
}

#[test]
fn mounted() {
    let mut server = Command::new(env!("CARGO_BIN_EXE_mounted"))
        .arg("127.0.0.1:0")
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    let mut line = String::new();
    BufReader::new(server.stdout.take().unwrap()).read_line(&mut line).unwrap();
    let address = line.trim().strip_prefix("listening on http://").unwrap();
    let token = "X-Token: secret";
    let document = "GET /api/v1/provisioning/tenants/acme/users/ada";
    let created = answer(address, ["POST /signup/ada", token]);
    let again = answer(address, ["POST /signup/ada", token]);
    let read = answer(address, [document, token]);
    let refused = answer(address, [document, "X-Token: guessed"]);
    server.kill().unwrap();
    server.wait().unwrap();
    assert!(created.starts_with("HTTP/1.1 201"), "{created}");
    assert!(again.starts_with("HTTP/1.1 409"), "{again}");
    assert!(read.starts_with("HTTP/1.1 200") && read.contains(r#""updatedBy":"signup""#), "{read}");
    assert!(refused.starts_with("HTTP/1.1 401"), "{refused}");
}

#[test]
fn every_program_is_run_and_listed() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let (own, list) = (include_str!("run.rs"), include_str!("../README.md"));
    for entry in fs::read_dir(root.join("src/bin")).unwrap() {
        let name = entry.unwrap().file_name().into_string().unwrap().replace(".rs", "");
        assert!(own.contains(&format!("fn {name}()")), "{name} is run by no test");
        assert!(list.contains(&format!("src/bin/{name}.rs")), "{name} is not in the README");
    }
}
