//! Percent-encoding (RFC 3986, section 2.1).

use std::borrow::Cow;

/// Returns the bytes that `raw` stands for, or `None` if a `%` has no two digits behind it.
pub fn percent_decode(raw: &str) -> Option<Cow<'_, [u8]>> {
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
