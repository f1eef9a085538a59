//! Writes to many documents of a collection, one atomic step a request: a merge into those that pass a filter, and the
//! removal of all.

use std::borrow::Cow;

use axum::{http::request::Parts, response::Response};
use bytes::Bytes;
use meldb::{BulkWrite, Collection, Depth, Filter, JsonText, Nulls, TenantId};
use serde::Serialize;

use super::{
    document::dry,
    find::{self, Checksum},
};
use crate::{
    bodies::{body::media_type, budget::Admission, cut, json_object::check_object, response},
    error::{Code, HttpError},
    headers::condition::Conditions,
    identity::{Identity, Notes, writer},
    query::{self, Query, bad_value},
    route::Need,
};

/// The longest body of a merge into many: a filter, and a patch.
pub(crate) const MERGE_BODY_BYTES_MAX: usize = find::QUERY_BODY_BYTES_MAX + TEXT_BYTES_MAX;
/// The longest patch; the store may take less.
const TEXT_BYTES_MAX: usize = 1 << 20;

/// What one step of a merge into many did, or would do.
#[derive(Debug, Serialize)]
struct MergedStep {
    /// How many documents passed the filter.
    matched: u64,
    /// How many of them were written.
    merged: u64,
    /// How many of them stay as they are, because nothing would change.
    unchanged: u64,
    /// How many documents were looked at.
    examined: u64,
    /// Whether this was the last step.
    complete: bool,
    /// Where the next step begins, if there is one.
    #[serde(skip_serializing_if = "Option::is_none")]
    after: Option<String>,
}

/// What one step of deleting a collection did, or would do.
#[derive(Debug, Serialize)]
struct DeletedStep {
    /// How many documents were deleted.
    deleted: u64,
    /// Whether none are left.
    complete: bool,
}

/// Who asks for a write to many documents, and where it is noted.
pub(crate) struct Asked<'a> {
    pub(crate) tenant: &'a TenantId,
    pub(crate) collection: Collection,
    pub(crate) parts: &'a Parts,
    pub(crate) identity: &'a dyn Identity,
    pub(crate) need: &'a Need,
}

impl Asked<'_> {
    /// Checks that a merge may be asked for: which documents pass a filter is for those to know who may read them.
    ///
    /// # Errors
    /// 403 without the scope to read, 400 for what does not apply, 415 for another type of body.
    pub(crate) fn check_merge(&self) -> Result<(), HttpError> {
        self.identity.check(&self.need.reading())?;
        self.check_headers()?;
        match media_type(&self.parts.headers)?.as_deref() {
            None | Some("application/json") => Ok(()),
            Some(_) => Err(HttpError::new(
                Code::UnsupportedMediaType,
                "the body must be application/json: {\"where\":…,\"patch\":…}",
            )),
        }
    }

    /// Refuses what speaks of one document.
    fn check_headers(&self) -> Result<(), HttpError> {
        let headers = &self.parts.headers;
        if Conditions::parse(headers)? != Conditions::default() {
            let message = "a write to many documents has no conditions but its filter";
            return Err(HttpError::bad_request(message));
        }
        if headers.contains_key("idempotency-key") {
            let message = "this takes no Idempotency-Key: what it does depends on what is stored; a step whose answer \
                           was lost may be sent again";
            return Err(HttpError::bad_request(message));
        }
        Ok(())
    }

    fn note(&self, notes: &mut Notes, writes: Vec<BulkWrite>) {
        let name = self.collection.name();
        let noted = writes
            .into_iter()
            .map(|write| (format!("{name}/{}", write.id), write.effect, write.revision));
        notes.operations = noted.collect();
    }
}

/// The body of a merge into many.
struct MergeBody<'t> {
    filter: Filter,
    patch: &'t [u8],
    after: Option<String>,
}

