//! The model of history on a database, on one server and spread over several.

#[path = "../../meldb/tests/history/clock.rs"]
mod clock;
#[path = "../../meldb/tests/history/model.rs"]
mod model;

mod place {
    use std::sync::atomic::{AtomicBool, Ordering::Relaxed};

    use meldb::{Builder, Store};
    use meldb_testkit::fixture::{Fixture, TestEngine};

    /// Every other store is a distributed one.
    static DISTRIBUTED: AtomicBool = AtomicBool::new(false);

    pub(crate) struct Place(Fixture);

    impl Place {
        pub(crate) const CASES: u32 = 16;

        pub(crate) fn new() -> Option<Self> {
            let fixture = Fixture::available(TestEngine::Postgres)?;
            if DISTRIBUTED.fetch_not(Relaxed) {
                fixture.distribute();
            }
            Some(Self(fixture))
        }

        pub(crate) fn open(&self, builder: Builder) -> Store {
            builder.postgres(&self.0.url()).expect("opened")
        }
    }
}
