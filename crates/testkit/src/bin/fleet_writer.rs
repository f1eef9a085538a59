//! A process of a fleet; see `meldb_testkit::fleet`.

fn main() {
    meldb_testkit::fleet::writer(std::env::args().skip(1));
}
