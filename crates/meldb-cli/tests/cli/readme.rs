//! The shell blocks of the README and the guide, typed in order by a newcomer, say what the pages say.

use std::{
    fmt::Write,
    fs,
    net::TcpListener,
    path::{Path, PathBuf},
    process::{Command, Stdio},
};

use meldb_testkit::{need::Need, skip::has};

use crate::cli::support::without_times;

const README: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/../../README.md");
/// The blocks that build: the gate runs them as they are.
const BUILDS: [&str; 2] = ["cargo run --release -- demo", "cargo test --workspace"];
/// Where the README's server listens.
const ADDRESS: &str = "127.0.0.1:8080";
/// What separates the outputs of two commands.
const MARK: &str = "=== the next command ===";
/// How long a command that follows something is left alone, in seconds.
const FOLLOWED_SECONDS: &str = "2";

/// A command of a block, with what the README says that it prints.
#[derive(Debug, PartialEq, Eq)]
struct Step {
    command: String,
    output: String,
}

/// Returns the text of each block in one of the languages.
fn blocks(markdown: &str, language: &str) -> Vec<String> {
    let start = format!("```{language}\n");
    let rest = markdown.split(&start).skip(1);
    rest.filter_map(|rest| rest.split_once("```")).map(|(block, _)| block.to_owned()).collect()
}

/// Returns the steps of a block: lines behind `$ ` with their continuations, and what follows them.
fn steps(block: &str) -> Vec<Step> {
    let mut steps: Vec<Step> = Vec::new();
    let mut lines = block.lines();
    while let Some(line) = lines.next() {
        let Some(start) = line.strip_prefix("$ ") else {
            let step = steps.last_mut().expect("a block begins with a command");
            step.output.push_str(line);
            step.output.push('\n');
            continue;
        };
        let mut command = start.to_owned();
        let mut more = |command: &mut String| {
            let line = lines.next().expect("a command ends in its block");
            command.push('\n');
            command.push_str(line);
        };
        while command.ends_with('\\') {
            more(&mut command);
        }
        if command.contains("<<'END'") {
            while !command.ends_with("\nEND") {
                more(&mut command);
            }
        }
        // A body of several lines.
        if command.ends_with("-d '") {
            while !command.ends_with("}'") {
                more(&mut command);
            }
        }
        steps.push(Step { command, output: String::new() });
    }
    steps
}

/// Returns the script that types the steps, with a mark after the output of each.
fn script(steps: &[Step]) -> String {
    let mut script = String::from("exec 2>&1\ntrap 'kill $! 2>/dev/null' EXIT\n");
    for Step { command, .. } in steps {
        let command = command.replace("curl -N ", &format!("curl -N -m {FOLLOWED_SECONDS} "));
        writeln!(script, "{command}").unwrap();
        if command.ends_with('&') {
            // A newcomer types the next command when the server has said that it listens.
            let asked = format!("curl -s -o health http://{ADDRESS}/health");
            writeln!(script, "for n in $(seq 300); do {asked} && break; sleep 0.1; done").unwrap();
        }
        writeln!(script, "echo '{MARK}'").unwrap();
    }
    script
}

/// Runs a script in an empty directory with the program where the README's build leaves it.
fn run_script(script: &str, address: &str) -> String {
    let dir = tempfile::tempdir().unwrap();
    let built = dir.path().join("target/release");
    fs::create_dir_all(&built).unwrap();
    std::os::unix::fs::symlink(env!("CARGO_BIN_EXE_meldb"), built.join("meldb")).unwrap();
    let path = format!("{}:{}", built.display(), std::env::var("PATH").unwrap_or_default());
    // Without a terminal curl shows its progress, and says nothing of a time-out that is asked for.
    fs::write(dir.path().join(".curlrc"), "silent\n").unwrap();
    let output = Command::new("sh")
        .args(["-c", &script.replace(ADDRESS, address)])
        .current_dir(dir.path())
        .env("CURL_HOME", dir.path())
        .env("PATH", path)
        .env("MELDB_LISTEN", address)
        .env("USER", "ada")
        .stdin(Stdio::null())
        .output()
        .unwrap();
    String::from_utf8(output.stdout).unwrap().replace(address, ADDRESS)
}

/// Returns what does not differ from run to run: no times, no log lines, no blank lines at the end.
fn normal(output: &str) -> String {
    let is_log = |line: &&str| line.starts_with("20") && line.contains("INFO");
    let lines = output.lines().filter(|line| !is_log(line)).map(|line| {
        match (
            line.strip_prefix("imported "),
            line.split_once(" in "),
            line.split_once(" a second"),
        ) {
            (Some(_), Some((what, _)), Some((_, rest))) => format!("{what}{rest}"),
            _ => line.to_owned(),
        }
    });
    let text = lines.collect::<Vec<_>>().join("\n").replace("\"updated\": ", "\"updated\":");
    without_dates(&without_times(text.trim_end()))
}

/// Replaces each `2026-01-31 12:34:56Z` by one of the same length.
fn without_dates(text: &str) -> String {
    const FORM: &[u8] = b"0000-00-00 00:00:00Z";
    let is_date = |window: &[u8]| {
        window.iter().zip(FORM).all(|(byte, form)| match form {
            b'0' => byte.is_ascii_digit(),
            form => byte == form,
        })
    };
    let mut bytes = text.as_bytes().to_vec();
    for at in 0..bytes.len().saturating_sub(FORM.len() - 1) {
        if is_date(&bytes[at..at + FORM.len()]) {
            bytes[at..at + FORM.len()].copy_from_slice(FORM);
        }
    }
    String::from_utf8(bytes).unwrap()
}

