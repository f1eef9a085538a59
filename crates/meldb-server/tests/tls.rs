//! TLS: both versions of HTTP, and a certificate that changes while the server runs.

use std::{fs, path::Path, sync::Arc, time::Duration};

use http_body_util::Empty;
use hyper::Request;
use hyper_util::rt::{TokioExecutor, TokioIo};
use meldb_server::{Server, ServerError, ServerSettings, TlsFiles};
use rustls_pki_types::{CertificateDer, ServerName};
use tokio::{
    io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt},
    net::TcpStream,
};
use tokio_rustls::{TlsConnector, client::TlsStream, rustls};

use crate::support::{Running, World};

/// Writes a new certificate for `localhost` and its key into `dir`, and returns the certificate.
fn renew(dir: &Path) -> CertificateDer<'static> {
    let made = rcgen::generate_simple_self_signed(["localhost".to_owned()]).expect("made");
    fs::write(dir.join("cert.pem"), made.cert.pem()).expect("written");
    fs::write(dir.join("key.pem"), made.signing_key.serialize_pem()).expect("written");
    made.cert.der().clone()
}

fn files(dir: &Path) -> TlsFiles {
    let mut files = TlsFiles::new(dir.join("cert.pem"), dir.join("key.pem"));
    files.check_interval = Duration::from_millis(20);
    files
}

async fn connect(
    server: &Running,
    trusted: &CertificateDer<'static>,
    protocol: &[u8],
) -> std::io::Result<TlsStream<TcpStream>> {
    let mut roots = rustls::RootCertStore::empty();
    roots.add(trusted.clone()).expect("a certificate");
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let mut config = rustls::ClientConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .expect("versions")
        .with_root_certificates(roots)
        .with_no_client_auth();
    config.alpn_protocols = vec![protocol.to_vec()];
    let name = ServerName::try_from("localhost").expect("a name");
    TlsConnector::from(Arc::new(config)).connect(name, server.connect().await).await
}

fn health() -> Request<Empty<&'static [u8]>> {
    let request = Request::get("https://localhost/health").header("host", "localhost");
    request.body(Empty::new()).expect("a request")
}

#[tokio::test]
async fn http_1_and_http_2_are_served_over_tls() {
    let dir = tempfile::tempdir().expect("a directory");
    let certificate = renew(dir.path());
    let settings = ServerSettings { tls: Some(files(dir.path())), ..Default::default() };
    let server = World::new().serve(settings).await;

    let stream = connect(&server, &certificate, b"http/1.1").await.expect("a connection");
    let (mut sender, connection) =
        hyper::client::conn::http1::handshake(TokioIo::new(stream)).await.expect("a handshake");
    tokio::spawn(connection);
    assert_eq!(sender.send_request(health()).await.expect("an answer").status(), 200);

    let stream = connect(&server, &certificate, b"h2").await.expect("a connection");
    assert_eq!(stream.get_ref().1.alpn_protocol(), Some(&b"h2"[..]));
    let (mut sender, connection) =
        hyper::client::conn::http2::handshake(TokioExecutor::new(), TokioIo::new(stream))
            .await
            .expect("a handshake");
    tokio::spawn(connection);
    assert_eq!(sender.send_request(health()).await.expect("an answer").status(), 200);
}

