//! A support tool: who changed what in a document, and undoing one write without those after it.

#![allow(clippy::print_stdout, reason = "it shows what it does")]

use meldb::{Error, History, Store};
use serde_json::{Value, json};

fn main() -> Result<(), Error> {
    let store = Store::in_memory()?;
    let users = store.tenant("acme")?.collection("users")?;
    users.set_history(History::days(90), "operator")?;
    let ada = users.document("ada");
    ada.put(json!({"name": "Ada", "role": "owner"})).commit("signup")?;
    ada.merge(json!({"role": "guest"})).commit("import-17")?;
    ada.merge(json!({"seats": 5})).commit("billing")?;

    // "Why am I a guest?"
    let mut wrong = None;
    for version in ada.history() {
        let version = version?;
        println!("{} {} {}", version.revision, version.updated_by, version.fields.join(" "));
        if version.fields.contains(&"/role".to_owned()) && wrong.is_none() {
            wrong = Some(version.revision);
        }
    }
    let wrong = wrong.expect("somebody has set the role");

    // What billing has done since stays.
    ada.undo(wrong)?.commit("support")?;
    let now: Value = ada.get()?.expect("she is there").to()?;
    println!("role {} seats {}", now["role"], now["seats"]);
    Ok(())
}
