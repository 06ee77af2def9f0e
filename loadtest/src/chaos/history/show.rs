//! A call in one line, for people.

use std::fmt;

use super::{Call, Outcome};

impl fmt::Display for Call {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        let seconds = |moment: u64| {
            let (whole, rest) = (moment / 1_000_000_000, moment % 1_000_000_000);
            format!("{whole}.{rest:09}")
        };
        let json = |text: serde_json::Result<String>| text.unwrap_or_else(|error| error.to_string());
        write!(
            out,
            "client {} at member {}, {}..{} s: {}",
            self.client,
            self.member,
            seconds(self.invoked),
            seconds(self.returned),
            json(serde_json::to_string(&self.request)),
        )?;
        match &self.outcome {
            Outcome::Answered(answer) => {
                let body = json(serde_json::to_string(&answer.body));
                write!(out, " -> revision {}: {body}", answer.revision)
            }
            Outcome::Refused(refusal) => write!(out, " -> refused: {refusal:?}"),
            Outcome::Unknown(words) => write!(out, " -> unknown: {words}"),
        }
    }
}
