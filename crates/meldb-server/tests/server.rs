//! The server under clients that are slow, silent, many or gone.

use std::time::{Duration, Instant};

use meldb_server::ServerSettings;
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::TcpStream,
};

use crate::support::{ALPHA, Running, World, request};

fn quick() -> ServerSettings {
    ServerSettings {
        header_timeout: Duration::from_millis(300),
        idle_timeout: Duration::from_millis(600),
        write_timeout: Duration::from_millis(500),
        drain_timeout: Duration::from_millis(1500),
        ..Default::default()
    }
}

/// Reads until the server closes and returns what came and after how long.
async fn until_closed(stream: &mut TcpStream) -> (String, Duration) {
    let begun = Instant::now();
    let mut bytes = Vec::new();
    let reading = stream.read_to_end(&mut bytes);
    tokio::time::timeout(Duration::from_secs(10), reading).await.expect("it was closed").ok();
    (String::from_utf8_lossy(&bytes).into_owned(), begun.elapsed())
}

/// Sends a request that keeps the connection and returns the answer.
async fn exchange(stream: &mut TcpStream, text: &str) -> String {
    stream.write_all(text.as_bytes()).await.expect("written");
    let mut bytes = vec![0; 64 << 10];
    let reading = stream.read(&mut bytes);
    let length = tokio::time::timeout(Duration::from_secs(5), reading).await;
    bytes.truncate(length.expect("in time").expect("an answer"));
    String::from_utf8(bytes).expect("text")
}

const HEALTH: &str = "GET /health HTTP/1.1\r\nHost: localhost\r\n\r\n";

async fn assert_serves(server: &Running) {
    let response = server.send(request("GET", "/health", "", "")).await;
    assert_eq!(response.status(), 200);
}

#[tokio::test]
async fn headers_that_do_not_come_are_not_waited_for() {
    let server = World::new().serve(quick()).await;
    for beginning in [
        "",
        "G",
        "GET /health HTTP/1.1\r\n",
        "GET /health HTTP/1.1\r\nHost: x\r\nA: b",
        "PRI * HTTP/2.0\r\n",
    ] {
        let mut stream = server.connect().await;
        stream.write_all(beginning.as_bytes()).await.expect("written");
        let (_, after) = until_closed(&mut stream).await;
        let expected = Duration::from_millis(250)..Duration::from_millis(1500);
        assert!(expected.contains(&after), "{beginning:?} was closed after {after:?}");
    }
}

#[tokio::test]
async fn headers_that_drip_are_given_up_on_time_also_behind_a_request() {
    let server = World::new().serve(quick()).await;
    for first in ["", HEALTH] {
        let mut stream = server.connect().await;
        if !first.is_empty() {
            assert!(exchange(&mut stream, first).await.starts_with("HTTP/1.1 200"));
        }
        let begun = Instant::now();
        stream.write_all(b"GET /health HTTP/1.1\r\n").await.expect("written");
        let mut byte = [0];
        loop {
            stream.write_all(b"A: b\r\n").await.ok();
            let read =
                tokio::time::timeout(Duration::from_millis(50), stream.read(&mut byte)).await;
            match read {
                Ok(Ok(0) | Err(_)) => break,
                _ => assert!(begun.elapsed() < Duration::from_secs(3), "still open"),
            }
        }
        assert!(begun.elapsed() >= Duration::from_millis(250), "{:?}", begun.elapsed());
    }
}