#[tokio::test]
async fn a_renewed_certificate_is_taken_over_and_open_connections_stay() {
    let dir = tempfile::tempdir().expect("a directory");
    let old = renew(dir.path());
    let settings = ServerSettings { tls: Some(files(dir.path())), ..Default::default() };
    let server = World::new().serve(settings).await;
    let stream = connect(&server, &old, b"http/1.1").await.expect("a connection");
    let (mut sender, connection) =
        hyper::client::conn::http1::handshake(TokioIo::new(stream)).await.expect("a handshake");
    tokio::spawn(connection);
    assert_eq!(sender.send_request(health()).await.expect("an answer").status(), 200);

    // Half a renewal changes nothing.
    fs::write(dir.path().join("cert.pem"), "nonsense").expect("written");
    tokio::time::sleep(Duration::from_millis(100)).await;
    assert!(connect(&server, &old, b"http/1.1").await.is_ok());

    let new = renew(dir.path());
    let mut tries = 0;
    while connect(&server, &new, b"http/1.1").await.is_err() {
        tries += 1;
        assert!(tries < 200, "the new certificate is not served");
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    assert!(connect(&server, &old, b"http/1.1").await.is_err());
    sender.ready().await.expect("the old connection stays");
    assert_eq!(sender.send_request(health()).await.expect("an answer").status(), 200);
}

#[tokio::test]
async fn a_handshake_that_does_not_come_is_not_waited_for() {
    let dir = tempfile::tempdir().expect("a directory");
    renew(dir.path());
    let settings = ServerSettings {
        tls: Some(files(dir.path())),
        header_timeout: Duration::from_millis(200),
        ..Default::default()
    };
    let server = World::new().serve(settings).await;
    let mut stream = server.connect().await;
    let mut bytes = Vec::new();
    let closed = stream.read_to_end(&mut bytes);
    tokio::time::timeout(Duration::from_secs(3), closed).await.expect("it was closed").ok();
}

#[tokio::test]
async fn files_that_are_missing_or_wrong_are_named() {
    let dir = tempfile::tempdir().expect("a directory");
    let check = async |wrong: &str| {
        let settings = ServerSettings { tls: Some(files(dir.path())), ..Default::default() };
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.expect("a port");
        let app = World::new().app;
        let error = Server::new(settings).run(listener, app, async {}).await;
        let error = error.expect_err("it cannot start");
        assert!(matches!(error, ServerError::Tls { .. }), "{error:?}");
        assert!(error.to_string().contains(wrong), "{error}");
    };
    check("cert.pem").await;
    renew(dir.path());
    fs::write(dir.path().join("key.pem"), "nonsense").expect("written");
    check("key.pem").await;
    renew(dir.path());
    fs::write(dir.path().join("cert.pem"), "").expect("written");
    check("cert.pem").await;
}

/// Sends `text` and returns everything that comes until the server closes.
async fn ask(mut stream: impl AsyncRead + AsyncWrite + Unpin, text: &str) -> String {
    stream.write_all(text.as_bytes()).await.ok();
    let mut bytes = Vec::new();
    let reading = stream.read_to_end(&mut bytes);
    tokio::time::timeout(Duration::from_secs(5), reading).await.expect("it was closed").ok();
    String::from_utf8_lossy(&bytes).into_owned()
}

#[tokio::test]
async fn what_is_no_request_is_answered_as_without_tls() {
    let dir = tempfile::tempdir().expect("a directory");
    let certificate = renew(dir.path());
    let settings = ServerSettings { tls: Some(files(dir.path())), ..Default::default() };
    let world = World::new();
    let plain = world.serve(ServerSettings::default()).await;
    let server = world.serve(settings).await;
    let long = "x".repeat(100 << 10);
    for text in [
        "nonsense\r\n\r\n".to_owned(),
        "GET / HTTP/9.9\r\n\r\n".to_owned(),
        "GET /health HTTP/1.1\r\nHost: x\r\nbad header\r\n\r\n".to_owned(),
        "PUT / HTTP/1.1\r\nHost: x\r\nContent-Length: x\r\n\r\n".to_owned(),
        format!("GET /health HTTP/1.1\r\nHost: x\r\nX: {long}\r\n\r\n"),
    ] {
        let expected = ask(plain.connect().await, &text).await;
        assert!(expected.contains(r#"{"code":""#), "{text:.60}: {expected}");
        let stream = connect(&server, &certificate, b"http/1.1").await.expect("a connection");
        assert_eq!(ask(stream, &text).await, expected, "{text:.60}");
    }
}
