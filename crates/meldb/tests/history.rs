//! History: what documents were, who made them that, and taking it back.

#[path = "history/cases.rs"]
mod cases;
#[path = "history/clock.rs"]
mod clock;
#[path = "history/keeping.rs"]
mod keeping;
#[path = "history/model.rs"]
mod model;
