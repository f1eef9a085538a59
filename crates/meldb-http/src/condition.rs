//! `ETag`, `If-Match` and `If-None-Match` (RFC 9110 §8.8.3 and §13.1).

use axum::http::{HeaderMap, HeaderName, HeaderValue, header};
use bytes::{BufMut, BytesMut};
use meldb::{Condition, Revision};

use crate::error::HttpError;

/// The most tags of one request.
const TAGS_MAX: usize = 100;

/// Returns the strong entity tag of a revision.
pub(crate) fn entity_tag(revision: Revision) -> HeaderValue {
    let mut text = BytesMut::with_capacity(22);
    text.put_u8(b'"');
    text.put_slice(itoa::Buffer::new().format(revision.get()).as_bytes());
    text.put_u8(b'"');
    HeaderValue::from_maybe_shared(text.freeze()).expect("quotes and digits are a header value")
}

/// The conditions of a request.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Conditions {
    if_match: Option<Tags>,
    if_none_match: Option<Tags>,
    unchanged_since: Option<Revision>,
}

/// The revision since which no member that a merge touches may have changed; a header of ours.
const IF_UNCHANGED_SINCE: HeaderName = HeaderName::from_static("if-unchanged-since-revision");

/// What a condition header holds.
#[derive(Clone, Debug, PartialEq, Eq)]
enum Tags {
    /// `*`: whatever there is.
    Any,
    Listed(Vec<Tag>),
}

#[derive(Clone, Debug, PartialEq, Eq)]
struct Tag {
    weak: bool,
    /// `None` for a tag that this server never gave.
    revision: Option<Revision>,
}

/// What the conditions say of a read.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum ReadVerdict {
    Proceed,
    NotModified,
    Failed,
}

/// How a write keeps its conditions.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum WriteVerdict {
    /// The store checks them itself.
    Store(Condition),
    /// They say more than the store can check: they are checked here against the document as read,
    /// and the write is made only if that is still the document.
    Pinned,
}

impl Conditions {
    /// Reads the conditions of a request.
    ///
    /// # Errors
    /// 400 for a header that is neither `*` nor a list of entity tags, for one that is no
    /// revision, and for both sorts together.
    pub(crate) fn parse(headers: &HeaderMap) -> Result<Self, HttpError> {
        let parsed = Self {
            if_match: parse_header(headers, &header::IF_MATCH)?,
            if_none_match: parse_header(headers, &header::IF_NONE_MATCH)?,
            unchanged_since: parse_unchanged_since(headers)?,
        };
        let tags = parsed.if_match.is_some() || parsed.if_none_match.is_some();
        if tags && parsed.unchanged_since.is_some() {
            let message =
                format!("{IF_UNCHANGED_SINCE} goes with neither If-Match nor If-None-Match");
            return Err(HttpError::bad_request(message));
        }
        Ok(parsed)
    }

    /// Returns what they say of reading a document that exists.
    pub(crate) fn on_read(&self, revision: Revision) -> ReadVerdict {
        if self.if_match.as_ref().is_some_and(|tags| !tags.match_strongly(Some(revision))) {
            return ReadVerdict::Failed;
        }
        if self.if_none_match.as_ref().is_some_and(|tags| tags.match_weakly(Some(revision))) {
            return ReadVerdict::NotModified;
        }
        ReadVerdict::Proceed
    }

    /// Returns how a write keeps them.
    pub(crate) fn on_write(&self) -> WriteVerdict {
        let one = |tags: &[Tag]| match tags {
            [Tag { weak: false, revision: Some(revision) }] => Some(*revision),
            _ => None,
        };
        if let Some(since) = self.unchanged_since {
            return WriteVerdict::Store(Condition::Unchanged { since });
        }
        match (&self.if_match, &self.if_none_match) {
            (None, None) => WriteVerdict::Store(Condition::Any),
            (None, Some(Tags::Any)) => WriteVerdict::Store(Condition::Absent),
            (Some(Tags::Listed(tags)), None) => match one(tags) {
                Some(revision) => WriteVerdict::Store(Condition::Matches(revision)),
                None => WriteVerdict::Pinned,
            },
            _ => WriteVerdict::Pinned,
        }
    }

    /// Returns whether they hold for a write to a document at `revision`, or to none.
    pub(crate) fn hold(&self, revision: Option<Revision>) -> bool {
        self.if_match.as_ref().is_none_or(|tags| tags.match_strongly(revision))
            && !self.if_none_match.as_ref().is_some_and(|tags| tags.match_weakly(revision))
    }
}

impl Tags {
    fn match_strongly(&self, revision: Option<Revision>) -> bool {
        self.match_with(revision, |tag| !tag.weak)
    }

    fn match_weakly(&self, revision: Option<Revision>) -> bool {
        self.match_with(revision, |_| true)
    }

    fn match_with(&self, revision: Option<Revision>, counts: impl Fn(&Tag) -> bool) -> bool {
        match self {
            Self::Any => revision.is_some(),
            Self::Listed(tags) => {
                revision.is_some() && tags.iter().any(|tag| counts(tag) && tag.revision == revision)
            }
        }
    }
}

fn parse_unchanged_since(headers: &HeaderMap) -> Result<Option<Revision>, HttpError> {
    let mut values = headers.get_all(&IF_UNCHANGED_SINCE).into_iter();
    match (values.next(), values.next()) {
        (None, _) => Ok(None),
        (Some(value), None) => {
            let text = value.to_str().ok().map(|text| text.trim().trim_matches('"'));
            let revision = text.and_then(|text| text.parse().ok());
            let malformed =
                || HttpError::bad_request(format!("{IF_UNCHANGED_SINCE} must be a revision"));
            revision.map(Some).ok_or_else(malformed)
        }
        _ => Err(HttpError::bad_request(format!("{IF_UNCHANGED_SINCE} is given twice"))),
    }
}

