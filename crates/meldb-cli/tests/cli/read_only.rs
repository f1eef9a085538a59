//! Stores that can be read and not written to, and paths at which there is none.

use std::{fs, path::Path, process::Command};

use crate::cli::support::run;

/// Makes a directory one that cannot be written to, until it is dropped: root may write where it has no right to, and so
/// needs a file system that is mounted for reading.
struct ReadOnly<'a>(&'a Path, bool);

impl<'a> ReadOnly<'a> {
    fn new(dir: &'a Path) -> Self {
        let path = dir.to_str().unwrap();
        let is_root = rustix::process::getuid().is_root();
        let commands: &[&[&str]] = match is_root {
            true => &[&["mount", "--bind", path, path], &["mount", "-o", "remount,ro,bind", path]],
            false => &[&["chmod", "-R", "a-w", path]],
        };
        for command in commands {
            assert!(Command::new(command[0]).args(&command[1..]).status().unwrap().success());
        }
        assert!(fs::write(dir.join("probe"), "").is_err());
        Self(dir, is_root)
    }
}

impl Drop for ReadOnly<'_> {
    fn drop(&mut self) {
        let (program, args): (_, &[&str]) = match self.1 {
            true => ("umount", &[]),
            false => ("chmod", &["-R", "u+w"]),
        };
        Command::new(program).args(args).arg(self.0).status().unwrap();
    }
}

#[test]
fn a_store_that_cannot_be_written_to_is_read_by_every_command_that_reads() {
    let home = tempfile::tempdir().unwrap();
    let dir = home.path().join("store");
    let at = dir.to_str().unwrap();
    for id in ["ada", "bob"] {
        run(["put", "--dir", at, &format!("acme/users/{id}"), r#"{"role":"owner"}"#]).expect(0);
    }
    let out = |name: &str| home.path().join(name).to_str().unwrap().to_owned();
    let read_only = ReadOnly::new(&dir);
    let read = |args: &[&str]| run([args, &["--dir", at]].concat()).expect(0).stdout;
    assert!(read(&["get", "acme/users/ada"]).contains(r#""role":"owner""#));
    assert_eq!(read(&["list", "acme/users"]).lines().count(), 2);
    assert_eq!(read(&["changes", "acme"]).lines().count(), 2);
    assert_eq!(read(&["export", "acme"]).lines().count(), 2);
    assert!(read(&["verify"]).starts_with("sound: 2 documents"));
    assert!(read(&["stats"]).contains("acme"));
    read(&["keys", "list"]);
    read(&["quota", "show"]);
    read(&["backup", &out("backup")]);
    let copy = out("copy");
    run(["copy", at, &copy]).expect(0);
    for args in [
        &["put", "acme/users/eve", "{}"][..],
        &["merge", "acme/users/ada", "{}"],
        &["delete", "acme/users/ada"],
        &["quota", "set", "acme", "--documents", "1"],
    ] {
        let refused = run([args, &["--dir", at]].concat());
        assert_ne!(refused.code, 0, "{refused:?}");
        assert!(refused.stderr.contains("cannot lock"), "{refused:?}");
        // With the cause, and that once.
        let causes = refused.stderr.matches("(os error").count();
        assert_eq!(causes, 1, "{refused:?}");
    }
    drop(read_only);
    assert!(run(["restore", "--dir", &out("restored"), &out("backup")]).expect(0).code == 0);
    let copied = run(["get", "--dir", &copy, "acme/users/bob"]).expect(0).stdout;
    assert!(copied.contains(r#""role":"owner""#), "{copied}");
    run(["put", "--dir", at, "acme/users/eve", "{}"]).expect(0);
}

#[test]
fn a_mistyped_path_is_no_new_store() {
    let home = tempfile::tempdir().unwrap();
    let dir = home.path().join("mistyped");
    let at = dir.to_str().unwrap();
    for args in [
        &["get", "acme/users/ada"][..],
        &["list", "acme/users"],
        &["changes", "acme"],
        &["stats"],
        &["verify"],
        &["export", "acme"],
        &["backup", "-"],
        &["keys", "list"],
        &["quota", "show"],
        &["merge", "acme/users/ada", "{}"],
        &["delete", "acme/users/ada"],
        &["serve", "--create=false", "--listen", "127.0.0.1:0"],
    ] {
        let refused = run([args, &["--dir", at]].concat()).expect(2);
        assert!(refused.stderr.contains("there is no store in"), "{args:?}: {refused:?}");
        assert!(!dir.exists(), "{args:?}");
    }
}
