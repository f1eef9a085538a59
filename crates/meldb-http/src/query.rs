//! The query of a request.

use std::borrow::Cow;

use meldb::{Depth, Expiry, Nulls, WriteOptions};

use crate::{error::HttpError, percent::percent_decode, times::parse_expiry};

/// The most documents of a page.
pub(crate) const PAGE_DOCUMENTS_MAX: usize = 1000;
/// The parameter that may carry a key.
pub(crate) const BEARER_TOKEN: &str = "bearer_token";

/// The parameters about one document or a list; others have been refused.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Query {
    pub(crate) nulls: Nulls,
    pub(crate) depth: Depth,
    /// A write that would change nothing is not made.
    pub(crate) skip_unchanged: bool,
    /// Nothing is written.
    pub(crate) dry_run: bool,
    /// When the document that is written expires.
    pub(crate) expiry: Expiry,
    pub(crate) limit: Option<usize>,
    pub(crate) cursor: Option<String>,
    /// A list begins behind this id.
    pub(crate) after: Option<String>,
    /// A list has the revision of each document.
    pub(crate) revisions: bool,
    /// Conditions of the documents of a list; all of them hold.
    pub(crate) conditions: Vec<String>,
    /// The order of a list.
    pub(crate) sort: Option<String>,
    /// The fields that a list has of each document.
    pub(crate) fields: Option<String>,
}

impl Query {
    /// Returns the options of a write.
    pub(crate) fn options(&self) -> WriteOptions {
        let Self { nulls, depth, skip_unchanged, dry_run, expiry, .. } = *self;
        WriteOptions { nulls, depth, skip_unchanged, dry_run, expiry, ..WriteOptions::default() }
    }

    /// Reads the query of a request.
    ///
    /// # Errors
    /// 400 for a value that its parameter does not have, or one given twice.
    pub(crate) fn parse(query: Option<&str>) -> Result<Self, HttpError> {
        let mut parsed = Self::default();
        let mut seen = Vec::new();
        for (name, value) in parameters(query) {
            if !matches!(
                &*name,
                "nulls"
                    | "depth"
                    | "skipUnchanged"
                    | "dryRun"
                    | "expireAt"
                    | "limit"
                    | "cursor"
                    | "after"
                    | "revisions"
                    | "where"
                    | "sort"
                    | "fields"
            ) {
                continue;
            }
            if name != "where" && seen.contains(&name) {
                return Err(HttpError::bad_request(format!("`{name}` is given twice")));
            }
            match (&*name, &*value) {
                ("nulls", "remove") => parsed.nulls = Nulls::Remove,
                ("nulls", "keep") => parsed.nulls = Nulls::Keep,
                ("nulls", _) => return Err(bad_value("nulls", "`remove` or `keep`")),
                ("depth", "deep") => parsed.depth = Depth::Deep,
                ("depth", "shallow") => parsed.depth = Depth::Shallow,
                ("depth", _) => return Err(bad_value("depth", "`deep` or `shallow`")),
                ("skipUnchanged", value) => {
                    parsed.skip_unchanged = parse_flag("skipUnchanged", value)?
                }
                ("dryRun", value) => parsed.dry_run = parse_flag("dryRun", value)?,
                ("expireAt", text) => {
                    let refused = |error| HttpError::bad_request(format!("`expireAt`: {error}"));
                    parsed.expiry = parse_expiry(text).map_err(refused)?;
                }
                ("limit", text) => parsed.limit = limit(Some(text), PAGE_DOCUMENTS_MAX)?,
                ("after", id) => parsed.after = Some(id.to_owned()),
                ("where", filter) => parsed.conditions.push(filter.to_owned()),
                ("sort", order) => parsed.sort = Some(order.to_owned()),
                ("fields", fields) => parsed.fields = Some(fields.to_owned()),
                ("revisions", value) => parsed.revisions = parse_flag("revisions", value)?,
                (_, cursor) => parsed.cursor = Some(cursor.to_owned()),
            }
            seen.push(name);
        }
        Ok(parsed)
    }
}

/// What is said of a key in a query where that is off.
pub const QUERY_TOKEN_OFF: &str = "this server takes no key as `bearer_token`: send the header \
     Authorization: Bearer KEY, or start the server with --query-token";

/// Returns the tokens that a query carries.
pub fn bearer_tokens(query: Option<&str>) -> impl Iterator<Item = String> + '_ {
    let is_token = |(name, value): (Cow<'_, str>, Cow<'_, str>)| {
        (name == BEARER_TOKEN).then(|| value.into_owned())
    };
    parameters(query).filter_map(is_token)
}

/// Returns a query without the key that it may carry.
pub(crate) fn without_token(query: Option<&str>) -> String {
    without(query, &[BEARER_TOKEN])
}

/// Returns a query, as it was sent, without some of its parameters.
pub(crate) fn without(query: Option<&str>, names: &[&str]) -> String {
    let pairs = query.unwrap_or_default().split('&').filter(|pair| !pair.is_empty());
    let is_other = |pair: &&str| !names.contains(&&*decode(pair.split('=').next().unwrap_or(pair)));
    pairs.filter(is_other).collect::<Vec<_>>().join("&")
}

