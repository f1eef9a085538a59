//! The `meldb` program.

fn main() {}
