//! Which top-level fields a write may change.

use twox_hash::XxHash3_64;

/// The bit of both stamps, which every write changes.
const STAMPS_BIT: u32 = 63;

/// A set of top-level fields that may hold more than was put into it, never less.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct FieldSet(u64);

impl FieldSet {
    /// Every field.
    pub const ALL: Self = Self(u64::MAX);
    /// The stamps.
    pub const STAMPS: Self = Self(1 << STAMPS_BIT);

    /// Returns the set of one field, by its name in canonical text.
    #[must_use]
    pub fn of_name(canonical: &[u8]) -> Self {
        match canonical {
            b"updated" | b"updatedBy" => Self::STAMPS,
            name => Self(1 << (XxHash3_64::oneshot(name) % u64::from(STAMPS_BIT))),
        }
    }

    /// Returns the set with the fields of another one.
    #[must_use]
    pub fn and(self, other: Self) -> Self {
        Self(self.0 | other.0)
    }

    /// Returns whether a field may be in both sets.
    #[must_use]
    pub fn meets(self, other: Self) -> bool {
        self.0 & other.0 != 0
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_set_holds_what_was_put_into_it() {
        let names: Vec<_> = (0..500).map(|number| format!("field{number}").into_bytes()).collect();
        let of = |name: &Vec<u8>| FieldSet::of_name(name);
        assert!(names.iter().all(|name| of(name).and(of(&names[0])).meets(of(name))));
        assert!(
            names
                .iter()
                .all(|name| FieldSet::ALL.meets(of(name)) && !FieldSet::STAMPS.meets(of(name)))
        );
        let met = names[1..].iter().filter(|name| of(name).meets(of(&names[0]))).count();
        assert!(met < 40, "{met} of 499 names look like another one");
    }
}
