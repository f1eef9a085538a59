//! What is printed of a document, and of a write.

use serde::Serialize;

use crate::{
    address::Address,
    backend::{Effect, Found, Outcome},
    failure::Result,
    output::{Output, with_data},
};

/// What `--json` says beside the document.
#[derive(Serialize)]
struct Facts {
    path: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    revision: Option<u64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    effect: Option<Effect>,
    /// Whether nothing was written.
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    dry_run: bool,
}

/// Prints a document as it was read.
pub(super) fn print_found(address: &Address, found: &Found, output: Output) -> Result<()> {
    if output.json {
        let path = address.to_string();
        let facts = Facts { path, revision: found.revision, effect: None, dry_run: false };
        return output.line(with_data(&facts, &found.text));
    }
    output.document(&found.text)
}

/// Prints what a write did.
pub(super) fn print_outcome(
    path: &str,
    outcome: &Outcome,
    dry_run: bool,
    output: Output,
) -> Result<()> {
    let effect = outcome.effect.as_str();
    let shown = outcome.text.as_deref();
    if output.json {
        let (revision, effect) = (outcome.revision, Some(outcome.effect));
        let path = path.to_owned();
        let facts = Facts { path, revision, effect, dry_run };
        return output.line(match shown {
            Some(text) => with_data(&facts, text),
            None => serde_json::to_vec(&facts).unwrap_or_default(),
        });
    }
    if let Some(text) = shown {
        output.document(text)?;
    }
    match outcome.revision {
        _ if dry_run => output.remark(&format!("would be {effect}: {path}; nothing was written")),
        Some(revision) => output.remark(&format!("{effect} {path} at revision {revision}")),
        None => output.remark(&format!("{effect} {path}")),
    }
    Ok(())
}
