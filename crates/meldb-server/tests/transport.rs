//! What is refused before a request has a meaning: hosts and transfer codings that two parties could
//! read in two ways.

use std::time::Duration;

use meldb_server::ServerSettings;
use tokio::io::{AsyncReadExt, AsyncWriteExt};

use crate::support::{Running, World};

/// Sends `text` and returns everything that comes until the server closes.
async fn ask(server: &Running, text: &str) -> String {
    let mut stream = server.connect().await;
    stream.write_all(text.as_bytes()).await.expect("written");
    let mut bytes = Vec::new();
    let reading = stream.read_to_end(&mut bytes);
    tokio::time::timeout(Duration::from_secs(5), reading).await.expect("it was closed").ok();
    String::from_utf8_lossy(&bytes).into_owned()
}

#[tokio::test]
async fn a_request_without_exactly_one_valid_host_is_refused() {
    let server = World::new().serve(ServerSettings::default()).await;
    for (version, hosts, status) in [
        ("1.1", "Host: localhost\r\n", "200"),
        ("1.1", "host: [::1]:8080\r\n", "200"),
        ("1.0", "", "200"),
        ("1.1", "", "400"),
        ("1.1", "Host: a\r\nHost: a\r\n", "400"),
        ("1.1", "Host: a\r\nhost: b\r\n", "400"),
        ("1.1", "Host:\r\n", "400"),
        ("1.1", "Host: a b\r\n", "400"),
        ("1.1", "Host: a/b\r\n", "400"),
        ("1.1", "Host: a:b\r\n", "400"),
        ("1.1", "Host: user@a\r\n", "400"),
        ("1.0", "Host: a\r\nHost: b\r\n", "400"),
    ] {
        let text = format!("GET /health HTTP/{version}\r\nConnection: close\r\n{hosts}\r\n");
        let answer = ask(&server, &text).await;
        assert_eq!(answer.split(' ').nth(1), Some(status), "{text:?}: {answer}");
        if status == "400" {
            assert!(answer.contains(r#"{"code":"BadRequest","message":"#), "{text:?}: {answer}");
            assert!(answer.contains("connection: close"), "{text:?}: {answer}");
        }
    }
}

#[tokio::test]
async fn a_transfer_coding_that_nobody_decodes_is_refused() {
    let world = World::new();
    let key = world.key(&["provisioning:*"]);
    let server = world.serve(ServerSettings::default()).await;
    let body = "2\r\n{}\r\n0\r\n\r\n";
    for (codings, status) in [
        ("Transfer-Encoding: chunked\r\n", "200"),
        ("Transfer-Encoding: gzip, chunked\r\n", "400"),
        ("Transfer-Encoding: gzip\r\nTransfer-Encoding: chunked\r\n", "400"),
        ("Transfer-Encoding: chunked, chunked\r\n", "400"),
        ("Transfer-Encoding: gzip\r\n", "400"),
    ] {
        let text = format!(
            "PUT {}/users/user-123 HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\
             Authorization: Bearer {key}\r\n{codings}\r\n{body}",
            crate::support::ALPHA
        );
        let answer = ask(&server, &text).await;
        assert_eq!(answer.split(' ').nth(1), Some(status), "{codings:?}: {answer}");
        // What stands behind is no second request.
        let answers = ["HTTP/1.1 2", "HTTP/1.1 4"].map(|start| answer.matches(start).count());
        assert_eq!(answers.iter().sum::<usize>(), 1, "{codings:?}: {answer}");
    }
}