impl<'t> MergeBody<'t> {
    fn parse(text: &'t [u8]) -> Result<Self, HttpError> {
        check_object(text).map_err(meldb::Error::from)?;
        let (mut filter, mut patch, mut after) = (None, None, None);
        for (name, value) in cut::members(text) {
            match &*string(name).unwrap_or_default() {
                "where" => filter = Some(value),
                "patch" => patch = Some(value),
                "after" => after = Some(value),
                other => {
                    let message = format!(
                        "`{other}` is no field of a merge: it has `where`, `patch`, `after`"
                    );
                    return Err(HttpError::bad_request(message));
                }
            }
        }
        let missing =
            |name: &str, what: &str| HttpError::bad_request(format!("`{name}` is missing: {what}"));
        let filter = filter.ok_or_else(|| {
            missing("where", "a filter of the documents to merge into; `$id exists` passes all")
        })?;
        let patch = patch
            .ok_or_else(|| missing("patch", "an object of the fields to change (RFC 7396)"))?;
        if !patch.starts_with(b"{") {
            return Err(HttpError::bad_request("`patch` must be an object"));
        }
        if filter.len() > find::QUERY_BODY_BYTES_MAX {
            let message = format!("`where` is longer than {} bytes", find::QUERY_BODY_BYTES_MAX);
            return Err(HttpError::new(Code::PayloadTooLarge, message));
        }
        let filter = match string(filter) {
            Some(filter) => filter.parse().map_err(find::refused)?,
            None => find::filter_in(text)?,
        };
        let no_string = || bad_value("after", "a string");
        let after = after.map(|after| string(after).ok_or_else(no_string)).transpose()?;
        Ok(Self { filter, patch, after })
    }

    /// Returns what tells this merge from others: with another filter, patch or option a cursor would skip documents.
    fn checksum(&self, query: &Query) -> Checksum {
        let (keep, shallow) = (query.nulls == Nulls::Keep, query.depth == Depth::Shallow);
        let options = [keep, shallow, query.skip_unchanged, query.dry_run].map(u8::from);
        let filter = self.filter.to_string();
        let asked = [filter.as_bytes(), b"\0", &options, self.patch].concat();
        find::checksum("meldb-http bulk merge v1", &asked)
    }
}

/// Returns the string that a JSON text is.
fn string(text: &[u8]) -> Option<String> {
    serde_json::from_slice::<Cow<'_, str>>(text).ok().map(Cow::into_owned)
}

/// `POST …/{collection}:merge`: one step of a merge into the documents that pass a filter.
pub(crate) async fn merge(
    asked: Asked<'_>,
    text: &[u8],
    notes: &mut Notes,
    admission: &Admission,
) -> Result<Response, HttpError> {
    let Asked { tenant, collection, parts, identity, .. } = &asked;
    let query = Query::parse(parts.uri.query())?;
    notes.dry_run = query.dry_run;
    let body = MergeBody::parse(text)?;
    let checksum = body.checksum(&query);
    let mut merge = collection.find(body.filter).merge(JsonText(body.patch));
    merge = merge.nulls(query.nulls).depth(query.depth);
    if query.skip_unchanged {
        merge = merge.skip_unchanged();
    }
    if query.dry_run {
        merge = merge.dry_run();
    }
    if let Some(after) = &body.after {
        let behind = find::open_cursor(tenant, collection, after, &checksum);
        let refused =
            "`after` is not of this merge: it goes on with the same filter, patch and options";
        merge = merge.after(behind.ok_or_else(|| HttpError::bad_request(refused))?);
    }
    let actor = writer(*identity)?.clone();
    let turn = admission.turn().await;
    let done = merge.step_async(actor).await;
    drop(turn);
    // Whoever came here may read.
    let done =
        done.map_err(|error| HttpError::of(error, crate::disclosure::Disclosure::Document))?;
    let next = done.next.as_ref();
    let step = MergedStep {
        matched: done.matched,
        merged: done.merged,
        unchanged: done.unchanged,
        examined: done.examined,
        complete: next.is_none(),
        after: next.and_then(|next| find::seal_cursor(tenant, collection, next, &checksum)),
    };
    asked.note(notes, done.writes);
    answer(&step, parts, query.dry_run)
}

