//! One operation of a batch, read from its text.

use bytes::Bytes;
use meldb::{
    CollectionName, Condition, Depth, DocumentKey, DocumentPath, Expiry, JsonText, Nulls, Revision,
    Store, TenantId, Write, WriteOptions,
    verb::{self, Kind},
};
use serde::de::DeserializeOwned;

use crate::{
    bodies::cut,
    route::document_path,
    times::{expiry_ms, parse_expiry},
};

/// An operation.
#[derive(Clone, Debug)]
pub(super) struct Operation {
    /// As it was sent; made of valid names.
    pub(super) path: String,
    document: DocumentPath,
    verb: Kind,
    data: Bytes,
    options: WriteOptions,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Op {
    Put,
    Insert,
    Merge,
    Patch,
    Delete,
}

/// The members of an operation's text, each at most once.
#[derive(Default)]
struct Members<'t> {
    op: Option<&'t [u8]>,
    path: Option<&'t [u8]>,
    data: Option<&'t [u8]>,
    if_revision: Option<&'t [u8]>,
    if_unchanged_since: Option<&'t [u8]>,
    nulls: Option<&'t [u8]>,
    depth: Option<&'t [u8]>,
    skip_unchanged: Option<&'t [u8]>,
    expire_at: Option<&'t [u8]>,
}

/// Reads an operation on a document of `tenant` from `part`, a piece of `whole` that is well-formed JSON.
///
/// # Errors
/// What is wrong with it, in words.
pub(super) fn parse(tenant: &TenantId, whole: &Bytes, part: &[u8]) -> Result<Operation, String> {
    let members = Members::read(part)?;
    let op = match members.op.map(text).transpose()?.as_deref() {
        Some("put") => Op::Put,
        Some("insert") => Op::Insert,
        Some("merge") => Op::Merge,
        Some("patch") => Op::Patch,
        Some("delete") => Op::Delete,
        _ => return Err("`op` must be put, insert, merge, patch or delete".to_owned()),
    };
    let path = text(members.path.ok_or("`path` is missing")?)?;
    let document = document_path(tenant, &path).map_err(|error| error.to_string())?.ok_or(
        "`path` must be COLLECTION/ID, COLLECTION/ID/versions/current, or empty for the tenant's \
         own document",
    )?;
    let data = match (members.data, op) {
        (None, Op::Delete) => Bytes::new(),
        (Some(data), op) if op != Op::Delete => whole.slice_ref(data),
        (None, _) => return Err("`data` is missing".to_owned()),
        (Some(_), _) => return Err("a delete has no `data`".to_owned()),
    };
    if op != Op::Merge && (members.nulls.is_some() || members.depth.is_some()) {
        return Err("`nulls` and `depth` are for merges".to_owned());
    }
    if matches!(op, Op::Insert | Op::Delete) && members.skip_unchanged.is_some() {
        return Err(
            "`skipUnchanged` is for what may be there already: put, merge and patch".to_owned()
        );
    }
    if op == Op::Delete && members.expire_at.is_some() {
        return Err("a delete has no `expireAt`".to_owned());
    }
    let options = WriteOptions {
        condition: condition(op, &members)?,
        nulls: choice(members.nulls, "nulls", ("remove", Nulls::Remove), ("keep", Nulls::Keep))?,
        depth: choice(members.depth, "depth", ("deep", Depth::Deep), ("shallow", Depth::Shallow))?,
        skip_unchanged: match members.skip_unchanged {
            None => false,
            Some(value) => decode(value).ok_or("`skipUnchanged` must be true or false")?,
        },
        expiry: match members.expire_at {
            None => Expiry::Keep,
            Some(value) => expiry(value)?,
        },
        ..WriteOptions::default()
    };
    let verb = match op {
        Op::Put | Op::Insert => Kind::Put,
        Op::Merge => Kind::Merge,
        Op::Patch => Kind::Patch,
        Op::Delete => Kind::Delete,
    };
    Ok(Operation { path, document, verb, data, options })
}

