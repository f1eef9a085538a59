//! `Prefer: return=minimal` (RFC 7240), and `return=diff`, which is ours.

use axum::http::HeaderMap;

use crate::disclosure::Disclosure;

/// What a client wants to get back from a write.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) enum Return {
    /// The document as stored.
    #[default]
    Representation,
    /// No body.
    Minimal,
    /// What has changed; a preference of ours.
    Diff,
}

impl Return {
    /// Returns the preference as `Preference-Applied` says that it was followed; the default goes
    /// without saying.
    pub(crate) fn applied(self) -> Option<&'static str> {
        match self {
            Self::Representation => None,
            Self::Minimal => Some("return=minimal"),
            Self::Diff => Some("return=diff"),
        }
    }

    /// Returns the preference that can be followed: what has changed is not shown to whoever may not
    /// read it.
    pub(crate) fn within(self, disclosure: Disclosure) -> Self {
        match (self, disclosure) {
            (Self::Diff, Disclosure::Stamps) => Self::Representation,
            (wanted, _) => wanted,
        }
    }

    /// Reads the preference; what is not understood is ignored, and the first one wins (§2).
    pub(crate) fn of(headers: &HeaderMap) -> Self {
        let values = headers.get_all("prefer").into_iter().filter_map(|value| value.to_str().ok());
        let preferences = values.flat_map(|value| value.split(','));
        let wanted = preferences.filter_map(|preference| {
            let preference = preference.split(';').next().unwrap_or_default();
            let (name, value) = preference.split_once('=')?;
            let value = value.trim().trim_matches('"');
            match (name.trim().eq_ignore_ascii_case("return"), value) {
                (true, "minimal") => Some(Self::Minimal),
                (true, "diff") => Some(Self::Diff),
                (true, "representation") => Some(Self::Representation),
                _ => None,
            }
        });
        wanted.into_iter().next().unwrap_or_default()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_preference_is_found_among_others() {
        for (value, expected) in [
            ("return=minimal", Return::Minimal),
            ("respond-async, return=minimal; foo=bar", Return::Minimal),
            ("Return = \"minimal\"", Return::Minimal),
            ("return=diff", Return::Diff),
            ("return=representation", Return::Representation),
            ("return=representation, return=minimal", Return::Representation),
            ("return", Return::Representation),
            ("wait=10", Return::Representation),
            ("", Return::Representation),
        ] {
            let mut headers = HeaderMap::new();
            headers.insert("prefer", value.parse().expect("a header value"));
            assert_eq!(Return::of(&headers), expected, "{value:?}");
        }
    }
}
