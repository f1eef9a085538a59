//! What a client does to the server: each verb, over and over, on documents that stay as many.

use std::{
    io,
    net::SocketAddr,
    sync::atomic::{AtomicBool, Ordering},
};

use meldb_faultkit::kill::http::Account;
use meldb_testkit::client::Client;

/// The tenant that is written to.
pub(super) const TENANT: &str = "soak";
/// How many documents a client writes beside its own; they stay as many, so that the store does too.
const OTHERS: u64 = 50;

/// Works until the server is killed, and returns how many requests beside its own writes were
/// answered.
pub(super) fn run(
    address: SocketAddr,
    key: &str,
    account: &mut Account,
    ending: &AtomicBool,
) -> u64 {
    let mut answered = 0;
    let end = work(address, key, account, &mut answered);
    assert!(ending.load(Ordering::SeqCst), "the server broke off by itself: {end:?}");
    answered
}

/// Returns only when the connection breaks off.
fn work(
    address: SocketAddr,
    key: &str,
    account: &mut Account,
    answered: &mut u64,
) -> io::Result<()> {
    let root = format!("/api/v1/provisioning/tenants/{TENANT}");
    let own = account.path();
    let mut client = Client::connect(address, key)?;
    for step in 0_u64.. {
        account.write(&mut client, &root)?;
        let other = format!("others/{}-{}", own.replace('/', "-"), step % OTHERS);
        let body = format!(r#"{{"step":{step},"fill":"{}"}}"#, "y".repeat(200));
        let batch = format!(
            r#"{{"operations":[{{"op":"put","path":"{other}","data":{body}}},{{"op":"merge","path":"{other}","data":{{"n":1}}}}]}}"#
        );
        let changes = format!("/api/v1/changes/tenants/{TENANT}?limit=20&documents=true");
        let report = format!("/api/v1/reporting/tenants/{TENANT}/others?limit=20");
        let (method, path, body, allowed): (_, _, &str, &[u16]) = match step % 8 {
            0 => ("POST", format!("{root}/{other}"), &body, &[200, 201]),
            1 => ("GET", format!("{root}/{own}"), "", &[200]),
            2 => ("GET", format!("{root}/others?limit=20"), "", &[200]),
            3 => ("DELETE", format!("{root}/{other}"), "", &[204, 404]),
            4 => ("POST", format!("{root}:batch"), &batch, &[200]),
            5 => ("GET", changes, "", &[200]),
            6 => ("GET", report, "", &[200]),
            _ => ("GET", "/ready".to_owned(), "", &[200]),
        };
        let answer = client.send(method, &path, body.as_bytes())?;
        assert!(
            allowed.contains(&answer.status),
            "{method} {path}: {} {}",
            answer.status,
            answer.text()
        );
        *answered += 1;
    }
    Ok(())
}
