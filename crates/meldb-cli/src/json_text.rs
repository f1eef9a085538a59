//! Cutting and laying out JSON text without parsing it, so that digits, order and escapes stay.

use meldb_http::check_object;

use crate::failure::{Code, Failure, Result};

/// Returns JSON text on one line: a raw line break is never part of a JSON string.
pub(crate) fn one_line(text: &[u8]) -> Vec<u8> {
    text.iter().copied().filter(|byte| !matches!(byte, b'\n' | b'\r')).collect()
}

/// Returns compact JSON text laid out for reading, two spaces a level.
///
/// Control characters that JSON allows in strings and a terminal obeys (DEL and U+0080–U+009F)
/// come out escaped.
pub(crate) fn pretty(text: &str) -> String {
    let mut out = String::with_capacity(text.len() * 2);
    let mut level = 0;
    let mut quoted = false;
    let mut escaped = false;
    let mut characters = text.chars().peekable();
    while let Some(character) = characters.next() {
        if quoted {
            match character {
                '\u{7f}'..='\u{9f}' => out.push_str(&format!("\\u{:04x}", character as u32)),
                _ => out.push(character),
            }
            quoted = escaped || character != '"';
            escaped = character == '\\' && !escaped;
            continue;
        }
        match character {
            '"' => {
                quoted = true;
                out.push('"');
            }
            '{' | '[' => {
                out.push(character);
                while characters.next_if(|next| next.is_ascii_whitespace()).is_some() {}
                let end = if character == '{' { '}' } else { ']' };
                if characters.next_if_eq(&end).is_some() {
                    out.push(end);
                } else {
                    level += 1;
                    break_line(&mut out, level);
                }
            }
            '}' | ']' => {
                level = usize::saturating_sub(level, 1);
                break_line(&mut out, level);
                out.push(character);
            }
            ',' => {
                out.push(',');
                break_line(&mut out, level);
            }
            ':' => out.push_str(": "),
            _ if character.is_ascii_whitespace() => {}
            _ => out.push(character),
        }
    }
    out
}

fn break_line(out: &mut String, level: usize) {
    out.push('\n');
    out.extend(std::iter::repeat_n("  ", level));
}

/// Returns the members of a JSON object: names unescaped, values as they stand in the text.
///
/// # Errors
/// `BadRequest` if the text is not one JSON object in UTF-8.
pub(crate) fn members(text: &[u8]) -> Result<Vec<(String, &str)>> {
    let bad = |message: String| Failure::new(Code::BadRequest, message);
    // A line of its own: the line's number in a file is known to the caller alone.
    check_object(text)
        .map_err(|error| bad(format!("{}, at column {}", error.kind(), error.column())))?;
    let text = std::str::from_utf8(text).unwrap_or_default().trim_matches(WHITE_SPACE);
    let text = text.strip_prefix('{').and_then(|text| text.strip_suffix('}'));
    let mut rest = text.unwrap_or_default();
    // From here on the text is known to be well-formed.
    let mut members = Vec::new();
    while !rest.trim_matches(WHITE_SPACE).is_empty() {
        let (name, after) = rest.split_at(item_bytes(rest, b':'));
        let name = serde_json::from_str(name).map_err(|error| bad(not_json(&error)))?;
        let after = after.get(1..).unwrap_or_default();
        let (value, after) = after.split_at(item_bytes(after, b','));
        members.push((name, value.trim_matches(WHITE_SPACE)));
        rest = after.get(1..).unwrap_or_default();
    }
    Ok(members)
}

/// Returns what is wrong with one line of text, without the number of the line.
pub(crate) fn not_json(error: &serde_json::Error) -> String {
    let text = error.to_string();
    let message = text.split(" at line ").next().unwrap_or(&text);
    format!("not JSON: {message} at column {}", error.column())
}

/// What JSON takes for white space (RFC 8259 §2).
const WHITE_SPACE: [char; 4] = [' ', '\t', '\n', '\r'];

/// Returns how many bytes of `text` come before the first `end` outside strings and brackets.
fn item_bytes(text: &str, end: u8) -> usize {
    let mut cutter = Cutter::default();
    for (position, byte) in text.bytes().enumerate() {
        if byte == end && cutter.level == 0 && !cutter.quoted {
            return position;
        }
        cutter.step(byte);
    }
    text.len()
}