fn parse_header(headers: &HeaderMap, name: &HeaderName) -> Result<Option<Tags>, HttpError> {
    let malformed = || HttpError::bad_request(format!("{name} must be * or a list of entity tags"));
    let mut values = headers.get_all(name).into_iter().peekable();
    if values.peek().is_none() {
        return Ok(None);
    }
    let mut tags = Vec::new();
    let mut any = false;
    for value in values {
        let value = value.as_bytes().trim_ascii();
        any |= value == b"*";
        if value != b"*" {
            parse_list(value, &mut tags).ok_or_else(malformed)?;
        }
    }
    match (any, tags.is_empty()) {
        (true, true) => Ok(Some(Tags::Any)),
        (false, false) if tags.len() <= TAGS_MAX => Ok(Some(Tags::Listed(tags))),
        _ => Err(malformed()),
    }
}

/// Reads a comma-separated list of entity tags; a tag may hold commas itself.
fn parse_list(mut rest: &[u8], tags: &mut Vec<Tag>) -> Option<()> {
    loop {
        rest = rest.trim_ascii_start();
        while let [b',', behind @ ..] = rest {
            rest = behind.trim_ascii_start();
        }
        if rest.is_empty() {
            return Some(());
        }
        let weak = rest.starts_with(b"W/");
        let quoted = if weak { &rest[2..] } else { rest };
        let inner = quoted.strip_prefix(b"\"")?;
        let end = inner.iter().position(|byte| *byte == b'"')?;
        let (opaque, behind) = inner.split_at(end);
        if opaque.iter().any(|byte| *byte <= b' ' || *byte == 0x7F) {
            return None;
        }
        tags.push(Tag { weak, revision: parse_revision(opaque) });
        rest = behind[1..].trim_ascii_start();
        if !(rest.is_empty() || rest.starts_with(b",")) {
            return None;
        }
    }
}

/// Returns the revision of a tag exactly as this server writes it.
fn parse_revision(opaque: &[u8]) -> Option<Revision> {
    let text = std::str::from_utf8(opaque).ok()?;
    let revision: Revision = text.parse().ok()?;
    (revision.to_string() == text).then_some(revision)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn conditions(if_match: Option<&str>, if_none_match: Option<&str>) -> Option<Conditions> {
        let mut headers = HeaderMap::new();
        for (name, value) in [("if-match", if_match), ("if-none-match", if_none_match)] {
            if let Some(value) = value {
                headers.insert(name, value.parse().expect("a header value"));
            }
        }
        Conditions::parse(&headers).ok()
    }

    #[test]
    fn if_match_holds_for_strong_tags_only() {
        for (value, at_7, missing) in [
            ("\"7\"", true, false),
            ("\"6\", \"7\"", true, false),
            ("\"6\",,\"8\"", false, false),
            ("W/\"7\"", false, false),
            ("W/\"7\", \"7\"", true, false),
            ("\"07\"", false, false),
            ("\"+7\"", false, false),
            ("\"7-gzip\"", false, false),
            ("\"a,b\"", false, false),
            ("*", true, false),
        ] {
            let conditions = conditions(Some(value), None).expect(value);
            assert_eq!(conditions.hold(Some(Revision::new(7))), at_7, "{value}");
            assert_eq!(conditions.hold(None), missing, "{value}");
        }
    }

    #[test]
    fn if_none_match_holds_unless_a_tag_matches_weakly() {
        for (value, at_7, missing) in [
            ("\"7\"", false, true),
            ("W/\"7\"", false, true),
            ("\"6\"", true, true),
            ("*", false, true),
        ] {
            let conditions = conditions(None, Some(value)).expect(value);
            assert_eq!(conditions.hold(Some(Revision::new(7))), at_7, "{value}");
            assert_eq!(conditions.hold(None), missing, "{value}");
            let verdict = if at_7 { ReadVerdict::Proceed } else { ReadVerdict::NotModified };
            assert_eq!(conditions.on_read(Revision::new(7)), verdict, "{value}");
        }
    }

    #[test]
    fn the_store_checks_what_it_can() {
        let revision = Revision::new(7);
        for (if_match, if_none_match, expected) in [
            (None, None, WriteVerdict::Store(Condition::Any)),
            (Some("\"7\""), None, WriteVerdict::Store(Condition::Matches(revision))),
            (None, Some("*"), WriteVerdict::Store(Condition::Absent)),
            (Some("*"), None, WriteVerdict::Pinned),
            (Some("W/\"7\""), None, WriteVerdict::Pinned),
            (Some("\"7\", \"8\""), None, WriteVerdict::Pinned),
            (None, Some("\"7\""), WriteVerdict::Pinned),
            (Some("\"7\""), Some("\"8\""), WriteVerdict::Pinned),
        ] {
            let conditions = conditions(if_match, if_none_match).expect("well formed");
            assert_eq!(conditions.on_write(), expected, "{if_match:?} {if_none_match:?}");
        }
    }

    #[test]
    fn malformed_headers_are_refused() {
        for value in ["", "7", "\"7", "7\"", "w/\"7\"", "\"7\" \"8\"", "*, \"7\"", "\"a b\"", ","] {
            assert_eq!(conditions(Some(value), None), None, "{value:?}");
            assert_eq!(conditions(None, Some(value)), None, "{value:?}");
        }
        let many = vec!["\"1\""; TAGS_MAX].join(",");
        assert!(conditions(Some(&many), None).is_some());
        assert!(conditions(Some(&format!("{many},\"1\"")), None).is_none());
    }
}
