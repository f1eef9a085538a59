//! The templates of the table, taken apart once, and what a path has in the places of their names.

use std::sync::LazyLock;

use super::{
    endpoint::Endpoint,
    path::{PathFlaw, Segment},
};

/// The patterns of the table, in its order.
static PATTERNS: LazyLock<Vec<(Endpoint, Vec<Part>)>> = LazyLock::new(|| {
    let pattern = |endpoint: Endpoint| {
        (endpoint, endpoint.template()[1..].split('/').map(Part::read).collect())
    };
    Endpoint::ALL.into_iter().map(pattern).collect()
});

/// A segment of a template.
enum Part {
    Literal(&'static str),
    /// A name, and what follows it in the same segment.
    Name(Name, &'static str),
}

/// What a template has in braces.
#[derive(Clone, Copy)]
enum Name {
    Tenant,
    Collection,
    DocId,
    KeyId,
    File,
}

/// The segments in the places of a template's names, decoded, or flawed.
#[derive(Default)]
pub(super) struct Named<'a> {
    pub(super) tenant: Option<Segment<'a>>,
    pub(super) collection: Option<Segment<'a>>,
    pub(super) doc_id: Option<Segment<'a>>,
    pub(super) key_id: Option<Segment<'a>>,
    pub(super) file: Option<Segment<'a>>,
}

impl Part {
    fn read(text: &'static str) -> Self {
        let Some((name, after)) = text.strip_prefix('{').and_then(|rest| rest.split_once('}'))
        else {
            return Self::Literal(text);
        };
        let name = match name {
            "tenantId" => Name::Tenant,
            "collection" => Name::Collection,
            "docId" => Name::DocId,
            "keyId" => Name::KeyId,
            "file" => Name::File,
            // A test takes every template apart.
            other => unreachable!("{other} is not a name of a template"),
        };
        Self::Name(name, after)
    }

    fn fits(&self, segment: &Segment<'_>) -> bool {
        match self {
            Self::Literal("") => *segment == Err(PathFlaw::EMPTY),
            Self::Literal(literal) => segment.as_deref() == Ok(literal),
            Self::Name(_, "") => true,
            Self::Name(_, after) => segment.as_deref().is_ok_and(|text| text.ends_with(after)),
        }
    }
}

/// Returns the endpoint whose template fits, with what the path has for its names.
///
/// A segment in the place of a name may be flawed: whoever has no key learns the same of it as of
/// any other.
pub(super) fn find<'a>(segments: Vec<Segment<'a>>) -> Option<(Endpoint, Named<'a>)> {
    let (endpoint, parts) = PATTERNS.iter().find(|(_, parts)| {
        parts.len() == segments.len()
            && parts.iter().zip(&segments).all(|(part, segment)| part.fits(segment))
    })?;
    let mut named = Named::default();
    for (part, segment) in parts.iter().zip(segments) {
        let Part::Name(name, after) = part else { continue };
        let place = match name {
            Name::Tenant => &mut named.tenant,
            Name::Collection => &mut named.collection,
            Name::DocId => &mut named.doc_id,
            Name::KeyId => &mut named.key_id,
            Name::File => &mut named.file,
        };
        *place = Some(segment.map(|text| match text.strip_suffix(after) {
            Some(before) if !after.is_empty() => before.to_owned().into(),
            _ => text,
        }));
    }
    Some((*endpoint, named))
}