impl<'t> Members<'t> {
    fn read(part: &'t [u8]) -> Result<Self, String> {
        if part.first() != Some(&b'{') {
            return Err("an operation is an object".to_owned());
        }
        let mut members = Self::default();
        for (name, value) in cut::members(part) {
            let name = text(name)?;
            let slot = match name.as_str() {
                "op" => &mut members.op,
                "path" => &mut members.path,
                "data" => &mut members.data,
                "ifRevision" => &mut members.if_revision,
                "ifUnchangedSince" => &mut members.if_unchanged_since,
                "nulls" => &mut members.nulls,
                "depth" => &mut members.depth,
                "skipUnchanged" => &mut members.skip_unchanged,
                "expireAt" => &mut members.expire_at,
                _ => return Err(format!("no operation has a member {name:?}")),
            };
            if slot.replace(value).is_some() {
                return Err(format!("the member {name:?} is given twice"));
            }
        }
        Ok(members)
    }
}

fn condition(op: Op, members: &Members<'_>) -> Result<Condition, String> {
    let revision = |value: &[u8], name: &str| {
        let number = integer(value).ok_or_else(|| format!("`{name}` must be a revision"))?;
        Ok::<_, String>(Revision::new(number))
    };
    match (op, members.if_revision, members.if_unchanged_since) {
        (Op::Insert, None, None) => Ok(Condition::Absent),
        (_, None, None) => Ok(Condition::Any),
        (Op::Insert, ..) => {
            Err("an insert is of what does not exist, and has no revision".to_owned())
        }
        (_, Some(value), None) => Ok(Condition::Matches(revision(value, "ifRevision")?)),
        (_, None, Some(value)) => {
            Ok(Condition::Unchanged { since: revision(value, "ifUnchangedSince")? })
        }
        _ => Err("`ifRevision` and `ifUnchangedSince` exclude each other".to_owned()),
    }
}

fn choice<T: Default>(
    value: Option<&[u8]>,
    name: &str,
    first: (&str, T),
    second: (&str, T),
) -> Result<T, String> {
    let Some(value) = value else { return Ok(T::default()) };
    match decode::<String>(value) {
        Some(value) if value == first.0 => Ok(first.1),
        Some(value) if value == second.0 => Ok(second.1),
        _ => Err(format!("`{name}` must be {:?} or {:?}", first.0, second.0)),
    }
}

fn text(value: &[u8]) -> Result<String, String> {
    decode(value).ok_or_else(|| "names, `op` and `path` must be strings in UTF-8".to_owned())
}

/// Reads a time of expiry, as a number or as text.
fn expiry(value: &[u8]) -> Result<Expiry, String> {
    let read = match (integer(value), decode::<String>(value)) {
        (Some(number), _) => expiry_ms(number).map(Expiry::At),
        (None, Some(text)) => parse_expiry(&text),
        (None, None) => parse_expiry(&String::from_utf8_lossy(value)),
    };
    read.map_err(|error| format!("`expireAt`: {error}"))
}

/// Reads an integer as JSON Schema has it (2020-12, validation, section 6.1.1): a number without a
/// fraction, `1.0` and `1e3` among them, which are exact to 2^53.
fn integer(value: &[u8]) -> Option<u64> {
    const EXACT_MAX: f64 = (1_u64 << 53) as f64;
    let whole = |number: &f64| number.fract() == 0.0 && (0.0..=EXACT_MAX).contains(number);
    decode(value).or_else(|| decode(value).filter(whole).map(|number| number as u64))
}

fn decode<T: DeserializeOwned>(value: &[u8]) -> Option<T> {
    serde_json::from_slice(value).ok()
}

impl Operation {
    /// Returns the collection; `None` for the tenant's own document.
    pub(super) fn collection(&self) -> Option<&CollectionName> {
        match self.document.key() {
            DocumentKey::Tenant => None,
            DocumentKey::Member { collection, .. } => Some(collection),
        }
    }

    /// Returns whether it changes only what exists.
    pub(super) fn updates(&self) -> bool {
        matches!(self.verb, Kind::Merge | Kind::Patch)
    }

    /// Returns whether it is not made where it changes nothing.
    pub(super) fn skips_unchanged(&self) -> bool {
        self.options.skip_unchanged
    }

    /// Returns the operations of a JSON Patch.
    pub(super) fn patch(&self) -> Option<&[u8]> {
        (self.verb == Kind::Patch).then_some(&self.data)
    }

    /// Returns the write that it is.
    pub(super) fn write(&self, store: &Store, dry_run: bool, diff: bool) -> Write<verb::Any> {
        let options = WriteOptions { dry_run, diff, ..self.options.clone() };
        store.document(self.document.clone()).write(self.verb, JsonText(&self.data), options)
    }
}
