//! The path of a request, read segment by segment before anything is decoded.
//!
//! A router that matches decoded paths, or decodes matched ones, can be told that `a%2Fb` is two
//! segments or that it is one. Here the raw path is split at its slashes once, each segment is
//! decoded once, and a segment that decodes to something no name may hold is malformed for good.

use std::{borrow::Cow, iter};

/// What requests to documents start with.
const API_ROOT: &str = "/api/v1/";
/// The prefix of the change feed.
pub(crate) const CHANGES: &str = "changes";
/// The prefix of what is about the store as a whole.
pub(crate) const ADMIN: &str = "admin";
/// The prefix of reports.
pub(crate) const REPORTING: &str = "reporting";

/// What stands behind a tenant whose documents are written together.
const BATCH: &str = ":batch";

/// As many segments as the longest route has; a path may have more.
const SEGMENTS: usize = 7;

/// Why a path is malformed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct PathFlaw(pub(crate) &'static str);

/// One segment, decoded.
pub(crate) type Segment<'a> = Result<Cow<'a, str>, PathFlaw>;

/// The segments of a path behind `/api/v1/`; at least one.
#[derive(Debug)]
pub(crate) struct ApiPath<'a> {
    segments: Vec<Segment<'a>>,
}

impl<'a> ApiPath<'a> {
    /// Returns the path if it is below `/api/v1/`.
    pub(crate) fn parse(path: &'a str) -> Option<Self> {
        let rest = path.strip_prefix(API_ROOT)?;
        let mut segments = Vec::with_capacity(SEGMENTS);
        segments.extend(split(rest).map(decode));
        Some(Self { segments })
    }

    /// Returns the first segment.
    pub(crate) fn prefix(&self) -> Result<&str, PathFlaw> {
        self.segment(0).unwrap_or(Ok(""))
    }

    /// Returns the tenant that the path names: the segment behind `PREFIX/tenants/`, without the
    /// `:batch` that may end the path there.
    pub(crate) fn tenant(&self) -> Option<Result<&str, PathFlaw>> {
        let is_of_tenants = matches!(self.segment(1), Some(Ok("tenants")));
        let tenant = self.segment(2).filter(|_| is_of_tenants)?;
        Some(tenant.map(|tenant| match self.is_batch() {
            true => tenant.strip_suffix(BATCH).unwrap_or(tenant),
            false => tenant,
        }))
    }

    /// Returns whether the path ends in a tenant with `:batch`, which no tenant's name can hold.
    pub(crate) fn is_batch(&self) -> bool {
        let [_, Ok(tenants), Ok(last)] = self.segments.as_slice() else { return false };
        tenants == "tenants" && last.ends_with(BATCH)
    }

    /// Returns the resource that the path names: the segment behind the tenant.
    pub(crate) fn resource(&self) -> Option<Result<&str, PathFlaw>> {
        self.tenant().and_then(|_| self.segment(3))
    }

    /// Returns every segment.
    ///
    /// # Errors
    /// The first flaw of the path.
    pub(crate) fn segments(&self) -> Result<Vec<&str>, PathFlaw> {
        self.segments.iter().map(|segment| segment.as_deref().map_err(|flaw| *flaw)).collect()
    }

    fn segment(&self, index: usize) -> Option<Result<&str, PathFlaw>> {
        let segment = self.segments.get(index)?;
        Some(segment.as_deref().map_err(|flaw| *flaw))
    }
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
        return Err(PathFlaw("a segment of the path is empty"));
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

/// Returns the bytes that `raw` stands for, or `None` if a `%` has no two digits behind it.
pub(crate) fn percent_decode(raw: &str) -> Option<Cow<'_, [u8]>> {
    let raw = raw.as_bytes();
    if !raw.contains(&b'%') {
        return Some(Cow::Borrowed(raw));
    }
    let mut bytes = Vec::with_capacity(raw.len());
    let mut rest = raw;
    while let Some((first, behind)) = rest.split_first() {
        if *first != b'%' {
            bytes.push(*first);
            rest = behind;
            continue;
        }
        let [high, low, behind @ ..] = behind else { return None };
        let digit = |byte: u8| char::from(byte).to_digit(16);
        bytes.push(u8::try_from(digit(*high)? * 16 + digit(*low)?).ok()?);
        rest = behind;
    }
    Some(Cow::Owned(bytes))
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
            ("", Err(PathFlaw("a segment of the path is empty"))),
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
    fn a_path_names_its_tenant_and_resource() {
        let path = ApiPath::parse("/api/v1/provisioning/tenants/t/users/u").expect("an API path");
        assert_eq!(path.prefix(), Ok("provisioning"));
        assert_eq!(path.tenant(), Some(Ok("t")));
        assert_eq!(path.resource(), Some(Ok("users")));
        assert_eq!(path.segments(), Ok(vec!["provisioning", "tenants", "t", "users", "u"]));

        let path = ApiPath::parse("/api/v1/provisioning/tenants/t:batch").expect("an API path");
        assert_eq!((path.tenant(), path.is_batch()), (Some(Ok("t")), true));
        let path =
            ApiPath::parse("/api/v1/provisioning/tenants/t:batch/users").expect("an API path");
        assert_eq!((path.tenant(), path.is_batch()), (Some(Ok("t:batch")), false));

        let path = ApiPath::parse("/api/v1/other/t/users").expect("an API path");
        assert_eq!((path.tenant(), path.resource()), (None, None));
        assert!(ApiPath::parse("/api/v1").is_none());
        assert!(ApiPath::parse("//api/v1/provisioning").is_none());
        assert!(ApiPath::parse("/api%2Fv1/provisioning").is_none());
    }

    /// Found beside the fuzz target `scope`: every `:batch` at the end of a path was taken off, so
    /// that a batch had as many addresses as one likes.
    #[test]
    fn a_batch_has_one_address() {
        let path = ApiPath::parse("/api/v1/provisioning/tenants/t:batch:batch").expect("a path");
        assert_eq!((path.tenant(), path.is_batch()), (Some(Ok("t:batch")), true));
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
