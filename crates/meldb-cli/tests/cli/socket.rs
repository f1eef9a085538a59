//! The socket in a served directory: local commands work as if there were no server.

use std::{
    io::{Read, Write},
    net::TcpStream,
    os::unix::fs::{FileTypeExt, PermissionsExt},
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

#[test]
fn the_admin_routes_are_not_on_the_network() {
    let dir = tempfile::tempdir().unwrap();
    let server = Running::serve(dir.path(), &[]);
    for route in ["get", "write", "batch", "list", "keys"] {
        let address = server.url.strip_prefix("http://").unwrap();
        let mut connection = TcpStream::connect(address).unwrap();
        write!(
            connection,
            "POST /admin/v1/{route} HTTP/1.1\r\nHost: {address}\r\nConnection: close\r\n\
             Content-Length: 6\r\n\r\n\"List\""
        )
        .unwrap();
        let mut answer = String::new();
        connection.read_to_string(&mut answer).unwrap();
        assert!(answer.starts_with("HTTP/1.1 404 "), "{answer}");
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
