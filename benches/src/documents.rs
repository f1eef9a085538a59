//! Documents of a given size, as a service would store them, and patches to merge into them.

use std::fmt::Write as _;

/// The sizes that merges are measured at.
pub const SIZES: [(&str, usize); 5] =
    [("300 B", 300), ("1 KB", 1_000), ("10 KB", 10_000), ("100 KB", 100_000), ("1 MB", 1_000_000)];

/// A kind of patch: its name, and the patch for a document of a given size.
pub type Patch = (&'static str, fn(usize) -> String);

/// The kinds of patch that merges are measured with.
pub const PATCHES: [Patch; 4] = [
    ("one member", |_| one_member(1)),
    ("nested three deep", |_| nested_member()),
    ("delete 2, add 3", |_| delete_two_add_three()),
    ("most of it", most_members),
];

/// Returns a JSON object of about `bytes` bytes.
///
/// The member `role`, which patches change, stands in its middle, and before it `settings`, of a
/// quarter of the whole, for patches that go three levels down.
pub fn document(bytes: usize) -> String {
    let mut text = String::with_capacity(bytes + 200);
    text.push_str(r#"{"name":"Ada Lovelace","email":"ada@example.com","plan":"team""#);
    let mut index = 0;
    fill(&mut text, &mut index, bytes / 4);
    settings(&mut text, bytes / 4);
    fill(&mut text, &mut index, bytes / 2);
    text.push_str(r#","role":"member","seats":12"#);
    fill(&mut text, &mut index, bytes - 40);
    text.push_str(r#","note":"the last of it"}"#);
    text
}

/// Returns a patch of one member; patches of different numbers differ.
pub fn one_member(number: u64) -> String {
    format!(r#"{{"role":"member-{number:010}"}}"#)
}

fn nested_member() -> String {
    r#"{"settings":{"mail":{"digest":"weekly"}}}"#.to_owned()
}

fn delete_two_add_three() -> String {
    r#"{"plan":null,"seats":null,"team":"core","limit":250,"tags":["a","b"]}"#.to_owned()
}

/// Returns a patch that replaces nine in ten of the members of [`document`].
fn most_members(bytes: usize) -> String {
    let mut patch = String::from(r#"{"role":"owner""#);
    let members = document(bytes).matches(r#","member"#).count();
    for index in (0..members).filter(|index| index % 10 != 9) {
        write!(patch, ",{}:", member_name(index)).expect("a string takes everything");
        member_value(&mut patch, index + 1);
    }
    patch.push('}');
    patch
}

fn settings(text: &mut String, bytes: usize) {
    let start = text.len();
    text.push_str(r#","settings":{"theme":"dark""#);
    let mut index = 0;
    fill_to(text, &mut index, start + bytes / 2, "setting");
    text.push_str(r#","mail":{"address":"ada@example.com""#);
    fill_to(text, &mut index, start + bytes, "setting");
    text.push_str(r#","digest":"daily"}}"#);
}

fn fill(text: &mut String, index: &mut usize, bytes: usize) {
    while text.len() < bytes {
        write!(text, ",{}:", member_name(*index)).expect("a string takes everything");
        member_value(text, *index);
        *index += 1;
    }
}

fn fill_to(text: &mut String, index: &mut usize, bytes: usize, prefix: &str) {
    while text.len() < bytes {
        write!(text, r#","{prefix}{index}":"#).expect("a string takes everything");
        member_value(text, *index);
        *index += 1;
    }
}

fn member_name(index: usize) -> String {
    format!(r#""member{index:05}""#)
}

fn member_value(text: &mut String, index: usize) {
    match index % 5 {
        0 => write!(text, r#""a value of some length, number {index}""#),
        1 => write!(text, "{}.{:02}", index * 37, index % 100),
        2 => write!(text, r#"{{"city":"London","street":"{index} Dorset Street","zip":"W1U"}}"#),
        3 => write!(text, r#"["red","green",{index},true,null]"#),
        _ => write!(text, r#""said \"{index}\"\nand left""#),
    }
    .expect("a string takes everything");
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn documents_have_the_size_they_are_asked_for_and_what_patches_name() {
        for (_, bytes) in SIZES {
            let text = document(bytes);
            assert!(text.len() >= bytes * 9 / 10 && text.len() <= bytes + 200, "{}", text.len());
            let document: serde_json::Value = serde_json::from_str(&text).expect("valid JSON");
            assert!(
                document["role"].is_string() && document["settings"]["mail"]["digest"].is_string()
            );
            for (_, patch) in PATCHES {
                let patch = patch(bytes);
                assert!(serde_json::from_str::<serde_json::Value>(&patch).is_ok(), "{patch}");
            }
        }
    }
}
