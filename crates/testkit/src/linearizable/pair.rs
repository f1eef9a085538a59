//! What two documents of one tenant are to their callers, one request at a time.

use stateright::semantics::SequentialSpec;

use super::document::{Answer, Call, Document};

/// How many documents there are.
pub const DOCUMENTS: usize = 2;

/// A call of one document, or a batch with a call of each; each with the document's number.
pub type Request = Vec<(usize, Call)>;

/// A request, and how many events of its history came before it.
pub(super) type Invoked = (usize, Request);

/// What a request came to.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Response {
    /// All of it was done: what each call answered.
    Done(Vec<Answer>),
    /// Nothing was written, because this call could not be: its index, and why.
    Refused(usize, Answer),
}

/// The documents.
#[derive(Clone, Debug)]
pub(super) struct Pair {
    documents: [Document; DOCUMENTS],
    /// The last revision of the tenant that was told.
    revision: u64,
    /// The last request, if it has changed nothing.
    looked: Option<usize>,
    /// Whether a request has been taken for made that cannot have been.
    is_impossible: bool,
}

impl Pair {
    /// Returns documents that were never written.
    pub(super) fn new() -> Self {
        let documents = std::array::from_fn(|_| Document::new());
        Self { documents, revision: 0, looked: None, is_impossible: false }
    }

    /// Returns whether requests that change nothing and follow one another do so in the order in
    /// which they were made.
    ///
    /// Any order of theirs that explains the answers can be changed into this one, so that the
    /// search need not try the others, of which there are very many.
    fn is_in_order(&mut self, number: usize, has_changed: bool) -> bool {
        let before = std::mem::replace(&mut self.looked, (!has_changed).then_some(number));
        has_changed || before.is_none_or(|before| before < number)
    }

    /// Returns whether a write may have been given this revision; those of a batch are consecutive.
    fn goes_on_to(&mut self, answer: &Answer, of_the_same_batch: bool) -> bool {
        let Answer::Written(Some(revision), _) = answer else { return true };
        let before = std::mem::replace(&mut self.revision, *revision);
        if of_the_same_batch { before + 1 == *revision } else { before < *revision }
    }
}

impl SequentialSpec for Pair {
    type Op = Invoked;
    type Ret = Response;

    /// Makes a request of which nobody has heard the answer: all of it.
    ///
    /// If it cannot be made here, this is no order: that it never was is another one.
    fn invoke(&mut self, (_, request): &Invoked) -> Response {
        let mut answers = Vec::new();
        for (document, call) in request {
            let answer = self.documents[*document].invoke(call);
            self.is_impossible |= !matches!(answer, Answer::Written(..));
            answers.push(answer);
        }
        self.looked = None;
        Response::Done(answers)
    }

    fn is_valid_step(&mut self, (number, request): &Invoked, response: &Response) -> bool {
        let is_a_write = |answer: &Answer| matches!(answer, Answer::Written(..));
        let has_changed =
            matches!(response, Response::Done(answers) if answers.iter().any(is_a_write));
        if self.is_impossible || !self.is_in_order(*number, has_changed) {
            return false;
        }
        match response {
            Response::Done(answers) => {
                let steps = request.iter().zip(answers).enumerate();
                answers.len() == request.len() && { steps }.all(
                    |(index, ((document, call), answer))| {
                        self.goes_on_to(answer, index > 0)
                            && self.documents[*document].is_valid_step(call, answer)
                    },
                )
            }
            // Each call is of a document of its own, so that none stands on what another has left.
            Response::Refused(index, refusal) => {
                let (document, call) = &request[*index];
                request[..*index].iter().all(|(before, call)| self.documents[*before].lets(call))
                    && self.documents[*document].is_valid_step(call, refusal)
            }
        }
    }
}
