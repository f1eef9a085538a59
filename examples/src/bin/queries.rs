//! Filters, order, pages, counts, and merging into what is found.

#![allow(clippy::print_stdout, reason = "it shows what it does")]

use meldb::{Error, Filter, Store, desc, field};
use serde_json::{Value, json};

fn main() -> Result<(), Error> {
    let store = Store::in_memory()?;
    let users = store.tenant("acme")?.collection("users")?;
    for (id, role, seats) in
        [("ada", "owner", 3), ("bob", "owner", 12), ("cyd", "member", 7), ("eve", "owner", 1)]
    {
        users.put(id, json!({"role": role, "seats": seats})).commit("signup")?;
    }

    // Built in Rust, or read from text: what a user typed, or a setting.
    let built = field("role").eq("owner").and(field("seats").ge(2));
    let typed: Filter = r#"role = "owner" and seats >= 2"#.parse().map_err(Error::from)?;
    assert_eq!(users.find(typed).count()?, users.find(built.clone()).count()?);

    let page = users.find(built.clone()).sort(desc("seats")).page(10)?;
    for document in &page.documents {
        let seats = document.to::<Value>()?["seats"].clone();
        println!("{} has {seats} seats", document.id().map_or("", |id| id.as_str()));
    }

    let report = users.find(built).merge(json!({"plan": "team"})).commit("billing")?;
    println!("{} documents were merged", report.merged);
    Ok(())
}
