//! Documents of a given size, as a service would store them, and patches to merge into them.

use std::fmt::Write as _;

use crate::keys::Random;

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

/// Returns a JSON object of about `bytes` bytes, most of which are letters drawn for `number`: unlike
/// [`document`], a store of many of these is no shorter for being compressed.
pub fn incompressible(bytes: usize, number: usize) -> String {
    let mut text = String::with_capacity(bytes + 100);
    text.push_str(r#"{"name":"Ada Lovelace","role":"member-0000000000""#);
    let mut random = Random::new(number as u64);
    let mut index = 0;
    while text.len() < bytes - 40 {
        write!(text, r#","field{index}":""#).expect("a string takes everything");
        for _ in 0..8 {
            // Six bits a letter, ten letters of a number.
            let bits = random.draw();
            text.extend((0..10).map(|at| char::from(LETTERS[(bits >> (at * 6)) as usize & 63])));
        }
        text.push('"');
        index += 1;
    }
    text.push('}');
    text
}

const LETTERS: &[u8; 64] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";

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
    fn no_two_incompressible_documents_have_a_value_in_common() {
        let [one, other] = [1, 2].map(|number| incompressible(1_000, number));
        assert!((900..1_100).contains(&one.len()) && one.len() == other.len());
        let parse = |text: &str| serde_json::from_str::<serde_json::Value>(text).expect("JSON");
        let (one, other) = (parse(&one), parse(&other));
        let fields = one.as_object().expect("an object").iter();
        let fields = fields.filter(|(name, _)| name.starts_with("field"));
        assert!(fields.clone().count() > 8);
        for (name, value) in fields {
            assert_ne!(Some(value), other.get(name));
        }
    }

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
