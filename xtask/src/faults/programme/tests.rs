//! The programme itself: what fails, what is missing and what is cut short is told from what passes.

use std::sync::{Arc, atomic::AtomicBool};

use meldb_testkit::need::Need;

use super::{
    Part,
    check::{Check, Tally, Unavailable, Verdict},
    judge, missing,
    report::Report,
    runner::Runner,
};

const NOWHERE: Need = Need::Program { name: "meldb-no-such-program", package: "none" };

const PASSES: Check =
    Check { name: "passes", needs: &[], run: |_| Ok(Tally { rounds: 3, faults: 5 }) };
const FAILS: Check =
    Check { name: "fails", needs: &[], run: |_| anyhow::bail!("a write was lost") };
const PANICS: Check = Check { name: "panics", needs: &[], run: |_| panic!("at {}", "round 7") };
const NEEDS: Check =
    Check { name: "needs", needs: &[NOWHERE], run: |_| panic!("it is run without what it needs") };
const CANNOT: Check = Check {
    name: "cannot",
    needs: &[],
    run: |_| Err(Unavailable("mounting is not allowed".to_owned()).into()),
};
const ENDS_EARLY: Check = Check {
    name: "ends_early",
    needs: &[],
    run: |run| match run.tell(1, 2).is_break() {
        true => anyhow::bail!("it was cut short"),
        false => Ok(Tally::default()),
    },
};

fn report(checks: &[&'static Check], interrupted: bool) -> Report {
    let runner = Runner::new(1, Arc::new(AtomicBool::new(interrupted)));
    let mut report = Report::new(1);
    for check in checks {
        report.add(Part::Kills, check.name, runner.run(check, "[test]"));
    }
    report
}

#[test]
fn a_check_that_fails_or_panics_fails_the_programme() {
    assert!(judge(&report(&[&PASSES], false), false).is_ok());
    for (check, why) in [(&FAILS, "a write was lost"), (&PANICS, "at round 7")] {
        let report = report(&[&PASSES, check], false);
        assert_eq!(report.names(Verdict::is_failure).len(), 1);
        let error = judge(&report, true).expect_err(check.name).to_string();
        assert!(error.contains(check.name), "{error}");
        let table = report.to_table();
        assert!(table.contains("1 FAILED") && table.contains(why), "{table}");
    }
}

#[test]
fn what_cannot_run_fails_the_programme_unless_that_is_allowed() {
    for check in [&NEEDS, &CANNOT] {
        let report = report(&[&PASSES, check], false);
        assert_eq!(report.names(Verdict::is_missing).len(), 1, "{}", check.name);
        assert!(judge(&report, false).is_err(), "{}", check.name);
        assert!(judge(&report, true).is_ok(), "{}", check.name);
        assert!(report.to_table().contains("1 missing"), "{}", report.to_table());
    }
    let missing = missing(&[(Part::Kills, &PASSES), (Part::Kills, &NEEDS)]);
    assert_eq!(missing.into_iter().collect::<Vec<_>>(), [(NOWHERE, 1)]);
}

#[test]
fn nothing_is_run_after_an_interrupt_and_what_is_cut_short_does_not_count() {
    let report = report(&[&ENDS_EARLY, &FAILS], true);
    assert_eq!(report.names(|verdict| *verdict == Verdict::Interrupted).len(), 2);
    assert!(report.to_table().contains("2 interrupted"), "{}", report.to_table());
}

#[test]
fn the_table_and_the_document_have_the_same_figures() {
    let report = report(&[&PASSES, &PASSES, &NEEDS], false);
    let table = report.to_table();
    let row = table.lines().find(|line| line.starts_with("kills")).expect("a row");
    let fields: Vec<_> = row.split_whitespace().collect();
    assert_eq!(fields[1..4], ["3", "6", "10"], "{table}");
    let document = report.to_json(&missing(&[(Part::Kills, &NEEDS)]));
    let part = &document["parts"][0];
    assert_eq!((&part["rounds"], &part["faults"]), (&6.into(), &10.into()), "{document}");
    assert_eq!(document["checks"][2]["result"], "1 missing");
    assert_eq!(document["missing"][0]["install"], "install none: apt-get install none");
}

#[test]
fn every_check_has_a_name_of_its_own_in_its_part() {
    use clap::ValueEnum;
    for part in Part::value_variants() {
        let mut names: Vec<_> = part.checks().iter().map(|check| check.name).collect();
        let count = names.len();
        names.sort_unstable();
        names.dedup();
        assert_eq!(names.len(), count, "{part:?}");
        assert!(count > 0, "{part:?} has no check");
    }
}
