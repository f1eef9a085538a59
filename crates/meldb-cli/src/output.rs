//! Everything that goes to standard output, and the lines that people read on standard error.
//!
//! On a terminal documents are laid out and lists are tables; in a pipe a document is one line of
//! its stored text and a list is NDJSON.

use std::{
    io::{self, IsTerminal, Write},
    process::ExitCode,
};

use indicatif::{ProgressBar, ProgressStyle};
use serde::Serialize;

use crate::{
    failure::{Code, Failure, Result},
    json_text,
};

/// How a command answers.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Output {
    /// Envelopes and errors in JSON.
    pub(crate) json: bool,
    /// Standard output is read by a person.
    pub(crate) terminal: bool,
}

impl Output {
    pub(crate) fn new(json: bool) -> Self {
        Self { json, terminal: !json && io::stdout().is_terminal() }
    }

    /// Prints one line, at once.
    pub(crate) fn line(self, text: impl AsRef<[u8]>) -> Result<()> {
        let mut stdout = io::stdout().lock();
        let written = stdout.write_all(text.as_ref()).and_then(|()| stdout.write_all(b"\n"));
        written.and_then(|()| stdout.flush()).map_err(|error| stdout_failure(&error))
    }

    /// Prints a document: laid out, or as one line.
    pub(crate) fn document(self, text: &[u8]) -> Result<()> {
        match std::str::from_utf8(text) {
            Ok(text) if self.terminal => self.line(json_text::pretty(text)),
            _ => self.line(json_text::one_line(text)),
        }
    }

    /// Tells a person at a terminal what happened; says nothing in a pipe.
    pub(crate) fn remark(self, text: &str) {
        if self.is_watched() {
            warn(text);
        }
    }

    /// Returns what shows how far a command is that has no end in sight, with what is in the braces of `template`: to a
    /// person at a terminal, and to no program.
    pub(crate) fn spinner(self, template: &str) -> ProgressBar {
        if self.json {
            return ProgressBar::hidden();
        }
        let style = ProgressStyle::with_template(template);
        let style = style.unwrap_or_else(|_| ProgressStyle::default_spinner());
        ProgressBar::new_spinner().with_style(style)
    }

    /// Returns whether remarks are shown: to a person at a terminal, who has not asked for JSON.
    pub(crate) fn is_watched(self) -> bool {
        !self.json && io::stderr().is_terminal()
    }

    /// Reports the failure that ends the program, and returns its exit code.
    pub(crate) fn fail(self, failure: &Failure) -> ExitCode {
        if failure.code == Code::Failed && failure.message == STDOUT_CLOSED {
            // Whoever read the output has seen enough, such as `head`.
            return ExitCode::SUCCESS;
        }
        if self.json {
            warn(&failure.to_json());
        } else {
            warn(&format!("error: {}", failure.message));
            if let Some(hint) = &failure.hint {
                warn(&format!("  hint: {hint}"));
            }
        }
        failure.exit_code()
    }
}

const STDOUT_CLOSED: &str = "standard output was closed";

fn stdout_failure(error: &io::Error) -> Failure {
    match error.kind() {
        io::ErrorKind::BrokenPipe => Failure::new(Code::Failed, STDOUT_CLOSED),
        _ => Failure::io("write to standard output", error),
    }
}

/// Prints a line on standard error; if that is closed, there is nobody left to tell.
pub(crate) fn warn(text: &str) {
    let _ = writeln!(io::stderr().lock(), "{text}");
}

/// A standard output for many lines, which are not flushed one by one unless a person reads them.
#[derive(Debug)]
pub(crate) struct Lines {
    out: io::BufWriter<io::Stdout>,
    terminal: bool,
}

impl Lines {
    pub(crate) fn new(output: Output) -> Self {
        Self { out: io::BufWriter::new(io::stdout()), terminal: output.terminal }
    }

