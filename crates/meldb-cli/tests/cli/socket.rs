//! The socket in a served directory: local commands work as if there were no server.

use std::{
    io::{Read, Write},
    net::TcpStream,
    os::unix::{
        fs::{FileTypeExt, PermissionsExt},
        net::UnixStream,
    },
};

use crate::cli::support::{Running, make_key, run};

#[test]
fn the_socket_is_its_owners_alone_and_goes_with_the_server() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("meldb.sock");
    let server = Running::serve(dir.path(), &[]);
    let metadata = std::fs::metadata(&path).unwrap();
    assert!(metadata.file_type().is_socket());
    assert_eq!(metadata.permissions().mode() & 0o777, 0o600);
    server.stop();
    assert!(!path.exists());
    assert!(!path.with_extension("new").exists());
}

#[test]
fn a_socket_left_by_a_killed_server_is_in_nobodys_way() {
    let dir = tempfile::tempdir().unwrap();
    let dir_name = dir.path().to_str().unwrap();
    drop(Running::serve(dir.path(), &[]));
    assert!(dir.path().join("meldb.sock").exists(), "killed, it could not tidy up");
    run(["put", "--dir", dir_name, "acme/users/ada", "{}"]).expect(0);
    let server = Running::serve(dir.path(), &[]);
    run(["merge", "--dir", dir_name, "acme/users/ada", r#"{"n":1}"#]).expect(0);
    server.stop();
    run(["get", "--dir", dir_name, "acme/users/ada"]).expect(0);
}

#[test]
fn local_commands_reach_every_tenant_and_name_who_writes() {
    let dir = tempfile::tempdir().unwrap();
    let dir_name = dir.path().to_str().unwrap();
    let _server = Running::serve(dir.path(), &[]);
    for tenant in ["one", "two"] {
        let id = format!("{tenant}/users/ada");
        let text = r#"{"n":1}"#;
        let written = run(["put", "--dir", dir_name, &id, text, "--as", "Zoë"]).expect(0).json();
        assert_eq!(written["updatedBy"], "Zoë");
        let merge = ["merge", "--dir", dir_name, &id, text, "--skip-unchanged", "--json"];
        let unchanged = run(merge).expect(0).json();
        assert_eq!(
            (&unchanged["effect"], &unchanged["revision"]),
            (&"unchanged".into(), &1.into())
        );
    }
    let deep = r#"{"a":{"b":{"c":1}}}"#;
    run(["put", "--dir", dir_name, "one/users/deep", deep]).expect(0);
    let sub = run(["get", "--dir", dir_name, "one/users/deep/a/b"]).expect(0);
    assert_eq!(sub.stdout, "{\"c\":1}\n");
}

#[test]
fn two_people_edit_different_members_of_one_document() {
    let dir = tempfile::tempdir().unwrap();
    let dir_name = dir.path().to_str().unwrap();
    let key = make_key(dir.path(), "acme", "tester", "provisioning:*");
    let server = Running::serve(dir.path(), &[]);
    let (on_socket, on_server) = (["--dir", dir_name], ["--url", &server.url, "--key", &key]);
    for (id, place) in [("acme/edits/a", &on_socket[..]), ("acme/edits/b", &on_server[..])] {
        let json = ["--json"];
        let written = run(["put", id, r#"{"a":1,"b":1}"#].iter().chain(place).chain(&json));
        let since = written.expect(0).json()["revision"].to_string();
        let merge = |patch: &str| {
            let args = ["merge", id, patch, "--if-unchanged-since", &since];
            run(args.iter().chain(place))
        };
        merge(r#"{"a":2}"#).expect(0);
        merge(r#"{"b":2}"#).expect(0);
        let refused = merge(r#"{"a":3}"#).expect(4);
        assert!(refused.stderr.contains("/a"), "{}", refused.stderr);
    }
}

/// Sends a request over any stream, and returns the answer.
fn ask(mut stream: impl Read + Write, request: &str) -> String {
    write!(stream, "{request} HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n").unwrap();
    let mut answer = String::new();
    stream.read_to_string(&mut answer).unwrap();
    answer
}

/// The socket speaks the HTTP API, to operators without a key; the network asks for one.
#[test]
fn the_socket_is_the_same_interface_without_a_key() {
    let dir = tempfile::tempdir().unwrap();
    let server = Running::serve(dir.path(), &[]);
    let address = server.url.strip_prefix("http://").unwrap();
    for (request, over_socket) in [
        ("GET /api/v1/admin/tenants", "HTTP/1.1 200 "),
        ("GET /api/v1/provisioning/tenants/acme/users", "HTTP/1.1 200 "),
        ("GET /api/v1/provisioning/tenants/acme/users/ada", "HTTP/1.1 404 "),
        ("DELETE /api/v1/provisioning/tenants/acme/users/ada", "HTTP/1.1 400 "),
    ] {
        let socket = UnixStream::connect(dir.path().join("meldb.sock")).unwrap();
        let answer = ask(socket, request);
        assert!(answer.starts_with(over_socket), "{request}: {answer}");
        let answer = ask(TcpStream::connect(address).unwrap(), request);
        assert!(answer.starts_with("HTTP/1.1 401 "), "{request}: {answer}");
    }
}

#[test]
fn a_long_list_comes_whole_through_the_socket() {
    let dir = tempfile::tempdir().unwrap();
    let dir_name = dir.path().to_str().unwrap();
    let store = meldb::Store::open(dir.path()).unwrap();
    let items = store.tenant("acme").unwrap().collection("items").unwrap();
    for number in 0..300 {
        let item = serde_json::json!({"n": number, "text": "line\nbreak \u{2028} é"});
        items.put(format!("i{number:04}").as_str(), item).commit("test").unwrap();
    }
    drop((items, store));
    let direct = run(["list", "--dir", dir_name, "acme/items"]).expect(0).stdout;
    let _server = Running::serve(dir.path(), &[]);
    let through = run(["list", "--dir", dir_name, "acme/items"]).expect(0).stdout;
    assert_eq!(direct.lines().count(), 300);
    assert_eq!(direct, through);
    let some = run(["list", "--dir", dir_name, "acme/items", "--limit", "130"]).expect(0).stdout;
    assert_eq!(some.lines().count(), 130);
}
