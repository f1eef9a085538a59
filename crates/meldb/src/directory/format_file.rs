//! The text of the format file; `docs/format.md` describes it byte by byte.

use std::{fs, path::Path};

use twox_hash::XxHash3_64;

use crate::{store_id::StoreId, types::Error};

/// The version of everything on disk: the directory, the keys and the records.
pub const FORMAT_VERSION: u32 = 1;

/// The first line, which tells a store from anything else.
const MAGIC: &str = "MelDB store";
/// Larger than any format file that this or a later version writes.
const FILE_BYTES_MAX: usize = 4096;

/// What the format file says.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct FormatFile {
    pub(super) engine: String,
    pub(super) id: StoreId,
    pub(super) created_ms: u64,
}

impl FormatFile {
    /// Returns the text of the file.
    pub(super) fn to_text(&self) -> String {
        let Self { engine, id, created_ms } = self;
        let fields = format!(
            "{MAGIC}\nformat {FORMAT_VERSION}\nengine {engine}\nid {id}\ncreated {created_ms}\n"
        );
        let checksum = XxHash3_64::oneshot(fields.as_bytes());
        format!("{fields}checksum {checksum:016x}\n")
    }

    /// Reads the file `name` of the store in `dir`.
    pub(super) fn read(dir: &Path, name: &str) -> Result<Self, Error> {
        let path = dir.join(name);
        let bytes = fs::read(&path).map_err(|error| Error::io("read", &path, error))?;
        Self::parse(dir, &path, &bytes)
    }

    fn parse(dir: &Path, path: &Path, bytes: &[u8]) -> Result<Self, Error> {
        let foreign =
            |reason: &str| Error::NotAStore { dir: dir.to_owned(), reason: reason.to_owned() };
        let damaged = |reason: &str| Error::Damaged {
            what: path.display().to_string(),
            reason: reason.to_owned(),
        };
        if bytes.len() > FILE_BYTES_MAX || !bytes.starts_with(format!("{MAGIC}\n").as_bytes()) {
            return Err(foreign("its MELDB file does not start as one"));
        }
        let text = str::from_utf8(bytes).map_err(|_| damaged("it is not text"))?;
        // The first two lines and the last have the same form in every version, so that a format
        // which is too new can be told from one that is damaged.
        let (fields, checksum) = text.rsplit_once("checksum ").ok_or(damaged("it is cut short"))?;
        if checksum != format!("{:016x}\n", XxHash3_64::oneshot(fields.as_bytes())) {
            return Err(damaged("it does not match its checksum"));
        }
        let mut lines = fields.lines().skip(1);
        let mut field = |name: &str| lines.next()?.strip_prefix(name)?.strip_prefix(' ');
        let version = field("format").and_then(|number| number.parse().ok());
        let version: u32 = version.ok_or(damaged("it names no format"))?;
        if version != FORMAT_VERSION {
            let (found, supported) = (version, FORMAT_VERSION);
            return Err(Error::UnsupportedFormat { dir: dir.to_owned(), found, supported });
        }
        let engine = field("engine").ok_or(damaged("it names no engine"))?.to_owned();
        let id = field("id").and_then(|id| id.parse().ok());
        let id = id.ok_or(damaged("it names no id"))?;
        let created_ms = field("created").and_then(|number| number.parse().ok());
        let created_ms = created_ms.ok_or(damaged("it does not say when it was created"))?;
        Ok(Self { engine, id, created_ms })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parse(text: &[u8]) -> Result<FormatFile, Error> {
        FormatFile::parse(Path::new("dir"), Path::new("dir/MELDB"), text)
    }

    fn sample() -> FormatFile {
        let id = StoreId::from_bytes(*b"0123456789abcdef");
        FormatFile { engine: "fjall".to_owned(), id, created_ms: 1_764_000_000_000 }
    }

    /// The bytes of format 1, which stay readable for ever.
    #[test]
    fn format_1_is_these_bytes() {
        let text = "MelDB store\nformat 1\nengine fjall\nid 30313233343536373839616263646566\n\
                    created 1764000000000\nchecksum 4a8ad58b76e79f0b\n";
        assert_eq!(sample().to_text(), text);
        assert_eq!(parse(text.as_bytes()).expect("readable"), sample());
    }

    #[test]
    fn any_changed_or_missing_byte_is_noticed() {
        let text = sample().to_text().into_bytes();
        for position in 0..text.len() {
            let mut changed = text.clone();
            changed[position] ^= 1;
            assert!(parse(&changed).is_err(), "byte {position} changed");
            assert!(parse(&text[..position]).is_err(), "cut at byte {position}");
        }
        assert!(parse(&[&text[..], b"x"].concat()).is_err());
    }

    #[test]
    fn a_later_format_is_unsupported_whatever_else_it_says() {
        let fields = "MelDB store\nformat 7\nshards 12\n";
        let text = format!("{fields}checksum {:016x}\n", XxHash3_64::oneshot(fields.as_bytes()));
        let error = parse(text.as_bytes()).expect_err("refused");
        assert!(
            matches!(error, Error::UnsupportedFormat { found: 7, supported: 1, .. }),
            "{error}"
        );
    }

    #[test]
    fn another_file_of_that_name_is_not_a_store() {
        for text in [&b""[..], b"hello", b"\xff\xfe", &[b'M'; 5000]] {
            assert!(matches!(parse(text), Err(Error::NotAStore { .. })));
        }
    }
}
