//! What other users of the machine and other machines get to see: files, ports, the command line.

use std::{
    fs::{self, Permissions},
    os::unix::fs::{MetadataExt, PermissionsExt, symlink},
    path::Path,
    process::{Command, Stdio},
};

use crate::cli::support::{Running, make_key, meldb, run, run_with_input};

/// Returns the program as a shell with the usual umask of 022 runs it.
fn with_usual_umask(args: &[&str]) -> Command {
    let program = meldb([""; 0]);
    let mut command = Command::new("sh");
    command.args(["-c", r#"umask 022; exec "$@""#, "sh"]).arg(program.get_program()).args(args);
    for (name, _) in program.get_envs().filter(|(_, value)| value.is_none()) {
        command.env_remove(name);
    }
    command.env("USER", "tester").stdin(Stdio::null());
    command
}

/// Returns what of a directory others may open: paths and modes.
fn open_to_others(dir: &Path) -> Vec<String> {
    let mut found = Vec::new();
    for entry in fs::read_dir(dir).unwrap() {
        let path = entry.unwrap().path();
        let metadata = fs::symlink_metadata(&path).unwrap();
        if metadata.mode() & 0o077 != 0 {
            found.push(format!("{} {:o}", path.display(), metadata.mode()));
        }
        if metadata.is_dir() {
            found.extend(open_to_others(&path));
        }
    }
    found
}

#[test]
fn nobody_else_may_open_what_is_made() {
    let place = tempfile::tempdir().unwrap();
    let path = |name: &str| place.path().join(name).to_str().unwrap().to_owned();
    let (store, audit) = (path("store"), path("audit"));
    let serve = ["serve", "--dir", &store, "--listen", "127.0.0.1:0", "--audit-log", &audit];
    let mut server = Running::start(with_usual_umask(&serve));
    assert!(server.line().starts_with("listening on "));
    let here = ["--dir", &store];
    let (backup, export) = (path("backup"), path("export"));
    for args in [
        &["put", "acme/users/ada", "{}"][..],
        &["backup", &backup],
        &["export", "acme", "--out", &export],
    ] {
        let status = with_usual_umask(&[args, &here].concat()).status().unwrap();
        assert!(status.success(), "{args:?}");
    }
    assert_eq!(server.stop(), "");
    assert_eq!(open_to_others(place.path()), [""; 0]);
}

#[test]
fn a_directory_that_others_may_enter_is_warned_of_with_what_to_do() {
    let dir = tempfile::tempdir().unwrap();
    let log = tempfile::NamedTempFile::new().unwrap();
    for (mode, warned) in [(0o755, true), (0o750, true), (0o700, false)] {
        fs::set_permissions(dir.path(), Permissions::from_mode(mode)).unwrap();
        let mut command = meldb(["serve", "--listen", "127.0.0.1:0", "--dir"]);
        command.arg(dir.path()).stderr(fs::File::create(log.path()).unwrap());
        let mut server = Running::start(command);
        assert!(server.line().starts_with("listening on "));
        server.stop();
        let log = fs::read_to_string(log.path()).unwrap();
        let advice = format!("chmod go-rwx {}", dir.path().display());
        assert_eq!(log.contains(&advice), warned, "{mode:o}: {log}");
    }
}

#[test]
fn a_link_that_was_planted_leads_nowhere() {
    let place = tempfile::tempdir().unwrap();
    let (store, victim) = (place.path().join("store"), place.path().join("victim"));
    let dir = ["--dir", store.to_str().unwrap()];
    run(["put", "acme/users/ada", "{}"].iter().chain(&dir)).expect(0);
    fs::write(&victim, "kept").unwrap();
    let file = place.path().join("all.backup");
    symlink(&victim, place.path().join("all.backup.part")).unwrap();
    run(["backup", file.to_str().unwrap()].iter().chain(&dir)).expect(0);
    assert!(fs::symlink_metadata(&file).unwrap().is_file());
    let linked = place.path().join("linked");
    symlink(&victim, &linked).unwrap();
    run(["backup", linked.to_str().unwrap()].iter().chain(&dir)).expect(2);
    let export = ["export", "acme", "--resume", "--out", linked.to_str().unwrap()];
    run(export.iter().chain(&dir)).expect(1);
    // Where a store is made: whoever may write there must not choose what is overwritten.
    let fresh = place.path().join("fresh");
    fs::create_dir(&fresh).unwrap();
    symlink(&victim, fresh.join("MELDB.new")).unwrap();
    let fresh = ["--dir", fresh.to_str().unwrap()];
    run(["put", "acme/users/ada", "{}"].iter().chain(&fresh)).expect(0);
    assert_eq!(fs::read_to_string(&victim).unwrap(), "kept");
}

#[test]
fn a_port_that_the_network_reaches_is_announced_as_it_is_and_warned_of() {
    let dir = tempfile::tempdir().unwrap();
    let log = dir.path().join("log");
    for (listen, announced, warned) in [
        ("0.0.0.0:0", "listening on http://0.0.0.0:", true),
        ("127.0.0.1:0", "listening on http://127.0.0.1:", false),
    ] {
        let mut command = meldb(["serve", "--listen", listen, "--dir"]);
        command.arg(dir.path().join("store")).stderr(fs::File::create(&log).unwrap());
        let mut server = Running::start(command);
        let line = server.line();
        assert!(line.starts_with(announced), "{line}");
        server.stop();
        let log = fs::read_to_string(&log).unwrap();
        assert_eq!(log.contains("in the clear"), warned, "{log}");
    }
}

#[test]
fn a_server_says_that_it_listens_when_it_has_all_it_needs() {
    let dir = tempfile::tempdir().unwrap();
    let store = dir.path().join("store");
    let mut args = vec!["serve", "--listen", "127.0.0.1:0", "--dir", store.to_str().unwrap()];
    args.extend(["--tls-certificates", "/nowhere/cert.pem", "--tls-private-key", "/nowhere/key"]);
    let refused = run(args).expect(2);
    assert_eq!(refused.stdout, "");
    assert!(refused.stderr.contains("/nowhere/cert.pem"), "{}", refused.stderr);
    assert!(!store.exists(), "a store was made that is not served");
}

#[test]
fn a_password_is_never_printed() {
    for store in ["postgres://ada:secret@db/x", "postgres://ada@db/x?password=secret"] {
        let printed = run(["serve", "--print-config", "--store", store]).expect(0);
        assert!(!format!("{printed:?}").contains("secret"), "{printed:?}");
        assert!(printed.stdout.contains("MELDB_STORE"), "{}", printed.stdout);
    }
    let store = "postgres://ada@db/x";
    let printed = run(["serve", "--print-config", "--store", store]).expect(0);
    assert!(printed.stdout.contains(store), "{}", printed.stdout);
    let dir = tempfile::tempdir().unwrap();
    let file = dir.path().join("url");
    fs::write(&file, "postgres://ada:secret@127.0.0.1:1/x?sslmode=disable\n").unwrap();
    let file = format!("@{}", file.display());
    let refused = run(["get", "acme/users/ada", "--store", &file]).expect(6);
    assert!(!refused.stderr.contains("secret"), "{}", refused.stderr);
    assert!(!refused.stderr.contains("`ps`"), "{}", refused.stderr);
    let url = "postgres://ada:secret@127.0.0.1:1/x?sslmode=disable";
    let warned = run(["get", "acme/users/ada", "--store", url]).expect(6);
    assert!(warned.stderr.contains("`ps`"), "{}", warned.stderr);
}

#[test]
fn a_key_need_not_be_on_the_command_line() {
    let dir = tempfile::tempdir().unwrap();
    let key = make_key(dir.path(), "acme", "tester", "provisioning:*");
    let server = Running::serve(dir.path(), &[]);
    let put = ["put", "acme/users/ada", "{}", "--url", &server.url, "--key"];
    let inline = run(put.iter().chain(&[key.as_str()])).expect(0);
    assert!(inline.stderr.contains("`ps`"), "{}", inline.stderr);
    assert!(!inline.stderr.contains(&key), "{}", inline.stderr);
    let file = dir.path().join("key.txt");
    fs::write(&file, format!("{key}\n")).unwrap();
    let from_file = run(put.iter().chain(&[format!("@{}", file.display()).as_str()])).expect(0);
    assert_eq!(from_file.stderr, "");
    let put = ["put", "acme/users/ada", "-", "--url", &server.url, "--key", "-"];
    let input = format!("{key}\n{{\"n\":1}}");
    let from_input = run_with_input(put, input.as_bytes()).expect(0);
    assert_eq!((from_input.json()["n"].as_u64(), from_input.stderr.as_str()), (Some(1), ""));
}
