//! Reading an input line by line, in bounded memory, with the place of each line.

use std::{
    fs::File,
    io::{self, BufRead, BufReader, Read},
    path::{Path, PathBuf},
};

use bytes::Bytes;

use super::record::{Mark, Record};
use crate::failure::{Failure, Result};

/// The longest line that is read: more than the largest document a store can be set to accept.
pub(crate) const LINE_BYTES_MAX: usize = meldb::limits::DOCUMENT_BYTES_CEILING + (1 << 20);
/// How many bytes lie between two places where an import can be continued.
const MARK_BYTES: u64 = 256 << 10;
const BUFFER_BYTES: usize = 256 << 10;

/// A line as it was read.
#[derive(Debug)]
pub(crate) struct Line {
    /// Its number; the first one is 1.
    pub(crate) number: u64,
    /// Its bytes without the line break, or `None` if it is longer than [`LINE_BYTES_MAX`].
    pub(crate) text: Option<Bytes>,
    /// How many bytes of the input it takes.
    pub(crate) bytes: u64,
    /// The place behind it, now and then.
    pub(crate) mark: Option<Mark>,
}

/// An input of NDJSON.
pub(crate) struct Input {
    source: Box<dyn BufRead + Send>,
    /// The file, unless it is standard input.
    pub(crate) path: Option<PathBuf>,
    /// Its length, if it is a file that has one.
    pub(crate) bytes: Option<u64>,
    hasher: blake3::Hasher,
    offset: u64,
    line: u64,
    marked: u64,
}

impl Input {
    /// Opens a file, or standard input for `-`.
    pub(crate) fn open(name: &str) -> Result<Self> {
        if name == "-" {
            return Ok(Self::over(Box::new(BufReader::new(io::stdin())), None, None));
        }
        let path = Path::new(name);
        let failed = |error| {
            Failure::io(format_args!("open {name}"), &error)
                .hint("name a file, or - for standard input")
        };
        let file = File::open(path).map_err(failed)?;
        let metadata = file.metadata().map_err(failed)?;
        if metadata.is_dir() {
            return Err(failed(io::Error::from(io::ErrorKind::IsADirectory)));
        }
        // A pipe or a device has no length, and cannot be read twice.
        let (path, bytes) = match metadata.is_file() {
            true => (Some(path.to_owned()), Some(metadata.len())),
            false => (None, None),
        };
        Ok(Self::over(Box::new(BufReader::with_capacity(BUFFER_BYTES, file)), path, bytes))
    }

    fn over(source: Box<dyn BufRead + Send>, path: Option<PathBuf>, bytes: Option<u64>) -> Self {
        let hasher = blake3::Hasher::new();
        Self { source, path, bytes, hasher, offset: 0, line: 0, marked: 0 }
    }

    /// Goes on behind the place that `record` speaks of, and returns whether everything before it
    /// is still what it was; if not, the input must be opened again.
    pub(crate) fn skip(&mut self, record: &Record) -> Result<bool> {
        let mut left = record.offset;
        while left > 0 {
            let buffer = self.source.fill_buf().map_err(|error| failed(&self.path, &error))?;
            if buffer.is_empty() {
                return Ok(false);
            }
            let count = buffer.len().min(usize::try_from(left).unwrap_or(usize::MAX));
            self.hasher.update(&buffer[..count]);
            self.source.consume(count);
            left -= count as u64;
        }
        (self.offset, self.line, self.marked) = (record.offset, record.line, record.offset);
        Ok(self.hasher.finalize().to_hex().as_str() == record.hash)
    }

    /// Returns the next line, or `None` at the end.
    pub(crate) fn next(&mut self) -> Result<Option<Line>> {
        let mut text = Vec::new();
        let limit = LINE_BYTES_MAX as u64 + 1;
        let read = self.source.by_ref().take(limit).read_until(b'\n', &mut text);
        let mut bytes = read.map_err(|error| failed(&self.path, &error))? as u64;
        if bytes == 0 {
            return Ok(None);
        }
        self.hasher.update(&text);
        let too_long = bytes == limit && !text.ends_with(b"\n");
        if too_long {
            text = Vec::new();
            bytes += self.skip_line()?;
        }
        self.offset += bytes;
        self.line += 1;
        if text.ends_with(b"\n") {
            text.pop();
        }
        let mark = (self.offset - self.marked >= MARK_BYTES).then(|| {
            self.marked = self.offset;
            let hash = self.hasher.finalize().to_hex().to_string();
            Mark { offset: self.offset, line: self.line, hash }
        });
        let text = (!too_long).then(|| Bytes::from(text));
        Ok(Some(Line { number: self.line, text, bytes, mark }))
    }

    /// Reads to the end of the line without keeping it, and returns how many bytes that took.
    fn skip_line(&mut self) -> Result<u64> {
        let mut skipped = 0;
        loop {
            let buffer = self.source.fill_buf().map_err(|error| failed(&self.path, &error))?;
            let end = buffer.iter().position(|byte| *byte == b'\n');
            let count = end.map_or(buffer.len(), |end| end + 1);
            self.hasher.update(&buffer[..count]);
            self.source.consume(count);
            skipped += count as u64;
            if end.is_some() || count == 0 {
                return Ok(skipped);
            }
        }
    }
}

fn failed(path: &Option<PathBuf>, error: &io::Error) -> Failure {
    match path {
        Some(path) => Failure::io(format_args!("read {}", path.display()), error),
        None => Failure::io("read the input", error),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn input(text: Vec<u8>) -> Input {
        Input::over(Box::new(io::Cursor::new(text)), None, None)
    }

    #[test]
    fn lines_are_numbered_and_a_mark_is_where_reading_can_go_on() {
        let line = format!("{{\"x\":\"{}\"}}\n", "y".repeat(100_000));
        let text = line.repeat(10).into_bytes();
        let mut whole = input(text.clone());
        let mut marks = Vec::new();
        let mut number = 0;
        while let Some(line) = whole.next().expect("readable") {
            number += 1;
            assert_eq!(line.number, number);
            marks.extend(line.mark);
        }
        assert_eq!(marks.iter().map(|mark| mark.line).collect::<Vec<_>>(), [3, 6, 9]);
        let Mark { offset, line, hash } = marks[1].clone();
        let record = Record { offset, line, hash, ..Record::default() };
        let mut rest = input(text.clone());
        assert!(rest.skip(&record).expect("readable"));
        assert_eq!(rest.next().expect("readable").map(|line| line.number), Some(7));
        let mut changed = text;
        changed[10] = b'z';
        assert!(!input(changed).skip(&record).expect("readable"));
        assert!(!input(Vec::new()).skip(&record).expect("readable"));
    }

    #[test]
    fn a_line_that_is_too_long_is_passed_over_in_bounded_memory() {
        let mut text = b"{}\n".to_vec();
        text.resize(text.len() + LINE_BYTES_MAX + 5, b'x');
        text.extend_from_slice(b"\n{\"last\":1}");
        let mut input = input(text);
        let mut texts = Vec::new();
        while let Some(line) = input.next().expect("readable") {
            texts.push(line.text);
        }
        let expected = [Some(&b"{}"[..]), None, Some(b"{\"last\":1}")];
        assert!(texts.iter().map(Option::as_deref).eq(expected));
    }
}
