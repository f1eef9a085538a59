//! The commands that are too long for tests.

fn main() {}
