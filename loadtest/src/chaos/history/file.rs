//! A history as JSON lines: one line for each thing that was seen, so that a history can be cut with a text
//! editor and checked again.

use std::collections::HashMap;
use std::io::{BufRead, BufReader, BufWriter, Read, Write};

use anyhow::{Context, Result};
use serde::{Deserialize, Serialize};

use super::{Call, Fate, Hash, History, Note, Renewal, Start, Stream, Watched};

/// One line.
#[derive(Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
enum Line {
    Note(Note),
    Start(Start),
    Call(Call),
    Renewal(Renewal),
    Fate(Fate),
    /// A stream without its responses, which follow on lines of their own.
    Stream(Stream),
    Watched {
        stream: u64,
        #[serde(flatten)]
        response: Watched,
    },
    Hash(Hash),
}

impl History {
    /// Writes it: calls in the order in which they were made, then keep-alives, then streams.
    ///
    /// # Errors
    ///
    /// If writing fails.
    pub fn write(&self, to: impl Write) -> Result<()> {
        let mut to = BufWriter::new(to);
        let mut calls: Vec<_> = self.calls.iter().collect();
        calls.sort_by_key(|call| call.invoked);
        let notes = self.notes.iter().cloned().map(Line::Note);
        let start = (self.start != Start::default()).then(|| Line::Start(self.start.clone()));
        let calls = calls.into_iter().cloned().map(Line::Call);
        let renewals = self.renewals.iter().cloned().map(Line::Renewal);
        let fates = self.fates.iter().cloned().map(Line::Fate);
        let hashes = self.hashes.iter().cloned().map(Line::Hash);
        let ends = renewals.chain(fates).chain(hashes);
        for line in notes.chain(start).chain(calls).chain(ends) {
            write_line(&mut to, &line)?;
        }
        self.streams
            .iter()
            .try_for_each(|stream| write_stream(&mut to, stream))?;
        Ok(to.flush()?)
    }

    /// Reads what [`History::write`] wrote. Empty lines are passed over.
    ///
    /// # Errors
    ///
    /// If reading fails or a line is not understood; its number is told.
    pub fn read(from: impl Read) -> Result<Self> {
        let mut history = Self::default();
        let mut places = HashMap::new();
        for (number, line) in BufReader::new(from).lines().enumerate() {
            let line = line?;
            if line.trim().is_empty() {
                continue;
            }
            let line = serde_json::from_str(&line)
                .map_err(anyhow::Error::from)
                .and_then(|line| history.add(line, &mut places));
            line.with_context(|| format!("line {}", number + 1))?;
        }
        Ok(history)
    }

    fn add(&mut self, line: Line, places: &mut HashMap<u64, usize>) -> Result<()> {
        match line {
            Line::Note(note) => self.notes.push(note),
            Line::Start(start) => self.start = start,
            Line::Call(call) => self.calls.push(call),
            Line::Renewal(renewal) => self.renewals.push(renewal),
            Line::Fate(fate) => self.fates.push(fate),
            Line::Hash(hash) => self.hashes.push(hash),
            Line::Stream(stream) => {
                places.insert(stream.id, self.streams.len());
                self.streams.push(stream);
            }
            Line::Watched { stream, response } => {
                let place = places
                    .get(&stream)
                    .with_context(|| format!("stream {stream} was not introduced"))?;
                self.streams[*place].responses.push(response);
            }
        }
        Ok(())
    }
}

fn write_line(to: &mut impl Write, line: &Line) -> Result<()> {
    serde_json::to_writer(&mut *to, line)?;
    Ok(to.write_all(b"\n")?)
}

fn write_stream(to: &mut impl Write, stream: &Stream) -> Result<()> {
    let head = Stream {
        responses: Vec::new(),
        watches: stream.watches.clone(),
        ..*stream
    };
    write_line(to, &Line::Stream(head))?;
    for response in &stream.responses {
        let line = Line::Watched {
            stream: stream.id,
            response: response.clone(),
        };
        write_line(to, &line)?;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::chaos::history::{Answer, Body, Event, Outcome, Pair, Put, Request, Watch};

    fn history() -> History {
        let put = Put {
            key: "a\0\"".into(),
            value: "1".into(),
            ..Put::default()
        };
        let call = Call {
            client: 1,
            member: 0,
            invoked: 5,
            returned: 9,
            request: Request::Put(put),
            outcome: Outcome::Answered(Answer {
                revision: 2,
                body: Body::Put(None),
            }),
        };
        let event = Event {
            delete: true,
            pair: Pair::default(),
            previous: Some(Pair::default()),
        };
        let response = Watched {
            at: 7,
            revision: 2,
            events: vec![event],
            ..Watched::default()
        };
        let stream = Stream {
            id: 3,
            member: 0,
            watches: [(0, Watch::default())].into(),
            responses: vec![response],
            settled: Some(2),
        };
        let renewal = Renewal {
            client: 1,
            member: 0,
            lease: 7,
            invoked: 6,
            returned: 8,
            ttl: Some(2),
        };
        let fate = Fate {
            lease: 7,
            member: 0,
            asked: 10,
            at: 12,
            ttl: -1,
        };
        History {
            notes: vec![Note {
                at: 0,
                text: "seed 1".to_owned(),
            }],
            start: Start {
                revision: 4,
                ..Start::default()
            },
            calls: vec![call],
            renewals: vec![renewal],
            fates: vec![fate],
            streams: vec![stream],
            hashes: Vec::new(),
        }
    }

    #[test]
    fn what_was_written_is_read() {
        let mut file = Vec::new();
        history().write(&mut file).expect("written");
        assert_eq!(History::read(&file[..]).expect("read"), history());
    }

    #[test]
    fn a_line_that_is_not_understood_is_named() {
        let error = History::read(&b"\n{\"call\":{}}\n"[..]).expect_err("no call");
        assert!(format!("{error:#}").starts_with("line 2"), "{error:#}");
    }
}
