//! Counting down from many threads without losing a step: read, decide, and write on the condition that
//! nobody else has written since.

#![allow(clippy::print_stdout, reason = "it shows what it does")]

use std::thread;

use meldb::{Condition, DocumentRef, Error, Store};
use serde_json::{Value, json};

const SEATS: u64 = 100;
const THREADS: u64 = 8;

/// Takes a seat and returns how many are left, or `None` if there was none.
fn take_seat(event: &DocumentRef, who: &str) -> Result<Option<u64>, Error> {
    loop {
        let Some(read) = event.get()? else { return Ok(None) };
        let seats = read.to::<Value>()?["seats"].as_u64().unwrap_or(0);
        let Some(left) = seats.checked_sub(1) else { return Ok(None) };
        let unchanged = Condition::Matches(read.revision());
        match event.merge(json!({"seats": left})).condition(unchanged).commit(who) {
            Ok(_) => return Ok(Some(left)),
            // Somebody was faster: what was decided no longer holds.
            Err(Error::RevisionMismatch { .. }) => {}
            Err(error) => return Err(error),
        }
    }
}

fn main() -> Result<(), Error> {
    let store = Store::in_memory()?;
    let event = store.tenant("acme")?.collection("events")?.document("launch");
    event.put(json!({"seats": SEATS})).commit("setup")?;

    let taken: u64 = thread::scope(|scope| {
        let threads: Vec<_> = (0..THREADS)
            .map(|number| {
                let event = &event;
                scope.spawn(move || {
                    let mut taken = 0;
                    while let Ok(Some(_)) = take_seat(event, &format!("thread-{number}")) {
                        taken += 1;
                    }
                    taken
                })
            })
            .collect();
        threads.into_iter().filter_map(|thread| thread.join().ok()).sum()
    });
    println!("{THREADS} threads took {taken} of {SEATS} seats");
    Ok(())
}
