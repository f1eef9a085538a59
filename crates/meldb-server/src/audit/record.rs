//! A line of the audit log.

use std::time::{SystemTime, UNIX_EPOCH};

use serde::Serialize;
use time::OffsetDateTime;

use crate::peer::Peer;

/// The target of the lines that go to `tracing`.
const TARGET: &str = "meldb::audit";

/// One line. Never a key's secret, a query or a document.
#[derive(Clone, Debug, Default, Serialize)]
pub(crate) struct Record<'a> {
    /// When it was written (RFC 3339, UTC).
    pub(crate) timestamp: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) request_id: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none", serialize_with = "shown")]
    pub(crate) peer: Option<Peer>,
    /// The id of the key.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) key: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) actor: Option<&'a str>,
    /// The method, or what the server did by itself.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) action: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) tenant: Option<&'a str>,
    /// What it is about, behind the tenant.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) document: Option<&'a str>,
    pub(crate) outcome: &'a str,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) revision: Option<u64>,
    /// Why it was refused.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) reason: Option<&'static str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) status: Option<u16>,
    /// How many more refusals of this reason there were since the last line about one.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) count: Option<u64>,
}

fn shown<S: serde::Serializer>(peer: &Option<Peer>, serializer: S) -> Result<S::Ok, S::Error> {
    serializer.collect_str(&peer.unwrap_or_default())
}

impl Record<'_> {
    /// Returns what the server did by itself.
    pub(super) fn of_server(action: &'static str) -> Self {
        Record { action: Some(action), outcome: "done", ..Record::default() }
    }

    /// Returns the line, with its line break.
    pub(super) fn to_line(&self) -> Vec<u8> {
        let mut line =
            serde_json::to_vec(&Record { timestamp: now(), ..self.clone() }).unwrap_or_default();
        line.push(b'\n');
        line
    }

    /// Hands the line to the subscriber of `tracing`.
    pub(super) fn to_tracing(&self) {
        tracing::info!(
            target: TARGET,
            request_id = self.request_id,
            peer = self.peer.map(tracing::field::display),
            key = self.key,
            actor = self.actor,
            action = self.action,
            tenant = self.tenant,
            document = self.document,
            outcome = self.outcome,
            revision = self.revision,
            reason = self.reason,
            status = self.status,
            count = self.count,
        );
    }
}

/// Returns the time of the system's clock in the form of RFC 3339, in UTC and to the microsecond.
fn now() -> String {
    let since_epoch = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    let nanoseconds = i128::try_from(since_epoch.as_nanos()).unwrap_or_default();
    let now = OffsetDateTime::from_unix_timestamp_nanos(nanoseconds)
        .unwrap_or(OffsetDateTime::UNIX_EPOCH);
    let ((year, month, day), (hour, minute, second, microsecond)) =
        ((now.year(), u8::from(now.month()), now.day()), now.time().as_hms_micro());
    format!("{year:04}-{month:02}-{day:02}T{hour:02}:{minute:02}:{second:02}.{microsecond:06}Z")
}