/// Where a walk over JSON text stands: in a string or not, and how deep.
#[derive(Debug, Default)]
struct Cutter {
    level: usize,
    quoted: bool,
    escaped: bool,
}

impl Cutter {
    /// Takes the next byte in.
    fn step(&mut self, byte: u8) {
        if self.quoted {
            self.quoted = self.escaped || byte != b'"';
            self.escaped = byte == b'\\' && !self.escaped;
        } else {
            match byte {
                b'"' => self.quoted = true,
                b'{' | b'[' => self.level += 1,
                b'}' | b']' => self.level = self.level.saturating_sub(1),
                _ => {}
            }
        }
    }
}

/// Cuts a JSON array that arrives in chunks into its elements.
#[derive(Debug, Default)]
pub(crate) struct ArrayElements {
    cutter: Cutter,
    element: Vec<u8>,
    ended: bool,
}

impl ArrayElements {
    /// Takes a chunk in and hands every element that is complete with it to `sink`.
    pub(crate) fn feed(
        &mut self,
        chunk: &[u8],
        mut sink: impl FnMut(&[u8]) -> Result<()>,
    ) -> Result<()> {
        for &byte in chunk {
            let level = self.cutter.level;
            let separator = level == 1 && !self.cutter.quoted && matches!(byte, b',' | b']');
            self.cutter.step(byte);
            if separator {
                self.ended = byte == b']';
                if !self.element.trim_ascii().is_empty() {
                    sink(&self.element)?;
                }
                self.element.clear();
            } else if level > 0 {
                self.element.push(byte);
            }
        }
        Ok(())
    }

    /// Returns whether the array's closing bracket has come.
    pub(crate) fn ended(&self) -> bool {
        self.ended
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pretty_text_is_laid_out_and_keeps_its_digits() {
        let text = "{\n\"a\":1.50,\n\"b\":[],\"c\":{\"d\":[1,{\"e\":\"x,\\\"{\\\\\"}]}}";
        let expected = r#"{
  "a": 1.50,
  "b": [],
  "c": {
    "d": [
      1,
      {
        "e": "x,\"{\\"
      }
    ]
  }
}"#;
        assert_eq!(pretty(text), expected);
        assert_eq!(pretty("{\"a\":\"\u{9b}31m\"}"), "{\n  \"a\": \"\\u009b31m\"\n}");
        assert_eq!(pretty("{\n}"), "{}");
    }

    #[test]
    fn members_are_cut_where_they_end() {
        let text = br#" {"a" : 1.0 , "b\u0062":{"c":[",}",{}]},"d":"\\"} "#;
        let members = members(text).expect("well-formed");
        let expected = [("a", "1.0"), ("bb", r#"{"c":[",}",{}]}"#), ("d", r#""\\""#)];
        assert!(members.iter().map(|(name, value)| (name.as_str(), *value)).eq(expected));
    }

    #[test]
    fn what_is_no_object_is_refused() {
        for (text, reason) in [
            (&b"[1]"[..], "not a JSON object"),
            (b"{\"a\":1,}", "expected a member name in quotes, at column 8"),
            (b"{\"a\":\"\xff\"}", "not UTF-8, at column 7"),
            (b"", "the text is empty, at column 1"),
            (b"{} {}", "after the end of the JSON value, at column 4"),
            (b"{\"a\":1,\"\\u0061\":2}", "occurs twice"),
            (b"\xef\xbb\xbf{}", "byte order mark"),
        ] {
            let failure = members(text).expect_err("not an object");
            assert!(failure.message.contains(reason), "{failure}");
        }
    }

    #[test]
    fn an_array_is_cut_the_same_however_it_is_chunked() {
        let text = br#" [ {"id":"a,]","data":{"x":[1,2]}} ,{"id":"b"} ] "#;
        for size in 1..text.len() {
            let mut elements = ArrayElements::default();
            let mut seen = Vec::new();
            for chunk in text.chunks(size) {
                let push = |element: &[u8]| {
                    seen.push(element.trim_ascii().to_vec());
                    Ok(())
                };
                elements.feed(chunk, push).expect("the sink takes everything");
            }
            assert!(elements.ended());
            assert_eq!(seen, [&br#"{"id":"a,]","data":{"x":[1,2]}}"#[..], br#"{"id":"b"}"#]);
        }
    }
}
