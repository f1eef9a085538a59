//! The tasks of HTTP/2 streams: one that its client does not read is reset.
//!
//! A peer that never opens its window keeps an answer waiting without the connection being stuck: it
//! may answer pings for ever. So every stream's task has a deadline of its own, while it is
//! the peer's turn.

use std::{
    future::Future,
    pin::Pin,
    sync::Arc,
    task::{Context, Poll},
    time::Duration,
};

use hyper::rt::Executor;
use pin_project_lite::pin_project;
use tokio::time::{Instant, Sleep, sleep_until};

use super::answer::{Answer, take_made};
use crate::metrics::Metrics;

/// Runs the tasks of the streams of a connection.
#[derive(Clone, Debug)]
pub(super) struct StreamExecutor {
    pub(super) write_timeout: Duration,
    pub(super) metrics: Metrics,
}

impl<F> Executor<F> for StreamExecutor
where
    F: Future<Output: Send> + Send + 'static,
{
    fn execute(&self, stream: F) {
        tokio::spawn(StreamTask {
            stream,
            answer: None,
            timer: None,
            write_timeout: self.write_timeout,
            metrics: self.metrics.clone(),
        });
    }
}

pin_project! {
    /// The task of one stream. When it ends early, the stream is reset and what it held is freed.
    struct StreamTask<F> {
        #[pin]
        stream: F,
        answer: Option<Arc<Answer>>,
        // Runs while it is the peer's turn; made when that is so for the first time.
        timer: Option<Pin<Box<Sleep>>>,
        write_timeout: Duration,
        metrics: Metrics,
    }
}

impl<F: Future> Future for StreamTask<F> {
    type Output = ();

    fn poll(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<()> {
        let this = self.project();
        // One that a panic left behind is of another stream.
        drop(take_made());
        let outcome = this.stream.poll(context);
        if let Some(answer) = take_made() {
            *this.answer = Some(answer);
        }
        if outcome.is_ready() {
            return Poll::Ready(());
        }
        let Some(answer) = this.answer else { return Poll::Pending };
        loop {
            // While it is not the peer's turn, the timer looks again later: nobody tells when it is.
            let deadline = answer.deadline(*this.write_timeout);
            if deadline.is_none() && this.timer.is_none() {
                return Poll::Pending;
            }
            let now = Instant::now();
            if deadline.is_some_and(|deadline| deadline <= now) {
                answer.give_up();
                this.metrics.answer_stalled();
                return Poll::Ready(());
            }
            let end = deadline.unwrap_or(now + *this.write_timeout);
            let timer = this.timer.get_or_insert_with(|| Box::pin(sleep_until(end)));
            if timer.is_elapsed() {
                timer.as_mut().reset(end);
            }
            if timer.as_mut().poll(context).is_pending() {
                return Poll::Pending;
            }
        }
    }
}
