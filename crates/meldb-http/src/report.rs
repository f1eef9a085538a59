//! Reports: the documents of a collection that were written in a span of time, page by page.

use std::{
    ops::Range,
    time::{SystemTime, UNIX_EPOCH},
};

use axum::{http::request::Parts, response::Response};
use bytes::{BufMut, Bytes, BytesMut};
use meldb::{Collection, DocId, Document, Revision, TenantId};
use time::{Date, OffsetDateTime, PrimitiveDateTime, format_description::well_known::Iso8601};

use crate::{
    cursor, document,
    error::HttpError,
    limits::Admission,
    query::{self, bad_value},
};

/// The documents of a page when nothing is asked for.
const PAGE_DOCUMENTS: usize = 1000;
/// The most documents of a page.
pub(crate) const PAGE_DOCUMENTS_MAX: usize = 5000;
/// The text of documents after which a page takes no further one in.
const PAGE_BYTES_MAX: usize = 4 << 20;
const DAY_MS: u64 = 24 * 3600 * 1000;

/// Where a page of a report begins; what the cursor holds.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Position {
    times_ms: Range<u64>,
    /// Behind this write, and how many documents the first page counted.
    after: Option<(Revision, u64)>,
}

/// Answers GET and HEAD on a report.
pub(crate) async fn answer(
    tenant: &TenantId,
    collection: &Collection,
    parts: &Parts,
    admission: &mut Admission,
) -> Result<Response, HttpError> {
    let names = ["range", "from", "to", "limit", "cursor"];
    let [range, from, to, limit, cursor] = query::values(parts.uri.query(), names)?;
    let limit = query::limit(limit.as_deref(), PAGE_DOCUMENTS_MAX)?.unwrap_or(PAGE_DOCUMENTS);
    let position = match cursor {
        Some(_) if range.is_some() || from.is_some() || to.is_some() => {
            let message = "`cursor` goes without `range`, `from` and `to`: it knows them";
            return Err(HttpError::bad_request(message));
        }
        Some(text) => Position::read(tenant, collection, &text)
            .ok_or_else(|| HttpError::bad_request("`cursor` is not one of this report"))?,
        None => Position { times_ms: span(range, from, to, now_ms())?, after: None },
    };
    // The documents and the text that is made of them.
    admission.reserve_answer(2 * PAGE_BYTES_MAX).await?;
    let all = collection.updated(position.times_ms.clone()).bytes_max(PAGE_BYTES_MAX);
    let (from_here, total) = match position.after {
        None => (all.clone(), all.count_async().await?),
        Some((revision, total)) => (all.after(revision), total),
    };
    let page = from_here.page_async(limit).await?;
    let next = page.documents.last().filter(|_| page.more).map(|last| {
        let after = Some((last.revision(), total));
        Position { after, ..position }.write(tenant, collection)
    });
    Ok(document::json(page_text(total, next.as_deref(), &page.documents), &parts.method))
}

fn now_ms() -> u64 {
    let since_epoch = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    u64::try_from(since_epoch.as_millis()).unwrap_or(u64::MAX)
}

/// Returns the span of time that a request names, its end left out.
fn span(
    range: Option<String>,
    from: Option<String>,
    to: Option<String>,
    now_ms: u64,
) -> Result<Range<u64>, HttpError> {
    // What was written in this millisecond is part of the report.
    let end = now_ms.saturating_add(1);
    match (range.as_deref(), from, to) {
        (Some(_), Some(_), _) | (Some(_), _, Some(_)) => {
            Err(HttpError::bad_request("give `range`, or `from` and `to`, and not both"))
        }
        (None, None, Some(_)) => Err(HttpError::bad_request("`to` needs `from`")),
        (None, Some(from), to) => {
            let start = instant("from", &from)?;
            let end = to.map_or(Ok(end), |to| instant("to", &to))?;
            if start > end {
                return Err(HttpError::bad_request("`from` is after `to`"));
            }
            Ok(start..end)
        }
        (range, None, None) => {
            let days = match range.unwrap_or("last_day") {
                "last_day" => 1,
                "last_week" => 7,
                "last_month" => 30,
                _ => return Err(bad_value("range", "`last_day`, `last_week` or `last_month`")),
            };
            Ok(now_ms.saturating_sub(days * DAY_MS)..end)
        }
    }
}

/// Reads a time: epoch milliseconds, or ISO 8601, in UTC unless it says otherwise.
fn instant(name: &str, text: &str) -> Result<u64, HttpError> {
    if text.bytes().all(|byte| byte.is_ascii_digit()) && text.len() > 8 || text == "0" {
        return text.parse().map_err(|_| bad_value(name, "a time"));
    }
    let parsed = OffsetDateTime::parse(text, &Iso8601::DEFAULT)
        .or_else(|_| {
            PrimitiveDateTime::parse(text, &Iso8601::DEFAULT).map(|time| time.assume_utc())
        })
        .or_else(|_| Date::parse(text, &Iso8601::DEFAULT).map(|date| date.midnight().assume_utc()));
    let parsed = parsed.ok().map(|time| time.unix_timestamp_nanos() / 1_000_000);
    parsed
        .and_then(|time| u64::try_from(time).ok())
        .ok_or_else(|| bad_value(name, "epoch milliseconds, or a time like `2026-01-31T12:00:00Z`"))
}

