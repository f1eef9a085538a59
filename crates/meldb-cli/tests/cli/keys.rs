//! `meldb keys`, on a directory and on one that is being served.

use crate::cli::support::{Running, make_key, run};

fn get(url: &str, key: &str, document: &str) -> i32 {
    run(["get", "--url", url, "--key", key, document]).code
}

#[test]
fn keys_made_and_revoked_work_at_once_on_a_running_server() {
    let dir = tempfile::tempdir().unwrap();
    let dir_name = dir.path().to_str().unwrap();
    let server = Running::serve(dir.path(), &[]);
    run(["put", "--dir", dir_name, "acme/users/ada", "{}"]).expect(0);

    let key = make_key(dir.path(), "acme", "reader", "provisioning:users.read");

    assert_eq!(get(&server.url, &key, "acme/users/ada"), 0);
    assert_eq!(get(&server.url, &key, "acme/jobs/one"), 5, "another collection");
    assert_eq!(get(&server.url, &key, "other/users/ada"), 5, "another tenant");
    let write = run(["merge", "--url", &server.url, "--key", &key, "acme/users/ada", "{}"]);
    write.expect(5);

    let keys = run(["keys", "list", "--dir", dir_name, "--json"]).expect(0).json();
    let id = keys["id"].as_str().unwrap();
    run(["keys", "revoke", "--dir", dir_name, id]).expect(0);
    assert_eq!(get(&server.url, &key, "acme/users/ada"), 5, "revoked");
    let table = run(["keys", "list", "--dir", dir_name]).expect(0).stdout;
    assert!(table.contains("revoked") && table.contains(id) && !table.contains(&key), "{table}");
    server.stop();

    let after = run(["keys", "list", "--dir", dir_name]).expect(0).stdout;
    assert!(after.contains("revoked"), "{after}");
}

#[test]
fn a_rotated_key_has_a_successor_and_ends_after_its_grace() {
    let dir = tempfile::tempdir().unwrap();
    let dir_name = dir.path().to_str().unwrap();
    let old = make_key(dir.path(), "acme", "ci", "provisioning:*");
    run(["put", "--dir", dir_name, "acme/users/ada", "{}"]).expect(0);
    let server = Running::serve(dir.path(), &[]);
    let keys = run(["keys", "list", "--dir", dir_name, "--json", "--tenant", "acme"]).json();
    let id = keys["id"].as_str().unwrap().to_owned();

    let new = run(["keys", "rotate", "--dir", dir_name, &id, "--grace", "0s", "--json"]).expect(0);

    let secret = new.json()["secret"].as_str().unwrap().to_owned();
    assert_eq!(get(&server.url, &secret, "acme/users/ada"), 0);
    assert_eq!(get(&server.url, &old, "acme/users/ada"), 5);
    run(["keys", "rotate", "--dir", dir_name, &id]).expect(1);
    let others = run(["keys", "list", "--dir", dir_name, "--json", "--tenant", "zeta"]).expect(0);
    assert_eq!(others.stdout, "");
    let all = run(["keys", "list", "--dir", dir_name, "--json"]).expect(0).stdout;
    let made: Vec<serde_json::Value> =
        all.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    assert_eq!((made.len(), made[0]["id"].as_str()), (2, Some(id.as_str())), "the oldest first");
}

