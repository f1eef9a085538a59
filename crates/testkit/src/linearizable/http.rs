//! Callers of a server.

use std::{io, net::SocketAddr};

use serde_json::{Map, Value, json};

use super::{
    document::{Answer, Call, Members, members},
    history::{Caller, Heard},
    pair::{DOCUMENTS, Request, Response},
};
use crate::{
    client::{self, Client},
    random::Random,
};

/// Who calls a server, on a connection of its own.
#[derive(Debug)]
pub struct OverHttp {
    client: Client,
    /// The address of the tenant.
    root: String,
    collection: String,
    /// The documents as they were answered last, for reads that ask whether that has changed.
    known: [Option<(u64, Members)>; DOCUMENTS],
    broken: bool,
}

impl OverHttp {
    /// Connects a caller of the documents of a collection; `root` is the address of the tenant.
    ///
    /// # Errors
    /// The server cannot be reached.
    pub fn connect(
        address: SocketAddr,
        key: &str,
        root: &str,
        collection: &str,
    ) -> io::Result<Self> {
        let client = Client::connect(address, key)?;
        let (root, collection) = (root.to_owned(), collection.to_owned());
        Ok(Self { client, root, collection, known: Default::default(), broken: false })
    }

    fn path(&self, document: usize) -> String {
        format!("{}/user-{document}", self.collection)
    }

    /// Returns the method of a call, and the header lines of its condition.
    fn method(&self, document: usize, call: &Call, random: &mut Random) -> (&'static str, String) {
        match call {
            Call::Get => match &self.known[document] {
                Some((revision, _)) if random.one_in(2) => {
                    ("GET", format!("If-None-Match: \"{revision}\"\r\n"))
                }
                _ => ("GET", String::new()),
            },
            Call::Put(_) => ("POST", String::new()),
            Call::Insert(_) => ("POST", "If-None-Match: *\r\n".to_owned()),
            Call::Merge(..) => ("PUT", String::new()),
            // The store itself checks one tag, and the adapter a list of them.
            Call::MergeAt(revision, ..) => match random.one_in(2) {
                true => ("PUT", format!("If-Match: \"{revision}\"\r\n")),
                false => ("PUT", format!("If-Match: \"999999\", \"{revision}\"\r\n")),
            },
            Call::MergeUnless(revision, ..) => {
                ("PUT", format!("If-None-Match: \"{revision}\"\r\n"))
            }
            Call::Delete => ("DELETE", String::new()),
        }
    }

    fn one(
        &mut self,
        document: usize,
        call: &Call,
        random: &mut Random,
    ) -> Result<Response, Heard> {
        let (method, headers) = self.method(document, call, random);
        let body = match call.body() {
            Value::Null => String::new(),
            body => body.to_string(),
        };
        let path = format!("{}/{}", self.root, self.path(document));
        let answer =
            self.heard(|client| client.send_with(method, &path, &headers, body.as_bytes()))?;
        let revision = answer.revision();
        let answer = match answer.status {
            200 | 201 => {
                let document: Map<String, Value> =
                    serde_json::from_slice(&answer.body).expect("an object");
                let (revision, members) = (revision.expect("an ETag"), members(&document));
                match call {
                    Call::Get => Answer::Found(Some((revision, members))),
                    _ => Answer::Written(Some(revision), Some(members)),
                }
            }
            204 => Answer::Written(None, None),
            304 => {
                let known = self.known[document].clone().expect("what it asked about");
                assert_eq!(revision, Some(known.0), "{}", answer.head);
                Answer::Found(Some(known))
            }
            404 if *call == Call::Get => Answer::Found(None),
            404 => return Ok(Response::Refused(0, Answer::Missing)),
            412 => return Ok(Response::Refused(0, Answer::Mismatch)),
            status => panic!("{call:?}: {status} {}", answer.text()),
        };
        Ok(Response::Done(vec![answer]))
    }

    fn batch(&mut self, request: &Request) -> Result<Response, Heard> {
        let operations: Vec<_> =
            request.iter().map(|(document, call)| operation(self.path(*document), call)).collect();
        let body = json!({ "operations": operations }).to_string();
        let path = format!("{}:batch", self.root);
        let answer = self.heard(|client| client.send("POST", &path, body.as_bytes()))?;
        let told: Value = serde_json::from_slice(&answer.body).expect("JSON");
        let refusal = match answer.status {
            200 => {
                let results = told["results"].as_array().expect("results");
                return Ok(Response::Done(results.iter().map(written).collect()));
            }
            404 => Answer::Missing,
            412 => Answer::Mismatch,
            status => panic!("{request:?}: {status} {told}"),
        };
        let index = told["operation"]["index"].as_u64().expect("which operation it was");
        Ok(Response::Refused(index as usize, refusal))
    }

    /// Sends a request, and returns its answer if that tells what it came to.
    fn heard(
        &mut self,
        send: impl FnOnce(&mut Client) -> io::Result<client::Answer>,
    ) -> Result<client::Answer, Heard> {
        match send(&mut self.client) {
            Ok(answer) if answer.status < 500 => Ok(answer),
            Ok(answer) if answer.text().contains("nothing was written") => Err(Heard::NotDone),
            Ok(_) => Err(Heard::Nothing),
            Err(_) => {
                self.broken = true;
                Err(Heard::Nothing)
            }
        }
    }
}

impl Caller for OverHttp {
    fn ask(&mut self, request: &Request, random: &mut Random) -> Heard {
        let response = match request.as_slice() {
            [(document, call)] => self.one(*document, call, random),
            _ => self.batch(request),
        };
        let response = match response {
            Ok(response) => response,
            Err(heard) => return heard,
        };
        if let Response::Done(answers) = &response {
            for ((document, _), answer) in request.iter().zip(answers) {
                if let Answer::Found(Some((revision, members)))
                | Answer::Written(Some(revision), Some(members)) = answer
                {
                    self.known[*document] = Some((*revision, members.clone()));
                }
            }
        }
        Heard::Response(response)
    }

    fn conditional(&self, revision: u64, member: char, number: u64, random: &mut Random) -> Call {
        match random.one_in(3) {
            true => Call::MergeUnless(revision, member, number),
            false => Call::MergeAt(revision, member, number),
        }
    }

    fn goes_on(&self) -> bool {
        !self.broken
    }
}

fn operation(path: String, call: &Call) -> Value {
    let op = match call {
        Call::Put(_) => "put",
        Call::Insert(_) => "insert",
        Call::Delete => return json!({ "op": "delete", "path": path }),
        Call::MergeAt(revision, ..) => {
            return json!({"op": "merge", "path": path, "data": call.body(), "ifRevision": revision});
        }
        Call::Merge(..) => "merge",
        Call::Get | Call::MergeUnless(..) => panic!("no operation of a batch: {call:?}"),
    };
    json!({ "op": op, "path": path, "data": call.body() })
}

fn written(result: &Value) -> Answer {
    let revision = result["revision"].as_u64().expect("a revision");
    Answer::Written(Some(revision), result["data"].as_object().map(members))
}
