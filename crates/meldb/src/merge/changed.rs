//! Which fields differ between a text and the one that it came from, given the edits between them.

use std::ops::Range;

use memchr::memrchr;

use super::{
    edits::Edits,
    pointer::{plain, push_name},
    stored::stamps_end,
};
use crate::json::{
    DamagedText,
    walk::{Member, Members},
};

/// More changed fields than this are told as the objects that hold them.
pub(crate) const CHANGED_PATHS_MAX: usize = 64;
/// The pointer to the whole document.
const WHOLE: &str = "";

/// Returns the fields that differ between two stored texts, as JSON Pointers (RFC 6901), in the order of their bytes.
///
/// A field that is an object in both is told by its own fields that differ. Arrays are told whole. The stamps are left
/// out. Of more than [`CHANGED_PATHS_MAX`] fields, the top-level fields that hold them are told; of more than
/// that, the whole document is, by the empty pointer.
///
/// Takes time linear in the top-level fields that the edits touch, and not in the texts.
///
/// # Errors
/// One of the texts is not in the stored form, or the edits are not between them.
pub(crate) fn changed_paths(
    before: &[u8],
    after: &[u8],
    edits: &Edits,
) -> Result<Vec<String>, DamagedText> {
    let mut walk = Walk { pointer: Vec::new(), changed: Vec::new() };
    let ranges = |side: fn(&super::Edit) -> &Range<usize>| edits.as_slice().iter().map(side);
    let earlier = edited_fields(before, ranges(|edit| &edit.base))?;
    let later = edited_fields(after, ranges(|edit| &edit.text))?;
    walk.compare((before, earlier), (after, later))?;
    let mut changed = walk.changed;
    if changed.len() > CHANGED_PATHS_MAX {
        changed = changed.into_iter().map(|path| top_level(&path).to_owned()).collect();
        changed.dedup();
    }
    if changed.len() > CHANGED_PATHS_MAX {
        changed = vec![WHOLE.to_owned()];
    }
    Ok(changed)
}

/// Returns the fields of a stored text that hold no others, as JSON Pointers (RFC 6901): arrays whole, and objects
/// without fields. The stamps are left out.
///
/// # Errors
/// The text is not in the stored form.
pub(crate) fn leaves(text: &[u8]) -> Result<Vec<String>, DamagedText> {
    let mut leaves = Vec::new();
    leaves_of(text, stamps_end(text)?, &mut Vec::new(), &mut leaves)?;
    Ok(leaves)
}

/// Adds the leaves of the object whose first field begins behind the comma or the bracket at `at`.
fn leaves_of(
    text: &[u8],
    at: usize,
    pointer: &mut Vec<u8>,
    leaves: &mut Vec<String>,
) -> Result<(), DamagedText> {
    if text.get(at) == Some(&b'}') {
        return Ok(());
    }
    for member in Members::new(text, at) {
        let member = member?;
        let length = pointer.len();
        push_name(pointer, &text[member.name]);
        let value = &text[member.value.clone()];
        if value.starts_with(b"{") && value != b"{}" {
            leaves_of(text, member.value.start, pointer, leaves)?;
        } else {
            leaves.push(plain(pointer)?);
        }
        pointer.truncate(length);
    }
    Ok(())
}

/// Returns the field that a pointer leads to through objects; `None` where there is none, and for the empty pointer.
fn find(text: &[u8], pointer: &str) -> Result<Option<Member>, DamagedText> {
    let (mut open, mut found) = (0, None);
    for name in pointer.split('/').skip(1) {
        if text.get(open) != Some(&b'{') {
            return Ok(None);
        }
        found = None;
        for member in Members::new(text, open) {
            let member = member?;
            let mut step = Vec::new();
            push_name(&mut step, &text[member.name.clone()]);
            if plain(&step)?[1..] == *name {
                open = member.value.start;
                found = Some(member);
                break;
            }
        }
        if found.is_none() {
            return Ok(None);
        }
    }
    Ok(found)
}

/// Returns the JSON text of the value that a pointer leads to through objects; `None` where there is none.
///
/// # Errors
/// The text is not in the stored form.
pub(crate) fn value_at<'t>(text: &'t [u8], pointer: &str) -> Result<Option<&'t [u8]>, DamagedText> {
    if pointer.is_empty() {
        return Ok(Some(text));
    }
    Ok(find(text, pointer)?.map(|member| &text[member.value]))
}

/// Returns a stored text without the field that a pointer leads to through objects, its stamps as they are; `None` if it
/// has no such field.
///
/// # Errors
/// The text is not in the stored form.
pub(crate) fn without(text: &[u8], pointer: &str) -> Result<Option<Vec<u8>>, DamagedText> {
    let Some(member) = find(text, pointer)? else { return Ok(None) };
    let mut start = member.name.start - 1;
    let mut end = member.value.end;
    if text[start - 1] == b'\n' {
        start -= 1;
    }
    // With the comma before it, or else with the one behind.
    if text[start - 1] == b',' {
        start -= 1;
    } else if text.get(end) == Some(&b',') {
        end += 1;
    }
    Ok(Some([&text[..start], &text[end..]].concat()))
}

