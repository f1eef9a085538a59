//! The text of a key: made, recognised, hashed.

use std::fmt;

/// What every key starts with, so that scanners for leaked secrets recognise it.
const PREFIX: &str = "meldb_";
/// Random letters of a key: 43 of 62 letters hold 256 bits.
const RANDOM_LETTERS: usize = 43;
/// Letters of the checksum behind them: 32 bits.
const CHECKSUM_LETTERS: usize = 6;
const ALPHABET: &[u8; 62] = b"0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz";

/// The secret text of a key, shown once, when the key is made.
///
/// `meldb_`, 43 random letters and digits (256 bits), and 6 of a checksum, by which a mistyped key
/// is told from an unknown one without a look into the store. `Debug` does not show it.
#[derive(Clone, PartialEq, Eq)]
pub struct KeySecret(String);

impl KeySecret {
    /// Makes a secret from the operating system's random source.
    pub(super) fn random() -> Result<Self, getrandom::Error> {
        let mut text = String::with_capacity(PREFIX.len() + RANDOM_LETTERS + CHECKSUM_LETTERS);
        text.push_str(PREFIX);
        let mut bytes = [0; 64];
        while text.len() < PREFIX.len() + RANDOM_LETTERS {
            getrandom::fill(&mut bytes)?;
            // The bytes from 248 on are left out: with them, some letters would come up more often.
            let fair = bytes.iter().filter(|byte| usize::from(**byte) < 4 * ALPHABET.len());
            let missing = PREFIX.len() + RANDOM_LETTERS - text.len();
            text.extend(fair.take(missing).map(|byte| letter(u32::from(*byte))));
        }
        let checksum = checksum(&text);
        text.push_str(&checksum);
        Ok(Self(text))
    }

    /// Returns `text` as a secret if it has the form of one, whatever its checksum.
    pub(super) fn parse(text: &str) -> Option<Self> {
        let random = text.strip_prefix(PREFIX)?;
        let well_formed = random.len() == RANDOM_LETTERS + CHECKSUM_LETTERS
            && random.bytes().all(|byte| byte.is_ascii_alphanumeric());
        well_formed.then(|| Self(text.to_owned()))
    }

    /// Returns whether the checksum is right; of a secret that some key has it is.
    pub(super) fn has_checksum(&self) -> bool {
        let (body, sum) = self.0.split_at(PREFIX.len() + RANDOM_LETTERS);
        checksum(body) == sum
    }

    /// Returns what the store keeps instead of the secret.
    ///
    /// A plain hash is enough: nobody guesses 256 random bits, however fast the hash.
    pub(super) fn hash(&self) -> blake3::Hash {
        blake3::hash(self.0.as_bytes())
    }

    /// Returns the secret itself, to hand to whoever will use the key.
    pub fn expose(&self) -> &str {
        &self.0
    }
}

impl fmt::Debug for KeySecret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("KeySecret(…)")
    }
}

fn letter(number: u32) -> char {
    char::from(ALPHABET[number as usize % ALPHABET.len()])
}

fn checksum(text: &str) -> String {
    let hash = blake3::hash(text.as_bytes());
    let [a, b, c, d, ..] = *hash.as_bytes();
    let mut rest = u32::from_be_bytes([a, b, c, d]);
    let next = |_| {
        let letter = letter(rest % 62);
        rest /= 62;
        letter
    };
    (0..CHECKSUM_LETTERS).map(next).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_secret_is_recognised_and_a_mistyped_one_is_not() {
        let secret = KeySecret::random().expect("random bytes");
        let text = secret.expose();
        assert!(text.starts_with("meldb_"));
        assert_eq!(text.len(), 55);
        let checked = |text: &str| KeySecret::parse(text).filter(KeySecret::has_checksum);
        assert_eq!(checked(text).as_ref(), Some(&secret));
        for index in PREFIX.len()..text.len() {
            let mut typo = text.as_bytes().to_vec();
            typo[index] = if typo[index] == b'a' { b'b' } else { b'a' };
            let typo = String::from_utf8(typo).expect("ASCII");
            assert_eq!(checked(&typo), None, "letter {index}");
        }
        for text in ["", "meldb_", "meldb", &text[1..], &text[..54], &format!("{text}a"), "meldb_ü"]
        {
            assert_eq!(KeySecret::parse(text), None, "{text:?}");
        }
    }

    #[test]
    fn two_secrets_differ_and_debug_shows_neither() {
        let secret = KeySecret::random().expect("random bytes");
        assert_ne!(secret, KeySecret::random().expect("random bytes"));
        assert!(!format!("{secret:?}").contains(&secret.expose()[6..]));
    }

    #[test]
    fn every_letter_comes_up() {
        let text: String = (0..100)
            .map(|_| KeySecret::random().expect("random bytes").expose()[6..49].to_owned())
            .collect();
        assert!(ALPHABET.iter().all(|letter| text.contains(char::from(*letter))));
    }
}
