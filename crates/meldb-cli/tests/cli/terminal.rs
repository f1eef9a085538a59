//! What only a person at a terminal sees, by `script`, which gives a program one.

use std::{
    io::{Read, Write},
    path::Path,
    process::{Command, Stdio},
    time::Duration,
};

use meldb_testkit::{need::Need, skip::has};

use crate::cli::support::{make_key, meldb, run};

/// Types `input` at a terminal that runs `meldb` with `args`, and returns what is seen there.
fn typed(args: &[&str], environment: &[(&str, &str)], input: &str) -> String {
    let program = meldb([""; 0]);
    let words = std::iter::once(env!("CARGO_BIN_EXE_meldb")).chain(args.iter().copied());
    let line: Vec<_> = words.map(|word| format!("'{word}'")).collect();
    let mut command = Command::new("script");
    command.args(["-qec", &line.join(" "), "/dev/null"]).envs(environment.iter().copied());
    for (name, _) in program.get_envs().filter(|(_, value)| value.is_none()) {
        command.env_remove(name);
    }
    let mut child = command.stdin(Stdio::piped()).stdout(Stdio::piped()).spawn().unwrap();
    let mut stdin = child.stdin.take().unwrap();
    let mut stdout = child.stdout.take().unwrap();
    let reader = std::thread::spawn(move || {
        let mut seen = Vec::new();
        let _ = stdout.read_to_end(&mut seen);
        String::from_utf8_lossy(&seen).replace('\r', "")
    });
    // Time to start, so that what is typed is not lost before the terminal is there.
    std::thread::sleep(Duration::from_millis(1500));
    stdin.write_all(input.as_bytes()).unwrap();
    let seen = reader.join().unwrap();
    drop(stdin);
    child.wait().unwrap();
    seen
}

/// Ctrl-C.
const INTERRUPT: &str = "\u{3}";

fn serve(dir: &Path, environment: &[(&str, &str)]) -> String {
    let dir = dir.to_str().unwrap();
    typed(&["serve", "--dir", dir, "--listen", "127.0.0.1:0"], environment, INTERRUPT)
}

#[test]
fn a_person_is_asked_for_the_name_before_a_tenant_is_erased() {
    if !has(Need::SCRIPT) {
        return;
    }
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().to_str().unwrap();
    run(["put", "acme/users/ada", "{}", "--dir", path]).expect(0);
    let erase = |name: &str| typed(&["erase", "acme", "--dir", path], &[], &format!("{name}\n"));
    let refused = erase("acne");
    assert!(
        refused.contains("type its name") && refused.contains("nothing was removed"),
        "{refused}"
    );
    run(["get", "acme/users/ada", "--dir", path]).expect(0);
    let erased = erase("acme");
    assert!(erased.contains("erased 1 documents"), "{erased}");
    run(["get", "acme/users/ada", "--dir", path]).expect(3);
}

#[test]
fn a_person_is_asked_for_the_name_before_a_collection_is_deleted() {
    if !has(Need::SCRIPT) {
        return;
    }
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().to_str().unwrap();
    run(["put", "acme/users/ada", "{}", "--dir", path]).expect(0);
    let delete = |name: &str| {
        typed(&["delete", "acme/users", "--all", "--dir", path], &[], &format!("{name}\n"))
    };
    let refused = delete("users");
    assert!(refused.contains("nothing was removed"), "{refused}");
    run(["get", "acme/users/ada", "--dir", path]).expect(0);
    let deleted = delete("acme/users");
    assert!(deleted.contains("deleted 1 documents of acme/users"), "{deleted}");
    run(["get", "acme/users/ada", "--dir", path]).expect(3);
}

#[test]
fn a_person_is_told_how_to_begin_when_a_server_starts() {
    if !has(Need::SCRIPT) {
        return;
    }
    let dir = tempfile::tempdir().unwrap();
    let store = dir.path().join("store");
    let first = serve(&store, &[("NO_COLOR", "1")]);
    for part in ["listening on http://", "(fjall)", "power cut", "/docs", "meldb keys create --dir"]
    {
        assert!(first.contains(part), "{part} is not in {first}");
    }
    assert!(!first.contains('\u{1b}'), "NO_COLOR means no colours: {first:?}");
    make_key(&store, "acme", "signup", "provisioning:*");
    let second = serve(&store, &[]);
    assert!(second.contains('\u{1b}'), "colours without it: {second:?}");
    assert!(!second.contains("keys create"), "there is a key: {second}");
}