impl Position {
    fn write(&self, tenant: &TenantId, collection: &Collection) -> String {
        let (revision, total) = self.after.unwrap_or_default();
        let numbers = [self.times_ms.start, self.times_ms.end, revision.get(), total];
        let bytes: Vec<u8> = numbers.iter().flat_map(|number| number.to_be_bytes()).collect();
        cursor::seal(cursor::Kind::Report, tenant, collection.name(), &bytes)
    }

    fn read(tenant: &TenantId, collection: &Collection, text: &str) -> Option<Self> {
        let bytes = cursor::open(cursor::Kind::Report, tenant, collection.name(), text)?;
        let (numbers, []) = bytes.as_chunks::<8>() else { return None };
        let numbers: Vec<u64> = numbers.iter().map(|bytes| u64::from_be_bytes(*bytes)).collect();
        let [start, end, revision, total] = numbers[..] else { return None };
        Some(Self { times_ms: start..end, after: Some((Revision::new(revision), total)) })
    }
}

fn page_text(total: u64, next: Option<&str>, documents: &[Document]) -> Bytes {
    let mut text = BytesMut::new();
    let length: usize = documents.iter().map(|found| found.as_bytes().len() + 300).sum();
    text.reserve(length + 100);
    let next = next.map_or_else(|| "null".to_owned(), |next| format!("\"{next}\""));
    let head = format!(r#"{{"total":{total},"cursor":{{"next":{next}}},"data":["#);
    text.put_slice(head.as_bytes());
    for (index, found) in documents.iter().enumerate() {
        if index > 0 {
            text.put_u8(b',');
        }
        put_row(&mut text, found);
    }
    text.put_slice(b"]}");
    text.freeze()
}

/// Writes a document as it is stored, with its id in front as the member `ID` unless it has one.
fn put_row(text: &mut BytesMut, found: &Document) {
    let body = found.as_bytes();
    // In a stored text a newline stands before each top-level name, and nowhere else.
    const NAME: &[u8] = b"\n\"ID\":";
    let has_id = body.windows(NAME.len()).any(|window| window == NAME);
    if let (false, Some(rest), Some(id)) = (has_id, body.strip_prefix(b"{"), found.id()) {
        text.put_slice(br#"{"ID":""#);
        text.put_slice(DocId::as_str(id).as_bytes());
        text.put_slice(br#"","#);
        text.put_slice(rest);
    } else {
        text.put_slice(body);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const NOON_MS: u64 = 1_769_860_800_000;

    #[test]
    fn a_time_is_epoch_milliseconds_or_iso_8601() {
        for (text, expected) in [
            ("1769860800000", NOON_MS),
            ("0", 0),
            ("2026-01-31T12:00:00Z", NOON_MS),
            ("2026-01-31T12:00:00.25Z", NOON_MS + 250),
            ("2026-01-31T13:00:00+01:00", NOON_MS),
            ("2026-01-31T12:00:00", NOON_MS),
            ("2026-01-31T12:00Z", NOON_MS),
            ("2026-01-31", NOON_MS - DAY_MS / 2),
            ("20260131", NOON_MS - DAY_MS / 2),
            ("20260131T120000Z", NOON_MS),
        ] {
            assert_eq!(instant("from", text).ok(), Some(expected), "{text}");
        }
        for text in ["", "x", "-1", "2026-13-01", "yesterday", "1e12", "99999999999999999999999"] {
            assert!(instant("from", text).is_err(), "{text:?} was taken");
        }
    }

    #[test]
    fn a_span_is_a_range_or_two_times() {
        let text = |text: &str| Some(text.to_owned());
        let of = |range, from, to| span(range, from, to, NOON_MS).ok();
        assert_eq!(of(None, None, None), Some(NOON_MS - DAY_MS..NOON_MS + 1));
        assert_eq!(of(text("last_week"), None, None), Some(NOON_MS - 7 * DAY_MS..NOON_MS + 1));
        assert_eq!(of(text("last_month"), None, None), Some(NOON_MS - 30 * DAY_MS..NOON_MS + 1));
        assert_eq!(of(None, text("0"), text("1000000000")), Some(0..1_000_000_000));
        assert_eq!(of(None, text("0"), None), Some(0..NOON_MS + 1));
        assert_eq!(of(text("last_year"), None, None), None);
        assert_eq!(of(text("last_day"), text("0"), None), None);
        assert_eq!(of(None, None, text("1000000000")), None);
        assert_eq!(of(None, text("2000000000"), text("1000000000")), None);
    }
}
