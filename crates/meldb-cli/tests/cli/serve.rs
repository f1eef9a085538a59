//! `meldb serve`: its settings, and an end that loses nothing.

use std::{
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    time::Duration,
};

use meldb_cli::{
    address::Address,
    client::{Client, ClientOptions, Method, Request},
};
use rustix::process::Signal;

use crate::cli::support::{Run, Running, make_key, meldb, run};

fn printed(args: &[&str], environment: &[(&str, &str)]) -> Run {
    let mut command = meldb(["serve", "--print-config"]);
    command.args(args).envs(environment.iter().copied());
    let output = command.output().unwrap();
    Run {
        code: output.status.code().unwrap(),
        stdout: String::from_utf8(output.stdout).unwrap(),
        stderr: String::from_utf8(output.stderr).unwrap(),
    }
}

fn setting(run: &Run, name: &str) -> String {
    let table: toml::Table = run.stdout.parse().unwrap_or_else(|error| panic!("{error}: {run:?}"));
    table.get(name).map(ToString::to_string).unwrap_or_default()
}

#[test]
fn a_flag_wins_over_the_environment_that_over_the_file_and_that_over_the_default() {
    let dir = tempfile::tempdir().unwrap();
    let file = dir.path().join("meldb.toml");
    std::fs::write(&file, "depth_max = 10\nquery_token = true\nengine = \"sled\"\n").unwrap();
    let config = ["--config", file.to_str().unwrap()];
    let environment = [("MELDB_DEPTH_MAX", "20"), ("MELDB_CONFIG", "/nowhere")];
    let depth = |args: &[&str], environment| setting(&printed(args, environment), "depth_max");
    assert_eq!(depth(&[], &[]), "64");
    assert_eq!(depth(&config, &[]), "10");
    assert_eq!(depth(&config, &environment), "20");
    assert_eq!(depth(&[&config[..], &["--depth-max", "30"]].concat(), &environment), "30");
    assert_eq!(setting(&printed(&config, &[]), "query_token"), "true");
    let off = [&config[..], &["--query-token=false"]].concat();
    assert_eq!(setting(&printed(&off, &[]), "query_token"), "false");
    assert_eq!(setting(&printed(&config, &[]), "engine"), "\"sled\"");
    assert_eq!(setting(&printed(&[], &[]), "engine"), "");
}

#[test]
fn what_is_printed_is_a_file_that_means_the_same() {
    let dir = tempfile::tempdir().unwrap();
    let file = dir.path().join("meldb.toml");
    let flags = ["--durability", "buffered", "--listen", "127.0.0.1:9", "--query-token"];
    let first = printed(&flags, &[]).expect(0).stdout;
    std::fs::write(&file, &first).unwrap();
    let second = printed(&["--config", file.to_str().unwrap()], &[]).expect(0).stdout;
    assert_eq!(first, second);
    assert!(first.contains("# When a write is acknowledged\ndurability = \"buffered\""), "{first}");
}

#[test]
fn settings_that_mean_nothing_are_refused_by_name() {
    let dir = tempfile::tempdir().unwrap();
    let file = dir.path().join("meldb.toml");
    for (text, reason) in [
        ("lisen = \"127.0.0.1:80\"", "lisen is not a setting"),
        ("[limits]\ndepth_max = 3", "limits is not a setting"),
        ("depth_max = \"deep\"", "depth_max"),
        ("durability = \"maybe\"", "synced"),
        ("connections_max = 0", "connections_max must be at least 1"),
        ("depth_max", "expected"),
    ] {
        std::fs::write(&file, text).unwrap();
        let refused = printed(&["--config", file.to_str().unwrap()], &[]).expect(2);
        assert!(refused.stderr.contains(reason), "{text}: {}", refused.stderr);
    }
    let missing = printed(&["--config", "/nowhere/meldb.toml"], &[]).expect(1);
    assert!(missing.stderr.contains("/nowhere/meldb.toml"), "{}", missing.stderr);
    let store = dir.path().join("store");
    let here = ["--listen", "127.0.0.1:0", "--dir", store.to_str().unwrap()];
    let range = run(["serve", "--depth-max", "100000"].iter().chain(&here));
    assert!(range.expect(2).stderr.contains("depth_max cannot be used"));
    printed(&[], &[("MELDB_DURABILITY", "maybe")]).expect(2);
}

