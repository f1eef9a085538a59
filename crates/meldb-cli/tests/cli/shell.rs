//! What makes the program at home in a shell: completions, manual pages, short names, its version.

use std::{fs, process::Command};

use meldb_testkit::{need::Need, skip::has};
use serde_json::{Value, json};

use crate::cli::support::{make_key, run};

#[test]
fn every_shell_is_given_completions_of_every_command() {
    for shell in ["bash", "zsh", "fish", "powershell"] {
        let text = run(["completions", shell]).expect(0).stdout;
        for word in ["merge", "revoke", "undo-by", "idempotency-key"] {
            assert!(text.contains(word), "{shell} does not complete {word}");
        }
    }
    let unknown = run(["completions", "tcsh"]).expect(2);
    assert!(unknown.stderr.contains("powershell"), "{}", unknown.stderr);
}

#[test]
fn bash_completes_a_command() {
    if !has(Need::BASH) {
        return;
    }
    let dir = tempfile::tempdir().unwrap();
    let file = dir.path().join("meldb.bash");
    fs::write(&file, run(["completions", "bash"]).stdout).unwrap();
    let script = r#"source "$1"; COMP_WORDS=(meldb keys rev); COMP_CWORD=2; _meldb meldb rev keys
        printf '%s ' "${COMPREPLY[@]}""#;
    let typed = Command::new("bash").args(["-c", script, "bash"]).arg(&file).output().unwrap();
    assert_eq!(String::from_utf8(typed.stdout).unwrap(), "revoke ", "{:?}", typed.stderr);
}

#[test]
fn a_manual_page_is_written_for_every_command() {
    let dir = tempfile::tempdir().unwrap();
    let pages = dir.path().join("man1");
    run(["man", pages.to_str().unwrap()]).expect(0);
    for (page, text) in [
        ("meldb.1", "Exit codes"),
        ("meldb-merge.1", "if\\-revision"),
        ("meldb-keys-create.1", "provisioning:"),
        ("meldb-serve.1", "sync\\-interval\\-ms"),
    ] {
        let found = fs::read_to_string(pages.join(page)).unwrap();
        assert!(found.starts_with(".ie") && found.contains(text), "{page}: {found}");
    }
    let file = dir.path().join("file");
    fs::write(&file, "").unwrap();
    run(["man", file.to_str().unwrap()]).expect(1);
}

#[test]
fn the_version_says_which_stores_are_opened() {
    let version = run(["version", "--json"]).expect(0).json();
    assert_eq!(
        version,
        json!({"version": env!("CARGO_PKG_VERSION"), "format": meldb::FORMAT_VERSION,
               "engines": ["fjall", "sled", "postgres"]})
    );
    let text = run(["version"]).expect(0).stdout;
    assert!(text.starts_with("meldb ") && text.contains("engines fjall, sled"), "{text}");
}

#[test]
fn ls_and_rm_are_list_and_delete() {
    let dir = tempfile::tempdir().unwrap();
    let place = ["--dir", dir.path().to_str().unwrap()];
    let meldb = |args: &[&str], code| run(args.iter().chain(&place)).expect(code).stdout;
    meldb(&["put", "acme/users/ada", "{}"], 0);
    assert_eq!(meldb(&["ls", "acme/users"], 0), meldb(&["list", "acme/users"], 0));
    meldb(&["rm", "acme/users/ada"], 0);
    meldb(&["get", "acme/users/ada"], 3);
}

#[test]
fn a_key_is_revoked_by_a_name_that_one_active_key_has() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().to_str().unwrap();
    let keys =
        |args: &[&str], code| run(["keys"].iter().chain(args).chain(&["--dir", path])).expect(code);
    for tenant in ["acme", "zeta"] {
        make_key(dir.path(), tenant, "signup", "provisioning:*");
    }
    let both = keys(&["revoke", "signup"], 2).stderr;
    assert!(both.contains("2 active keys are named signup") && both.contains("--tenant"), "{both}");
    let active = |tenant: &str| {
        let all = keys(&["list", "--tenant", tenant, "--json"], 0).stdout;
        let keys = all.lines().map(|line| serde_json::from_str::<Value>(line).unwrap());
        keys.filter(|key| key["revoked"].is_null()).count()
    };
    assert_eq!((active("acme"), active("zeta")), (1, 1), "nothing was guessed");

    keys(&["revoke", "signup", "--tenant", "acme"], 0);
    assert_eq!((active("acme"), active("zeta")), (0, 1));
    // The only active one is meant now.
    keys(&["rotate", "signup", "--grace", "0s"], 0);
    keys(&["revoke", "signup"], 0);
    let none = keys(&["revoke", "signup"], 3).stderr;
    assert!(none.contains("no active key is named signup"), "{none}");
}

#[test]
fn the_short_help_of_serve_is_short_and_the_long_one_has_every_setting() {
    let short = run(["serve", "-h"]).expect(0).stdout;
    let long = run(["serve", "--help"]).expect(0).stdout;
    assert!(short.lines().count() <= 70, "{} lines:\n{short}", short.lines().count());
    assert!(short.contains("--durability") && !short.contains("--budget-wait-ms"), "{short}");
    assert!(long.contains("--budget-wait-ms") && long.contains("Time-outs:"), "{long}");
}

#[test]
fn the_help_has_its_commands_in_groups() {
    let help = run(["--help"]).expect(0).stdout;
    for line in ["Documents:", "  delete       Delete a document [alias: rm]", "Options:"] {
        assert!(help.lines().any(|found| found == line), "{line:?} is not in {help}");
    }
    assert!(!help.contains("Write the manual pages"), "{help}");
}
