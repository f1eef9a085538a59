//! What an error code of the database proves about the statement that it answers.
//!
//! The question is whether a commit can have been made all the same. A code is in the table only if it
//! proves that nothing was written; after every other one, and after none, the commit is in doubt.
//! Citus reports much of what happens between its servers with codes of its own choice (`XX000` for a
//! connection that was lost after a worker had committed), so a code that is not known proves nothing.

/// What is known after a failure.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Class {
    /// No connection was to be had: nothing has been asked.
    Unreachable,
    /// The reply was lost, or proves nothing: what was asked may have been done.
    Lost,
    /// It was not done, because of what others were doing; the whole operation is to be run again.
    Rerun,
    /// It was not done, because a row was not as it was read.
    Moved,
    /// It was not done, and may be done later.
    Busy,
    /// It was not done, and will not be.
    Refused,
}

/// Where a code proves that nothing was written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Proof {
    /// On one server, and on several.
    Everywhere,
    /// On one server. Of several, one may have committed before another one failed.
    OneServer,
    /// Nowhere.
    Nowhere,
}

/// A code, or the first two characters of a class of codes.
struct Entry {
    code: &'static str,
    class: Class,
    proof: Proof,
}

const fn entry(code: &'static str, class: Class, proof: Proof) -> Entry {
    Entry { code, class, proof }
}

/// The table. A code of five characters comes before its class.
const TABLE: &[Entry] = &[
    // The server does not know the statement, its objects or its caller: it was never run.
    entry("0A", Class::Refused, Proof::Everywhere),
    entry("26", Class::Refused, Proof::Everywhere),
    entry("28", Class::Refused, Proof::Everywhere),
    entry("3D", Class::Refused, Proof::Everywhere),
    entry("3F", Class::Refused, Proof::Everywhere),
    entry("42", Class::Refused, Proof::Everywhere),
    entry("54", Class::Refused, Proof::Everywhere),
    // A value or a row was refused while the statement ran, by the server that has the row. The first is
    // the cast with which a commit finds that a row has moved on.
    entry("22P02", Class::Moved, Proof::Everywhere),
    entry("21", Class::Refused, Proof::Everywhere),
    entry("22", Class::Refused, Proof::Everywhere),
    entry("23", Class::Refused, Proof::Everywhere),
    // A standby that a failover has not come to yet: it cannot write.
    entry("25006", Class::Busy, Proof::Everywhere),
    // The transaction had failed before, so its end takes it back.
    entry("25P02", Class::Busy, Proof::Everywhere),
    // Whoever waits for a lock has not committed. Of class 40 these two alone: 40003 says itself that
    // the outcome is unknown.
    entry("40001", Class::Rerun, Proof::Everywhere),
    entry("40P01", Class::Rerun, Proof::Everywhere),
    entry("55P03", Class::Busy, Proof::Everywhere),
    // One server takes no interrupt once it commits, and a failure to write its log then stops it as a
    // whole. A coordinator may run into these after a worker has committed.
    entry("57014", Class::Busy, Proof::OneServer),
    entry("53", Class::Busy, Proof::OneServer),
    entry("58", Class::Busy, Proof::OneServer),
    entry("XX001", Class::Refused, Proof::OneServer),
    entry("XX002", Class::Refused, Proof::OneServer),
];

/// Returns what a code means, and what it proves.
pub(super) fn class_of(code: &str) -> (Class, Proof) {
    let found = TABLE.iter().find(|entry| code.starts_with(entry.code));
    found.map_or((Class::Lost, Proof::Nowhere), |entry| (entry.class, entry.proof))
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Codes with which PostgreSQL and Citus end connections and two-phase commits, those of classes that
    /// nobody has thought of, and those that say themselves that they do not know.
    #[test]
    fn a_code_that_proves_nothing_leaves_a_commit_in_doubt() {
        for code in [
            "XX000", "08000", "08003", "08006", "08007", "40000", "40002", "40003", "57000",
            "57P01", "57P02", "57P03", "57P04", "57P05", "25P03", "25P04", "55000", "55006",
            "F0000", "HV000", "P0001", "38000", "39000", "2D000", "ZZ999", "",
        ] {
            assert_eq!(class_of(code), (Class::Lost, Proof::Nowhere), "{code}");
        }
    }

    #[test]
    fn what_one_server_proves_several_need_not() {
        for code in ["57014", "53100", "53200", "53300", "58030", "XX001", "XX002"] {
            assert_eq!(class_of(code).1, Proof::OneServer, "{code}");
        }
        for code in
            ["22P02", "22003", "23505", "25006", "40001", "40P01", "42501", "55P03", "28P01"]
        {
            assert_eq!(class_of(code).1, Proof::Everywhere, "{code}");
        }
        assert_eq!(class_of("22P02").0, Class::Moved);
        assert_eq!(class_of("40P01").0, Class::Rerun);
    }

    #[test]
    fn every_code_is_found_before_its_class() {
        for (at, entry) in TABLE.iter().enumerate() {
            let earlier = TABLE[..at].iter().find(|other| entry.code.starts_with(other.code));
            assert!(earlier.is_none(), "{} is never found", entry.code);
        }
    }
}
