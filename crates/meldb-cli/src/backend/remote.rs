//! The operations on a server, over the client.

use std::io::Write;

use bytes::Bytes;
use meldb_http::BatchFormat;

use super::{
    BatchRequest, Change, ChangesRequest, Effect, Entry, ExpireAt, Found, LineSink, ListRequest,
    Outcome, Precondition, Sink, Verb,
};
use crate::{
    address::{Address, VERSIONS_CURRENT},
    client::{Answered, Client, Condition, Method, Request},
    failure::{Code, Failure, Result},
    json_text,
};

/// A server's HTTP API.
#[derive(Clone, Debug)]
pub(crate) struct Remote {
    client: Client,
}

impl Remote {
    pub(crate) fn new(client: Client) -> Self {
        Self { client }
    }

    pub(crate) async fn get(&self, address: &Address) -> Result<Option<Found>> {
        check_sub_document(address)?;
        match self.client.send(Request::new(Method::Get, address)).await {
            Ok(answer) => Ok(Some(Found { revision: answer.revision, text: answer.text })),
            Err(failure) if failure.code == Code::NotFound => Ok(None),
            Err(failure) => Err(failure),
        }
    }

    pub(crate) async fn write(&self, change: &Change, text: Bytes) -> Result<Outcome> {
        check_sub_document(&change.address)?;
        check_actor(change.actor.as_deref())?;
        let mut request = Request::new(
            match change.verb {
                Verb::Put => Method::Post,
                Verb::Merge => Method::Put,
                Verb::Patch => Method::Patch,
                Verb::Delete => Method::Delete,
            },
            &change.address,
        );
        request.condition = match change.precondition {
            Precondition::Nothing => Condition::Nothing,
            Precondition::Absent => Condition::Absent,
            Precondition::Revision(number) => Condition::Revision(number),
            Precondition::UnchangedSince(number) => Condition::UnchangedSince(number),
        };
        request.nulls_keep = change.nulls_keep;
        request.shallow = change.shallow;
        request.skip_unchanged = change.skip_unchanged;
        request.expire_at = change.expire_at.map(|expire_at| match expire_at {
            ExpireAt::Time(expires_ms) => expires_ms.to_string(),
            ExpireAt::Never => "never".to_owned(),
        });
        request.dry_run = change.dry_run;
        request.idempotency_key = change.idempotency_key.clone();
        request.answer = match (change.quiet, change.diff) {
            (true, _) => Answered::Minimal,
            (false, true) => Answered::Diff,
            (false, false) => Answered::Document,
        };
        request.body = (change.verb != Verb::Delete).then_some(text);
        let answer = self.client.send(request).await?;
        let effect = match (answer.effect.as_deref(), change.verb) {
            (Some("created"), _) => Effect::Created,
            (Some("replaced"), _) => Effect::Replaced,
            (Some("unchanged"), _) => Effect::Unchanged,
            // A server that does not say.
            (None, Verb::Put) if answer.status == 201 => Effect::Created,
            (_, Verb::Put) => Effect::Replaced,
            (_, Verb::Merge) => Effect::Merged,
            (_, Verb::Patch) => Effect::Patched,
            (_, Verb::Delete) => Effect::Deleted,
        };
        let has_text = change.verb != Verb::Delete && !change.quiet;
        let text = has_text.then_some(answer.text);
        Ok(Outcome { effect, revision: answer.revision, text })
    }

    pub(crate) async fn batch(&self, request: &BatchRequest, text: Bytes) -> Result<Bytes> {
        check_actor(request.actor.as_deref())?;
        let mut batch = Request::batch(&request.tenant, BatchFormat::of(&text).media_type());
        batch.dry_run = request.dry_run;
        batch.idempotency_key = request.idempotency_key.clone();
        batch.answer = if request.quiet { Answered::Minimal } else { Answered::Document };
        batch.body = Some(text);
        Ok(self.client.send(batch).await?.text)
    }

