//! The process that the crash tests kill; see `meldb_testkit::kill`.

fn main() {
    meldb_testkit::kill::writer(std::env::args().skip(1));
}
