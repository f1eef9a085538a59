//! The log under test: on a disk in memory that fails, forgets and rots, and on a real one.

mod crash;
mod disk;
mod faults;
mod model;
pub(super) mod planted;
mod real;
mod rot;
mod space;

/// As short as a sector can be, so that records and headers lie in several.
const SECTOR_BYTES: usize = 64;

/// A sequence of numbers that is the same each time (xorshift64*).
struct Random(u64);

impl Random {
    fn new(seed: u64) -> Self {
        Self((seed + 1).wrapping_mul(0x9e37_79b9_7f4a_7c15))
    }

    fn below(&mut self, bound: usize) -> usize {
        self.0 ^= self.0 >> 12;
        self.0 ^= self.0 << 25;
        self.0 ^= self.0 >> 27;
        (self.0.wrapping_mul(0x2545_f491_4f6c_dd1d) >> 33) as usize % bound
    }
}

/// The examples of `docs/format.md`.
#[test]
fn the_bytes_are_those_of_the_documentation() {
    let mut bytes = Vec::new();
    let seed = super::frame::FileSeed::new(model::STORE, 1);
    super::frame::encode(&mut bytes, seed, 4096, (1, 0), b"Ada");
    let documented = include_str!("../../../../../../../docs/format.md");
    let rows = bytes.chunks(8).map(|row| {
        let row: Vec<_> = row.iter().map(|byte| format!("{byte:02x}")).collect();
        row.join(" ")
    });
    let rows: Vec<_> = rows.collect();
    let example = documented.lines().skip_while(|line| !line.starts_with("1000  "));
    let example: Vec<_> = example.take(rows.len()).filter_map(|line| line.get(6..29)).collect();
    assert_eq!(example, rows);
    let marker = super::marker::Marker { store: model::STORE, sequence: 1, file: 2 };
    let disk = disk::SimDisk::new(512);
    marker.write(&*disk.store_dir()).expect("written");
    disk.edit("store", "closed", |text| {
        let text = std::str::from_utf8(text).expect("text");
        assert!(documented.contains(text), "{text}");
    });
}