/// Returns the part of a pointer that leads to a top-level field.
fn top_level(pointer: &str) -> &str {
    let end = pointer.get(1..).and_then(|rest| rest.find('/')).map(|at| at + 1);
    &pointer[..end.unwrap_or(pointer.len())]
}

/// A field: where its name is, without its quotes, and its value.
type Field = (Range<usize>, Range<usize>);

/// Returns the top-level fields that touch one of the ranges, without the stamps, in the order of their names.
fn edited_fields<'r>(
    text: &[u8],
    ranges: impl Iterator<Item = &'r Range<usize>>,
) -> Result<Vec<Field>, DamagedText> {
    let start = stamps_end(text)?;
    let mut fields: Vec<Field> = Vec::new();
    // Where the fields end that have been taken.
    let mut taken = start;
    for range in ranges.filter(|range| range.end >= start) {
        // The comma before a field is that field's.
        let near = range.start.min(text.len());
        let newline = memrchr(b'\n', &text[..near]).map_or(start, |newline| newline - 1);
        let mut at = newline.max(taken);
        while at <= range.end && text.get(at) == Some(&b',') {
            let Some(member) = Members::new(text, at).next() else { break };
            let member = member?;
            at = member.value.end;
            fields.push((member.name, member.value));
        }
        taken = taken.max(at);
    }
    fields.sort_unstable_by(|one, other| text[one.0.clone()].cmp(&text[other.0.clone()]));
    Ok(fields)
}

/// Returns the fields of the object whose opening bracket is at `open`, in the order of their names.
fn fields_of(text: &[u8], open: usize) -> Result<Vec<Field>, DamagedText> {
    let fields = Members::new(text, open).map(|member| member.map(|one| (one.name, one.value)));
    let mut fields = fields.collect::<Result<Vec<_>, _>>()?;
    fields.sort_unstable_by(|one, other| text[one.0.clone()].cmp(&text[other.0.clone()]));
    Ok(fields)
}

struct Walk {
    pointer: Vec<u8>,
    changed: Vec<String>,
}

