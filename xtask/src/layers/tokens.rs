//! The words of a Rust file, without comments, literals and tests.

/// A name, a keyword, or a punctuation character; `::` is one.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Token {
    Word(String),
    /// `::`.
    Path,
    Mark(char),
}

impl Token {
    pub(super) fn is(&self, word: &str) -> bool {
        matches!(self, Self::Word(found) if found == word)
    }

    pub(super) fn is_mark(&self, mark: char) -> bool {
        *self == Self::Mark(mark)
    }
}

/// Returns the words of a file without those of items that only tests have.
pub(super) fn tokens(text: &str) -> Vec<Token> {
    without_tests(&all_tokens(text))
}

fn all_tokens(text: &str) -> Vec<Token> {
    let mut tokens = Vec::new();
    let mut rest = text;
    while let Some(first) = rest.chars().next() {
        let length = if rest.starts_with("//") {
            rest.find('\n').unwrap_or(rest.len())
        } else if rest.starts_with("/*") {
            rest.find("*/").map_or(rest.len(), |end| end + 2)
        } else if let Some(length) = literal(rest) {
            length
        } else if first.is_alphanumeric() || first == '_' {
            let end = rest.find(|c: char| !c.is_alphanumeric() && c != '_').unwrap_or(rest.len());
            tokens.push(Token::Word(rest[..end].to_owned()));
            end
        } else if rest.starts_with("::") {
            tokens.push(Token::Path);
            2
        } else {
            if !first.is_whitespace() {
                tokens.push(Token::Mark(first));
            }
            first.len_utf8()
        };
        rest = &rest[length..];
    }
    tokens
}

/// Returns the length of the string, character or lifetime that `text` begins with, if it does.
fn literal(text: &str) -> Option<usize> {
    let raw = text.trim_start_matches(['b', 'c']);
    let prefix = text.len() - raw.len();
    if prefix <= 1
        && let Some(raw) = raw.strip_prefix('r')
    {
        let hashes = raw.len() - raw.trim_start_matches('#').len();
        if raw[hashes..].starts_with('"') {
            let end = format!("\"{}", "#".repeat(hashes));
            let length =
                raw[hashes + 1..].find(&end).map_or(raw.len(), |at| hashes + 1 + at + end.len());
            return Some(prefix + 1 + length);
        }
    }
    let quoted = text.strip_prefix(['b', 'c']).unwrap_or(text);
    let prefix = text.len() - quoted.len();
    if quoted.starts_with('"') {
        return Some(prefix + quoted_length(quoted, '"'));
    }
    if quoted.starts_with('\'') {
        // A character ends with a quote, a lifetime does not.
        let mut inside = quoted.chars().skip(1);
        let is_character = match inside.next()? {
            '\\' => true,
            _ => inside.next() == Some('\''),
        };
        return Some(prefix + if is_character { quoted_length(quoted, '\'') } else { 1 });
    }
    None
}

/// Returns the length of a literal between quotes, escapes included.
fn quoted_length(text: &str, quote: char) -> usize {
    let mut escaped = false;
    for (at, c) in text.char_indices().skip(1) {
        match c {
            _ if escaped => escaped = false,
            '\\' => escaped = true,
            c if c == quote => return at + c.len_utf8(),
            _ => {}
        }
    }
    text.len()
}

/// Leaves out the items behind `#[cfg(test)]`.
fn without_tests(tokens: &[Token]) -> Vec<Token> {
    let mut kept = Vec::with_capacity(tokens.len());
    let mut rest = tokens;
    while let Some(first) = rest.first() {
        let length = match attribute_length(rest) {
            Some(length) if is_of_tests(&rest[..length]) => length + item_length(&rest[length..]),
            Some(length) => length,
            None => {
                kept.push(first.clone());
                1
            }
        };
        rest = &rest[length..];
    }
    kept
}

/// Returns the length of the attribute that `tokens` begin with, if they do.
fn attribute_length(tokens: &[Token]) -> Option<usize> {
    let inner = usize::from(tokens.get(1)?.is_mark('!'));
    if !tokens[0].is_mark('#') || !tokens.get(1 + inner)?.is_mark('[') {
        return None;
    }
    Some(1 + inner + bracketed_length(&tokens[1 + inner..], '[', ']'))
}

/// Returns whether an attribute is `cfg(test)`, or `cfg(all(test, …))`.
fn is_of_tests(attribute: &[Token]) -> bool {
    let words = |at: usize| {
        attribute
            .iter()
            .filter_map(|token| match token {
                Token::Word(word) => Some(word.as_str()),
                _ => None,
            })
            .nth(at)
    };
    words(0) == Some("cfg")
        && (words(1) == Some("test") || (words(1) == Some("all") && words(2) == Some("test")))
}

/// Returns the length of an item: up to its `;`, or to the end of its braces.
fn item_length(tokens: &[Token]) -> usize {
    let mut at = 0;
    while at < tokens.len() {
        if let Some(length) = attribute_length(&tokens[at..]) {
            at += length;
            continue;
        }
        match &tokens[at] {
            Token::Mark(';') => return at + 1,
            Token::Mark('{') if !is_of_use(&tokens[..at]) => {
                return at + bracketed_length(&tokens[at..], '{', '}');
            }
            _ => at += 1,
        }
    }
    at
}

fn is_of_use(before: &[Token]) -> bool {
    before.iter().any(|token| token.is("use"))
}

fn bracketed_length(tokens: &[Token], open: char, close: char) -> usize {
    let mut depth = 0;
    for (at, token) in tokens.iter().enumerate() {
        depth += usize::from(token.is_mark(open));
        depth -= usize::from(token.is_mark(close));
        if depth == 0 {
            return at + 1;
        }
    }
    tokens.len()
}