    pub(crate) fn line(&mut self, text: &[u8]) -> Result<()> {
        let written = self.out.write_all(text).and_then(|()| self.out.write_all(b"\n"));
        written.map_err(|error| stdout_failure(&error))?;
        if self.terminal { self.flush() } else { Ok(()) }
    }

    pub(crate) fn flush(&mut self) -> Result<()> {
        self.out.flush().map_err(|error| stdout_failure(&error))
    }
}

/// Returns a table with aligned columns; the last column is not padded.
pub(crate) fn table(head: &[&str], rows: &[Vec<String>]) -> String {
    let widths: Vec<usize> = (0..head.len())
        .map(|column| {
            let cells = rows.iter().map(|row| row[column].chars().count());
            cells.chain([head[column].len()]).max().unwrap_or_default()
        })
        .collect();
    let line = |cells: Vec<&str>| {
        let cells = cells.iter().zip(&widths).map(|(cell, width)| format!("{cell:width$}"));
        cells.collect::<Vec<_>>().join("  ").trim_end().to_owned()
    };
    let mut lines = vec![line(head.to_vec())];
    lines.extend(rows.iter().map(|row| line(row.iter().map(String::as_str).collect())));
    lines.join("\n")
}

/// Returns epoch milliseconds as `2026-01-31 12:34:56Z`.
pub(crate) fn time(epoch_ms: u64) -> String {
    let seconds = epoch_ms / 1000;
    let (days, second) = (seconds / 86_400, seconds % 86_400);
    // Days to a date of the proleptic Gregorian calendar, in eras of 400 years that start in March.
    let days = days + 719_468;
    let (era, day_of_era) = (days / 146_097, days % 146_097);
    let year_of_era =
        (day_of_era - day_of_era / 1460 + day_of_era / 36_524 - day_of_era / 146_096) / 365;
    let day_of_year = day_of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
    let month_from_march = (5 * day_of_year + 2) / 153;
    let day = day_of_year - (153 * month_from_march + 2) / 5 + 1;
    let month = if month_from_march < 10 { month_from_march + 3 } else { month_from_march - 9 };
    let year = year_of_era + era * 400 + u64::from(month <= 2);
    let (hour, minute, second) = (second / 3600, second / 60 % 60, second % 60);
    format!("{year:04}-{month:02}-{day:02} {hour:02}:{minute:02}:{second:02}Z")
}

/// Returns epoch milliseconds as RFC 3339, to the millisecond.
pub(crate) fn rfc_3339(epoch_ms: u64) -> String {
    let seconds = time(epoch_ms).replace(' ', "T");
    format!("{}.{:03}Z", seconds.trim_end_matches('Z'), epoch_ms % 1000)
}

/// Returns a line of JSON: the members of `facts`, and `data` as the last one.
pub(crate) fn with_data(facts: &impl Serialize, data: &[u8]) -> Vec<u8> {
    let mut line = serde_json::to_vec(facts).unwrap_or_default();
    line.pop();
    line.extend_from_slice(b",\"data\":");
    line.extend(json_text::one_line(data));
    line.push(b'}');
    line
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_are_dates_of_the_calendar() {
        for (epoch_ms, text) in [
            (0, "1970-01-01 00:00:00Z"),
            (951_782_399_999, "2000-02-28 23:59:59Z"),
            (951_782_400_000, "2000-02-29 00:00:00Z"),
            (1_709_251_199_000, "2024-02-29 23:59:59Z"),
            (4_107_542_400_000, "2100-03-01 00:00:00Z"),
        ] {
            assert_eq!(time(epoch_ms), text);
        }
        assert_eq!(rfc_3339(1_709_251_199_007), "2024-02-29T23:59:59.007Z");
    }

    #[test]
    fn columns_are_as_wide_as_their_widest_cell() {
        let rows = [vec!["a".to_owned(), "12".to_owned()], vec!["long".to_owned(), String::new()]];
        assert_eq!(table(&["id", "n"], &rows), "id    n\na     12\nlong");
    }
}
