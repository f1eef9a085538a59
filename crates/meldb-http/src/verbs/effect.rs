//! The names of what writes did.

use meldb::Effect;

/// Returns the name of what a write did, as answers and logs have it.
pub fn effect_name(effect: Effect) -> &'static str {
    match effect {
        Effect::Created => "created",
        Effect::Replaced => "replaced",
        Effect::Merged => "merged",
        Effect::Unchanged => "unchanged",
        Effect::Deleted => "deleted",
        _ => "written",
    }
}