#[test]
fn what_is_in_use_is_said_to_be_and_ends_with_its_exit_code() {
    let dir = tempfile::tempdir().unwrap();
    let server = Running::serve(&dir.path().join("one"), &[]);
    let listen = server.url.strip_prefix("http://").unwrap();
    let serve = |dir: &str, listen: &str| run(["serve", "--dir", dir, "--listen", listen]);
    let one = dir.path().join("one");
    let in_use = serve(one.to_str().unwrap(), "127.0.0.1:0").expect(6);
    assert!(in_use.stderr.contains("is in use"), "{}", in_use.stderr);
    let two = dir.path().join("two");
    let taken = serve(two.to_str().unwrap(), listen).expect(6);
    assert!(taken.stderr.contains("is taken"), "{}", taken.stderr);
    let odd = serve(two.to_str().unwrap(), "nonsense").expect(2);
    assert!(odd.stderr.contains("such as 127.0.0.1:8080"), "{}", odd.stderr);
    let foreign = dir.path().join("three");
    std::fs::create_dir(&foreign).unwrap();
    std::fs::write(foreign.join("thesis.txt"), "mine").unwrap();
    let foreign = serve(foreign.to_str().unwrap(), "127.0.0.1:0").expect(2);
    assert!(foreign.stderr.contains("not a MelDB store"), "{}", foreign.stderr);
}

/// Writes until the server is gone, and returns what was acknowledged.
async fn write_until_gone(client: Client, writer: usize, ended: Arc<AtomicBool>) -> Vec<String> {
    let mut acknowledged = Vec::new();
    for number in 0.. {
        let id = format!("{writer}-{number}");
        let address: Address = format!("acme/load/{id}").parse().unwrap();
        let mut request = Request::new(Method::Post, &address);
        request.body = Some(format!("{{\"n\":{number}}}").into());
        match client.send(request).await {
            Ok(answer) => {
                assert_eq!(answer.status, 201);
                acknowledged.push(id);
            }
            Err(_) if ended.load(Ordering::SeqCst) => break,
            Err(failure) => panic!("before the signal: {failure}"),
        }
    }
    acknowledged
}

fn ends_without_loss(durability: &str) {
    let dir = tempfile::tempdir().unwrap();
    let key = make_key(dir.path(), "acme", "load", "provisioning:*");
    let mut server = Running::serve(dir.path(), &["--durability", durability]);
    let ended = Arc::new(AtomicBool::new(false));
    let mut acknowledged = Vec::new();
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    runtime.block_on(async {
        let options =
            ClientOptions { url: server.url.clone(), key: Some(key), ..Default::default() };
        let client = Client::new(options).unwrap();
        let writers: Vec<_> = (0..16)
            .map(|writer| tokio::spawn(write_until_gone(client.clone(), writer, ended.clone())))
            .collect();
        tokio::time::sleep(Duration::from_millis(400)).await;
        ended.store(true, Ordering::SeqCst);
        server.signal(Signal::TERM);
        for writer in writers {
            acknowledged.extend(writer.await.unwrap());
        }
    });
    assert_eq!(server.wait(Duration::from_secs(30)), 0);

    let store = meldb::Store::open(dir.path()).unwrap();
    let load = store.tenant("acme").unwrap().collection("load").unwrap();
    assert!(acknowledged.len() > 16, "too few writes to show anything: {}", acknowledged.len());
    for id in &acknowledged {
        assert!(load.exists(id).unwrap(), "{id} was acknowledged and is lost");
    }
}

#[test]
fn sigterm_under_load_exits_0_and_loses_nothing_acknowledged() {
    ends_without_loss("synced");
    ends_without_loss("buffered");
}

#[test]
fn a_connection_that_says_nothing_does_not_keep_the_server_from_ending() {
    let dir = tempfile::tempdir().unwrap();
    let mut server = Running::serve(dir.path(), &["--drain-timeout-ms", "1000"]);
    let idle = std::net::TcpStream::connect(server.url.strip_prefix("http://").unwrap()).unwrap();
    server.signal(Signal::INT);
    assert_eq!(server.wait(Duration::from_secs(10)), 0);
    drop(idle);
}

#[test]
fn ready_says_whether_a_server_takes_requests() {
    let dir = tempfile::tempdir().unwrap();
    let store = dir.path().join("store");
    let path = store.to_str().unwrap();
    let nobody = run(["ready", "--dir", path]).expect(6);
    assert!(nobody.stderr.contains("no server runs on"), "{}", nobody.stderr);
    assert!(!store.exists(), "nothing is made");
    let server = Running::serve(&store, &[]);
    assert_eq!(run(["ready", "--dir", path]).expect(0).stdout, "ready\n");
    run(["ready", "--url", &server.url]).expect(0);
    assert_eq!(run(["ready", "--dir", path, "--json"]).expect(0).json()["status"], "ready");
    let url = server.url.clone();
    server.stop();
    run(["ready", "--url", &url]).expect(6);
    run(["ready", "--dir", path]).expect(6);
}
