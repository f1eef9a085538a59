//! Fuzz targets of the HTTP adapter: requests to a router, and bytes to a server, without a socket.
//!
//! Apart from the other targets, because what is tested here parses JSON, and their exact oracle
//! switches on features of that parser which no server has.

mod body;
mod connection;
mod page;
mod pieces;
mod scope;
mod world;

use arbitrary::{Arbitrary, Unstructured};

pub use body::{Sent, check_body};
pub use connection::{Spoken, check_connection};
pub use page::{Paging, check_page};
pub use scope::{Asked, check_scope};

/// A target: its name, and what it does with the bytes that a fuzzer made.
pub type Target = (&'static str, fn(&[u8]));

/// Every target, for those who have the bytes already.
pub const TARGETS: [Target; 4] = [
    ("body", |bytes| read(bytes, |sent: Sent| check_body(&sent))),
    ("connection", |bytes| read(bytes, |spoken: Spoken| check_connection(&spoken))),
    ("page", |bytes| read(bytes, |paging: Paging| check_page(&paging))),
    ("scope", |bytes| read(bytes, |asked: Asked| check_scope(&asked))),
];

/// Reads a case from bytes as libFuzzer's targets do, and checks it.
fn read<'a, T: Arbitrary<'a>>(bytes: &'a [u8], check: impl FnOnce(T)) {
    if let Ok(case) = T::arbitrary_take_rest(Unstructured::new(bytes)) {
        check(case);
    }
}
