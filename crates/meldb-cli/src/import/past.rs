//! Importing lines as the writes that they were: revisions and stamps kept.

use bytes::BytesMut;

use super::{Counts, Import, Input, Observer, lines::Line, run::Progress};
use crate::{
    backend::PreserveRequest,
    failure::{Code, Failure, Result},
};

/// How many lines, and about how many bytes of them, are stored at a time.
const STEP_LINES: usize = 512;
const STEP_BYTES: usize = 4 << 20;

impl Import<'_> {
    /// Stores what `input` still holds as it was written, and returns what was done in all.
    ///
    /// # Errors
    /// The first line that cannot be stored ends it: history has no gaps.
    pub(crate) async fn preserve(
        self,
        mut input: Input,
        observer: &mut impl Observer,
    ) -> Result<Counts> {
        let mut progress = Progress::new(self.record.clone(), self.counts);
        let interrupted = tokio::signal::ctrl_c();
        let mut interrupted = std::pin::pin!(interrupted);
        loop {
            let mut step = Step::default();
            while step.lines < STEP_LINES && step.text.len() < STEP_BYTES {
                let Some(line) = input.next()? else { break };
                step.add(line)?;
            }
            if step.lines == 0 {
                break;
            }
            let request =
                PreserveRequest { tenant: self.layout.tenant.clone(), first_line: step.first };
            let stored = tokio::select! {
                stored = self.backend.preserve(&request, step.text.freeze()) => stored,
                _ = &mut interrupted => {
                    Err(Failure::interrupted())
                }
            };
            match stored {
                Ok(preserved) => {
                    let (counts, bytes) = (&mut progress.counts, step.bytes);
                    counts.created += preserved.stored;
                    counts.unchanged += preserved.skipped;
                    counts.bytes += bytes;
                    observer.progress(counts);
                    progress.reach(step.mark)?;
                }
                Err(failure) => {
                    progress.save()?;
                    return Err(failure);
                }
            }
        }
        if let Some(record) = &self.record {
            record.remove()?;
        }
        Ok(progress.counts)
    }
}

/// Lines that are stored together.
#[derive(Default)]
struct Step {
    text: BytesMut,
    lines: usize,
    /// The number of the first one.
    first: u64,
    /// How many bytes of the input they take.
    bytes: u64,
    mark: Option<super::Mark>,
}

impl Step {
    fn add(&mut self, line: Line) -> Result<()> {
        let Some(text) = line.text else {
            return Err(Failure::new(
                Code::PayloadTooLarge,
                format!("line {} is longer than any document", line.number),
            ));
        };
        if self.lines == 0 {
            self.first = line.number;
        }
        self.text.extend_from_slice(&text);
        self.text.extend_from_slice(b"\n");
        self.lines += 1;
        self.bytes += line.bytes;
        // A mark may be followed by lines of the same step: only one at its end counts.
        self.mark = line.mark;
        Ok(())
    }
}
