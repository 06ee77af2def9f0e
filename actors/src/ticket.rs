//! What travels with a request: its room in the pipeline, and where its answer goes.

use model::{Reply, Revision};
use tokio::sync::oneshot;

use crate::errors::RequestError;
use crate::gate::Permit;

/// A command that was carried out and is durable.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Committed {
    /// The revision that the answer's header carries.
    pub revision: Revision,
    /// The answer.
    pub reply: Reply,
}

/// Where an answer goes.
pub type Answer = oneshot::Sender<Result<Committed, RequestError>>;

/// The stub of a request: it is answered once, and gives back its room when it goes.
pub struct Ticket {
    answer: Option<Answer>,
    permit: Option<Permit>,
}

impl Ticket {
    /// The ticket of a request that somebody waits for.
    #[must_use]
    pub fn new(permit: Permit, answer: Answer) -> Self {
        Self {
            answer: Some(answer),
            permit: Some(permit),
        }
    }

    /// The ticket of a command that the pipeline gives to itself.
    #[must_use]
    pub fn unanswered() -> Self {
        Self {
            answer: None,
            permit: None,
        }
    }

    /// Answers the request. Whoever asked may have gone away; then nobody is told. The room is given back
    /// first: whoever has an answer finds it free.
    pub fn answer(self, result: Result<Committed, RequestError>) {
        drop(self.permit);
        if let Some(answer) = self.answer {
            let _gone = answer.send(result);
        }
    }
}