    pub(crate) async fn list(&self, request: &ListRequest, sink: Sink<'_>) -> Result<()> {
        let mut left = request.limit.unwrap_or(usize::MAX);
        if left == 0 {
            return Ok(());
        }
        let mut answer = self.client.list(&request.collection).await?;
        let mut elements = json_text::ArrayElements::default();
        while let Some(chunk) = answer.chunk().await? {
            elements.feed(&chunk, |element| {
                let entry = entry(element)?;
                let wanted = request.after.as_ref().is_none_or(|after| entry.id > *after);
                if wanted && left > 0 {
                    left -= 1;
                    sink(entry)?;
                }
                Ok(())
            })?;
            if left == 0 {
                return Ok(());
            }
        }
        if elements.ended() {
            return Ok(());
        }
        Err(Failure::new(Code::Unavailable, "the server ended the list in its midst")
            .hint("its log says why; run the command again"))
    }
}

impl Remote {
    pub(crate) async fn backup(&self, out: &mut impl Write) -> Result<()> {
        let mut answer = self.client.backup().await?;
        while let Some(chunk) = answer.chunk().await? {
            out.write_all(&chunk).map_err(|error| Failure::io("write the backup", &error))?;
        }
        out.flush().map_err(|error| Failure::io("write the backup", &error))
    }

    pub(crate) async fn changes(&self, request: &ChangesRequest, sink: LineSink<'_>) -> Result<()> {
        let mut after = request.after.clone();
        loop {
            let mut events = self.client.changes(request, &after).await?;
            let mut pending = Vec::new();
            while let Some(chunk) = events.chunk().await? {
                pending.extend_from_slice(&chunk);
                let mut lines = Vec::new();
                while let Some(end) = pending.windows(2).position(|pair| pair == b"\n\n") {
                    let event: Vec<u8> = pending.drain(..end + 2).collect();
                    let event = Event::parse(&event);
                    after = event.id.unwrap_or(after);
                    if event.is_error {
                        return Err(Failure::new(
                            Code::Unavailable,
                            "the server broke off the changes; its log says why",
                        ));
                    }
                    // Without data it only says how far the server has come.
                    let caught_up = event.data.is_none();
                    lines.extend(event.data);
                    if caught_up && !request.follow {
                        return sink(lines);
                    }
                }
                sink(lines)?;
            }
            // The server ends a stream when it shuts down: it may be back soon, or not at all.
        }
    }
}

/// A server-sent event.
#[derive(Default)]
struct Event {
    id: Option<String>,
    data: Option<Vec<u8>>,
    is_error: bool,
}

impl Event {
    fn parse(text: &[u8]) -> Self {
        let mut event = Self::default();
        for line in text.split(|byte| *byte == b'\n') {
            if let Some(id) = line.strip_prefix(b"id: ") {
                event.id = Some(String::from_utf8_lossy(id).into_owned());
            } else if let Some(data) = line.strip_prefix(b"data: ") {
                event.data = Some(data.to_vec());
            }
            event.is_error |= line == b"event: error";
        }
        event
    }
}

fn entry(element: &[u8]) -> Result<Entry> {
    let odd = |_| Failure::new(Code::InternalError, "the server's list is not what the API says");
    let (mut id, mut text) = (None, None);
    for (name, value) in json_text::members(element).map_err(odd)? {
        match name.as_str() {
            "id" => id = serde_json::from_str(value).ok(),
            "data" => text = Some(value.as_bytes().to_vec()),
            _ => {}
        }
    }
    match (id, text) {
        (Some(id), Some(text)) => Ok(Entry { id, revision: None, text }),
        _ => Err(odd(Failure::usage(""))),
    }
}

fn check_actor(actor: Option<&str>) -> Result<()> {
    match actor {
        None => Ok(()),
        Some(_) => {
            let message = "a server stamps the name of the key, so --as has no effect";
            Err(Failure::usage(message)
                .hint("leave out --as, or make a key of that name with `meldb keys create`"))
        }
    }
}

fn check_sub_document(address: &Address) -> Result<()> {
    if address.sub.is_empty() || address.sub == VERSIONS_CURRENT {
        return Ok(());
    }
    Err(Failure::usage(format!("a server has no route to {address}"))
        .hint("of sub-documents it serves versions/current; use --dir for others"))
}
