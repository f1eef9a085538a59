//! History: earlier versions, blame and undo.

#[path = "history/cases.rs"]
mod cases;
#[path = "history/clock.rs"]
mod clock;
#[path = "history/keeping.rs"]
mod keeping;
#[path = "history/model.rs"]
mod model;
#[path = "history/place.rs"]
mod place;
#[path = "history/receipts.rs"]
mod receipts;
