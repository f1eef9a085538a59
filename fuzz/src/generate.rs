//! Documents, and patches derived from them: a patch of random names would never hit.

use arbitrary::{Arbitrary, Result, Unstructured};
use meldb::{Depth, Nulls};

/// A document, a patch made from it, and how to merge it.
#[derive(Clone, Debug)]
pub struct Case {
    /// The text of an object.
    pub document: String,
    /// The text of a merge patch that names some of its members.
    pub patch: String,
    /// What `null` means.
    pub nulls: Nulls,
    /// How deep the merge goes.
    pub depth: Depth,
}

/// Names with everything that needs escaping, is nearly the same as another, or means something
/// elsewhere.
const NAMES: &[&str] = &[
    "", "a", "b", "ab", "abc", "A", "\n", "\"", "\\", "\"a\":", "é", "😀", "\u{7f}", "\u{1}", "a/b",
    "~0", "updated", "updatedBy", "updatedX", "$serde_json::private::Numbe", "{", "}", "[", ",",
    ":", "null", "0", "long-name-that-shares-a-prefix-1", "long-name-that-shares-a-prefix-2",
];

const SCALARS: &[&str] = &[
    "null", "true", "false", "0", "-0", "1", "1.0", "1e0", "1E+2", "-1.50e-7", "1e400", "-1e-400",
    "12345678901234567890123456789012345678901", "0.10000000000000000000000000000000000001",
    r#""""#, r#""a""#, r#""\u0041""#, r#""\ud83d\ude00""#, r#""😀""#, r#""\/""#, r#""\n\t\"\\""#,
    r#""{\"a\":1}""#, r#""},""#, r#""\u0000""#,
];

#[derive(Clone)]
enum Json {
    Scalar(&'static str),
    Array(Vec<Json>),
    Object(Vec<(&'static str, Json)>),
}

impl<'a> Arbitrary<'a> for Case {
    fn arbitrary(u: &mut Unstructured<'a>) -> Result<Self> {
        let document = object(u, 4)?;
        let patch = derived(u, &document, 4)?;
        Ok(Self {
            document: rendered(u, &Json::Object(document))?,
            patch: rendered(u, &Json::Object(patch))?,
            nulls: if u.ratio(1, 4)? { Nulls::Keep } else { Nulls::Remove },
            depth: if u.ratio(1, 4)? { Depth::Shallow } else { Depth::Deep },
        })
    }
}

fn object(u: &mut Unstructured<'_>, depth: usize) -> Result<Vec<(&'static str, Json)>> {
    let mut members: Vec<(&'static str, Json)> = Vec::new();
    for _ in 0..u.int_in_range(0..=if depth == 4 { 24 } else { 5 })? {
        let name = *u.choose(NAMES)?;
        if members.iter().all(|(other, _)| *other != name) {
            members.push((name, value(u, depth - 1)?));
        }
    }
    Ok(members)
}

fn value(u: &mut Unstructured<'_>, depth: usize) -> Result<Json> {
    Ok(match u.int_in_range(0..=4)? {
        0 if depth > 0 => Json::Object(object(u, depth)?),
        1 if depth > 0 => {
            let length = u.int_in_range(0..=3)?;
            Json::Array((0..length).map(|_| value(u, depth - 1)).collect::<Result<_>>()?)
        }
        _ => Json::Scalar(u.choose(SCALARS)?),
    })
}

fn derived(
    u: &mut Unstructured<'_>,
    document: &[(&'static str, Json)],
    depth: usize,
) -> Result<Vec<(&'static str, Json)>> {
    let mut patch: Vec<(&'static str, Json)> = Vec::new();
    for (name, stored) in document {
        let change = match (u.int_in_range(0..=7)?, stored) {
            (0, _) => Json::Scalar("null"),
            (1, _) => value(u, depth - 1)?,
            (2 | 3, Json::Object(members)) if depth > 1 => {
                Json::Object(derived(u, members, depth - 1)?)
            }
            (2, same) => same.clone(),
            _ => continue,
        };
        patch.push((name, change));
    }
    for (name, change) in object(u, depth.min(2))? {
        if patch.iter().all(|(other, _)| *other != name) {
            let at = u.int_in_range(0..=patch.len())?;
            patch.insert(at, (name, change));
        }
    }
    Ok(patch)
}

fn rendered(u: &mut Unstructured<'_>, json: &Json) -> Result<String> {
    let mut text = String::new();
    render(u, json, &mut text)?;
    Ok(text)
}

fn render(u: &mut Unstructured<'_>, json: &Json, text: &mut String) -> Result<()> {
    match json {
        Json::Scalar(scalar) => text.push_str(scalar),
        Json::Array(values) => {
            text.push('[');
            for (index, value) in values.iter().enumerate() {
                if index > 0 {
                    text.push(',');
                }
                space(u, text)?;
                render(u, value, text)?;
            }
            text.push(']');
        }
        Json::Object(members) => {
            text.push('{');
            for (index, (name, value)) in members.iter().enumerate() {
                if index > 0 {
                    text.push(',');
                }
                space(u, text)?;
                render_name(u, name, text)?;
                space(u, text)?;
                text.push(':');
                space(u, text)?;
                render(u, value, text)?;
                space(u, text)?;
            }
            text.push('}');
        }
    }
    Ok(())
}

fn space(u: &mut Unstructured<'_>, text: &mut String) -> Result<()> {
    if u.ratio(1, 8)? {
        text.push_str(u.choose(&[" ", "\n", "\t", "\r\n", "  "])?);
    }
    Ok(())
}

/// Writes a name with more escapes than it needs, now and then.
fn render_name(u: &mut Unstructured<'_>, name: &str, text: &mut String) -> Result<()> {
    text.push('"');
    for character in name.chars() {
        if u.ratio(1, 8)? || character < ' ' {
            let mut units = [0; 2];
            for unit in character.encode_utf16(&mut units) {
                let digits = if u.arbitrary()? { format!("{unit:04x}") } else { format!("{unit:04X}") };
                text.push_str("\\u");
                text.push_str(&digits);
            }
        } else {
            if matches!(character, '"' | '\\') {
                text.push('\\');
            }
            text.push(character);
        }
    }
    text.push('"');
    Ok(())
}