/// `DELETE …/{collection}?all=true`: deletes the first documents of a collection, as many as one step
/// takes. The answer says how many were deleted, and nothing of what they were.
pub(crate) async fn delete(
    asked: Asked<'_>,
    notes: &mut Notes,
    admission: &Admission,
) -> Result<Response, HttpError> {
    let Asked { collection, parts, identity, .. } = &asked;
    asked.check_headers()?;
    let dry_run = Query::parse(parts.uri.query())?.dry_run;
    notes.dry_run = dry_run;
    let [all] = query::values(parts.uri.query(), ["all"])?;
    match all.as_deref() {
        Some("true") => {}
        Some(_) => return Err(bad_value("all", "`true`")),
        None => {
            let message = "this address is that of a whole collection; to delete every document of it add all=true, to \
                           delete one document add its id to the path";
            return Err(HttpError::bad_request(message));
        }
    }
    let actor = writer(*identity)?.clone();
    let turn = admission.turn().await;
    let step = match dry_run {
        true => {
            let all = collection.find(Filter::all()).count_page_async().await?;
            DeletedStep { deleted: all.count, complete: all.next.is_none() }
        }
        false => {
            let done = collection.delete_some_async(actor).await?;
            let step = DeletedStep { deleted: done.writes.len() as u64, complete: !done.more };
            asked.note(notes, done.writes);
            step
        }
    };
    drop(turn);
    answer(&step, parts, dry_run)
}

fn answer(step: &impl Serialize, parts: &Parts, dry_run: bool) -> Result<Response, HttpError> {
    let text = serde_json::to_vec(step);
    let text = text.map_err(|error| HttpError::internal(format!("no JSON: {error}")))?;
    let mut response = response::json(Bytes::from(text), &parts.method);
    dry(&mut response, dry_run);
    Ok(response)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn refusal(text: &str) -> String {
        MergeBody::parse(text.as_bytes()).err().map(|error| error.text()).unwrap_or_default()
    }

    #[test]
    fn a_body_says_which_documents_and_what_to_change() {
        let text = br#" {"patch": {"n": 1.50, "gone": null} , "where": "n \u003c 3"} "#;
        let body = MergeBody::parse(text).expect("a body");
        assert_eq!(body.patch, br#"{"n": 1.50, "gone": null}"#);
        assert_eq!(body.filter.to_string(), "n < 3");
        let text = br#"{"where":{"field":"n","op":"<","value":3},"patch":{}}"#;
        assert_eq!(MergeBody::parse(text).expect("a body").filter, body.filter);
        for (text, said) in [
            ("{}", "`where` is missing"),
            (r#"{"where":"a = 1"}"#, "`patch` is missing"),
            (r#"{"where":"a = 1","patch":[]}"#, "`patch` must be an object"),
            (r#"{"where":7,"patch":{}}"#, "filter"),
            (r#"{"where":"a =","patch":{}}"#, "column 4"),
            (r#"{"where":"a = 1","patch":{},"after":7}"#, "`after` must be a string"),
            (r#"{"where":"a = 1","patch":{},"after":null}"#, "`after` must be a string"),
            (r#"{"where":"a = 1","patch":{},"dryRun":true}"#, "`dryRun` is no field"),
            (r#"{"where":"a = 1","where":"b = 1","patch":{}}"#, "occurs twice"),
        ] {
            assert!(refusal(text).contains(said), "{text}: {}", refusal(text));
        }
    }

    #[test]
    fn another_merge_has_another_checksum() {
        let checksum = |text: &str, query: Option<&str>| {
            let body = MergeBody::parse(text.as_bytes()).expect("a body");
            body.checksum(&Query::parse(query).expect("a query"))
        };
        let text = r#"{"where":"a = 1","patch":{"b":1}}"#;
        let mut all = vec![
            checksum(text, None),
            checksum(r#"{"where":"a = 2","patch":{"b":1}}"#, None),
            checksum(r#"{"where":"a = 1","patch":{"b":2}}"#, None),
        ];
        let options = ["nulls=keep", "depth=shallow", "skipUnchanged=true", "dryRun=true"];
        all.extend(options.map(|query| checksum(text, Some(query))));
        assert_eq!(checksum(text, Some("_=1")), all[0]);
        all.sort_unstable();
        all.dedup();
        assert_eq!(all.len(), 7);
    }
}
