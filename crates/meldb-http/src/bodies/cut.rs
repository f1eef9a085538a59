//! Cutting JSON text that is known to be well-formed into its parts, which keep their bytes.

/// Returns the members of an object: each name, quotes included, and its value.
pub(crate) fn members(object: &[u8]) -> Vec<(&[u8], &[u8])> {
    let mut rest = inside(object);
    let mut members = Vec::new();
    while !rest.is_empty() {
        let (name, behind) = split(rest, b':');
        let (value, behind) = split(behind, b',');
        members.push((name, value));
        rest = behind;
    }
    members
}

/// Returns the elements of an array.
pub(crate) fn elements(array: &[u8]) -> impl Iterator<Item = &[u8]> {
    let mut rest = inside(array);
    std::iter::from_fn(move || {
        let (element, behind) = (!rest.is_empty()).then(|| split(rest, b','))?;
        rest = behind;
        Some(element)
    })
}

/// Returns what is between the brackets, without the white space around it.
fn inside(container: &[u8]) -> &[u8] {
    let text = container.trim_ascii();
    text.get(1..text.len().saturating_sub(1)).unwrap_or_default().trim_ascii()
}

/// Returns what comes before the first `end` outside strings and brackets, and what comes after.
fn split(text: &[u8], end: u8) -> (&[u8], &[u8]) {
    let (mut level, mut quoted, mut escaped) = (0_usize, false, false);
    for (position, &byte) in text.iter().enumerate() {
        if quoted {
            quoted = escaped || byte != b'"';
            escaped = byte == b'\\' && !escaped;
            continue;
        }
        match byte {
            b'"' => quoted = true,
            b'{' | b'[' => level += 1,
            b'}' | b']' => level = level.saturating_sub(1),
            _ if byte == end && level == 0 => {
                return (text[..position].trim_ascii(), text[position + 1..].trim_ascii());
            }
            _ => {}
        }
    }
    (text.trim_ascii(), &[])
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn parts_are_cut_where_they_end_and_keep_their_bytes() {
        let text = br#" { "a,:}" : "\\\"," ,"b":[1.50, {"c":"]"}],"d":{} } "#;
        let expected: [(&[u8], &[u8]); 3] = [
            (br#""a,:}""#, br#""\\\",""#),
            (br#""b""#, br#"[1.50, {"c":"]"}]"#),
            (br#""d""#, b"{}"),
        ];
        assert_eq!(members(text), expected);
        let elements: Vec<_> = elements(br#"[1.50, {"c":"]"} ,"x"]"#).collect();
        let expected: [&[u8]; 3] = [b"1.50", br#"{"c":"]"}"#, br#""x""#];
        assert_eq!(elements, expected);
    }

    #[test]
    fn nothing_is_cut_out_of_empty_containers() {
        assert!(members(b"{ }").is_empty() && elements(b" [] ").next().is_none());
    }
}