#[tokio::test]
async fn an_idle_connection_is_closed_and_a_used_one_kept() {
    let server = World::new().serve(quick()).await;
    let mut stream = server.connect().await;
    for _ in 0..3 {
        assert!(exchange(&mut stream, HEALTH).await.ends_with(r#"{"status":"ok"}"#));
        tokio::time::sleep(Duration::from_millis(400)).await;
    }
    let (_, after) = until_closed(&mut stream).await;
    assert!(after < Duration::from_secs(2), "closed after {after:?}");
}

#[tokio::test]
async fn times_without_a_limit_are_taken() {
    let settings = ServerSettings {
        header_timeout: Duration::MAX,
        idle_timeout: Duration::MAX,
        write_timeout: Duration::MAX,
        drain_timeout: Duration::MAX,
        ..Default::default()
    };
    let server = World::new().serve(settings).await;
    let mut stream = server.connect().await;
    for _ in 0..3 {
        assert!(exchange(&mut stream, HEALTH).await.ends_with(r#"{"status":"ok"}"#));
    }
    assert_serves(&server).await;
}

#[tokio::test]
async fn a_client_that_never_reads_is_cut() {
    let world = World::new();
    let key = world.key(&["provisioning:*"]);
    let jobs = world.store.tenant("alpha").expect("a name").collection("jobs").expect("a name");
    let large = serde_json::json!({"padding": "x".repeat(500_000)});
    for number in 0..40 {
        jobs.put(format!("d{number}"), &large).commit("seed").expect("written");
    }
    let server = world.serve(quick()).await;
    let mut stream = server.connect().await;
    let text =
        format!("GET {ALPHA}/jobs HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer {key}\r\n\r\n");
    stream.write_all(text.as_bytes()).await.expect("written");
    tokio::time::sleep(Duration::from_millis(1200)).await;
    let (text, _) = until_closed(&mut stream).await;
    assert!(text.len() < 20_000_000, "the whole list came: {} bytes", text.len());
    assert_serves(&server).await;
}

#[tokio::test]
async fn more_connections_than_allowed_wait() {
    let settings =
        ServerSettings { connections_max: 2, connections_per_peer_max: Some(2), ..quick() };
    let server = World::new().serve(settings).await;
    let _first = server.connect().await;
    let _second = server.connect().await;
    tokio::time::sleep(Duration::from_millis(50)).await;
    let begun = Instant::now();
    assert_serves(&server).await;
    let waited = begun.elapsed();
    assert!(waited >= Duration::from_millis(150), "answered after {waited:?}");
}

#[tokio::test]
async fn many_silent_connections_do_not_keep_others_out() {
    let server = World::new().serve(quick()).await;
    let mut silent = Vec::new();
    for _ in 0..200 {
        silent.push(server.connect().await);
    }
    let begun = Instant::now();
    assert_serves(&server).await;
    assert!(begun.elapsed() < Duration::from_millis(250));
}

#[tokio::test]
async fn what_is_no_request_gets_an_error_body_too() {
    let server = World::new().serve(ServerSettings::default()).await;
    let large = "x".repeat(100 << 10);
    let many: String = (0..200).map(|number| format!("h{number}: x\r\n")).collect();
    for (text, status, code) in [
        ("nonsense\r\n\r\n".to_owned(), "400", "BadRequest"),
        ("GET / HTTP/9.9\r\n\r\n".to_owned(), "400", "BadRequest"),
        ("GET /health HTTP/1.1\r\nHost: x\r\nbad header\r\n\r\n".to_owned(), "400", "BadRequest"),
        (
            format!("GET /health HTTP/1.1\r\nHost: x\r\nX: {large}\r\n\r\n"),
            "431",
            "RequestHeaderFieldsTooLarge",
        ),
        (
            format!("GET /health HTTP/1.1\r\nHost: x\r\n{many}\r\n"),
            "431",
            "RequestHeaderFieldsTooLarge",
        ),
    ] {
        let mut stream = server.connect().await;
        stream.write_all(text.as_bytes()).await.ok();
        let (answer, _) = until_closed(&mut stream).await;
        let (head, body) = answer.split_once("\r\n\r\n").unwrap_or_default();
        assert_eq!(head.split(' ').nth(1), Some(status), "{text:.60}: {answer}");
        let body: serde_json::Value = serde_json::from_str(body).expect("an error body");
        assert_eq!(body["code"], code, "{answer}");
    }
}

#[tokio::test]
async fn a_refused_upload_still_gets_its_answer() {
    let world = World::new();
    let key = world.key(&["provisioning:*"]);
    let server = world.serve(ServerSettings::default()).await;
    let mut stream = server.connect().await;
    let length = 8 << 20;
    let head = format!(
        "PUT {ALPHA}/users/user-123 HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer {key}\r\n\
         Content-Length: {length}\r\n\r\n"
    );
    stream.write_all(head.as_bytes()).await.expect("written");
    stream.write_all(&vec![b' '; length]).await.expect("the server reads on");
    let mut answer = vec![0; 4096];
    let length = stream.read(&mut answer).await.expect("an answer");
    let answer = String::from_utf8_lossy(&answer[..length]);
    assert!(answer.starts_with("HTTP/1.1 413"), "{answer}");
}

#[tokio::test]
async fn shutdown_closes_idle_and_half_open_connections_at_once() {
    let mut server = World::new().serve(ServerSettings::default()).await;
    let mut silent = server.connect().await;
    let mut half = server.connect().await;
    half.write_all(b"GET /health HTTP/1.1\r\nHost: x\r\n").await.expect("written");
    let mut idle = server.connect().await;
    exchange(&mut idle, HEALTH).await;
    let begun = Instant::now();
    server.stop.take().expect("running").send(()).expect("running");
    let stopped = server.task.await.expect("no panic").expect("no error");
    assert_eq!(stopped.connections_cut, 0);
    assert!(begun.elapsed() < Duration::from_secs(2), "{:?}", begun.elapsed());
    for stream in [&mut silent, &mut half, &mut idle] {
        until_closed(stream).await;
    }
    assert!(TcpStream::connect(server.address).await.is_err(), "it still listens");
}

#[tokio::test]
async fn shutdown_finishes_what_is_in_flight() {
    let world = World::new();
    let key = world.key(&["provisioning:*"]);
    let mut server = world.serve(ServerSettings::default()).await;
    let mut stream = server.connect().await;
    let head = format!(
        "PUT {ALPHA}/users/user-123 HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer {key}\r\n\
         Content-Length: 16\r\n\r\n{{\"role\":"
    );
    stream.write_all(head.as_bytes()).await.expect("written");
    tokio::time::sleep(Duration::from_millis(50)).await;
    server.stop.take().expect("running").send(()).expect("running");
    tokio::time::sleep(Duration::from_millis(500)).await;
    stream.write_all(b"\"owner\"}").await.expect("written");
    let (answer, _) = until_closed(&mut stream).await;
    assert!(answer.starts_with("HTTP/1.1 200"), "{answer}");
    assert!(answer.ends_with('}'), "{answer}");
    assert_eq!(server.task.await.expect("no panic").expect("no error").connections_cut, 0);
}

#[tokio::test]
async fn shutdown_cuts_what_is_stuck_at_the_deadline() {
    let world = World::new();
    let key = world.key(&["provisioning:*"]);
    let mut server = world.serve(quick()).await;
    let mut stream = server.connect().await;
    let head = format!(
        "PUT {ALPHA}/users/user-123 HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer {key}\r\n\
         Content-Length: 16\r\n\r\n{{"
    );
    stream.write_all(head.as_bytes()).await.expect("written");
    tokio::time::sleep(Duration::from_millis(50)).await;
    let begun = Instant::now();
    server.stop.take().expect("running").send(()).expect("running");
    let stopped = server.task.await.expect("no panic").expect("no error");
    assert_eq!(stopped.connections_cut, 1);
    let took = begun.elapsed();
    assert!((1400..2500).contains(&took.as_millis()), "{took:?}");
}

#[tokio::test]
async fn no_acknowledged_write_is_lost_by_a_shutdown_under_load() {
    for _ in 0..5 {
        let world = World::new();
        let key = world.key(&["provisioning:*"]);
        let mut server = world.serve(ServerSettings::default()).await;
        let address = server.address;
        let clients: Vec<_> = (0..8)
            .map(|client| {
                let key = key.clone();
                tokio::spawn(async move {
                    let mut acknowledged = 0;
                    let Ok(mut stream) = TcpStream::connect(address).await else { return 0 };
                    for number in 1.. {
                        let body = format!(r#"{{"number":{number}}}"#);
                        let text = format!(
                            "POST {ALPHA}/jobs/c{client} HTTP/1.1\r\nHost: x\r\n\
                             Authorization: Bearer {key}\r\nContent-Length: {}\r\n\r\n{body}",
                            body.len()
                        );
                        let mut bytes = [0; 4096];
                        if stream.write_all(text.as_bytes()).await.is_err() {
                            break;
                        }
                        match stream.read(&mut bytes).await {
                            Ok(length) if length > 0 => acknowledged = number,
                            _ => break,
                        }
                    }
                    acknowledged
                })
            })
            .collect();
        tokio::time::sleep(Duration::from_millis(100)).await;
        server.stop.take().expect("running").send(()).expect("running");
        server.task.await.expect("no panic").expect("no error");
        let jobs = world.store.tenant("alpha").expect("a name").collection("jobs").expect("a name");
        for (client, task) in clients.into_iter().enumerate() {
            let acknowledged = task.await.expect("no panic");
            let stored: serde_json::Value =
                jobs.get_as(format!("c{client}")).expect("readable").unwrap_or_default();
            let stored = stored["number"].as_u64().unwrap_or_default();
            assert!(stored >= acknowledged, "client {client}: {stored} < {acknowledged}");
        }
    }
}
