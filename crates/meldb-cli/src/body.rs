//! Where a command's JSON text comes from: the argument itself, `@FILE`, or `-` for stdin.

use std::io::Read;

use crate::failure::{Failure, Result};

/// The most that is read from a file or stdin: more than any store can be set to accept.
const BODY_BYTES_MAX: u64 = (meldb::limits::DOCUMENT_BYTES_CEILING + (1 << 20)) as u64;

/// Returns the text that `argument` stands for.
pub(crate) fn read(argument: &str) -> Result<Vec<u8>> {
    if argument == "-" {
        return read_all(std::io::stdin().lock(), "standard input");
    }
    let Some(path) = argument.strip_prefix('@') else {
        return Ok(argument.as_bytes().to_vec());
    };
    match std::fs::File::open(path) {
        Ok(file) => read_all(file, path),
        Err(error) => Err(Failure::io(format_args!("open {path}"), &error)
            .hint("give JSON text, @FILE, or - for standard input")),
    }
}

fn read_all(source: impl Read, name: &str) -> Result<Vec<u8>> {
    let mut text = Vec::new();
    let read = source.take(BODY_BYTES_MAX + 1).read_to_end(&mut text);
    let bytes = read.map_err(|error| Failure::io(format_args!("read {name}"), &error))?;
    if bytes as u64 > BODY_BYTES_MAX {
        let message = format!("{name} is longer than {BODY_BYTES_MAX} bytes");
        return Err(Failure::new(crate::failure::Code::PayloadTooLarge, message));
    }
    Ok(text)
}
