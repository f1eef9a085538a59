//! The process whose system calls fail; see `meldb_testkit::io_faults`.

fn main() {
    meldb_testkit::io_faults::writer(std::env::args().skip(1));
}
