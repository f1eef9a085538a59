//! `ETag`, `If-Match` and `If-None-Match` (RFC 9110 §8.8.3 and §13.1).

use axum::http::{HeaderMap, HeaderName, HeaderValue, header};
use bytes::{BufMut, BytesMut};
use meldb::{Condition, Revision};

use crate::error::{Code, HttpError};

/// The encoding that answers are compressed by. A compressed answer has a tag of its own.
pub(crate) const GZIP: &str = "gzip";

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

/// Returns the entity tag of the compressed form of what `tag` is of; `None` for one of another server.
pub(crate) fn compressed_tag(tag: &HeaderValue) -> Option<HeaderValue> {
    let plain = tag.to_str().ok()?.strip_suffix('"')?;
    HeaderValue::try_from(format!("{plain}-{GZIP}\"")).ok()
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
    /// It is of a compressed answer.
    compressed: bool,
    /// `None` for a tag that this server never gave.
    revision: Option<Revision>,
}

/// What the conditions say of a read.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum ReadVerdict {
    Proceed,
    /// The client has it already, under this tag.
    NotModified(HeaderValue),
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
        match self.if_none_match.as_ref().and_then(|tags| tags.held(revision)) {
            Some(held) => ReadVerdict::NotModified(held),
            None => ReadVerdict::Proceed,
        }
    }

    /// Returns the refusal of a request whose conditions do not hold for a document at `found`, or for
    /// none.
    pub(crate) fn failed(&self, found: Option<Revision>) -> HttpError {
        let mut message = match found {
            Some(revision) => format!(
                "the document is at revision {revision}, which does not fit the conditions of the request"
            ),
            None => "the document does not exist, which does not fit the conditions of the request"
                .to_owned(),
        };
        if let Some(Tags::Listed(tags)) = &self.if_match
            && tags.iter().any(|tag| tag.weak)
        {
            message.push_str(
                "; a weak tag (W/) never fits If-Match: a proxy has made it weak, so send the revision \
                 in quotes without the W/",
            );
        }
        HttpError::new(Code::PreconditionFailed, message)
    }

    /// Checks that they are conditions that a read can have.
    ///
    /// # Errors
    /// 400.
    pub(crate) fn check_of_read(&self) -> Result<(), HttpError> {
        match self.unchanged_since {
            None => Ok(()),
            Some(_) => Err(HttpError::bad_request(format!(
                "{IF_UNCHANGED_SINCE} is for writes; a read has If-None-Match"
            ))),
        }
    }

    /// Returns how a write keeps them.
    pub(crate) fn on_write(&self) -> WriteVerdict {
        let one = |tags: &[Tag]| match tags {
            [Tag { weak: false, revision: Some(revision), .. }] => Some(*revision),
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

    /// Returns the tag under which a client has a document already, if it says so. Compressed and plain
    /// texts of a revision stand for each other.
    fn held(&self, revision: Revision) -> Option<HeaderValue> {
        let plain = entity_tag(revision);
        match self {
            Self::Any => Some(plain),
            Self::Listed(tags) => {
                let mut held = tags.iter().filter(|tag| tag.revision == Some(revision)).peekable();
                let is_compressed = held.peek()?.compressed && held.all(|tag| tag.compressed);
                if is_compressed { compressed_tag(&plain) } else { Some(plain) }
            }
        }
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
    let malformed = || {
        let message = format!("{name} must be * or entity tags in quotes, such as {name}: \"12\"");
        HttpError::bad_request(message)
    };
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
        let plain = opaque.strip_suffix(GZIP.as_bytes()).and_then(|plain| plain.strip_suffix(b"-"));
        let revision = parse_revision(plain.unwrap_or(opaque));
        tags.push(Tag { weak, compressed: plain.is_some(), revision });
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
            ("\"7-gzip\"", true, false),
            ("\"7-br\"", false, false),
            ("\"gzip\"", false, false),
            ("\"-gzip\"", false, false),
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
            let held = || ReadVerdict::NotModified(entity_tag(Revision::new(7)));
            let verdict = if at_7 { ReadVerdict::Proceed } else { held() };
            assert_eq!(conditions.on_read(Revision::new(7)), verdict, "{value}");
        }
    }

    #[test]
    fn a_client_is_told_of_the_text_that_it_has() {
        for (value, held) in [
            ("\"7\"", "\"7\""),
            ("W/\"7\"", "\"7\""),
            ("\"7-gzip\"", "\"7-gzip\""),
            ("\"6\", \"7-gzip\"", "\"7-gzip\""),
            ("\"7-gzip\", \"7\"", "\"7\""),
            ("*", "\"7\""),
        ] {
            let conditions = conditions(None, Some(value)).expect(value);
            let held = HeaderValue::from_static(held);
            let verdict = conditions.on_read(Revision::new(7));
            assert_eq!(verdict, ReadVerdict::NotModified(held), "{value}");
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