impl Walk {
    /// Compares fields in the order of their names; what only one side has is a change.
    fn compare(
        &mut self,
        (before, earlier): (&[u8], Vec<Field>),
        (after, later): (&[u8], Vec<Field>),
    ) -> Result<(), DamagedText> {
        let (mut earlier, mut later) =
            (earlier.into_iter().peekable(), later.into_iter().peekable());
        loop {
            let order = match (earlier.peek(), later.peek()) {
                (None, None) => return Ok(()),
                (Some(_), None) => std::cmp::Ordering::Less,
                (None, Some(_)) => std::cmp::Ordering::Greater,
                (Some((one, _)), Some((other, _))) => {
                    before[one.clone()].cmp(&after[other.clone()])
                }
            };
            let (old, new) = (
                if order.is_le() { earlier.next() } else { None },
                if order.is_ge() { later.next() } else { None },
            );
            let name = match (&old, &new) {
                (Some((name, _)), _) => &before[name.clone()],
                (None, Some((name, _))) => &after[name.clone()],
                (None, None) => return Ok(()),
            };
            let length = self.pointer.len();
            push_name(&mut self.pointer, name);
            match (old, new) {
                (Some((_, old)), Some((_, new))) => {
                    let both = (&before[old.clone()], &after[new.clone()]);
                    let are_objects = both.0.starts_with(b"{") && both.1.starts_with(b"{");
                    if both.0 == both.1 {
                        // The edits touch it and leave it as it was.
                    } else if are_objects && (both.0 != b"{}" && both.1 != b"{}") {
                        self.compare(
                            (before, fields_of(before, old.start)?),
                            (after, fields_of(after, new.start)?),
                        )?;
                    } else {
                        self.changed.push(plain(&self.pointer)?);
                    }
                }
                _ => self.changed.push(plain(&self.pointer)?),
            }
            self.pointer.truncate(length);
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use serde_json::Value;

    use super::*;
    use crate::merge::{Bounds, Content, MergeOptions, MergePatch, Stamp};

    fn stored(json: &str, updated_ms: u64) -> Vec<u8> {
        let content = Content::compile(json.as_bytes(), &Bounds::default()).expect("an object");
        content.stamped(&Stamp { updated_ms, updated_by: "ada" })
    }

    fn changed(before: &[u8], after: &[u8]) -> Vec<String> {
        let edits = Edits::between(before, after).expect("stored texts");
        changed_paths(before, after, &edits).expect("changed")
    }

    /// The same by parsing both.
    fn naive(before: &Value, after: &Value, pointer: &str, changed: &mut Vec<String>) {
        match (before, after) {
            (Value::Object(one), Value::Object(other)) if !one.is_empty() && !other.is_empty() => {
                let names: std::collections::BTreeSet<_> = one.keys().chain(other.keys()).collect();
                for name in names {
                    let escaped = name.replace('~', "~0").replace('/', "~1");
                    let pointer = format!("{pointer}/{escaped}");
                    match (one.get(name), other.get(name)) {
                        (Some(one), Some(other)) => naive(one, other, &pointer, changed),
                        _ => changed.push(pointer),
                    }
                }
            }
            (one, other) if one == other => {}
            _ => changed.push(pointer.to_owned()),
        }
    }

    fn by_parsing(before: &[u8], after: &[u8]) -> Vec<String> {
        let parsed = |text: &[u8]| {
            let mut value: Value = serde_json::from_slice(text).expect("JSON");
            let fields = value.as_object_mut().expect("an object");
            fields.remove("updated");
            fields.remove("updatedBy");
            // Never empty, so that the root is compared by its fields.
            fields.insert("-".to_owned(), Value::Null);
            value
        };
        let mut found = Vec::new();
        naive(&parsed(before), &parsed(after), "", &mut found);
        found
    }

    fn object() -> impl Strategy<Value = String> {
        let name = prop::sample::select(vec!["a", "ab", "b", "a/b", "~", "ü", "c"]);
        let leaf = prop::sample::select(vec!["1", "12", "\"1\"", "[1,2]", "{}", "null", "\"\\n\""]);
        let leaf = leaf.prop_map(str::to_owned);
        let value = leaf.prop_recursive(3, 20, 4, move |inner| {
            prop::collection::btree_map(name.clone(), inner, 0..4)
                .prop_map(|fields| object_of(&fields))
        });
        let name = prop::sample::select(vec!["a", "ab", "aa", "b", "a/b", "~", "ü", "c", "d"]);
        prop::collection::btree_map(name, value, 0..7).prop_map(|fields| object_of(&fields))
    }

    fn object_of(fields: &std::collections::BTreeMap<&str, String>) -> String {
        let fields: Vec<_> =
            fields.iter().map(|(name, value)| format!("\"{name}\":{value}")).collect();
        format!("{{{}}}", fields.join(","))
    }

    proptest! {
        #[test]
        fn what_has_changed_is_what_a_parser_finds(one in object(), other in object()) {
            let (before, after) = (stored(&one, 1), stored(&other, 22));
            prop_assert_eq!(changed(&before, &after), by_parsing(&before, &after));
        }

        #[test]
        fn what_a_merge_has_changed_is_what_a_parser_finds(one in object(), patch in object()) {
            let before = stored(&one, 9);
            let options = MergeOptions::default();
            let patch = MergePatch::compile(patch.as_bytes(), &options, &Bounds::default());
            let stamp = Stamp { updated_ms: 10, updated_by: "bob" };
            let (after, edits) =
                patch.expect("a patch").apply_with_edits(&before, &stamp).expect("merged");
            let found = changed_paths(&before, &after, &edits).expect("changed");
            prop_assert_eq!(found, by_parsing(&before, &after));
        }
    }

    proptest! {
        #[test]
        fn every_leaf_is_found_and_can_be_taken_out(one in object(), at: prop::sample::Index) {
            let text = stored(&one, 7);
            let leaves = leaves(&text).expect("a stored text");
            for leaf in &leaves {
                prop_assert!(value_at(&text, leaf).expect("a stored text").is_some());
            }
            if !leaves.is_empty() {
                let leaf = &leaves[at.index(leaves.len())];
                let rest = without(&text, leaf).expect("a stored text").expect("it is there");
                prop_assert_eq!(value_at(&rest, leaf), Ok(None));
                let parsed: Value = serde_json::from_slice(&rest).expect("JSON");
                let mut expected: Value = serde_json::from_slice(&text).expect("JSON");
                let (parent, name) = leaf.rsplit_once('/').expect("a pointer");
                let parent = expected.pointer_mut(parent).expect("it is there");
                let name = name.replace("~1", "/").replace("~0", "~");
                parent.as_object_mut().expect("an object").remove(&name);
                prop_assert_eq!(parsed, expected);
            }
        }
    }

    #[test]
    fn many_changes_are_told_by_what_holds_them() {
        let nested = |value: usize, fields: usize| {
            let inner: Vec<_> = (0..fields).map(|n| format!("\"f{n}\":{value}")).collect();
            format!("{{\"a\":{{{}}},\"b\":1}}", inner.join(","))
        };
        let many = CHANGED_PATHS_MAX + 1;
        let (before, after) = (stored(&nested(1, many), 1), stored(&nested(2, many), 1));
        assert_eq!(changed(&before, &after), ["/a"]);
        let flat = |value: usize| {
            let fields: Vec<_> = (0..many).map(|n| format!("\"f{n}\":{value}")).collect();
            format!("{{{}}}", fields.join(","))
        };
        assert_eq!(changed(&stored(&flat(1), 1), &stored(&flat(2), 1)), [WHOLE]);
    }
}