#[test]
fn what_no_key_can_have_is_refused_with_what_to_write() {
    let dir = tempfile::tempdir().unwrap();
    let dir_name = dir.path().to_str().unwrap();
    let create = |tenant: &str, scope: &str, expires: &str| {
        let named = ["keys", "create", "--dir", dir_name, "--name", "x", "--tenant", tenant];
        run(named.into_iter().chain(["--scope", scope, "--expires", expires]))
    };
    let scope = create("acme", "provisioning:us*", "1d").expect(2);
    assert!(scope.stderr.contains("PREFIX:RESOURCE.read"), "{}", scope.stderr);
    for (misspelt, nearest) in [
        ("provisoning:*", "is provisioning:* meant?"),
        ("users:read", "is provisioning:users.read meant?"),
        ("changes:write", "is changes:read meant?"),
        ("admin:read", "meldb keys create --operator"),
    ] {
        let scope = create("acme", misspelt, "1d").expect(2);
        assert!(scope.stderr.contains(nearest), "{}", scope.stderr);
    }
    let named = ["keys", "create", "--dir", dir_name, "--name", "x"];
    run(named).expect(2);
    run(named.into_iter().chain(["--tenant", "acme"])).expect(2);
    run(named.into_iter().chain(["--operator", "--tenant", "acme"])).expect(2);
    run(named.into_iter().chain(["--operator", "--scope", "provisioning:*"])).expect(2);
    let tenant = create("$system", "provisioning:*", "1d").expect(2);
    assert!(tenant.stderr.contains("not a tenant id"), "{}", tenant.stderr);
    let expires = create("acme", "provisioning:*", "soon").expect(2);
    assert!(expires.stderr.contains("1h or 90d"), "{}", expires.stderr);
    let missing = run(["keys", "revoke", "--dir", dir_name, "0123456789abcdef"]).expect(2);
    assert!(missing.stderr.contains("there is no store"), "{}", missing.stderr);
    make_key(dir.path(), "acme", "x", "provisioning:*");
    let unknown = run(["keys", "revoke", "--dir", dir_name, "0123456789abcdef"]).expect(3);
    assert!(unknown.stderr.contains("keys list"), "{}", unknown.stderr);
    run(["keys", "revoke", "--dir", dir_name, "nonsense"]).expect(3);
}

#[test]
fn an_operators_key_is_listed_as_one_and_opens_no_tenant() {
    let dir = tempfile::tempdir().unwrap();
    let dir_name = dir.path().to_str().unwrap();
    run(["put", "--dir", dir_name, "acme/users/ada", "{}"]).expect(0);
    let create = ["keys", "create", "--dir", dir_name, "--name", "ops", "--operator", "--json"];
    let key = run(create).expect(0).json();
    assert_eq!((&key["operator"], key.get("tenant")), (&serde_json::json!(true), None));
    let list = run(["keys", "list", "--dir", dir_name]).expect(0);
    assert!(list.stdout.contains("(operator)"), "{}", list.stdout);
    let server = Running::serve(dir.path(), &[]);
    assert_eq!(get(&server.url, key["secret"].as_str().unwrap(), "acme/users/ada"), 5);
    // It is made through a server's socket as well.
    run(create).expect(0);
}

#[test]
fn a_secret_is_shown_once_and_kept_nowhere() {
    let dir = tempfile::tempdir().unwrap();
    let key = make_key(dir.path(), "acme", "ci", "provisioning:*");
    assert!(key.starts_with("meldb_"));
    let random = &key.as_bytes()[6..];
    for entry in std::fs::read_dir(dir.path().join("data")).unwrap() {
        let path = entry.unwrap().path();
        if path.is_file() {
            let bytes = std::fs::read(&path).unwrap();
            let found = bytes.windows(random.len()).any(|window| window == random);
            assert!(!found, "the secret is in {}", path.display());
        }
    }
}

#[test]
fn a_key_is_told_who_it_is_and_what_it_may_do() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().to_str().unwrap();
    let key = make_key(dir.path(), "acme", "reader", "provisioning:users.read");
    let server = Running::serve(dir.path(), &[]);
    let whoami = |key: &str| run(["whoami", "--url", &server.url, "--key", key]);
    let told = whoami(&key).expect(0);
    for part in ["name     reader", "tenant   acme", "scopes   provisioning:users.read"] {
        assert!(told.stdout.contains(part), "{}", told.stdout);
    }
    whoami("meldb_guessed").expect(5);
    let create = ["keys", "create", "--operator", "--name", "ops", "--json", "--dir", path];
    let operator = run(create).expect(0).json();
    let told = whoami(operator["secret"].as_str().unwrap()).expect(0).stdout;
    assert!(told.contains("operator of the whole store"), "{told}");
    let local = run(["whoami", "--dir", path, "--json"]).expect(0).json();
    assert_eq!(local, serde_json::json!({"name": null, "operator": true}));
    server.stop();
    run(["whoami", "--dir", path]).expect(6);
}
