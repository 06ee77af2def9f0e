//! The writing side of the shared log, under one claim.

use dqlite::client::Error;
use model::{Effect, Event, Position};

use super::fault::{append_error, fenced};
use super::insert::{Expected, insert, only_events};
use super::kept::Kept;
use super::script::Script;
use super::session::{Prepared, Rest, Session};
use super::{DqliteOptions, row};
use crate::{AppendError, Claim, Journal};

/// Appends while its claim holds. Ends for good with the first append that finds it broken.
pub(super) struct DqliteJournal {
    session: Session,
    expected: Expected,
    options: DqliteOptions,
    ended: Option<String>,
}

impl DqliteJournal {
    /// A writer that appends over this connection, to the node that leads.
    pub(super) fn begin(
        mut session: Session,
        claim: &Claim,
        options: &DqliteOptions,
    ) -> Result<Self, AppendError> {
        let newest = session.run(async |log| newest_under(log, claim.epoch).await)?;
        let expected = Expected {
            epoch: claim.epoch,
            newest,
        };
        Ok(Self {
            session,
            expected,
            options: options.clone(),
            ended: None,
        })
    }

    /// Remembers an error after which nothing may be appended any more.
    fn note(&mut self, error: AppendError) -> AppendError {
        if let AppendError::NotLeader(_) | AppendError::Lost(_) = error {
            self.ended = Some(error.to_string());
        }
        error
    }
}

/// The last row of a log that is still under this epoch.
async fn newest_under(log: &mut Prepared, epoch: i64) -> Result<Position, AppendError> {
    let select = "SELECT epoch, coalesce((SELECT max(position) FROM log), 0) FROM fence";
    let row = log
        .query_row(Kept::Text(select), &[])
        .await
        .map_err(append_error)?;
    match row::integers(row) {
        Ok([found, newest]) if found == epoch => Ok(Position(newest)),
        Ok(_) => Err(fenced()),
        Err(fault) => Err(AppendError::Failed(fault.to_string())),
    }
}

impl Journal for DqliteJournal {
    fn append(&mut self, effects: &[Effect]) -> Result<(), AppendError> {
        if let Some(reason) = &self.ended {
            return Err(AppendError::NotLeader(format!("this writer has ended: {reason}")));
        }
        if effects.is_empty() {
            return Ok(());
        }
        let (expected, clock) = (self.expected, &self.options.clock);
        let stored = self.session.run(async |log| match only_events(effects) {
            Some(events) => append_events(log, &events, expected).await,
            None => run(log, &Script::new(effects, expected, clock())).await,
        });
        stored.map_err(|error| self.note(error))?;
        if let Some(newest) = effects.iter().filter_map(position).max() {
            self.expected.newest = newest.max(self.expected.newest);
            self.options.horizon.advance(newest);
        }
        Ok(())
    }

    /// There is nothing to do: pages that are free serve for rows to come, and the database is in memory.
    fn upkeep(&mut self) -> Result<bool, AppendError> {
        Ok(false)
    }
}

fn position(effect: &Effect) -> Option<Position> {
    match effect {
        Effect::Key(event) => Some(event.version.position),
        _ => None,
    }
}

async fn append_events(log: &mut Prepared, events: &[&Event], expected: Expected) -> Result<(), AppendError> {
    match insert(log, events, expected).await {
        Ok(true) => Ok(()),
        Ok(false) => Err(fenced()),
        Err(error) => Err(append_error(error)),
    }
}

async fn run(log: &mut Prepared, script: &Script) -> Result<(), AppendError> {
    let mut rest = Rest::new();
    loop {
        let done = log.client.execute_sql(&script.sql, &script.parameters).await;
        let done = match done {
            Err(error) if error.leaves_connection() => roll_back(log, error).await,
            done => done.map(drop),
        };
        if let Some(done) = rest.after(done).await {
            return done.map_err(append_error);
        }
    }
}

/// Ends the transaction that a failed script may have left open. Returns why it failed, or why that cannot
/// be undone.
async fn roll_back(log: &mut Prepared, reason: Error) -> Result<(), Error> {
    match log.client.execute_sql("ROLLBACK", &[]).await {
        // An error that leaves the connection means that there was no transaction, or no leadership any more.
        Err(error) if !error.leaves_connection() => Err(Error::NotLeader(format!("{reason}; and {error}"))),
        _ => Err(reason),
    }
}
