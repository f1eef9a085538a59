//! The path of a request, split into segments before anything is decoded.
//!
//! A router that matches decoded paths, or decodes matched ones, can be made to read `a%2Fb` as two
//! segments or that it is one. Here the raw path is split at its slashes once, each segment is
//! decoded once, and a segment that decodes to something no name may hold is malformed for good.

use std::{borrow::Cow, iter};

use crate::percent::percent_decode;

/// As many segments as the longest route has; a path may have more.
const SEGMENTS: usize = 9;

/// Why a path is malformed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct PathFlaw(pub(crate) &'static str);

impl PathFlaw {
    pub(crate) const EMPTY: Self =
        Self("a segment of the path is empty: there are two slashes in a row, or one at the end");
}

/// One segment, decoded.
pub(crate) type Segment<'a> = Result<Cow<'a, str>, PathFlaw>;

/// Returns the segments of a path, or `None` if it does not begin with a slash.
pub(crate) fn segments(path: &str) -> Option<Vec<Segment<'_>>> {
    let rest = path.strip_prefix('/')?;
    let mut segments = Vec::with_capacity(SEGMENTS);
    segments.extend(split(rest).map(decode));
    Some(segments)
}

/// Splits at slashes, as `str::split` does; segments are short, and a plain loop is faster on them.
fn split(path: &str) -> impl Iterator<Item = &str> {
    let mut rest = Some(path);
    iter::from_fn(move || {
        let text = rest?;
        let Some(at) = text.bytes().position(|byte| byte == b'/') else { return rest.take() };
        rest = Some(&text[at + 1..]);
        Some(&text[..at])
    })
}

/// Decodes one raw segment (RFC 3986 §2.1), strictly.
fn decode(raw: &str) -> Segment<'_> {
    let is_plain = |byte: u8| byte.is_ascii() && byte != b'%' && byte != 0;
    if !raw.is_empty() && raw.bytes().all(is_plain) {
        return Ok(Cow::Borrowed(raw));
    }
    if raw.is_empty() {
        return Err(PathFlaw::EMPTY);
    }
    let text = percent_decode(raw).ok_or(PathFlaw("the path has a `%` without two digits"))?;
    let flaw = |byte: &u8| match byte {
        b'/' => Some("a segment of the path holds an encoded slash"),
        0 => Some("the path holds a NUL"),
        0x80.. => Some("the path is not ASCII"),
        _ => None,
    };
    if let Some(flaw) = text.iter().find_map(flaw) {
        return Err(PathFlaw(flaw));
    }
    match text {
        Cow::Borrowed(_) => Ok(Cow::Borrowed(raw)),
        Cow::Owned(text) => match String::from_utf8(text) {
            Ok(text) => Ok(Cow::Owned(text)),
            Err(_) => Err(PathFlaw("the path is not ASCII")),
        },
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn segments_are_split_before_they_are_decoded() {
        for (raw, expected) in [
            ("users", Ok("users")),
            ("us%65rs", Ok("users")),
            ("%75%73ers", Ok("users")),
            ("a%2eb", Ok("a.b")),
            ("%2E%2e", Ok("..")),
            ("a%20b", Ok("a b")),
            ("a%252Fb", Ok("a%2Fb")),
            ("a+b", Ok("a+b")),
            ("", Err(PathFlaw::EMPTY)),
            ("a%2Fb", Err(PathFlaw("a segment of the path holds an encoded slash"))),
            ("a%2fb", Err(PathFlaw("a segment of the path holds an encoded slash"))),
            ("a%00", Err(PathFlaw("the path holds a NUL"))),
            ("%C3%BC", Err(PathFlaw("the path is not ASCII"))),
            ("%C0%AF", Err(PathFlaw("the path is not ASCII"))),
            ("ü", Err(PathFlaw("the path is not ASCII"))),
            ("%", Err(PathFlaw("the path has a `%` without two digits"))),
            ("a%2", Err(PathFlaw("the path has a `%` without two digits"))),
            ("%zz", Err(PathFlaw("the path has a `%` without two digits"))),
            ("%+1", Err(PathFlaw("the path has a `%` without two digits"))),
        ] {
            assert_eq!(decode(raw).as_deref(), expected.as_ref().copied(), "{raw:?}");
        }
    }

    #[test]
    fn a_path_begins_with_a_slash_and_keeps_its_empty_segments() {
        let count = |path| segments(path).map(|segments| segments.len());
        assert_eq!(count("/"), Some(1));
        assert_eq!(count("//a/"), Some(3));
        assert_eq!((count(""), count("*"), count("a/b")), (None, None, None));
    }

    proptest! {
        #[test]
        fn what_is_encoded_decodes_to_itself(bytes in proptest::collection::vec(any::<u8>(), 1..40)) {
            let raw: String = bytes.iter().map(|byte| format!("%{byte:02x}")).collect();
            let decoded = percent_decode(&raw);
            prop_assert_eq!(decoded.as_deref(), Some(&bytes[..]));
        }

        #[test]
        fn no_decoded_segment_holds_a_slash_or_a_nul(raw in "[a-z%0-9/\u{0}A-F]{0,30}") {
            if let Ok(text) = decode(&raw.replace('/', "%2F")) {
                prop_assert!(!text.contains(['/', '\0']));
            }
        }
    }
}
