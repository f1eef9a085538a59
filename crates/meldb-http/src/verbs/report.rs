//! Reports: the documents of a collection that were written in a span of time, page by page.

use std::{
    ops::Range,
    time::{SystemTime, UNIX_EPOCH},
};

use axum::{http::request::Parts, response::Response};
use bytes::{BufMut, Bytes, BytesMut};
use meldb::{Collection, DocId, Document, Revision, TenantId};

use crate::{
    bodies::{budget::Admission, response},
    cursor,
    error::HttpError,
    query::{self, bad_value},
    times::parse_time,
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
    // A page goes on in the span of the first one, whatever is said of spans with it.
    let times_ms = span(range, from, to, now_ms())?;
    let position = match cursor {
        Some(text) => Position::read(tenant, collection, &text)
            .ok_or_else(|| HttpError::bad_request("`cursor` is not one of this report"))?,
        None => Position { times_ms, after: None },
    };
    // The documents and the text that is made of them.
    admission.reserve_answer(2 * PAGE_BYTES_MAX).await?;
    let all = collection.updated(position.times_ms.clone()).bytes_max(PAGE_BYTES_MAX);
    let (mut from_here, total) = match position.after {
        None => (all.clone(), all.count_async().await?),
        Some((revision, total)) => (all.after(revision), total),
    };
    let page = from_here.page_async(limit).await?;
    let next = page.documents.last().filter(|_| page.more).map(|last| {
        let after = Some((last.revision(), total));
        Position { after, ..position }.write(tenant, collection)
    });
    Ok(response::json(page_text(tenant, total, next.as_deref(), &page.documents), &parts.method))
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
        (None, from, to) if from.is_some() || to.is_some() => {
            let start = from.map_or(Ok(0), |from| instant("from", &from))?;
            let end = to.map_or(Ok(end), |to| instant("to", &to))?;
            if start > end {
                return Err(HttpError::bad_request("`from` is after `to`"));
            }
            Ok(start..end)
        }
        (range, _, _) => {
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

/// Reads a moment; nothing was written before 1970.
fn instant(name: &str, text: &str) -> Result<u64, HttpError> {
    let time = parse_time(text);
    let time = time.map_err(|error| HttpError::bad_request(format!("`{name}`: {error}")))?;
    Ok(u64::try_from(time).unwrap_or(0))
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

fn page_text(tenant: &TenantId, total: u64, next: Option<&str>, documents: &[Document]) -> Bytes {
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
        put_row(&mut text, tenant, found);
    }
    text.put_slice(b"]}");
    text.freeze()
}

/// Writes a document as it is stored, with its id and its tenant in front, as the members `ID` and
/// `TenantID`, unless it has members of these names.
fn put_row(text: &mut BytesMut, tenant: &TenantId, found: &Document) {
    let body = found.as_bytes();
    let (Some(rest), Some(id)) = (body.strip_prefix(b"{"), found.id()) else {
        return text.put_slice(body);
    };
    text.put_u8(b'{');
    for (name, value) in [("ID", DocId::as_str(id)), ("TenantID", tenant.as_str())] {
        // In a stored text a newline stands before each top-level name, and nowhere else.
        if memchr::memmem::find(body, format!("\n\"{name}\":").as_bytes()).is_none() {
            text.put_slice(format!("\"{name}\":\"{value}\",").as_bytes());
        }
    }
    text.put_slice(rest);
}

#[cfg(test)]
mod tests {
    use super::*;

    const NOON_MS: u64 = 1_769_860_800_000;

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
        assert_eq!(of(None, None, text("1000000000")), Some(0..1_000_000_000));
        assert_eq!(of(None, text("-1"), text("1000")), Some(0..1000));
        assert_eq!(of(None, text("2026-01-31T12:00:00 00:00"), None), Some(NOON_MS..NOON_MS + 1));
        assert_eq!(of(None, text("soon"), None), None);
        assert_eq!(of(None, text("2000000000"), text("1000000000")), None);
    }
}
