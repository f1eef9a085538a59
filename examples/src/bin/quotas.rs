//! Tenants on plans of different sizes.

#![allow(clippy::print_stdout, reason = "it shows what it does")]

use meldb::{Error, Quota, Store};
use serde_json::json;

fn main() -> Result<(), Error> {
    // The free plan is everybody's who has no other one.
    let free = Quota { documents: Some(3), bytes: Some(64 * 1024) };
    let store = Store::builder().quota(free).in_memory()?;
    let paid = Quota { documents: Some(1_000), bytes: Some(64 << 20) };
    store.tenant("paying")?.set_quota(Some(paid), "billing")?;

    for name in ["trying", "paying"] {
        let tenant = store.tenant(name)?;
        let notes = tenant.collection("notes")?;
        let mut written = 0;
        for number in 0..10 {
            match notes.put(format!("note-{number}"), json!({"n": number})).commit("app") {
                Ok(_) => written += 1,
                Err(Error::QuotaExceeded { found, max, .. }) => {
                    println!("{name}: full, {found} would be more than {max}");
                    break;
                }
                Err(error) => return Err(error),
            }
        }
        let totals = tenant.totals()?;
        println!("{name}: wrote {written}, holds {} documents", totals.documents);
    }

    // A full tenant can delete, and change what it has.
    let notes = store.tenant("trying")?.collection("notes")?;
    notes.delete("note-0").commit("app")?;
    notes.put("note-9", json!({"n": 9})).commit("app")?;
    Ok(())
}
