//! Documents and patches that want to make a merge slow, each with ordinary ones of the same length.

use crate::documents;

/// How many members or names an attacker sends.
const MEMBERS: usize = 100_000;

/// A document and a patch for it.
pub struct Input {
    /// The text of the document.
    pub document: String,
    /// The text of the patch.
    pub patch: String,
}

/// A way to attack: its name, and what is sent.
pub type Attack = (&'static str, fn() -> Input);

/// The attacks that are measured.
pub const ATTACKS: [Attack; 5] = [
    ("100,000 members, one patched", || Input {
        document: object((0..MEMBERS).map(|number| format!(r#""n{number:05}":1"#))),
        patch: r#"{"n50000":2}"#.to_owned(),
    }),
    ("100,000 names in a patch", || renamed(|number| format!("n{number:05}"))),
    ("100,000 names in a nested patch", || {
        let Input { document, patch } = renamed(|number| format!("n{number:05}"));
        Input {
            document: format!(r#"{{"nested":{document}}}"#),
            patch: format!(r#"{{"nested":{patch}}}"#),
        }
    }),
    ("names that differ in the middle", || {
        renamed(|number| format!("the same beginning {number:05} and the same end"))
    }),
    ("names of 1,000 bytes with a common prefix", || {
        let prefix = "p".repeat(995);
        let name = |number| format!(r#""{prefix}{number:05}":1"#);
        Input {
            document: object((0..1_000).map(name)),
            patch: object((500..1_500).rev().map(name)),
        }
    }),
];

impl Input {
    /// Returns ordinary input, its document of the same length and its patch of about four fifths of it or as short.
    pub fn ordinary(&self) -> Self {
        let bytes = self.document.len();
        let (_, patch) = documents::PATCHES[if self.patch.len() < bytes / 2 { 0 } else { 3 }];
        Self { document: documents::document(bytes), patch: patch(bytes) }
    }

    /// Returns the length of both texts.
    pub fn bytes(&self) -> usize {
        self.document.len() + self.patch.len()
    }
}

/// A document of many names, and a patch of as many, of which it has every second one, in another order.
fn renamed(name: fn(usize) -> String) -> Input {
    let member = |number| format!(r#""{}":1"#, name(number));
    Input {
        document: object((0..MEMBERS).map(member)),
        patch: object((MEMBERS / 2..MEMBERS + MEMBERS / 2).rev().map(member)),
    }
}

fn object(members: impl Iterator<Item = String>) -> String {
    format!("{{{}}}", members.collect::<Vec<_>>().join(","))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_attack_is_compared_with_ordinary_input_of_its_length() {
        for (name, attack) in ATTACKS {
            let hostile = attack();
            let ratio = hostile.ordinary().bytes() as f64 / hostile.bytes() as f64;
            assert!((0.75..1.25).contains(&ratio), "{name}: {ratio}");
        }
    }
}
