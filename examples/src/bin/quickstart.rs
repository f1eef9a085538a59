//! A store in a directory: `cargo run -p meldb-examples --bin quickstart -- DIR`.

#![allow(clippy::print_stdout, reason = "it shows what it does")]

use meldb::{Error, Store};
use serde_json::json;

fn main() -> Result<(), Error> {
    let dir = std::env::args().nth(1).unwrap_or_else(|| "quickstart-data".to_owned());
    let store = Store::open(dir)?;
    let users = store.tenant("acme")?.collection("users")?;

    users.put("ada", json!({"name": "Ada", "role": "member"})).commit("signup")?;
    users.put("bob", json!({"name": "Bob", "role": "member"})).commit("signup")?;
    let ada = users.merge("ada", json!({"role": "owner"})).commit("billing")?;
    println!("ada is at revision {}", ada.revision());

    // A merge never creates.
    let nobody = users.merge("eve", json!({"role": "owner"})).commit("billing");
    assert!(matches!(nobody, Err(Error::NotFound { .. })));

    for document in users.list() {
        println!("{}", document?.as_text()?.replace('\n', ""));
    }
    store.close()
}
