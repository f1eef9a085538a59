//! Documents, and patches derived from them: only those hit the same fields, and so find mistakes.

/// A small generator of numbers, the same for the same seed.
pub(super) struct Random(u64);

/// JSON as text, but for the names' spelling and the white space.
#[derive(Debug, Clone)]
pub(super) enum Json {
    Scalar(&'static str),
    Array(Vec<Json>),
    /// Fields by number of name.
    Object(Vec<(usize, Json)>),
}

/// Names, each with the spellings that a client may use for it; the canonical one first.
const NAMES: [&[&str]; 14] = [
    &["a", r"\u0061"],
    &["b", r"\u0062"],
    &["", ""],
    &["ab", r"a\u0062", r"\u0061b"],
    &[r#"a\""#, r"a\u0022"],
    &[r"a\\", r"a\u005C", r"a\u005c"],
    &[r#"\"b\":1"#, r"\u0022b\u0022:1"],
    &[r"\n", r"\u000A", r"\u000a"],
    &[r"\u0001", r"\u0001"],
    &["é", r"\u00e9", r"\u00E9"],
    &["😀", r"\ud83d\ude00", r"\uD83D\uDE00"],
    &["a/b~c", r"a\/b~c"],
    &["longer name than eight", r"longer n\u0061me than eight"],
    &["updated", r"\u0075pdated"],
];

const SCALARS: [&str; 22] = [
    "null",
    "null",
    "true",
    "false",
    "0",
    "-0",
    "1",
    "-1",
    "1.5",
    "1.50",
    "1e5",
    "1E-7",
    "9007199254740993",
    "18446744073709551615",
    r#""""#,
    r#""a""#,
    r#""\u0061\/\\\"""#,
    r#""}{][,:""#,
    r#""\\""#,
    r#""\ud83d\ude00 é""#,
    r#""tab\t nul\u0000""#,
    r#""a rather long string, so that eight bytes at a time matter \" here \\""#,
];

impl Random {
    pub(super) fn new(seed: u64) -> Self {
        Self(seed.wrapping_mul(0x9E37_79B9_7F4A_7C15) | 1)
    }

    pub(super) fn below(&mut self, end: usize) -> usize {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        ((self.0 >> 33) as usize) % end
    }

    pub(super) fn one_in(&mut self, n: usize) -> bool {
        self.below(n) == 0
    }

    pub(super) fn pick<T: Clone>(&mut self, items: &[T]) -> T {
        items[self.below(items.len())].clone()
    }

    /// Some numbers of names, each once.
    fn names(&mut self) -> Vec<usize> {
        // Now and then more than are looked up one by one, and more than one word has bits for.
        let (count, all) = match self.below(40) {
            0 => (self.below(100), 150),
            1 => (self.below(30), 40),
            _ => (self.below(6), NAMES.len()),
        };
        let mut names: Vec<usize> = (0..count).map(|_| self.below(all)).collect();
        let mut seen = std::collections::HashSet::new();
        names.retain(|name| seen.insert(*name));
        names
    }

    pub(super) fn value(&mut self, levels: usize) -> Json {
        match self.below(4) {
            0 if levels > 0 => self.object(levels - 1),
            1 if levels > 0 => {
                let count = self.below(4);
                Json::Array((0..count).map(|_| self.value(levels - 1)).collect())
            }
            _ => Json::Scalar(self.pick(&SCALARS)),
        }
    }

    pub(super) fn object(&mut self, levels: usize) -> Json {
        let names = self.names();
        // Large objects hold small values, so that thousands of cases take seconds.
        let levels = if names.len() > 8 { levels.min(1) } else { levels };
        Json::Object(names.into_iter().map(|name| (name, self.value(levels))).collect())
    }

    /// An object like `target`, with fields left out, replaced, set to null, merged and added.
    pub(super) fn patch_for(&mut self, target: &Json) -> Json {
        let Json::Object(members) = target else { return self.object(2) };
        let leave_out = 1 + self.below(3);
        let mut patch: Vec<(usize, Json)> = Vec::new();
        for (name, value) in members {
            if !self.one_in(leave_out) {
                continue;
            }
            let change = match self.below(6) {
                0 | 1 => Json::Scalar("null"),
                2 => value.clone(),
                3 => self.value(2),
                _ => self.patch_for(value),
            };
            patch.push((*name, change));
        }
        for name in self.names() {
            if self.one_in(2) && patch.iter().chain(members).all(|(other, _)| *other != name) {
                let at = self.below(patch.len() + 1);
                let value = self.value(2);
                patch.insert(at, (name, value));
            }
        }
        if self.one_in(2) {
            patch.reverse();
        }
        Json::Object(patch)
    }

    /// Writes `json` with random spellings and white space.
    pub(super) fn text(&mut self, json: &Json) -> String {
        let spaced = self.one_in(3);
        let mut text = String::new();
        self.write(json, spaced, &mut text);
        text
    }

    fn write(&mut self, json: &Json, spaced: bool, text: &mut String) {
        self.space(spaced, text);
        match json {
            Json::Scalar(scalar) => text.push_str(scalar),
            Json::Array(elements) => {
                text.push('[');
                for (number, element) in elements.iter().enumerate() {
                    if number > 0 {
                        text.push(',');
                    }
                    self.write(element, spaced, text);
                }
                self.space(spaced, text);
                text.push(']');
            }
            Json::Object(members) => {
                text.push('{');
                for (number, (name, value)) in members.iter().enumerate() {
                    if number > 0 {
                        text.push(',');
                    }
                    self.space(spaced, text);
                    text.push('"');
                    match NAMES.get(*name) {
                        Some(spellings) => text.push_str(self.pick(spellings)),
                        None => text.push_str(&format!("k{name}")),
                    }
                    text.push('"');
                    self.space(spaced, text);
                    text.push(':');
                    self.write(value, spaced, text);
                }
                self.space(spaced, text);
                text.push('}');
            }
        }
        self.space(spaced, text);
    }

    fn space(&mut self, spaced: bool, text: &mut String) {
        if spaced {
            text.push_str(self.pick(&["", "", " ", "\n  ", "\r\n\t"]));
        }
    }
}