/// Asserts that each step prints what is written below it.
fn assert_prints(steps: &[Step], address: &str) {
    let output = run_script(&script(steps), address);
    let outputs: Vec<_> = output.split(&format!("{MARK}\n")).collect();
    assert_eq!(outputs.len(), steps.len() + 1, "{output}");
    for (Step { command, output: expected }, printed) in steps.iter().zip(outputs) {
        assert_eq!(normal(printed), normal(expected), "$ {command}");
    }
}

fn free_address() -> String {
    TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().to_string()
}

#[test]
fn the_walk_through_works_when_typed_in_order() {
    let readme = fs::read_to_string(Path::new(README)).unwrap();
    let builds: Vec<_> = blocks(&readme, "sh");
    assert_eq!(builds.iter().map(|block| block.trim()).collect::<Vec<_>>(), BUILDS);
    if !has(Need::CURL) {
        return;
    }
    let steps: Vec<_> = blocks(&readme, "console").iter().flat_map(|block| steps(block)).collect();
    assert!(steps.len() >= 8, "{steps:#?}");
    assert_prints(&steps, &free_address());
}

/// The pages of the guide whose shell blocks are for reading.
const FOR_READING: [&str; 2] = ["agents.md", "queries.md"];

/// Returns the pages of the guide, and the one of history.
fn guide() -> Vec<PathBuf> {
    let docs = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../docs");
    let pages = fs::read_dir(docs.join("guide")).unwrap().map(|entry| entry.unwrap().path());
    pages.chain([docs.join("history.md")]).collect()
}

#[test]
fn the_guide_works_when_typed_in_order() {
    if !has(Need::CURL) {
        return;
    }
    let mut commands = 0;
    for page in guide() {
        let text = fs::read_to_string(&page).unwrap();
        let steps: Vec<_> =
            blocks(&text, "console").iter().flat_map(|block| steps(block)).collect();
        commands += steps.len();
        if !steps.is_empty() {
            assert_prints(&steps, &free_address());
        }
    }
    assert!(commands >= 80, "only {commands} commands were typed");
}

#[test]
fn every_shell_block_of_the_guide_is_typed() {
    for page in guide() {
        let name = page.file_name().unwrap().to_str().unwrap();
        let text = fs::read_to_string(&page).unwrap();
        let untyped = blocks(&text, "sh").len() + blocks(&text, "bash").len();
        assert!(
            untyped == 0 || FOR_READING.contains(&name),
            "{name} has blocks that no test types"
        );
    }
}

/// The page of the crate that makes the Rust blocks of pages its tests.
const CRATE: &str = include_str!("../../../meldb/src/lib.rs");

#[test]
fn every_rust_block_of_the_guide_is_a_test() {
    for page in guide() {
        let text = fs::read_to_string(&page).unwrap();
        let name = page.file_name().unwrap().to_str().unwrap();
        let is_test =
            CRATE.contains(&format!("guide/{name}\"")) || CRATE.contains(&format!("docs/{name}\""));
        assert!(
            is_test || blocks(&text, "rust").is_empty(),
            "the Rust of {name} is run by no test"
        );
    }
}

#[test]
#[should_panic(expected = "user-124")]
fn a_walk_through_that_says_something_else_is_caught() {
    // A merge on a fresh store: 404, where the text claims a document.
    let block = "$ export PATH=\"$PWD/target/release:$PATH\"\n\
                 $ meldb merge --dir ./store acme/users/user-124 '{}'\n{}\n";
    assert_prints(&steps(block), &free_address());
}

#[test]
fn a_block_is_cut_into_commands_and_their_output() {
    let block = "$ one \\\n  two\nout\n\n$ cat > f <<'END'\n$ no command\nEND\n$ three &\n";
    let step = |command: &str, output: &str| Step {
        command: command.to_owned(),
        output: output.to_owned(),
    };
    let expected = [
        step("one \\\n  two", "out\n\n"),
        step("cat > f <<'END'\n$ no command\nEND", ""),
        step("three &", ""),
    ];
    assert_eq!(steps(block), expected);
}

/// Returns the sources of the tests below a directory.
fn sources(dir: &Path) -> String {
    let mut text = String::new();
    for entry in fs::read_dir(dir).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            text += &sources(&path);
        } else if path.extension().is_some_and(|extension| extension == "rs") {
            text += &fs::read_to_string(path).unwrap();
        }
    }
    text
}

#[test]
fn the_tests_that_the_owasp_table_names_exist() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("../..");
    let page = fs::read_to_string(root.join("docs/owasp-api-top-10.md")).unwrap();
    let quoted = page.split('`').skip(1).step_by(2);
    let names: Vec<_> = quoted.filter(|name| name.matches('_').count() >= 3).collect();
    assert!(names.len() > 20, "{names:?}");
    let sources = sources(&root.join("crates"));
    for name in names {
        assert!(sources.contains(&format!("fn {name}(")), "there is no test {name}");
    }
}
