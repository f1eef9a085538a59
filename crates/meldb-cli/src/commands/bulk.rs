//! Writes to many documents of a collection: step by step, with how far they are, until all is done or they are
//! interrupted.

use std::{future::Future, pin::pin};

use bytes::Bytes;
use indicatif::HumanCount;
use meldb_http::check_object;
use serde::Serialize;

use crate::{
    backend::{BulkMergeRequest, DeleteAllRequest, DeletedStep, MergedStep},
    body,
    directory::Missing,
    failure::{Code, Failure, Result},
    output::Output,
    target::TargetArgs,
};

/// A report with whether anything was written.
#[derive(Serialize)]
struct Report<'a, T> {
    #[serde(flatten)]
    done: &'a T,
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    dry_run: bool,
}

/// Merges a patch into the documents that pass a filter, and prints what was done.
pub(super) async fn merge(
    target: &TargetArgs,
    mut request: BulkMergeRequest,
    patch: &str,
    quiet: bool,
    output: Output,
) -> Result<()> {
    let patch = Bytes::from(body::read(patch)?);
    // It becomes part of a larger text.
    check_object(&patch).map_err(meldb::Error::from)?;
    let dry_run = request.options.dry_run;
    let backend = target.open(Missing::Fail).await?;
    let bar = output.spinner("{spinner} {msg}");
    let mut interrupted = pin!(tokio::signal::ctrl_c());
    let given = request.after.clone();
    let mut done = MergedStep { after: given.clone(), ..MergedStep::default() };
    let failure = loop {
        request.after.clone_from(&done.after);
        let (step, is_interrupted) =
            complete(backend.merge_step(&request, &patch), interrupted.as_mut()).await;
        match step {
            Ok(step) => {
                done.matched += step.matched;
                done.merged += step.merged;
                done.unchanged += step.unchanged;
                done.examined += step.examined;
                (done.complete, done.after) = (step.complete, step.after);
            }
            Err(failure) => break Some(failure),
        }
        let (merged, examined) = (HumanCount(done.merged), HumanCount(done.examined));
        bar.set_message(format!("{merged} documents merged, {examined} looked at"));
        bar.tick();
        if done.complete {
            break None;
        }
        if is_interrupted {
            break Some(Failure::new(Code::Interrupted, "interrupted"));
        }
    };
    bar.finish_and_clear();
    // Where the first step fails there is nothing to go on behind.
    let is_begun = done.after != given;
    let failure = failure.map(|failure| match &done.after {
        Some(after) if is_begun => {
            let message = format!("{}; {} were merged before", failure.message, done.merged);
            let goes_on = format!("to go on, run it again with --after '{after}'");
            let hint =
                failure.hint.map_or_else(|| goes_on.clone(), |hint| format!("{hint}; {goes_on}"));
            Failure::new(failure.code, message).hint(hint)
        }
        _ => failure,
    });
    let is_partial = failure.is_some();
    let words = || {
        let (merged, matched) = (HumanCount(done.merged), HumanCount(done.matched));
        let verb = if dry_run { "would merge into" } else { "merged into" };
        let left = match done.unchanged {
            0 => String::new(),
            unchanged => format!("; {} stay as they are", HumanCount(unchanged)),
        };
        format!("{verb} {merged} of {matched} documents that pass{left}")
    };
    // Programs get the report of a part as well: it holds the cursor to go on behind.
    if output.json {
        if !is_partial || is_begun {
            print_json(&Report { done: &done, dry_run }, output)?;
        }
    } else if !is_partial && !quiet {
        output.line(words())?;
    }
    failure.map_or(Ok(()), Err)
}

/// Deletes every document of a collection, and prints how many.
pub(super) async fn delete(
    target: &TargetArgs,
    request: DeleteAllRequest,
    quiet: bool,
    output: Output,
) -> Result<()> {
    let backend = target.open(Missing::Fail).await?;
    let bar = output.spinner("{spinner} {msg}");
    let mut interrupted = pin!(tokio::signal::ctrl_c());
    let mut done = DeletedStep::default();
    let failure = loop {
        let (step, is_interrupted) =
            complete(backend.delete_step(&request), interrupted.as_mut()).await;
        match step {
            Ok(step) => {
                done.deleted += step.deleted;
                done.complete = step.complete;
            }
            Err(failure) => break Some(failure),
        }
        bar.set_message(format!("{} documents deleted", HumanCount(done.deleted)));
        bar.tick();
        // A dry run counts what is there once.
        if done.complete || request.dry_run {
            break None;
        }
        if is_interrupted {
            break Some(Failure::interrupted());
        }
    };
    bar.finish_and_clear();
    if let Some(failure) = failure {
        let message = format!("{}; {} were deleted before", failure.message, done.deleted);
        return Err(Failure { message, ..failure });
    }
    if output.json {
        return print_json(&Report { done: &done, dry_run: request.dry_run }, output);
    }
    if quiet {
        return Ok(());
    }
    let (deleted, collection) = (HumanCount(done.deleted), &request.collection);
    match (request.dry_run, done.complete) {
        (false, _) => output.line(format!("deleted {deleted} documents of {collection}")),
        (true, true) => output.line(format!("would delete {deleted} documents of {collection}")),
        (true, false) => {
            output.line(format!("would delete more than {deleted} documents of {collection}"))
        }
    }
}

/// Waits for a step, and tells whether somebody meanwhile asked to end: a second time it is not waited for.
async fn complete<T>(
    step: impl Future<Output = Result<T>>,
    mut interrupted: std::pin::Pin<&mut impl Future<Output = std::io::Result<()>>>,
) -> (Result<T>, bool) {
    let mut step = pin!(step);
    tokio::select! {
        biased;
        done = &mut step => return (done, false),
        _ = interrupted.as_mut() => {}
    }
    tokio::select! {
        biased;
        done = &mut step => (done, true),
        _ = tokio::signal::ctrl_c() => (Err(Failure::interrupted()), true),
    }
}

fn print_json(report: &impl Serialize, output: Output) -> Result<()> {
    output.line(serde_json::to_string(report).unwrap_or_default())
}
