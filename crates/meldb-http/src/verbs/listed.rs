//! The text of documents in a list.

use bytes::{BufMut, BytesMut};
use meldb::{DocId, Document, Projection};

/// The text of documents after which a page takes no further one in.
pub(super) const PAGE_BYTES_MAX: usize = 4 << 20;

/// Writes `{"id":…,"data":…}` for each document, with its `revision` between them if that is asked for, and cut down to
/// some fields. An id holds nothing that JSON escapes.
pub(super) fn put_documents(
    text: &mut BytesMut,
    documents: &[Document],
    projection: Option<&Projection>,
    revisions: bool,
    first: bool,
) -> meldb::Result<()> {
    const FRAME_BYTES: usize = r#",{"id":"","data":}"#.len();
    let length = |found: &Document| {
        FRAME_BYTES + found.as_bytes().len() + found.id().map_or(0, |id| id.as_str().len())
    };
    if projection.is_none() {
        text.reserve(documents.iter().map(length).sum::<usize>() + 1);
    }
    for (index, found) in documents.iter().enumerate() {
        if index > 0 || !first {
            text.put_u8(b',');
        }
        text.put_slice(br#"{"id":""#);
        text.put_slice(found.id().map_or("", DocId::as_str).as_bytes());
        text.put_u8(b'"');
        if revisions {
            text.put_slice(format!(r#","revision":{}"#, found.revision()).as_bytes());
        }
        text.put_slice(br#","data":"#);
        match projection {
            Some(projection) => text.put_slice(&projection.of(found)?),
            None => text.put_slice(found.as_bytes()),
        }
        text.put_u8(b'}');
    }
    Ok(())
}