pub(crate) fn bad_value(name: &str, expected: &str) -> HttpError {
    HttpError::bad_request(format!("`{name}` must be {expected}"))
}

fn parse_flag(name: &str, value: &str) -> Result<bool, HttpError> {
    value.parse().map_err(|_| bad_value(name, "`true` or `false`"))
}

/// Reads the parameter `limit`, a number from 1 to `max`.
pub(crate) fn limit(text: Option<&str>, max: usize) -> Result<Option<usize>, HttpError> {
    let Some(text) = text else { return Ok(None) };
    let digits = text.bytes().all(|byte| byte.is_ascii_digit());
    let limit = text.parse().ok().filter(|limit| digits && (1..=max).contains(limit));
    let limit = limit.ok_or_else(|| bad_value("limit", &format!("a number from 1 to {max}")))?;
    Ok(Some(limit))
}

/// Returns the values of the parameters `names`, in their order; others are passed over.
///
/// # Errors
/// 400 for one that is given twice.
pub(crate) fn values<const COUNT: usize>(
    query: Option<&str>,
    names: [&str; COUNT],
) -> Result<[Option<String>; COUNT], HttpError> {
    let mut values = [const { None }; COUNT];
    for (name, value) in parameters(query) {
        let Some(index) = names.iter().position(|known| *known == name) else { continue };
        if values[index].replace(value.into_owned()).is_some() {
            return Err(HttpError::bad_request(format!("`{name}` is given twice")));
        }
    }
    Ok(values)
}

/// Splits a query into names and values (`application/x-www-form-urlencoded`).
pub(crate) fn parameters(
    query: Option<&str>,
) -> impl Iterator<Item = (Cow<'_, str>, Cow<'_, str>)> {
    let pairs = query.unwrap_or_default().split('&').filter(|pair| !pair.is_empty());
    pairs.map(|pair| {
        let (name, value) = pair.split_once('=').unwrap_or((pair, ""));
        (decode(name), decode(value))
    })
}

/// Decodes a name or value; one that is no encoded text stays as it is, and matches nothing.
fn decode(raw: &str) -> Cow<'_, str> {
    if !raw.contains(['%', '+']) {
        return Cow::Borrowed(raw);
    }
    let spaced = raw.replace('+', " ");
    let decoded = percent_decode(&spaced).and_then(|bytes| String::from_utf8(bytes.into()).ok());
    decoded.map_or(Cow::Borrowed(raw), Cow::Owned)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn known_parameters_are_read() {
        let query = Query::parse(Some("nulls=keep&depth=shallow&&limit=10&cursor=a%2Bb&skipUnchanged=true&dryRun=false&expireAt=1769860800000&after=abc&revisions=true&where=a+%3D+1&sort=-n&fields=n,m&where=b%3D2"))
            .expect("a good query");
        let expected = Query {
            nulls: Nulls::Keep,
            depth: Depth::Shallow,
            skip_unchanged: true,
            dry_run: false,
            expiry: Expiry::At(1_769_860_800_000),
            limit: Some(10),
            cursor: Some("a+b".to_owned()),
            after: Some("abc".to_owned()),
            revisions: true,
            conditions: vec!["a = 1".to_owned(), "b=2".to_owned()],
            sort: Some("-n".to_owned()),
            fields: Some("n,m".to_owned()),
        };
        assert_eq!(query, expected);
        assert_eq!(Query::parse(None).expect("no query"), Query::default());
    }

    #[test]
    fn bad_values_are_refused() {
        for query in [
            "nulls=",
            "nulls",
            "nulls=KEEP",
            "nulls=drop",
            "depth=1",
            "skipUnchanged",
            "skipUnchanged=1",
            "dryRun=yes",
            "dryRun=true&dryRun=true",
            "expireAt",
            "expireAt=soon",
            "expireAt=+7",
            "expireAt=1769860800000.0",
            "expireAt=1769860800",
            "expireAt=never&expireAt=never",
            "limit=0",
            "limit=1001",
            "limit=-1",
            "limit=+1",
            "limit=%2B1",
            "limit=",
            "limit=1.0",
            "limit=1e2",
            "limit=99999999999999999999",
            "nulls=keep&nulls=keep",
            "cursor=a&cursor=b",
        ] {
            assert!(Query::parse(Some(query)).is_err(), "{query:?} was taken");
        }
        for query in [
            "limit=1",
            "limit=1000",
            "expireAt=never",
            "expireAt=2027-01-01",
            "expireAt=2027-01-01T00:00:00+02:00",
            "nulls=remove",
            "depth=deep",
            "%6Eulls=keep",
        ] {
            assert!(Query::parse(Some(query)).is_ok(), "{query:?} was refused");
        }
    }

    #[test]
    fn a_token_is_left_out_however_it_is_encoded() {
        let query = Some("a=1&bearer_token=x&bearer%5Ftoken=y&bearer_token&b=bearer_token");
        assert_eq!(without_token(query), "a=1&b=bearer_token");
        assert_eq!(without_token(None), "");
    }

    #[test]
    fn tokens_are_found_however_they_are_encoded() {
        let tokens: Vec<_> =
            bearer_tokens(Some("a=1&bearer_token=x%5Fy&bearer%5Ftoken=z")).collect();
        assert_eq!(tokens, ["x_y", "z"]);
    }
}
