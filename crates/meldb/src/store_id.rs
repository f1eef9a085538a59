//! The identity of a store.

use std::{fmt, io, str::FromStr};

/// 128 random bits that a store gets when it is created and keeps for good.
///
/// Written as 32 lower-case hexadecimal digits.
#[derive(Clone, Copy, PartialEq, Eq, Hash)]
pub(crate) struct StoreId([u8; 16]);

impl StoreId {
    /// Returns a new identity.
    ///
    /// # Errors
    /// The operating system has no random bytes.
    pub(crate) fn random() -> io::Result<Self> {
        let mut bytes = [0; 16];
        getrandom::fill(&mut bytes).map_err(|error| io::Error::other(error.to_string()))?;
        Ok(Self(bytes))
    }

    /// Returns the identity that was stored as `bytes`.
    pub(crate) const fn from_bytes(bytes: [u8; 16]) -> Self {
        Self(bytes)
    }

    /// Returns the bytes to store.
    pub(crate) const fn to_bytes(self) -> [u8; 16] {
        self.0
    }
}

impl fmt::Display for StoreId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.iter().try_for_each(|byte| write!(f, "{byte:02x}"))
    }
}

impl fmt::Debug for StoreId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "StoreId({self})")
    }
}

/// The text is not 32 lower-case hexadecimal digits.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct InvalidStoreId;

impl FromStr for StoreId {
    type Err = InvalidStoreId;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let is_digit = |byte: u8| byte.is_ascii_digit() || (b'a'..=b'f').contains(&byte);
        if text.len() != 32 || !text.bytes().all(is_digit) {
            return Err(InvalidStoreId);
        }
        let number = u128::from_str_radix(text, 16).map_err(|_| InvalidStoreId)?;
        Ok(Self(number.to_be_bytes()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_identity_reads_back_from_its_text_and_its_bytes() {
        let id = StoreId::random().expect("random bytes");
        assert_eq!(id.to_string().parse(), Ok(id));
        assert_eq!(StoreId::from_bytes(id.to_bytes()), id);
        assert_ne!(StoreId::random().expect("random bytes"), id);
        let one = StoreId::from_bytes([0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0x1f]);
        assert_eq!(one.to_string(), "0000000000000000000000000000001f");
    }

    #[test]
    fn other_texts_are_refused() {
        let digits = "0123456789abcdef0123456789abcdef";
        assert!(digits.parse::<StoreId>().is_ok());
        for text in ["", &digits[1..], &digits.to_uppercase(), &format!("+{}", &digits[1..])] {
            assert_eq!(text.parse::<StoreId>(), Err(InvalidStoreId), "{text}");
        }
    }
}
